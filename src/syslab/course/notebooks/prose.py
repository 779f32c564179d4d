"""Numbers in prose, tied to code.

In Markdown a number is followed by an invisible comment with the expression that yields it::

    The H100's ridge is 295<!--= facts.hardware("H100 SXM").ridge("bf16") | .0f --> FLOP/B.

The comment stands right behind the number (or its percent sign), the unit after it. The
expression sees the notebook's own variables and ``facts``; the part after the last ``|`` is a
format specification (thousands commas in the prose are ignored; a trailing ``%`` in the
specification means the prose shows percent).

An expression must not rest on a clock reading: those differ from one machine to the next.
"""

from __future__ import annotations

import json
import re
from typing import Any

TAGGED = re.compile(
    r"(?P<shown>[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)(?P<gap>[\s*_`]{0,3}%?[*_`]{0,2})"
    r"<!--=\s*(?P<expression>.+?)\s*-->",
    re.DOTALL,
)
OPENING = "<!--="
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_SPEC = re.compile(r"^(?P<code>.*\S)\s*\|\s*(?P<spec>,?\.?\d*[dfgeF%]?)$", re.DOTALL)


def tagged(notebook: Any) -> list[tuple[int, str, str, str]]:
    """All tagged numbers: (cell index, number as shown, expression, format specification)."""
    found = []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "markdown":
            continue
        for match in TAGGED.finditer(cell.source):
            spec = _SPEC.match(match["expression"])
            code, form = (spec["code"], spec["spec"]) if spec else (match["expression"], "g")
            found.append((index, match["shown"].replace("−", "-"), code, form))
    return found


def loose(source: str) -> int:
    """How many tags in a Markdown text follow no number, and would never be recomputed."""
    return _CODE.sub("", TAGGED.sub("", source)).count(OPENING)


def agrees(shown: str, value: Any, form: str) -> bool:
    """Whether `value` in format `form` reads as the number shown in the prose."""
    text = format(value, form or "g")
    return text.rstrip("%").replace(",", "") == shown.replace(",", "").lstrip("+")


def judge(rows: list[tuple[str, str, str]], namespace: dict[str, Any]) -> list[str]:
    """One sentence per number that disagrees with its expression.

    Parameters
    ----------
    rows
        Number as shown, expression, format specification.
    namespace
        The notebook's own variables.
    """
    from syslab import facts

    scope = {"facts": facts, **namespace}
    problems = []
    for shown, code, form in rows:
        try:
            value = eval(code, scope)  # authored in this repository, not input
            value = value.item() if hasattr(value, "item") else value
        except Exception as error:
            problems.append(f"{shown} <!--= {code} -->: {type(error).__name__}: {error}")
            continue
        try:
            good = agrees(shown, value, form)
        except (TypeError, ValueError) as error:
            problems.append(f"{shown} <!--= {code} | {form} -->: {error}")
            continue
        if not good:
            problems.append(f"prose says {shown}, {code} gives {format(value, form or 'g')}")
    return problems


def evaluate(client: Any, notebook: Any) -> list[str]:
    """Judge the tagged numbers in the kernel that has just run the notebook."""
    import nbformat

    items = tagged(notebook)
    if not items:
        return []
    cell = nbformat.v4.new_code_cell(_probe(items))
    client.nb.cells.append(cell)
    try:
        client.execute_cell(cell, len(client.nb.cells) - 1, store_history=False)
    finally:
        client.nb.cells.pop()
    text = "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")
    return json.loads(text.split("PROSE", 1)[1]) + _on_clock_readings(notebook)


def recompute(notebook: Any) -> list[str]:
    """Judge the tagged numbers without a kernel; cells that rest on clock readings only import.

    The current folder must be the notebook's own. What a cell raises passes through.
    """
    import contextlib
    import io

    from syslab.course.notebooks.inprocess import Session, imports, measured

    items = tagged(notebook)
    if not items:
        return []
    skipped, _ = measured(notebook)
    session = Session()
    with contextlib.redirect_stdout(io.StringIO()):
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type == "code":
                code = imports(cell.source) if index in skipped else cell.source
                session.run(code, cell.get("id", "cell"))
    rows = [(shown, code, form) for _, shown, code, form in items]
    return judge(rows, session.namespace) + _on_clock_readings(notebook)


def _on_clock_readings(notebook: Any) -> list[str]:
    from syslab.course.notebooks.inprocess import measured, uses_any

    _, names = measured(notebook)
    return [
        f"{shown} <!--= {code} --> rests on a clock reading ({', '.join(sorted(used))}): "
        "take it from recorded data or facts"
        for _, shown, code, _ in tagged(notebook)
        if (used := uses_any(code, names))
    ]


def _probe(items: list[tuple[int, str, str, str]]) -> str:
    """Python source that prints, as JSON, what each expression formats to."""
    rows = [(shown, code, form) for _, shown, code, form in items]
    return (
        "import json as _json\n"
        "from syslab.course.notebooks import prose as _prose\n"
        f"print('PROSE' + _json.dumps(_prose.judge({rows!r}, globals())))"
    )
