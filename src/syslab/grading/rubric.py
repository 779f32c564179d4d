"""Rubric files: how a person marks the written cells of an assignment.

``source/<assignment>/rubric.toml`` holds dimensions with five levels each and a bank of comments;
``rubric-samples.toml`` beside it holds answers that were marked with it. Both are read and checked
here; `syslab.grading.marking` shows them beside the answer in Formgrader. Neither is released.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syslab.course.errors import CourseError

RUBRIC, SAMPLES = "rubric.toml", "rubric-samples.toml"
LEVELS = 5
LEVELS_LINE = "Rubric:"  # how the line begins that Formgrader's page writes into a comment
SHOWN = 8  # mistakes of one file; the rest is counted
TOP_KEYS = {"assignment", "cell", "cells", "points", "words_at_most", "dimension", "comments"}
DIMENSION_KEYS = {"name", "cell", "points", "asks", "levels"}


@dataclass(frozen=True)
class Dimension:
    """One thing that is marked: `levels[k]` describes what earns `worth[k]` points."""

    name: str
    cell: str
    points: float
    asks: str
    levels: tuple[str, ...]

    @property
    def worth(self) -> tuple[float, ...]:
        """Points of each level, from 0 to all of them, in equal steps."""
        return tuple(round(self.points * k / (LEVELS - 1), 4) for k in range(LEVELS))


@dataclass(frozen=True)
class Mark:
    """The level that a sample has in one dimension, and why."""

    dimension: str
    level: int
    why: str = ""


@dataclass(frozen=True)
class Sample:
    """One marked answer: a text for each cell, a mark for each dimension."""

    name: str
    texts: Mapping[str, str]
    marks: tuple[Mark, ...]
    note: str = ""


@dataclass(frozen=True)
class Rubric:
    """A whole rubric file; `words_at_most` has one entry for each cell with a limit of its own."""

    assignment: str
    cells: tuple[str, ...]
    dimensions: tuple[Dimension, ...]
    comments: Mapping[str, str]
    words_at_most: Mapping[str, int]

    def of(self, cell: str) -> tuple[Dimension, ...]:
        """The dimensions that are marked in the cell with that grade id."""
        return tuple(d for d in self.dimensions if d.cell == cell)

    def points(self, cell: str) -> float:
        """What the dimensions of a cell add up to."""
        return round(sum(d.points for d in self.of(cell)), 4)


class RubricError(CourseError):
    """Everything that is wrong with one file; `mistakes` are whole sentences."""

    def __init__(self, name: str, mistakes: Iterable[str]) -> None:
        found = tuple(mistakes)
        more = (f"And {len(found) - SHOWN} more.",) if len(found) > SHOWN else ()
        self.name, self.mistakes = name, found[:SHOWN] + more
        listed = "\n".join(f"  - {said}" for said in self.mistakes)
        super().__init__(f"{name} cannot be used:\n{listed}", "Correct the file and reload.")


# ------------------------------------------------------------------------------------- reading


def load(path: Path) -> Rubric:
    """Read and check a rubric.

    Raises
    ------
    RubricError
        With every mistake that was found, not only the first.
    """
    data = _toml(path)
    wrong: list[str] = []
    for key in sorted(set(data) - TOP_KEYS):
        wrong.append(f"`{key}` is not a key of a rubric; those are {_listed(sorted(TOP_KEYS))}.")
    cells = _cells(data, wrong)
    dimensions = tuple(
        made
        for number, entry in enumerate(_list(data, "dimension", wrong), 1)
        if (made := _dimension(entry, number, list(cells), wrong)) is not None
    )
    for name, times in Counter(d.name for d in dimensions).items():
        if times > 1:
            wrong.append(f"{times} dimensions are called '{name}'; give each its own name.")
    comments = _strings(data.get("comments", {}), "[comments]", wrong)
    limits = _limits(data.get("words_at_most"), list(cells), wrong)
    rubric = Rubric(str(data.get("assignment", "")), tuple(cells), dimensions, comments, limits)
    if not wrong:
        _add_up(rubric, cells, data, wrong)
    if wrong:
        raise RubricError(path.name, wrong)
    return rubric


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise RubricError(path.name, [f"It is not valid TOML: {error}."]) from None
    except UnicodeDecodeError:
        raise RubricError(path.name, ["It is not UTF-8 text: save it as UTF-8."]) from None
    except OSError as error:
        raise RubricError(path.name, [f"It cannot be read: {error.strerror}."]) from None


def _cells(data: dict[str, Any], wrong: list[str]) -> dict[str, float]:
    """Grade id and points of each cell, from `cells`, or from `cell` and `points`."""
    if isinstance(cells := data.get("cells"), dict) and cells and "cell" not in data:
        for name, points in cells.items():
            if not _is_number(points) or points <= 0:
                wrong.append(f"`cells`: points of {name} are {points!r}; write a number above 0.")
        return {name: float(p) for name, p in cells.items() if _is_number(p)}
    if isinstance(cell := data.get("cell"), str) and "cells" not in data:
        if not _is_number(data.get("points")):
            wrong.append("Points are missing: write `points = 3`, as many as the cell has.")
            return {cell: 0.0}
        return {cell: float(data["points"])}
    wrong.append(
        'The cell is missing: write `cell = "memo"` and `points = 3`, or for several cells '
        "`cells = { memo = 3, summary = 2 }`."
    )
    return {}


def _dimension(entry: Any, number: int, cells: list[str], wrong: list[str]) -> Dimension | None:
    if not isinstance(entry, dict):
        wrong.append(f"Dimension {number} is {entry!r}; begin it with a line [[dimension]].")
        return None
    name = entry.get("name")
    label = f"Dimension '{name}'" if isinstance(name, str) and name else f"Dimension {number}"
    found = len(wrong)
    for key in sorted(set(entry) - DIMENSION_KEYS):
        wrong.append(f"{label}: `{key}` is not known; use {_listed(sorted(DIMENSION_KEYS))}.")
    for key in ("name", "asks"):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            wrong.append(f"{label}: `{key}` is missing or empty.")
    if ";" in str(name):
        wrong.append(f"{label}: a semicolon in its name would divide the line of levels.")
    if not _is_number(entry.get("points")) or entry["points"] <= 0:
        wrong.append(f"{label}: `points` is {entry.get('points')!r}; write a number above 0.")
    levels = entry.get("levels")
    if not isinstance(levels, list) or not all(isinstance(x, str) and x for x in levels):
        wrong.append(f"{label}: `levels` must be a list of {LEVELS} texts, the lowest first.")
    elif len(levels) != LEVELS:
        wrong.append(
            f"{label} has {len(levels)} levels; write {LEVELS}, from no evidence to all of it."
        )
    cell = entry.get("cell", cells[0] if len(cells) == 1 else None)
    if cells and cell not in cells:
        said = f"`cell` is {cell!r}" if cell is not None else "`cell` is missing"
        wrong.append(f"{label}: {said}; the rubric is for {_listed(cells)}.")
    if len(wrong) > found or not cells:
        return None
    return Dimension(name, cell, float(entry["points"]), entry["asks"], tuple(levels))


def _limits(limit: Any, cells: list[str], wrong: list[str]) -> dict[str, int]:
    if limit is None:
        return {}
    if isinstance(limit, int) and limit > 0:
        return {cells[0]: limit} if len(cells) == 1 else {}  # one limit over several cells
    by_cell = isinstance(limit, dict) and set(limit) <= set(cells)
    if by_cell and all(isinstance(n, int) and n > 0 for n in limit.values()):
        return dict(limit)
    wrong.append(f"`words_at_most` is {limit!r}; write a number, or one for each of the cells.")
    return {}


def _add_up(
    rubric: Rubric, cells: dict[str, float], data: dict[str, Any], wrong: list[str]
) -> None:
    for cell, points in cells.items():
        if abs(rubric.points(cell) - points) > 1e-6:
            wrong.append(
                f"The dimensions of {cell} add up to {rubric.points(cell):g} points; "
                f"the rubric gives the cell {points:g}."
            )
    total = data.get("points")
    if _is_number(total) and abs(sum(cells.values()) - total) > 1e-6:
        wrong.append(f"The cells add up to {sum(cells.values()):g} points, not to {total:g}.")


# ------------------------------------------------------------------------------------- samples


def load_samples(path: Path, rubric: Rubric) -> tuple[Sample, ...]:
    """Read the marked samples of a rubric, in the order of the file.

    A sample is a ``[[sample]]`` with a name (or ``quality``), or a table of its own whose title is
    the name. Its texts are a table by cell. Its levels and reasons are tables by dimension, lists
    in the order of the rubric, entries ``{ level = 3, why = "..." }`` by dimension, or one
    ``[[sample.mark]]`` for each.

    Raises
    ------
    RubricError
        With every mistake that was found.
    """
    data = _toml(path)
    wrong: list[str] = []
    entries = data.get("sample")
    if not isinstance(entries, list):
        entries = [{"name": k, **v} for k, v in data.items() if isinstance(v, dict)]
    if not entries:
        wrong.append("It holds no sample: begin each with a line [[sample]].")
    samples = tuple(
        _sample(entry, number, rubric, wrong) for number, entry in enumerate(entries, 1)
    )
    if wrong:
        raise RubricError(path.name, wrong)
    return samples


def _sample(entry: dict[str, Any], number: int, rubric: Rubric, wrong: list[str]) -> Sample:
    names = [d.name for d in rubric.dimensions]
    name = str(entry.get("name") or entry.get("quality") or number)
    label = f"Sample '{name}'"
    texts = entry.get("texts", entry.get("text", {}))
    if isinstance(texts, str) and len(rubric.cells) == 1:
        texts = {rubric.cells[0]: texts}
    if not isinstance(texts, dict) or set(texts) != set(rubric.cells):
        wrong.append(f"{label}: it needs one text for each of {_listed(rubric.cells)}.")
        texts = {}
    if "mark" in entry:
        given = {m.get("dimension"): m for m in entry["mark"] if isinstance(m, dict)}
    else:
        given = _by_dimension(entry.get("levels", {}), names)
    reasons = _by_dimension(entry.get("why", {}), names)
    reasons |= {d: m.get("why", "") for d, m in given.items() if isinstance(m, dict)}
    levels = {d: m.get("level") if isinstance(m, dict) else m for d, m in given.items()}
    if set(levels) != set(names):
        differing = sorted(map(str, set(levels) ^ set(names)))
        wrong.append(f"{label}: its levels and the rubric differ in {_listed(differing)}.")
    for dimension, level in levels.items():
        if not isinstance(level, int) or not 0 <= level < LEVELS:
            wrong.append(
                f"{label}: the level of '{dimension}' is {level!r}, not 0 to {LEVELS - 1}."
            )
    note = entry["why"] if isinstance(entry.get("why"), str) else ""
    found = (Mark(n, levels[n], str(reasons.get(n, ""))) for n in names if n in levels)
    return Sample(name, {k: str(v).strip() for k, v in texts.items()}, tuple(found), note)


def _by_dimension(values: Any, names: list[str]) -> dict[str, Any]:
    if isinstance(values, dict):
        return dict(values)
    if isinstance(values, list) and len(values) == len(names):
        return dict(zip(names, values, strict=True))
    return {}


# ------------------------------------------------------------------------------------- helpers


def _list(data: dict[str, Any], key: str, wrong: list[str]) -> list[Any]:
    found = data.get(key)
    if not isinstance(found, list) or not found:
        wrong.append(f"It has no {key}: begin each with a line [[{key}]].")
        return []
    return found


def _strings(table: Any, title: str, wrong: list[str]) -> dict[str, str]:
    if not isinstance(table, dict):
        wrong.append(f'{title} must be a table of texts: `number = "Which number?"`.')
        return {}
    for key, text in table.items():
        if not isinstance(text, str) or not text.strip():
            wrong.append(f"{title}: `{key}` is {text!r}; write the text the learner reads.")
        elif text.startswith(LEVELS_LINE):
            wrong.append(f"{title}: `{key}` begins with '{LEVELS_LINE}', like the line of levels.")
    # One line each: the comment box tells comments apart by their lines.
    return {key: " ".join(text.split()) for key, text in table.items() if isinstance(text, str)}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
