"""Item analysis: numbers against scipy, hand computation and the textbook's closed formula."""

import csv
import io
import json
import math
import shutil
import statistics
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures" / "class_book"))
import class_book as book_of

from syslab import cli
from syslab.course import assignments, nbgrader_apps
from syslab.course.errors import CourseError
from syslab.grading import book, items

# Twelve students: level1 separates well, ridge is turned around, drill is given away.
LEVEL1 = [2, 2, 2, 2, 1.5, 1.5, 1, 1, 0.5, 0, 0, 0]
RIDGE = [0, 0, 0, 0, 0, 1, 0, 1, 1, 1, 1, 1]
DRILL = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.5]
MEMOS = [4, 4, 3, 4, 3, 2, 2, 2, 1, 1, 0, 1]


def names():
    return [f"s{n:02d}" for n in range(len(LEVEL1))]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = book_of.course(tmp_path_factory.mktemp("items") / "course")
    with book_of.opened(root) as gradebook:
        book_of.generate(gradebook)
        for n, student in enumerate(names()):
            points = {"test-level1": LEVEL1[n], "test-ridge": RIDGE[n], "test-drill": DRILL[n]}
            left = {"level1"} if LEVEL1[n] == 0 else set()
            book_of.hand_in(gradebook, student, points, memo=MEMOS[n], left=left)
    return root


@pytest.fixture
def course(made, tmp_path, monkeypatch):
    root = book_of.copy(made, tmp_path / "course")
    monkeypatch.setenv("SYSLAB_ROOT", str(root))
    return root


def analyse(root):
    with book.reading(root) as gradebook:
        return items.analyse(gradebook, assignments.find("arch-02", root))


def by_exercise(analysis):
    return {i.exercise: i for i in analysis.items}


# ------------------------------------------------------------------------------------ numbers


def test_difficulty_is_the_mean_share_and_shares_are_of_the_marked(course):
    found = by_exercise(analyse(course))
    level1 = found["level1"]
    assert level1.n == 12
    assert level1.difficulty == pytest.approx(13.5 / 24)
    assert (level1.full, level1.zero) == (pytest.approx(4 / 12), pytest.approx(3 / 12))
    assert level1.unanswered == pytest.approx(3 / 12)
    assert found["ridge"].unanswered == 0
    assert found["drill"].difficulty == pytest.approx(11.5 / 12)


def test_discrimination_agrees_with_scipy_on_the_rest_score(course):
    from scipy import stats

    found = by_exercise(analyse(course))
    columns = {"level1": LEVEL1, "ridge": RIDGE, "drill": DRILL, "memo": MEMOS}
    for name, mine in columns.items():
        rest = [sum(c[n] for k, c in columns.items() if k != name) for n in range(12)]
        expected = stats.pearsonr(mine, rest)
        assert found[name].discrimination == pytest.approx(expected.statistic)
        between = expected.confidence_interval(0.95)
        assert found[name].interval == pytest.approx((between.low, between.high))
    point_biserial = stats.pointbiserialr(
        [bool(p) for p in RIDGE], [LEVEL1[n] + DRILL[n] + MEMOS[n] for n in range(12)]
    )
    assert found["ridge"].discrimination == pytest.approx(point_biserial.statistic)


def test_discrimination_agrees_with_the_closed_correction_for_overlap(course):
    """Henrysson (1963): from the item-total correlation, without any rest score."""
    found = by_exercise(analyse(course))
    total = [sum(p) for p in zip(LEVEL1, RIDGE, DRILL, MEMOS, strict=True)]
    for name, mine in (("level1", LEVEL1), ("ridge", RIDGE), ("memo", MEMOS)):
        r = statistics.correlation(mine, total)
        s_i, s_t = statistics.stdev(mine), statistics.stdev(total)
        corrected = (r * s_t - s_i) / math.sqrt(s_t**2 + s_i**2 - 2 * r * s_i * s_t)
        assert found[name].discrimination == pytest.approx(corrected)


def test_by_hand_four_students():
    """Item 0 0 1 1, rest 1 2 3 4: Sxy = 2, Sxx = 1, Syy = 5, so r = 2 / sqrt(1 × 5)."""
    grades = [
        book.Grade(f"s{n}", "nb", cell, 4.0, points, None, None, False)
        for n, pair in enumerate([(0, 1), (0, 2), (1, 3), (1, 4)])
        for cell, points in zip(("a", "b"), map(float, pair), strict=True)
    ]
    a, b = items.measure(grades)
    assert a.discrimination == pytest.approx(2 / math.sqrt(5))
    assert b.discrimination == pytest.approx(2 / math.sqrt(5))
    assert a.difficulty == pytest.approx(0.125)


def test_flags_are_raised_for_what_they_name_and_not_in_a_small_group(course):
    found = by_exercise(analyse(course))
    assert found["ridge"].flags == ("negative discrimination",)
    assert found["drill"].flags == ("too easy",)
    assert found["level1"].flags == ()
    assert items.flags(10, 0.2, 0.5) == ("too hard",)
    assert items.flags(9, 0.2, -0.5) == ()
    assert items.flags(10, 0.21, None) == ()


def test_a_cell_where_everybody_is_equal_has_no_discrimination():
    grades = [
        book.Grade(f"s{n}", "nb", cell, 1.0, points, None, None, False)
        for n in range(12)
        for cell, points in (("same", 1.0), ("other", float(n % 2)))
    ]
    same, other = items.measure(grades)
    assert same.discrimination is None
    assert same.interval is None
    assert other.discrimination is None  # its rest does not vary
    assert "negative discrimination" not in same.flags + other.flags


def test_marks_that_are_not_there_yet_count_neither_as_zero_nor_in_a_rest(course):
    with book_of.opened(course) as gradebook:
        for student in names()[:5]:
            grade = gradebook.find_grade("memo", "arch-02", "arch-02", student)
            grade.manual_score, grade.needs_manual_grade = None, True
        gradebook.db.commit()
    found = by_exercise(analyse(course))
    assert (found["memo"].n, found["memo"].awaiting) == (7, 5)
    assert found["memo"].difficulty == pytest.approx(sum(MEMOS[5:]) / 28)
    rest = [LEVEL1[n] + DRILL[n] for n in range(12)]  # without the memo
    assert found["ridge"].discrimination == pytest.approx(statistics.correlation(RIDGE, rest))
    seven = [LEVEL1[n] + RIDGE[n] + DRILL[n] for n in range(5, 12)]
    assert found["memo"].discrimination == pytest.approx(statistics.correlation(MEMOS[5:], seven))


# --------------------------------------------------------------------------------- notebooks


def test_the_most_failed_check_is_told_and_a_hidden_one_by_its_reason_alone(course):
    recovery = "FAIL  by hand: the recovery cycles are missing\n"
    for student in names()[4:8]:
        book_of.autograded(course, student, {"test-level1": recovery + "PASS  four keys\n"})
    book_of.autograded(course, "s08", {"test-level1": "FAIL  four keys: 3 found\n" + recovery})
    secret = "FAIL (hidden)  a wider machine of 400 slots: bandwidth over peak\n"
    for student in names()[:3]:
        book_of.autograded(course, student, {"test-ridge": secret})
    found = by_exercise(analyse(course))
    assert found["level1"].wrong.text == "by hand: the recovery cycles are missing"
    assert (found["level1"].wrong.count, found["level1"].wrong.hidden) == (5, False)
    assert found["ridge"].wrong == items.Wrong("bandwidth over peak", 3, True)
    report = items.to_text(analyse(course)) + items.to_csv(analyse(course))
    assert "400 slots" not in report


def test_no_name_of_a_hidden_check_gets_out_also_where_it_holds_a_colon(course):
    label = "simulated: work 465, save 120"
    reference = book_of.autograded(course, "ref", {"test-ridge": f"PASS (hidden)  {label}\n"})
    (course / "source" / "arch-02").mkdir(parents=True)
    shutil.copy(reference, course / "source" / "arch-02" / "arch-02.ipynb")
    for student, more in (("s00", ""), ("s01", ""), ("s02", ", restart 9")):
        said = f"FAIL (hidden)  {label}{more}: got 3: too small\n"
        book_of.autograded(course, student, {"test-ridge": said})
    wrong = by_exercise(analyse(course))["ridge"].wrong
    assert wrong == items.Wrong("got 3: too small", 2, True)
    assert items.split("never: seen 4: got 3: too small", ()) == ("never", "too small")
    assert items.split("bare", ()) == ("bare", "fails")
    assert items.split("a: b", {"a", "a: b"}) == ("a: b", "fails")


def test_answers_that_were_not_given_are_not_wrong_answers(course):
    line = "FAIL  level1 is defined: not written yet\n"
    for student in names():
        book_of.autograded(course, student, {"test-level1": line}, left={"level1"})
    assert by_exercise(analyse(course))["level1"].wrong is None


def test_reasons_of_one_check_are_counted_together_whatever_numbers_they_quote(course):
    for n, student in enumerate(names()[:6]):
        said = f"FAIL  a six-wide core: got {n if n < 4 else 0}\n"
        book_of.autograded(course, student, {"test-level1": said})
    book_of.autograded(course, "s07", {"test-level1": ValueError("boom")})
    wrong = by_exercise(analyse(course))["level1"].wrong
    assert wrong == items.Wrong("a six-wide core: got 0", 6)


def test_a_cell_that_stopped_is_told_by_its_error(course):
    for student, message in (("s01", "one"), ("s02", "two"), ("s03", "one")):
        book_of.autograded(course, student, {"test-ridge": KeyError(message)})
    wrong = by_exercise(analyse(course))["ridge"].wrong
    assert (wrong.text, wrong.count) == ("stopped with KeyError: 'one'", 3)


def test_run_time_is_the_median_where_the_clock_was_recorded(course):
    for n, student in enumerate(names()[:3]):
        clock = {
            "iopub.execute_input": "2026-11-01T12:00:00.000000+00:00",
            "shell.execute_reply": f"2026-11-01T12:00:0{n + 1}.500000+00:00",
        }
        book_of.autograded(course, student, {"test-drill": "PASS  x\n"}, execution=clock)
    found = by_exercise(analyse(course))
    assert found["drill"].run_s == pytest.approx(2.5)
    assert found["ridge"].run_s is None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"cells": 3}', '{"cells": [{"a": 1}]}'])
def test_damaged_notebooks_are_named_and_do_not_stop_the_report(course, damage):
    path = book_of.autograded(course, "s00", {"test-ridge": "FAIL  x: y\n"})
    path.write_text(damage)
    book_of.autograded(course, "s01", {"test-ridge": "FAIL  x: y\n"})
    analysis = analyse(course)
    assert "s00" in analysis.unread
    assert "s01" not in analysis.unread
    assert by_exercise(analysis)["ridge"].wrong.count == 1


def test_an_id_that_leads_out_of_the_folder_is_not_followed(course, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    seen, unread = items.read(
        course / "autograded", _found(course), ["../elsewhere", ".."], ["arch-02"]
    )
    assert not seen
    assert unread == ["../elsewhere", ".."]


def test_text_from_a_submission_cannot_steer_the_terminal_or_a_spreadsheet(course):
    for student in names()[:3]:
        book_of.autograded(course, student, {"test-ridge": "FAIL  =HYPERLINK(1)\x1b[2J: x\x07\n"})
    analysis = analyse(course)
    assert "\x1b" not in items.to_text(analysis)
    assert "\x07" not in items.to_text(analysis)
    rows = list(csv.DictReader(io.StringIO(items.to_csv(analysis))))
    shown = next(r for r in rows if r["exercise"] == "ridge")["most_failed_check"]
    assert shown.startswith("'=HYPERLINK")


def test_order_and_minutes_are_those_of_the_released_notebook(course):
    cells = []
    for name, allowed in (("ridge", 8), ("drill", 10), ("level1", 1)):
        card = f"Difficulty 1/5 · Importance 1/5 · at most {allowed} minutes · 1 point"
        cells.append({"cell_type": "markdown", "metadata": {}, "source": card})
        mark = {"grade_id": f"test-{name}", "grade": True}
        cells.append({"cell_type": "code", "metadata": {"nbgrader": mark}, "source": ""})
    folder = course / "release" / "arch-02"
    folder.mkdir(parents=True)
    (folder / "arch-02.ipynb").write_text(json.dumps({"cells": cells}))
    found = analyse(course).items
    assert [i.exercise for i in found] == ["ridge", "drill", "level1", "memo"]
    assert [i.minutes for i in found] == [8, 10, 1, None]


# ----------------------------------------------------------------------------------- database


def test_the_number_of_queries_does_not_grow_with_the_class(course):
    with book_of.opened(course) as gradebook:
        _, few = book_of.counted(gradebook, lambda: items.analyse(gradebook, _found(course)))
        for n in range(20):
            book_of.hand_in(gradebook, f"x{n}", {"test-ridge": 1.0})
        _, more = book_of.counted(gradebook, lambda: items.analyse(gradebook, _found(course)))
    assert few == more <= 5


def _found(course):
    return assignments.find("arch-02", course)


def test_reading_leaves_the_gradebook_as_it_was(course):
    before = (course / "gradebook.db").read_bytes()
    analyse(course)
    assert (course / "gradebook.db").read_bytes() == before


# ------------------------------------------------------------------------------- command line


def test_command_prints_the_table_and_writes_csv(course, tmp_path, capsys):
    assert cli.main(["items", "arch-02"]) == 0
    shown = capsys.readouterr().out
    assert "level1" in shown
    assert "56%" in shown
    assert "negative discrimination" in shown
    assert cli.main(["items", "arch-02", "--csv", str(tmp_path / "items.csv")]) == 0
    rows = list(csv.DictReader((tmp_path / "items.csv").open()))
    assert [r["exercise"] for r in rows] == ["memo", "drill", "level1", "ridge"]
    assert float(rows[2]["difficulty"]) == pytest.approx(13.5 / 24, abs=1e-4)
    assert rows[0]["marked_by"] == "hand"


def test_no_gradebook_is_said_and_none_is_made(tmp_path, monkeypatch, capsys):
    root = book_of.course(tmp_path / "course")
    monkeypatch.setenv("SYSLAB_ROOT", str(root))
    assert cli.main(["items", "arch-02"]) == 2
    said = capsys.readouterr().err
    assert "there is no gradebook" in said
    assert "generate_assignment" in said
    assert not (root / "gradebook.db").exists()


def test_empty_gradebook_and_unreleased_assignment_say_what_to_do(tmp_path, monkeypatch, capsys):
    root = book_of.course(tmp_path / "course")
    monkeypatch.setenv("SYSLAB_ROOT", str(root))
    (root / "gradebook.db").touch()
    assert cli.main(["items", "arch-02"]) == 2
    assert "holds no gradebook yet" in capsys.readouterr().err
    (root / "gradebook.db").unlink()
    with book_of.opened(root) as gradebook:
        book_of.generate(gradebook, "arch-05")
    assert cli.main(["items", "arch-02"]) == 2
    assert "generate_assignment arch-02" in capsys.readouterr().err
    assert cli.main(["items", "arch-05"]) == 2
    assert "syslab grade arch-05" in capsys.readouterr().err


def test_a_file_that_is_no_database_is_said(tmp_path, monkeypatch, capsys):
    root = book_of.course(tmp_path / "course")
    monkeypatch.setenv("SYSLAB_ROOT", str(root))
    (root / "gradebook.db").write_text("not a database, but long enough to have been one" * 9)
    assert cli.main(["items", "arch-02"]) == 2
    assert "is not a gradebook" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url", ["postgresql://grader:sesame@127.0.0.1:1/none", "mysqlx://grader:sesame@h/n"]
)
def test_a_database_that_cannot_be_reached_is_said_without_its_password(tmp_path, url):
    root = book_of.course(tmp_path / "course")
    with pytest.raises(CourseError) as caught, book.reading(root, url):
        pass
    assert "sesame" not in str(caught.value)
    assert "://grader:***@" in str(caught.value)


def test_nonsense_for_a_database_is_said(tmp_path):
    with pytest.raises(CourseError, match="is no database URL"), book.reading(tmp_path, "grades"):
        pass


# ------------------------------------------------------------------------- through nbgrader


def test_what_nbgrader_itself_leaves_behind_is_read(tmp_path, monkeypatch):
    """Three submissions, graded by nbgrader: one right, one wrong, one that answers nothing."""
    sys.path.insert(0, str(Path(__file__).parent / "fixtures" / "mini_course"))
    import mini_course as mini

    root = mini.build_released(tmp_path / "course")
    monkeypatch.setenv("SYSLAB_ROOT", str(root))
    assignment = assignments.find(mini.NAME, root)
    config = nbgrader_apps.configuration(root)
    nbgrader_apps.step("converters.GenerateAssignment", config, mini.NAME, force=True)
    for student, answers in (("right", mini.RIGHT), ("wrong", mini.WRONG), ("empty", {})):
        folder = root / "submitted" / student / mini.NAME
        shutil.copytree(assignment.release, folder)
        mini.answer(folder / mini.NOTEBOOK, answers, None)
    nbgrader_apps.step("converters.Autograde", config, mini.NAME)
    analysis = analyse(root)
    found = by_exercise(analysis)
    ridge = found["ridge"]
    assert (ridge.n, ridge.unanswered) == (3, pytest.approx(1 / 3))
    assert ridge.full == pytest.approx(1 / 3)
    said = "100 FLOP/s over 10 B/s: that is bandwidth over peak: the ridge is peak over bandwidth"
    assert ridge.wrong == items.Wrong(said, 1)
    assert "you forgot the compute ceiling" in found["attainable"].wrong.text
    assert found["memo"].unanswered == 1.0  # nbgrader scores an untouched answer 0
    assert not analysis.unread
    assert "secret_bandwidth_of_the_hidden_test" not in items.to_text(analysis)
