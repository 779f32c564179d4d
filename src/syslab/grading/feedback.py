"""What of a graded notebook the learner gets to see: the reasons, not the hidden tests.

nbgrader's feedback page prints the whole test cell. ``HideHiddenTests`` runs before the page is
made and replaces every hidden region by one line that says how many hidden checks passed;
tracebacks and printed text lose the lines that quote one.
"""

from __future__ import annotations

import re
from typing import Any

from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import List

from syslab.course import scores

BEGIN, END = "BEGIN HIDDEN TESTS", "END HIDDEN TESTS"
HIDDEN_LINE = "(a hidden check is not shown)"
BINARY = ("image/png", "image/jpeg", "image/gif", "application/pdf")
MIN_LENGTH = 12  # shorter lines, `else:` or `)`, give nothing away
MIN_BROKEN = 25  # nor does a line that somebody's own words make by chance when they are joined

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_NUMBERED = re.compile(r"^\s*(?:-+>\s*)?\d+\s?(.*)$")


class HideHiddenTests(NbGraderPreprocessor):
    """Take hidden tests out of a notebook that is about to become a feedback page."""

    # Set by the HTML exporter for every preprocessor; without the trait each page logs a warning.
    display_data_priority = List(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        return hide(nb), resources


def hide(notebook: Any) -> Any:
    """Hide the hidden tests of an autograded notebook, in place, and return it."""
    regions = {id(cell): region(cell.source) for cell in notebook.cells}
    hidden = [line for lines in regions.values() for line in lines]
    secrets = {_plain(line) for line in hidden if len(_plain(line)) >= MIN_LENGTH}
    if not any(regions.values()):
        return notebook
    for cell in notebook.cells:
        if regions[id(cell)]:
            cell.source = _without_region(cell.source, summary(cell))
        elif secrets and cell.cell_type == "markdown":
            cell.source = _without_lines(cell.source, secrets)
        for output in cell.get("outputs", []):
            _clean(output, secrets)
    return notebook


def region(source: str) -> list[str]:
    """The lines of the hidden regions of a cell, markers left out."""
    lines: list[str] = []
    inside = False
    for line in source.split("\n"):
        if BEGIN in line:
            inside = True
        elif END in line:
            inside = False
        elif inside:
            lines.append(line)
    return lines


def summary(cell: Any) -> str:
    """``hidden checks: 2 of 3 passed``, counted from what the cell printed."""
    passed = [line.passed for line in scores.checks(cell) if line.hidden]
    if passed:
        return f"hidden checks: {sum(passed)} of {len(passed)} passed"
    if scores.error(cell):
        return "hidden checks: not reached, or ended by the error below"
    return "hidden checks ran here"


def _without_region(source: str, said: str) -> str:
    lines: list[str] = []
    inside = told = False
    for line in source.split("\n"):
        if BEGIN in line:
            inside = True
            if not told:
                indent = line[: len(line) - len(line.lstrip())]
                lines.append(f"{indent}# {said}")
                told = True
        elif END in line:
            inside = False
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def _clean(output: Any, secrets: set[str]) -> None:
    if output.output_type == "stream":
        output.text = _without_lines("".join(output.text), secrets)
    elif output.output_type == "error":
        output.traceback = [_without_lines(frame, secrets) for frame in output.traceback]
        output.evalue = _without_lines(output.evalue, secrets)
        output.ename = _without_lines(output.ename, secrets)
    else:
        for mime, data in list(output.get("data", {}).items()):
            if not mime.startswith(BINARY) and isinstance(data, (str, list)):
                output.data[mime] = _without_lines("".join(data), secrets)


def _without_lines(text: str, secrets: set[str]) -> str:
    """`text` with every line that quotes a hidden one replaced, blanks and colours aside.

    Where one was broken into several lines, nothing of the text stays.
    """
    lines: list[str] = []
    for line in text.split("\n"):
        bare = _ANSI.sub("", line)
        numbered = _NUMBERED.match(bare)
        plain = _plain(numbered[1] if numbered else bare)
        quoted = _plain(_unescaped(bare))
        if plain in secrets or any(secret in quoted for secret in secrets):
            if not lines or lines[-1] != HIDDEN_LINE:
                lines.append(HIDDEN_LINE)
        else:
            lines.append(line)
    left = _plain(_unescaped(_ANSI.sub("", "\n".join(lines))))
    if any(secret in left for secret in secrets if len(secret) >= MIN_BROKEN):
        return HIDDEN_LINE
    return "\n".join(lines)


def _unescaped(text: str) -> str:
    """Also read a line printed as a Python string (`repr` of the cell's text) or as HTML."""
    import html

    printed = text.replace("\\n", " ").replace("\\'", "'").replace('\\"', '"')
    return f"{html.unescape(text)} {printed}"


def _plain(text: str) -> str:
    return " ".join(text.split())
