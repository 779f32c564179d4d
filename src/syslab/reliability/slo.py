"""Objectives and error budgets.

An indicator (SLI) is a share of good events. An objective (SLO) is the least share that users are
promised over a window. What is left, ``1 - target``, is the error budget.

Events are requests, or minutes that were good enough. The two disagree whenever traffic is
uneven: an outage at night costs few requests and as many minutes as one at noon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from syslab.reliability import _check

MINUTES_PER_DAY = 24 * 60


@dataclass(frozen=True)
class SLO:
    """A promised share of good events over a rolling window.

    Attributes
    ----------
    target : float
        Share in (0, 1): 0.999 for "three nines".
    window_days : float
        Length of the window.
    name : str
        For rules and messages.

    Examples
    --------
    >>> SLO(0.999).downtime_min  # 30 days
    43.2
    """

    target: float
    window_days: float = 30
    name: str = "availability"

    def __post_init__(self):
        _check.share("target", self.target, open_below=True, open_above=True)
        _check.positive("window_days", self.window_days, "of days")

    @property
    def budget_ratio(self) -> float:
        """Share of events that may be bad: ``1 - target``, without the last digits' dust."""
        return round(1 - self.target, 12)

    @property
    def window_min(self) -> float:
        """Window in minutes."""
        return self.window_days * MINUTES_PER_DAY

    @property
    def downtime_min(self) -> float:
        """Minutes of complete outage that use up the budget under even traffic."""
        return round(self.budget_ratio * self.window_min, 9)

    def allowed_bad(self, events: float) -> float:
        """Return how many of ``events`` may be bad."""
        return self.budget_ratio * _check.not_negative("events", events)


@dataclass(frozen=True)
class Budget:
    """What an error budget was and what is left of it.

    Attributes
    ----------
    allowed, bad : float
        Events that may be bad over the window, and those that were.
    unit : str
        ``"requests"`` or ``"minutes"``.
    """

    allowed: float
    bad: float
    unit: str

    @property
    def spent(self) -> float:
        """Share of the budget that is gone; above 1 when the objective is missed."""
        return self.bad / self.allowed

    @property
    def left(self) -> float:
        """``1 - spent``; below 0 when the objective is missed."""
        return 1 - self.spent


def sli(good: float, valid: float) -> float:
    """Return the share of ``valid`` events that were ``good``; no events at all count as good."""
    _check.not_negative("valid", valid)
    if not 0 <= good <= valid:
        raise ValueError(f"good={good!r}: must lie between 0 and valid={valid!r}")
    return good / valid if valid else 1.0


def error_ratio(bad, total):
    """Return bad / total, elementwise; 0 where there were no events.

    >>> error_ratio([1, 0], [100, 0]).tolist()
    [0.01, 0.0]
    """
    bad, total = np.asarray(bad, float), np.asarray(total, float)
    ratio = np.divide(bad, total, out=np.zeros(np.broadcast(bad, total).shape), where=total > 0)
    return ratio if ratio.ndim else float(ratio)


def good_minutes(bad, total, worst_ratio: float) -> np.ndarray:
    """Return which minutes count as good: error ratio at most ``worst_ratio``.

    Parameters
    ----------
    bad, total : array-like, shape (minutes,)
        Requests of each minute. A minute without requests is good.
    worst_ratio : float
        Share of bad requests that a good minute may have.
    """
    bad, total = _check.counts(bad, total)
    return error_ratio(bad, total) <= _check.share("worst_ratio", worst_ratio)


def request_budget(bad, total, slo: SLO, expected_requests: float | None = None) -> Budget:
    """Return the budget in requests after the minutes given.

    Parameters
    ----------
    bad, total : array-like, shape (minutes,)
        Requests of each minute.
    expected_requests : float, optional
        Requests of a whole window. Left out, the minutes given are taken as typical of it.
    """
    bad, total = _check.counts(bad, total)
    if expected_requests is None:
        expected_requests = total.mean() * slo.window_min
    allowed = slo.allowed_bad(_check.positive("expected_requests", expected_requests))
    return Budget(allowed, float(bad.sum()), "requests")


def minute_budget(bad, total, slo: SLO, worst_ratio: float) -> Budget:
    """Return the budget in bad minutes after the minutes given; see :func:`good_minutes`."""
    lost = int((~good_minutes(bad, total, worst_ratio)).sum())
    return Budget(slo.allowed_bad(slo.window_min), float(lost), "minutes")


def budget_left(bad, total, slo: SLO, expected_requests: float | None = None) -> np.ndarray:
    """Return the share of the request budget left after each minute, shape (minutes,).

    The window is taken to start with the first minute: nothing that was spent comes back.
    """
    bad, total = _check.counts(bad, total)
    budget = request_budget(bad, total, slo, expected_requests)
    return 1 - np.cumsum(bad) / budget.allowed


def rolling_spent(bad, total, slo: SLO) -> np.ndarray:
    """Return the share of the budget spent in the window that ends with each minute.

    Counts the requests really seen, so an objective is met exactly where the value is at most 1.
    Before a whole window has passed, the minutes so far are the window.
    """
    bad, total = _check.counts(bad, total)
    minutes = max(1, round(slo.window_min))
    return error_ratio(window_sum(bad, minutes), window_sum(total, minutes)) / slo.budget_ratio


def window_sum(values, minutes: int) -> np.ndarray:
    """Return sums over the last ``minutes`` values, the current one included.

    At the beginning, where fewer have passed, over those that have. Exact for whole numbers.

    >>> window_sum([1, 2, 3, 4], 2).tolist()
    [1.0, 3.0, 5.0, 7.0]
    """
    values = np.asarray(values, float)
    minutes = _check.count("minutes", minutes)
    total = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    return total[ends] - total[np.maximum(ends - minutes, 0)]
