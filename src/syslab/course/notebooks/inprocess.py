"""The code cells of a notebook in one namespace of this process, without a kernel.

Seconds faster than a kernel, and it can be forked at any cell. Magics, shell lines and top-level
``await`` are not understood: the course's own notebooks use none.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import linecache
import symtable
from typing import Any

from syslab.course.errors import CourseError
from syslab.course.notebooks.canonical import MEASURES

_running = itertools.count(1)
_CHANGES = {"append", "extend", "insert", "add", "update", "setdefault", "pop", "sort", "clear"}


class Session:
    """One namespace; ``run`` executes a cell in it as a notebook would.

    Tracebacks show the source, and classes defined in cells find their module.
    """

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {"__name__": "__main__", "display": _display}
        self.namespace["get_ipython"] = lambda: None

    def run(self, source: str, name: str = "cell") -> Any:
        """Execute `source`; return the value of its last expression, else None.

        Raises
        ------
        CourseError
            When `source` is not plain Python. What the code raises passes through.
        """
        file = f"<{name} {next(_running)}>"
        try:
            tree = ast.parse(source, file)
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            # Cells are not bound by the __future__ of this file, nor is what they execute.
            body = compile(tree, file, "exec", dont_inherit=True)
            ending = (
                compile(ast.Expression(last.value), file, "eval", dont_inherit=True)
                if last
                else None
            )
        except SyntaxError as error:
            raise CourseError(
                f"cell {name}, line {error.lineno}: not plain Python ({error.msg})",
                "mend it; magics and shell lines do not belong in the course's notebooks",
            ) from None
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        exec(body, self.namespace)
        return eval(ending, self.namespace) if ending else None


def _display(*objects: Any, **_: Any) -> None:
    for thing in objects:
        print(repr(thing))


def measured(notebook: Any) -> tuple[set[int], set[str]]:
    """What rests on clock readings: indices of code cells, and names at the notebook's end.

    A cell tagged ``nbval-ignore-output`` measures; a cell that uses a name set by one rests on
    it, and so on. Setting the name again from something else ends the dependence.
    """
    cells: set[int] = set()
    names: set[str] = set()
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        with contextlib.suppress(SyntaxError):
            statements = ast.parse(cell.source).body
            if MEASURES in cell.metadata.get("tags", []):
                cells.add(index)
                names |= _set_by(statements)
                continue
            fresh: set[str] = set()
            for statement in statements:
                loads, stores = _uses(statement)
                if loads & (names - fresh):
                    cells.add(index)
                    names |= _set_by(statements)
                    break
                fresh |= stores
            else:
                names -= fresh
    return cells, names


def imports(source: str) -> str:
    """Only the import statements of a cell."""
    kinds = (ast.Import, ast.ImportFrom)
    return "\n".join(ast.unparse(s) for s in ast.parse(source).body if isinstance(s, kinds))


def uses_any(expression: str, names: set[str]) -> set[str]:
    """Which of `names` an expression refers to; none when it does not parse."""
    try:
        statement = ast.parse(expression.strip()).body[0]
    except (SyntaxError, IndexError):
        return set()
    return _uses(statement)[0] & names


def _set_by(statements: list[ast.stmt]) -> set[str]:
    """Names that the statements set, imports aside, or whose content they change."""
    names: set[str] = set()
    for statement in statements:
        if not isinstance(statement, (ast.Import, ast.ImportFrom)):
            names |= _uses(statement)[1]
    for node in itertools.chain.from_iterable(map(ast.walk, statements)):
        owner = None
        if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            owner = node.value
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _CHANGES
        ):
            owner = node.func.value
        while isinstance(owner, (ast.Subscript, ast.Attribute)):
            owner = owner.value
        if isinstance(owner, ast.Name):
            names.add(owner.id)
    return names


def _uses(statement: ast.stmt) -> tuple[set[str], set[str]]:
    """Global names a statement reads, inside functions too, and those it sets."""
    module = ast.fix_missing_locations(ast.Module([statement], type_ignores=[]))
    top = symtable.symtable(ast.unparse(module), "<statement>", "exec")
    symbols = top.get_symbols()
    sets = {s.get_name() for s in symbols if s.is_assigned() or s.is_imported() or s.is_namespace()}
    reads = {s.get_name() for s in symbols if s.is_referenced()}
    return reads | _inner_reads(top), sets


def _inner_reads(table: Any) -> set[str]:
    reads: set[str] = set()
    for inner in table.get_children():
        reads |= {s.get_name() for s in inner.get_symbols() if s.is_global() and s.is_referenced()}
        reads |= _inner_reads(inner)
    return reads
