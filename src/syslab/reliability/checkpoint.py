"""How often a job should save its state.

A job works for ``interval_s``, then saves for ``cost_s``; a failure (exponential, mean
``mtti_s``) sends it back to the last finished save, after ``restart_s`` of restarting, which can
fail as well. Saving too often wastes saves, too seldom wastes work.

Young, A First Order Approximation to the Optimum Checkpoint Interval, CACM 17(9), 1974.
Daly, A higher order estimate of the optimum checkpoint interval for restart dumps, Future
Generation Computer Systems 22(3), 2006.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from syslab.reliability import _check


def young_interval_s(cost_s: float, mtti_s: float) -> float:
    """Return Young's interval of work between saves, ``sqrt(2 cost mtti)``, seconds."""
    _check_times(cost_s, mtti_s)
    return math.sqrt(2 * cost_s * mtti_s)


def daly_interval_s(cost_s: float, mtti_s: float) -> float:
    """Return Daly's higher-order interval of work between saves, seconds (his equation 37).

    ``sqrt(2 d M) [1 + sqrt(d / 2M) / 3 + (d / 2M) / 9] - d`` while the save takes less than
    ``2 M``, else ``M``.
    """
    _check_times(cost_s, mtti_s)
    if cost_s >= 2 * mtti_s:
        return float(mtti_s)
    x = cost_s / (2 * mtti_s)
    return math.sqrt(2 * cost_s * mtti_s) * (1 + math.sqrt(x) / 3 + x / 9) - cost_s


def best_interval_s(cost_s: float, mtti_s: float) -> float:
    """Return the interval that maximises :func:`efficiency`, seconds, by bisection.

    The derivative vanishes where ``1 - t / M = exp(-(t + d) / M)``; the restart time does not
    enter.
    """
    _check_times(cost_s, mtti_s)
    low, high = 0.0, float(mtti_s)
    for _ in range(100):
        middle = (low + high) / 2
        too_short = 1 - middle / mtti_s > math.exp(-(middle + cost_s) / mtti_s)
        low, high = (middle, high) if too_short else (low, middle)
    return (low + high) / 2


def efficiency(interval_s: float, cost_s: float, mtti_s: float, restart_s: float = 0.0) -> float:
    """Return the share of time that becomes work which is kept.

    ``(t / M) exp(-R / M) / (exp((t + d) / M) - 1)``: Daly's complete model (his equation 20).
    """
    _check_times(cost_s, mtti_s, interval_s, restart_s)
    attempt = math.expm1((interval_s + cost_s) / mtti_s)
    return interval_s / mtti_s * math.exp(-restart_s / mtti_s) / attempt


def first_order_loss(
    interval_s: float, cost_s: float, mtti_s: float, restart_s: float = 0.0
) -> float:
    """Return the share of time lost, to first order: saves + repeated work + restarts.

    ``d / t + t / 2M + R / M``; :func:`young_interval_s` minimises it.
    """
    _check_times(cost_s, mtti_s, interval_s, restart_s)
    return cost_s / interval_s + interval_s / (2 * mtti_s) + restart_s / mtti_s


@dataclass(frozen=True)
class Simulated:
    """A simulated efficiency with its standard error."""

    efficiency: float
    error: float
    failures: int


def simulate_efficiency(
    interval_s: float,
    cost_s: float,
    mtti_s: float,
    restart_s: float = 0.0,
    *,
    failures: int = 20_000,
    seed: int,
) -> Simulated:
    """Play the job through ``failures`` failures and count what was kept.

    After each failure the job restarts and completes as many rounds of work and save as fit
    before the next one; the rest of the time is lost.
    """
    _check_times(cost_s, mtti_s, interval_s, restart_s)
    failures = _check.count("failures", failures, 2)
    gap_s = np.random.default_rng(seed).exponential(mtti_s, failures)
    rounds = np.floor(np.maximum(gap_s - restart_s, 0) / (interval_s + cost_s))
    kept_s = rounds * interval_s
    share = kept_s.sum() / gap_s.sum()
    # ratio of two means: the spread of kept - share x gap, over the mean gap
    error = (kept_s - share * gap_s).std(ddof=1) / (gap_s.mean() * math.sqrt(failures))
    return Simulated(float(share), float(error), failures)


def _check_times(cost_s, mtti_s, interval_s=1.0, restart_s=0.0):
    _check.positive("cost_s", cost_s, "of seconds")
    _check.positive("mtti_s", mtti_s, "of seconds")
    _check.positive("interval_s", interval_s, "of seconds")
    _check.not_negative("restart_s", restart_s, "of seconds")
