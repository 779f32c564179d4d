"""The counters of one run, and where they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

KINDS = ("synthetic", "measured", "simulated")
WIDTHS = {"skylake-sp": 4, "zen4": 6}
CYCLES = {"skylake-sp": "CPU_CLK_UNHALTED.THREAD", "zen4": "ls_not_halted_cyc"}
INSTRUCTIONS = {"skylake-sp": "INST_RETIRED.ANY", "zen4": "ex_ret_instr"}


@dataclass(frozen=True)
class Provenance:
    """Where a counter set came from.

    Parameters
    ----------
    kind : {"synthetic", "measured", "simulated"}
    tool : str
        Program and version that produced the numbers; empty for synthetic sets.
    parameters : mapping
        What would be needed to produce them again: the planted fractions and the seed of a
        synthetic set, the command line of a measured or simulated one.
    """

    kind: str
    tool: str = ""
    parameters: Mapping = field(default_factory=dict)

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; it must be one of {', '.join(KINDS)}")
        if self.kind != "synthetic" and not self.tool:
            raise ValueError(f"a {self.kind} counter set must name its tool and version in `tool`")
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))


@dataclass(frozen=True)
class CounterSet:
    """Raw event counts of one workload on one CPU.

    Parameters
    ----------
    workload : str
    cpu : {"skylake-sp", "zen4"}
        Decides the event names, the formulas and the default width.
    counters : mapping of str to int
        Event name to count.  ``counter_set["UOPS_ISSUED.ANY"]`` reads one.
    provenance : Provenance
    width : int, optional
        Slots per cycle; 4 on Skylake-SP, 6 on Zen 4.
    """

    workload: str
    cpu: str
    counters: Mapping[str, int]
    provenance: Provenance
    width: int = 0

    def __post_init__(self):
        if self.cpu not in WIDTHS:
            raise ValueError(f"cpu is {self.cpu!r}; formulas exist for {', '.join(WIDTHS)}")
        if self.width < 0:
            raise ValueError(f"width is {self.width}; give slots per cycle, 1 or more")
        if self.width == 0:
            object.__setattr__(self, "width", WIDTHS[self.cpu])
        object.__setattr__(self, "counters", MappingProxyType(dict(self.counters)))

    def __getitem__(self, event: str) -> int:
        if event not in self.counters:
            raise KeyError(
                f"{event} was not counted for {self.workload!r}; "
                f"counted: {', '.join(sorted(self.counters))}"
            )
        return self.counters[event]

    @property
    def cycles(self) -> int:
        """Unhalted core cycles."""
        return self[CYCLES[self.cpu]]

    @property
    def instructions(self) -> int:
        """Instructions retired."""
        return self[INSTRUCTIONS[self.cpu]]

    @property
    def slots(self) -> int:
        """Width x cycles: everything the core could have accepted."""
        return self.width * self.cycles

    @property
    def ipc(self) -> float:
        """Instructions per cycle."""
        return self.instructions / self.cycles

    def mpki(self, event: str) -> float:
        """Count of ``event`` per 1,000 retired instructions: how often, not how costly."""
        return 1000 * self[event] / self.instructions


def misses_in_flight(counter_set: CounterSet, event: str, latency_cycles: float) -> float:
    """Mean number of misses outstanding at once, by Little's law.

    ``misses * latency / cycles``.  About 1 means that each miss is waited for alone; about 10
    means that ten overlap, and each costs a tenth of its latency.  A Skylake core can hold 12
    L1 misses (its line fill buffers).
    """
    if latency_cycles <= 0:
        raise ValueError(f"latency_cycles is {latency_cycles}; it must be positive")
    return counter_set[event] * latency_cycles / counter_set.cycles
