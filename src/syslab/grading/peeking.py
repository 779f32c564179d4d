"""Answers that read the tests: found in their text, and in what they show.

A test cell runs in the learner's namespace, and IPython keeps its text. An answer that takes
the expected value from there passes every check honestly, so it is looked for in the notebook
itself: syntax trees, not patterns, and only what no honest answer has a use for.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import re
import symtable
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

HIDDEN = re.compile(
    r"^### BEGIN HIDDEN TESTS$(.*?)^### END HIDDEN TESTS$", re.MULTILINE | re.DOTALL
)
LINE_LEAST = 25  # characters of a hidden line that nobody prints by chance

_HISTORY_NAMES = re.compile(r"In|_ih|_i{1,3}|_i\d+|_oh")
_INSIDE = frozenset(
    ("history_manager", "input_hist_raw", "input_hist_parsed", "get_parent", "_parent_header",
     "user_ns", "user_global_ns", "user_module", "__main__", "__globals__", "f_globals",
     "f_locals", "f_back")
)  # fmt: skip
_STACK = frozenset(("stack", "currentframe", "getframeinfo", "getouterframes", "trace"))
_ORACLES = "syslab.course.oracles"
_FORBIDDEN = (_ORACLES, "__main__", "linecache")


@dataclass(frozen=True)
class Texts:
    """What is known of an instructor's notebook.

    `given` holds the texts of the cells that are not the learner's to write, `test_names` the
    names that only test cells set, `hidden_lines` the lines of the hidden tests.
    """

    given: frozenset[str]
    test_names: frozenset[str]
    hidden_lines: tuple[str, ...]


def texts(notebook: Any) -> Texts:
    """The `Texts` of an instructor's notebook."""
    tests, others, given, lines = set(), set(dir(builtins)), set(), []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        meta = cell.metadata.get("nbgrader") or {}
        if not meta.get("solution"):
            given.add(cell.source.strip())
        reads, sets = _names(cell.source)
        (tests if meta.get("grade") else others).update(sets)
        if meta.get("solution"):
            others |= reads
        if meta.get("grade"):
            for part in HIDDEN.findall(cell.source):
                found = (" ".join(line.split()) for line in part.splitlines())
                lines += [line for line in found if len(line) >= LINE_LEAST and line[0] != "#"]
    return Texts(
        given=frozenset(given),
        test_names=frozenset(tests - others),
        hidden_lines=tuple(dict.fromkeys(lines)),
    )


def signs(notebook: Any, known: Texts, earned: Collection[str]) -> Iterator[tuple[str, str]]:
    """The cells that read the tests, each with what it does; `earned` are exercises with points."""
    own = set()
    for cell in _learners(notebook, known):
        own |= _names(cell.source)[1]
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        here = (cell.metadata.get("nbgrader") or {}).get("grade_id") or "a cell of your own"
        shown = " ".join(_shown(cell).split())
        if any(line in shown for line in known.hidden_lines):
            yield here, "the text of a hidden test is shown"
    for cell in _learners(notebook, known):
        here = (cell.metadata.get("nbgrader") or {}).get("grade_id") or "a cell of your own"
        for what in _reads(cell, known.test_names - own):
            yield here, what
        if here in earned or not (cell.metadata.get("nbgrader") or {}).get("solution"):
            for module in _forbidden(cell):
                yield here, f"`{module}` is no part of an answer"


def _learners(notebook: Any, known: Texts) -> Iterator[Any]:
    """The code cells that the learner wrote."""
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader") or {}
        theirs = not meta.get("locked") and not meta.get("grade")
        if cell.cell_type == "code" and theirs and cell.source.strip() not in known.given:
            yield cell


def _reads(cell: Any, test_names: frozenset[str]) -> Iterator[str]:
    reads, sets = _names(cell.source)
    solution = (cell.metadata.get("nbgrader") or {}).get("solution")
    for name in sorted(reads & test_names) if solution else ():
        yield f"`{name}` is a variable of the test cells"
    try:
        tree = ast.parse(cell.source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) if _HISTORY_NAMES.fullmatch(name):
                if name not in sets and name in reads:
                    yield f"`{name}` is IPython's record of what was run"
            case ast.Attribute(attr=name) if name in _INSIDE:
                yield f"`{name}` leads into the notebook's namespace or its record"
            case ast.Constant(value=str(name)) if name in _INSIDE:
                yield f"`{name}` leads into the notebook's namespace or its record"
            case ast.Attribute(value=ast.Name(id="inspect"), attr=name) if name in _STACK:
                yield f"`inspect.{name}` looks at the frames of the checks"
    yield from _namespace(tree, test_names)


def _forbidden(cell: Any) -> Iterator[str]:
    """Modules an answer imports that hold the expected values, or the way to them."""
    with contextlib.suppress(SyntaxError, ValueError, MemoryError, RecursionError):
        for node in ast.walk(ast.parse(cell.source)):
            match node:
                case ast.Import(names=names):
                    full = [alias.name for alias in names]
                case ast.ImportFrom(module=str(module), names=names):
                    full = [f"{module}.{alias.name}" for alias in names]
                case ast.Constant(value=str(text)) if text.startswith(_ORACLES):
                    full = [text]
                case _:
                    continue
            yield from (name for name in full if name.startswith(_FORBIDDEN))


def _namespace(tree: ast.AST, test_names: frozenset[str]) -> Iterator[str]:
    """``globals()`` used for more than asking for a name of one's own."""
    harmless: set[int] = set()
    spaces = []
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=ast.Call() as call, slice=ast.Constant(value=str(key))):
                harmless |= set() if key in test_names else {id(call)}
            case ast.Call(
                func=ast.Attribute(value=ast.Call() as call, attr="get" | "setdefault" | "pop"),
                args=[ast.Constant(value=str(key)), *_],
            ):
                harmless |= set() if key in test_names else {id(call)}
            case ast.Compare(comparators=[ast.Call() as call]):  # "name" in globals()
                harmless.add(id(call))
            case ast.Call(func=ast.Name(id="globals" | "vars"), args=[]):
                spaces.append(node)
    if any(id(call) not in harmless for call in spaces):
        yield "`globals()` leads into the notebook's namespace"


def _names(source: str) -> tuple[set[str], set[str]]:
    """Global names that a cell reads, inside functions too, and those it sets."""
    reads: set[str] = set()
    sets: set[str] = set()
    with contextlib.suppress(SyntaxError, ValueError, MemoryError, RecursionError):
        tables = [symtable.symtable(source, "<cell>", "exec")]
        while tables:
            table = tables.pop()
            tables += table.get_children()
            top = table.get_type() == "module"
            for symbol in table.get_symbols():
                if not (top or symbol.is_global()):
                    continue
                if symbol.is_referenced():
                    reads.add(symbol.get_name())
                if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
                    sets.add(symbol.get_name())
    return reads, sets


def _shown(cell: Any) -> str:
    """All text a cell shows, tracebacks excepted: those quote the tests by themselves."""
    parts = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            parts.append("".join(output.text))
        elif output.output_type != "error":
            values = output.get("data", {}).values()
            parts += ["".join(v) if isinstance(v, list) else str(v) for v in values]
    return "\n".join(parts)
