"""How long a reader needs for a notebook, by one rule for all of them.

Reading prose takes its words at 120 a minute (technical text, read to understand), a code cell a
minute to read and run, a prediction or a quick check a minute, an exercise the minutes its effort
card allows. The manifest states the sum to the nearest 5 minutes, and a test compares the two.
"""

from __future__ import annotations

import re
from typing import Any

WORDS_PER_MINUTE = 120
PER_CODE_CELL = 1.0
PER_QUESTION = 1.0
_CARD = re.compile(r"Difficulty [1-5]/5 · Importance [1-5]/5 · at most (\d+) minutes?")
_QUESTION = re.compile(r"^\s*(?:predict|quick_check)\(", re.MULTILINE)
_NOT_READ = re.compile(r"<!--.*?-->|\]\([^)]*\)", re.DOTALL)


def minutes(notebook: Any) -> int:
    """Minutes for `notebook` (as read by nbformat), rounded to 5, at least 5."""
    return max(5, 5 * round(exact(notebook) / 5))


def exact(notebook: Any) -> float:
    """Minutes before rounding. Answer and test cells cost what their effort card says."""
    total = 0.0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            total += len(re.findall(r"\w+", _NOT_READ.sub(" ", cell.source))) / WORDS_PER_MINUTE
            total += sum(float(allowed) for allowed in _CARD.findall(cell.source))
        elif cell.cell_type == "code" and not _on_a_card(cell):
            total += PER_CODE_CELL + PER_QUESTION * len(_QUESTION.findall(cell.source))
    return total


def _on_a_card(cell: Any) -> bool:
    """Whether the cell is an exercise's answer or test cell."""
    meta = cell.metadata.get("nbgrader", {})
    return bool(meta.get("solution") or meta.get("grade"))
