"""The points of a part are the same wherever they stand: manifest, notebooks, gradebook, README."""

import re
from pathlib import Path

import nbformat
import pytest

from syslab.course import assignments, manifest
from syslab.grading import rubric
from syslab.grading.workshop import workshop

ROOT = Path(__file__).resolve().parent.parent
COURSE = manifest.load(ROOT / "course.toml", check_folders=False)


def in_readme(part):
    """Points that the README gives to a module of either track, or to a part of the portfolio."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([^|]+?) \| (\d+) \| \d+ of \d+ \|$", text, re.M))
    if part in COURSE.portfolio:
        return float(rows[part.title])
    if part.track != manifest.SCORED_TRACK:  # named in the condition of the certificate
        (points,) = re.findall(rf"every {part.track} module at \d+ of (\d+)", text)
        return float(points)
    ((title, points),) = [row for row in rows.items() if row[0].endswith("module assessments")]
    return float(points) / int(title.split()[0])


def marked(path):
    """Points that the graded cells of a folder's notebooks carry: (by machine, by a person)."""
    points = {False: 0.0, True: 0.0}
    for file in path.glob("*.ipynb"):
        for cell in nbformat.read(file, as_version=4).cells:
            marks = cell.metadata.get("nbgrader", {})
            if marks.get("grade"):
                points[marks["solution"]] += marks["points"]
    return points[False], points[True]


@pytest.fixture(scope="module", params=COURSE.ready_parts, ids=lambda part: part.id)
def part(request):
    return request.param


def test_manifest_notebooks_rubric_and_readme_agree(part):
    machine, person = marked(ROOT / "source" / part.id)
    assert machine + person == part.points
    assert marked(ROOT / "release" / part.id) == (machine, person), "run `syslab release`"
    assert in_readme(part) == part.points
    read = rubric.load(ROOT / "source" / part.id / rubric.RUBRIC)
    assert sum(read.points(cell) for cell in read.cells) == person


@pytest.mark.slow
def test_the_gradebook_gives_the_same_points(part):
    from nbgrader.api import Gradebook

    with workshop(assignments.find(part.id, ROOT)) as bench:
        bench.generate()
        directory = bench.config.CourseDirectory
        with Gradebook(directory.db_url, directory.course_id) as book:
            found = book.find_assignment(part.id)
            assert found.max_score == part.points
            assert (found.max_code_score, found.max_written_score) == marked(
                ROOT / "source" / part.id
            )
