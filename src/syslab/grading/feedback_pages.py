"""Feedback pages for what a run graded, made by nbgrader, and their way back to the learners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from syslab.course import nbgrader_apps
from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError

if TYPE_CHECKING:
    from syslab.grading.batch import Row


def make(assignment: Assignment, rows: Sequence[Row]) -> list[str]:
    """Make the page of every newly graded submission and return it to its learner.

    A submission that a person should look at first keeps its page here: run
    ``nbgrader release_feedback`` once its points are settled.

    Returns
    -------
    What could not be made, a sentence each.
    """
    config = nbgrader_apps.configuration(assignment.root)
    problems = []
    for row in rows:
        if row.state != "graded":
            continue
        try:
            nbgrader_apps.step(
                "converters.GenerateFeedback", config, assignment.name, row.student, force=True
            )
            # What came by another way than the exchange has no time stamp and nowhere to go
            # back to; its page stays in feedback/.
            handed_in = assignment.root / "submitted" / row.student / assignment.name
            if (handed_in / "timestamp.txt").is_file() and not row.flagged:
                nbgrader_apps.step("exchange.ReleaseFeedback", config, assignment.name, row.student)
        except CourseError as error:
            problems.append(f"{row.student}: {error.message}")
    return problems
