"""Feedback pages for what a run graded, made by nbgrader, and their way back to the learners."""

from __future__ import annotations

import html
import multiprocessing
import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from syslab.course import nbgrader_apps
from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError
from syslab.grading import untrusted_files
from syslab.grading.intake import Refused

if TYPE_CHECKING:
    from syslab.grading.batch import Row

SECRET = "submission_secret.txt"  # nbgrader's name of what opens a page for its learner alone
NOTE_BYTES, ENTRIES, DEPTH = 1000, 1000, 1


def make(assignment: Assignment, rows: Sequence[Row], workers: int | None = None) -> list[str]:
    """Make the page of every newly graded submission and return it to its learner.

    So is one that an earlier run was to make and did not: it was killed, or told to leave them.

    A submission that a person should look at first keeps its page here: run
    ``nbgrader release_feedback`` once its points are settled. Pages are only read from the
    gradebook, so several processes make them.

    A submission that was refused gets a page of its verdict: its learner learns how to hand in
    again.

    Returns
    -------
    What could not be made, a sentence each.
    """
    refused = [_told(assignment, row) for row in rows if row.state == "refused"]
    graded = [(row.student, row.flagged) for row in rows if _is_due(assignment, row)]
    workers = min(workers or os.cpu_count() or 1, len(graded))
    one = partial(_page, assignment)
    if workers <= 1:
        said = list(map(one, graded))
    else:
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            said = list(pool.map(one, graded))
    return [problem for problem in [*refused, *said] if problem]


def _is_due(assignment: Assignment, row: Row) -> bool:
    """Whether a submission was graded since its page was made."""
    if row.state != "unchanged":
        return row.state == "graded"
    where = (row.student, assignment.name)
    graded = (assignment.root / "autograded").joinpath(*where)
    for notebook in graded.glob("*.ipynb"):
        page = (assignment.root / "feedback").joinpath(*where, f"{notebook.stem}.html")
        if not page.is_file() or page.stat().st_mtime < notebook.stat().st_mtime:
            return True
    return False


def _page(assignment: Assignment, of: tuple[str, bool]) -> str:
    """Make one page, and return it unless it is to be looked at; what went wrong, or nothing."""
    student, flagged = of
    config = nbgrader_apps.configuration(assignment.root)
    try:
        nbgrader_apps.step(
            "converters.GenerateFeedback", config, assignment.name, student, force=True
        )
        if not flagged:
            _return(assignment, config, student)
    except CourseError as error:
        return f"{student}: {error.message}"
    return ""


def _return(assignment: Assignment, config: Any, student: str) -> None:
    """Put the page where its learner fetches it.

    What came by another way than the exchange has no secret and nowhere to go back to; its page
    stays in ``feedback/``.
    """
    if (assignment.root / "feedback" / student / assignment.name / SECRET).is_file():
        nbgrader_apps.step("exchange.ReleaseFeedback", config, assignment.name, student)


def _told(assignment: Assignment, row: Row) -> str:
    """Make and return the page of a refused submission; what went wrong, or nothing."""
    from syslab.grading.intake import TIMESTAMP

    handed_in = assignment.root / "submitted" / row.student / assignment.name
    folder = assignment.root / "feedback" / row.student / assignment.name
    said = "".join(f"<p>{html.escape(verdict.message)}</p>\n" for verdict in row.verdicts)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with untrusted_files.opened(handed_in, (SECRET, TIMESTAMP), ENTRIES, DEPTH) as files:
            for name in (SECRET, TIMESTAMP):
                if name in files.entries and not files.entries[name].fault:
                    (folder / name).write_bytes(files.read(name, NOTE_BYTES)[:NOTE_BYTES])
        for notebook in sorted(assignment.source.glob("*.ipynb")):
            page = _REFUSED.format(
                name=html.escape(notebook.stem),
                who=html.escape(row.student),
                when=f", handed in {row.submitted:%Y-%m-%d %H:%M} UTC" if row.submitted else "",
                said=said,
                assignment=html.escape(assignment.name),
            )
            (folder / f"{notebook.stem}.html").write_text(page, encoding="utf-8")
        _return(assignment, nbgrader_apps.configuration(assignment.root), row.student)
    except (CourseError, Refused, OSError) as error:
        return f"{row.student}: {getattr(error, 'message', error)}"
    return ""


_REFUSED = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{name}</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 40em; margin: 2em auto; padding: 0 1em }}
</style>
</head><body><h1>{name}: not graded</h1>
<p>{who}{when}</p>
{said}<p>No points were lost yet: what you handed in before, if anything, still counts. When it is
mended, hand it in again: <code>syslab submit {assignment}</code> in a terminal, or
<em>Nbgrader → Assignment List</em> in JupyterLab.</p>
</body></html>
"""
