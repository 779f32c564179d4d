"""What a regrade changed: the scores before, kept on disk, against the scores after.

``snapshot`` reads every score of an assignment, ``save`` writes it whole before anything is
changed, and ``diff`` says who gains, who loses, on which exercise and by how much. A loss is told
first and never only as part of a sum.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from syslab import saved
from syslab.course import paths, scores
from syslab.course.errors import CourseError
from syslab.grading import book, sheets

SCHEMA = "syslab-scores-1"
FOLDER = "regrade"
TINY = 1e-9
MOST_WINNERS = 20  # shown one by one; the losers always all

Key = tuple[str, str]  # notebook, grade id


@dataclass(frozen=True)
class Score:
    """One graded cell of one student: points that count, points possible, and by whom."""

    points: float
    max_points: float
    by_hand: bool
    awaiting: bool


@dataclass(frozen=True)
class Snapshot:
    """All scores of one assignment at one time. `late` maps students to points lost to lateness."""

    assignment: str
    taken: str
    scores: Mapping[str, Mapping[Key, Score]]
    late: Mapping[str, float]

    def total(self, student: str) -> float:
        """What counts for `student`: the points less the late penalty; 0 without a submission."""
        earned = sum(s.points for s in self.scores.get(student, {}).values())
        return max(0.0, earned - self.late.get(student, 0.0))


@dataclass(frozen=True)
class Change:
    """One exercise of one student; None where the cell was not there before, or is not now."""

    student: str
    notebook: str
    cell: str
    before: Score | None
    after: Score | None

    @property
    def exercise(self) -> str:
        return scores.exercise(self.cell)

    @property
    def points(self) -> float:
        """Points gained, negative where they were lost."""
        return _points(self.after) - _points(self.before)

    @property
    def what(self) -> str:
        """``lost``, ``gained``, or what changed beside the points."""
        if self.points < -TINY:
            return "lost"
        if self.points > TINY:
            return "gained"
        if self.before is None or self.after is None:
            return "new exercise" if self.before is None else "exercise removed"
        if self.before.max_points != self.after.max_points:
            return "other maximum"
        return "to be marked again" if self.after.awaiting else "marked"


@dataclass(frozen=True)
class Moved:
    """The total of one student before and after, late penalties taken off."""

    student: str
    before: float
    after: float

    @property
    def points(self) -> float:
        return self.after - self.before


@dataclass(frozen=True)
class Diff:
    """What changed between two snapshots of `assignment`.

    `changes` are exercise by exercise, `moved` the totals that changed, the greatest loss first;
    `added` and `gone` are students who are in one snapshot only.
    """

    assignment: str
    students: int
    changes: tuple[Change, ...]
    moved: tuple[Moved, ...]
    added: tuple[str, ...]
    gone: tuple[str, ...]

    @property
    def losers(self) -> tuple[Moved, ...]:
        """Whose total falls, greatest loss first."""
        return tuple(m for m in self.moved if m.points < -TINY)

    @property
    def winners(self) -> tuple[Moved, ...]:
        return tuple(m for m in self.moved if m.points > TINY)

    @property
    def lost_exercises(self) -> tuple[Change, ...]:
        """Exercises that lose points, also where another one makes up for it in the total."""
        return tuple(c for c in self.changes if c.points < -TINY)


# --------------------------------------------------------------------------------- snapshots


def snapshot(gradebook: Any, assignment: str, now: datetime | None = None) -> Snapshot:
    """Every score of `assignment` as the gradebook stands.

    Parameters
    ----------
    gradebook
        nbgrader's ``Gradebook``, or a session of `book.reading`.

    Raises
    ------
    CourseError
        When the assignment was never generated.
    """
    book.work(gradebook, assignment)
    found: dict[str, dict[Key, Score]] = {}
    for g in book.grades(gradebook, assignment):
        found.setdefault(g.student, {})[g.notebook, g.cell] = Score(
            points=g.score,
            max_points=g.points,
            by_hand=g.manual is not None,
            awaiting=g.needs_human,
        )
    late = {h.student: h.penalty for h in book.handed(gradebook, assignment) if h.penalty}
    taken = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Snapshot(assignment, taken, found, late)


def only(taken: Snapshot, students: Collection[str]) -> Snapshot:
    """`taken`, of some of its students."""
    return replace(
        taken,
        scores={s: cells for s, cells in taken.scores.items() if s in students},
        late={s: lost for s, lost in taken.late.items() if s in students},
    )


def save(taken: Snapshot, root: Path) -> Path:
    """Write `taken` whole below ``.syslab/regrade/`` of the course and return the file.

    An older snapshot is never replaced.
    """
    import json

    folder = paths.state_dir(root) / FOLDER
    stamp = taken.taken.replace(":", "").replace("-", "")
    data = {
        "schema": SCHEMA,
        "assignment": taken.assignment,
        "taken": taken.taken,
        "late": dict(taken.late),
        "scores": {
            student: [
                [notebook, cell, s.points, s.max_points, s.by_hand, s.awaiting]
                for (notebook, cell), s in cells.items()
            ]
            for student, cells in taken.scores.items()
        },
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = next(
            f
            for f in (folder / _name(taken.assignment, stamp, n) for n in range(1000))
            if not f.exists()
        )
        return saved.write_whole(file, json.dumps(data, ensure_ascii=False))
    except OSError as error:
        raise CourseError(
            f"the scores before could not be kept in {folder}: {error.strerror or error}.",
            "Nothing was changed. Make room or give yourself write permission, and run it again.",
        ) from error


def _name(assignment: str, stamp: str, n: int) -> str:
    return f"{assignment}-{stamp}{f'-{n}' if n else ''}.json"


def load(path: Path | str) -> Snapshot:
    """A saved snapshot; CourseError when the file is missing, damaged or another kind."""
    try:
        data = saved.read_json(
            path, SCHEMA, "no such snapshot", "choose another file of .syslab/regrade/"
        )
        found = {
            student: {(n, c): Score(p, most, hand, waits) for n, c, p, most, hand, waits in cells}
            for student, cells in data["scores"].items()
        }
        return Snapshot(data["assignment"], data["taken"], found, data["late"])
    except (FileNotFoundError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CourseError(f"{path} is no snapshot of scores: {error}.", "Name another.") from error


# --------------------------------------------------------------------------------- comparing


def diff(before: Snapshot, after: Snapshot) -> Diff:
    """What changed from `before` to `after`.

    Raises
    ------
    CourseError
        When the two are of different assignments.
    """
    if before.assignment != after.assignment:
        raise CourseError(
            f"a snapshot of {before.assignment} cannot be compared with one of {after.assignment}.",
            "Name two of the same assignment.",
        )
    everybody = sorted({*before.scores, *after.scores})
    changes = []
    for student in everybody:
        old, new = before.scores.get(student, {}), after.scores.get(student, {})
        for key in sorted({*old, *new}):
            a, b = old.get(key), new.get(key)
            if _differs(a, b):
                changes.append(Change(student, *key, a, b))
    moved = [Moved(s, before.total(s), after.total(s)) for s in everybody]
    moved = [m for m in moved if abs(m.points) > TINY]
    moved.sort(key=lambda m: (m.points, m.student))
    return Diff(
        assignment=after.assignment,
        students=len(everybody),
        changes=tuple(changes),
        moved=tuple(moved),
        added=tuple(s for s in everybody if s not in before.scores),
        gone=tuple(s for s in everybody if s not in after.scores),
    )


def _differs(a: Score | None, b: Score | None) -> bool:
    if a is None or b is None:
        return a is not b
    return (
        abs(a.points - b.points) > TINY or a.max_points != b.max_points or a.awaiting != b.awaiting
    )


def _points(score: Score | None) -> float:
    return 0.0 if score is None else score.points


# ------------------------------------------------------------------------------------ report


def to_text(d: Diff) -> str:
    """What a terminal shows: the losses in full, then the gains, then exercise by exercise."""
    lines = [
        f"{d.assignment}, submissions: {d.students}. Totals: {len(d.losers)} down, "
        f"{len(d.winners)} up, {d.students - len(d.moved)} unchanged."
    ]
    mine: dict[str, list[Change]] = {}
    for c in d.changes:
        if abs(c.points) > TINY:
            mine.setdefault(c.student, []).append(c)
    for title, some, most in (
        ("LOSE POINTS", d.losers, len(d.losers)),  # never cut short
        ("gain points", d.winners, MOST_WINNERS),
    ):
        if not some:
            continue
        lines += ["", title]
        width = max(len(sheets.one_line(m.student)) for m in some[:most])
        for m in some[:most]:
            own = mine.get(m.student, [])
            where = [f"{c.exercise} {c.points:+.4g}" for c in own]
            late = m.points - sum(c.points for c in own)
            where += [f"late penalty {late:+.4g}"] if abs(late) > TINY else []
            lines.append(
                f"  {sheets.one_line(m.student):<{width}}  {_shown(m.before):>7} ->"
                f" {_shown(m.after):>7}  ({m.points:+.4g})  {', '.join(where)}"
            )
        if len(some) > most:
            lines.append(f"  and {len(some) - most} more, in the CSV file")
    told = {m.student for m in d.losers}
    only = [c for c in d.lost_exercises if c.student not in told]
    if only:
        lines += ["", "lose points in an exercise, but not in the total"]
        lines += [f"  {sheets.one_line(c.student)}  {c.exercise} ({c.points:+.4g})" for c in only]
    for title, names in (("new submissions", d.added), ("submissions gone", d.gone)):
        if names:
            lines += ["", f"{title}: {', '.join(sheets.one_line(n) for n in names)}"]
    per: dict[str, list[float]] = {}
    for c in d.changes:
        per.setdefault(c.exercise, []).append(c.points)
    if per:
        lines += ["", "by exercise"]
        width = max(map(len, per))
    for exercise, points in per.items():
        down, up = sum(p < -TINY for p in points), sum(p > TINY for p in points)
        lines.append(
            f"  {exercise:<{width}}  {up} up, {down} down, {len(points) - up - down} otherwise "
            f"changed, {sum(points):+.4g} points in all"
        )
    again = {c.student for c in d.changes if c.after and c.after.awaiting}
    if again:
        lines += ["", f"{len(again)} submissions have marks to look at again in Formgrader."]
    return "\n".join(lines)


def _shown(points: float) -> str:
    return sheets.number(points)


def to_csv(d: Diff) -> str:
    """One line per student and exercise that changed, losses first, totals beside them."""
    moved = {m.student: m for m in d.moved}
    rows = []
    for c in sorted(d.changes, key=lambda c: (c.points, c.student, c.notebook, c.cell)):
        total = moved.get(c.student)
        rows.append(
            [
                c.student,
                c.notebook,
                c.cell,
                c.exercise,
                c.before and c.before.points,
                c.after and c.after.points,
                c.points,
                c.what,
                total.before if total else None,
                total.after if total else None,
                total.points if total else 0,
            ]
        )
    touched = {c.student for c in d.changes}
    rows += [  # a total may move without any exercise: by the late penalty alone
        [m.student, "", "", "", None, None, 0, "late penalty", m.before, m.after, m.points]
        for m in d.moved
        if m.student not in touched
    ]
    header = ["student", "notebook", "cell", "exercise", "before", "after", "change", "what"]
    return sheets.table([*header, "total_before", "total_after", "total_change"], rows)
