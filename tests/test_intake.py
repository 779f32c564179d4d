"""What grading makes of a submission's folder before anything in it runs."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parent / "hostile"))
import corpus
import mini_course as mini

from syslab.grading import intake, untrusted_files, verdicts

STATIC = [case for case in corpus.CASES.values() if case.stage == corpus.INTAKE]
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SMALL = intake.IntakeLimits(total_bytes=64 * 2**20)


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    root = mini.build_released(tmp_path_factory.mktemp("intake") / "course")
    return root / "release" / mini.NAME


@pytest.fixture
def targets(tmp_path):
    for name in ("outside", "neighbour"):
        (tmp_path / name).mkdir()
    secret = tmp_path / "canary-secret.txt"
    secret.write_text(corpus.SECRET)
    (tmp_path / "neighbour" / mini.NOTEBOOK).write_text(corpus.SECRET)
    return corpus.Targets(secret, tmp_path / "outside", tmp_path / "neighbour")


@pytest.fixture
def folder(tmp_path, release):
    place = tmp_path / "submitted" / "student" / mini.NAME
    corpus.well_behaved(place, release)
    return place


def take(folder, limits=SMALL, **options):
    options.setdefault("provided", {"bandwidth.csv", "mine.json"})
    options.setdefault("own", {"mine.json"})
    return intake.read(folder, corpus.expected(), limits, now=NOW, **options)


def codes(taken):
    return {note.code for note in taken.notes}


def refused(folder, limits=SMALL, **options):
    with pytest.raises(intake.Refused) as caught:
        take(folder, limits, **options)
    return caught.value.verdict


def snapshot(folder):
    """Names, kinds, sizes, times of change and, of small files, contents below `folder`."""
    found = {}
    for place, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(place) / name
            seen = path.lstat()
            small = path.is_file() and not path.is_symlink() and seen.st_size < 10**6
            found[str(path)] = (seen.st_mode, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
            found[str(path)] += (path.read_bytes() if small else None,)
    return found


def test_a_good_submission_is_taken_whole_and_without_a_word(folder):
    (folder / "mine.json").write_text('{"own": 1}')
    (folder / "data").mkdir()
    (folder / "data" / "own.csv").write_text("a,b\n")
    (folder / "mine.py").write_text("x = 1\n")
    submitted = nbformat.read(folder / mini.NOTEBOOK, as_version=4)
    taken = take(folder)
    assert taken.notes == ()
    assert taken.files == {
        "mine.json": b'{"own": 1}',
        "data/own.csv": b"a,b\n",
        "mine.py": b"x = 1\n",
    }
    assert taken.timestamp == datetime(2026, 1, 2, 3, 4, 5)
    notebook = taken.notebooks[mini.NOTEBOOK]
    nbformat.validate(notebook)
    assert [c.source for c in notebook.cells] == [c.source for c in submitted.cells]
    assert [c.id for c in notebook.cells] == [c.id for c in submitted.cells]
    marks = ("grade_id", "grade", "solution", "locked", "checksum", "schema_version", "task")
    for new, old in zip(notebook.cells, submitted.cells, strict=True):
        for mark in marks if "nbgrader" in old.metadata else ():
            assert new.metadata.nbgrader.get(mark) == old.metadata.nbgrader.get(mark)


@pytest.mark.parametrize("case", STATIC, ids=str)
def test_the_corpus_of_broken_submissions(case, folder, targets):
    case.build(folder, targets)
    before = snapshot(folder.parents[2])
    outcome = corpus.Outcome()
    try:
        taken = take(folder)
    except intake.Refused as error:
        outcome.refused = error.verdict.code
        said = [error.verdict]
    else:
        said = taken.notes
        (notebook,) = taken.notebooks.values()
        nbformat.validate(notebook)
        nbformat.writes(notebook).encode("utf-8")
        assert not any(cell.get("outputs") for cell in notebook.cells)
        assert not any(cell.metadata.keys() - {"nbgrader"} for cell in notebook.cells)
        assert not any(corpus.SECRET.encode() in data for data in taken.files.values())
        assert corpus.SECRET not in str(notebook)
        ids = [c.metadata.nbgrader.grade_id for c in notebook.cells if "nbgrader" in c.metadata]
        assert len(set(ids)) == len(ids)
        assert set(ids) <= corpus.expected()[mini.NOTEBOOK]
    outcome.codes = {verdict.code for verdict in said}
    assert bool(outcome.refused) == (case.points == corpus.NONE), said
    assert not outcome.refused or verdicts.KINDS[outcome.refused].sort == verdicts.REFUSAL
    if case.verdicts:
        assert outcome.codes & set(case.verdicts), said
    else:
        assert not outcome.codes
    for verdict in said:
        assert_can_be_shown(verdict, folder)
    assert snapshot(folder.parents[2]) == before


def assert_can_be_shown(verdict, folder):
    """One sentence, with a way out, no markup, no path of this machine, no control characters."""
    text = verdict.message
    assert text.endswith(".")
    assert ": " in text
    assert text.isprintable()
    assert not set('<>&"') & set(text)
    assert len(text) <= 400
    assert str(folder.parents[1]) not in text
    assert corpus.SECRET not in text


def test_every_refusal_and_every_note_of_intake_occurs_in_the_corpus():
    tried = {code for case in STATIC for code in case.verdicts}
    elsewhere = {"no-submission", "unreadable", "unreadable-left-out", "too-many-files"}
    elsewhere |= {"notebook-missing"}  # below
    sorts = (verdicts.REFUSAL, verdicts.NOTE)
    known = {code for code, kind in verdicts.KINDS.items() if kind.sort in sorts}
    assert known <= tried | elsewhere


def test_stand_ins_for_modules_stay_out_and_own_modules_come_along(folder, targets):
    corpus.CASES["shadowing-modules"].build(folder, targets)
    assert set(take(folder).files) == {"mine.py", "mine.json"}


def test_links_are_not_followed_and_pipes_not_waited_for(folder, targets):
    corpus.CASES["special-files-beside"].build(folder, targets)
    assert take(folder).files == {}


def test_of_a_crowd_of_files_only_the_notebook_and_own_files_are_taken(folder, targets):
    corpus.CASES["five-thousand-files"].build(folder, targets)
    (folder / "mine.json").write_text("{}")
    taken = take(folder)
    assert set(taken.files) == {"mine.json"}
    assert taken.timestamp is not None
    (folder / mini.NOTEBOOK).rename(folder / "other.ipynb")
    assert refused(folder).code == "too-many-files"


def test_a_missing_folder(tmp_path):
    assert refused(tmp_path / "nobody").code == "no-submission"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_said_so(folder):
    (folder / "mine.json").write_text("{}")
    (folder / "mine.json").chmod(0)
    assert "unreadable-left-out" in codes(take(folder))
    (folder / mini.NOTEBOOK).chmod(0)
    assert refused(folder).code == "unreadable"


def test_one_missing_notebook_of_two_costs_only_its_own_points(folder):
    both = {**corpus.expected(), "part-2.ipynb": {"a", "test-a"}}
    taken = intake.read(folder, both, SMALL, now=NOW)
    assert set(taken.notebooks) == {mini.NOTEBOOK}
    assert codes(taken) == {"notebook-missing"}
    assert taken.flagged
    (folder / "part-2.ipynb").write_text("{")
    assert codes(intake.read(folder, both, SMALL, now=NOW)) == {"notebook-missing"}


def test_the_fuller_of_two_renamed_versions_is_graded(folder, targets):
    corpus.CASES["two-versions"].build(folder, targets)
    taken = take(folder)
    assert mini.cell(taken.notebooks[mini.NOTEBOOK], "attainable").source.startswith("def att")
    assert "YOUR CODE HERE" not in mini.cell(taken.notebooks[mini.NOTEBOOK], "attainable").source
    assert taken.flagged


def test_two_renamed_copies_of_the_same_answers_are_one(folder):
    text = (folder / mini.NOTEBOOK).read_text()
    (folder / mini.NOTEBOOK).rename(folder / "arch-02 (1).ipynb")
    (folder / "arch-02 (2).ipynb").write_text(text)
    assert codes(take(folder)) == {"notebook-renamed"}


def test_a_damaged_notebook_under_another_name_is_reported_for_what_it_is(folder):
    (folder / mini.NOTEBOOK).unlink()
    (folder / "arch-02 (1).ipynb").write_text('{"cells": [')
    assert refused(folder).code == "notebook-not-json"


def test_a_renamed_notebook_without_marks_is_taken_when_it_is_the_only_one(folder):
    data = json.loads((folder / mini.NOTEBOOK).read_text())
    for cell in data["cells"]:
        cell["metadata"] = {}
    (folder / mini.NOTEBOOK).unlink()
    (folder / "arch-02-colab.ipynb").write_text(json.dumps(data))
    assert codes(take(folder)) == {"notebook-renamed", "marks-lost"}


def test_of_doubled_cells_the_last_keeps_its_mark(folder, targets):
    corpus.CASES["answer-doubled"].build(folder, targets)
    cells = take(folder).notebooks[mini.NOTEBOOK].cells
    texts = [c.source for c in cells if c.metadata.get("nbgrader", {}).get("grade_id") == "ridge"]
    assert texts == [mini.RIGHT["ridge"]]


def test_tags_that_skip_a_cell_are_gone(folder, targets):
    corpus.CASES["skipped-by-a-tag"].build(folder, targets)
    cell = mini.cell(take(folder).notebooks[mini.NOTEBOOK], "test-ridge")
    assert "tags" not in cell.metadata


def test_pictures_in_answers_come_along_and_nothing_else_does(folder):
    picture = {"image/png": "iVBORw0KGgo="}
    bad = {"text/html": "PHNjcmlwdD4=", "image/png": ["x"]}

    def paste(notebook):
        mini.cell(notebook, "memo").attachments = {"a.png": picture, "b.png": bad}

    mini.change(folder / mini.NOTEBOOK, paste)
    cell = mini.cell(take(folder).notebooks[mini.NOTEBOOK], "memo")
    assert cell.attachments == {"a.png": picture}


def test_files_beyond_the_limits_are_left_out_and_the_notebook_is_not(folder):
    (folder / "a.bin").write_bytes(b"a" * 3000)
    (folder / "b.bin").write_bytes(b"b" * 3000)
    size_bytes = (folder / mini.NOTEBOOK).stat().st_size
    tight = intake.IntakeLimits(file_bytes=3000, total_bytes=size_bytes + 4000)
    taken = take(folder, tight)
    assert set(taken.files) == {"a.bin", "mine.json"}
    assert codes(taken) == {"large-left-out"}
    tighter = intake.IntakeLimits(notebook_bytes=size_bytes - 1)
    assert refused(folder, tighter).code == "notebook-too-large"


def test_a_file_that_grows_or_becomes_a_link_after_the_look_is_not_read(folder, targets):
    notebook = folder / mini.NOTEBOOK
    with untrusted_files.opened(folder, [], 100, 4) as files:
        assert not files.entries[mini.NOTEBOOK].fault
        assert len(files.read(mini.NOTEBOOK, 10)) == 11  # one more than allowed betrays it
        notebook.unlink()
        notebook.symlink_to(targets.secret)
        with pytest.raises(OSError, match=r"symbolic links|Too many levels"):
            files.read(mini.NOTEBOOK, 1000)
        (folder / "sub").symlink_to(targets.secret.parent)
        with pytest.raises(OSError, match=r"directory|symbolic"):
            files.read(f"sub/{targets.secret.name}", 1000)
        os.mkfifo(folder / "pipe")
        with pytest.raises(OSError, match="replaced"):
            files.read("pipe", 1000)


def test_time_of_handing_in(folder):
    stamp = folder / "timestamp.txt"
    stamp.write_text("2026-02-03 04:05:06.7 Europe/Berlin")
    assert take(folder).timestamp == datetime(2026, 2, 3, 3, 5, 6, 700000)
    stamp.unlink()
    assert take(folder).timestamp is None
    for text, code in (("2999-01-01 00:00:00 UTC", "time-future"), ("soon", "time-mended")):
        stamp.write_text(text)
        os.utime(stamp, (1_770_000_000, 1_770_000_000))
        taken = take(folder)
        assert codes(taken) == {code}
        assert taken.timestamp == datetime(2026, 2, 2, 2, 40)
        os.utime(stamp, (1e11, 1e11))
        assert take(folder).timestamp == datetime(2026, 3, 1, 12, 0)


def test_reading_the_largest_notebook_of_markup_takes_no_time(folder):
    """A pattern that backtracks would take hours here; the test would not end."""

    def write(notebook):
        mini.cell(notebook, "memo").source = "< <a " * 400_000 + "on" * 400_000

    mini.change(folder / mini.NOTEBOOK, write)
    assert codes(take(folder)) == set()


def test_a_verdict_has_a_row_in_the_table():
    with pytest.raises(ValueError, match="not in verdicts"):
        verdicts.Verdict("made-up", "Nothing.")
    table = verdicts.table()
    for code in verdicts.KINDS:
        assert f"| `{code}` |" in table


def test_the_page_of_verdicts_is_up_to_date(course_root, monkeypatch):
    monkeypatch.syspath_prepend(str(course_root / "scripts"))
    import record_stock

    page = (course_root / "docs" / "verdicts.md").read_text(encoding="utf-8")
    assert page == record_stock.page(), "run scripts/record_stock.py --only-doc"


def test_what_stock_nbgrader_did_is_recorded_for_every_case_that_may_be_tried(course_root):
    recorded = json.loads((course_root / "tests" / "hostile" / "stock.json").read_text())["cases"]
    assert recorded["well-behaved"] == "graded: ridge 2, attainable 3"
    tried = {name for name, case in corpus.CASES.items() if not case.unsafe}
    assert recorded.keys() - {"well-behaved"} == tried


@pytest.mark.parametrize("name", ["notes.html", "figure.SVG", "deep/app.js"])
def test_pages_do_not_reach_the_markers_browser(folder, name):
    """Formgrader serves what lies beside a notebook in the session of whoever marks."""
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("<script>document.title = 'owned'</script>")
    got = take(folder)
    assert name not in got.files
    assert "page-left-out" in codes(got)


def test_a_released_cell_without_a_purpose_is_no_stranger(folder):
    """nbgrader keeps no record of cells that are neither graded nor answers nor locked."""
    path = folder / mini.NOTEBOOK
    notebook = nbformat.read(path, as_version=4)
    cell = nbformat.v4.new_code_cell("login = None")
    flags = dict.fromkeys(("grade", "solution", "locked", "task"), False)
    cell.metadata["nbgrader"] = {"grade_id": "login", "schema_version": 3, **flags}
    notebook.cells.insert(1, cell)
    nbformat.write(notebook, path)
    assert "cells-unknown" not in codes(take(folder))
