"""A notebook as percent text, to read and edit in a terminal or an editor."""

from __future__ import annotations

import copy
import difflib
import re
from typing import Any

from syslab.course.errors import CourseError

_MARK = re.compile(r"^# %%", re.MULTILINE)
_ATTACHED = re.compile(r"\]\(attachment:([^)\s]+)\)")


def view(notebook: Any, outputs: bool = False) -> str:
    """The notebook as ``# %%`` text; with `outputs`, text outputs follow as comments.

    Only the text without outputs is meant to be edited and handed to ``apply``.
    """
    import jupytext

    notebook = copy.deepcopy(notebook)
    if outputs:
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.source += _as_comments(cell.outputs)
    notebook.metadata = {"jupytext": {"notebook_metadata_filter": "-all"}}
    for cell in notebook.cells:
        cell.pop("attachments", None)
    return jupytext.writes(notebook, fmt="py:percent")


def apply(text: str, notebook: Any | None) -> Any:
    """Edited percent text laid over `notebook`.

    Text and metadata come from `text`. Code cells whose source is unchanged keep their outputs,
    Markdown cells the attachments their text still shows.

    Raises
    ------
    CourseError
        When `text` is not percent text.
    """
    import jupytext

    if not _MARK.search(text):
        raise CourseError(
            "the text has no `# %%` line, so it is not a notebook in percent form",
            "start from the output of `syslab nb view NOTEBOOK`",
        )
    try:
        edited = jupytext.reads(text, fmt="py:percent")
    except Exception as error:  # jupytext raises many kinds for one fact: unreadable
        raise CourseError(
            f"the text is not readable as percent cells ({error})",
            'look at the options behind the `# %%` lines: they read like tags=["slider"]',
        ) from None
    if notebook is not None:
        _keep_outputs(edited.cells, notebook.cells)
        _keep_attachments(edited.cells, notebook.cells)
    return edited


def _keep_outputs(cells: list[Any], before: list[Any]) -> None:
    """Unchanged code keeps its outputs; equal cells are taken in order."""
    waiting: dict[str, list[Any]] = {}
    for cell in before:
        if cell.cell_type == "code":
            waiting.setdefault(cell.source.strip("\n"), []).append(cell)
    for cell in cells:
        same = waiting.get(cell.source.strip("\n")) if cell.cell_type == "code" else None
        if same:
            old = same.pop(0)
            cell.outputs, cell.execution_count = old.outputs, old.get("execution_count")


def _keep_attachments(cells: list[Any], before: list[Any]) -> None:
    """A cell that shows ``attachment:NAME`` gets NAME from the old cell most like it."""
    donors = [cell for cell in before if cell.get("attachments")]
    for cell in cells:
        for name in _ATTACHED.findall(cell.source) if cell.cell_type == "markdown" else ():
            having = [donor for donor in donors if name in donor.attachments]
            if having:
                best = max(having, key=lambda donor: _likeness(cell, donor))
                cell.setdefault("attachments", {})[name] = best.attachments[name]


def _likeness(cell: Any, donor: Any) -> tuple[bool, float]:
    tags, old = (set(c.metadata.get("tags", [])) for c in (cell, donor))
    ratio = difflib.SequenceMatcher(None, cell.source, donor.source).ratio()
    return bool(tags & old), ratio


def _as_comments(outputs: list[Any]) -> str:
    lines: list[str] = []
    for output in outputs:
        if output.output_type == "stream":
            text = output.text
        elif output.output_type == "error":
            text = f"{output.ename}: {output.evalue}"
        else:
            text = output.data.get("text/plain", "")
            if "image/png" in output.data:
                text = f"[picture] {text}"
        lines += ["#> " + line for line in "".join(text).rstrip("\n").split("\n")]
    return "\n" + "\n".join(lines) if lines else ""
