"""Points that were earned, told from points that were forged.

A learner's code and the checks share one process, so nothing that the notebook shows afterwards
is proof. The proof goes another way: while the cells run, a witness in the kernel
(`syslab.warm.integrity`) tells what each check found, signed, through a pipe. The reference
solution is run once in the same way. A test cell's points stand when

* the witness heard the same checks as in the reference run: from the same statements in the
  same order, of the same weight, with the same library functions behind their names;
* the points are what these checks come to;
* nothing the checks rest on was changed, and nobody looked into frames, memory or the like.

Anything else asks a person to look. What an answer reads (the hidden tests out of IPython's
history, a variable of the test cell) is found in its text and in what it shows.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from syslab import saved
from syslab.course import assignments, paths, scores
from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError
from syslab.grading import peeking, spool
from syslab.grading.engines import Engine
from syslab.grading.execute import Executed, Job
from syslab.grading.verdicts import LOOKS, Verdict
from syslab.warm import service

VERSION = "syslab-reference-2"
STUDENT = "the reference solution"
_LOADED = (
    "' '.join(m for m in __import__('sys').modules "
    f"if m[:6] == 'syslab' or '.' not in m or m in {service.MODULES})"
)
_COMPILED = (
    "__import__('json').dumps("
    "__import__('syslab.warm.compiled', fromlist=['signatures']).signatures())"
)
_PUBLIC = ("syslab.",)


@dataclass(frozen=True)
class Found:
    """One check of a test cell, as the witness tells it.

    `statement` is a digest of the statement it stands in, `closed` how many names were shut.
    """

    label: str
    weight: float
    hidden: bool
    statement: str
    closed: int


@dataclass(frozen=True)
class Tested:
    """What the reference solution shows of one test cell: its checks and its names' meanings."""

    points: float
    checks: tuple[Found, ...]
    names: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Reference:
    """The reference run of an assignment.

    `cells` maps each notebook to its test cells by grade id, `texts` each notebook to the texts
    of its cells (`peeking.Texts`), `modules` are what the notebooks import, `compiled` the
    course's functions that were compiled (`syslab.warm.compiled`).
    """

    cells: Mapping[str, Mapping[str, Tested]]
    texts: Mapping[str, peeking.Texts]
    modules: tuple[str, ...]
    compiled: tuple[tuple[str, str, str], ...] = ()

    @property
    def loaded_first(self) -> tuple[str, ...]:
        """What of `modules` is loaded before a learner's code runs.

        The course's own, so that nothing can stand in for them, and what takes long to load.
        """
        heavy = service.MODULES
        return tuple(m for m in self.modules if m.startswith(_PUBLIC) or m in heavy)


# ---------------------------------------------------------------------------------- reference


def reference(assignment: Assignment, engine: Engine, like: Job) -> Reference:
    """The reference run of `assignment`: from the last time, or made on `engine`.

    Parameters
    ----------
    assignment
        Its ``source`` is run, with all that lies beside it, also what learners do not get.
    engine
        Where submissions are going to be run too.
    like
        A job of a learner, whose limits and sandbox it gets.

    Raises
    ------
    CourseError
        When the reference solution does not get full points here: no learner could.
    """
    import nbformat

    names = sorted(like.notebooks)
    notebooks = {n: nbformat.read(assignment.source / n, as_version=4) for n in names}
    job = replace(
        like,
        student=STUDENT,
        notebooks={name: nbformat.writes(_cleared(nb)) for name, nb in notebooks.items()},
        files={
            path.as_posix(): (assignment.source / path).read_bytes()
            for path in assignments.files(assignment.source)
            if path.suffix != ".ipynb"
        },
        modules=(),
        probe=_LOADED,
        report=_COMPILED,
    )
    file = paths.state_dir(assignment.root) / "grading" / assignment.name / "reference.json"
    key = hashlib.sha256(f"{spool.key(job)}{_package()}{sys.version}{VERSION}".encode()).hexdigest()
    texts = {name: peeking.texts(notebook) for name, notebook in notebooks.items()}
    done = _kept(file, key)
    if done is None:
        done = next(iter(engine.run([job])))
        _require_full(assignment, done)
        file.parent.mkdir(parents=True, exist_ok=True)
        saved.write_whole(file, json.dumps({"key": key, "executed": asdict(done)}))
    return _from_run(done, texts)


def _cleared(notebook: Any) -> Any:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


@cache
def _package() -> str:
    """A digest of the package: its checks decide what the reference run shows."""
    import syslab

    digest = hashlib.sha256()
    for path in sorted(Path(syslab.__file__).parent.rglob("*.py")):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _kept(file: Path, key: str) -> Executed | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return Executed(**found["executed"]) if found["key"] == key else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _require_full(assignment: Assignment, done: Executed) -> None:
    if done.error:
        raise CourseError(
            f"the reference solution of {assignment.name} could not be run ({done.error}).",
            "Nothing was graded; mend that first.",
        )
    for name, ended in done.ended.items():
        raise CourseError(
            f"the reference solution of {assignment.name} did not run to its end here: "
            f"{ended.code} at {ended.cell} in {name}.",
            "Nothing was graded, because the learners' would not either: raise the limits, or "
            "mend the machine.",
        )
    for name in done.notebooks:
        for cell in _scored(done, name):
            if not cell.full:
                raise CourseError(
                    f"the reference solution of {assignment.name} gets {cell.points:g} of "
                    f"{cell.max_points:g} points for {cell.grade_id} here: {cell.reason}",
                    "Nothing was graded, because no learner could get more: run "
                    f"`syslab nb run source/{assignment.name}/{name}` to see why.",
                )


def _scored(done: Executed, name: str) -> list[scores.CellScore]:
    """The cells of a notebook that the machine marked."""
    import nbformat

    notebook = nbformat.reads(done.notebooks[name], as_version=4)
    return [c for c in scores.of(notebook) if not c.by_hand and c.points is not None]


def _from_run(done: Executed, texts: Mapping[str, peeking.Texts]) -> Reference:
    cells = {}
    loaded: set[str] = set()
    for name in done.notebooks:
        tested = {}
        for cell in _scored(done, name):
            said = done.evidence.get(name, {}).get(cell.grade_id, [])
            checks, names, _, _ = _sorted(said)
            tested[cell.grade_id] = Tested(cell.max_points, tuple(c for c, _ in checks), names)
        cells[name] = tested
        for answer in done.probes.get(name, {}).values():
            loaded.update(answer.strip("'\"").split())
    modules = sorted(m for m in loaded if not m.startswith("_"))
    compiled = {
        tuple(one)
        for answer in done.reports.values()
        for one in json.loads(ast.literal_eval(answer) if answer else "[]")
    }
    return Reference(cells, texts, tuple(modules), tuple(sorted(compiled)))


# ------------------------------------------------------------------------------------ judging


def judge(done: Executed, against: Reference) -> list[Verdict]:
    """What a person should look at before the points of an executed submission stand."""
    import nbformat

    found: list[tuple[str, str, str]] = []  # code, cell, what
    for name, text in done.notebooks.items():
        notebook = nbformat.reads(text, as_version=4)
        said = done.evidence.get(name, {})
        for cell, events in said.items():
            for event in events:
                if event[0] == "alarm":
                    found.append(("tampered", cell, _alarm(*event[1:])))
        for cell in _scored(done, name):
            tested = against.cells.get(name, {}).get(cell.grade_id)
            if tested is not None and cell.points:
                found += _doubts(notebook, cell, tested, said.get(cell.grade_id, []))
        if name in against.texts:
            earned = {cell.exercise for cell in _scored(done, name) if cell.points}
            signs = peeking.signs(notebook, against.texts[name], earned)
            found += [("hidden-tests-read", cell, what) for cell, what in signs]
    return list(_verdicts(found))


def _verdicts(found: Sequence[tuple[str, str, str]]) -> Iterator[Verdict]:
    """One for each code, with what was seen; a long list is cut."""
    for code in dict.fromkeys(code for code, _, _ in found):
        rows = [f"{what} (`{cell}`)" if cell else what for c, cell, what in found if c == code]
        rows = list(dict.fromkeys(rows))
        more = f", and {len(rows) - 3} more" if len(rows) > 3 else ""
        yield Verdict(code, f"{'; '.join(rows[:3])}{more}: {_ADVICE[code]}")


_ADVICE = {
    "tampered": f"{LOOKS}; hand in again without it.",
    "score-unproven": f"{LOOKS}; run the test cells as they are.",
    "early-exit": f"{LOOKS}; return a value instead of ending.",
    "hidden-tests-read": f"{LOOKS}; answer from the docstring alone.",
}


def _sorted(
    said: Sequence[Sequence[Any]],
) -> tuple[list[tuple[Found, bool]], dict[str, dict[str, str]], list[float], bool]:
    """What the witness said of a cell: checks and whether they passed, names, scores, and
    whether a check came after a score."""
    checks: list[tuple[Found, bool]] = []
    names: dict[str, dict[str, str]] = {}
    totals: list[float] = []
    late = False
    for event in said:
        if event[0] == "check" and len(event) == 7:
            label, weight, hidden, good, statement, closed = event[1:]
            checks.append((Found(label, weight, hidden, statement, closed), good))
            late = late or bool(totals)
        elif event[0] == "names" and len(event) == 3:
            names.setdefault(event[1], {}).update(event[2])
        elif event[0] == "score" and len(event) == 3:
            totals.append(event[1])
    return checks, names, totals, late


def _doubts(
    notebook: Any, cell: scores.CellScore, tested: Tested, said: Sequence[Sequence[Any]]
) -> Iterator[tuple[str, str, str]]:
    """Why the points of a test cell are not proven, if they are not."""
    checks, names, totals, late = _sorted(said)
    where = cell.grade_id
    if not totals:
        what = f"{len(checks)} of {len(tested.checks)} checks ran, and none of them counted"
        yield "early-exit" if checks else "score-unproven", where, what
        return
    same = _shape(check for check, _ in checks) == _shape(tested.checks)
    same = same and all(check.weight > 0 for check, _ in checks)
    if not same or len(totals) != 1 or late:
        yield "score-unproven", where, "not the checks of this cell were run"
        return
    earned = _points(tested.points, checks)
    shown = _shown(notebook, where)
    if not math.isclose(earned, cell.points or 0.0, abs_tol=1e-9):
        claimed = f"{cell.points:g} points are claimed, the checks came to {earned:g}"
        yield "score-unproven", where, claimed
    elif shown != [f"{earned!r}"]:
        yield "score-unproven", where, "the cell shows other results than its score"
    for statement, meant in tested.names.items():
        for name, meaning in meant.items():
            other = names.get(statement, {}).get(name)
            if other != meaning:
                yield "tampered", where, f"`{name}` is no longer {meaning}"


def _shape(checks: Iterable[Found]) -> list[tuple[str, int, bool, float]]:
    """The statements in their order: names shut, hidden or not, and what all of it weighs.

    Partial credit is given as one check that passes and one that fails, so how many there are
    and what each weighs depends on the answer; their sum does not.
    """
    weights: dict[tuple[str, int, bool], float] = {}
    for check in checks:
        place = (check.statement, check.closed, check.hidden)
        weights[place] = weights.get(place, 0.0) + check.weight
    return [(*place, round(weight, 6)) for place, weight in weights.items()]


def _points(most: float, checks: Sequence[tuple[Found, bool]]) -> float:
    """As `Check.score` computes it."""
    total = sum(check.weight for check, _ in checks)
    missed = sum(check.weight for check, good in checks if not good)
    if missed == 0:
        return most if total else 0.0
    return math.floor(most * (total - missed) / total * 100 + 1e-9) / 100


def _shown(notebook: Any, grade_id: str) -> list[str]:
    """The results that a test cell displays: its score and nothing else, one should think."""
    for cell in notebook.cells:
        if (cell.metadata.get("nbgrader") or {}).get("grade_id") == grade_id:
            results = [o for o in cell.outputs if o.output_type == "execute_result"]
            return ["".join(o.data.get("text/plain", "")) for o in results]
    return []


def _alarm(kind: str, detail: str) -> str:
    if kind in _ALARMS:
        return _ALARMS[kind].format(detail)
    for beginning, said in _KINDS:
        if kind.startswith(beginning):
            return said.format(detail)
    return f"{kind} {detail}"


_ALARMS = {
    "changed": "`{}` was replaced",
    "checks": "{}",
    "witness": "{}",
    "object.__getattr__": "an answer looked at the frames of its callers (`{}`)",
    "object.__setattr__": "`{}` was changed",
    "object.__delattr__": "`{}` was deleted",
    "open": "the memory of the process was opened",
    "compile": "code was compiled in the name of a library (`{}`)",
}
_KINDS = (
    ("sys._", "an answer looked at the frames of its callers (`{}`)"),
    ("gc.", "an answer searched the objects of the interpreter (`{}`)"),
    ("sys.set", "the program was traced (`{}`)"),
    ("ctypes.", "an answer reached into memory (`{}`)"),
    ("code.", "code objects were made by hand (`{}`)"),
    ("marshal.", "code objects were made by hand (`{}`)"),
    ("sys.addaudithook", "an audit hook was added (`{}`)"),
)
