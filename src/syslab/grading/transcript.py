"""What a student has earned: every part of the course, both certificates gate by gate.

Points come from the gradebook (less late penalties), the parts and gates from ``course.toml``, and
whether a gate is met is decided by the same rule as on the learner's own page
(`syslab.course.progress`). Nothing here writes to the gradebook.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from syslab.course import progress
from syslab.course.manifest import Course, Gate, Module, Portfolio, Project
from syslab.grading import book, evidence, sheets

SCHEMA = "syslab-transcript-1"

PLANNED = "not open yet"
NOT_RELEASED = "not released"
NOT_SUBMITTED = "not handed in"
NOT_GRADED = "not graded"
AWAITING = "awaiting a human"
GRADED = "graded"


@dataclass(frozen=True)
class Part:
    """One module, project or portfolio part, in the manifest's points.

    `earned` is after the late `penalty`; `awaiting` are points nobody has marked yet. `counts`
    says whether the part belongs to the total.
    """

    id: str
    title: str
    kind: str
    track: str
    counts: bool
    points: float
    earned: float
    awaiting: float
    penalty: float
    status: str
    submitted: str
    late_s: float


@dataclass(frozen=True)
class GateLine:
    """One gate: whether it is met, where the student stands, and what it would take."""

    id: str
    title: str
    kind: str
    met: bool
    stands: str
    takes: tuple[str, ...]


@dataclass(frozen=True)
class Certificate:
    """One certificate, earned when every gate is met."""

    id: str
    title: str
    earned: bool
    gates: tuple[GateLine, ...]


@dataclass(frozen=True)
class Transcript:
    """One student. `earned` and `awaiting` are of `total_points`; `made` is when, in UTC."""

    student: str
    name: str
    course: str
    earned: float
    awaiting: float
    total_points: int
    made: str
    parts: tuple[Part, ...]
    certificates: tuple[Certificate, ...]

    def parts_of(self, kind: str, track: str | None = None) -> tuple[Part, ...]:
        return tuple(p for p in self.parts if p.kind == kind and track in (None, p.track))

    def modules(self, track: str) -> float:
        """Points earned in the modules of `track`."""
        return sum(p.earned for p in self.parts_of("module", track))

    @property
    def waiting(self) -> float:
        """Points that nobody has marked yet in any part, also where it is not of the total."""
        return sum(p.awaiting for p in self.parts)


# ---------------------------------------------------------------------------------- building


def build(
    gradebook: Any,
    course: Course,
    student: str | None = None,
    records: Mapping[str, Sequence[evidence.Record]] | None = None,
    now: datetime | None = None,
) -> list[Transcript]:
    """Transcripts of one student, or of everybody in the gradebook, by id.

    Raises
    ------
    CourseError
        For a student the gradebook does not know.
    """
    who = book.students(gradebook) if student is None else [book.student(gradebook, student)]
    released = book.works(gradebook)
    handed: dict[str, dict[str, book.Handed]] = {}
    for one in book.handed(gradebook, student=student):
        handed.setdefault(one.student, {})[one.assignment] = one
    made = (now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
    return [
        of(course, s, released, handed.get(s.id, {}), (records or {}).get(s.id, ()), made)
        for s in who
    ]


def of(
    course: Course,
    student: book.Student,
    released: Mapping[str, book.Work],
    handed: Mapping[str, book.Handed],
    records: Sequence[evidence.Record] = (),
    made: str = "",
) -> Transcript:
    """The transcript of `student` from what the gradebook `released` and was `handed`."""
    state = _state(handed, records)
    scored = {p.id for p in course.scored_parts}
    everything = (*course.modules, *course.projects, *course.portfolio)
    parts = tuple(
        _part(part, state, released.get(part.id), handed.get(part.id), part.id in scored)
        for part in everything
    )
    by_id = {p.id: p for p in parts}
    gates = [_gate(course, status, by_id) for status in state.gates(course)]
    certificates = []
    for track in course.tracks:
        mine = {g.id for g in course.gates_of(track.id)}
        own = tuple(g for g in gates if g.id in mine)
        certificates.append(Certificate(track.id, track.certificate, all(g.met for g in own), own))
    return Transcript(
        student=student.id,
        name=student.name,
        course=course.title,
        earned=round(state.earned(course), 2),
        awaiting=round(sum(p.awaiting for p in parts if p.counts), 2),
        total_points=course.total_points,
        made=made,
        parts=parts,
        certificates=tuple(certificates),
    )


def _state(
    handed: Mapping[str, book.Handed], records: Sequence[evidence.Record]
) -> progress.Progress:
    """The gradebook in the form of a learner's record, so that one rule decides on gates."""
    graded = {name: [{"score": h.net, "max_score": h.points}] for name, h in handed.items()}
    noted: dict[str, list[dict[str, Any]]] = {}
    for record in sorted(records, key=lambda r: r.date):
        noted.setdefault(record.gate, []).append({"link": f"{record.link} ({record.date})"})
    return progress.Progress({"graded": graded, "evidence": noted})


def _part(
    part: Module | Project | Portfolio,
    state: progress.Progress,
    work: book.Work | None,
    handed: book.Handed | None,
    counts: bool,
) -> Part:
    kind = {Module: "module", Project: "project", Portfolio: "portfolio"}[type(part)]
    scale = part.points / handed.points if handed and handed.points else 0.0
    return Part(
        id=part.id,
        title=part.title,
        kind=kind,
        track=part.track,
        counts=counts,
        points=float(part.points),
        earned=state.part_points(part),
        awaiting=round(scale * handed.awaiting, 2) if handed else 0.0,
        penalty=round(scale * min(handed.penalty, handed.score), 2) if handed else 0.0,
        status=_status(part, work, handed),
        submitted=f"{handed.submitted:%Y-%m-%d %H:%M}" if handed and handed.submitted else "",
        late_s=handed.late_s if handed else 0.0,
    )


def _status(part: Any, work: book.Work | None, handed: book.Handed | None) -> str:
    if handed is not None:
        if handed.points and handed.awaiting >= handed.points and not handed.held:
            return NOT_GRADED
        return AWAITING if handed.needs_human else GRADED
    if work is not None:
        return NOT_SUBMITTED
    return NOT_RELEASED if part.ready else PLANNED


# ------------------------------------------------------------------------------------- gates


def _gate(course: Course, status: progress.GateStatus, parts: Mapping[str, Part]) -> GateLine:
    gate = status.gate
    takes: tuple[str, ...] = ()
    if not status.met:
        if gate.kind == "evidence":
            takes = (f"a dated record with a link under the gate '{gate.id}'",)
        elif gate.kind == "total-points":
            takes = _total(gate, [p for p in parts.values() if p.counts])
        else:
            among = (
                course.projects
                if gate.kind == "each-project"
                else course.modules_of(gate.certificate)
            )
            takes = _each(gate, [parts[p.id] for p in among])
    return GateLine(gate.id, gate.title, gate.kind, status.met, status.stands, takes)


def _total(gate: Gate, parts: Sequence[Part]) -> tuple[str, ...]:
    """How many points are missing, and where they can still come from."""
    earned = sum(p.earned for p in parts)
    awaiting = sum(p.awaiting for p in parts)
    closed = sum(p.points for p in parts if p.status in (PLANNED, NOT_RELEASED))
    to_do = sum(p.points for p in parts if p.status == NOT_SUBMITTED)
    rest = sum(p.points for p in parts) - earned - awaiting - closed - to_do
    sources = [
        (awaiting, "await a human's mark"),
        (to_do, "are in work not handed in"),
        (rest, "were lost in graded work"),
        (closed, "are in parts that are not open yet"),
    ]
    said = [f"{_points(points)} {where}" for points, where in sources if points > 0.005]
    return (
        f"{_points((gate.threshold or 0) - earned)} more points; of those not earned, "
        + ", ".join(said),
    )


def _each(gate: Gate, parts: Sequence[Part]) -> tuple[str, ...]:
    """One line per part that falls short; those without a point yet are told together."""
    need = float(gate.threshold or 0)
    lines, untouched = [], {}
    for part in parts:
        short = need - part.earned
        if short <= 0:
            continue
        if part.status in (PLANNED, NOT_RELEASED, NOT_SUBMITTED, NOT_GRADED):
            untouched.setdefault(part.status, []).append(part.id)
            continue
        close = "" if part.awaiting < short else f", and {_points(part.awaiting)} await a mark"
        lines.append(f"{part.id} has {_points(part.earned)}: {_points(short)} more{close}")
    lines += [f"{status}: {', '.join(ids)}" for status, ids in untouched.items()]
    return tuple(lines)


def _points(value: float) -> str:
    return sheets.number(round(value, 2))


# ------------------------------------------------------------------------------------ output

_COLUMNS: dict[str, Callable[[Transcript, Part], Any]] = {
    "student": lambda t, p: t.student,
    "name": lambda t, p: t.name,
    "part": lambda t, p: p.id,
    "title": lambda t, p: p.title,
    "kind": lambda t, p: p.kind,
    "track": lambda t, p: p.track,
    "counts_in_total": lambda t, p: p.counts,
    "status": lambda t, p: p.status,
    "points": lambda t, p: p.earned,
    "max_points": lambda t, p: p.points,
    "awaiting_points": lambda t, p: p.awaiting,
    "late_penalty": lambda t, p: p.penalty,
    "submitted_utc": lambda t, p: p.submitted,
    "total": lambda t, p: t.earned,
    "certificates_earned": lambda t, p: "; ".join(c.title for c in t.certificates if c.earned),
}


def to_csv(transcripts: Sequence[Transcript]) -> str:
    """One line per student and part."""
    rows = ([of(t, p) for of in _COLUMNS.values()] for t in transcripts for p in t.parts)
    return sheets.table(list(_COLUMNS), rows)


def to_json(transcripts: Sequence[Transcript]) -> str:
    """Everything, under ``"schema": "syslab-transcript-1"``."""
    data = {"schema": SCHEMA, "transcripts": [asdict(t) for t in transcripts]}
    return json.dumps(data, ensure_ascii=False, indent=1)


def to_text(transcripts: Sequence[Transcript]) -> str:
    """What a terminal shows: one student in full, several in a line each."""
    if len(transcripts) != 1:
        width = max([len("student"), *(len(sheets.one_line(t.student)) for t in transcripts)])
        tracks = [c.id for t in transcripts[:1] for c in t.certificates]
        modules = "".join(f"  {f'{track} modules':>17}" for track in tracks)
        lines = [f"  {'student':<{width}}  {'points':>7}{modules}  {'awaiting':>8}  gates met"]
        for t in transcripts:
            gates = ", ".join(
                f"{c.id} {sum(g.met for g in c.gates)} of {len(c.gates)}" for c in t.certificates
            )
            lines.append(
                f"  {sheets.one_line(t.student):<{width}}  {_points(t.earned):>7}"
                + "".join(f"  {_points(t.modules(track)):>17}" for track in tracks)
                + f"  {_points(t.waiting):>8}  {gates}"
            )
        if transcripts:
            lines.append(f"\n  points: of the {transcripts[0].total_points:,} of the course.")
        return "\n".join(lines)
    (t,) = transcripts
    waiting = f", {_points(t.awaiting)} await a human's mark" if t.awaiting else ""
    lines = [
        f"{sheets.one_line(t.name)}: {_points(t.earned)} of {t.total_points:,} points{waiting}",
        "",
    ]
    for p in t.parts:
        if p.status in (PLANNED, NOT_RELEASED):
            continue
        extra = f", {_points(p.awaiting)} to be marked" if p.awaiting else ""
        late = f", {_points(p.penalty)} lost for lateness" if p.penalty else ""
        points = f"{_points(p.earned)} of {_points(p.points)}"
        lines.append(f"  {p.id:<12} {points:>13}  {p.status}{extra}{late}")
    for status, said in ((PLANNED, "not open yet"), (NOT_RELEASED, "not released here")):
        count = sum(p.status == status for p in t.parts)
        if count:
            lines.append(f"  {count} {'part is' if count == 1 else 'parts are'} {said}.")
    for c in t.certificates:
        lines += ["", f"{c.title}: {'earned' if c.earned else 'not earned yet'}"]
        for g in c.gates:
            lines.append(f"  {'met    ' if g.met else 'NOT MET'}  {g.title} ({g.stands})")
            lines += [f"           {line}" for line in g.takes]
    return "\n".join(lines)
