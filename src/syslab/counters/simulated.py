"""Counts of real compiled kernels, simulated by cachegrind where hardware counters are closed.

Cachegrind (part of valgrind) executes every instruction and feeds each access to a model of an
L1 instruction cache, an L1 data cache, a last-level cache and a branch predictor.  The counts are
bit-repeatable.  They say nothing about time, prefetching or out-of-order overlap: they are
simulated, not measured.

Calibrate it too.  valgrind carries out a vector FMA element by element, so that a 32-byte memory
operand is counted as four reads: Dr of ``triad`` and ``dot`` reads 2.5 times the loads in the
code.  Misses, instructions and the scalar kernels are right.
"""

import re
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from syslab.counters.kernels import compiler, kernel, link, need, run, version

LABEL = "simulated by cachegrind, not measured by hardware"
INSTALL = "apt-get install valgrind"


@dataclass(frozen=True)
class Cache:
    """Geometry of one simulated cache."""

    cache_bytes: int
    ways: int
    line_bytes: int = 64

    def __post_init__(self):
        sets, rest = divmod(self.cache_bytes, self.ways * self.line_bytes)
        if rest or sets < 1 or sets & (sets - 1):
            raise ValueError(
                f"cache_bytes is {self.cache_bytes}; with {self.ways} ways of {self.line_bytes} B "
                "it must make a power-of-two number of sets"
            )

    def __str__(self) -> str:
        return f"{self.cache_bytes},{self.ways},{self.line_bytes}"


L1I = Cache(32 * 1024, 8)
L1D = Cache(32 * 1024, 8)
LAST_LEVEL = Cache(1024 * 1024, 16)


@dataclass(frozen=True)
class FunctionCounts:
    """Events of one function, callees apart.

    Cachegrind's names: Ir instructions; Dr, Dw data reads and writes; D1mr, D1mw and DLmr, DLmw
    those that missed L1 and the last level; Bc, Bcm conditional branches and mispredictions.
    """

    events: dict[str, int]

    def __getitem__(self, event: str) -> int:
        return self.events[event]

    @property
    def instructions(self) -> int:
        """Instructions executed (Ir)."""
        return self["Ir"]

    @property
    def accesses(self) -> int:
        """Data reads and writes."""
        return self["Dr"] + self["Dw"]

    @property
    def l1_misses(self) -> int:
        """Data reads and writes that missed L1."""
        return self["D1mr"] + self["D1mw"]

    @property
    def llc_misses(self) -> int:
        """Data reads and writes that missed the last level."""
        return self["DLmr"] + self["DLmw"]

    @property
    def l1_miss_ratio(self) -> float:
        """L1 misses per data access."""
        return self.l1_misses / self.accesses

    @property
    def misprediction_ratio(self) -> float:
        """Mispredictions per conditional branch."""
        return self["Bcm"] / self["Bc"]

    def mpki(self, event: str) -> float:
        """Count of ``event`` per 1,000 instructions."""
        return 1000 * self[event] / self["Ir"]


@dataclass(frozen=True)
class Simulation:
    """One run under cachegrind.  ``simulation["triad"]`` gives the counts of a function.

    ``compiler`` made the assembly; ``tool`` simulated it on ``date``.
    """

    label: str
    kernel: str
    arguments: tuple[str, ...]
    command: str
    compiler: str
    tool: str
    date: str
    geometry: dict[str, str]
    functions: dict[str, FunctionCounts]

    def __getitem__(self, function: str) -> FunctionCounts:
        if function not in self.functions:
            raise KeyError(f"no counts of {function!r}; functions: {', '.join(self.functions)}")
        return self.functions[function]


def simulate(
    name: str, *arguments, l1i: Cache = L1I, l1d: Cache = L1D, last_level: Cache = LAST_LEVEL
) -> Simulation:
    """Run a kernel of `syslab.counters.kernels` under cachegrind.

    Parameters
    ----------
    name : str
        ``triad``, ``dot``, ``matmul``, ``chase``, ``branchy`` or ``gather``.
    *arguments
        As in ``kernel(name).usage``: ``simulate("matmul", "ijk", 96)``.
    l1i, l1d, last_level : Cache
        Geometry; by default 32 KiB 8-way, 32 KiB 8-way, 1 MiB 16-way, 64-byte lines.

    Raises
    ------
    ToolMissing
        valgrind or gcc is not here; `recorded` has stored runs.
    """
    wanted = kernel(name)
    valgrind = need("valgrind", INSTALL)
    options = [
        "--tool=cachegrind",
        "--cache-sim=yes",
        "--branch-sim=yes",
        f"--I1={l1i}",
        f"--D1={l1d}",
        f"--LL={last_level}",
    ]
    given = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder:
        program = link(name, Path(folder))
        found = Path(folder) / "counts"
        # Environment and program name lie on the stack: both fixed, so that addresses repeat.
        run(
            [valgrind, *options, f"--cachegrind-out-file={found}", f"./{program.name}", *given],
            cwd=folder,
            env={},
        )
        functions = parse(found.read_text(), wanted.functions)
    if not functions:
        raise ValueError(
            f"{name} {' '.join(given)} ran none of its functions; usage: {name} {wanted.usage}"
        )
    return Simulation(
        label=LABEL,
        kernel=name,
        arguments=tuple(given),
        command=" ".join(["valgrind", *options, f"./{name}", *given]),
        tool=version(valgrind),
        compiler=compiler(name),
        date=date.today().isoformat(),
        geometry={"l1i": str(l1i), "l1d": str(l1d), "last_level": str(last_level)},
        functions=functions,
    )


def parse(text: str, wanted: tuple[str, ...] | None = None) -> dict[str, FunctionCounts]:
    """Counts per function of a cachegrind output file; all functions when ``wanted`` is None."""
    header = re.search(r"^events: (.+)$", text, re.MULTILINE)
    if header is None:
        raise ValueError("no 'events:' line; this is not a cachegrind output file")
    events = header.group(1).split()
    totals: dict[str, list[int]] = {}
    current = None
    for line in text.splitlines():
        if line.startswith("fn="):
            current = line[3:].split(":")[-1]
        elif current is not None and line[:1].isdigit():
            row = totals.setdefault(current, [0] * len(events))
            for place, count in enumerate(line.split()[1:]):
                row[place] += int(count)
    return {
        name: FunctionCounts(dict(zip(events, row, strict=True)))
        for name, row in totals.items()
        if wanted is None or name in wanted
    }
