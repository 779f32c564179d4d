"""Measure grading a class against stock nbgrader, side by side in one run.

    python benchmarks/bench_grading.py [ASSIGNMENT | --short] [--submissions 40] [--workers 2]

A class is made of an assignment's reference solution, in each submission with another exercise
left unanswered. ``nbgrader autograde`` grades it, and ``syslab grade`` does, with the sandbox and
without; all write into gradebooks of their own. Every grade of every cell must agree.

With ``--short`` the class is one of the small course in tests/fixtures, whose notebook imports
torch and then computes next to nothing: what is left is grading itself. In a longer notebook the
cells' own time, which no grader can shorten, limits the ratio; that limit is printed.

Printed: seconds for the class and the ratio; seconds for each submission after the first, against
nbgrader's mean, which is what counts in a large class; and what one submission takes above the
running time of its own cells as the kernel's clock has it (median). Exits with 1 if a target is
missed.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WANTED_RATIO, WANTED_OVERHEAD_S = 20.0, 0.3


def main() -> int:
    """Make the class, grade it three times, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("assignment", nargs="?", default="arch-02")
    parser.add_argument("--short", action="store_true", help="a short notebook that imports torch")
    parser.add_argument("--submissions", type=int, default=40)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--inside", nargs=2, metavar=("FOLDER", "SANDBOX"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        return grade_here(Path(args.inside[0]), args.assignment, args.workers, args.inside[1])
    make = make_short_class if args.short else make_class
    with tempfile.TemporaryDirectory(prefix="bench-grading-") as place:
        courses = {
            name: make(Path(place) / name, args.assignment, args.submissions)
            for name in ("stock", "sandboxed", "open")
        }
        stock_s = stock(courses["stock"], args.assignment)
        ours = {
            name: inside(courses[name], args, "on" if name == "sandboxed" else "off")
            for name in ("sandboxed", "open")
        }
        grades = {name: scores(course, args.assignment) for name, course in courses.items()}
    return report(args, stock_s, ours, grades)


def report(args, stock_s, ours, grades) -> int:
    """Print the table; 1 when a target is missed or a grade differs."""
    n = args.submissions
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    what = "the short notebook that imports torch" if args.short else args.assignment
    print(f"{n} submissions of {what}, {cores} cores")
    print(f"{'':34}{'class':>10}{'each':>10}{'ratio':>8}")
    print(f"{'nbgrader autograde':34}{stock_s:>8.1f} s{stock_s / n:>8.2f} s")
    for name, said in (("sandboxed", "syslab grade"), ("open", "syslab grade --no-sandbox")):
        took = ours[name]["total_s"]
        print(f"{said:34}{took:>8.1f} s{took / n:>8.2f} s{stock_s / took:>8.1f}")
    further = ours["sandboxed"]["further_s"]
    print(f"each further one, after the first {further:>12.2f} s{stock_s / n / further:>8.1f}")
    kept = True
    ratio = stock_s / ours["sandboxed"]["total_s"]
    over = {name: run["overhead_s"] for name, run in ours.items()}
    cells = ours["sandboxed"]["cells_s"]
    workers = args.workers or cores
    print(f"the cells' own time, median        {cells:.2f} s")
    print(f"  so that no ratio on {workers} workers is above {stock_s / (n * cells / workers):.0f}")
    for said, value, target, ok in (
        ("throughput, ratio", ratio, f">= {WANTED_RATIO:g}", ratio >= WANTED_RATIO),
        (
            "above the cells' own time, median",
            over["sandboxed"],
            f"<= {WANTED_OVERHEAD_S:g} s",
            over["sandboxed"] <= WANTED_OVERHEAD_S,
        ),
        ("  of it the sandbox", over["sandboxed"] - over["open"], "", True),
    ):
        kept &= ok
        print(
            f"{said:34} {value:>8.3f}   {target} {'' if not target else 'ok' if ok else 'MISSED'}"
        )
    equal = True
    for name in ("sandboxed", "open"):
        if grades[name] != grades["stock"]:
            equal = False
            differing = {k for k in grades["stock"] if grades["stock"][k] != grades[name].get(k)}
            print(f"DIFFERENT GRADES ({name}): {sorted(differing)[:5]}")
    print(f"{len(grades['stock'])} grades compared with stock{': all equal' if equal else ''}")
    return 0 if kept and equal else 1


def make_class(folder: Path, assignment: str, count: int) -> Path:
    """A course with `count` submissions, the i-th with the i-th exercise left as the stub."""
    import nbformat

    folder.mkdir(parents=True)
    for name in ("course.toml", "nbgrader_config.py"):
        shutil.copy(ROOT / name, folder)
    for name in ("labs", "lessons", "docs"):
        os.symlink(ROOT / name, folder / name)
    for name in ("source", "release"):
        (folder / name).mkdir()
        for entry in (ROOT / name).iterdir():
            if entry.name == assignment:
                shutil.copytree(entry, folder / name / assignment)
            else:
                os.symlink(entry, folder / name / entry.name)
    file = f"{assignment}.ipynb"
    solved = nbformat.read(folder / "source" / assignment / file, as_version=4)
    stubs = {
        cell.metadata.nbgrader.grade_id: cell.source
        for cell in nbformat.read(folder / "release" / assignment / file, as_version=4).cells
        if cell.metadata.get("nbgrader", {}).get("solution") and cell.cell_type == "code"
    }
    names = list(stubs)
    for number in range(count):
        place = folder / "submitted" / f"s{number:04d}" / assignment
        shutil.copytree(folder / "release" / assignment, place)
        notebook = nbformat.from_dict(json.loads(json.dumps(solved)))
        for cell in notebook.cells:
            if cell.metadata.get("nbgrader", {}).get("grade_id") == names[number % len(names)]:
                cell.source = stubs[names[number % len(names)]]
        nbformat.write(notebook, place / file)
        (place / "timestamp.txt").write_text("2026-11-01 10:00:00.000000 UTC")
    return folder


def make_short_class(folder: Path, assignment: str, count: int) -> Path:
    """The same of the small course in tests/fixtures, with ``import torch`` in its first cell."""
    import nbformat

    sys.path.insert(0, str(ROOT / "tests" / "fixtures" / "mini_course"))
    import mini_course as mini

    from syslab.course import assignments
    from syslab.grading.workshop import workshop

    source = mini.build(folder) / "source" / assignment / mini.NOTEBOOK
    notebook = nbformat.read(source, as_version=4)
    mini.cell(notebook, "setup").source += "\nimport torch"
    nbformat.write(notebook, source)
    with workshop(assignments.find(assignment, folder)) as bench:
        shutil.copytree(bench.generate(database=False), folder / "release" / assignment)
    for number in range(count):
        place = folder / "submitted" / f"s{number:04d}" / assignment
        shutil.copytree(folder / "release" / assignment, place)
        wrong = list(mini.WRONG)[number % len(mini.WRONG)]
        mini.answer(place / mini.NOTEBOOK, {**mini.RIGHT, wrong: mini.WRONG[wrong]})
        (place / "timestamp.txt").write_text("2026-11-01 10:00:00.000000 UTC")
    return folder


def stock(course: Path, assignment: str) -> float:
    """Seconds that ``nbgrader autograde`` takes, once the tests are in its gradebook."""
    nbgrader(course, "generate_assignment", assignment, "--force")
    began = time.perf_counter()
    nbgrader(course, "autograde", assignment)
    return time.perf_counter() - began


def nbgrader(course: Path, *words: str) -> None:
    environment = {
        **os.environ,
        "SYSLAB_ROOT": str(course),
        "SYSLAB_STATE": str(course / ".syslab"),
        "SYSLAB_NO_PROGRESS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *words],
        cwd=course, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"nbgrader {' '.join(words)} failed:\n{done.stderr[-2000:]}")


def inside(course: Path, args, sandbox: str) -> dict:
    """Grade in a process of its own; what `grade_here` printed."""
    command = [sys.executable, __file__, args.assignment, "--inside", str(course), sandbox]
    if args.workers:
        command += ["--workers", str(args.workers)]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=course, capture_output=True, text=True, check=False)
    total = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"grading failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "total_s": total}


def grade_here(course: Path, assignment: str, workers: int | None, sandbox: str) -> int:
    """What ``syslab grade --no-feedback`` does, with its clock readings."""
    os.environ.update(SYSLAB_ROOT=str(course), SYSLAB_STATE=str(course / ".syslab"))
    from syslab.course import assignments
    from syslab.grading import batch, engines

    options = batch.Options(sandboxed=sandbox == "on")
    found = assignments.find(assignment, course)
    ended: list[float] = []
    rows = batch.grade(
        found,
        lambda: engines.Local(workers, engines.imported_by(found)),
        options,
        lambda row: ended.append(time.perf_counter()),
    )
    over = [row.wall_s - row.cells_s for row in rows]
    print(
        json.dumps(
            {
                "overhead_s": statistics.median(over),
                "further_s": (ended[-1] - ended[0]) / max(1, len(ended) - 1),
                "cells_s": statistics.median(row.cells_s for row in rows),
            }
        )
    )
    wrong = [row for row in rows if row.state != "graded"]
    print(*wrong, sep="\n", file=sys.stderr)
    return 1 if wrong else 0


def scores(course: Path, assignment: str) -> dict[str, float]:
    """``student/cell`` -> the machine's points, out of the gradebook."""
    from syslab.grading import book

    with book.reading(course) as session:
        return {f"{g.student}/{g.cell}": g.auto for g in book.grades(session, assignment)}


if __name__ == "__main__":
    sys.exit(main())
