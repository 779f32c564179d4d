"""How long the ``syslab`` command takes to answer, beside two commands of the same kind.

Prints the median of several runs, started in turns so that a slow moment of the machine falls on
all of them alike. Wanted: ``syslab`` under 0.3 s, ``syslab nb check`` over the tree under 5 s.

    .venv/bin/python benchmarks/bench_startup.py [RUNS]
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parent.parent
OURS = "syslab --help"
COMMANDS = (OURS, "syslab nb --help", "syslab doctor", "jupyter --version", "nbgrader --version")


def seconds(command: str) -> float:
    """Return the wall time of one run, s."""
    name, *rest = command.split()
    begin = time.perf_counter()
    subprocess.run([BIN / name, *rest], cwd=ROOT, capture_output=True, check=False)
    return time.perf_counter() - begin


def main(runs: int) -> None:
    """Print medians and the ratio to our own command."""
    for command in COMMANDS:
        seconds(command)  # warm the file cache
    times_s = {command: [] for command in COMMANDS}
    for _ in range(runs):
        for command in COMMANDS:
            times_s[command].append(seconds(command))
    ours_s = statistics.median(times_s[OURS])
    print(f"{'command':<20} {'median s':>9} {'ratio':>7}   (median of {runs})")
    for command, values in times_s.items():
        median_s = statistics.median(values)
        print(f"{command:<20} {median_s:>9.3f} {median_s / ours_s:>6.1f}x")
    print(f"limit 0.300 s: syslab uses {ours_s / 0.3:.2f} of it")
    check_s = statistics.median(seconds("syslab nb check") for _ in range(3))
    folders = ("lessons", "labs", "projects", "source", "release")
    notebooks = sum(1 for folder in folders for _ in (ROOT / folder).rglob("*.ipynb"))
    print(f"syslab nb check over {notebooks} notebooks: {check_s:.2f} s, {check_s / 5:.2f} of 5 s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
