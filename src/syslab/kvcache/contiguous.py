"""A contiguous KV cache: one unbroken run of slots per sequence, as engines did before paging.

It exists to be compared with ``PagedCache``. A sequence's final length is not known when it
arrives, so a run is reserved for the longest it may get. What stays empty is internal
fragmentation; holes between runs that no newcomer fits into are external fragmentation.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from syslab.kvcache.counters import Counters, OutOfMemory


@dataclass
class _Run:
    start: int
    reserved: int
    length: int


class ContiguousCache:
    """A pool of ``slots`` token slots, handed out in unbroken runs.

    Parameters
    ----------
    slots : int
    fit : {"first", "best"}
        Which hole a new run goes into: the first that is large enough, or the smallest.

    Examples
    --------
    >>> cache = ContiguousCache(100)
    >>> cache.add("a", 10, reserve=40); cache.add("b", 10, reserve=40)
    >>> cache.counters.internal_slots
    60
    >>> cache.free("a"); cache.counters.external_slots   # 40 + 20 free, in two holes
    20
    """

    def __init__(self, slots: int, fit: str = "first"):
        if isinstance(slots, bool) or int(slots) != slots or slots < 1:
            raise ValueError(f"slots={slots!r}: must be a whole number, 1 or more")
        if fit not in ("first", "best"):
            raise ValueError(f"fit={fit!r}: must be 'first' or 'best'")
        self.slots, self.fit = int(slots), fit
        self._runs: dict[Hashable, _Run] = {}
        self._copies = self._copied_tokens = 0

    def add(self, name: Hashable, prompt: int, reserve: int | None = None) -> None:
        """Admit a sequence of ``prompt`` tokens in a run of ``reserve`` slots (or just enough)."""
        reserve = prompt if reserve is None else reserve
        if name in self._runs:
            raise ValueError(f"name={name!r}: in use; free it first or choose another")
        if prompt < 1 or reserve < prompt:
            raise ValueError(
                f"prompt={prompt!r}, reserve={reserve!r}: must be 1 <= prompt <= reserve"
            )
        self._runs[name] = _Run(self._find(name, reserve), reserve, prompt)

    def append(self, name: Hashable) -> None:
        """Add one token. A full run grows into the hole behind it, or moves: a copy of all of it.

        A moved run keeps no reserve: only the slots it needs.
        """
        run = self._run(name)
        if run.length == run.reserved:
            behind = run.start + run.reserved
            if any(start == behind for start, _ in self.holes()):
                run.reserved += 1
            else:
                start = self._find(name, run.length + 1)
                self._copies += 1
                self._copied_tokens += run.length
                run.start, run.reserved = start, run.length + 1
        run.length += 1

    def free(self, name: Hashable) -> None:
        """Finish a sequence and give back its run."""
        self._run(name)
        del self._runs[name]

    def holes(self) -> list[tuple[int, int]]:
        """Return the free runs as ``(start, slots)``, by start."""
        holes, end = [], 0
        for run in sorted(self._runs.values(), key=lambda run: run.start):
            if run.start > end:
                holes.append((end, run.start - end))
            end = run.start + run.reserved
        if end < self.slots:
            holes.append((end, self.slots - end))
        return holes

    def place(self, name: Hashable) -> tuple[int, int]:
        """Return the first slot and the reserved slots of a sequence."""
        run = self._run(name)
        return run.start, run.reserved

    @property
    def counters(self) -> Counters:
        """Counts of this moment and since the start, as ``Counters``."""
        allocated = sum(run.reserved for run in self._runs.values())
        used = sum(run.length for run in self._runs.values())
        largest = max((slots for _, slots in self.holes()), default=0)
        return Counters(
            total_slots=self.slots,
            allocated_slots=allocated,
            used_slots=used,
            internal_slots=allocated - used,
            external_slots=self.slots - allocated - largest,
            copies=self._copies,
            copied_tokens=self._copied_tokens,
        )

    def _run(self, name: Hashable) -> _Run:
        try:
            return self._runs[name]
        except KeyError:
            raise ValueError(
                f"name={name!r}: not in the cache; in it: {list(self._runs)}"
            ) from None

    def _find(self, name: Hashable, slots: int) -> int:
        fitting = [(size, start) for start, size in self.holes() if size >= slots]
        if not fitting:
            free = sum(size for _, size in self.holes())
            largest = max((size for _, size in self.holes()), default=0)
            raise OutOfMemory(
                f"{name!r} needs {slots} slots in one run; {free} are free, the largest hole has "
                f"{largest}"
            )
        if self.fit == "best":
            return min(fitting)[1]
        return min(start for _, start in fitting)
