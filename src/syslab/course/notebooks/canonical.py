"""One stable form of a notebook on disk, so that re-running it leaves no diff."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE_INFO = {"name": "python"}
CELL_METADATA = ("nbgrader", "tags")
MEASURES = "nbval-ignore-output"  # nbval's tag for a cell whose output is a clock reading
EXPECTED = "expected-picture:"  # tag of the Markdown cell that shows a graded cell's picture
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PICTURE_METADATA = ("alt", "height", "width")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def read(path: str | Path) -> Any:
    """Read a notebook; a damaged file gets one sentence that says what to do.

    Raises
    ------
    CourseError
        When the file is missing, is not JSON or is not a version 4 notebook.
    """
    import nbformat

    from syslab.course.errors import CourseError

    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CourseError(f"{path} does not exist", "check the path") from None
    except UnicodeDecodeError:
        raise CourseError(f"{path} is not UTF-8 text", "restore it from your backup") from None
    if re.search(r"^(<<<<<<<|>>>>>>>) ", text, re.MULTILINE):
        raise CourseError(
            f"{path} holds unresolved merge markers",
            "run `nbdime mergetool`, or keep one side with `git checkout --ours` or `--theirs`",
        )
    try:
        return nbformat.reads(text, as_version=4)
    except Exception as error:  # nbformat raises many kinds for one fact: unreadable
        raise CourseError(
            f"{path} is not a readable notebook ({error})",
            "restore it from .ipynb_checkpoints/ beside it or from git",
        ) from None


def write(notebook: Any, path: str | Path) -> None:
    """Write atomically: a full disk leaves the old file as it was."""
    path = Path(path)
    text = dumps(notebook)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def dumps(notebook: Any) -> str:
    """The canonical text: sorted keys, one space of indent, a final newline."""
    import nbformat

    text = nbformat.writes(notebook)
    return text if text.endswith("\n") else text + "\n"


def canonicalise(notebook: Any) -> Any:
    """Bring `notebook` into the stable form, in place, and return it."""
    import nbformat

    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": dict(KERNELSPEC), "language_info": dict(LANGUAGE_INFO)}
    )
    ids = cell_ids(notebook.cells)
    number = 0
    for cell, cell_id in zip(notebook.cells, ids, strict=True):
        cell.id = cell_id
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in CELL_METADATA if cell.metadata.get(key)}
        )
        if not isinstance(cell.source, str):
            cell.source = "".join(cell.source)
        cell.source = "\n".join(line.rstrip() for line in cell.source.split("\n")).strip("\n")
        if cell.cell_type != "code":
            continue
        if cell.get("execution_count") is not None:
            number += 1
            cell.execution_count = number
        cell.outputs = clean_outputs(cell.outputs, cell.execution_count)
    return notebook


def clean_outputs(outputs: list[Any], execution_count: int | None) -> list[Any]:
    """Join stream pieces, drop volatile parts, renumber results."""
    cleaned: list[Any] = []
    for output in outputs:
        if output.output_type == "stream":
            text = output.text if isinstance(output.text, str) else "".join(output.text)
            if cleaned and cleaned[-1].output_type == "stream" and cleaned[-1].name == output.name:
                cleaned[-1].text += text
                continue
            output.text = text
        if output.output_type in ("display_data", "execute_result"):
            output.data.pop(WIDGET_VIEW, None)
            output.metadata = _picture_metadata(output.metadata)
            output.pop("transient", None)
        if output.output_type == "execute_result":
            output.execution_count = execution_count
        cleaned.append(output)
    return cleaned


def _picture_metadata(metadata: Any) -> dict[str, dict[str, Any]]:
    """Alt text and size of pictures; everything else is dropped."""
    kept = {
        mime: {key: values[key] for key in PICTURE_METADATA if key in values}
        for mime, values in metadata.items()
        if mime.startswith("image/") and isinstance(values, dict)
    }
    return {mime: values for mime, values in kept.items() if values}


def cell_ids(cells: list[Any]) -> list[str]:
    """Deterministic ids: the grade id, else the section's slug and a running number."""
    ids: list[str] = []
    section, position = "top", 0
    seen: dict[str, int] = {}
    for cell in cells:
        source = cell.source if isinstance(cell.source, str) else "".join(cell.source)
        heading = None
        if cell.cell_type == "markdown":
            heading = _HEADING.search(_FENCED.sub("", source))
        if heading:
            section, position = slug(heading.group(1)), 0
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if grade_id:
            name = slug(grade_id)
        else:
            position += 1
            name = f"{section}-{position}"
        seen[name] = seen.get(name, 0) + 1
        ids.append(name if seen[name] == 1 else f"{name}-again-{seen[name]}")
    return ids


def slug(text: str) -> str:
    """Letters, digits and hyphens, at most 40 characters."""
    words = re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")
    return words[:40].strip("-") or "section"
