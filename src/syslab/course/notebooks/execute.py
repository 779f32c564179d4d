"""Run a notebook in a fresh kernel and store its outputs."""

from __future__ import annotations

import base64
import contextlib
import copy
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from syslab.course.errors import CourseError
from syslab.course.notebooks import canonical, prose
from syslab.course.notebooks.canonical import EXPECTED, MEASURES

CELL_TIMEOUT_S = 600
_UNCHANGED = "mend the cell and run again; the stored notebook is unchanged"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_AT_LINE = re.compile(r"^-+>\s*\d+\s(.*)$", re.MULTILINE)
_TRACEBACK_LINES = 12


def run(path: str | Path, remeasure: bool = False, notebook: Any | None = None) -> Any:
    """Execute the notebook at `path` (or the edited `notebook` meant for it) and store it.

    Outputs of cells tagged ``nbval-ignore-output`` (clock readings) are kept while their
    source is unchanged, so that re-running leaves no diff; `remeasure` replaces them.
    Numbers in prose are recomputed; a mismatch fails the run and nothing is written.

    Raises
    ------
    CourseError
        When a cell fails, the kernel is missing or dies, or prose and code disagree.
    """
    path = Path(path)
    before = canonical.read(path) if path.exists() else None
    notebook = before if notebook is None else notebook
    if notebook is None:
        raise CourseError(f"{path} does not exist", "check the path")
    notebook = canonical.canonicalise(copy.deepcopy(notebook))
    disagreements = _execute(notebook, path)
    if disagreements:
        raise CourseError(
            f"{path}: numbers in prose disagree with the code:\n  " + "\n  ".join(disagreements),
            "correct the prose or the expression; the stored notebook is unchanged",
        )
    if before is not None and not remeasure:
        _keep_measured(notebook, before)
    _harvest_pictures(notebook)
    canonical.write(canonical.canonicalise(notebook), path)
    return notebook


def _execute(notebook: Any, path: Path) -> list[str]:
    """Fill in the outputs; return what prose and code disagree on."""
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    cell = None
    with _surroundings() as scratch:
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT_S,
            kernel_name=canonical.KERNELSPEC["name"],
            record_timing=False,
            resources={"metadata": {"path": str(path.parent)}},
            store_widget_state=False,
            config=_transport(scratch),
        )
        client.reset_execution_trackers()
        try:
            with client.setup_kernel():
                for index, cell in enumerate(notebook.cells):
                    client.execute_cell(cell, index)
                return prose.evaluate(client, notebook)
        except CellExecutionError as error:
            raise CourseError(_failure(path, cell, error), _UNCHANGED) from None
        except CellTimeoutError:
            raise CourseError(
                f"{path} [{cell.id}] ran longer than {CELL_TIMEOUT_S} s", _UNCHANGED
            ) from None
        except DeadKernelError:
            raise CourseError(
                f"{path} [{cell.id}]: the kernel died (out of memory, or native code crashed)",
                _UNCHANGED,
            ) from None
        except NoSuchKernel as error:
            raise CourseError(
                f"the kernel {error.name!r} is not installed for {sys.executable}",
                "run `make lab` once, or see what `syslab doctor` says",
            ) from None


@contextlib.contextmanager
def _surroundings() -> Iterator[str]:
    """A scratch folder for sockets and state, and an environment without the learner's record."""
    with tempfile.TemporaryDirectory(prefix="syslab-", ignore_cleanup_errors=True) as scratch:
        environment = {
            "SYSLAB_STATE": scratch,
            "SYSLAB_NO_PROGRESS": "1",
            # Stored outputs are those of a machine without a GPU, unless the author asks for one.
            "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        }
        kept = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            yield scratch
        finally:
            for name, value in kept.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _transport(scratch: str) -> Any:
    """Talk to the kernel over sockets in our own folder: no port is opened."""
    from traitlets.config import Config

    config = Config()
    if os.name == "posix":
        for manager in ("KernelManager", "AsyncKernelManager"):
            config[manager].transport = "ipc"
            config[manager].ip = f"{scratch}/kernel"
    return config


def _failure(path: Path, cell: Any, error: Any) -> str:
    """Where it stopped, on which line, and the end of the traceback."""
    text = _ANSI.sub("", error.traceback)
    line = _AT_LINE.search(text)
    at = f" (at `{line.group(1).strip()}`)" if line else ""
    rows = [row.rstrip() for row in text.strip().splitlines() if row.strip(" -")]
    tail = "\n".join("    " + row for row in rows[-_TRACEBACK_LINES:])
    said = _ANSI.sub("", f"{error.ename}: {error.evalue}").splitlines()[0][:300]
    return f"{path} [{cell.id}] stopped with {said}{at}\n{tail}"


def _keep_measured(notebook: Any, before: Any) -> None:
    stored: dict[str, list[Any]] = {}
    for cell in before.cells:
        if MEASURES in cell.metadata.get("tags", []) and cell.get("execution_count") is not None:
            stored.setdefault(cell.source, []).append(cell.outputs)
    for cell in notebook.cells:
        if MEASURES in cell.metadata.get("tags", []) and stored.get(cell.source):
            cell.outputs = stored[cell.source].pop(0)


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
