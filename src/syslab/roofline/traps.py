"""Ways to measure wrongly, each beside the right way, on this machine.

Every function times the same arithmetic twice and returns a ``Trap``. Nothing is changed for
good: run them as often as you like.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache

from .machine import last_level_bytes, machine
from .timing import time_call

DENORMAL = 1e-310  # below 2.2e-308, the smallest number a double holds with full precision


@dataclass(frozen=True)
class Trap:
    """Seconds of the same work, measured carelessly and with care."""

    name: str
    careless_s: float
    careful_s: float

    @property
    def factor(self) -> float:
        """How many times slower the careless measurement makes the machine look."""
        return self.careless_s / self.careful_s

    def __str__(self) -> str:
        return f"{self.name}: {self.factor:.2g} times slower than with care"


def fresh_memory(array_bytes: int = 2**26, budget_s: float = 0.5) -> Trap:
    """Fill an array that was just allocated, against one that was written before.

    The first write to each page makes the system find and clear a page (4 KiB, or 2 MiB where
    it uses huge ones): a cost of the first touch, not of the memory.
    """
    import numpy as np

    elements = _at_least(array_bytes, 2**16) // 8
    used = np.ones(elements)
    careful = time_call(lambda: used.fill(1.0), budget_s / 2)
    careless = time_call(lambda: np.empty(elements).fill(1.0), budget_s / 2)
    return Trap("fresh memory", careless.median_s, careful.median_s)


def cold_cache(array_bytes: int | None = None, rounds: int = 9) -> Trap:
    """Read an array once after other data went through the cache, against once more after that.

    By default the array is an eighth of the last cache level.
    """
    import numpy as np

    cache_bytes = last_level_bytes(machine()) or 2**25
    elements = _at_least(array_bytes or cache_bytes // 8, 2**12) // 8
    wanted, other = np.ones(elements), np.ones(max(elements, 4 * cache_bytes // 8))
    cold, warm = [], []
    for _ in range(rounds):
        other += 1.0  # pushes the wanted array out
        for seconds in (cold, warm):
            start = time.perf_counter()
            wanted.sum()
            seconds.append(time.perf_counter() - start)
    return Trap("cold cache", min(cold), min(warm))


def denormals(elements: int = 2048, budget_s: float = 0.5) -> Trap:
    """Multiply numbers too small for full precision, against ordinary ones.

    Some CPUs take a slow path for them (150 cycles instead of 4 on many Intel generations);
    recent AMD and Arm cores take almost none. Decaying filters and softmax tails make them.
    """
    import numpy as np

    scale = _scaling_loop()
    ordinary, tiny = np.ones(elements), np.full(elements, DENORMAL)
    out = np.empty(elements)
    careful = time_call(lambda: scale(ordinary, out), budget_s / 2)
    careless = time_call(lambda: scale(tiny, out), budget_s / 2)
    return Trap("denormal numbers", careless.best_s, careful.best_s)


@lru_cache(maxsize=1)
def _scaling_loop():
    import numba

    array = numba.float64[::1]

    @numba.njit((array, array), nogil=True)
    def scale(x, out):
        for _ in range(64):
            for i in range(x.size):
                out[i] = x[i] * 0.75

    return scale


def _at_least(array_bytes: int, least: int) -> int:
    if array_bytes < least:
        raise ValueError(f"array_bytes={array_bytes!r}: must be {least} or more")
    return int(array_bytes)
