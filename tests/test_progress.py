"""The learner's record loses nothing and breaks nothing; START and `syslab progress` read it."""

import errno
import html.parser
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from syslab.course import home, manifest, paths, progress

MANIFEST = """\
[course]
id = "mini"
title = "Mini & <small>"
summary = "One module is ready."
total_points = 200

[[tracks]]
id = "principal"
title = "Principal"
summary = "One module."
certificate = "Principal"
module_points = 20

[[tracks]]
id = "architect"
title = "Architect"
summary = "Two modules."
certificate = "Architect"
module_points = 40

[[modules]]
id = "mod-601"
track = "principal"
folder = "mod-601-mindset"
title = "Mindset"
outcome = "Decide."
phase = "One"
level = "advanced"
hours = 15
points = 20
prerequisites = []
status = "planned"
bench = { folder = "calibration" }

[[modules]]
id = "arch-01"
track = "architect"
folder = "arch-01-caches"
title = "Caches <fast & slow>"
outcome = "Read caches."
phase = "One"
level = "expert"
minutes = 90
points = 20
prerequisites = []
status = "ready"
bench = { folder = "ladder", title = "Ladder", minutes = 60 }
assignment = { title = "Caches by hand", minutes = 100 }
lessons = [
    { file = "01-lines.ipynb", title = "Lines", minutes = 40 },
    { file = "02-sets.ipynb", title = "Sets", minutes = 50 },
]

[[modules]]
id = "arch-02"
track = "architect"
folder = "arch-02-roofline"
title = "Roofline"
outcome = "Draw."
phase = "One"
level = "expert"
minutes = 90
points = 20
prerequisites = ["arch-01"]
status = "planned"
bench = { folder = "roofline" }

[[projects]]
id = "project-01"
folder = "01-training"
title = "Training"
hours = 100
points = 100
prerequisites = []
status = "planned"
weights = { depth = 100 }

[[portfolio]]
id = "code-review"
title = "Code review"
points = 80
prerequisites = []
status = "planned"

[capstone]
id = "arch-capstone"
track = "architect"
folder = "capstone"
title = "Capstone"
prerequisites = []
status = "planned"

[[gates]]
id = "total"
certificate = "principal"
kind = "total-points"
title = "140 of 200 points"
threshold = 140

[[gates]]
id = "each-project"
certificate = "principal"
kind = "each-project"
title = "70 in each project"
threshold = 70

[[gates]]
id = "each-module"
certificate = "architect"
kind = "each-module"
title = "14 in each module"
threshold = 14

[[gates]]
id = "panel"
certificate = "architect"
kind = "evidence"
title = "Panel"
"""


def notebook(*sources):
    cells = [
        {"cell_type": "code", "source": source, "metadata": {}, "outputs": []} for source in sources
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture(autouse=True)
def _fresh_process(monkeypatch):
    """What a new kernel starts with, and no leftovers of other tests."""
    monkeypatch.delenv("SYSLAB_NO_PROGRESS", raising=False)
    for kept in (progress._unsaved, progress._this_process, progress._said):
        kept.clear()
    yield
    for kept in (progress._unsaved, progress._this_process, progress._said):
        kept.clear()


@pytest.fixture
def file():
    """Where the record of this test is."""
    return paths.state_dir() / progress.FILE


@pytest.fixture
def course(tmp_path):
    """A course with one ready module: two lessons with questions, a bench with a prediction."""
    pages = {
        "lessons/arch-01-caches/01-lines.ipynb": notebook(
            'predict("line-bytes", None, low=1)', "quick_check('q-line')", 'quick_check("q-word")'
        ),
        "lessons/arch-01-caches/02-sets.ipynb": notebook('quick_check("q-set")'),
        "labs/ladder/bench.ipynb": notebook('predict(\n    "dram", None)'),
    }
    for name, text in pages.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "course.toml").write_text(MANIFEST, encoding="utf-8")
    return manifest.load(tmp_path / "course.toml", check_folders=False)


def step(course):
    now = progress.load().next_step(course)
    return now.kind, now.path or now.command


# ------------------------------------------------------------------------------------ recording


def test_a_record_is_there_after_a_restart(file):
    progress.record_check("arch-01", "lines", 1.5, 2)
    progress.record_prediction("dram", 40.0)
    out = subprocess.run(
        [
            sys.executable,
            "-c",
            "from syslab.course import progress as p; r = p.load(); "
            "print(p.prediction('dram'), r.attempts('lines'), r.public_points('arch-01'))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.split() == ["40.0", "1", "1.5"]
    assert json.loads(file.read_text(encoding="utf-8"))["schema"] == progress.SCHEMA


def test_two_kernels_lose_nothing(file):
    program = (
        "import sys; from syslab.course import progress\n"
        "for n in range(60): progress.record_check('arch-01', sys.argv[1], n, 60)"
    )
    kernels = [subprocess.Popen([sys.executable, "-c", program, name]) for name in ("a", "b", "c")]
    assert [kernel.wait(timeout=120) for kernel in kernels] == [0, 0, 0]
    record = progress.load()
    for name in ("a", "b", "c"):
        scores = [entry["score"] for entry in record.entries("check", f"arch-01/{name}")]
        assert scores == list(range(60))
    assert [p.name for p in file.parent.iterdir() if p.name.startswith(".")] == []


def test_every_kind_of_entry_is_kept():
    progress.record_quick_check("q-line", "b", True)
    progress.record_grade("arch-01", 15, 20, {"lines": 2})
    progress.started("arch-01")
    progress.submitted("arch-01")
    progress.revealed("arch-01", "lines")
    progress.opened("arch-01/01-lines")
    progress.finished("arch-01/01-lines")
    progress.record("evidence", "panel", link="https://example.org")
    record = progress.load()
    assert record.entries("quick-check", "q-line")[0]["correct"] is True
    assert record.entries("graded", "arch-01")[0]["by_cell"] == {"lines": 2}
    for kind, key in (
        ("started", "arch-01"),
        ("submitted", "arch-01"),
        ("revealed", "arch-01/lines"),
        ("opened", "arch-01/01-lines"),
        ("finished", "arch-01/01-lines"),
    ):
        (entry,) = record.entries(kind, key)
        assert entry["time"].endswith("Z")


def test_values_of_numpy_are_kept_as_numbers():
    progress.record_prediction("a", np.float32(2.5))
    progress.record_prediction("b", np.array([1, 2]))
    progress.record_prediction("c", {1: np.int64(3), "when": object})
    assert progress.prediction("a") == 2.5
    assert progress.prediction("b") == [1, 2]
    assert progress.prediction("c")["1"] == 3


def test_the_latest_prediction_counts_and_the_first_is_kept():
    progress.record_prediction("dram", 10)
    progress.record_prediction("dram", 20)
    assert progress.prediction("dram") == 20
    assert [e["value"] for e in progress.load().entries("prediction", "dram")] == [10, 20]
    assert progress.prediction("never made") is None


def test_an_unknown_kind_is_told_and_does_no_harm(capsys, file):
    progress.record("checq", "arch-01/lines")
    assert "unknown kind 'checq'" in capsys.readouterr().out
    assert not file.exists()


# -------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b'{"schema": 1, "records": {"check"',
        b"\x00\xff\xfe" * 40,
        b"[]",
        b"null",
        b'{"schema": 1}',
        b'{"schema": 1, "records": []}',
        b'{"schema": 1, "records": {"check": {"a": 3}}}',
        b'{"schema": 1, "records": {"check": {"a": [3]}}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_kept_aside_and_work_goes_on(damage, file, capsys):
    file.write_bytes(damage)
    progress.record_check("arch-01", "lines", 2, 2)
    said = capsys.readouterr().out
    (kept,) = file.parent.glob(f"{progress.FILE}.damaged-*")
    assert kept.read_bytes() == damage
    assert "was damaged" in said
    assert str(kept) in said
    assert len(said.strip().split("\n")) == 1
    assert progress.load().attempts("arch-01/lines") == 1


def test_damage_twice_in_a_second_keeps_both(file):
    for damage in (b"one", b"two"):
        file.write_bytes(damage)
        progress.load()
    kept = {p.read_bytes() for p in file.parent.glob(f"{progress.FILE}.damaged-*")}
    assert kept == {b"one", b"two"}


def test_a_newer_record_is_left_alone(file, capsys):
    text = json.dumps({"schema": progress.SCHEMA + 1, "records": {"new": "shape"}})
    file.write_text(text, encoding="utf-8")
    progress.record_prediction("dram", 7)
    assert file.read_text(encoding="utf-8") == text
    assert "newer version" in capsys.readouterr().out
    assert progress.prediction("dram") == 7


def test_an_unusable_folder_costs_one_line_and_no_exception(tmp_path, monkeypatch, capsys):
    (tmp_path / "taken").write_text("a file stands here", encoding="utf-8")
    monkeypatch.setenv("SYSLAB_STATE", str(tmp_path / "taken"))
    progress.record_check("arch-01", "lines", 1, 2)
    progress.record_check("arch-01", "lines", 2, 2)
    progress.record_prediction("dram", 40)
    assert progress.prediction("dram") == 40
    assert progress.load().attempts("arch-01/lines") == 2
    out, err = capsys.readouterr()
    assert err == ""
    assert len(out.strip().split("\n")) <= 2  # once for writing, once for reading
    assert "progress not saved" in out


def test_a_full_disk_keeps_the_old_file_and_saves_later(file, monkeypatch, capsys):
    progress.record_check("arch-01", "lines", 1, 2)
    before = file.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        progress.record_check("arch-01", "sets", 2, 2)
    assert file.read_bytes() == before
    assert sorted(p.name for p in file.parent.iterdir()) == ["progress.json", "progress.lock"]
    assert "No space left" in capsys.readouterr().out
    progress.record_check("arch-01", "ways", 3, 3)
    stored = json.loads(file.read_text(encoding="utf-8"))["records"]["check"]
    assert set(stored) == {"arch-01/lines", "arch-01/sets", "arch-01/ways"}


def test_a_held_lock_does_not_hang_a_cell(file, monkeypatch, capsys):
    fcntl = pytest.importorskip("fcntl", reason="file locks exist on Linux and macOS only")
    monkeypatch.setattr(progress, "LOCK_WAIT_S", 0.05)
    with open(file.parent / "progress.lock", "a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        progress.record_prediction("dram", 1)
        assert progress.prediction("dram") == 1
        assert not file.exists()
    assert "another program holds" in capsys.readouterr().out
    progress.record_prediction("l1", 2)
    assert set(json.loads(file.read_text(encoding="utf-8"))["records"]["prediction"]) == {
        "dram",
        "l1",
    }


def test_under_grading_nothing_is_read_or_written(file, monkeypatch):
    progress.record_prediction("mine", 1)
    before = file.read_bytes()
    monkeypatch.setenv("SYSLAB_NO_PROGRESS", "1")
    assert progress.prediction("mine") is None
    progress.record_prediction("theirs", 2)
    assert progress.prediction("theirs") == 2
    assert file.read_bytes() == before
    monkeypatch.delenv("SYSLAB_NO_PROGRESS")
    progress.record_prediction("mine", 3)
    assert progress.prediction("theirs") is None


# -------------------------------------------------------------------------------------- reading


def test_attempts_are_answers_that_were_checked():
    progress.record_check("arch-01", "lines", 0, 2, answered=False)
    assert progress.load().attempts("lines") == 0
    progress.record_check("arch-01", "lines", 0, 2)
    progress.record_check("arch-01", "lines", 2, 2)
    progress.record_check("arch-02", "lines", 2, 2)
    record = progress.load()
    assert record.attempts("arch-01/lines") == 2
    assert record.attempts("lines") == 3
    assert record.attempts("line") == 0


def test_points_are_the_latest_run_until_there_is_a_grade():
    progress.record_check("arch-01", "lines", 2, 2)
    progress.record_check("arch-01", "lines", 1, 2)
    progress.record_check("arch-01", "sets", 3, 3)
    progress.record_check("arch-010", "sets", 9, 9)
    assert progress.load().points("arch-01") == 4
    progress.record_grade("arch-01", 3.5, 20)
    progress.record_grade("arch-01", 12.5, 20)
    record = progress.load()
    assert record.points("arch-01") == 12.5
    assert record.public_points("arch-01") == 4
    assert record.grade_share("arch-01") == pytest.approx(0.625)
    assert record.grade_share("arch-02") is None


def test_a_learner_goes_through_a_module(course):
    lesson_1, lesson_2 = (
        "lessons/arch-01-caches/01-lines.ipynb",
        "lessons/arch-01-caches/02-sets.ipynb",
    )
    assert step(course) == ("lesson", lesson_1)
    assert progress.load().minutes_left(course) == 40 + 50 + 60 + 100
    progress.record_prediction("line-bytes", 64)
    progress.record_quick_check("q-line", "a", False)
    assert step(course) == ("lesson", lesson_1)
    progress.record_quick_check("q-word", "a", True)
    assert step(course) == ("lesson", lesson_2)
    progress.record_quick_check("q-set", "a", True)
    assert progress.load().minutes_left(course) == 60 + 100
    assert step(course) == ("bench", "labs/ladder/bench.ipynb")
    progress.record_prediction("dram", 20)
    assert step(course) == ("start", "syslab start arch-01")
    progress.started("arch-01")
    assert step(course) == ("assignment", "work/arch-01/arch-01.ipynb")
    progress.submitted("arch-01")
    assert progress.load().next_step(course).kind == "grade"
    progress.record_grade("arch-01", 13.9, 20)
    assert progress.load().next_step(course).kind == "improve"
    progress.record_grade("arch-01", 14, 20)
    assert progress.load().next_step(course).kind == "done"
    assert progress.load().minutes_left(course) == 0


def test_next_is_where_the_learner_stopped_not_the_first_gap(course):
    progress.record_quick_check("q-set", "a", True)  # second lesson; the first was skipped
    assert step(course) == ("bench", "labs/ladder/bench.ipynb")
    progress.finished("arch-01/ladder")
    assert step(course) == ("lesson", "lessons/arch-01-caches/01-lines.ipynb")
    progress.record_check("arch-01", "lines", 0, 2)
    assert step(course) == ("assignment", "work/arch-01/arch-01.ipynb")


def test_a_page_that_cannot_be_read_does_not_matter(course):
    (course.root / "lessons/arch-01-caches/01-lines.ipynb").write_text("{", encoding="utf-8")
    (course.root / "lessons/arch-01-caches/02-sets.ipynb").unlink()
    assert step(course)[0] == "lesson"
    progress.finished("arch-01/01-lines")
    assert step(course) == ("lesson", "lessons/arch-01-caches/02-sets.ipynb")


def gates(course):
    return {s.gate.id: (s.met, s.stands, s.missing) for s in progress.load().gates(course)}


def test_gates_say_what_is_met_and_what_is_missing(course):
    assert gates(course) == {
        "total": (False, "0 of 200 points", "140 points"),
        "each-project": (False, "0 of 1", "all 1"),
        "each-module": (False, "0 of 2", "all 2"),
        "panel": (False, "nothing on record", "a link or a note"),
    }
    progress.record_grade("arch-01", 7, 10)  # another scale: 14 of 20
    progress.record_grade("mod-601", 20, 20)
    progress.record_grade("project-01", 69.5, 100)
    progress.record("evidence", "panel", link="https://example.org/minutes")
    assert gates(course) == {
        "total": (False, "89.5 of 200 points", "50.5 points"),
        "each-project": (False, "0 of 1", "all 1"),
        "each-module": (False, "1 of 2", "arch-02"),
        "panel": (True, "https://example.org/minutes", ""),
    }
    progress.record_grade("project-01", 70, 100)
    progress.record_grade("code-review", 50, 80)
    progress.record_grade("arch-02", 14, 20)
    assert {id: met for id, (met, _, _) in gates(course).items()} == {
        "total": True,
        "each-project": True,
        "each-module": True,
        "panel": True,
    }


def test_odd_entries_are_read_as_nothing(course, file):
    entry = {"score": "many", "max_score": None, "points": []}
    records = {"graded": {"arch-01": [entry]}, "check": {"arch-01/lines": [{}]}}
    text = json.dumps({"schema": 1, "records": records})
    file.write_text(text, encoding="utf-8")
    record = progress.load()
    assert record.points("arch-01") == 0
    assert record.grade_share("arch-01") == 0
    assert record.attempts("lines") == 1
    home.page(course, record).text()


# ----------------------------------------------------------------------------------------- home


class Tags(html.parser.HTMLParser):
    """Collects links, table headers and unbalanced tags."""

    def __init__(self, text):
        super().__init__()
        self.links, self.scopes, self.captions, self.open = [], [], 0, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "a":
            self.links.append(attributes["href"])
        if tag == "th":
            self.scopes.append(attributes.get("scope"))
        self.captions += tag == "caption"
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_fresh_page_is_the_same_every_time(course):
    pages = [home.page(course, progress.load()) for _ in range(2)]
    assert pages[0].text() == pages[1].text()
    assert pages[0].html() == pages[1].html()


def test_the_page_tells_what_is_next_and_every_module(course):
    text = home.page(course, progress.load()).text()
    assert "Next: read the lesson “Lines”, about 40 min" in text
    assert "open lessons/arch-01-caches/01-lines.ipynb" in text
    assert "Left: 4 h 10 min in 4 notebooks that are ready" in text
    assert "Done: nothing yet" in text
    assert "Architect: 2 modules, 1 ready" in text
    for module in course.modules:
        assert module.id in text
    for gate in course.gates:
        assert gate.title in text
    assert max(map(len, text.split("\n"))) <= home.TEXT_WIDTH


def test_the_page_as_html_is_accessible_and_escaped(course):
    page = home.page(course, progress.load())
    tags = Tags(page.html())
    assert tags.open == []
    assert tags.links == ["lessons/arch-01-caches/01-lines.ipynb"] * 2  # next, and the module
    assert set(tags.scopes) == {"col", "row"}
    assert tags.captions == len(page.tables)
    assert "Caches &lt;fast &amp; slow&gt;" in page.html()
    assert "color" not in page.html()


def test_the_page_follows_the_learner(course):
    progress.record_check("arch-01", "lines", 1.5, 2)
    progress.finished("arch-01/01-lines")
    page = home.page(course, progress.load())
    assert "go on with the graded notebook “Caches by hand”" in page.text()
    assert "syslab check arch-01" in page.text()
    assert "<code>syslab check arch-01</code>" in page.html()
    assert "1 of 4 notebooks done, 1.5 points by public checks" in page.html()
    progress.record_grade("arch-01", 16, 20)
    page = home.page(course, progress.load())
    assert "passed: arch-01" in page.text()
    assert "16 of 20" in page.html()


def test_the_real_page_lists_all_23_modules(course_root):
    text = home.page(manifest.load(course_root / "course.toml", check_folders=False)).text()
    assert sum(text.count(f"\n  arch-{n:02d} ") for n in range(1, 12)) == 11
    assert sum(text.count(f"\n  mod-{n} ") for n in range(601, 613)) == 12


def test_show_explains_a_broken_manifest(tmp_path, monkeypatch, capsys):
    (tmp_path / "course.toml").write_text("[course\n", encoding="utf-8")
    monkeypatch.setenv("SYSLAB_ROOT", str(tmp_path))
    home.show()
    assert "course.toml line 1: not valid TOML" in capsys.readouterr().out


def test_show_prints_outside_a_notebook(course, monkeypatch, capsys):
    monkeypatch.setenv("SYSLAB_ROOT", str(course.root))
    home.show()
    assert capsys.readouterr().out.rstrip("\n") == home.text()


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [(0, "0 min"), (45, "45 min"), (60, "1 h"), (150, "2 h 30 min"), (1500, "25 h")],
)
def test_durations(minutes, shown):
    assert home.duration(minutes) == shown


def test_asked_on_reads_only_code(tmp_path: Path):
    page = {
        "cells": [
            {"cell_type": "markdown", "source": ['quick_check("in-prose")']},
            {"cell_type": "code", "source": ["from x import quick_check\n", 'quick_check("a")']},
            {"cell_type": "code", "source": "my_predict('not-this'); predict('b', None)"},
        ]
    }
    (tmp_path / "p.ipynb").write_text(json.dumps(page), encoding="utf-8")
    assert progress.asked_on(tmp_path / "p.ipynb") == (
        ("quick-check", "a"),
        ("prediction", "b"),
    )
