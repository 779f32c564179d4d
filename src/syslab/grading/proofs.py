"""Prove that the checks of an assignment tell right from wrong.

Every answer in question is put where the learner's would stand (after what the stub cell gives),
and the test cell runs on it with its hidden checks: the released stub, the reference, the
reference made noisy, and the answers written down in ``tests/proofs/<assignment>.toml``::

    [[ridge.wrong]]
    name = "turned round"
    message = "bandwidth over peak"      # must be in what the check prints
    code = "def ridge(peak, bandwidth): return bandwidth / peak"

    [[ridge.right]]
    name = "NumPy scalars"
    code = "def ridge(peak, bandwidth): return np.float64(peak) / bandwidth"

The notebook runs once, in one process; each answer is tried in a fork of it, taken where the
answer cell stands. That makes some eighty trials a matter of seconds.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from syslab.course.errors import CourseError
from syslab.course.notebooks import canonical, inprocess
from syslab.course.notebooks.rules import graded

STUB, REFERENCE, NOISY, WRONG, RIGHT = "stub", "reference", "noisy", "wrong", "right"
TRIAL_LIMIT_S = float(os.environ.get("SYSLAB_TRIAL_LIMIT_S", "60"))
RUN_LIMIT_S = 600.0
# One thread each: a fork of a process with worker threads may hang in the child.
_ALONE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Variant:
    """One answer to one exercise. `code` is empty for those that come from the notebook."""

    exercise: str
    kind: str
    name: str
    code: str = ""
    message: str = ""

    def __str__(self) -> str:
        return f"{self.exercise}: {self.kind}" + (f" ({self.name})" if self.code else "")


@dataclass(frozen=True)
class Outcome:
    """What the test cell made of a variant.

    `output` is everything it printed, `stderr` must be empty (nbgrader takes it for a failure),
    `error` is the last line of an exception that left the test cell, `raised` of one that left
    the answer cell (a stub that defines a variable raises; a right answer does not).
    """

    variant: Variant
    score: float
    points: float
    output: str
    stderr: str
    error: str
    raised: str = ""


def exercises(notebook: Any) -> dict[str, float]:
    """Exercise id -> points, in the notebook's order."""
    return {
        _exercise(cell): float(cell.metadata["nbgrader"]["points"])
        for cell in notebook.cells
        if graded.is_test(cell)
    }


def variants(notebook: Any, proofs: Path) -> list[Variant]:
    """All answers to try: three from the notebook itself, the others from the `proofs` file.

    Raises
    ------
    CourseError
        When the file is damaged, names an exercise that does not exist, or an entry lacks
        something.
    """
    try:
        tables = tomllib.loads(proofs.read_text(encoding="utf-8")) if proofs.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{proofs} is not readable ({error})", "mend it") from None
    known = exercises(notebook)
    unknown = sorted(set(tables) - set(known))
    if unknown:
        raise CourseError(
            f"{proofs}: no exercise {unknown[0]!r}", f"the notebook has {', '.join(known)}"
        )
    found = []
    for exercise in known:
        found += [Variant(exercise, kind, kind) for kind in (STUB, REFERENCE, NOISY)]
        entries = tables.get(exercise, {})
        stray = sorted(set(entries) - {WRONG, RIGHT})
        if stray:
            raise CourseError(f"{proofs}: [{exercise}] has {stray[0]!r}", "use wrong or right")
        for kind in (WRONG, RIGHT):
            found += [_written(proofs, exercise, kind, entry) for entry in entries.get(kind, [])]
    seen: set[tuple[str, str]] = set()
    for variant in found:
        if (variant.exercise, variant.name) in seen:
            raise CourseError(f"{proofs}: [{variant.exercise}] {variant.name!r} twice", "rename it")
        seen.add((variant.exercise, variant.name))
    return found


def _written(proofs: Path, exercise: str, kind: str, entry: dict[str, str]) -> Variant:
    needed = {"name", "code"} | ({"message"} if kind == WRONG else set())
    if set(entry) != needed or not all(str(entry[key]).strip() for key in needed):
        raise CourseError(
            f"{proofs}: [[{exercise}.{kind}]] {entry.get('name', '')!r} has {sorted(entry)}",
            f"give it {', '.join(sorted(needed))} and nothing else",
        )
    return Variant(exercise, kind, entry["name"], entry["code"], entry.get("message", ""))


def prove(notebook: str | Path, trials: Sequence[Variant]) -> list[Outcome]:
    """Try every variant against the test cells of the notebook at `notebook`.

    Runs in a process of its own, in a copy of the assignment's folder.

    Raises
    ------
    CourseError
        When this system cannot fork, or a cell outside the exercises fails.
    """
    if not hasattr(os, "fork"):
        raise CourseError("proofs need os.fork, which this system lacks", "use Linux or macOS")
    import shutil

    notebook = Path(notebook).resolve()
    with tempfile.TemporaryDirectory(prefix="syslab-") as scratch:
        folder = Path(scratch) / notebook.parent.name
        shutil.copytree(notebook.parent, folder)
        request, reply = Path(scratch) / "request.json", Path(scratch) / "reply.json"
        request.write_text(json.dumps([asdict(trial) for trial in trials]), encoding="utf-8")
        environment = {
            **os.environ,
            **dict.fromkeys(_ALONE, "1"),
            "MPLBACKEND": "Agg",
            "SYSLAB_NO_PROGRESS": "1",
            "SYSLAB_STATE": scratch,
        }
        command = [sys.executable, "-m", __name__, notebook.name, str(request), str(reply)]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=RUN_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CourseError(
                f"{notebook}: the proofs took longer than {RUN_LIMIT_S:g} s",
                "see which cell does not end: `syslab nb run`",
            ) from None
        if not reply.exists():
            said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise CourseError(f"{notebook}: the proofs stopped: {said[-1]}", "mend it")
        answer = json.loads(reply.read_text(encoding="utf-8"))
    if isinstance(answer, str):
        raise CourseError(f"{notebook}: {answer}", "mend it; `syslab nb run` shows more")
    return [Outcome(**{**row, "variant": Variant(**row["variant"])}) for row in answer]


# -------------------------------------------------------------------- inside the new process


class _Prover:
    """Runs the notebook; at each exercise tries the variants in forks."""

    def __init__(self, notebook: Any, trials: Sequence[Variant]) -> None:
        self.cells = notebook.cells
        self.stubs = _stubs(notebook)
        self.trials = trials
        self.session = inprocess.Session()
        self.running: list[tuple[int, int, Variant, float, float]] = []
        self.outcomes: list[Outcome] = []

    def run(self) -> list[Outcome]:
        with contextlib.redirect_stdout(io.StringIO()):
            for index, cell in enumerate(self.cells):
                if cell.cell_type != "code":
                    continue
                if graded.is_stub(cell) and graded.is_test(self.cells[index + 1]):
                    self._try_all(cell, self.cells[index + 1])
                try:
                    self.session.run(cell.source, cell.id)
                except Exception as error:
                    last = traceback.format_exception_only(error)[-1].strip()
                    raise CourseError(f"[{cell.id}] stopped with {last}") from None
            self._collect(0)
        return self.outcomes

    def _try_all(self, answer: Any, test: Any) -> None:
        exercise = _exercise(test)
        points = float(test.metadata["nbgrader"]["points"])
        mine = [trial for trial in self.trials if trial.exercise == exercise]
        mine.sort(key=lambda trial: trial.kind != REFERENCE)
        for trial in mine:
            self._collect(max(1, os.cpu_count() or 1) - 1)
            # What the stub cell gives (data, say) is there for a written answer as for a learner.
            given = self._stub(answer) if trial.code else ""
            self._fork(trial, [given, self._source(trial, answer)], test.source, points)
            if trial.kind == REFERENCE:
                self._collect(0)

    def _stub(self, answer: Any) -> str:
        return self.stubs[answer.metadata["nbgrader"]["grade_id"]]

    def _source(self, trial: Variant, answer: Any) -> str:
        if trial.kind == STUB:
            return self._stub(answer)
        if trial.kind == NOISY:
            return answer.source + "\n" + _noise(answer.source)
        return answer.source if trial.kind == REFERENCE else trial.code

    def _fork(self, trial: Variant, answers: list[str], test: str, points: float) -> None:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:  # never returns into the parent's code, whatever happens
            status = 1
            try:
                os.close(read)
                with os.fdopen(write, "w", encoding="utf-8") as pipe:
                    json.dump(_judge(self.session, answers, test), pipe)
                status = 0
            finally:
                os._exit(status)
        os.close(write)
        self.running.append((child, read, trial, points, time.monotonic() + TRIAL_LIMIT_S))

    def _collect(self, most: int) -> None:
        """Wait for the oldest trials until at most `most` are running."""
        while len(self.running) > most:
            child, read, trial, points, deadline = self.running.pop(0)
            text, ended = _read_all(read, deadline)
            if not ended:
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            lost = "the process died" if ended else f"took longer than {TRIAL_LIMIT_S:g} s"
            nothing = {"score": 0.0, "output": "", "stderr": "", "error": lost}
            said = json.loads(text) if ended and text else nothing
            for name in said.pop("imported", ()):
                # Once here, so that the trials that follow need not import it each for itself.
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
            self.outcomes.append(Outcome(trial, points=points, **said))


def _judge(session: inprocess.Session, answers: list[str], test: str) -> dict[str, Any]:
    """Run the answers in turn, then the test cell; an answer that raises is passed over.

    So does nbgrader. Of the answers the last one counts.
    """
    out, err, unseen = io.StringIO(), io.StringIO(), io.StringIO()
    raised, error, score = "", "", None
    before = set(sys.modules)
    with contextlib.redirect_stdout(unseen), contextlib.redirect_stderr(unseen):
        for answer in answers:
            raised = ""
            try:
                session.run(answer, "answer")
            except BaseException as caught:
                raised = traceback.format_exception_only(caught)[-1].strip()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            score = session.run(test, "test")
        except BaseException as caught:
            error = traceback.format_exception_only(caught)[-1].strip()
    if not error and not isinstance(score, float):
        error = f"the test cell ends with {score!r}, not with check.score()"
    return {
        "score": score if isinstance(score, float) else 0.0,
        "output": out.getvalue(),
        "stderr": err.getvalue(),
        "error": error,
        "raised": raised,
        "imported": [name for name in sys.modules if name not in before],
    }


def _stubs(notebook: Any) -> dict[str, str]:
    """Grade id -> the answer cell as nbgrader releases it."""
    import copy

    from nbgrader.preprocessors import ClearSolutions

    released, _ = ClearSolutions().preprocess(copy.deepcopy(notebook), {})
    return {
        c.metadata["nbgrader"]["grade_id"]: c.source for c in filter(graded.is_stub, released.cells)
    }


def _noise(answer: str) -> str:
    """Code that makes every function of an answer warn and write to stderr when called."""
    names = [n.name for n in ast.parse(answer).body if isinstance(n, ast.FunctionDef)]
    rebinding = "".join(f"{name} = _noisy({name})\n" for name in names)
    return (
        "import functools as _functools, sys as _sys, warnings as _warnings\n"
        "def _noisy(function):\n"
        "    @_functools.wraps(function)\n"
        "    def noisy(*args, **kwargs):\n"
        "        _warnings.warn('a harmless warning')\n"
        "        print('a harmless line', file=_sys.stderr)\n"
        "        return function(*args, **kwargs)\n"
        "    return noisy\n"
        f"{rebinding}"
        "_warnings.warn('a harmless warning')\n"
    )


def _read_all(descriptor: int, deadline: float) -> tuple[str, bool]:
    """Everything a child writes until it closes its end; False when the deadline came first."""
    parts = []
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                return "", False
            part = os.read(descriptor, 1 << 16)
            if not part:
                return b"".join(parts).decode("utf-8"), True
            parts.append(part)
    finally:
        os.close(descriptor)


def _exercise(test: Any) -> str:
    return test.metadata["nbgrader"]["grade_id"].removeprefix("test-")


def _main(notebook: str, request: str, reply: str) -> None:
    trials = [Variant(**row) for row in json.loads(Path(request).read_text(encoding="utf-8"))]
    try:
        answer: Any = [asdict(o) for o in _Prover(canonical.read(notebook), trials).run()]
    except CourseError as error:
        answer = error.message
    Path(reply).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    _main(*sys.argv[1:])
