"""Stored runs of the simulators, for machines without valgrind or llvm-mca.

    python -c "from syslab.counters import recordings; recordings.record()"

makes them again, from the checked-in assembly.
"""

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

from syslab.counters.pipeline import CPUS, PipelineReport
from syslab.counters.simulated import FunctionCounts, Simulation

FOLDER = Path(__file__).parent / "recorded"

RUNS = {
    **{f"triad-{n}": ("triad", n) for n in (8192, 16384, 32768, 65536)},
    "dot-1": ("dot", 1, 65536),
    "dot-4": ("dot", 4, 65536),
    **{
        f"matmul-{order}-{n}": ("matmul", order, n, *extra)
        for n in (96, 128)
        for order, extra in (("ijk", ()), ("ikj", ()), ("blocked", (16,)))
    },
    "chase-sequential": ("chase", "sequential", 4096, 100_000),
    "chase-random": ("chase", "random", 4096, 100_000),
    "chase-random-large": ("chase", "random", 65536, 200_000),
    "branchy-random": ("branchy", "random", 32768, 4),
    "branchy-sorted": ("branchy", "sorted", 32768, 4),
    "gather-hashed": ("gather", "hashed", 20, 400_000),
    "gather-sequential": ("gather", "sequential", 20, 400_000),
}
"""Recorded runs: name to the arguments of `simulate`."""

LOOPS = (
    "triad",
    "dot_one_sum",
    "dot_four_sums",
    "matmul_ijk",
    "matmul_ikj",
    "matmul_blocked",
    "chase",
    "branchy",
    "gather_hashed",
    "gather_sequential",
)
"""Functions whose inner loop was recorded, each on every CPU of `pipeline.CPUS`."""


@cache
def _stored(file: str) -> dict:
    return json.loads((FOLDER / file).read_text())


def recorded(name: str) -> Simulation:
    """A stored cachegrind run by name: ``recorded("matmul-ijk-128")["matmul_ijk"]``."""
    runs = _stored("cachegrind.json")
    if name not in runs:
        raise KeyError(f"no recorded run {name!r}; recorded: {', '.join(runs)}")
    fields = dict(runs[name])
    fields["arguments"] = tuple(fields["arguments"])
    fields["functions"] = {
        function: FunctionCounts(events) for function, events in fields["functions"].items()
    }
    return Simulation(**fields)


def recorded_loop(function: str, cpu: str = "skylake-avx512") -> PipelineReport:
    """A stored llvm-mca report of a function's inner loop."""
    loops = _stored("llvm_mca.json")
    key = f"{function} {cpu}"
    if key not in loops:
        raise KeyError(
            f"no recorded loop of {function!r} on {cpu!r}; functions: "
            f"{', '.join(LOOPS)}; CPUs: {', '.join(CPUS)}"
        )
    return PipelineReport(**{name: value for name, value in loops[key].items() if name != "date"})


def record(folder: Path = FOLDER) -> None:
    """Run every simulation again and write the JSON files."""
    from datetime import date

    from syslab.counters.pipeline import analyse
    from syslab.counters.simulated import simulate

    runs = {}
    for name, arguments in RUNS.items():
        runs[name] = asdict(simulate(*arguments))
        runs[name]["functions"] = {
            function: counts["events"] for function, counts in runs[name]["functions"].items()
        }
    today = {"date": date.today().isoformat()}
    loops = {
        f"{function} {cpu}": asdict(analyse(function, cpu)) | today
        for function in LOOPS
        for cpu in CPUS
    }
    for file, content in (("cachegrind.json", runs), ("llvm_mca.json", loops)):
        (folder / file).write_text(json.dumps(content, indent=1) + "\n")
