"""Timing a call fairly: warm it up, repeat it, keep the best and the median."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import median

SHORTEST_SAMPLE_S = 1e-3  # a sample below a millisecond measures the clock and the call too
LEAST_SAMPLES = 3
LONG_CALL_S = 0.3  # calls longer than this and than the budget are made once only


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: the best and the median of ``samples``."""

    best_s: float
    median_s: float
    samples: int


def time_call(
    call: Callable[[], object], budget_s: float, device: str = "cpu", most_samples: int = 100
) -> Timing:
    """Time ``call()`` repeatedly for about ``budget_s``.

    The first call is a warm-up and is not counted, and 3 samples or more follow it; a call
    longer than 0.3 s and than the budget is made once and counted. Calls shorter than a
    millisecond are timed several at a time. On ``"cuda"`` the GPU's own clock is used, and the
    work is finished before it is read.
    """
    clock = _cuda_seconds if device == "cuda" else _cpu_seconds
    end = time.perf_counter() + budget_s
    first_s = clock(call, 1)
    if first_s > max(budget_s, LONG_CALL_S):
        return Timing(first_s, first_s, 1)
    once_s = clock(call, 1)
    calls = max(1, round(SHORTEST_SAMPLE_S / max(once_s, 1e-9)))
    samples = [once_s] if calls == 1 else [clock(call, calls)]
    while len(samples) < LEAST_SAMPLES or (
        time.perf_counter() < end and len(samples) < most_samples
    ):
        samples.append(clock(call, calls))
    return Timing(min(samples), median(samples), len(samples))


def spread(items: Iterable, budget_s: float) -> Iterator[tuple[object, float]]:
    """Yield each item with its share of the time that is left of ``budget_s``."""
    items = list(items)
    end = time.perf_counter() + budget_s
    for done, item in enumerate(items):
        yield item, max(0.0, end - time.perf_counter()) / (len(items) - done)


def _cpu_seconds(call: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def _cuda_seconds(call: Callable[[], object], calls: int) -> float:
    import torch

    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(calls):
        call()
    stop.record()
    torch.cuda.synchronize()
    return start.elapsed_time(stop) / 1e3 / calls
