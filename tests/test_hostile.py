"""The whole of grading, driven over a class of broken and hostile submissions.

One run grades them all, with well-behaved submissions before, between and after them: what each
case earns, what is said about it, and that nothing of it got out of its sandbox.
"""

import contextlib
import html
import os
import shutil
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "hostile"))
import corpus
import mini_course as mini

from syslab.course import assignments
from syslab.grading import batch, feedback_pages
from syslab.grading.engines import Local
from syslab.grading.execute import Limits

# Much less than a class gets: a case that runs into a limit is to do so in seconds.
LIMITS = Limits(
    cell_s=4.0,
    wall_s=20.0,
    output_bytes=2_000_000,
    memory_bytes=1500 << 20,
    cpu_s=60,
    processes=48,
    file_bytes=32 << 20,
    disk_bytes=64 << 20,
)
GOOD = ("0-good", "m-good", "zz-good")


@dataclass
class Graded:
    """What one run over the corpus gave."""

    rows: dict[str, batch.Row]
    points: dict[str, dict[str, float]]
    targets: corpus.Targets
    connections: list[str]
    autograded: Path
    package_before: set[str]
    untold: list[str]  # the refused for whom no page could be made
    pages: dict[str, str]  # what the others read
    dated: set[str]  # whose submissions say when they were handed in


@contextlib.contextmanager
def listening():
    """A port of this machine that notes whatever reaches it; yields (port, notes)."""
    notes: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as u:
        port = tcp.getsockname()[1]
        u.bind(("127.0.0.1", port))
        ended = threading.Event()

        def accept():
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    tcp.settimeout(0.2)
                    link, _ = tcp.accept()
                    notes.append("tcp")
                    link.close()

        def receive():
            u.settimeout(0.2)
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    u.recv(10)
                    notes.append("udp")

        threads = [threading.Thread(target=work, daemon=True) for work in (accept, receive)]
        for thread in threads:
            thread.start()
        yield port, notes
        ended.set()
        for thread in threads:
            thread.join()


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The corpus, graded in one run."""
    place = tmp_path_factory.mktemp("hostile")
    root = mini.build_released(place / "course")
    release = root / "release" / mini.NAME
    for name in ("outside", "neighbour"):
        (place / name).mkdir()
    secret = place / "canary-secret.txt"
    secret.write_text(corpus.SECRET)
    (place / "neighbour" / mini.NOTEBOOK).write_text(corpus.SECRET)
    chosen = [case for case in corpus.CASES.values() if _wanted(case)]
    with listening() as (port, connections), pytest.MonkeyPatch.context() as patch:
        targets = corpus.Targets(secret, place / "outside", place / "neighbour", port)
        for student in (*GOOD, *(case.name for case in chosen)):
            corpus.well_behaved(root / "submitted" / student / mini.NAME, release)
        for case in chosen:
            case.build(root / "submitted" / case.name / mini.NAME, targets)
        for planted in (place / "outside").iterdir():  # the link of a case, not its booty
            if planted.name != "kept.ipynb":
                raise AssertionError(f"{planted} was there before the run")
        patch.setenv("SYSLAB_ROOT", str(root))
        patch.setenv("SYSLAB_STATE", str(root / ".syslab"))
        patch.setenv(corpus.SECRET_VARIABLE, corpus.SECRET)
        package = _package()
        assignment = assignments.find(mini.NAME, root)
        options = batch.Options(limits=LIMITS, sandboxed=_sandboxed())
        rows = batch.grade(assignment, lambda: Local(2), options)
        refused = [row for row in rows if row.state == "refused"]
        untold = feedback_pages.make(assignment, refused)
    points = {row.student: _points(root, row.student) for row in rows}
    pages = {
        page.parents[1].name: page.read_text(encoding="utf-8")
        for page in (root / "feedback").glob(f"*/{mini.NAME}/*.html")
    }
    yield Graded(
        {row.student: row for row in rows},
        points,
        targets,
        connections,
        root / "autograded",
        package,
        untold,
        pages,
        {stamp.parents[1].name for stamp in (root / "submitted").glob("*/*/timestamp.txt")},
    )
    shutil.rmtree(place, ignore_errors=True)


def _wanted(case: corpus.Case) -> bool:
    """All cases; with SYSLAB_HOSTILE=name,name only those, to work on one of them."""
    only = os.environ.get("SYSLAB_HOSTILE", "")
    return not only or any(case.name.startswith(name) for name in only.split(","))


def _sandboxed() -> bool:
    return os.environ.get("SYSLAB_HOSTILE_SANDBOX", "1") == "1"


def _package() -> set[str]:
    import syslab

    return {p.name for p in Path(syslab.__file__).parent.iterdir()}


def _points(root: Path, student: str) -> dict[str, float]:
    from nbgrader.api import Gradebook, MissingEntry

    with Gradebook(f"sqlite:///{root / 'gradebook.db'}", "principal-ai-systems") as book:
        try:
            found = book.find_submission_notebook("arch-02", mini.NAME, student)
        except MissingEntry:
            return {}
        return {
            grade.name.removeprefix("test-"): grade.score
            for grade in found.grades
            if grade.name.startswith("test-")
        }


@pytest.mark.parametrize("student", GOOD)
def test_the_rest_of_the_class_is_unaffected(graded, student):
    assert graded.rows[student].state == "graded"
    assert graded.rows[student].verdicts == ()
    assert graded.points[student] == corpus.POINTS


@pytest.mark.parametrize("case", [c for c in corpus.CASES.values() if _wanted(c)], ids=str)
def test_the_verdict_of(case, graded):
    row = graded.rows[case.name]
    outcome = corpus.Outcome(
        refused=row.verdicts[0].code if row.state == "refused" else "",
        points=graded.points[case.name],
        codes={verdict.code for verdict in row.verdicts},
        flagged=row.flagged,
    )
    assert row.state in ("graded", "refused"), row
    assert corpus.complaints(case, outcome) == [], row


def test_nothing_got_in(graded):
    """No secret in anything that goes back to a learner, or into the instructor's browser."""
    found = []
    for path in graded.autograded.rglob("*"):
        if path.is_file():
            lines = path.read_bytes().split(b"\n")
            hits = [x for x in lines if corpus.SECRET.encode() in x or corpus.OPENED.encode() in x]
            found += [(path.relative_to(graded.autograded).parts[0], x[:200]) for x in hits]
    assert found == []


def test_nothing_got_out(graded):
    targets = graded.targets
    assert targets.secret.read_text() == corpus.SECRET
    assert targets.secret.stat().st_mtime > 0
    assert {p.name for p in targets.outside.iterdir()} <= {"kept.ipynb"}
    assert graded.connections == []
    assert _package() == graded.package_before


def test_no_process_is_left(graded):
    import psutil

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        left = []
        for process in psutil.process_iter(["cmdline"]):
            if "canary-daemon" in " ".join(process.info["cmdline"] or ()):
                left.append(process.pid)
        if not left:
            return
        time.sleep(0.2)
    raise AssertionError(f"processes left behind: {left}")


def test_the_refused_are_told_why_and_when_they_handed_in(graded):
    """A submission that cannot be run gets a page of its own; hostile names stay text in it."""
    refused = {row.student: row for row in graded.rows.values() if row.state == "refused"}
    assert len(refused) > 20 or os.environ.get("SYSLAB_HOSTILE")
    told = {name: row for name, row in refused.items() if name in graded.pages}
    said = [problem.partition(":")[0] for problem in graded.untold]
    assert sorted([*told, *said]) == sorted(refused)
    for name, row in told.items():
        assert html.escape(row.verdicts[0].message) in graded.pages[name], name
        assert "<script" not in graded.pages[name], name
    undated = {name for name, row in refused.items() if row.submitted is None}
    assert undated == set(refused) - graded.dated
