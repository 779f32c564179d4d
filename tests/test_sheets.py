"""Tables on disk: nothing else is overwritten by one."""

import pytest

from syslab.course.errors import CourseError
from syslab.grading import sheets

TABLE = sheets.table(["student", "points"], [["ada", 3]])


def test_a_table_replaces_an_older_one_of_its_kind(tmp_path):
    place = tmp_path / "points.csv"
    sheets.write(place, sheets.table(["student", "points"], [["bob", 1], ["cyd", 2]]))
    sheets.write(place, TABLE)
    assert place.read_text(encoding="utf-8") == TABLE + "\n"


@pytest.mark.parametrize(
    ("name", "there", "text"),
    [
        ("class.csv", b"id,first_name\nada,Ada\n", TABLE),
        ("class.csv", b"\xff\xfe i d", TABLE),
        ("grades.json", b'{\n "students": []\n}\n', '{\n "schema": "syslab-transcript-1"\n}'),
    ],
)
def test_a_file_of_another_kind_is_left_alone(tmp_path, name, there, text):
    place = tmp_path / name
    place.write_bytes(there)
    with pytest.raises(CourseError, match="holds something else"):
        sheets.write(place, text)
    assert place.read_bytes() == there


def test_an_empty_file_and_a_page_may_be_written_over(tmp_path):
    for name in ("new.csv", "page.html"):
        (tmp_path / name).write_text("" if name.endswith("csv") else "<p>older</p>")
        sheets.write(tmp_path / name, TABLE)
        assert (tmp_path / name).read_text(encoding="utf-8").startswith("student")
