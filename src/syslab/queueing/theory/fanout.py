"""A request that needs N answers is as slow as the slowest of them.

Dean and Barroso, *The Tail at Scale* (CACM 2013).  Leaves are taken as independent; shared causes
(a common switch, one garbage collector) make the request slow less often, and more at once.
"""

import math

import numpy as np

from syslab.queueing.distributions import check_count, check_percent
from syslab.queueing.theory._common import check_stable


def amplification(slow, fan_out):
    """P(at least one of `fan_out` leaves is slow) = 1 - (1 - slow)^fan_out.

    Examples
    --------
    >>> round(amplification(0.01, 100), 3), round(amplification(0.0001, 2000), 3)
    (0.634, 0.181)
    """
    slow = np.asarray(slow, dtype=float)
    if not np.all((slow >= 0) & (slow <= 1)):
        raise ValueError(f"slow is {slow}; a probability lies in [0, 1]")
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(slow == 1, 1.0, -np.expm1(np.asarray(fan_out) * np.log1p(-slow)))
    return float(found) if found.ndim == 0 else found


def leaf_probability(slow: float, fan_out: int) -> float:
    """How seldom a leaf may be slow for a request to be slow with probability `slow`.

    The inverse of ``amplification`` in its first argument: 1 - (1 - slow)^(1 / fan_out).
    """
    check_count("fan_out", fan_out)
    if not 0 <= slow < 1:
        raise ValueError(f"slow is {slow}; it must lie in [0, 1)")
    return -math.expm1(math.log1p(-slow) / fan_out)


def leaf_percentile(q: float, fan_out: int) -> float:
    """Percentile of a leaf that decides the `q`-th percentile of the request.

    Examples
    --------
    >>> round(leaf_percentile(99, 100), 3)
    99.99
    """
    check_percent(q)
    return 100 * (1 - leaf_probability(1 - q / 100, fan_out))


def largest_fan_out(leaf_slow: float, slow: float) -> int:
    """Most leaves for which a request is slow with probability `slow` at most."""
    if not (0 < leaf_slow < 1 and 0 < slow < 1):
        raise ValueError(f"leaf_slow is {leaf_slow} and slow is {slow}; both must lie in (0, 1)")
    return math.floor(math.log1p(-slow) / math.log1p(-leaf_slow) + 1e-9)


def fork_join_mean(arrival_rate: float, service_rate: float, fan_out: int) -> float:
    """Mean time in seconds of a request over `fan_out` M/M/1 leaves fed by the same arrivals.

    Nelson and Tantawi (IEEE Trans. Computers 1988): exact for 1 and 2 leaves, within about 5 %
    up to 32.  Less than for independent leaves, because all of them see the same bursts.
    """
    check_count("fan_out", fan_out)
    check_stable(arrival_rate, service_rate)
    rho = arrival_rate / service_rate
    one_s = 1 / (service_rate - arrival_rate)
    if fan_out == 1:
        return one_s
    two_s = (12 - rho) / 8 * one_s
    ratio = sum(1 / i for i in range(1, fan_out + 1)) / 1.5  # harmonic numbers H_N / H_2
    return (ratio + 4 * rho / 11 * (1 - ratio)) * two_s
