"""Grading a class more than once: what a person decided stays, and no score changes unseen."""

import shutil
import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures" / "small_class"))
import small_class as small
from small_class import mini

from syslab import cli
from syslab.course import assignments
from syslab.course.errors import CourseError
from syslab.grading import batch, book, engines, items
from syslab.warm import sandbox, service

NAME = mini.NAME
KINDS = {"ada": "right", "bob": "mixed"}

if not service._AVAILABLE or not sandbox.support().complete:
    pytest.skip("needs the sandbox", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def template():
    with small.one_template(engines.MODULES):
        yield


@pytest.fixture
def course(tmp_path, monkeypatch):
    root = small.build(tmp_path / "course", KINDS)
    monkeypatch.setenv("SYSLAB_ROOT", str(root))
    monkeypatch.setenv("SYSLAB_STATE", str(root / ".syslab"))
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def grade(course, capsys):
    """``grade(*options) -> (status, what it printed)``: `syslab grade` of the class."""

    def run(*options):
        status = cli.main(["grade", NAME, "--no-feedback", "--workers", "1", *options])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def gradebook(root):
    from nbgrader.api import Gradebook

    return Gradebook(small.book_of(root))


def mark(root, student, cell, points):
    """Give `points` as Formgrader does."""
    with gradebook(root) as book_:
        grade_ = book_.find_grade(cell, NAME, NAME, student)
        grade_.manual_score = points
        grade_.needs_manual_grade = False
        book_.db.commit()


def asks(root, student):
    """The cells of `student` that wait for a person."""
    with gradebook(root) as book_:
        found = book_.find_submission_notebook(NAME, NAME, student)
        return {g.name for g in found.grades if g.needs_manual_grade}


def edit(root, student, cell, text):
    path = root / "submitted" / student / NAME / mini.NOTEBOOK
    mini.answer(path, {cell: text} if cell != "memo" else {}, text if cell == "memo" else None)


def test_marks_given_by_hand_stay_when_the_work_is_the_same(course, grade):
    grade()
    assert asks(course, "ada") == asks(course, "bob") == {"memo"}
    mark(course, "ada", "memo", 12.0)
    mark(course, "bob", "memo", 9.0)
    mark(course, "bob", "test-ridge", 1.5)  # a person thought better of it
    status, said = grade("--force")
    assert status == 0
    assert asks(course, "ada") == asks(course, "bob") == set()
    assert "awaiting a human" not in said
    assert small.scores(small.book_of(course)) == {"ada": 17.0, "bob": 3.0 + 1.5 + 9.0}


def test_marks_given_by_hand_are_looked_at_again_when_what_they_rest_on_changed(course, grade):
    grade()
    mark(course, "ada", "memo", 12.0)
    mark(course, "bob", "memo", 9.0)
    mark(course, "bob", "test-attainable", 2.5)
    edit(course, "ada", "memo", "Another answer altogether, about bandwidth.")
    edit(course, "bob", "ridge", mini.RIGHT["ridge"])
    grade()
    assert asks(course, "ada") == {"memo"}
    assert asks(course, "bob") == {"test-attainable"}  # the memo is as it was


def test_scores_do_not_change_without_a_word(course, grade):
    _, first = grade()
    assert "Scores changed" not in first
    assert grade() == (0, grade()[1])
    assert not list((course / ".syslab" / "regrade").glob("*.json"))

    source = course / "source" / NAME / mini.NOTEBOOK
    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace(
            'check.value("below the ridge", lambda: attainable_at(2.0, 100.0, 10.0), 20.0)',
            'check.value("below the ridge", lambda: attainable_at(2.0, 100.0, 10.0), 20.0)\n'
            'check.value("a wrong test", lambda: 1.0, 1.0 if attainable_at(1, 1, 1) else 2.0)\n'
            'check.value("on the ridge", lambda: attainable_at(1.0, 10.0, 10.0), 10.0, weight=3)',
        )
    nbformat.write(notebook, source)
    edit(course, "bob", "ridge", mini.RIGHT["ridge"])
    (course / "submitted" / "bob" / NAME / "timestamp.txt").write_text(
        "2026-11-02 10:00:00.000000 UTC"
    )
    edit(course, "ada", "attainable", "def attainable(i, p, b):\n    return i * b")
    _, said = grade()
    assert "Scores changed of work that was not handed in again" in said
    assert "ada" in said.partition("LOSE POINTS")[2]
    assert "bob" not in said.partition("Scores changed")[2]  # he handed in again
    (kept,) = (course / ".syslab" / "regrade").glob("*.json")
    assert kept.name in said


def test_what_is_flagged_or_refused_counts_nowhere_until_a_person_has_looked(course, grade):
    edit(
        course,
        "bob",
        "ridge",
        "import builtins\nbuiltins.abs = lambda x: 0\n" + mini.RIGHT["ridge"],
    )
    shutil.copytree(course / "submitted" / "ada", course / "submitted" / "cyd")
    (course / "submitted" / "cyd" / NAME / mini.NOTEBOOK).write_text("no notebook")
    status, said = grade()
    assert status == 1
    assert "To look at in Formgrader: bob." in said
    (line,) = (row for row in said.splitlines() if row.startswith("  cyd  "))
    assert line.endswith("refused")
    assert "awaiting a human" not in line
    with book.reading(course) as session:
        (handed,) = book.handed(session, NAME, "bob")
        assert handed.held == handed.score > 0
        assert handed.net == 0.0
        found = items.analyse(session, assignments.find(NAME, course))
        assert {i.exercise: (i.n, i.awaiting) for i in found.items} == {
            "ridge": (1, 2),
            "attainable": (1, 2),
            "memo": (0, 3),
        }
    with gradebook(course) as book_:
        cells = [g.name for g in book_.find_submission_notebook(NAME, NAME, "bob").grades]
    for cell in cells:
        mark(course, "bob", cell, 1.0)
    with book.reading(course) as session:
        (handed,) = book.handed(session, NAME, "bob")
        assert (handed.held, handed.net) == (0.0, 3.0)
    _, said = grade("--force")
    assert "To look at" not in said  # settled, and the same work


def test_a_student_that_is_misspelt_is_guessed(course, grade):
    grade()
    status, said = grade("--student", "aba")
    assert status != 0
    assert "Did you mean 'ada'?" in said
    assert not list((course / ".syslab" / "regrade").glob("*.json"))


def test_a_run_that_fails_says_why_although_the_gradebook_is_gone(course, grade, monkeypatch):
    grade()

    def gone(*_, **__):
        (course / "gradebook.db").write_bytes(b"this is no database" * 100)
        raise CourseError("the server went away", "Go on with --resume.")

    monkeypatch.setattr(batch, "grade", gone)
    status, said = grade()
    assert status != 0
    assert "Go on with --resume." in said


def test_a_broken_gradebook_is_named(course, grade):
    (course / "gradebook.db").write_bytes(b"this is no database" * 100)
    status, said = grade()
    assert status != 0
    assert "is not a gradebook of this nbgrader" in said
    assert "sqlalche.me" not in said


def test_nothing_to_resume_is_told_apart_from_a_finished_run(grade):
    assert "no run was begun yet" in grade("--resume")[1]
    grade()
    assert "the last run was finished" in grade("--resume")[1]
