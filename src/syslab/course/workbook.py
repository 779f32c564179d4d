"""The learner's notebook: read it, say what is wrong with it, mend a copy and run that.

Nothing here writes to the learner's folder. A notebook that cannot be read gets one message
with the way out; one that can be read is compared with the released notebook, cell by cell.
"""

from __future__ import annotations

import ast
import copy
import json
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syslab.course import nbgrader_apps, paths
from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError

COURSE_KERNEL = "python3"
CELL_TIMEOUT_S = 120  # as in nbgrader_config.py
_MERGE = re.compile(r"^(<<<<<<<|>>>>>>>)(?: |$)", re.MULTILINE)


@dataclass(frozen=True)
class Problem:
    """Something that differs from the released notebook, and what to do about it.

    `kind` is one of ``kernel``, ``merge``, ``metadata-lost``, ``renamed``, ``deleted``,
    ``duplicated``, ``cell-type`` and ``edited``.
    """

    kind: str
    cell: str
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.message}\n    {self.fix}"


# ------------------------------------------------------------------------------------ reading


def read(assignment: Assignment, name: str) -> Any:
    """The learner's notebook `name` of `assignment`.

    Raises
    ------
    CourseError
        When the file is missing, damaged, half-merged or not a notebook; the message says where,
        and how to get a sound one back without losing answers.
    """
    path = assignment.work / name
    shown = assignment.shown(path)
    if not path.is_file():
        raise _missing(assignment, name)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CourseError(
            f"{shown} is damaged: byte {error.start} is not UTF-8 text.", rescue(assignment, path)
        ) from None
    if not text.strip():
        raise CourseError(f"{shown} is empty.", rescue(assignment, path))
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        marker = _MERGE.search(text)
        if marker:
            line = text.count("\n", 0, marker.start()) + 1
            raise CourseError(
                f"{shown} holds an unfinished merge (line {line}: {marker[1]}).",
                "Keep one side (`git checkout --ours` or `--theirs`, or `nbdime mergetool`), "
                "then run this again.",
            ) from None
        raise CourseError(
            f"{shown} is damaged or cut short: line {error.lineno}, column {error.colno}: "
            f"{error.msg}.",
            rescue(assignment, path),
        ) from None
    return _sound(data, shown, rescue(assignment, path))


def released(assignment: Assignment, name: str) -> Any:
    """The released notebook `name` of `assignment`."""
    import nbformat

    path = assignment.release / name
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises many kinds for one fact: unreadable
        raise CourseError(
            f"{assignment.shown(path)} cannot be read ({type(error).__name__}: {error}).",
            f"Restore it: `git checkout {assignment.shown(assignment.release)}`.",
        ) from None


def rescue(assignment: Assignment, path: Path) -> str:
    """How to get a sound notebook back without losing what is in the broken one."""
    shown = assignment.shown(path)
    kept = path.parent / ".ipynb_checkpoints" / f"{path.stem}-checkpoint{path.suffix}"
    aside = assignment.shown(path.with_name(f"{path.stem}-broken{path.suffix}"))
    if kept.is_file() and kept.stat().st_size:
        return (
            "Your file was not touched. JupyterLab kept your last checkpoint: "
            f"`mv {shown} {aside} && cp {assignment.shown(kept)} {shown}`."
        )
    return (
        f"Your file was not touched. Set it aside (`mv {shown} {aside}`), get a fresh copy with "
        f"`syslab start {assignment.name}` and carry your answers over."
    )


def _missing(assignment: Assignment, name: str) -> CourseError:
    others = sorted(p.name for p in assignment.work.glob("[!.]*.ipynb"))
    others = [other for other in others if other not in assignment.notebooks()]
    folder = assignment.shown(assignment.work)
    if len(others) == 1:
        return CourseError(
            f"{folder}/{name} is missing; there is {others[0]}.",
            f"If that is your work under another name: `mv {folder}/{others[0]} {folder}/{name}`.",
        )
    return CourseError(
        f"{folder}/{name} is missing.",
        f"`syslab start {assignment.name}` puts a fresh copy there and leaves your files alone.",
    )


def _sound(data: Any, shown: str, way_out: str) -> Any:
    import nbformat
    from nbformat.validator import normalize

    if not isinstance(data, dict) or "nbformat" not in data:
        raise CourseError(f"{shown} is JSON, but not a notebook.", way_out)
    if data["nbformat"] != 4:
        raise CourseError(
            f"{shown} was saved in notebook format {data['nbformat']}; the course uses 4.",
            "Open it in JupyterLab, save it, and run this again.",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # missing and doubled cell ids are mended, not told
        try:
            _, data = normalize(data)
            notebook = nbformat.from_dict(data)
            for cell in notebook.cells:
                if isinstance(cell.source, list):
                    cell.source = "".join(cell.source)
            notebook = _joined(notebook)
            nbformat.validate(notebook)
        except Exception as error:  # a validator's errors and what broken structure provokes
            reason = str(getattr(error, "message", error)).split("\n")[0][:160]
            raise CourseError(f"{shown} is not a valid notebook: {reason}.", way_out) from None
    return notebook


def _joined(notebook: Any) -> Any:
    from nbformat.v4.rwbase import rejoin_lines, strip_transient

    return strip_transient(rejoin_lines(notebook))


# --------------------------------------------------------------------------------- comparing


def mark(cell: Any) -> str | None:
    """The grade id of a cell that nbgrader knows, None for any other."""
    meta = cell.metadata.get("nbgrader") or {}
    known = meta.get("grade") or meta.get("solution") or meta.get("locked")
    return meta.get("grade_id") if known else None


def is_answer(cell: Any) -> bool:
    """Whether the learner writes in this cell."""
    return bool((cell.metadata.get("nbgrader") or {}).get("solution"))


def compare(notebook: Any, original: Any) -> list[Problem]:
    """What of the released notebook was lost or changed, in the order of the released cells.

    Parameters
    ----------
    notebook, original
        The learner's notebook and the released one.
    """
    problems = [*_kernel(notebook), *_half_merged(notebook)]
    marks = [mark(cell) for cell in notebook.cells]
    known = {mark(cell): cell for cell in original.cells if mark(cell)}
    adopted = _adopted(notebook, original)
    nothing_marked = known and not any(marks)
    if nothing_marked:
        problems.append(
            Problem(
                "metadata-lost",
                "",
                "The notebook was saved by a program that dropped nbgrader's marks: "
                "no cell is recognised as an exercise.",
                f"{len(adopted)} of {len(known)} cells could be matched again for this run. Before "
                "you submit, take a fresh copy (rename your folder, then `syslab start`) and paste "
                "your answers into it with JupyterLab.",
            )
        )
    for grade_id, cell in known.items():
        where = [i for i, m in enumerate(marks) if m == grade_id]
        if not where and not nothing_marked:
            problems.append(_absent(grade_id, cell, notebook, adopted))
        if len(where) > 1:
            problems.append(
                Problem(
                    "duplicated",
                    grade_id,
                    f"Cell `{grade_id}` is there {len(where)} times; only the last one counts.",
                    "Delete the copies you do not want graded.",
                )
            )
        at = where[-1] if where else adopted.get(grade_id)
        if at is not None:
            problems.extend(_changed(grade_id, notebook.cells[at], cell))
    return problems


def _kernel(notebook: Any) -> Iterator[Problem]:
    name = (notebook.metadata.get("kernelspec") or {}).get("name")
    if name and name != COURSE_KERNEL and name not in installed_kernels():
        yield Problem(
            "kernel",
            "",
            f"The notebook asks for the kernel '{name}', which is not installed here; "
            f"'{COURSE_KERNEL}' is used, as in grading.",
            "In JupyterLab: Kernel > Change Kernel… > Python 3 (ipykernel), then save.",
        )


def _half_merged(notebook: Any) -> Iterator[Problem]:
    """Conflict markers inside a cell: what nbdime leaves behind is a sound notebook otherwise."""
    for index, cell in enumerate(notebook.cells):
        if _MERGE.search(cell.source):
            name = mark(cell) or f"number {index + 1}"
            yield Problem(
                "merge",
                name,
                f"Cell {name} holds an unfinished merge.",
                "Keep one version and delete the lines <<<<<<<, ======= and >>>>>>>.",
            )


def installed_kernels() -> set[str]:
    """Names of the kernels Jupyter finds here."""
    from jupyter_client.kernelspec import KernelSpecManager

    return set(KernelSpecManager().find_kernel_specs())


def _absent(grade_id: str, cell: Any, notebook: Any, adopted: dict[str, int]) -> Problem:
    graded = (cell.metadata.get("nbgrader") or {}).get("grade")
    role = "answer cell" if is_answer(cell) else "test cell" if graded else "locked cell"
    if grade_id in adopted:
        meta = notebook.cells[adopted[grade_id]].metadata.get("nbgrader") or {}
        other = meta.get("grade_id")
        if other:
            return Problem(
                "renamed",
                grade_id,
                f"The {role} `{grade_id}` now carries the id `{other}`.",
                f"Set its grade id back to `{grade_id}` (Property Inspector > Create Assignment), "
                "or move your answer into a fresh copy.",
            )
        return Problem(
            "metadata-lost",
            grade_id,
            f"The {role} `{grade_id}` has lost nbgrader's mark; it was recognised by its content.",
            "Copy your answer into a fresh copy before you submit: rename your folder, then "
            "`syslab start`.",
        )
    if is_answer(cell):
        return Problem(
            "deleted",
            grade_id,
            f"The {role} `{grade_id}` is missing from your notebook.",
            "Undo the deletion in JupyterLab (Edit > Undo Cell Operation, or Z), or copy the cell "
            "from a fresh copy of the assignment.",
        )
    return Problem(
        "deleted",
        grade_id,
        f"The {role} `{grade_id}` is missing from your notebook.",
        "Nothing is lost: it is put back when the notebook is checked and graded.",
    )


def _changed(grade_id: str, cell: Any, original: Any) -> Iterator[Problem]:
    if cell.cell_type != original.cell_type:
        yield Problem(
            "cell-type",
            grade_id,
            f"Cell `{grade_id}` was turned from {original.cell_type} into {cell.cell_type}.",
            f"Select it and set its type back to {original.cell_type} in the toolbar.",
        )
    elif not is_answer(original) and _text(cell.source) != _text(original.source):
        yield Problem(
            "edited",
            grade_id,
            f"The test cell `{grade_id}` was edited.",
            "Your answers count as they are: the original test is put back when the notebook is "
            "checked and graded.",
        )


def _text(source: str) -> str:
    return "\n".join(line.rstrip() for line in source.strip().split("\n"))


def _adopted(notebook: Any, original: Any) -> dict[str, int]:
    """Cells that are surely the missing ones: same cell id, same text or same names defined."""
    known = {mark(cell): cell for cell in original.cells if mark(cell)}
    marks = [mark(cell) for cell in notebook.cells]
    free = [i for i, m in enumerate(marks) if m not in known]
    found: dict[str, int] = {}
    for same in (_same_id, _same_text, _same_names):
        for grade_id, cell in known.items():
            if grade_id in found or grade_id in marks:
                continue
            at = next((i for i in free if same(notebook.cells[i], cell)), None)
            if at is not None:
                found[grade_id] = at
                free.remove(at)
    return found


def _same_id(cell: Any, original: Any) -> bool:
    return bool(original.get("id")) and cell.get("id") == original.get("id")


def _same_text(cell: Any, original: Any) -> bool:
    return cell.cell_type == original.cell_type and _text(cell.source) == _text(original.source)


def _same_names(cell: Any, original: Any) -> bool:
    if cell.cell_type != "code" or original.cell_type != "code" or not is_answer(original):
        return False
    names = _defined(original.source)
    return bool(names) and names <= _defined(cell.source)


def _defined(source: str) -> set[str]:
    try:
        body = ast.parse(source).body
    except SyntaxError:
        pattern = r"^(?:def|class)\s+(\w+)|^(\w+)\s*=[^=]"
        return {a or b for a, b in re.findall(pattern, source, re.MULTILINE)}
    names = {n.name for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        names |= {t.id for t in targets if isinstance(t, ast.Name)}
    return names


# ------------------------------------------------------------------------------------ mending


def repaired(notebook: Any, original: Any) -> Any:
    """A copy of `notebook` with the released marks and tests put back; answers stay.

    Of doubled cells the last one counts, as in nbgrader. A missing answer cell of an autograded
    exercise is not put back: its stub would overwrite an answer given elsewhere.
    """
    mended = copy.deepcopy(notebook)
    known = {mark(cell): cell for cell in original.cells if mark(cell)}
    for grade_id, index in _adopted(notebook, original).items():
        mended.cells[index].metadata["nbgrader"] = copy.deepcopy(known[grade_id].metadata.nbgrader)
    seen: set[str] = set()
    for index in reversed(range(len(mended.cells))):
        cell = mended.cells[index]
        grade_id = mark(cell)
        if grade_id not in known or grade_id in seen:
            cell.metadata.pop("nbgrader", None)
            continue
        seen.add(grade_id)
        mended.cells[index] = _restored(cell, known[grade_id])
    order = list(known)
    for grade_id, cell in known.items():
        if grade_id in seen or (is_answer(cell) and not cell.metadata.nbgrader.get("grade")):
            continue
        at = insertion_index([mark(c) for c in mended.cells], order, grade_id)
        mended.cells.insert(at, copy.deepcopy(cell))
    return mended


def insertion_index(marks: Sequence[str | None], order: Sequence[str], missing: str) -> int:
    """Where a missing cell belongs: after the nearest earlier cell that is still there.

    Parameters
    ----------
    marks
        Grade ids of the cells present, None for cells without one.
    order
        All grade ids as released.
    missing
        The grade id to place.

    Returns
    -------
    int
        Index to insert at: behind the nearest earlier cell of `order`, else before the nearest
        later one, else at the end.
    """
    position = order.index(missing)
    for earlier in reversed(order[:position]):
        if earlier in marks:
            return len(marks) - list(reversed(marks)).index(earlier)
    for later in order[position + 1 :]:
        if later in marks:
            return marks.index(later)
    return len(marks)


def _restored(cell: Any, original: Any) -> Any:
    whole = copy.deepcopy(original)  # marks, type and, for a test, the text
    if is_answer(original):
        whole.source = cell.source
    whole["id"] = cell.get("id", original.get("id"))
    if cell.cell_type == original.cell_type and "attachments" in cell:
        whole["attachments"] = copy.deepcopy(cell.attachments)
    return whole


# ------------------------------------------------------------------------------------ running


def execute(notebook: Any, folder: Path, assignment: Assignment) -> Any:
    """Run `notebook`, in place, in a fresh kernel in `folder`, past errors, as grading does.

    Raises
    ------
    CourseError
        When the kernel is missing or dies.
    """
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError

    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook,
        km=_warm_manager(),
        timeout=CELL_TIMEOUT_S,
        interrupt_on_timeout=True,
        error_on_timeout={
            "ename": "Timeout",
            "evalue": f"stopped after {CELL_TIMEOUT_S} s: look for a loop that does not end",
            "traceback": [],
        },
        allow_errors=True,
        kernel_name=COURSE_KERNEL,
        extra_arguments=["--HistoryManager.hist_file=:memory:", "--IPKernelApp.log_level=ERROR"],
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
    )
    state = str(paths.state_dir(assignment.root))
    try:
        with nbgrader_apps.environment(SYSLAB_ROOT=str(assignment.root), SYSLAB_STATE=state):
            client.execute(cleanup_kc=True)  # a manager that it was given it would leave alone
    except NoSuchKernel:
        raise CourseError(
            f"the kernel '{COURSE_KERNEL}' is not installed, so no notebook can run.",
            "Run `make lab` again, or in the course's environment "
            "`python -m ipykernel install --sys-prefix`.",
        ) from None
    except DeadKernelError:
        where = _last_run(notebook)
        raise CourseError(
            f"the kernel died{where}: out of memory, or the code ended the process.",
            "Run the notebook from the top in JupyterLab (Kernel > Restart and Run All Cells) to "
            "see which cell does it.",
        ) from None
    return notebook


def _warm_manager() -> Any:
    """A manager of kernels forked from a resident template; None where there is no such thing.

    The first check starts the template and is no faster for it; those of the next twenty minutes
    find it. ``SYSLAB_WARM=off`` in the environment asks for kernels started afresh.
    """
    if os.environ.get("SYSLAB_WARM", "").lower() in ("off", "0", "no"):
        return None
    from syslab.warm import provisioner, service

    try:
        address = service.resident()
    except (service.WarmError, OSError):
        return None
    return provisioner.manager(address, kernel_name=COURSE_KERNEL)


def _last_run(notebook: Any) -> str:
    run = [c for c in notebook.cells if c.cell_type == "code" and c.execution_count]
    ids = [mark(c) for c in run if mark(c)]
    return f" after `{ids[-1]}`" if ids else ""
