"""Item analysis: how each graded cell of an assignment behaved in the class.

*Difficulty* is the mean share of the points earned, 0 to 1: a high value is an easy cell (the item
difficulty p of the textbooks, for partial credit).

*Discrimination* is Pearson's correlation between the points in the cell and the points in the rest
of the assignment, the cell itself left out; for a cell that is right or wrong it is the
point-biserial correlation. With the cell left in, it would correlate with itself and look better
the fewer cells there are. Cells that await a mark for anybody belong to nobody's rest. The 95 %
interval is Fisher's.

Sources: L. Crocker and J. Algina, *Introduction to Classical and Modern Test Theory* (1986),
ch. 14; S. Henrysson, "Correction of item-total correlations in item analysis", Psychometrika 28
(1963), 211-218; the limits of the flags after the guide to Moodle's quiz statistics
(docs.moodle.org, "Quiz report statistics").
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from syslab.course import scores
from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError
from syslab.grading import book, sheets

TOO_EASY = 0.95  # mean share from which a cell is "extremely easy"
TOO_HARD = 0.20  # and up to which it is "difficult" or worse
FLAG_FROM = 10  # students below which no flag is raised: one of them moves a mean by 0.1 and more
Z_95 = statistics.NormalDist().inv_cdf(0.975)
TINY = 1e-9
MAX_NOTEBOOK_BYTES = 64 * 2**20  # an autograded notebook above this is not read
MAX_REASON = 160  # characters of a reason that are shown

_CARD = re.compile(r"at most (\d+) minutes?")
_CLOCK = (
    ("iopub.execute_input", "shell.execute_reply"),
    ("iopub.status.busy", "iopub.status.idle"),
)

_DAMAGED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)  # what bad JSON gives

Key = tuple[str, str]  # notebook, grade id


@dataclass(frozen=True)
class Wrong:
    """The check that failed most often: its line, and how many answers it failed.

    Of a hidden check `text` is the reason alone: neither its name nor its input.
    """

    text: str
    count: int
    hidden: bool = False


@dataclass(frozen=True)
class Item:
    """One graded cell.

    `n` students are marked, `awaiting` are not. Shares are of `n`, from 0 to 1, and None where
    nothing can be said; `unanswered` are those who left the stub, `full` and `zero` those with all
    points and with none. `minutes` is what the effort card allows, `run_s` the median run time of
    the exercise's cells where nbgrader recorded it.
    """

    notebook: str
    cell: str
    points: float
    by_hand: bool
    n: int
    awaiting: int
    difficulty: float | None
    discrimination: float | None
    interval: tuple[float, float] | None
    full: float | None
    zero: float | None
    unanswered: float | None
    minutes: int | None = None
    run_s: float | None = None
    wrong: Wrong | None = None
    flags: tuple[str, ...] = ()

    @property
    def exercise(self) -> str:
        return scores.exercise(self.cell)


@dataclass(frozen=True)
class Analysis:
    """All items of an assignment, in the notebook's order; `unread` names students whose
    autograded notebook is missing or damaged, so that its checks could not be counted."""

    assignment: str
    students: int
    items: tuple[Item, ...]
    unread: tuple[str, ...] = ()


@dataclass
class Seen:
    """What autograded notebooks told of one graded cell, counted over students."""

    failures: Counter[tuple[str, bool]] = field(default_factory=Counter)
    texts: dict[tuple[str, bool], Counter[str]] = field(default_factory=dict)
    run_s: list[float] = field(default_factory=list)

    def add(self, failed: Mapping[tuple[str, bool], str], run_s: float | None) -> None:
        """Count one student's failed checks, each with its reason, and the run time."""
        for check, reason in failed.items():
            self.failures[check] += 1
            self.texts.setdefault(check, Counter())[reason] += 1
        if run_s is not None:
            self.run_s.append(run_s)

    @property
    def wrong(self) -> Wrong | None:
        """The check that failed most often, told by its most frequent reason.

        Among equals a public check comes first, then the one a notebook prints first.
        """
        if not self.failures:
            return None
        check, count = min(self.failures.items(), key=lambda i: (-i[1], i[0][1]))
        text = min(self.texts[check].items(), key=lambda i: (-i[1], i[0]))[0]
        return Wrong(_short(text), count, hidden=check[1])


# ---------------------------------------------------------------------------------- analysis


def analyse(gradebook: Any, assignment: Assignment) -> Analysis:
    """Analyse every graded cell of `assignment` as the gradebook stands.

    Three queries whatever the class size, then one autograded notebook at a time.

    Raises
    ------
    CourseError
        When the assignment was never generated, or nobody's submission was graded.
    """
    book.work(gradebook, assignment.name)
    grades = book.grades(gradebook, assignment.name)
    if not any(g.marked is not None for g in grades):
        raise CourseError(
            f"nothing of {assignment.name} is graded yet.",
            f"`syslab grade {assignment.name}` collects and grades what was handed in.",
        )
    cells, left = book.unanswered(gradebook, assignment.name)
    everybody = sorted({g.student for g in grades})
    notebooks = sorted({g.notebook for g in grades})
    seen, unread = read(assignment.root / "autograded", assignment, everybody, notebooks)
    plan = {name: layout(assignment, name) for name in notebooks}
    items = [
        _with_notebooks(item, seen.get((item.notebook, item.cell)), plan[item.notebook])
        for item in measure(grades, cells, left)
    ]
    items.sort(key=lambda i: (i.notebook, plan[i.notebook].get(i.cell, (math.inf,))[0], i.cell))
    return Analysis(assignment.name, len(everybody), tuple(items), tuple(unread))


def measure(
    grades: Sequence[book.Grade],
    answer_cells: Iterable[Key] = (),
    left: Iterable[tuple[str, str, str]] = (),
) -> list[Item]:
    """The numbers of every item from its `grades` alone.

    Parameters
    ----------
    grades
        Every grade of one assignment.
    answer_cells, left
        As `book.unanswered` gives them: without its answer cell an item's `unanswered` is None.
    """
    marks: dict[Key, dict[str, float]] = defaultdict(dict)
    first: dict[Key, book.Grade] = {}
    awaiting: Counter[Key] = Counter()
    by_hand: set[Key] = set()
    for grade in grades:
        key = (grade.notebook, grade.cell)
        first.setdefault(key, grade)
        if grade.marked is None:
            by_hand.add(key)
        if grade.marked is None or grade.needs_human:  # also what was refused or flagged
            awaiting[key] += 1
        else:
            marks[key][grade.student] = grade.marked
            if grade.auto is None:
                by_hand.add(key)
    everybody = {g.student for g in grades}
    complete = [key for key in first if len(marks[key]) == len(everybody)]
    total: dict[str, float] = dict.fromkeys(everybody, 0.0)
    for key in complete:
        for student, points in marks[key].items():
            total[student] += points
    answer_cells, left = set(answer_cells), set(left)

    items = []
    for key, grade in first.items():
        mine = marks[key]
        own = key in complete
        others = len(complete) - own
        rest = [total[s] - (mine[s] if own else 0.0) for s in mine]
        answer = (key[0], scores.exercise(key[1]))
        stubs = sum((s, *answer) in left for s in mine) if answer in answer_cells else None
        n, most = len(mine), grade.points
        r = correlation(list(mine.values()), rest) if others else None
        difficulty = sum(mine.values()) / n / most if n and most > 0 else None
        items.append(
            Item(
                notebook=key[0],
                cell=key[1],
                points=most,
                by_hand=key in by_hand,
                n=n,
                awaiting=awaiting[key],
                difficulty=difficulty,
                discrimination=r,
                interval=fisher(r, n),
                full=_share(sum(p >= most - TINY for p in mine.values()), n),
                zero=_share(sum(p <= TINY for p in mine.values()), n),
                unanswered=None if stubs is None else _share(stubs, n),
                flags=flags(n, difficulty, r),
            )
        )
    return items


def correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Pearson's correlation; None for fewer than 3 pairs or where one side does not vary."""
    if len(x) < 3 or max(x) - min(x) < TINY or max(y) - min(y) < TINY:
        return None
    return statistics.correlation(x, y)


def fisher(r: float | None, n: int) -> tuple[float, float] | None:
    """The 95 % interval of a correlation of `n` pairs; None below 4 pairs."""
    if r is None or n < 4:
        return None
    if abs(r) >= 1 - TINY:
        return (r, r)
    middle, reach = math.atanh(r), Z_95 / math.sqrt(n - 3)
    return (math.tanh(middle - reach), math.tanh(middle + reach))


def flags(n: int, difficulty: float | None, discrimination: float | None) -> tuple[str, ...]:
    """What to look at: the words of the report, none below ``FLAG_FROM`` students."""
    if n < FLAG_FROM or difficulty is None:
        return ()
    found = []
    if difficulty >= TOO_EASY:
        found.append("too easy")
    if difficulty <= TOO_HARD:
        found.append("too hard")
    if discrimination is not None and discrimination < -TINY:
        found.append("negative discrimination")
    return tuple(found)


def _share(count: int, n: int) -> float | None:
    return count / n if n else None


# --------------------------------------------------------------------------------- notebooks


def read(
    folder: Path, assignment: Assignment, students: Iterable[str], notebooks: Sequence[str]
) -> tuple[dict[Key, Seen], list[str]]:
    """Count the failed checks in the autograded notebooks below `folder`, one file at a time.

    Returns
    -------
    seen, unread
        What was seen of each graded cell, and the students without a readable notebook.
    """
    seen: dict[Key, Seen] = defaultdict(Seen)
    unread = []
    labels = {name: _labels(assignment, name) for name in notebooks}
    for student in students:
        try:
            for name in notebooks:
                path = _notebook_of(folder, student, assignment.name, name)
                for cell, failed, run_s in _observed(_graded_cells(path), labels[name]):
                    seen[name, cell].add(failed, run_s)
        except (OSError, *_DAMAGED):
            unread.append(student)
    return seen, unread


def _notebook_of(folder: Path, student: str, assignment: str, name: str) -> Path:
    """The file; FileNotFoundError where the id of the student would lead out of `folder`."""
    if student in (".", "..") or {"/", "\\", "\0"} & set(student):
        raise FileNotFoundError(student)
    return folder / student / assignment / f"{name}.ipynb"


def _graded_cells(path: Path) -> Any:
    """The notebook at `path`, reduced to the cells that nbgrader knows."""
    from nbformat.v4 import nbjson

    if path.stat().st_size > MAX_NOTEBOOK_BYTES:
        raise ValueError(f"{path} is too large")
    data = json.loads(path.read_text(encoding="utf-8"))
    kept = [c for c in data["cells"] if "grade_id" in (c["metadata"].get("nbgrader") or {})]
    return nbjson.JSONReader().to_notebook({"cells": kept, "metadata": {}})


def _observed(
    notebook: Any, labels: Mapping[str, Collection[str]]
) -> list[tuple[str, dict[tuple[str, bool], str], float | None]]:
    """Grade id, failed checks and run time of every graded cell."""
    by_id = {c.metadata.nbgrader.grade_id: c for c in notebook.cells}
    found = []
    for score in scores.of(notebook):
        cell = by_id[score.grade_id]
        times = [_run_s(c) for c in (cell, by_id.get(score.exercise)) if c is not None]
        known = [t for t in times if t is not None]
        failed = (
            {}
            if score.full or not score.answered
            else _failed(cell, score, labels.get(score.grade_id, ()))
        )
        found.append((score.grade_id, failed, sum(known) if known else None))
    return found


def _failed(
    cell: Any, score: scores.CellScore, labels: Collection[str]
) -> dict[tuple[str, bool], str]:
    """The reason of every failed check by its name and whether it is a hidden one."""
    failed: dict[tuple[str, bool], str] = {}
    if cell.cell_type != "code":
        return failed
    for line in scores.checks(cell):
        if not line.passed:
            label, reason = split(line.text, labels)
            failed.setdefault((label, line.hidden), reason if line.hidden else line.text)
    said = score.answer_error or score.error
    if said and not failed:
        failed[f"stopped with {said.partition(':')[0]}", False] = f"stopped with {said}"
    return failed


def split(text: str, labels: Collection[str]) -> tuple[str, str]:
    """Name and reason of a failed check, whose line reads ``name: reason``.

    A name may hold a colon itself, so it is looked for among the `labels` the reference passes.
    Of one that is not there the reason begins after the last colon: it never holds a name.
    """
    known = [name for name in labels if text == name or text.startswith(f"{name}: ")]
    if known:
        name = max(known, key=len)
        return name, text[len(name) + 2 :] or "fails"
    return text.partition(": ")[0], text.rpartition(": ")[2] if ": " in text else "fails"


def _labels(assignment: Assignment, name: str) -> dict[str, set[str]]:
    """The names of all checks by grade id, from the reference's stored output."""
    try:
        cells = _graded_cells(assignment.source / f"{name}.ipynb").cells
        return {
            c.metadata.nbgrader.grade_id: {line.text for line in scores.checks(c) if line.passed}
            for c in cells
            if c.cell_type == "code"
        }
    except (OSError, *_DAMAGED):
        return {}


def _run_s(cell: Any) -> float | None:
    """Seconds a cell ran, where the kernel's clock was recorded (``record_timing``)."""
    from datetime import datetime

    clock = cell.metadata.get("execution") or {}
    for begin, end in _CLOCK:
        try:
            taken = datetime.fromisoformat(clock[end]) - datetime.fromisoformat(clock[begin])
        except (KeyError, TypeError, ValueError):
            continue
        return max(0.0, taken.total_seconds())
    return None


def layout(assignment: Assignment, name: str) -> Mapping[str, tuple[int, int | None]]:
    """Place and minutes of every graded cell, from the released notebook or its source."""
    for folder in (assignment.release, assignment.source):
        try:
            cells = json.loads((folder / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        except (OSError, ValueError, KeyError):
            continue
        break
    else:
        return {}
    found: dict[str, tuple[int, int | None]] = {}
    minutes: int | None = None
    for place, cell in enumerate(cells):
        meta = cell["metadata"].get("nbgrader") or {}
        if cell["cell_type"] == "markdown" and not meta.get("grade"):
            card = _CARD.search("".join(cell["source"]))
            minutes = int(card[1]) if card else minutes
        if meta.get("grade") or meta.get("task"):
            found[meta["grade_id"]] = (place, minutes)
            minutes = None
    return found


def _with_notebooks(item: Item, seen: Seen | None, plan: Mapping[str, Any]) -> Item:
    times = seen.run_s if seen else []
    return replace(
        item,
        minutes=plan.get(item.cell, (0, None))[1],
        run_s=statistics.median(times) if times else None,
        wrong=seen.wrong if seen else None,
    )


def _short(text: str) -> str:
    text = sheets.one_line(text)
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 1].rstrip() + "…"


# ------------------------------------------------------------------------------------ report

_COLUMNS: dict[str, Callable[[Item], Any]] = {
    "notebook": lambda i: i.notebook,
    "cell": lambda i: i.cell,
    "exercise": lambda i: i.exercise,
    "points": lambda i: i.points,
    "marked_by": lambda i: "hand" if i.by_hand else "machine",
    "n": lambda i: i.n,
    "awaiting": lambda i: i.awaiting,
    "difficulty": lambda i: i.difficulty,
    "discrimination": lambda i: i.discrimination,
    "discrimination_low": lambda i: i.interval and i.interval[0],
    "discrimination_high": lambda i: i.interval and i.interval[1],
    "full": lambda i: i.full,
    "zero": lambda i: i.zero,
    "unanswered": lambda i: i.unanswered,
    "minutes_at_most": lambda i: i.minutes,
    "run_s": lambda i: i.run_s,
    "most_failed_check": lambda i: i.wrong and i.wrong.text,
    "failures": lambda i: i.wrong and i.wrong.count,
    "hidden": lambda i: i.wrong and i.wrong.hidden,
    "flags": lambda i: "; ".join(i.flags),
}


def to_csv(analysis: Analysis) -> str:
    """One line per graded cell; shares from 0 to 1, empty where nothing is known."""
    return sheets.table(
        list(_COLUMNS), ([of(i) for of in _COLUMNS.values()] for i in analysis.items)
    )


def to_text(analysis: Analysis) -> str:
    """The table a terminal shows, each cell with the check that failed most often."""
    width = max(len("exercise"), *(len(i.exercise) for i in analysis.items))
    lines = [
        f"{analysis.assignment}, submissions: {analysis.students}. Difficulty is the mean share of "
        "the points; discrimination",
        "the correlation with the rest of the assignment (95 % interval).",
        "",
        f"  {'exercise':<{width}}  points    n  difficulty  discrimination         "
        " full  zero  empty  flags",
    ]
    for i in analysis.items:
        between = f" ({i.interval[0]:+.2f} to {i.interval[1]:+.2f})" if i.interval else ""
        r = "-" if i.discrimination is None else f"{i.discrimination:+.2f}{between}"
        lines.append(
            f"  {i.exercise:<{width}}  {i.points:>6g}  {i.n:>3}  {_percent(i.difficulty):>10}"
            f"  {r:<22} {_percent(i.full):>5} {_percent(i.zero):>5}  {_percent(i.unanswered):>5}"
            f"  {', '.join(i.flags)}".rstrip()
        )
        if i.awaiting:
            lines.append(f"  {'':<{width}}  {i.awaiting} await a human's mark")
        if i.wrong:
            hidden = "a hidden check: " if i.wrong.hidden else ""
            lines.append(f"  {'':<{width}}  {i.wrong.count} × {hidden}{i.wrong.text}")
    if analysis.students < FLAG_FROM:
        lines.append(f"\nFewer than {FLAG_FROM} submissions: no cell is flagged.")
    if analysis.unread:
        few = ", ".join(sheets.one_line(s) for s in analysis.unread[:5])
        more = f" and {len(analysis.unread) - 5} more" if len(analysis.unread) > 5 else ""
        lines.append(
            f"\nNo readable autograded notebook of {few}{more}: their checks are not counted."
        )
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f}%"
