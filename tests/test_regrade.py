"""A regrade: the snapshot on disk, and a diff that hides no loss of anybody."""

import csv
import io
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures" / "class_book"))
import class_book as book_of

from syslab.course.errors import CourseError
from syslab.grading import book, regrade

FULL = dict(book_of.CELLS)
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = book_of.course(tmp_path_factory.mktemp("regrade") / "course")
    with book_of.opened(root) as gradebook:
        book_of.generate(gradebook)
        book_of.hand_in(gradebook, "ada", FULL, memo=4.0)
        book_of.hand_in(gradebook, "bob", {**FULL, "test-level1": 0.5}, memo=2.0)
        book_of.hand_in(gradebook, "cyd", {**FULL, "test-ridge": 0.0})
        book_of.hand_in(gradebook, "dee", FULL, memo=1.0)
    return root


@pytest.fixture
def course(made, tmp_path):
    return book_of.copy(made, tmp_path / "course")


def taken(root):
    with book.reading(root) as gradebook:
        return regrade.snapshot(gradebook, "arch-02", NOW)


def set_auto(root, student, cell, points):
    with book_of.opened(root) as gradebook:
        gradebook.find_grade(cell, "arch-02", "arch-02", student).auto_score = points
        gradebook.db.commit()


def corrected(root):
    """ridge was wrong for everybody, level1 too generous to ada, and dee's sums stay equal."""
    set_auto(root, "ada", "test-level1", 1.5)
    set_auto(root, "cyd", "test-ridge", 1.0)
    set_auto(root, "bob", "test-level1", 2.0)
    set_auto(root, "dee", "test-ridge", 0.5)
    set_auto(root, "dee", "test-level1", 2.5)
    return root


def test_a_snapshot_survives_the_disk_and_is_what_the_gradebook_says(course):
    before = taken(course)
    file = regrade.save(before, course)
    assert file.is_relative_to(Path(os.environ["SYSLAB_STATE"]) / "regrade")
    assert regrade.load(file) == before
    with book_of.opened(course) as gradebook:
        for student in ("ada", "bob", "cyd", "dee"):
            found = gradebook.find_submission("arch-02", student)
            assert before.total(student) == pytest.approx(found.score)
    assert before.scores["ada"]["arch-02", "memo"] == regrade.Score(4.0, 4.0, True, False)
    assert before.scores["cyd"]["arch-02", "memo"].awaiting


def test_an_older_snapshot_is_never_replaced(course):
    first = regrade.save(taken(course), course)
    set_auto(course, "ada", "test-ridge", 0.0)
    second = regrade.save(taken(course), course)
    assert first != second
    assert regrade.load(first) != regrade.load(second)


def test_nbgraders_own_gradebook_gives_the_same_snapshot(course):
    with book_of.opened(course) as gradebook:
        assert regrade.snapshot(gradebook, "arch-02", NOW) == taken(course)


def test_nothing_changed_is_nothing_to_tell(course):
    found = regrade.diff(taken(course), taken(course))
    assert not found.changes
    assert not found.moved
    assert "Totals: 0 down, 0 up, 4 unchanged" in regrade.to_text(found)


def test_who_changed_on_which_exercise_and_by_how_much(course):
    before = taken(course)
    found = regrade.diff(before, taken(corrected(course)))
    assert [(m.student, m.points) for m in found.moved] == [
        ("ada", -0.5), ("cyd", 1.0), ("bob", 1.5),
    ]  # fmt: skip
    assert {(c.student, c.exercise): c.points for c in found.changes} == {
        ("ada", "level1"): -0.5,
        ("bob", "level1"): 1.5,
        ("cyd", "ridge"): 1.0,
        ("dee", "level1"): 0.5,
        ("dee", "ridge"): -0.5,
    }


def test_losses_come_first_and_one_hidden_in_an_equal_sum_is_told(course):
    before = taken(course)
    found = regrade.diff(before, taken(corrected(course)))
    assert [m.student for m in found.losers] == ["ada"]
    text = regrade.to_text(found)
    assert text.index("LOSE POINTS") < text.index("gain points\n")
    assert "ada" in text
    assert "level1 -0.5" in text
    assert "dee  ridge (-0.5)" in text  # the total of dee is what it was
    rows = list(csv.DictReader(io.StringIO(regrade.to_csv(found))))
    assert [(r["student"], r["what"], r["change"]) for r in rows[:2]] == [
        ("ada", "lost", "-0.5"), ("dee", "lost", "-0.5"),
    ]  # fmt: skip
    assert rows[0]["total_before"] == "8"
    assert rows[0]["total_after"] == "7.5"
    assert rows[1]["total_change"] == "0"


def test_losses_are_told_in_full_and_gains_are_cut_short():
    def of(points):
        cells = {f"s{n:03d}": {("nb", "test-a"): regrade.Score(points(n), 9.0, False, False)}
                 for n in range(200)}  # fmt: skip
        return regrade.Snapshot("arch-02", "x", cells, {})

    text = regrade.to_text(regrade.diff(of(lambda n: 4), of(lambda n: 3 if n % 2 else 5)))
    assert "Totals: 100 down, 100 up, 0 unchanged" in text
    assert all(f"s{n:03d} " in text for n in range(1, 200, 2))
    assert "and 80 more, in the CSV file" in text


def test_a_loss_by_the_late_penalty_alone_is_a_loss(course):
    before = taken(course)
    with book_of.opened(course) as gradebook:
        late = gradebook.find_submission_notebook("arch-02", "arch-02", "ada")
        late.late_submission_penalty = 0.75
        gradebook.db.commit()
    found = regrade.diff(before, taken(course))
    assert [(m.student, m.points) for m in found.losers] == [("ada", -0.75)]
    assert "(-0.75)  late penalty -0.75" in regrade.to_text(found)
    (row,) = csv.DictReader(io.StringIO(regrade.to_csv(found)))
    assert (row["what"], row["total_change"]) == ("late penalty", "-0.75")


def test_exercises_and_students_that_come_or_go(course):
    before = taken(course)
    scores = {s: dict(cells) for s, cells in before.scores.items()}
    del scores["dee"]
    del scores["ada"]["arch-02", "test-drill"]
    scores["ada"]["arch-02", "test-new"] = regrade.Score(0.0, 1.0, False, False)
    scores["new"] = {("arch-02", "test-drill"): regrade.Score(1.0, 1.0, False, False)}
    found = regrade.diff(before, regrade.Snapshot("arch-02", "later", scores, {}))
    assert (found.added, found.gone) == (("new",), ("dee",))
    what = {(c.student, c.exercise): c.what for c in found.changes}
    assert what["ada", "drill"] == "lost"
    assert what["ada", "new"] == "new exercise"
    assert {m.student for m in found.losers} == {"ada", "dee"}
    assert "submissions gone: dee" in regrade.to_text(found)


def test_a_mark_to_be_looked_at_again_is_a_change(course):
    before = taken(course)
    with book_of.opened(course) as gradebook:
        gradebook.find_grade("memo", "arch-02", "arch-02", "ada").needs_manual_grade = True
        gradebook.db.commit()
    (change,) = regrade.diff(before, taken(course)).changes
    assert change.what == "to be marked again"


def test_text_of_a_submission_cannot_steer_terminal_or_sheet(course):
    before = taken(course)
    one = {("arch-02", "test-drill"): regrade.Score(1.0, 1.0, False, False)}
    scores = {**before.scores, "=1\x1b[2J": one}
    found = regrade.diff(before, regrade.Snapshot("arch-02", "later", scores, {}))
    assert "\x1b" not in regrade.to_text(found) + regrade.to_csv(found)
    assert "\n'=1" in regrade.to_csv(found)


def test_what_cannot_be_done_is_said(course, tmp_path):
    said = "generate_assignment arch-05"
    with pytest.raises(CourseError, match=said), book.reading(course) as gradebook:
        regrade.snapshot(gradebook, "arch-05")
    other = regrade.Snapshot("arch-05", "x", {}, {})
    with pytest.raises(CourseError, match="cannot be compared"):
        regrade.diff(other, taken(course))
    for name, text in (("none.json", None), ("bad.json", "{"), ("odd.json", '{"schema": "x"}')):
        if text is not None:
            (tmp_path / name).write_text(text)
        with pytest.raises(CourseError, match="no snapshot of scores"):
            regrade.load(tmp_path / name)
    half = '{"schema": "syslab-scores-1", "assignment": "a", "taken": "t", "scores": {"s": [[1]]}}'
    (tmp_path / "half.json").write_text(half)
    with pytest.raises(CourseError, match="no snapshot of scores"):
        regrade.load(tmp_path / "half.json")


def test_a_disk_that_takes_nothing_stops_before_anything_changes(course, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(regrade, "FOLDER", "../file-in-the-way")
    (Path(os.environ["SYSLAB_STATE"]).parent / "file-in-the-way").write_text("")
    with pytest.raises(CourseError, match="Nothing was changed"):
        regrade.save(taken(course), course)


def test_queries_do_not_grow_with_the_class(course):
    with book_of.opened(course) as gradebook:
        _, few = book_of.counted(gradebook, lambda: regrade.snapshot(gradebook, "arch-02"))
        for n in range(15):
            book_of.hand_in(gradebook, f"x{n}", FULL)
        _, more = book_of.counted(gradebook, lambda: regrade.snapshot(gradebook, "arch-02"))
    assert few == more <= 6
