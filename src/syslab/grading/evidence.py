"""Evidence for the gates that no machine can judge: a dated record with a link, per student.

A CSV file the instructor keeps, ``.syslab/evidence.csv``::

    student,gate,date,link
    ada,published,2026-11-03,https://example.org/post
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from syslab.course import paths
from syslab.course.errors import CourseError
from syslab.course.manifest import Course

FILE = "evidence.csv"
HEADER = ("student", "gate", "date", "link")


@dataclass(frozen=True)
class Record:
    """One piece of evidence: that `student` met `gate` on `date`, and where to see it."""

    student: str
    gate: str
    date: str
    link: str


def load(
    course: Course, students: Iterable[str], path: Path | None = None
) -> Mapping[str, list[Record]]:
    """The records by student; none where there is no file.

    Parameters
    ----------
    students
        Every student id that may stand in the file.
    path
        Another file than ``.syslab/evidence.csv``; this one has to exist.

    Raises
    ------
    CourseError
        Naming the line: an unknown student or gate, a date that is none, a missing link.
    """
    file = path or paths.state_dir(course.root) / FILE
    try:
        with open(file, encoding="utf-8-sig", newline="") as handle:
            lines = list(csv.reader(handle))
    except FileNotFoundError:
        if path is None:
            return {}
        raise CourseError(f"{path} does not exist.", "Name a file that does.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CourseError(f"{file} cannot be read: {error}.", "Save it as UTF-8 CSV.") from error
    if not lines:
        return {}
    if tuple(name.strip() for name in lines[0][:4]) != HEADER:
        raise CourseError(f"{file} line 1 must read {','.join(HEADER)}.", "Mend it and try again.")
    known = set(students)
    gates = [g.id for g in course.gates if g.kind == "evidence"]
    found: dict[str, list[Record]] = {}
    for number, row in enumerate(lines[1:], start=2):
        if not any(field.strip() for field in row):
            continue
        fields = [field.strip() for field in (*row, "", "", "", "")[:4]]
        problem = _problem(*fields, known=known, gates=gates)
        if problem:
            raise CourseError(f"{file} line {number}: {problem}.", "Mend it and try again.")
        found.setdefault(fields[0], []).append(Record(*fields))
    return found


def _problem(
    student: str, gate: str, day: str, link: str, *, known: set[str], gates: list[str]
) -> str:
    if student not in known:
        near = difflib.get_close_matches(student, known, n=1)
        return f"no student {student!r} in the gradebook" + (
            f"; did you mean '{near[0]}'?" if near else ""
        )
    if gate not in gates:
        return f"gate {gate!r} takes no evidence; these do: {', '.join(gates)}"
    try:
        date.fromisoformat(day)
    except ValueError:
        return f"date {day!r} must read YYYY-MM-DD"
    return "" if link else "the link is missing"
