"""No notebook types a number that the facts registry holds."""

from __future__ import annotations

import ast
import functools
import operator
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Only literals that look like a hardware or model constant are compared: three significant
# digits or more, and in base units a thousand million or more. 1024, 1e12, 0.5, 80e9 and a
# loop's 335 are nobody's peak.
SMALLEST = 1e9
MIN_DIGITS = 3
RTOL = 1e-3  # 989e12 is the datasheet's 989.4e12, rounded
_FOLDED = {
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
}

Rule = Iterator[tuple[Any, str]]


def constants(notebook: Any, path: Path) -> Rule:
    """Find literals, and products of literals such as ``3.35 * 1e12``, equal to a known fact."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        lines = cell.source.split("\n")
        plain = "\n".join("pass" if re.match(r"\s*[%!]", line) else line for line in lines)
        try:
            tree = ast.parse(plain)
        except SyntaxError as error:
            yield cell, f"does not parse: {error.msg} (line {error.lineno})"
            continue
        for text, name in _typed(tree, plain):
            yield cell, f"{text} is {name}, typed in: take it from syslab.facts"


def _typed(tree: ast.AST, source: str) -> Iterator[tuple[str, str]]:
    if isinstance(tree, ast.expr):
        folded = _fold(tree)
        if folded is not None:
            name = _known(*folded)
            if name:
                yield ast.get_source_segment(source, tree) or ast.unparse(tree), name
            return
    for child in ast.iter_child_nodes(tree):
        yield from _typed(child, source)


def _fold(node: ast.expr) -> tuple[float, int] | None:
    """Value of an expression made of literals alone, and the most digits any literal has."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value, _digits(node.value)
    if isinstance(node, ast.BinOp) and type(node.op) in _FOLDED:
        left, right = _fold(node.left), _fold(node.right)
        if left is None or right is None:
            return None
        if isinstance(node.op, (ast.Pow, ast.LShift)) and not 0 <= right[0] <= 64:
            return None
        try:
            value = _FOLDED[type(node.op)](left[0], right[0])
        except (ArithmeticError, TypeError):
            return None
        # A power is a scale, not something typed off a datasheet: 2**30 has one digit.
        scale = isinstance(node.op, (ast.Pow, ast.LShift))
        return value, 1 if scale else max(left[1], right[1])
    return None


def _digits(value: float) -> int:
    """Significant digits of a literal as written, trailing zeros left out; 1024 is a scale."""
    if value == 0 or (isinstance(value, int) and value & (value - 1) == 0):
        return 1
    return len(f"{abs(value):.9e}".split("e")[0].replace(".", "").rstrip("0"))


def _known(value: float, digits: int) -> str | None:
    if digits < MIN_DIGITS or not abs(value) >= SMALLEST:
        return None
    for fact, name in _registry():
        if abs(value - fact) <= RTOL * fact:
            return name
    return None


@functools.cache
def _registry() -> tuple[tuple[float, str], ...]:
    """Every large value of the registry with the name it goes by."""
    from syslab import facts

    known = []
    for name in facts.hardware_names():
        known += [(f, f"{field} of {name}") for field, f in facts.hardware(name).facts()]
    for name in facts.model_names():
        known += [(f, f"{field} of {name}") for field, f in facts.model(name).facts()]
    return tuple(
        (float(fact.value), name)
        for fact, name in known
        if isinstance(fact.value, (int, float)) and fact.value >= SMALLEST
    )
