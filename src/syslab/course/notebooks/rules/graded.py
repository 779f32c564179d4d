"""The graded contract: lead-in with effort card, typed stub, test cell with hidden checks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SOLUTION = re.compile(r"^\s*### BEGIN SOLUTION\n.*?^\s*### END SOLUTION", re.MULTILINE | re.DOTALL)
HIDDEN = re.compile(
    r"^### BEGIN HIDDEN TESTS\n(?P<body>.*?)^### END HIDDEN TESTS", re.MULTILINE | re.DOTALL
)
CARD = re.compile(
    r"Difficulty (?P<difficulty>[1-5])/5 · Importance (?P<importance>[1-5])/5 · "
    r"at most (?P<minutes>\d+) minutes? · (?P<points>\d+(?:\.\d+)?) points?"
)
_CALL = re.compile(r'Check\(\s*"(?P<key>[^"]+)",\s*points=(?P<points>[\d.]+)')
_EXAMPLE = "Difficulty 2/5 · Importance 4/5 · at most 8 minutes · 2 points"

Rule = Iterator[tuple[Any, str]]


def triplets(notebook: Any, path: Path) -> Rule:
    """Every exercise is lead-in, stub and test cell, side by side and in agreement."""
    seen: set[str] = set()
    cells = notebook.cells
    for index, cell in enumerate(cells):
        meta = cell.metadata.get("nbgrader", {})
        grade_id = meta.get("grade_id", "")
        if meta and not grade_id:
            yield cell, "nbgrader metadata without a grade id"
        if grade_id:
            if grade_id in seen:
                yield cell, f"grade id {grade_id!r} is used twice"
            seen.add(grade_id)
        if is_stub(cell):
            yield from _stub(cells, index, grade_id)
        if is_test(cell):
            yield from _test(cells, index, path.stem)
        if is_written(cell):
            if cell.cell_type != "markdown":
                yield cell, "a written answer is a Markdown cell"
            if not (index and CARD.search(cells[index - 1].source)):
                yield cell, "a written answer needs a lead-in with an effort card above it"
            else:
                yield from _promise(cell, cells[index - 1])
        if not meta and "### BEGIN" in cell.source:
            yield cell, "a solution or hidden region in a cell nbgrader does not know"


def is_stub(cell: Any) -> bool:
    """The cell the learner answers in code."""
    meta = cell.metadata.get("nbgrader", {})
    return bool(meta.get("solution") and not meta.get("grade") and cell.cell_type == "code")


def is_test(cell: Any) -> bool:
    """The cell that grades."""
    meta = cell.metadata.get("nbgrader", {})
    return bool(meta.get("grade") and not meta.get("solution") and cell.cell_type == "code")


def is_written(cell: Any) -> bool:
    """The cell the learner answers in words; a person grades it."""
    meta = cell.metadata.get("nbgrader", {})
    return bool(meta.get("grade") and meta.get("solution"))


def _stub(cells: list[Any], index: int, grade_id: str) -> Rule:
    cell = cells[index]
    if not SOLUTION.search(cell.source):
        yield cell, "no ### BEGIN SOLUTION … ### END SOLUTION region"
    above = cells[index - 1] if index else None
    if above is None or above.cell_type != "markdown" or not CARD.search(above.source):
        yield cell, f"the cell above must be the lead-in with the effort card, e.g. {_EXAMPLE!r}"
        above = None
    try:
        tree = ast.parse(cell.source)
    except SyntaxError as error:
        yield cell, f"does not parse: {error.msg}"
        return
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    for function in functions:
        if not ast.get_docstring(function):
            yield cell, f"`{function.name}` has no docstring"
        arguments = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
        if function.returns is None or any(a.annotation is None for a in arguments):
            yield cell, f"`{function.name}` has an untyped signature"
    names = _defined(tree)
    if above is not None and names and not any(f"`{name}" in above.source for name in names):
        yield cell, f"the lead-in must name `{names[0]}`, the exact name to define"
    below = cells[index + 1] if index + 1 < len(cells) else None
    if below is None or not is_test(below):
        yield cell, "the next cell must be its test cell"
    elif below.metadata["nbgrader"].get("grade_id") != f"test-{grade_id}":
        yield cell, f"the test cell's grade id must be 'test-{grade_id}'"


def _defined(tree: ast.Module) -> list[str]:
    """Functions and classes at the top of a cell, else variables."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    names = [node.name for node in tree.body if isinstance(node, kinds)]
    if names:
        return names
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names += [target.id for target in targets if isinstance(target, ast.Name)]
    return names


def _test(cells: list[Any], index: int, assignment: str) -> Rule:
    cell = cells[index]
    meta = cell.metadata["nbgrader"]
    exercise = meta.get("grade_id", "").removeprefix("test-")
    points = meta.get("points", 0)
    call = _CALL.search(cell.source)
    if not call:
        yield cell, f'no Check("{assignment}/{exercise}", points={points})'
    else:
        if call["key"] != f"{assignment}/{exercise}":
            yield cell, f"Check names {call['key']!r}, expected '{assignment}/{exercise}'"
        if float(call["points"]) != float(points):
            yield cell, f"Check has {call['points']} points, nbgrader has {points}"
    if not points > 0:
        yield cell, "a test cell is worth points"
    if not cell.source.rstrip().endswith("check.score()"):
        yield cell, "the last line must be check.score()"
    hidden = HIDDEN.search(cell.source)
    if not hidden:
        yield cell, "no ### BEGIN HIDDEN TESTS … ### END HIDDEN TESTS region"
    elif "with check.hidden():" not in hidden["body"]:
        yield cell, "the hidden checks must stand under `with check.hidden():`"
    if not meta.get("locked"):
        yield cell, "the test cell must be locked"
    if not (index and is_stub(cells[index - 1])):
        yield cell, "the cell above must be the answer cell it tests"
    elif index > 1:
        yield from _promise(cell, cells[index - 2])


def _promise(cell: Any, lead: Any) -> Rule:
    card = CARD.search(lead.source)
    points = float(cell.metadata["nbgrader"].get("points", 0))
    if card and float(card["points"]) != points:
        yield cell, f"the effort card promises {float(card['points']):g} points, not {points:g}"
