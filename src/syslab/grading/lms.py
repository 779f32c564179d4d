"""Grades as the CSV that Canvas or Moodle imports.

Canvas (its ``GradebookImporter``): the columns Student, ID, SIS User ID, SIS Login ID and Section,
then one per assignment; the second row says the points possible. Canvas finds a student by ID,
which is its own number and is read as a number, so it stays empty unless the gradebook's
``lms_user_id`` holds one; else by SIS user id, then SIS login id (both get the gradebook's id, as
only you know which of them it is), then by name. An empty cell clears a grade.

Moodle (its ``gradeimport_csv``): any columns; the importer asks which one identifies the user and
which grade item each of the others belongs to. It stops at the first user it does not know.
``-`` is "no grade".

A grade that still awaits a human's mark, or that nobody handed in, is "no grade", never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from syslab.course.errors import CourseError
from syslab.grading import book, sheets

SYSTEMS = ("canvas", "moodle")


@dataclass(frozen=True)
class Export:
    """The file's `text`, how many `grades` are in it, and whom to look after by hand."""

    text: str
    students: int
    grades: int
    awaiting: tuple[str, ...]
    guarded: tuple[str, ...]


def export(
    gradebook: Any, system: str, assignments: Sequence[str] | None = None, provisional: bool = False
) -> Export:
    """The grades of `assignments`, or of all in the gradebook, for `system`.

    Parameters
    ----------
    system
        ``canvas`` or ``moodle``.
    provisional
        Whether grades that still await a human's mark are given with the points so far.

    Raises
    ------
    CourseError
        For an unknown system, an assignment that was never generated, or an empty gradebook.
    """
    if system not in SYSTEMS:
        raise CourseError(f"--lms is {system!r}.", f"It is one of {', '.join(SYSTEMS)}.")
    known = book.works(gradebook)
    for name in assignments or ():
        if name not in known:
            book.work(gradebook, name)  # says what to do
    chosen = list(assignments or known)
    everybody = book.students(gradebook)
    if not chosen or not everybody:
        raise CourseError(
            "there is nothing to export: the gradebook holds "
            f"{len(known)} assignments and {len(everybody)} students.",
            "Release an assignment and grade it first, or `nbgrader db student import class.csv`.",
        )
    only = chosen[0] if len(chosen) == 1 else None
    found = {(h.student, h.assignment): h for h in book.handed(gradebook, only)}
    awaiting, grades, rows = [], 0, []
    for student in everybody:
        cells: list[float | None] = []
        for name in chosen:
            handed = found.get((student.id, name))
            waits = handed is not None and handed.needs_human
            if waits:
                awaiting.append(f"{student.id} {name}")
            given = handed is not None and (provisional or not waits)
            cells.append(round(handed.net, 4) if handed is not None and given else None)
            grades += given
        rows.append((student, cells))
    points = [known[name].points for name in chosen]
    make = _canvas if system == "canvas" else _moodle
    guarded = tuple(s.id for s in everybody if sheets.is_formula(sheets.one_line(s.id)))
    return Export(make(chosen, points, rows), len(everybody), grades, tuple(awaiting), guarded)


_Rows = Sequence[tuple[book.Student, Sequence[float | None]]]


def _canvas(names: Sequence[str], points: Sequence[float], rows: _Rows) -> str:
    header = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *names]
    table: list[list[Any]] = [["Points Possible", "", "", "", "", *points]]
    for student, cells in rows:
        last_first = ", ".join(n for n in (student.last_name, student.first_name) if n)
        number = student.lms_id if student.lms_id.isascii() and student.lms_id.isdigit() else ""
        name = last_first or student.id
        table.append([name, number, student.id, student.id, "", *cells])
    return sheets.table(header, table)


def _moodle(names: Sequence[str], points: Sequence[float], rows: _Rows) -> str:
    header = ["Username", "First name", "Last name", "Email address", *names]
    table = [
        [s.id, s.first_name, s.last_name, s.email, *("-" if c is None else c for c in cells)]
        for s, cells in rows
    ]
    return sheets.table(header, table)
