"""Reading without a kernel: pictures that can be read aloud, numbers that cannot drift."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from syslab.course.notebooks import prose

# What counts as a number with a unit. Bytes as a plain B stand apart from the number: "64 B" is
# bytes, "70B" the size of a model. A factor has its sign attached: "8×" is a factor, "64 × 64" a
# shape. Seconds and minutes of the reader's own time are not meant: "at most 8 minutes".
_UNIT = (
    r"(?:[kKMGTP]i?B(?:/s)?|(?<=\s)B|B/s|bytes?|[kMGTPE]?FLOP(?:/s|/B)?|[kMGTPE]?FLOPS|TOP/s|"
    r"[nµumk]s|[GM]Hz|cycles?|slots?|W|%|GT/s)(?![\w/])"
)
_NUMBER = r"(?<![\w.<=/,-])\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"
_WITH_UNIT = re.compile(rf"{_NUMBER}(?:[\s*]{{0,3}}{_UNIT}|\*{{0,2}}×(?![\w×])(?!\s*\d))")
# Definitions, not findings: whole or nothing, and the sizes of words and lines.
_DEFINITIONS = re.compile(r"(?:0|100)\s*%|(?:1|2|4|8|16|32|64)\s+(?:B|bytes?)|1×")
_NOT_PROSE = (
    re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL),
    re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$", re.DOTALL),
    re.compile(r"(?<=\])\([^)]*\)"),
    prose.TAGGED,
    re.compile(r"<!--.*?-->", re.DOTALL),
)
_PICTURE = re.compile(r"!\[(?P<alt>[^\]]*)\]\(")
_SHORTEST_ALT = 10

Rule = Iterator[tuple[Any, str]]


def pictures(notebook: Any, path: Path) -> Rule:
    """Alt text on every picture; the numbers to take from a plot are printed with it."""
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            for match in _PICTURE.finditer(cell.source):
                if len(match["alt"].strip()) < _SHORTEST_ALT:
                    yield cell, "the picture needs alt text that says what it shows"
            continue
        shown = [o for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
        if not shown:
            continue
        plain = ["".join(output.data.get("text/plain", "")) for output in shown]
        for text in plain:
            alt = re.search(r"^Figure: (.+)", text, re.MULTILINE)
            if not alt or len(alt[1].strip()) < _SHORTEST_ALT:
                yield (
                    cell,
                    "the picture has no alt text: show it with syslab.plotting.show(fig, alt=…)",
                )
        near = [cell, *notebook.cells[index + 1 : index + 2]]
        printed = [
            "".join(output.text)
            for other in near
            for output in other.get("outputs", [])
            if output.output_type == "stream"
        ]
        captions = [re.sub(r"(?s)^.*?^Figure: [^\n]*", "", t, flags=re.MULTILINE) for t in plain]
        if not any(re.search(r"\d", text) for text in printed + captions):
            yield cell, "the picture has no numeric twin: print the 2-4 numbers to read off it"


def prose_numbers(notebook: Any, path: Path) -> Rule:
    """Every number with a unit is tied to the expression that yields it."""
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        if prose.loose(cell.source):
            yield cell, "a <!--= … --> does not stand right behind a number, so nothing tests it"
        for shown in typed(cell.source):
            yield (
                cell,
                f"{shown!r} is typed by hand: tie it to code with "
                "<!--= expression | format --> right behind the number",
            )


def typed(markdown: str) -> list[str]:
    """The numbers with units in a Markdown text that no expression stands behind.

    Code, formulas, link targets, names of devices and models, and definitions ("8 bytes",
    "100 %") are not looked at.
    """
    text = markdown
    for pattern in _NOT_PROSE:
        text = pattern.sub(" ; ", text)
    text = _names().sub(" ; ", text)
    found = (match.group(0).strip() for match in _WITH_UNIT.finditer(text))
    return [shown for shown in found if not _DEFINITIONS.fullmatch(shown.replace("*", ""))]


@functools.cache
def _names() -> re.Pattern[str]:
    """Names such as "A100 80GB", longest first."""
    from syslab import facts

    names = sorted((*facts.hardware_names(), *facts.model_names()), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, names)), re.IGNORECASE)
