"""What ``syslab nb check`` refuses. Every rule exists because it went wrong somewhere once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from syslab.course.notebooks import canonical
from syslab.course.notebooks.rules import constants, form, graded, reading

RULES = (
    form.form,
    form.execution,
    form.leaks,
    form.style,
    reading.pictures,
    reading.prose_numbers,
    constants.constants,
)
GRADED_RULES = (graded.triplets,)


@dataclass(frozen=True)
class Finding:
    """One refusal: where, which rule, and what to do."""

    path: str
    cell: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path} [{self.cell}] {self.rule}: {self.message}"


def check(path: str | Path, root: Path | None = None) -> list[Finding]:
    """All findings for one notebook; `root` shortens the paths printed.

    Notebooks under ``source/`` are also held to the graded contract.
    """
    path = Path(path)
    shown = path.relative_to(root) if root and path.is_relative_to(root) else path
    notebook = canonical.read(path)
    rules = RULES + (GRADED_RULES if "source" in shown.parts else ())
    return [
        Finding(
            str(shown),
            cell if isinstance(cell, str) else cell.get("id", "?"),
            rule.__name__.replace("_", "-"),
            message,
        )
        for rule in rules
        for cell, message in rule(notebook, path)
    ]
