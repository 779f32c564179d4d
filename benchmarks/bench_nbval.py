"""Measure strict nbval over the course with warm kernels against stock, serial nbval.

    python benchmarks/bench_nbval.py [PATH...] [--workers 2]

Stock is what every course does: ``pytest --nbval``, one process, a kernel started for each
notebook. Warm is what ``make test`` does: kernels forked from a process that has imported torch
and the like, several notebooks at a time. Both must pass, on the same cells.
Exits with 1 if the target is missed.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EVERYTHING = ["START.ipynb", "lessons", "labs", "projects", "source"]
WANTED = 3.0


def main() -> int:
    """Run both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", default=EVERYTHING)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    paths = [path for path in args.paths if (ROOT / path).exists()]
    warm = {"JUPYTER_DEFAULT_PROVISIONER_NAME": "syslab-warm"}
    warm_s, cells = nbval(paths, ["-n", str(args.workers), "--dist", "loadfile"], warm)
    stock_s, same = nbval(paths, ["-p", "no:xdist"], {})
    if cells != same:
        raise SystemExit(f"{cells} cells compared with warm kernels, {same} with stock ones")
    ratio = stock_s / warm_s
    print(f"{cells} cells of {len(paths)} paths")
    print(f"stock nbval, one process         {stock_s:8.1f} s")
    print(f"warm kernels, {args.workers} workers          {warm_s:8.1f} s")
    verdict = "ok" if ratio >= WANTED else "MISSED"
    print(f"ratio                            {ratio:8.2f}   >= {WANTED:g} {verdict}")
    return 0 if ratio >= WANTED else 1


def nbval(paths, options, environment) -> tuple[float, int]:
    """Seconds, and cells that were compared."""
    with tempfile.TemporaryDirectory() as state:
        command = [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval",
            "--nbval-current-env", "--nbval-sanitize-with", "tests/nbval_sanitize.cfg",
            *options, *paths,
        ]  # fmt: skip
        variables = {**os.environ, "SYSLAB_NO_PROGRESS": "1", "SYSLAB_STATE": state}
        variables.pop("JUPYTER_DEFAULT_PROVISIONER_NAME", None)
        began = time.perf_counter()
        done = subprocess.run(
            command, cwd=ROOT, env={**variables, **environment},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    took = time.perf_counter() - began
    passed = re.search(r"(\d+) passed", done.stdout)
    if done.returncode or not passed:
        raise SystemExit(f"nbval failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return took, int(passed[1])


if __name__ == "__main__":
    sys.exit(main())
