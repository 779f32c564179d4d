"""What grading a class takes as it grows: engines, workers, databases, memory.

    python benchmarks/bench_grading_scale.py [--submissions 40] [--large 500] [--only NAME ...]

Every row is a process of its own that grades a class of the small course in tests/fixtures (two
graded answers without a heavy computation, so that what is measured is grading itself): the first
seconds until a submission is recorded, then what each further one takes, what of that is not the
cells' own run time, and the most memory the grader and all its processes held. The last row is a
large class: the grader's own memory after every fifth of it shows whether it grows.

Ray's row has the same workers on a cluster that the run starts for itself on this machine.
PostgreSQL's row is left out where the server is not installed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).resolve().parents[1] / "tests" / "fixtures"
KINDS = ("right", "mixed", "warns", "wrong")
ROWS = {  # name: engine, workers, database
    "local-1": ("local", 1, "sqlite"),
    "local-2": ("local", 2, "sqlite"),
    "local-2-postgresql": ("local", 2, "postgresql"),
    "ray-1": ("ray", 1, "sqlite"),
    "ray-2": ("ray", 2, "sqlite"),
}
LARGE = "local-2-large"
LEGEND = """\
first: until the first submission is recorded (engine and warm template start).
each further: wall time for each of the second half, when every worker is warm.
own: per submission, what is not the cells' run time, median.
grader: peak RSS of the recording process. all: peak PSS of everything it started."""
MIB = 2**20


def main() -> int:
    """Measure every row and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--submissions", type=int, default=40, help="in each class")
    parser.add_argument("--large", type=int, default=500, help="in the large class; 0: none")
    parser.add_argument("--only", nargs="+", choices=[*ROWS, LARGE], help="these rows")
    parser.add_argument("--one", nargs=2, metavar=("ROW", "SUBMISSIONS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], int(args.one[1]))))
        return 0
    wanted = args.only or [*ROWS, LARGE]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Linux "
          f"{platform.release()}, Python {platform.python_version()}\n")  # fmt: skip
    print("| row | submissions | first, s | each further, s | own, s | grader, MiB | all, MiB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    growth = None
    for name in wanted:
        count = args.large if name == LARGE else args.submissions
        if not count:
            continue
        row = _apart(name, count)
        if "absent" in row:
            print(f"| {name} | not measured: {row['absent']} |||||")
            continue
        print(f"| {name} | {count} | {row['first_s']:.1f} | {row['each_s']:.3f} | "
              f"{row['own_s']:.3f} | {row['grader_mib']:.0f} | {row['all_mib']:.0f} |",
              flush=True)  # fmt: skip
        if name == LARGE:
            growth = row["growth"]
    print(f"\n{LEGEND}")
    if growth:
        steps = ", ".join(f"{count}: {mib:.0f} MiB" for count, mib in growth)
        print(f"\ngrader's RSS after so many submissions of the large class: {steps}")
    return 0


def _apart(name: str, count: int) -> dict[str, Any]:
    """`measure` in a process of its own, whose peak memory is its own."""
    command = [sys.executable, __file__, "--one", name, str(count)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(name: str, count: int) -> dict[str, Any]:
    """Grade a class of `count` and return what it took."""
    sys.path[:0] = [str(FIXTURES / "small_class"), str(FIXTURES / "postgres")]
    import logging
    import resource

    import psutil
    import small_class as small

    from syslab.course import assignments
    from syslab.grading import batch
    from syslab.warm import sandbox

    logging.disable(logging.WARNING)
    kind, workers, database = ROWS.get(name, ("local", 2, "sqlite"))
    own, times_s, growth = psutil.Process(), [], []

    def progress(row: batch.Row) -> None:
        times_s.append(time.perf_counter() - began)
        if row.state != "graded":
            raise SystemExit(f"{row.student}: {row.verdicts}")
        if len(times_s) % max(1, count // 5) == 0:
            growth.append((len(times_s), own.memory_info().rss / MIB))

    with tempfile.TemporaryDirectory(prefix="bench-") as place, _database(database) as url:
        if url is None:
            return {"absent": "there is no PostgreSQL server here"}
        students = {f"s{n:04d}": KINDS[n % len(KINDS)] for n in range(count)}
        root = small.build(Path(place) / "course", students)
        os.environ.update(small.environment(root, url))
        # A cluster that happens to run here is not the one to measure.
        os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_ADDRESS": "local"}
        options = batch.Options(sandboxed=sandbox.support().complete)
        with _watched() as peak:
            began = time.perf_counter()
            rows = batch.grade(
                assignments.find(small.mini.NAME, root), _engine(kind, workers), options, progress
            )
        if len(rows) != count or len(small.scores(url or small.book_of(root))) != count:
            raise SystemExit(f"{len(rows)} of {count} submissions came back")
    return {
        "first_s": times_s[0],
        "each_s": (times_s[-1] - times_s[count // 2]) / max(1, count - 1 - count // 2),
        "own_s": statistics.median(row.wall_s - row.cells_s for row in rows),
        "grader_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB,
        "all_mib": peak["bytes"] / MIB,
        "growth": growth,
    }


def _engine(kind: str, workers: int) -> Any:
    def make() -> Any:
        if kind == "ray":
            from syslab.grading import on_ray

            return on_ray.Ray(workers=workers)
        from syslab.grading import engines

        return engines.Local(workers)

    return make


@contextlib.contextmanager
def _database(kind: str) -> Iterator[str | None]:
    """The gradebook's URL: empty for the course's own file, None where there is no server."""
    from syslab.course import programs

    if kind == "sqlite":
        yield ""
        return
    found = programs.program("postgresql").path()
    if found is None:
        yield None
        return
    from postgres_server import Server

    with Server(found) as server:
        yield server.create("bench")


@contextlib.contextmanager
def _watched() -> Iterator[dict[str, int]]:
    """The most memory that the processes started inside the block held together."""
    import psutil

    peak, ended = {"bytes": 0}, threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            held = 0
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    held += process.memory_full_info().pss
            peak["bytes"] = max(peak["bytes"], held)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield peak
    ended.set()
    thread.join()


if __name__ == "__main__":
    sys.exit(main())
