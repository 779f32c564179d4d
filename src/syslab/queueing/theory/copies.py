"""More than one server to choose from: hedged requests and the power of two choices."""

import numpy as np

from syslab.queueing.distributions import Distribution, check_count
from syslab.queueing.theory._common import percentile_of


def hedged_tail(latency: Distribution, after_s: float, t):
    """P(hedged request > t) when the copy sent after `after_s` draws an independent latency.

    Parameters
    ----------
    latency : Distribution
        Of one copy, queueing included; taken as unchanged by the extra load, which holds while
        ``hedge_extra_load`` is small.
    after_s : float
    t : float or ndarray
        Seconds.
    """
    t = np.asarray(t, dtype=float)
    return np.where(t < after_s, 1.0, latency.tail(t - after_s))[()] * latency.tail(t)


def hedged_percentile(latency: Distribution, after_s: float, q: float) -> float:
    """Latency in seconds that `q` percent of hedged requests do not exceed."""
    return percentile_of(lambda t: float(hedged_tail(latency, after_s, t)), q, latency.mean)


def hedge_extra_load(latency: Distribution, after_s: float) -> float:
    """Copies sent per request: the share still unanswered at `after_s`."""
    return float(latency.tail(after_s))


def choices_tail(utilization: float, choices: int, length: int) -> float:
    """Share of servers with `length` or more requests, in the limit of many servers.

    utilization^((d^length - 1) / (d - 1)): geometric for one choice, doubly exponential from two on
    (Vvedenskaya 1996; Mitzenmacher 2001).
    """
    check_count("choices", choices)
    check_count("length", length, least=0)
    if not 0 <= utilization < 1:
        raise ValueError(f"utilization is {utilization}; it must lie in [0, 1)")
    power = length if choices == 1 else (choices**length - 1) / (choices - 1)
    return utilization**power


def choices_mean_sojourn(utilization: float, choices: int) -> float:
    """Mean time in queue and service, in mean service times, in the limit of many servers."""
    if not 0 < utilization < 1:
        raise ValueError(f"utilization is {utilization}; it must lie in (0, 1)")
    if choices == 1:
        return 1 / (1 - utilization)
    total, length = 0.0, 1
    while (share := choices_tail(utilization, choices, length)) > 1e-15:
        total += share
        length += 1
    return total / utilization
