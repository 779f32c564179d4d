"""What this learner has done, kept in one local file.

``<root>/.syslab/progress.json`` holds entries by kind and key, each with its time (UTC)::

    {"schema": 1, "records": {"check": {"arch-02/ridge": [{"time": …, "score": 1.5, …}]}}}

Entries are only ever added. Writing is atomic and under a lock, so that two kernels lose nothing;
a damaged file is kept under another name. Nothing here needs a network, and recording never
raises: what cannot be saved is kept in memory and announced in one line.

With ``SYSLAB_NO_PROGRESS=1`` (grading, automated runs) the file is neither read nor written; the
entries of this process are remembered so that a notebook still sees its own predictions.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syslab.course import paths

if TYPE_CHECKING:
    from syslab.course.manifest import Course, Gate, Module, Notebook

SCHEMA = 1
FILE = "progress.json"
KINDS = (
    "check",
    "quick-check",
    "prediction",
    "opened",
    "finished",
    "started",
    "submitted",
    "graded",
    "revealed",
    "evidence",
)
LOCK_WAIT_S = 3.0
PASS_SHARE = 0.7  # of an assignment's points, where no gate of the module's track says otherwise

Records = dict[str, dict[str, list[dict[str, Any]]]]

_unsaved: list[tuple[str, str, dict[str, Any]]] = []  # kept in memory after a failed write
_this_process: list[tuple[str, str, dict[str, Any]]] = []  # under SYSLAB_NO_PROGRESS
_said: set[str] = set()


# ---------------------------------------------------------------------------------- recording


def record(kind: str, key: str, **data: Any) -> None:
    """Add one entry; `kind` is one of ``KINDS``. Never raises."""
    try:
        entry = (str(kind), str(key), {"time": _now(), **_plain(data)})
        if kind not in KINDS:
            _say(f"unknown kind {kind!r}, one of {', '.join(KINDS)}")
        elif _switched_off():
            _this_process.append(entry)
        else:
            _unsaved.append(entry)
            _save()
    except Exception as error:
        _say(f"{type(error).__name__}: {error}")


def record_check(
    assignment: str, grade_id: str, score: float, points: float, answered: bool = True
) -> None:
    """One run of a graded cell: `score` of `points` by its public checks."""
    record("check", f"{assignment}/{grade_id}", score=score, points=points, answered=answered)


def record_quick_check(id: str, choice: Any, correct: bool) -> None:
    """One answer to the quick check called `id` on its page."""
    record("quick-check", id, choice=choice, correct=bool(correct))


def record_prediction(id: str, value: Any) -> None:
    """A prediction, committed before the reveal."""
    record("prediction", id, value=value)


def record_grade(
    assignment: str, score: float, max_score: float, by_cell: dict[str, Any] | None = None
) -> None:
    """A grade by the public and hidden checks; `by_cell` maps grade ids to points."""
    record("graded", assignment, score=score, max_score=max_score, by_cell=by_cell or {})


def opened(key: str) -> None:
    """A lesson or bench was opened; `key` as in the manifest, ``arch-02/01-top-down``."""
    record("opened", key)


def finished(key: str) -> None:
    """A lesson or bench was worked to its end."""
    record("finished", key)


def started(assignment: str) -> None:
    """The released assignment was copied into ``work/``."""
    record("started", assignment)


def submitted(assignment: str) -> None:
    """The notebook was handed in."""
    record("submitted", assignment)


def revealed(assignment: str, grade_id: str) -> None:
    """A reference answer was shown."""
    record("revealed", f"{assignment}/{grade_id}")


def prediction(id: str) -> Any:
    """The latest committed prediction, or None."""
    entries = load().entries("prediction", id)
    return entries[-1].get("value") if entries else None


# ------------------------------------------------------------------------------------ reading


@dataclass(frozen=True)
class Step:
    """What to do next: a notebook (`path` from the course folder) or a terminal `command`."""

    kind: str
    title: str
    minutes: int = 0
    path: str = ""
    command: str = ""


@dataclass(frozen=True)
class GateStatus:
    """A gate, whether it is met, where the learner stands and what is missing."""

    gate: Gate
    met: bool
    stands: str
    missing: str


@dataclass(frozen=True)
class Progress:
    """The record as it was read. `records` maps kind -> key -> entries, oldest first."""

    records: Records = field(default_factory=dict)

    def entries(self, kind: str, key: str) -> list[dict[str, Any]]:
        return self.records.get(kind, {}).get(key, [])

    def attempts(self, grade_id: str) -> int:
        """How often an answered graded cell was checked: ``arch-02/ridge`` or just ``ridge``."""
        return sum(
            entry.get("answered", True) is not False
            for key, entries in self.records.get("check", {}).items()
            if grade_id in (key, key.partition("/")[2])
            for entry in entries
        )

    def public_points(self, assignment: str) -> float:
        """Points by the public checks: the latest run of each graded cell."""
        return sum(
            _number(entries[-1].get("score"))
            for key, entries in self.records.get("check", {}).items()
            if key.partition("/")[0] == assignment and entries
        )

    def grade_share(self, assignment: str) -> float | None:
        """The latest grade as a share of its maximum (0 to 1), or None before the first."""
        entries = self.entries("graded", assignment)
        if not entries:
            return None
        score, most = (_number(entries[-1].get(name)) for name in ("score", "max_score"))
        return min(max(score / most, 0.0), 1.0) if most > 0 else 0.0

    def points(self, assignment: str) -> float:
        """The latest grade's points; before the first grade, what the public checks gave."""
        entries = self.entries("graded", assignment)
        return _number(entries[-1].get("score")) if entries else self.public_points(assignment)

    def is_touched(self, course: Course, notebook: Notebook) -> bool:
        """Whether a lesson or bench was opened, or anything on it answered."""
        return any(self.entries(kind, notebook.key) for kind in ("opened", "finished")) or any(
            self.entries(kind, key) for kind, key in asked_on(course.root / notebook.path)
        )

    def is_finished(self, course: Course, notebook: Notebook) -> bool:
        """Whether a lesson or bench was marked finished, or all its quick checks answered.

        A page without quick checks is finished when all its predictions are committed.
        """
        asked = asked_on(course.root / notebook.path)
        asked = tuple(a for a in asked if a[0] == "quick-check") or asked
        answered = bool(asked) and all(self.entries(kind, key) for kind, key in asked)
        return answered or bool(self.entries("finished", notebook.key))

    def is_passed(self, course: Course, module: Module) -> bool:
        """Whether the module's assignment was graded at or above what its track asks."""
        share = self.grade_share(module.id)
        asked = [
            g.threshold / module.points
            for g in course.gates_of(module.track)
            if g.kind == "each-module" and g.threshold is not None
        ]
        return share is not None and share >= max(asked, default=PASS_SHARE) - 1e-9

    def remaining(self, course: Course, module: Module) -> tuple[Notebook, ...]:
        """The notebooks of a ready module that are still to do, in the order of work."""
        if not module.ready:
            return ()
        passed = self.is_passed(course, module)
        return tuple(
            n
            for n in module.notebooks
            if not (passed if n is module.assignment else self.is_finished(course, n))
        )

    def minutes_left(self, course: Course) -> int:
        """Minutes of all notebooks that are ready and not done."""
        return sum(n.minutes for m in course.ready_modules for n in self.remaining(course, m))

    def next_step(self, course: Course) -> Step:
        """What to do next among what is ready: where the learner stopped, else the first thing.

        A module whose assignment is passed is done, whatever was skipped on the way.
        """
        open_modules = [m for m in course.ready_modules if not self.is_passed(course, m)]
        open_modules.sort(key=lambda m: not self._is_begun(course, m))  # stable: begun ones first
        for module in open_modules:
            return self._step_in(course, module)
        for part in course.portfolio:
            if part.ready and not self.entries("graded", part.id):
                return self._step_with(part.id, part.assignment)
        return Step("done", "everything that is ready is done")

    def _is_begun(self, course: Course, module: Module) -> bool:
        pages = (n for n in module.notebooks if n is not module.assignment)
        return self._is_working(module.id) or any(self.is_touched(course, n) for n in pages)

    def _is_working(self, assignment: str) -> bool:
        kinds = ("started", "submitted", "graded")
        return any(self.entries(kind, assignment) for kind in kinds) or any(
            _under(key, assignment) for key in self.records.get("check", {})
        )

    def _step_in(self, course: Course, module: Module) -> Step:
        assert module.assignment is not None  # a ready module has one
        if not self._is_working(module.id):
            pages = [n for n in module.notebooks if n is not module.assignment]
            touched = [k for k, n in enumerate(pages) if self.is_touched(course, n)]
            here = max(touched, default=0)
            for notebook in pages[here:] + pages[:here]:
                if not self.is_finished(course, notebook):
                    kind = "bench" if notebook is module.bench else "lesson"
                    return Step(kind, notebook.title, notebook.minutes, notebook.path)
        return self._step_with(module.id, module.assignment)

    def _step_with(self, id: str, work: Notebook) -> Step:
        """What to do next with an assignment."""
        if self.entries("graded", id):
            return Step("improve", work.title, work.minutes, work.path, f"syslab grade --mine {id}")
        if self.entries("submitted", id):
            return Step("grade", work.title, 0, work.path, f"syslab grade --mine {id}")
        if self._is_working(id):
            return Step("assignment", work.title, work.minutes, work.path, f"syslab check {id}")
        return Step("start", work.title, work.minutes, "", f"syslab start {id}")

    def earned(self, course: Course) -> float:
        """Graded points towards ``total_points``, in the manifest's points."""
        return sum(self.part_points(part) for part in course.scored_parts)

    def part_points(self, part: Any) -> float:
        """Graded points of a module, project or portfolio part, in the manifest's points."""
        return round(part.points * (self.grade_share(part.id) or 0.0), 2)

    def gates(self, course: Course) -> list[GateStatus]:
        """Every gate, in the manifest's order."""
        return [self._gate(course, gate) for gate in course.gates]

    def _gate(self, course: Course, gate: Gate) -> GateStatus:
        if gate.kind == "evidence":
            entries = self.entries("evidence", gate.id)
            if entries:
                noted = entries[-1].get("link") or entries[-1].get("note") or "on record"
                return GateStatus(gate, True, str(noted), "")
            return GateStatus(gate, False, "nothing on record", "a link or a note")
        threshold = gate.threshold or 0
        if gate.kind == "total-points":
            earned = self.earned(course)
            missing = f"{threshold - earned:g} points" if earned < threshold else ""
            return GateStatus(
                gate, not missing, f"{earned:g} of {course.total_points:,} points", missing
            )
        parts: tuple[Any, ...] = (
            course.projects if gate.kind == "each-project" else course.modules_of(gate.certificate)
        )
        lacking = [p.id for p in parts if self.part_points(p) < threshold]
        stands = f"{len(parts) - len(lacking)} of {len(parts)}"
        missing = f"all {len(parts)}" if len(lacking) == len(parts) else ", ".join(lacking)
        return GateStatus(gate, not lacking, stands, missing if lacking else "")


def load() -> Progress:
    """The record as it stands, with whatever this process could not save. Never raises."""
    records: Records = {}
    pending = _this_process
    if not _switched_off():
        pending = _unsaved
        try:
            with _lock(paths.state_dir()) as folder:
                records = _read(folder)
        except Exception as error:
            _say(f"cannot be read ({error})")
    return Progress(_with(records, pending))


_ASKS = re.compile(r"""\b(quick_check|predict)\(\s*["']([^"']+)["']""")
_ASKED = {"quick_check": "quick-check", "predict": "prediction"}


def asked_on(path: Path) -> tuple[tuple[str, str], ...]:
    """(kind, key) of every prediction and quick check on a page; none where it cannot be read."""
    try:
        return _asked_on(path, path.stat().st_mtime_ns)
    except OSError:
        return ()


@functools.lru_cache(maxsize=256)
def _asked_on(path: Path, changed_ns: int) -> tuple[tuple[str, str], ...]:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError):
        return ()
    return tuple((_ASKED[name], key) for source in code for name, key in _ASKS.findall(source))


# --------------------------------------------------------------------------------------- file


class _Unreadable(Exception):
    """The file cannot be used and must not be overwritten."""


def _save() -> None:
    """Bring every unsaved entry to disk: lock, read, add, replace."""
    with _lock(paths.state_dir()) as folder:
        records = _with(_read(folder), _unsaved)
        text = json.dumps({"schema": SCHEMA, "records": records}, indent=1, ensure_ascii=False)
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{FILE}-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, folder / FILE)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _unsaved.clear()


def _read(folder: Path) -> Records:
    """The records on disk. A damaged file is moved aside; the caller holds the lock."""
    path = folder / FILE
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        data = json.loads(text)
        schema = data["schema"]
        if isinstance(schema, int) and schema > SCHEMA:
            raise _Unreadable(
                f"{path} was written by a newer version of the course (schema {schema}, this one "
                f"knows {SCHEMA}): update the course; the file is left as it is"
            )
        return _checked(data["records"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        aside = _free_name(folder)
        try:
            os.replace(path, aside)
        except OSError as denied:
            raise _Unreadable(f"{path} is damaged and cannot be moved aside ({denied})") from error
        print(
            f"progress: {FILE} was damaged ({type(error).__name__}: {error}); "
            f"it is kept as {aside}, and a new record begins."
        )
        return {}


def _checked(records: Any) -> Records:
    if not isinstance(records, dict) or not all(isinstance(k, dict) for k in records.values()):
        raise ValueError("records are not an object of objects")
    for keys in records.values():
        for entries in keys.values():
            if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
                raise ValueError("entries are not a list of objects")
    return records


def _free_name(folder: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (f"{FILE}.damaged-{stamp}" + (f"-{n}" if n else "") for n in range(1000))
    return next(folder / name for name in names if not (folder / name).exists())


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[Path]:
    """Hold the record for this process; give up after ``LOCK_WAIT_S`` rather than hang a cell."""
    try:
        import fcntl
    except ImportError:  # no fcntl on Windows: atomic replacement has to do
        yield folder
        return
    with open(folder / "progress.lock", "a") as file:
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise _Unreadable("another program holds progress.lock") from None
                time.sleep(0.01)
        yield folder


# ------------------------------------------------------------------------------------- helpers


def _with(records: Records, pending: list[tuple[str, str, dict[str, Any]]]) -> Records:
    merged = {
        kind: {key: list(entries) for key, entries in keys.items()}
        for kind, keys in records.items()
    }
    for kind, key, entry in pending:
        merged.setdefault(kind, {}).setdefault(key, []).append(entry)
    return merged


def _switched_off() -> bool:
    return os.environ.get("SYSLAB_NO_PROGRESS", "") not in ("", "0")


def _say(problem: str) -> None:
    """One line on stdout (stderr costs marks under nbgrader), once per problem."""
    line = "progress not saved, the rest works: " + " ".join(str(problem).split())
    if line not in _said:
        _said.add(line)
        print(line)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _under(key: str, parent: str) -> bool:
    return key.startswith(parent + "/")


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _plain(value: Any) -> Any:
    """Reduce to what JSON holds: NumPy scalars and arrays become numbers and lists."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return str(value)
