"""Grade what a class handed in: collect, autograde, feedback, all through nbgrader.

Submissions run with the rights of whoever runs this. One that fails does not hold up the rest.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from syslab.course import nbgrader_apps
from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError


@dataclass(frozen=True)
class Row:
    """One student: points so far, whether a person still has to mark, and what went wrong."""

    student: str
    submitted: datetime | None
    points: float
    max_points: float
    needs_human: bool
    problem: str = ""


def grade(assignment: Assignment, student: str = "*") -> list[Row]:
    """Collect, autograde and give feedback; one row per student with a submission.

    Parameters
    ----------
    assignment
        What to grade.
    student
        A student id, or ``*`` for everybody.
    """
    config = nbgrader_apps.configuration(assignment.root)
    record_tests(assignment, config)
    nbgrader_apps.step("exchange.Collect", config, assignment.name, student, update=True)
    rows = []
    for name in _students(assignment, student):
        problem = _grade_one(assignment, config, name)
        rows.append(_row(assignment, config, name, problem))
    return rows


def record_tests(assignment: Assignment, config: Any) -> None:
    """Write the assignment's tests into the gradebook; ``release/`` is not touched.

    Raises
    ------
    CourseError
        When graded cells were added or removed after submissions were graded.
    """
    with tempfile.TemporaryDirectory(prefix="syslab-release-") as place:
        apart = config.copy()
        apart.CourseDirectory.release_directory = str(Path(place).resolve())
        nbgrader_apps.step("converters.GenerateAssignment", apart, assignment.name, force=True)


def _students(assignment: Assignment, student: str) -> list[str]:
    submitted = assignment.root / "submitted"
    return sorted(p.parent.name for p in submitted.glob(f"{student}/{assignment.name}"))


def _grade_one(assignment: Assignment, config: Any, student: str) -> str:
    """Grade one submission that is new or newer than its grade; return what went wrong."""
    name = assignment.name
    try:
        nbgrader_apps.step("converters.Autograde", config, name, student)
        nbgrader_apps.step("converters.GenerateFeedback", config, name, student, force=True)
        # What came by another way than the exchange has no time stamp and nowhere to go back to;
        # its page stays in feedback/.
        if (assignment.root / "submitted" / student / name / "timestamp.txt").is_file():
            nbgrader_apps.step("exchange.ReleaseFeedback", config, name, student)
    except CourseError as error:
        return error.message
    return ""


def _row(assignment: Assignment, config: Any, student: str, problem: str) -> Row:
    from nbgrader.api import Gradebook, MissingEntry

    directory = config.CourseDirectory
    with Gradebook(directory.db_url, directory.course_id) as gradebook:
        try:
            found = gradebook.find_submission(assignment.name, student)
        except MissingEntry:
            return Row(student, None, 0.0, assignment.points, False, problem or "not graded")
        return Row(
            student,
            found.timestamp,
            found.score,
            found.max_score,
            bool(found.needs_manual_grade),
            problem,
        )
