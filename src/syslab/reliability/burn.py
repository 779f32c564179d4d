"""Burn rates, and alerts on them.

A burn rate of 1 spends the budget exactly over the objective's window. An alert that asks for
``budget_share`` of the budget to be gone within ``window_h`` fires above the burn rate
``budget_share x window_days x 24 / window_h`` (SRE workbook, chapter 5).

A rule has two windows. The long one says that enough was spent to matter, the short one that it
is still being spent; the rule holds while both are above the threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from syslab.reliability import _check
from syslab.reliability.slo import SLO, error_ratio, window_sum


def burn_rate(error_ratio: float, slo: SLO) -> float:
    """Return how many times faster than allowed the budget is spent."""
    return _check.share("error_ratio", error_ratio) / slo.budget_ratio


def burn_threshold(budget_share: float, window_h: float, slo_window_days: float = 30) -> float:
    """Return the burn rate that spends ``budget_share`` of the budget in ``window_h`` hours.

    >>> round(burn_threshold(0.02, 1), 6)
    14.4
    """
    _check.share("budget_share", budget_share, open_below=True)
    _check.positive("window_h", window_h, "of hours")
    _check.positive("slo_window_days", slo_window_days, "of days")
    return budget_share * slo_window_days * 24 / window_h


def budget_share(burn: float, window_h: float, slo_window_days: float = 30) -> float:
    """Return the share of the budget that ``burn`` spends in ``window_h`` hours."""
    return _check.not_negative("burn", burn) * window_h / (slo_window_days * 24)


def hours_to_exhaustion(burn: float, slo_window_days: float = 30) -> float:
    """Return after how many hours at ``burn`` an untouched budget is gone; inf for burn 0."""
    _check.not_negative("burn", burn)
    return slo_window_days * 24 / burn if burn else math.inf


@dataclass(frozen=True)
class BurnRule:
    """An alert on the burn rate over one or two windows.

    Attributes
    ----------
    burn : float
        Burn rate that both windows must exceed.
    long_min : int
        Long window, minutes.
    short_min : int or None
        Short window, minutes; None for a rule with one window. The workbook's advice is a
        twelfth of the long one.
    severity : str
        ``"page"`` or ``"ticket"``.
    """

    burn: float
    long_min: int
    short_min: int | None = None
    severity: str = "page"

    def __post_init__(self):
        _check.positive("burn", self.burn)
        _check.count("long_min", self.long_min)
        if self.short_min is not None and not 1 <= _check.count("short_min", self.short_min) <= (
            self.long_min
        ):
            raise ValueError(
                f"short_min={self.short_min!r}: must not be longer than long_min={self.long_min}"
            )
        if self.severity not in ("page", "ticket"):
            raise ValueError(f"severity={self.severity!r}: must be 'page' or 'ticket'")

    @property
    def windows_min(self) -> tuple[int, ...]:
        """Both windows, the long one first."""
        return (self.long_min,) if self.short_min is None else (self.long_min, self.short_min)

    def threshold(self, slo: SLO) -> float:
        """Return the error ratio that both windows must exceed."""
        return round(self.burn * slo.budget_ratio, 15)

    def budget_share(self, slo: SLO) -> float:
        """Return the share of the budget spent when the long window is just at the threshold."""
        return self.burn * self.long_min / slo.window_min


def workbook_rules() -> tuple[BurnRule, BurnRule, BurnRule]:
    """Return the SRE workbook's three rules for a window of 30 days (its table 5-8)."""
    from syslab import facts

    def rule(name: str, severity: str) -> BurnRule:
        long_min, short_min = (
            round(facts.constant(f"burn_alert.{name}_{window}") / 60)
            for window in ("long", "short")
        )
        return BurnRule(facts.constant(f"burn_alert.{name}_burn"), long_min, short_min, severity)

    return rule("fast", "page"), rule("slow", "page"), rule("ticket", "ticket")


# ------------------------------------------------------------------ closed form


def detection_min(rule: BurnRule, error_ratio: float, slo: SLO, background: float = 0.0) -> float:
    """Return minutes from the start of an outage until the rule holds.

    A window of ``w`` minutes in which the outage fills the share ``f`` shows the error ratio
    ``f x error_ratio + (1 - f) x background``, so it crosses the threshold at
    ``f = (threshold - background) / (error_ratio - background)``. The slower window decides.

    Parameters
    ----------
    error_ratio : float
        Of the outage, constant; traffic is taken as even.
    background : float
        Error ratio before it.

    Returns
    -------
    float
        ``inf`` if the outage stays below the threshold for ever.
    """
    filled = _share_to_cross(rule, error_ratio, slo, background)
    return filled * max(rule.windows_min) if filled < 1 else math.inf


def reset_min(
    rule: BurnRule, error_ratio: float, slo: SLO, outage_min: float, background: float = 0.0
) -> float:
    """Return minutes from the end of an outage until the rule no longer holds.

    A window falls below the threshold when the outage fills less than the share that crosses it;
    the first window to do so ends the alert. 0 if the outage was too short to be seen at all.
    """
    filled = _share_to_cross(rule, error_ratio, slo, background)
    _check.positive("outage_min", outage_min, "of minutes")
    if filled >= 1 or any(outage_min <= filled * w for w in rule.windows_min):
        return 0.0
    return min(w * (1 - filled) for w in rule.windows_min)


def spent_at_detection(
    rule: BurnRule, error_ratio: float, slo: SLO, background: float = 0.0
) -> float:
    """Return the share of the budget that an outage has spent when the rule first holds."""
    minutes = detection_min(rule, error_ratio, slo, background)
    return burn_rate(error_ratio, slo) * minutes / slo.window_min


def _share_to_cross(rule: BurnRule, error_ratio: float, slo: SLO, background: float) -> float:
    _check.share("error_ratio", error_ratio)
    _check.share("background", background)
    limit = rule.threshold(slo)
    if background >= limit:
        raise ValueError(
            f"background={background!r}: the rule holds at {limit:g} already; it must be below"
        )
    return (limit - background) / (error_ratio - background) if error_ratio > limit else 1.0


# ------------------------------------------------------------------ on time series


def burn_series(bad, total, slo: SLO, window_min: int) -> np.ndarray:
    """Return the burn rate over the window that ends with each minute, shape (minutes,).

    Windows that reach back before the first minute hold the minutes there are.
    """
    bad, total = _check.counts(bad, total)
    return (
        error_ratio(window_sum(bad, window_min), window_sum(total, window_min)) / slo.budget_ratio
    )


def holds(rule: BurnRule, bad, total, slo: SLO) -> np.ndarray:
    """Return the minutes in which the rule holds, bool, shape (minutes,)."""
    bad, total = _check.counts(bad, total)
    limit = rule.threshold(slo)
    over = [error_ratio(window_sum(bad, w), window_sum(total, w)) > limit for w in rule.windows_min]
    return np.logical_and.reduce(over)


def measured_times(active, start: int, end: int) -> tuple[float, float]:
    """Return detection and reset time of an alert, in minutes, against one outage.

    Parameters
    ----------
    active : array-like of bool, shape (minutes,)
        When the alert was on.
    start, end : int
        First minute of the outage, and first minute after it.

    Returns
    -------
    detection, reset : float
        Minutes from ``start`` to the end of the first minute on (inf if never before ``end``),
        and minutes after ``end`` until it is off (0 if it was off already, inf if it never is).
        A minute's value is known when the minute is over, hence its end.
    """
    active = np.asarray(active, bool)
    if not 0 <= start < end <= len(active):
        raise ValueError(
            f"start={start!r}, end={end!r}: need 0 <= start < end <= {len(active)} minutes"
        )
    during = np.flatnonzero(active[start:end])
    if not during.size:
        return math.inf, 0.0
    off = np.flatnonzero(~active[end:])
    return float(during[0] + 1), float(off[0]) if off.size else math.inf
