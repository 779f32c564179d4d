"""CSV for Canvas and Moodle, read back by the rules of their importers."""

import csv
import io
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures" / "class_book"))
import class_book as book_of

from syslab import cli
from syslab.course.errors import CourseError
from syslab.grading import book, lms, sheets

FULL = dict(book_of.CELLS)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = book_of.course(tmp_path_factory.mktemp("lms") / "course")
    with book_of.opened(root) as gradebook:
        book_of.generate(gradebook, "arch-02")
        book_of.generate(gradebook, "mod-605")
        gradebook.add_student(
            "ada", first_name="Ada", last_name="Lovelace", email="a@x.org", lms_user_id="4711"
        )
        gradebook.add_student("12abc", first_name="Zoë, the 2nd", last_name='O"Neil')
        gradebook.add_student("=cmd|'/c calc'!A1", first_name="@SUM(1)", last_name="+1")
        book_of.hand_in(gradebook, "ada", FULL, "arch-02", memo=3.25)
        book_of.hand_in(gradebook, "ada", FULL, "mod-605")  # its memo awaits a mark
        book_of.hand_in(gradebook, "12abc", {**FULL, "test-level1": 0.5}, "arch-02", memo=1.0)
        late = gradebook.find_submission_notebook("arch-02", "arch-02", "12abc")
        late.late_submission_penalty = 0.35
        gradebook.db.commit()
    return root


@pytest.fixture
def course(made, tmp_path, monkeypatch):
    root = book_of.copy(made, tmp_path / "course")
    monkeypatch.setenv("SYSLAB_ROOT", str(root))
    return root


def export(root, system, names=None, **more):
    with book.reading(root) as gradebook:
        return lms.export(gradebook, system, names, **more)


def table(made):
    return list(csv.reader(io.StringIO(made.text)))


def test_canvas_gets_the_rows_its_importer_asks_for(course):
    """From lib/gradebook_importer.rb: what it looks at, in its order."""
    header, points, *rows = table(export(course, "canvas"))
    assert len(header) > 3
    assert "Student" in header[0]
    assert "ID" in header[1]
    assert re.search(r"SIS\s+User\s+ID", header[2])
    assert re.search(r"SIS\s+Login\s+ID", header[3])
    assert "Section" in header[4]  # the last column about the student
    assert header[5:] == ["arch-02", "mod-605"]
    assert "Points Possible" in points[0]
    assert points[5:] == ["8", "8"]
    by_login = {r[3]: r for r in rows}
    assert by_login["ada"][0] == "Lovelace, Ada"
    assert by_login["ada"][1] == "4711"
    assert by_login["ada"][5:] == ["7.25", ""]
    assert all(len(row) == len(header) for row in rows)


def test_canvas_never_reads_an_id_of_ours_as_one_of_its_own(course):
    """Canvas reads ID as a number: 12abc would be its user 12."""
    rows = table(export(course, "canvas"))[2:]
    assert {r[3]: r[1] for r in rows}["12abc"] == ""


def test_moodle_gets_one_identifying_column_and_a_dash_for_no_grade(course):
    header, *rows = table(export(course, "moodle"))
    assert header == [
        "Username", "First name", "Last name", "Email address", "arch-02", "mod-605",
    ]  # fmt: skip
    found = {r[0]: r[1:] for r in rows}
    assert found["ada"] == ["Ada", "Lovelace", "a@x.org", "7.25", "-"]
    assert found["12abc"][:2] == ["Zoë, the 2nd", 'O"Neil']


def test_points_are_nets_of_the_late_penalty_and_never_below_zero(course):
    assert {r[0]: r[4] for r in table(export(course, "moodle"))}["12abc"] == "3.15"
    with book_of.opened(course) as gradebook:
        late = gradebook.find_submission_notebook("arch-02", "arch-02", "12abc")
        late.late_submission_penalty = 99.0
        gradebook.db.commit()
    assert {r[0]: r[4] for r in table(export(course, "moodle"))}["12abc"] == "0"


def test_an_unmarked_grade_is_left_out_and_named_unless_asked_for(course):
    made = export(course, "canvas")
    assert made.awaiting == ("ada mod-605",)
    assert made.grades == 2
    made = export(course, "canvas", provisional=True)
    assert {r[3]: r[6] for r in table(made)[2:]}["ada"] == "4"
    assert made.grades == 3


@pytest.mark.parametrize("system", lms.SYSTEMS)
def test_no_cell_runs_as_a_formula(course, system):
    made = export(course, system)
    for row in table(made):
        for cell in row:
            assert cell == "-" or not cell.startswith(("=", "+", "-", "@", "\t", "\r")), cell
    assert made.guarded == ("=cmd|'/c calc'!A1",)
    assert "'=cmd" in made.text


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r\n=1", "  =1", "＝1"])
def test_a_formula_is_disarmed_wherever_it_begins(text):
    assert sheets.cell(text).startswith("'")


def test_numbers_stay_numbers():
    assert [sheets.cell(v) for v in (-1.5, 0.0, -0.0, 1e-9, 12345.67891, 3, True, None)] == [
        "-1.5", "0", "0", "0", "12345.6789", "3", "yes", "",
    ]  # fmt: skip


def test_queries_do_not_grow_with_the_class(course):
    with book_of.opened(course) as gradebook:
        _, few = book_of.counted(gradebook, lambda: lms.export(gradebook, "canvas"))
        for n in range(15):
            book_of.hand_in(gradebook, f"x{n}", FULL)
        _, more = book_of.counted(gradebook, lambda: lms.export(gradebook, "canvas"))
    assert few == more <= 7


def test_command_writes_and_says_what_it_left_out(course, tmp_path, capsys):
    file = tmp_path / "grades.csv"
    assert cli.main(["export", "all", "--lms", "canvas", "--out", str(file)]) == 0
    told = capsys.readouterr()
    assert "2 grades of 3 students" in told.out
    assert "1 grade still awaiting a human's mark: left out (ada mod-605)" in told.err
    assert "apostrophe" in told.err
    assert file.read_text(encoding="utf-8").endswith("\n")
    assert cli.main(["export", "arch-02", "--lms", "moodle"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("Username,")
    assert "mod-605" not in told.out + told.err


def test_command_says_what_to_do(course, tmp_path, monkeypatch, capsys):
    def fails(*words):
        assert cli.main(["export", *words]) == 2
        return capsys.readouterr().err

    assert "did you mean" in fails("arch-2", "--lms", "canvas")
    assert "generate_assignment arch-08" in fails("arch-08", "--lms", "canvas")
    assert "--lms" in fails("all")
    other = book_of.course(tmp_path / "other")
    monkeypatch.setenv("SYSLAB_ROOT", str(other))
    assert "there is no gradebook" in fails("all", "--lms", "moodle")
    with book_of.opened(other):
        pass
    assert "0 assignments and 0 students" in fails("all", "--lms", "moodle")


def test_unknown_system(course):
    with pytest.raises(CourseError, match="canvas, moodle"):
        export(course, "blackboard")
