"""Feedback pages for what a run graded, made by nbgrader, and their way back to the learners."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from syslab.course import nbgrader_apps
from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError

if TYPE_CHECKING:
    from syslab.grading.batch import Row


def make(assignment: Assignment, rows: Sequence[Row], workers: int | None = None) -> list[str]:
    """Make the page of every newly graded submission and return it to its learner.

    A submission that a person should look at first keeps its page here: run
    ``nbgrader release_feedback`` once its points are settled. Pages are only read from the
    gradebook, so several processes make them.

    Returns
    -------
    What could not be made, a sentence each.
    """
    graded = [(row.student, row.flagged) for row in rows if row.state == "graded"]
    workers = min(workers or os.cpu_count() or 1, len(graded))
    one = partial(_page, assignment)
    if workers <= 1:
        said = list(map(one, graded))
    else:
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            said = list(pool.map(one, graded))
    return [problem for problem in said if problem]


def _page(assignment: Assignment, of: tuple[str, bool]) -> str:
    """Make one page, and return it unless it is to be looked at; what went wrong, or nothing."""
    student, flagged = of
    config = nbgrader_apps.configuration(assignment.root)
    # What came by another way than the exchange has no time stamp and nowhere to go back to; its
    # page stays in feedback/.
    handed_in = assignment.root / "submitted" / student / assignment.name / "timestamp.txt"
    try:
        nbgrader_apps.step(
            "converters.GenerateFeedback", config, assignment.name, student, force=True
        )
        if handed_in.is_file() and not flagged:
            nbgrader_apps.step("exchange.ReleaseFeedback", config, assignment.name, student)
    except CourseError as error:
        return f"{student}: {error.message}"
    return ""
