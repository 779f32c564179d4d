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
# A learner's own notebook owes nobody style: what they write there is theirs.
LEARNERS = ("work", "submitted")
LEARNERS_RULES = (form.form,)


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

    Notebooks under ``source/`` are also held to the graded contract; learners' copies only to
    the form.
    """
    path = Path(path)
    shown = path.relative_to(root) if root and path.is_relative_to(root) else path
    notebook = canonical.read(path)
    rules = RULES + (GRADED_RULES if "source" in shown.parts else ())
    if shown.parts[0] in LEARNERS:
        rules = LEARNERS_RULES
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
