"""Names that must not leave this machine, found in what is about to be handed in.

A learner who writes about another person keeps that person's real name in ``work/real-names.txt``,
one name a line, beside the assignments and never in one.  Where that list exists, every file of an
assignment is read against it: answers, data, stored outputs and file names.  What the release
itself says is passed over, so that the name Will is not found in our own sentences.
"""

from __future__ import annotations

import json
import re
import tomllib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syslab.course import assignments, toml_lines
from syslab.course.assignments import Assignment

LIST = "real-names.txt"
NOT_HANDED_IN = "feedback"  # where JupyterLab puts what came back
_SHORTEST_PART = 3  # "de" in "Anna de Vries" is no name; a whole entry may be shorter


@dataclass(frozen=True)
class Place:
    """Where a listed name stands: the file within the assignment, and where in it."""

    file: str
    where: str
    word: str

    def __str__(self) -> str:
        return f"{self.file}{', ' if self.where else ''}{self.where}: {self.word!r}"


def places(assignment: Assignment) -> list[Place]:
    """Every place in the learner's folder that shows a name of the list; one a line and word."""
    inside = assignment.work / LIST
    lists = [path for path in (assignment.work.parent / LIST, inside) if path.is_file()]
    pattern = _pattern([name for path in lists for name in _names(path)])
    found = [Place(LIST, "the list itself would be handed in", LIST)] if inside in lists else []
    if pattern is None:
        return found
    for relative in assignments.files(assignment.work):
        name = relative.as_posix()
        if relative == Path(LIST) or relative.parts[0] == NOT_HANDED_IN:
            continue
        found += [Place(name, "the file's name", word) for word in _words(pattern, _composed(name))]
        text = _text(assignment.work / relative)
        ours = set(_lines(name, _text(assignment.release / relative)))
        for where, line in _located(name, text):
            if line.strip() in ours:
                continue
            found += [Place(name, where, word) for word in _words(pattern, line)]
    return list(dict.fromkeys(found))


def _names(path: Path) -> list[str]:
    lines = (line.strip() for line in _text(path).splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _text(path: Path) -> str:
    """A file's text as far as it is text; empty for a file that is not there."""
    if not path.is_file():
        return ""
    return _composed(path.read_bytes().decode("utf-8-sig", errors="replace"))


def _composed(text: str) -> str:
    """One code point for "é", however it was typed."""
    return unicodedata.normalize("NFC", text)


def _pattern(names: list[str]) -> re.Pattern[str] | None:
    """Whole names and their parts, between anything but letters: "anna" in "gitlab.com/anna_k"."""
    parts = {part for name in names for part in re.split(r"[\s-]+", name)}
    wanted = {name for name in names if len(name) > 1}
    wanted |= {part for part in parts if len(part) >= _SHORTEST_PART}
    if not wanted:
        return None
    longest_first = sorted(wanted, key=lambda word: (-len(word), word))
    either = "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in longest_first)
    return re.compile(rf"(?<![^\W\d_])(?:{either})(?![^\W\d_])", re.IGNORECASE)


def _words(pattern: re.Pattern[str], line: str) -> list[str]:
    return [" ".join(hit.group().split()) for hit in pattern.finditer(line)]


def _lines(name: str, text: str) -> Iterator[str]:
    """What the release says, line by line."""
    for _, line in _located(name, text):
        yield line.strip()


def _located(name: str, text: str) -> Iterator[tuple[str, str]]:
    """(where, line) of every line of a file."""
    cells = _cells(text) if name.endswith(".ipynb") else None
    if cells is not None:
        yield from _of_notebook(cells)
        return
    fields = _fields(text) if name.endswith(".toml") else {}
    for number, line in enumerate(text.split("\n"), 1):
        field = "" if line.lstrip().startswith("#") else _field_at(fields, number)
        yield f"line {number}{f' ({field})' if field else ''}", line


def _cells(text: str) -> list[dict] | None:
    """Cells of a notebook; None where it is none, and is then read as text."""
    try:
        cells = json.loads(text)["cells"]
    except (ValueError, KeyError, TypeError):
        return None
    sound = isinstance(cells, list) and all(isinstance(cell, dict) for cell in cells)
    return cells if sound else None


def _of_notebook(cells: list[dict]) -> Iterator[tuple[str, str]]:
    for number, cell in enumerate(cells, 1):
        marks = (cell.get("metadata") or {}).get("nbgrader") or {}
        where = f"cell `{marks['grade_id']}`" if marks.get("grade_id") else f"cell {number}"
        for line in _joined(cell.get("source")).split("\n"):
            yield where, line
        for output in cell.get("outputs") or []:
            for line in _shown(output).split("\n"):
                yield f"output of {where}", line


def _shown(output: dict) -> str:
    """The text of one stored output."""
    data = output.get("data") or {}
    parts = [output.get("text"), output.get("evalue"), output.get("traceback")]
    parts += [value for kind, value in data.items() if kind.startswith("text/")]
    return "\n".join(_joined(part) for part in parts)


def _joined(text: Any) -> str:
    """A notebook's texts are strings or lists of strings."""
    if isinstance(text, list):
        return "".join(part for part in text if isinstance(part, str))
    return text if isinstance(text, str) else ""


def _fields(text: str) -> dict[int, str]:
    """Line -> the outermost field that begins there, such as ``ledger[2].what``."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}
    first: dict[int, toml_lines.Path] = {}
    for path, line in toml_lines.index(text).items():
        if path and (line not in first or len(path) < len(first[line])):
            first[line] = path
    return {line: _spelt(path) for line, path in first.items()}


def _field_at(fields: dict[int, str], number: int) -> str:
    """The field of a line, which may be a later line of a long text."""
    begins = max((line for line in fields if line <= number), default=0)
    return fields.get(begins, "")


def _spelt(path: toml_lines.Path) -> str:
    parts = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(parts).lstrip(".")
