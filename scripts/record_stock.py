"""Grade the corpus of hostile submissions with stock nbgrader, and write docs/verdicts.md.

    .venv/bin/python scripts/record_stock.py             # record what stock nbgrader does: minutes
    .venv/bin/python scripts/record_stock.py --only-doc  # the page alone, from what was recorded

Cases that would endanger the machine are left out and say why. Do it on a machine you can spare:
nothing holds the others back, which is the point.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "hostile"))
sys.path.insert(0, str(ROOT / "tests"))
import corpus  # noqa: E402
import mini_course as mini  # noqa: E402
from nbgrader.apps import NbGraderApp  # noqa: E402

from syslab.grading import verdicts  # noqa: E402

RECORDED = ROOT / "tests" / "hostile" / "stock.json"
PAGE = ROOT / "docs" / "verdicts.md"
TIMEOUT_S = 60
CELL_TIMEOUT_S = 5
MARK = "SYSLAB_STOCK_RUN"

CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "stock"
c.CourseDirectory.root = {root!r}
c.CourseDirectory.ignore = [".ipynb_checkpoints", "helpers.txt", "rubric*"]
c.ExecutePreprocessor.timeout = {timeout}
"""


# ---------------------------------------------------------------------------------- recording


def record(names: list[str]) -> Iterator[tuple[str, str]]:
    """What stock nbgrader makes of each case of `names`, one after another."""
    from test_hostile import listening

    place = Path(tempfile.mkdtemp(prefix="stock-"))
    try:
        root = mini.build_released(place / "course")
        (root / "nbgrader_config.py").write_text(
            CONFIG.format(root=str(root), timeout=CELL_TIMEOUT_S)
        )
        _nbgrader(root, "generate_assignment", mini.NAME, "--force", timeout_s=TIMEOUT_S)
        with listening() as (port, connections):
            for name in ["well-behaved", *names]:
                yield name, _one(place, root, name, port, connections)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _one(place: Path, root: Path, name: str, port: int, connections: list[str]) -> str:
    targets = _targets(place, port)
    folder = root / "submitted" / name / mini.NAME
    corpus.well_behaved(folder, root / "release" / mini.NAME)
    if name in corpus.CASES:
        corpus.CASES[name].build(folder, targets)
    connections.clear()
    mark = uuid.uuid4().hex
    code, text = _nbgrader(
        root, "autograde", mini.NAME, "--student", name, timeout_s=TIMEOUT_S, mark=mark
    )
    said = [_graded(root, name) if code == 0 else _failure(code, text)]
    said += _damage(root, name, targets, connections)
    left = _end(mark)
    if left and code is not None:
        said.append("left a process running")
    shutil.rmtree(folder.parent, ignore_errors=True)
    return "; ".join(said)


def _targets(place: Path, port: int) -> corpus.Targets:
    """Fresh targets: what the case before may have done to them is undone."""
    for name in ("outside", "neighbour"):
        shutil.rmtree(place / name, ignore_errors=True)
        (place / name).mkdir()
    secret = place / "canary-secret.txt"
    secret.unlink(missing_ok=True)
    secret.write_text(corpus.SECRET)
    (place / "neighbour" / mini.NOTEBOOK).write_text(corpus.SECRET)
    return corpus.Targets(secret, place / "outside", place / "neighbour", port)


def _nbgrader(root: Path, *words: str, timeout_s: float, mark: str = "") -> tuple[int | None, str]:
    """Exit status and log of an nbgrader command; None when it was ended after `timeout_s`."""
    environment = {**os.environ, corpus.SECRET_VARIABLE: corpus.SECRET, MARK: mark}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["SYSLAB_ROOT"] = str(root)
    environment["SYSLAB_STATE"] = str(root / ".syslab")
    log = root / "stock.log"
    log.unlink(missing_ok=True)
    child = os.fork()  # nbgrader is imported already: half the time of a case
    if child == 0:
        _become_nbgrader(root, log, environment, list(words))
    code = _wait(child, timeout_s)
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - 200_000))
        return code, file.read().decode("utf-8", "replace")


def _become_nbgrader(
    root: Path, log: Path, environment: dict[str, str], words: list[str]
) -> NoReturn:
    code = 1
    try:
        os.setsid()
        os.chdir(root)
        os.environ.update(environment)
        for stream, place in ((0, os.devnull), (1, log), (2, log)):
            flags = os.O_RDONLY if stream == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
            os.dup2(os.open(place, flags, 0o600), stream)
        NbGraderApp.launch_instance(words)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int, timeout_s: float) -> int | None:
    """Exit status of `child`; None when it was ended after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _end(mark: str) -> int:
    """End what the run left behind; how many processes that were."""
    import psutil

    time.sleep(0.5)
    left = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                process.kill()
                left += 1
    return left


def _graded(root: Path, student: str) -> str:
    from nbgrader.api import Gradebook, MissingEntry

    with Gradebook(f"sqlite:///{root / 'gradebook.db'}", "stock") as book:
        try:
            found = book.find_submission_notebook("arch-02", mini.NAME, student)
        except MissingEntry:
            return "no grade"
        scores = {grade.name: grade.score for grade in found.grades}
    parts = [f"{name} {scores.get('test-' + name, 0.0):g}" for name in corpus.POINTS]
    return "graded: " + ", ".join(parts)


def _failure(code: int | None, text: str) -> str:
    if code is None:
        return f"hung: ended after {TIMEOUT_S} s"
    errors = re.findall(
        r"^\s*([A-Za-z_.]*(?:Error|Exception|Exit|Interrupt)\b)", text, re.MULTILINE
    )
    named = [e.rpartition(".")[2] for e in errors if not e.endswith("NbGraderException")]
    return f"failed: {named[-1]}, no grade" if named else "failed, no grade"


def _damage(root: Path, student: str, targets: corpus.Targets, connections: list[str]) -> list[str]:
    said = []
    folder = root / "autograded" / student
    contents = [p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.is_symlink()]
    if any(corpus.SECRET.encode() in data for data in contents):
        said.append("**the secret is in the result**")
    elif any(corpus.OPENED.encode() in data for data in contents):
        said.append("**got what it reached for**")
    if any(b"secret_bandwidth_of_the_hidden_test" in _outputs(data) for data in contents):
        said.append("**hidden tests in an output**")
    planted = {p.name for p in targets.outside.iterdir()} - {"kept.ipynb"}
    if planted:
        said.append("**wrote outside its folder**")
    if not targets.secret.is_file() or targets.secret.read_text() != corpus.SECRET:
        said.append("**changed a file of the grader**")
    if connections:
        said.append("**connected**")
    return said


def _outputs(data: bytes) -> bytes:
    """The outputs of an executed notebook as bytes, empty for anything else."""
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        cells = json.loads(data)["cells"]
        return json.dumps([cell.get("outputs") for cell in cells]).encode()
    return b""


# --------------------------------------------------------------------------------------- page


def page() -> str:
    """docs/verdicts.md: the verdicts, and the corpus beside what stock nbgrader did with it."""
    stock = json.loads(RECORDED.read_text(encoding="utf-8"))
    cases = corpus.CASES.values()
    lines = [
        "# Verdicts",
        "",
        "What `syslab grade` says about a submission besides its points. With each verdict the",
        "learner gets a sentence that says what to do next; the table says what it means for you.",
        "What a person should look at is on Formgrader's list of manual grading.",
        "",
        "This page is made by `scripts/record_stock.py`; a test holds it to the code.",
        "",
        "## All verdicts",
        "",
        verdicts.table(),
        "## Hostile and broken submissions, here and in stock nbgrader",
        "",
        f"`tests/test_hostile.py` grades these {len(corpus.CASES)} submissions in one run, between",
        "well-behaved ones. The small assignment has two exercises: `ridge` (2 points) and",
        "`attainable` (3 points). The right column is what `nbgrader autograde` "
        f"{stock['nbgrader']} did",
        f"with the same folder, recorded {stock['recorded']} with limits of "
        f"{stock['cell_timeout_s']} s for a cell and",
        f"{stock['timeout_s']} s for a submission. What endangers the machine was not tried there.",
        "",
    ]
    for title, chosen in _parts(cases):
        lines += [f"### {title}", "", "| submission | here | stock nbgrader |", "|---|---|---|"]
        for case in chosen:
            lines.append(f"| {case.about} | {_here(case)} | {_there(case, stock['cases'])} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _parts(cases: Any) -> list[tuple[str, list[corpus.Case]]]:
    cases = list(cases)
    return [
        ("Broken or booby-trapped", [c for c in cases if c.stage == corpus.INTAKE]),
        (
            "Hanging, crashing, flooding, reaching out",
            [c for c in cases if c.stage == corpus.RUN and c.points != corpus.FLAGGED],
        ),
        ("Tampering: `ridge` is wrong in all of them", [c for c in cases if _tampers(c)]),
    ]


def _tampers(case: corpus.Case) -> bool:
    return case.stage == corpus.RUN and case.points == corpus.FLAGGED


def _here(case: corpus.Case) -> str:
    lost = " and ".join(f"`{name}`" for name in case.lost)
    words = {
        corpus.FULL: "full points",
        corpus.OTHERS: f"{lost} 0, the rest full",
        corpus.PARTIAL: f"{lost} 0" if lost else "points of what ran",
        corpus.NONE: "not run",
        corpus.FLAGGED: "`ridge` 0, or flagged for a person",
    }[case.points]
    codes = " or ".join(f"`{code}`" for code in case.verdicts)
    return f"{words}; {codes}" if codes else words


def _there(case: corpus.Case, recorded: dict[str, str]) -> str:
    if case.unsafe:
        return f"not tried: {case.unsafe}"
    said = recorded.get(case.name, "not recorded")
    paid = re.search(r"graded: ridge ([\d.]+)", said)
    if "ridge" in case.lost and paid and float(paid[1]) > 0:
        return f"**rewarded**: {said}"
    return said


# --------------------------------------------------------------------------------------- main


def _keep(found: dict[str, str]) -> None:
    content = {
        "nbgrader": importlib.metadata.version("nbgrader"),
        "recorded": time.strftime("%Y-%m-%d", time.gmtime()),
        "cell_timeout_s": CELL_TIMEOUT_S,
        "timeout_s": TIMEOUT_S,
        "cases": dict(sorted(found.items())),
    }
    RECORDED.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only-doc", action="store_true", help="write the page, run nothing")
    parser.add_argument("--missing", action="store_true", help="record what was not recorded yet")
    parser.add_argument("cases", nargs="*", help="record only these and keep the others")
    asked = parser.parse_args()
    unknown = [name for name in asked.cases if name not in corpus.CASES]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}")
    if not asked.only_doc:
        names = [name for name, case in corpus.CASES.items() if not case.unsafe]
        known = json.loads(RECORDED.read_text())["cases"] if RECORDED.exists() else {}
        kept = {n: known[n] for n in names if n in known} if asked.cases or asked.missing else {}
        chosen = [n for n in names if n in asked.cases or not (asked.cases or n in kept)]
        for name, said in record(chosen):
            print(f"{name:<32} {said}", flush=True)
            kept[name] = said
            _keep(kept)
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
