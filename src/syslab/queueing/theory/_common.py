"""Checks of arguments and the inverse of a tail."""

import math
from collections.abc import Callable

from syslab.queueing.distributions import check_percent, check_positive


def check_stable(arrival_rate: float, capacity: float, least: float = 0.0) -> None:
    """Raise ValueError unless the servers can keep up."""
    if not least <= arrival_rate < capacity:
        raise ValueError(
            f"arrival_rate is {arrival_rate}; it must be {least:g} or more and below the capacity "
            f"of {capacity:g} (servers × service_rate), or the queue grows without end"
        )


def percentile_of(tail: Callable[[float], float], q: float, scale: float) -> float:
    """Smallest t with ``tail(t)`` ≤ 1 - q / 100, to 1 part in 10¹²; `scale` sets the first step."""
    check_percent(q)
    check_positive("scale", scale)
    left = 1 - q / 100
    if tail(0.0) <= left:
        return 0.0
    low, high = 0.0, scale
    while tail(high) > left:
        low, high = high, 2 * high
        if math.isinf(high):
            raise ValueError(f"q is {q}; the tail never falls to {left:g}")
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if tail(middle) > left else (low, middle)
    return high
