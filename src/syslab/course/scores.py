"""Points and reasons of the graded cells of an executed notebook.

The rules are nbgrader's: an error is worth nothing, a float as the cell's result is partial
credit, anything else is full marks; text on stderr is ignored, as the course's configuration
does in grading. They are repeated here because a learner's check should not wait for nbgrader
to be imported; a test holds the two against each other.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# A long line is printed in several; those that go on are indented.
_LINE = re.compile(r"^(PASS|FAIL)( \(hidden\))?\s+(.*(?:\n {6}.*)*)$", re.MULTILINE)


@dataclass(frozen=True)
class CheckLine:
    """One printed check: its outcome, whether it is a hidden one, its label and reason."""

    passed: bool
    hidden: bool
    text: str


@dataclass(frozen=True)
class CellScore:
    """One graded cell.

    `by_hand` says that a person marks it; `points` is then None, or 0 where nothing was written.
    `passed` and `failed` hold the printed checks (a failed one with its reason), `error` the
    exception that ended the cell, `answer_error` the one that ended its answer cell. `answered`
    says whether the learner changed the answer's stub.
    """

    exercise: str
    grade_id: str
    points: float | None
    max_points: float
    passed: tuple[str, ...]
    failed: tuple[str, ...]
    error: str
    answered: bool
    by_hand: bool
    answer_error: str = ""

    @property
    def full(self) -> bool:
        return self.points is not None and self.points >= self.max_points

    @property
    def reason(self) -> str:
        """The first thing to mend, empty when there is none."""
        if self.full or self.points is None:
            return ""
        if not self.answered:
            return "no answer yet"
        if self.answer_error:
            return f"the answer cell stopped with {self.answer_error}"
        if self.failed:
            return self.failed[0]
        return self.error or "not all checks passed"


def of(notebook: Any) -> list[CellScore]:
    """The graded cells of an executed notebook, in order."""
    marked = [(c, c.metadata.get("nbgrader") or {}) for c in notebook.cells]
    answers = {meta["grade_id"]: c for c, meta in marked if meta.get("solution")}
    return [
        _score(cell, meta, answers.get(exercise(meta["grade_id"])))
        for cell, meta in marked
        if meta.get("grade") or meta.get("task")
    ]


def exercise(grade_id: str) -> str:
    """The exercise a graded cell belongs to: ``test-ridge`` marks ``ridge``."""
    return grade_id.removeprefix("test-")


def is_answered(cell: Any) -> bool:
    """Whether an answer cell differs from the stub that was released."""
    stub = (cell.metadata.get("nbgrader") or {}).get("checksum")
    return stub is None or stub != checksum(cell)


def checksum(cell: Any) -> str:
    """nbgrader's checksum of a cell: its text, type, marks, grade id and points."""
    meta = cell.metadata["nbgrader"]
    grade, solution = bool(meta.get("grade")), bool(meta.get("solution"))
    locked = not solution and (grade or bool(meta.get("locked")))
    parts = [cell.source, cell.cell_type, str(grade), str(solution), str(locked), meta["grade_id"]]
    if grade:
        parts.append(str(float(meta["points"])))
    return hashlib.md5("".join(parts).encode(), usedforsecurity=False).hexdigest()


def printed(cell: Any) -> str:
    """What a code cell wrote to stdout."""
    return "".join(
        "".join(o.text)
        for o in cell.get("outputs", [])
        if o.output_type == "stream" and o.name == "stdout"
    )


def checks(cell: Any) -> list[CheckLine]:
    """The checks whose outcome a code cell printed."""
    found = _LINE.finditer(printed(cell))
    return [CheckLine(m[1] == "PASS", bool(m[2]), " ".join(m[3].split())) for m in found]


def error(cell: Any) -> str:
    """``Name: message`` of the exception that ended the cell, empty without one."""
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            text = _ANSI.sub("", f"{output.ename}: {output.evalue}").strip(": \n")
            return text.split("\n")[0]
    return ""


def _score(cell: Any, meta: Any, answer: Any | None) -> CellScore:
    answered = answer is None or is_answered(answer)
    most = float(meta.get("points") or 0.0)
    lines = checks(cell)
    return CellScore(
        exercise=exercise(meta["grade_id"]),
        grade_id=meta["grade_id"],
        points=_points(cell, meta, most, answered),
        max_points=most,
        passed=tuple(line.text for line in lines if line.passed),
        failed=tuple(line.text for line in lines if not line.passed),
        error=error(cell),
        answered=answered,
        by_hand=bool(meta.get("task") or meta.get("solution") or cell.cell_type != "code"),
        answer_error="" if answer is None else error(answer),
    )


def _points(cell: Any, meta: Any, most: float, answered: bool) -> float | None:
    if meta.get("task"):
        return None
    if meta.get("solution"):
        return None if answered else 0.0
    if cell.cell_type != "code":
        return None
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            return 0.0
        if output.output_type == "execute_result":
            return _partial("".join(output.data.get("text/plain", "")), most)
    # A cell that never ran (a dead kernel) has not passed.
    return most if cell.get("execution_count") is not None else 0.0


def _partial(text: str, most: float) -> float:
    try:
        points = float(text)
    except ValueError:
        return most
    return min(points, most) if points >= 0 else most
