"""The learner's commands, and what they say about a notebook that came to harm."""

import errno
import json
import shutil
import sys
import unicodedata
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures" / "mini_course"))
import mini_course as mini
from mini_course import change

from syslab.course import assignments, privacy, progress, scores, workbook
from syslab.course import learner_commands as commands
from syslab.course.errors import CourseError


@pytest.fixture(scope="session")
def released(tmp_path_factory):
    """A mini course with its release, made once."""
    return mini.build_released(tmp_path_factory.mktemp("released") / "course")


@pytest.fixture
def course(released, tmp_path, monkeypatch):
    """A fresh copy of the mini course, which the commands take for the course."""
    root = tmp_path / "course"
    shutil.copytree(released, root, ignore=shutil.ignore_patterns("work", "exchange"))
    monkeypatch.setenv("SYSLAB_ROOT", str(root))
    return root


@pytest.fixture
def started(course):
    """The course after `syslab start arch-02`, without the exchange."""
    assignment = assignments.find(mini.NAME, course)
    assignments.copy_missing(assignment.release, assignment.work)
    return assignment.work / mini.NOTEBOOK


def run(name, *words):
    return mini.run(commands, name, *words)


def tree(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# -------------------------------------------------------------------------------------- start


def test_start_copies_the_release_and_offers_it_in_jupyterlab(course, capsys):
    assert run("start", "arch-02") == 0
    said = capsys.readouterr().out
    assert tree(course / "work/arch-02") == tree(course / "release/arch-02")
    assert "added  work/arch-02/arch-02.ipynb" in said
    assert "syslab check arch-02" in said
    assert (course / "exchange/principal-ai-systems/outbound/arch-02/arch-02.ipynb").is_file()
    assert progress.load().entries("started", "arch-02")


def test_start_again_keeps_what_is_there_and_adds_what_is_missing(course, started, capsys):
    started.write_bytes(b"mine, whatever it is")
    (started.parent / "notes.txt").write_text("my notes")
    (started.parent / "bandwidth.csv").unlink()
    assert run("start", "arch-02") == 0
    said = capsys.readouterr().out
    assert started.read_bytes() == b"mine, whatever it is"
    assert (started.parent / "notes.txt").read_text() == "my notes"
    assert "kept   work/arch-02/arch-02.ipynb (yours)" in said
    assert "added  work/arch-02/bandwidth.csv" in said


def test_start_fresh_refuses_and_names_a_free_name(course, started):
    before = tree(started.parent)
    (course / "work/arch-02-old-1").mkdir()
    with pytest.raises(CourseError, match=r"mv work/arch-02 work/arch-02-old-2"):
        run("start", "arch-02", "--fresh")
    assert tree(started.parent) == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("arch-20", r"did you mean 'arch-0?2|did you mean 'arch-"),
        ("arch-03", r"arch-03 .* is planned[\s\S]*Ready now: arch-02"),
    ],
)
def test_unknown_and_planned_assignments_are_told_apart(course, name, message):
    with pytest.raises(CourseError, match=message):
        run("start", name)
    assert not (course / "work" / name).exists()


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, r"the disk is full[\s\S]*nothing of yours was touched[\s\S]*df -h"),
        (errno.EACCES, r"no permission to write there[\s\S]*nothing of yours was touched"),
    ],
)
@pytest.mark.parametrize("there", [False, True])
def test_a_copy_that_fails_half_way_is_taken_back(course, monkeypatch, number, message, there):
    work = course / "work/arch-02"
    if there:
        work.mkdir(parents=True)
        (work / "arch-02.ipynb").write_bytes(b"mine")
    real, copied = shutil.copyfile, []

    def full(source, target):
        if copied:
            Path(target).write_bytes(b"half of it")
            raise OSError(number, "as the system says")
        copied.append(target)
        return real(source, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(CourseError, match=message):
        run("start", "arch-02")
    assert copied, "the failure must come after the first file"
    if there:
        assert tree(work) == {Path("arch-02.ipynb"): b"mine"}
    else:
        assert not work.exists()


def test_start_where_a_file_stands_in_the_way(course):
    (course / "work").mkdir(exist_ok=True)
    (course / "work/arch-02").write_text("a file of that name")
    with pytest.raises(CourseError, match="a file stands where a folder is needed"):
        run("start", "arch-02")
    assert (course / "work/arch-02").read_text() == "a file of that name"


def test_start_without_an_exchange_still_works(course, capsys):
    (course / "exchange").write_text("a file where the exchange should be")
    assert run("start", "arch-02") == 0
    assert "the exchange is out of reach" in capsys.readouterr().out


# -------------------------------------------------------------------------------------- check


def test_check_of_the_stub_names_every_exercise_and_gives_nothing(course, started, capsys):
    before = tree(started.parent)
    assert run("check") == 1
    said = capsys.readouterr().out
    assert said.count("no answer yet") == 3
    assert "0 of 5 points" in said
    assert "public checks passed" not in said.lower()
    assert tree(started.parent) == before
    assert not progress.load().attempts("arch-02/ridge")


def test_check_of_right_answers_passes_and_says_public(course, started, capsys):
    mini.answer(started, mini.WARNING, "Fund the second one.")
    before = tree(started.parent)
    assert run("check", "arch-02") == 0
    said = capsys.readouterr().out
    assert "5 of 5 points by the public checks. Public checks passed." in said
    assert "awaiting a human" in said
    assert tree(started.parent) == before
    record = progress.load()
    assert all(record.attempts(f"arch-02/{x}") for x in ("ridge", "attainable", "memo"))


def test_check_gives_the_reason_of_a_partial_answer(course, started, capsys):
    mini.answer(started, mini.WRONG)
    assert run("check") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "the ridge is peak over bandwidth" in said
    assert "you forgot the compute ceiling" in said
    assert "1.5 of 3" in said
    assert "Next: `ridge`." in said


def test_check_before_start_says_start(course):
    with pytest.raises(CourseError, match="syslab start arch-02"):
        run("check")


def test_check_takes_the_assignment_of_the_current_folder(course, started, monkeypatch):
    monkeypatch.chdir(started.parent)
    assert assignments.find_started(None).name == "arch-02"


# -- what can have happened to the notebook: one message each, the learner's bytes unchanged ----


def _deleted(notebook):
    notebook.cells = [c for c in notebook.cells if c is not mini.cell(notebook, "test-ridge")]


def _deleted_answer_and_test(notebook):
    gone = [mini.cell(notebook, "ridge"), mini.cell(notebook, "test-ridge")]
    notebook.cells = [c for c in notebook.cells if not any(c is g for g in gone)]


def _renamed(notebook):
    mini.cell(notebook, "ridge").metadata.nbgrader["grade_id"] = "my-ridge"


def _duplicated(notebook):
    copy = nbformat.from_dict(mini.cell(notebook, "ridge"))
    copy["id"] = "another"
    copy["source"] = "def ridge(p, b):\n    return 7"
    notebook.cells.insert(0, copy)


def _edited_test(notebook):
    mini.cell(notebook, "test-ridge").source = "2.0"


def _other_tool(notebook):
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"othertool": {"collapsed": True}})
    notebook.metadata = nbformat.from_dict({"othertool": {"version": 3}})


def _other_tool_new_ids(notebook):
    _other_tool(notebook)
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"fresh-{index}"


def _missing_kernel(notebook):
    notebook.metadata["kernelspec"] = {
        "name": "gone-7",
        "display_name": "Gone 7",
        "language": "python",
    }


def _turned_into_markdown(notebook):
    cell = mini.cell(notebook, "test-ridge")
    cell.cell_type = "markdown"
    del cell["outputs"], cell["execution_count"]


def _merged_by_nbdime(notebook):
    cell = mini.cell(notebook, "ridge")
    cell.source = f"<<<<<<< local\n{cell.source}\n=======\n{cell.source}\n>>>>>>> remote"


@pytest.mark.parametrize(
    ("edit", "message", "points"),
    [
        (_deleted, "The test cell `test-ridge` is missing", "5 of 5"),
        (_deleted_answer_and_test, "The answer cell `ridge` is missing", "3 of 5"),
        (_renamed, "The answer cell `ridge` now carries the id `my-ridge`", "5 of 5"),
        (_duplicated, "Cell `ridge` is there 2 times; only the last one counts", "5 of 5"),
        (_edited_test, "The test cell `test-ridge` was edited", "5 of 5"),
        (_other_tool, "dropped nbgrader's marks", "5 of 5"),
        (_other_tool_new_ids, "dropped nbgrader's marks", "5 of 5"),
        (_missing_kernel, "asks for the kernel 'gone-7', which is not installed", "5 of 5"),
        (_turned_into_markdown, "was turned from code into markdown", "5 of 5"),
        (_merged_by_nbdime, "Cell ridge holds an unfinished merge", "3 of 5"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_check_survives_what_happened_to_cells(course, started, capsys, edit, message, points):
    mini.answer(started, mini.RIGHT, "My memo.")
    written = change(started, edit)
    run("check")
    said = " ".join(capsys.readouterr().out.split())
    assert message in said
    assert f"{points} points by the public checks" in said
    assert started.read_bytes() == written


def _truncated(text):
    return text[: len(text) // 2]


def _merge(text):
    line = next(x for x in text.split("\n") if "YOUR CODE HERE" in x)
    return text.replace(line, f"<<<<<<< HEAD\n{line}\n=======\n{line}\n>>>>>>> theirs", 1)


@pytest.mark.parametrize("name", ["check", "submit"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncated, "is damaged or cut short: line"),
        (_merge, "holds an unfinished merge (line"),
        (lambda text: "", "is empty"),
        (lambda text: '{"not": "a notebook"}', "is JSON, but not a notebook"),
        (lambda text: text.replace('"cell_type": "code"', '"cell_type": "cod"', 1), "not a valid"),
        (lambda text: json.dumps({**json.loads(text), "nbformat": 3}), "notebook format 3"),
    ],
    ids=["truncated", "merge", "empty", "other-json", "invalid", "old-format"],
)
def test_a_damaged_notebook_gets_one_message_and_stays(course, started, name, damage, message):
    started.write_text(damage(started.read_text()))
    before = tree(course / "work")
    with pytest.raises(CourseError) as caught:
        run(name, "arch-02")
    assert message in str(caught.value)
    assert caught.value.fix
    assert tree(course / "work") == before
    assert not list(course.glob("exchange/*/inbound/*"))


def test_bytes_that_are_not_text(course, started):
    started.write_bytes(b"\xff\xfe\x00garbage")
    with pytest.raises(CourseError, match="is not UTF-8 text"):
        run("check")


def test_the_way_out_names_jupyterlabs_checkpoint_when_there_is_one(course, started):
    kept = started.parent / ".ipynb_checkpoints" / "arch-02-checkpoint.ipynb"
    kept.parent.mkdir()
    shutil.copy(started, kept)
    started.write_text("{")
    with pytest.raises(CourseError, match=r"cp work/arch-02/\.ipynb_checkpoints/arch-02-check"):
        run("check")


def test_a_renamed_notebook_file_is_recognised(course, started):
    started.rename(started.with_name("arch-02-final.ipynb"))
    with pytest.raises(CourseError, match=r"mv work/arch-02/arch-02-final.ipynb work/arch-02/arch"):
        run("check")


def test_no_kernel_at_all_says_how_to_install_it(course, started, monkeypatch):
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    def none(self, name):
        raise NoSuchKernel(name)

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", none)
    with pytest.raises(
        CourseError, match=r"kernel 'python3' is not installed[\s\S]*ipykernel inst"
    ):
        run("check")


def test_a_kernel_that_dies_is_explained(course, started):
    mini.answer(started, {"ridge": "import os\nos._exit(1)"})
    with pytest.raises(CourseError, match="the kernel died"):
        run("check")


def test_a_full_disk_while_checking_is_explained(course, started, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(CourseError, match=r"No space left[\s\S]*your files were not touched"):
        run("check")


# ------------------------------------------------------------------------------------- submit


def test_submit_keeps_every_submission_and_states_the_time(course, started, capsys):
    mini.answer(started, mini.RIGHT)
    assert run("submit") == 0
    first = capsys.readouterr().out
    assert "Submitted arch-02 at 20" in first
    mini.answer(started, mini.WRONG)
    assert run("submit", "arch-02") == 0
    assert "1 earlier submission is kept" in capsys.readouterr().out
    inbound = sorted((course / "exchange/principal-ai-systems/inbound").iterdir())
    assert len(inbound) == 2
    last = inbound[-1] / mini.NOTEBOOK
    assert last.read_bytes() == started.read_bytes()
    assert (inbound[-1] / "mine.json").is_file(), "own measurements travel with the submission"
    assert len(progress.load().entries("submitted", "arch-02")) == 2


def test_submit_without_a_usable_exchange(course, started):
    (course / "exchange").write_text("a file where the exchange should be")
    with pytest.raises(CourseError, match="nbgrader could not"):
        run("submit")


# ------------------------------------------------------------------------------------ privacy


@pytest.fixture
def named(course, started):
    """A folder to be handed in that shows Anna Kowal in seven places, and the list of names."""
    (course / "work/real-names.txt").write_text("# never handed in\nAnna Kowal\nJosé\n")
    mini.answer(started, mini.RIGHT, "Fund the second fix.\nSo said anna.")
    notebook = nbformat.read(started, as_version=4)
    mini.cell(notebook, "test-ridge").outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="PASS\nReviewed by Kowal\n")
    ]
    nbformat.write(notebook, started)
    (started.parent / "plan.toml").write_text(
        '# Kowal reads this\n[mentee]\nstart = "annotates bananas"\n'
        '[[ledger]]\nwhat = "one"\n[[ledger]]\nwhat = "two"\nevidence = [\n'
        '  "platform#1",\n  "gitlab.com/anna_k",\n]\n'
    )
    (started.parent / "notes-jose\u0301.md").write_text("Anna\u00a0Kowal wrote it.\n")
    (started.parent / "broken.toml").write_text('a = "Anna\n')
    (started.parent / "feedback").mkdir()
    (started.parent / "feedback/arch-02.html").write_text("Anna")
    return started.parent


PLACES = (
    "arch-02.ipynb, cell `memo`: 'anna'",
    "arch-02.ipynb, output of cell `test-ridge`: 'Kowal'",
    "plan.toml, line 1: 'Kowal'",
    "plan.toml, line 10 (ledger[1].evidence[1]): 'anna'",
    "notes-jos\u00e9.md, the file's name: 'jos\u00e9'",
    "notes-jos\u00e9.md, line 1: 'Anna Kowal'",
    "broken.toml, line 1: 'Anna'",
)


def test_a_listed_name_is_found_wherever_it_would_be_handed_in(course, named):
    found = {
        unicodedata.normalize("NFC", str(p)) for p in privacy.places(assignments.find(mini.NAME))
    }
    assert found == set(PLACES)


def test_check_warns_and_submit_refuses_and_says_what_to_do(course, named, capsys):
    assert run("check") == 0
    said = capsys.readouterr().out
    assert "stand in 7 places" in said
    assert "line 10 (ledger[1].evidence[1])" in said
    with pytest.raises(CourseError, match="nothing was handed in") as refused:
        run("submit")
    assert "Write the pseudonym there" in refused.value.fix
    assert "syslab submit arch-02 --anyway" in refused.value.fix
    assert not (course / "exchange").exists()
    assert not progress.load().entries("submitted", "arch-02")


def test_submit_anyway_hands_in_and_leaves_the_list_behind(course, named, capsys):
    assert run("submit", "arch-02", "--anyway") == 0
    assert "Handed in all the same" in capsys.readouterr().out
    (sent,) = (course / "exchange/principal-ai-systems/inbound").iterdir()
    assert not list(sent.rglob("real-names.txt"))


def test_the_list_within_the_assignment_is_refused_and_used(course, named):
    (course / "work/real-names.txt").rename(named / "real-names.txt")
    with pytest.raises(CourseError, match="the list itself would be handed in") as refused:
        run("submit")
    assert "mv work/arch-02/real-names.txt work/arch-02/.." in refused.value.fix
    assert len(privacy.places(assignments.find(mini.NAME))) == len(PLACES) + 1


@pytest.mark.parametrize("text", [None, "", "# nobody\n\n", "\ufeff\n"])
def test_without_names_nothing_is_looked_for(course, named, text):
    (course / "work/real-names.txt").unlink()
    if text is not None:
        (course / "work/real-names.txt").write_text(text, encoding="utf-8")
    assert privacy.places(assignments.find(mini.NAME)) == []


def test_the_sentences_of_the_release_show_nobody(course, started):
    (course / "work/real-names.txt").write_text("Ridge Second\nDefine Level\n")
    assert privacy.places(assignments.find(mini.NAME)) == []
    mini.answer(started, {}, "A second fix.")
    (place,) = privacy.places(assignments.find(mini.NAME))
    assert (place.where, place.word) == ("cell `memo`", "second")


# ------------------------------------------------------------------------------------- reveal


def test_reveal_opens_after_an_answered_attempt_only(course, started, capsys):
    run("check")  # the stub is no attempt
    capsys.readouterr()
    with pytest.raises(CourseError, match="no attempt at `ridge` is on record"):
        run("reveal", "arch-02", "ridge")
    mini.answer(started, {"ridge": mini.WRONG["ridge"]})
    run("check")
    capsys.readouterr()
    assert run("reveal", "arch-02", "test-ridge") == 0
    said = capsys.readouterr().out
    assert "return quotient_of_peak_and_bandwidth" in said
    assert "BEGIN SOLUTION" not in said
    assert progress.load().entries("revealed", "arch-02/ridge")
    run("reveal", "arch-02")
    listed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["ridge", "open"] in listed
    assert ["attainable", "locked"] in listed
    with pytest.raises(CourseError, match="no attempt at `attainable`"):
        run("reveal", "arch-02", "attainable")


def test_reveal_of_an_unknown_exercise_suggests_one(course):
    with pytest.raises(CourseError, match="did you mean 'attainable'"):
        run("reveal", "arch-02", "atainable")


def test_reveal_without_the_sources_says_so(course):
    shutil.rmtree(course / "source")
    with pytest.raises(CourseError, match="not part of this copy of the course"):
        run("reveal", "arch-02", "ridge")


def test_progress_prints_the_home_page(course, started, capsys):
    assert run("progress") == 0
    assert "arch-02" in capsys.readouterr().out


# ------------------------------------------------------------------------- the pure parts alone


def test_scores_agree_with_nbgrader():
    """Points and checksums are computed here without nbgrader; the rules must be its own."""
    from nbgrader import utils

    new = nbformat.v4
    outputs = [
        [],
        [new.new_output("execute_result", data={"text/plain": "1.5"})],
        [new.new_output("execute_result", data={"text/plain": "0.0"})],
        [new.new_output("execute_result", data={"text/plain": "'text'"})],
        [new.new_output("error", ename="E", evalue="", traceback=[])],
        [
            new.new_output("stream", name="stdout", text="PASS  x\n"),
            new.new_output("execute_result", data={"text/plain": "2.0"}),
        ],
    ]
    marks = {"grade": True, "solution": False, "locked": True, "grade_id": "t", "points": 2}
    for given in outputs:
        cell = new.new_code_cell(
            "1", outputs=given, execution_count=1, metadata={"nbgrader": marks}
        )
        notebook = new.new_notebook(cells=[cell])
        (score,) = scores.of(notebook)
        assert (score.points, score.max_points) == utils.determine_grade(cell)
        assert scores.checksum(cell) == utils.compute_checksum(cell)
    for cell in mini.instructor_notebook().cells:
        if "nbgrader" in cell.metadata:
            assert scores.checksum(cell) == utils.compute_checksum(cell)


def test_insertion_falls_behind_the_nearest_earlier_cell():
    order = ["a", "b", "c", "d"]
    assert workbook.insertion_index([None, "a", None, "d"], order, "b") == 2
    assert workbook.insertion_index([None, "a", None, "d"], order, "c") == 2
    assert workbook.insertion_index(["c", None], order, "b") == 0
    assert workbook.insertion_index([None, None], order, "b") == 2


def test_repair_leaves_a_sound_notebook_alone(course, started):
    assignment = assignments.find("arch-02", course)
    notebook = workbook.read(assignment, mini.NOTEBOOK)
    original = workbook.released(assignment, mini.NOTEBOOK)
    assert workbook.compare(notebook, original) == []
    assert workbook.repaired(notebook, original) == notebook


def test_check_says_why_an_answer_cell_stopped(started, course, capsys):
    """Not "run the answer cell": it ran, and stopped."""

    def spoil(notebook):
        cell = next(
            c
            for c in notebook.cells
            if (m := c.metadata.get("nbgrader", {})).get("solution") and not m.get("grade")
        )
        cell.source = "def half(:\n    pass"

    change(started, spoil)
    run("check", "arch-02")
    assert "the answer cell stopped with SyntaxError" in " ".join(capsys.readouterr().out.split())
