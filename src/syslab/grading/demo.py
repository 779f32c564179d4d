"""The demonstration submission: a fictitious learner with typical mistakes, graded.

``demo_answers/<assignment>.toml`` holds the answers::

    [answers]                     # take the place of the stub inside the answer cell
    ridge = "return bandwidth / peak"

    [cells]                       # take the place of the whole answer cell (written answers too)
    memo = '''Fund the second fix: ...'''

Cells that are not named stay as released.
"""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from syslab.course import assignments, scores, workbook
from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError
from syslab.course.scores import CellScore
from syslab.grading import release
from syslab.grading.release import Difference
from syslab.grading.workshop import fill, workshop

STUDENT = "demo-typical"
STUB = re.compile(r"^(?P<indent>[ \t]*)# YOUR CODE HERE\n[ \t]*raise NotImplementedError\(\)", re.M)
MEASURED = "nbval-ignore-output"
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
_PICTURES = ("image/png", "image/jpeg", "image/svg+xml")


def answers_file(name: str) -> Path:
    """The answers of the demonstration submission for the assignment called `name`."""
    return Path(__file__).parent / "demo_answers" / f"{name}.toml"


def target(assignment: Assignment) -> Path:
    return assignment.root / "autograded" / STUDENT / assignment.name


def make(assignment: Assignment, answers: Path | None = None) -> list[CellScore]:
    """Regenerate the demonstration submission; return the scores of its cells."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="syslab-demo-") as place:
        fresh = Path(place) / assignment.name
        found = _build(assignment, answers or answers_file(assignment.name), fresh)
        release.replace_folder(fresh, target(assignment))
    return found


def verify(assignment: Assignment, answers: Path | None = None) -> list[Difference]:
    """How the stored demonstration differs from one made now; pixels of pictures are ignored."""
    import tempfile

    stored = target(assignment)
    with tempfile.TemporaryDirectory(prefix="syslab-demo-") as place:
        fresh, kept = Path(place) / "fresh", Path(place) / "kept"
        _build(assignment, answers or answers_file(assignment.name), fresh)
        if stored.is_dir():
            fill(kept, stored)
        for path in (*fresh.glob("*.ipynb"), *kept.glob("*.ipynb")):
            _blank_pictures(path)
        return list(release.differences(fresh, kept, assignment.shown(stored)))


def _build(assignment: Assignment, answers: Path, place: Path) -> list[CellScore]:
    import nbformat

    if not answers.is_file():
        raise CourseError(
            f"{answers} is missing: it holds the demonstration's answers.",
            f"Write it (grade id = code), then `syslab demo {assignment.name}`.",
        )
    with answers.open("rb") as file:
        given = tomllib.load(file)
    found: list[CellScore] = []
    with workshop(assignment) as bench:
        fill(bench.submitted(STUDENT), bench.generate())
        notebooks = sorted(bench.release.glob("[!.]*.ipynb"))
        loaded = {path.name: nbformat.read(path, as_version=4) for path in notebooks}
        _refuse_unknown(given, loaded.values(), answers)
        for name, notebook in loaded.items():
            _answer(notebook, given, answers)
            nbformat.write(notebook, bench.submitted(STUDENT) / name)
        graded = bench.autograde(STUDENT)
        place.mkdir(parents=True)
        for relative in assignments.files(graded):
            (place / relative).parent.mkdir(parents=True, exist_ok=True)
            if relative.suffix == ".ipynb":
                notebook = stable(nbformat.read(graded / relative, as_version=4))
                found += scores.of(notebook)
                _write(notebook, place / relative)
            elif relative.name != "timestamp.txt":
                shutil.copyfile(graded / relative, place / relative)
    return found


def _refuse_unknown(given: dict[str, Any], notebooks: Any, answers: Path) -> None:
    known = {workbook.mark(c) for nb in notebooks for c in nb.cells if workbook.is_answer(c)}
    named = {*given.get("answers", {}), *given.get("cells", {})}
    if named - known:
        raise CourseError(
            f"{answers.name} answers {', '.join(sorted(named - known))}, which the assignment "
            "does not ask.",
            f"Its answer cells: {', '.join(sorted(k for k in known if k))}.",
        )


def _answer(notebook: Any, given: dict[str, Any], answers: Path) -> None:
    for cell in notebook.cells:
        name = workbook.mark(cell)
        if not workbook.is_answer(cell):
            continue
        if name in given.get("cells", {}):
            cell.source = given["cells"][name].strip("\n")
        elif name in given.get("answers", {}):
            stub = STUB.search(cell.source)
            if not stub:
                raise CourseError(
                    f"{answers.name}: `{name}` has no stub to fill in.",
                    "Put the whole cell under [cells] instead.",
                )
            lines = given["answers"][name].strip("\n").split("\n")
            body = "\n".join(stub["indent"] + line if line else "" for line in lines)
            cell.source = cell.source[: stub.start()] + body + cell.source[stub.end() :]


def stable(notebook: Any) -> Any:
    """An autograded notebook in the form that does not change from run to run, in place.

    Outputs of cells tagged as measurements go; tracebacks are reduced to their last line;
    memory addresses are masked; the rest is the course's canonical form.
    """
    from syslab.course.notebooks import canonical

    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        if MEASURED in cell.metadata.get("tags", []):
            cell.outputs = []
        for output in cell.outputs:
            _mask(output)
    return canonical.canonicalise(notebook)


def _mask(output: Any) -> None:
    if output.output_type == "error":
        output.evalue = _ADDRESS.sub("0x…", output.evalue)
        output.traceback = [f"{output.ename}: {output.evalue}"]
    elif output.output_type == "stream":
        output.text = _ADDRESS.sub("0x…", "".join(output.text))
    else:
        for mime, data in list(output.data.items()):
            if mime.startswith("text/"):
                output.data[mime] = _ADDRESS.sub("0x…", "".join(data))


def _write(notebook: Any, path: Path) -> None:
    from syslab.course.notebooks import canonical

    path.write_text(canonical.dumps(notebook), encoding="utf-8")


def _blank_pictures(path: Path) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    for bundle in _bundles(data):
        for mime in _PICTURES:
            if mime in bundle:
                bundle[mime] = ""
    path.write_text(json.dumps(data, sort_keys=True), encoding="utf-8")


def _bundles(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for cell in notebook["cells"]:
        yield from (output["data"] for output in cell.get("outputs", []) if "data" in output)
