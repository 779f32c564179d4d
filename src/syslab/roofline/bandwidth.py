"""Memory bandwidth of the CPU by working-set size, with compiled loops.

Each thread is tied to a core of its own where the system allows, allocates and first touches
its own share (so the pages lie in memory next to that core), and all of them start together.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache

VALUE_BYTES = 8
KERNELS = {"triad": 3, "read": 2}  # arrays each one uses
SAMPLE_S = 1.5e-3  # long against starting the threads, short against a scheduler's time slice


def cpu_bandwidth(
    working_set_bytes: int, threads: int, kernel: str = "triad", budget_s: float = 0.2
) -> float:
    """Return the best B/s of ``kernel`` over arrays of ``working_set_bytes`` in total.

    Parameters
    ----------
    working_set_bytes : int
        All arrays of all threads together.
    threads : int
        How many cores work at once.
    kernel : str
        ``"triad"`` (a = b + s * c, 24 B counted per element) or ``"read"`` (a dot product,
        16 B per element, no stores).
    budget_s : float
        About how long to go on measuring; at least 3 samples are taken.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel={kernel!r}: use 'triad' or 'read'")
    if threads < 1:
        raise ValueError(f"threads={threads!r}: must be 1 or more")
    elements = int(working_set_bytes // (KERNELS[kernel] * VALUE_BYTES * threads))
    if elements < 1:
        smallest = KERNELS[kernel] * VALUE_BYTES * threads
        raise ValueError(
            f"working_set_bytes={working_set_bytes!r}: must be {smallest} or more for "
            f"{threads} threads"
        )
    loop = _compiled()[kernel]
    moved_bytes = elements * threads * KERNELS[kernel] * VALUE_BYTES
    # A first guess of 10 GB/s and core; the first sample corrects it.
    passes = max(1, int(SAMPLE_S * 10e9 * threads / moved_bytes))
    barrier = threading.Barrier(threads)
    end = time.perf_counter() + budget_s
    shared = {"passes": passes, "more": True, "windows": []}

    def work(index: int) -> None:
        sample = 0
        try:
            _pin(index)
            arrays = _own_arrays(KERNELS[kernel], elements)
            while shared["more"]:
                count = shared["passes"]
                barrier.wait()
                start = time.perf_counter()
                loop(*arrays, 3.0 + sample, count)
                shared["windows"].append((start, time.perf_counter()))
                if barrier.wait() == 0:
                    _close_sample(shared, threads, sample, end)
                barrier.wait()
                sample += 1
        except threading.BrokenBarrierError:
            pass
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, index) for index in range(threads)]:
            done.result()
    return moved_bytes / shared["best_s"]


def _close_sample(shared: dict, threads: int, sample: int, end: float) -> None:
    """Turn one sample's windows into seconds per pass, and decide whether to go on."""
    starts, stops = zip(*shared["windows"][-threads:], strict=True)
    pass_s = (max(stops) - min(starts)) / shared["passes"]
    if sample == 0:  # warm-up: it only sets how many passes fill a sample
        shared["passes"] = max(1, round(SAMPLE_S / pass_s))
        return
    shared["best_s"] = min(shared.get("best_s", pass_s), pass_s)
    shared["more"] = sample < 3 or (time.perf_counter() < end and sample < 400)


def _own_arrays(count: int, elements: int) -> list:
    import numpy as np

    # Each array starts 5 cache lines further into its page: a load whose address ends like that
    # of a store just before it would have to wait.
    arrays = []
    for index in range(count):
        block = np.empty(elements + 4096 // VALUE_BYTES + 64 * count)
        skip = (-block.ctypes.data % 4096) // VALUE_BYTES + 40 * index
        array = block[skip : skip + elements]
        array[:] = 1.0 + index  # ordinary numbers, never denormal; and the first touch
        arrays.append(array)
    return arrays


def _pin(index: int) -> None:
    """Tie the calling thread to one of the cores this process may use, where possible."""
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    with suppress(OSError):  # where it is not allowed, measure unpinned
        os.sched_setaffinity(0, {cores[index % len(cores)]})


@lru_cache(maxsize=1)
def _compiled() -> dict:
    """Compile the two loops. In memory only: a cache folder may not be writable."""
    import numba

    array = numba.float64[::1]

    # fastmath lets the dot product keep several partial sums, which vectorising it needs.
    @numba.njit((array, array, array, numba.float64, numba.int64), nogil=True, fastmath=True)
    def triad(a, b, c, scale, passes):
        for _ in range(passes):
            for i in range(a.size):
                a[i] = b[i] + scale * c[i]

    @numba.njit((array, array, numba.float64, numba.int64), nogil=True, fastmath=True)
    def read(b, c, scale, passes):
        total = 0.0
        for sweep in range(passes):
            part = 0.0
            for i in range(b.size):
                part += b[i] * c[i]
            total += part * (scale + sweep)  # each pass counts, so none can be dropped
        return total

    return {"triad": triad, "read": read}
