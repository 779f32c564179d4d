"""Run a notebook in a fresh kernel and store its outputs."""

from __future__ import annotations

import base64
import copy
import os
import tempfile
from pathlib import Path
from typing import Any

from syslab.course.errors import CourseError
from syslab.course.notebooks import canonical, prose

MEASURES = "nbval-ignore-output"
EXPECTED = "expected-picture:"


def run(path: str | Path, remeasure: bool = False, notebook: Any | None = None) -> Any:
    """Execute the notebook at `path` (or the edited `notebook` meant for it) and store it.

    Outputs of cells tagged ``nbval-ignore-output`` (clock readings) are kept while their
    source is unchanged, so that re-running leaves no diff; `remeasure` replaces them.
    Numbers in prose are recomputed; a mismatch fails the run and nothing is written.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    path = Path(path)
    before = canonical.read(path) if path.exists() else None
    notebook = before if notebook is None else notebook
    notebook = canonical.canonicalise(copy.deepcopy(notebook))
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False,
    )
    with tempfile.TemporaryDirectory() as state:
        environment = {
            "SYSLAB_STATE": state,
            "SYSLAB_NO_PROGRESS": "1",
            "PYTHONHASHSEED": "0",
            "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        }
        kept = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            with client.setup_kernel():
                for index, cell in enumerate(notebook.cells):
                    client.execute_cell(cell, index)
                numbers = prose.evaluate(client, notebook)
        except CellExecutionError as error:
            raise CourseError(
                f"{path} stopped: {error.ename}: {error.evalue}\n{error.traceback}",
                "mend the cell and run again; the stored notebook is unchanged",
            ) from None
        finally:
            for name, value in kept.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
    if numbers:
        raise CourseError(
            f"{path}: numbers in prose disagree with the code:\n  " + "\n  ".join(numbers),
            "correct the prose or the expression; the stored notebook is unchanged",
        )
    if before is not None and not remeasure:
        _keep_measured(notebook, before)
    _harvest_pictures(notebook)
    canonical.write(canonical.canonicalise(notebook), path)
    return notebook


def _keep_measured(notebook: Any, before: Any) -> None:
    stored = {
        cell.source: cell.outputs
        for cell in before.cells
        if MEASURES in cell.metadata.get("tags", []) and cell.get("execution_count") is not None
    }
    for cell in notebook.cells:
        if MEASURES in cell.metadata.get("tags", []) and cell.source in stored:
            cell.outputs = stored[cell.source]


def _harvest_pictures(notebook: Any) -> None:
    """Put a cell's picture into the Markdown cell tagged ``expected-picture:<grade id>``.

    The released copy loses all outputs, so the picture a learner should get travels as
    an attachment named ``expected.png``.
    """
    pictures = {}
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        for output in cell.get("outputs", []):
            image = output.get("data", {}).get("image/png")
            if image and grade_id:
                pictures[grade_id] = image
    for cell in notebook.cells:
        for tag in cell.metadata.get("tags", []):
            if tag.startswith(EXPECTED):
                wanted = tag.removeprefix(EXPECTED)
                if wanted not in pictures:
                    raise CourseError(
                        f"tag {tag!r}: cell {wanted!r} drew no picture",
                        "let that cell show its figure or drop the tag",
                    )
                image = "".join(pictures[wanted]).replace("\n", "")
                base64.b64decode(image, validate=True)
                cell["attachments"] = {"expected.png": {"image/png": image}}
