"""Grade what a class handed in: one run, safe to interrupt, one writer.

Submissions come in (`intake`), are run by an engine (`engines`), kept on disk as they end
(`spool`), and entered into the gradebook (`record`) one after another by this process. Whatever
dies in between, the next run finds what was finished and goes on.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from syslab.course import nbgrader_apps
from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError
from syslab.grading import book, spool, tamper
from syslab.grading.engines import Engine
from syslab.grading.execute import Executed, Job, Limits
from syslab.grading.intake import Intake, Refused, read
from syslab.grading.record import Recorder
from syslab.grading.verdicts import Verdict

PROGRESS = Callable[["Row"], None]


@dataclass(frozen=True)
class Row:
    """One student of a run: points so far, what a person has to do, and what was odd.

    `state` is ``graded``, ``refused``, ``failed`` (ours, not theirs: to be run again) or
    ``unchanged`` (graded before and not handed in again).
    """

    student: str
    state: str
    points: float = 0.0
    max_points: float = 0.0
    submitted: datetime | None = None
    needs_human: bool = False
    verdicts: tuple[Verdict, ...] = ()
    wall_s: float = 0.0
    cells_s: float = 0.0

    @property
    def flagged(self) -> bool:
        return any(verdict.flagged for verdict in self.verdicts)


@dataclass(frozen=True)
class Options:
    """How a run is done.

    `force` runs again what did not change, `resume` finishes an interrupted run and collects
    nothing new, `sandboxed` is only ever switched off by hand.
    """

    student: str = "*"
    force: bool = False
    resume: bool = False
    sandboxed: bool = True
    limits: Limits = field(default_factory=Limits)


def grade(
    assignment: Assignment,
    engine: Callable[[], Engine],
    options: Options = Options(),
    progress: PROGRESS = lambda row: None,
    planned: Callable[[int], None] = lambda count: None,
) -> list[Row]:
    """Collect, run and record; one row per student with a submission.

    Parameters
    ----------
    assignment
        What to grade.
    engine
        Makes the engine, called when somebody handed something in.
    options
        See there.
    progress
        Called with each row as it is recorded.
    planned
        Called once with the number of submissions this run looks at.

    Raises
    ------
    CourseError
        When another run has the gradebook, the sandbox is not to be had, or there is nothing
        to resume.
    """
    config = nbgrader_apps.configuration(assignment.root)
    if options.sandboxed:
        _require_sandbox()
    store = spool.Spool(assignment)
    where = config.CourseDirectory
    url = str(where.get("db_url", ""))
    with book.explained(url), store.locked(url, str(where.get("course_id", ""))):
        if options.resume:
            students = store.plan()
        else:
            _collect(assignment, config, options.student)
            students = _students(assignment, config, options.student)
            store.begin(students)
        planned(len(students))
        rows = []
        if students:
            machine = engine()  # its template imports what it needs while the tests are recorded
            try:
                record_tests(assignment, config)
                with Recorder(assignment, config) as recorder:
                    rows += _run(assignment, recorder, store, machine, students, options, progress)
            finally:
                machine.close()
        store.finish()
    return sorted(rows, key=lambda row: row.student)


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


def _require_sandbox() -> None:
    from syslab.warm import sandbox

    support = sandbox.support()
    if not support.complete:
        raise CourseError(
            "submissions cannot be held in a sandbox here: " + " ".join(support.missing),
            "Grade on Linux with these switched on; or, for code that you trust, with "
            "`--no-sandbox`.",
        )


def _collect(assignment: Assignment, config: Any, student: str) -> None:
    """Fetch from the exchange; a course that never used it gets its submissions otherwise."""
    inbound = Path(config.Exchange.root, config.CourseDirectory.course_id, "inbound")
    if not inbound.is_dir():
        return
    nbgrader_apps.step("exchange.Collect", config, assignment.name, student, update=True)


def _students(assignment: Assignment, config: Any, student: str) -> list[str]:
    excluded = str(config.CourseDirectory.get("student_id_exclude", "")).split(",")
    found = (assignment.root / "submitted").glob(f"{student}/{assignment.name}")
    return sorted({path.parent.name for path in found} - set(excluded))


# ------------------------------------------------------------------------------------ the run


@dataclass(frozen=True)
class _Ready:
    """A submission on its way: what came in, its job, and the key of its content."""

    intake: Intake
    job: Job
    key: str


def _run(
    assignment: Assignment,
    recorder: Recorder,
    store: spool.Spool,
    machine: Engine,
    students: Sequence[str],
    options: Options,
    progress: PROGRESS,
) -> Iterator[Row]:
    """Rows as they are recorded: first what needs no running, then the rest as it ends."""
    pending: dict[str, _Ready] = {}
    settled: list[Row] = []
    kept: list[tuple[_Ready, Executed]] = []  # the first one run before waits for the proof
    proof: tamper.Reference | None = None

    def jobs() -> Iterator[Job]:
        for student in students:
            ready = _prepare(assignment, recorder, store, student, options)
            if isinstance(ready, Row):
                settled.append(ready)
                continue
            before = store.executed(student, ready.key)
            if before is None:
                pending[student] = ready
                yield ready.job
            elif proof is None:
                kept.append((ready, before))
                yield ready.job
            else:
                settled.append(_record(recorder, store, ready, before, proof))

    def told(rows: list[Row]) -> Iterator[Row]:
        while rows:
            progress(rows[0])
            yield rows.pop(0)

    waiting = jobs()
    first = next(waiting, None)  # nothing is run, and no reference, where nothing changed
    yield from told(settled)
    if first is None:
        return
    like = replace(first, notebooks=dict.fromkeys(recorder.known, ""))
    proof = tamper.reference(assignment, machine, like)
    settled += [_record(recorder, store, ready, done, proof) for ready, done in kept]
    to_run = waiting if kept else itertools.chain([first], waiting)
    prepared = (replace(j, modules=proof.loaded_first, compiled=proof.compiled) for j in to_run)
    for done in machine.run(prepared):
        ready = pending.pop(done.student)
        if done.error:
            settled.append(_failed(ready, done))
        else:
            store.keep(done.student, ready.key, done)
            settled.append(_record(recorder, store, ready, done, proof))
        yield from told(settled)
    yield from told(settled)


def _prepare(
    assignment: Assignment,
    recorder: Recorder,
    store: spool.Spool,
    student: str,
    options: Options,
) -> _Ready | Row:
    """The job for a submission, or the row of one that is not to be run."""
    folder = recorder.submitted(student)
    try:
        intake = read(folder, recorder.known, own=recorder.own_files, provided=recorder.helpers)
    except Refused as refused:
        recorder.refuse(student, refused.timestamp)
        store.recorded(student, "", [refused.verdict])
        row = _row(recorder, student, "refused", [refused.verdict])
        return replace(row, submitted=refused.timestamp)
    job = Job(
        student=student,
        assignment=assignment.name,
        notebooks=recorder.sanitised(student, intake.notebooks),
        files=recorder.beside(intake.files),
        course=str(assignment.root),
        limits=options.limits,
        sandboxed=options.sandboxed,
    )
    key = spool.key(job)
    before = store.record_of(student)
    graded = before is not None and before.key == key and recorder.folder(student).is_dir()
    if graded and not options.force:
        return replace(
            _row(recorder, student, "unchanged", list(before.verdicts)), submitted=intake.timestamp
        )
    return _Ready(intake, job, key)


def _record(
    recorder: Recorder,
    store: spool.Spool,
    ready: _Ready,
    done: Executed,
    proof: tamper.Reference,
) -> Row:
    try:
        verdicts = [*ready.intake.notes, *_incidents(done), *tamper.judge(done, proof)]
        recorder.record(
            done.student, done.notebooks, ready.job.files, ready.intake.timestamp, verdicts
        )
    except (CourseError, OSError, SQLAlchemyError):  # ours: no submission could be recorded
        raise
    except Exception as error:  # whatever is odd about this one, the others are to be graded
        return _failed(ready, replace(done, error=f"{type(error).__name__}: {error}"))
    store.recorded(done.student, ready.key, verdicts)
    row = _row(recorder, done.student, "graded", verdicts)
    return replace(row, wall_s=done.wall_s, cells_s=done.cells_s)


def _incidents(done: Executed) -> list[Verdict]:
    return [
        Verdict(ended.code, f"{name}: {_SAID[ended.code].format(cell=ended.cell)}")
        for name, ended in done.ended.items()
    ]


_SAID = {
    "cell-timeout": "`{cell}` ran past its time and was stopped: look for a loop without an end.",
    "kernel-hung": "`{cell}` could not be interrupted, so the cells after it did not run: look "
    "for a loop that catches every exception.",
    "kernel-died": "the kernel ended in `{cell}`, so the cells after it did not run: run the "
    "notebook from the top to see why.",
    "out-of-memory": "`{cell}` asked for more memory than there is: look at the sizes it makes.",
    "processes-limit": "`{cell}` started more processes or connections than there may be: start "
    "fewer of them.",
    "bad-output": "`{cell}` sent something that is no output of a notebook: show values with print "
    "or as the last line.",
    "output-flood": "`{cell}` printed more than the limit: print less of it.",
    "notebook-timeout": "the notebook ran past its time in `{cell}`: look for what takes long.",
}


def _failed(ready: _Ready, done: Executed) -> Row:
    code = "worker-lost" if done.error == "worker-lost" else "grader-error"
    said = f"it could not be run ({done.error}); nothing was recorded, run it again."
    return Row(done.student, "failed", verdicts=(Verdict(code, said),))


def _row(recorder: Recorder, student: str, state: str, verdicts: list[Verdict]) -> Row:
    from nbgrader.api import MissingEntry

    with contextlib.suppress(MissingEntry):
        found = recorder.gradebook.find_submission(recorder.assignment.name, student)
        return Row(
            student,
            state,
            points=max(0.0, found.score - (found.late_submission_penalty or 0.0)),
            max_points=found.max_score,
            submitted=found.timestamp,
            needs_human=bool(found.needs_manual_grade),
            verdicts=tuple(verdicts),
        )
    return Row(student, state, verdicts=tuple(verdicts))
