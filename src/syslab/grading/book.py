"""The gradebook, read: nbgrader's own tables, a few queries whatever the size of the class.

Nothing here writes. `reading` opens any database nbgrader can use (SQLite, PostgreSQL) and yields
a session; the functions take that session, or nbgrader's ``Gradebook``, and return plain values.
What is wrong with the database becomes one sentence that says what to do.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from syslab.course import nbgrader_apps
from syslab.course.errors import CourseError

NO_RESPONSE = "No response."  # what nbgrader's SaveAutoGrades notes on an untouched answer


class NotYet(CourseError):
    """There is no gradebook so far, or the assignment is not in it."""


@dataclass(frozen=True, slots=True)
class Student:
    """A student of the gradebook. `lms_id` is the id an LMS gave, empty where none is known."""

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    lms_id: str = ""

    @property
    def name(self) -> str:
        """``Ada Lovelace``; the id where no name is known."""
        return " ".join(n for n in (self.first_name, self.last_name) if n) or self.id


@dataclass(frozen=True, slots=True)
class Work:
    """An assignment as it was generated: `points` at most, `due` in UTC without a zone."""

    name: str
    points: float
    due: datetime | None


@dataclass(frozen=True, slots=True)
class Handed:
    """One submission. Points are the gradebook's, times are UTC without a zone.

    `score` is before the late `penalty`; `held` is the part of it that was flagged and that
    nobody has confirmed; `awaiting` are the points of cells nobody has marked or confirmed;
    `needs_human` says that a person has to look, `late_s` counts from the due date with its
    extension.
    """

    assignment: str
    student: str
    score: float
    points: float
    penalty: float
    awaiting: float
    needs_human: bool
    submitted: datetime | None
    late_s: float
    held: float = 0.0

    @property
    def net(self) -> float:
        """What counts: the score less what is held and the penalty, never below 0."""
        return max(0.0, self.score - self.held - self.penalty)


@dataclass(frozen=True, slots=True)
class Grade:
    """One graded cell of one submission; `auto` and `manual` are None where nobody has marked."""

    student: str
    notebook: str
    cell: str
    points: float
    auto: float | None
    manual: float | None
    extra: float | None
    needs_human: bool

    @property
    def marked(self) -> float | None:
        """Points without extra credit: the hand's mark before the machine's, None before both."""
        return self.auto if self.manual is None else self.manual

    @property
    def score(self) -> float:
        """What nbgrader counts: the mark and the extra credit, 0 before the first mark."""
        return 0.0 if self.marked is None else self.marked + (self.extra or 0.0)


# ---------------------------------------------------------------------------------- opening


@contextlib.contextmanager
def reading(root: Path, url: str | None = None) -> Iterator[Any]:
    """A database session on the gradebook of the course at `root`, for a ``with`` block.

    Parameters
    ----------
    root
        The course folder; its ``nbgrader_config.py`` names the database.
    url
        A database URL to use instead.

    Raises
    ------
    CourseError
        When there is no gradebook yet, when it cannot be reached, or when it is another database.
    """
    import sqlalchemy as sa
    from sqlalchemy.orm import Session

    url = url or str(nbgrader_apps.configuration(root).CourseDirectory.db_url)
    with explained(url):
        engine = sa.create_engine(_existing(url))
        try:
            if not sa.inspect(engine).has_table("grade"):
                raise NotYet(f"{shown(url)} holds no gradebook yet.", _BEGIN)
            with Session(engine) as session:
                yield session
        finally:
            engine.dispose()


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what a database says against `url` into a `CourseError`, for a ``with`` block."""
    import sqlalchemy as sa

    try:
        yield
    except (sa.exc.NoSuchModuleError, ModuleNotFoundError) as error:
        raise CourseError(
            f"the driver for {shown(url)} is not installed ({error}).",
            "Install the driver that the URL names (for PostgreSQL psycopg) into the environment.",
        ) from error
    except sa.exc.ArgumentError as error:
        raise CourseError(
            f"{shown(url)!r} is no database URL.",
            "It reads sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME.",
        ) from error
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        raise CourseError(
            f"the gradebook {shown(url)} cannot be read: {str(error.orig).strip()}",
            "If it is locked or busy, wait for the grader to end; if it is a server, start it.",
        ) from error
    except (sa.exc.ProgrammingError, sa.exc.DatabaseError) as error:
        raise CourseError(
            f"{shown(url)} is not a gradebook of this nbgrader: {str(error.orig).strip()}",
            "If an older nbgrader made it: `nbgrader db upgrade`.",
        ) from error


_BEGIN = (
    "`nbgrader generate_assignment ASSIGNMENT --force` begins it; `syslab grade ASSIGNMENT` fills "
    "it once work was handed in."
)


def _existing(url: str) -> Any:
    import sqlalchemy as sa

    made = sa.make_url(url)
    is_file = made.get_backend_name() == "sqlite" and made.database not in (None, "", ":memory:")
    if is_file and not Path(made.database).is_file():  # connecting would leave an empty one behind
        raise NotYet(f"there is no gradebook {made.database} yet.", _BEGIN)
    return made


def shown(url: str) -> str:
    """`url` without its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


# ---------------------------------------------------------------------------------- reading


def students(gradebook: Any) -> list[Student]:
    """Everybody in the gradebook, by id."""
    import sqlalchemy as sa
    from nbgrader import api

    s = api.Student.__table__.c
    query = sa.select(s.id, s.first_name, s.last_name, s.email, s.lms_user_id).order_by(s.id)
    return [Student(row[0], *(v or "" for v in row[1:])) for row in _rows(gradebook, query)]


def student(gradebook: Any, id: str) -> Student:
    """The student called `id`; CourseError names the nearest."""
    import difflib

    everybody = {s.id: s for s in students(gradebook)}
    if id in everybody:
        return everybody[id]
    near = difflib.get_close_matches(id, everybody, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    raise CourseError(
        f"there is no student {id!r} in the gradebook{hint}",
        "`nbgrader db student list` lists them, `nbgrader db student add` adds one.",
    )


def works(gradebook: Any) -> dict[str, Work]:
    """Every assignment of the gradebook by name."""
    import sqlalchemy as sa
    from nbgrader import api

    a, n, b = api.Assignment.__table__, api.Notebook.__table__, api.BaseCell.__table__
    g, t = api.GradeCell.__table__, api.TaskCell.__table__
    joined = (
        a.outerjoin(n, n.c.assignment_id == a.c.id)
        .outerjoin(b, b.c.notebook_id == n.c.id)
        .outerjoin(g, g.c.id == b.c.id)
        .outerjoin(t, t.c.id == b.c.id)
    )
    points = sa.func.sum(sa.func.coalesce(g.c.max_score, t.c.max_score, 0.0))
    query = (
        sa.select(a.c.name, sa.func.coalesce(points, 0.0), a.c.duedate)
        .select_from(joined)
        .group_by(a.c.id, a.c.name, a.c.duedate)
        .order_by(a.c.name)
    )
    return {name: Work(name, float(most), due) for name, most, due in _rows(gradebook, query)}


def work(gradebook: Any, name: str) -> Work:
    """The assignment called `name`; CourseError when it was never generated."""
    found = works(gradebook).get(name)
    if found is None:
        raise NotYet(
            f"{name} is not in the gradebook: it was never generated or released here.",
            f"`nbgrader generate_assignment {name} --force` records it; then release it.",
        )
    return found


def handed(
    gradebook: Any, assignment: str | None = None, student: str | None = None
) -> list[Handed]:
    """Every submission (of one assignment, of one student), by assignment and student.

    Three queries: the submissions, their grades summed, their penalties summed.
    """
    import sqlalchemy as sa
    from nbgrader import api

    sub, a = api.SubmittedAssignment.__table__, api.Assignment.__table__
    sn, gr = api.SubmittedNotebook.__table__, api.Grade.__table__
    gc, tc = api.GradeCell.__table__, api.TaskCell.__table__

    def chosen(query: Any) -> Any:
        if assignment is not None:
            query = query.where(a.c.name == assignment)
        return query if student is None else query.where(sub.c.student_id == student)

    base = sub.join(a, a.c.id == sub.c.assignment_id)
    parts = base.join(sn, sn.c.assignment_id == sub.c.id)
    graded = (
        parts.join(gr, gr.c.notebook_id == sn.c.id)
        .outerjoin(gc, gc.c.id == gr.c.cell_id)
        .outerjoin(tc, tc.c.id == gr.c.cell_id)
    )
    mark = sa.func.coalesce(gr.c.manual_score, gr.c.auto_score)
    most = sa.func.coalesce(gc.c.max_score, tc.c.max_score, 0.0)
    score = sa.case((mark.is_(None), 0.0), else_=mark + sa.func.coalesce(gr.c.extra_credit, 0.0))
    doubtful = sa.and_(sn.c.flagged, gr.c.needs_manual_grade)
    sums = chosen(
        sa.select(
            sub.c.id,
            sa.func.sum(score),
            sa.func.sum(sa.case((sa.or_(mark.is_(None), doubtful), most), else_=0.0)),
            sa.func.max(sa.case((gr.c.needs_manual_grade, 1), else_=0)),
            sa.func.sum(sa.case((doubtful, score), else_=0.0)),
        ).select_from(graded)
    ).group_by(sub.c.id)
    penalties = chosen(
        sa.select(
            sub.c.id, sa.func.sum(sa.func.coalesce(sn.c.late_submission_penalty, 0.0))
        ).select_from(parts)
    ).group_by(sub.c.id)
    rows = chosen(
        sa.select(
            sub.c.id, a.c.name, sub.c.student_id, sub.c.timestamp, a.c.duedate, sub.c.extension
        ).select_from(base)
    ).order_by(a.c.name, sub.c.student_id)

    by_id = {row[0]: row[1:] for row in _rows(gradebook, sums)}
    lost = dict(tuple(row) for row in _rows(gradebook, penalties))
    known = works(gradebook)
    found = []
    for id, name, who, submitted, due, extension in _rows(gradebook, rows):
        total, awaiting, human, held = by_id.get(id, (0.0, 0.0, 0, 0.0))
        if due is not None and extension is not None:
            due = due + extension
        late = (submitted - due).total_seconds() if submitted and due else 0.0
        found.append(
            Handed(
                assignment=name,
                student=who,
                score=float(total),
                points=known[name].points,
                penalty=float(lost.get(id) or 0.0),
                awaiting=float(awaiting),
                needs_human=bool(human),
                submitted=submitted,
                late_s=max(0.0, late),
                held=float(held),
            )
        )
    return found


def grades(gradebook: Any, assignment: str) -> list[Grade]:
    """Every graded cell of every submission of `assignment`, in one query."""
    import sqlalchemy as sa
    from nbgrader import api

    gr, gc, tc = api.Grade.__table__, api.GradeCell.__table__, api.TaskCell.__table__
    joined, sub, n, b, a = _cells_of_submissions(gr)
    joined = joined.outerjoin(gc, gc.c.id == b.c.id).outerjoin(tc, tc.c.id == b.c.id)
    query = (
        sa.select(
            sub.c.student_id,
            n.c.name,
            b.c.name,
            sa.func.coalesce(gc.c.max_score, tc.c.max_score, 0.0),
            gr.c.auto_score,
            gr.c.manual_score,
            gr.c.extra_credit,
            gr.c.needs_manual_grade,
        )
        .select_from(joined)
        .where(a.c.name == assignment)
        .order_by(sub.c.student_id, n.c.name, b.c.name)
    )
    return [Grade(*row[:7], bool(row[7])) for row in _rows(gradebook, query)]


def unanswered(gradebook: Any, assignment: str) -> tuple[set[tuple[str, str]], set]:
    """Which answer cells there are, and which of them nobody touched.

    Returns
    -------
    cells, left
        ``(notebook, cell)`` of every answer cell, and ``(student, notebook, cell)`` of those
        that still held the released stub when they were graded.
    """
    import sqlalchemy as sa
    from nbgrader import api

    co, so = api.Comment.__table__, api.SolutionCell.__table__
    joined, sub, n, b, a = _cells_of_submissions(co)
    left = (
        sa.select(sub.c.student_id, n.c.name, b.c.name)
        .select_from(joined)
        .where(a.c.name == assignment, co.c.auto_comment == NO_RESPONSE)
    )
    cells = (
        sa.select(n.c.name, b.c.name)
        .select_from(
            so.join(b, b.c.id == so.c.id)
            .join(n, n.c.id == b.c.notebook_id)
            .join(a, a.c.id == n.c.assignment_id)
        )
        .where(a.c.name == assignment)
    )
    return (
        {tuple(row) for row in _rows(gradebook, cells)},
        {tuple(row) for row in _rows(gradebook, left)},
    )


def _cells_of_submissions(table: Any) -> tuple[Any, ...]:
    """Grades or comments joined with the submission, notebook, cell and assignment they are of."""
    from nbgrader import api

    sub, a = api.SubmittedAssignment.__table__, api.Assignment.__table__
    sn, n, b = api.SubmittedNotebook.__table__, api.Notebook.__table__, api.BaseCell.__table__
    joined = (
        table.join(sn, sn.c.id == table.c.notebook_id)
        .join(sub, sub.c.id == sn.c.assignment_id)
        .join(n, n.c.id == sn.c.notebook_id)
        .join(a, a.c.id == sub.c.assignment_id)
        .join(b, b.c.id == table.c.cell_id)
    )
    return joined, sub, n, b, a


def _rows(gradebook: Any, query: Any) -> Any:
    return getattr(gradebook, "db", gradebook).execute(query).all()
