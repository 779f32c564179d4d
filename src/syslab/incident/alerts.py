"""Alert rules, evaluated as Prometheus evaluates them.

A rule is a set of alternatives; each is a set of conditions that must hold together; a condition
compares one measure of a series with a threshold. Every series has one sample a minute.

=====================  ===========================================================================
measure                in PromQL, for a window of w minutes
=====================  ===========================================================================
Ratio(bad, total, w)   ``sum_over_time(bad[w]) / sum_over_time(total[w])``
Level(name)            ``name``: the newest sample
Level(name, w, "max")  ``max_over_time(name[w])``, also ``min``
Level(name, w, "sum")  ``sum_over_time(name[w])``, whole numbers only
=====================  ===========================================================================

The series hold **counts per minute**, as a recording rule would store them, and not counters: so
``rate()`` with its extrapolation to the window's edges is not needed, sums of whole numbers are
exact in both engines, and their quotient is the same to the last bit. A window of w minutes holds
w samples. It is written as ``60 w - 1`` seconds in PromQL, because Prometheus 2 includes a sample
that lies exactly on the window's far edge, and Prometheus 3 does not.

Prometheus allows no ``-`` in a name: ``model-a:errors`` is written ``model_a:errors`` in PromQL.

States follow Prometheus: a rule that holds is pending until it has held for ``for_min``, then
fires; one evaluation at which it does not hold ends it, or ends it ``keep_min`` later.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from syslab.reliability import SLO, BurnRule, window_sum

HOW = ("max", "min", "sum")


@dataclass(frozen=True)
class Ratio:
    """Share of ``bad`` in ``total`` over the last ``window_min`` minutes."""

    bad: str
    total: str
    window_min: int

    def __post_init__(self):
        _whole("window_min", self.window_min, 1)

    @property
    def names(self) -> tuple[str, ...]:
        """Series it reads."""
        return (self.bad, self.total)

    def values(self, series: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the measure after each minute; NaN where ``total`` is 0."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return window_sum(series[self.bad], self.window_min) / window_sum(
                series[self.total], self.window_min
            )

    @property
    def promql(self) -> str:
        """The same as an expression."""
        w = _range(self.window_min)
        bad, total = metric_name(self.bad), metric_name(self.total)
        return f"(sum_over_time({bad}[{w}]) / sum_over_time({total}[{w}]))"


@dataclass(frozen=True)
class Level:
    """Newest value of a series, or its largest, smallest or sum over a window."""

    name: str
    window_min: int | None = None
    how: str | None = None

    def __post_init__(self):
        if (self.window_min is None) != (self.how is None):
            raise ValueError(
                f"window_min={self.window_min!r} and how={self.how!r}: give both or neither"
            )
        if self.how is not None:
            _whole("window_min", self.window_min, 1)
            if self.how not in HOW:
                raise ValueError(f"how={self.how!r}: must be one of {', '.join(HOW)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Series it reads."""
        return (self.name,)

    def values(self, series: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the measure after each minute."""
        values = np.asarray(series[self.name], float)
        if self.how is None:
            return values
        if self.how == "sum":
            return window_sum(values, self.window_min)
        fill, pick = (-np.inf, np.max) if self.how == "max" else (np.inf, np.min)
        padded = np.concatenate([np.full(self.window_min - 1, fill), values])
        return pick(np.lib.stride_tricks.sliding_window_view(padded, self.window_min), axis=1)

    @property
    def promql(self) -> str:
        """The same as an expression."""
        name = metric_name(self.name)
        if self.how is None:
            return name
        return f"{self.how}_over_time({name}[{_range(self.window_min)}])"


@dataclass(frozen=True)
class Condition:
    """``measure`` above (or below) ``threshold``."""

    measure: Ratio | Level
    threshold: float
    above: bool = True

    def __post_init__(self):
        if not np.isfinite(self.threshold):
            raise ValueError(f"threshold={self.threshold!r}: must be a finite number")

    def holds(self, series: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return after which minutes the condition holds; never where the measure is NaN."""
        values = self.measure.values(series)
        with np.errstate(invalid="ignore"):
            return values > self.threshold if self.above else values < self.threshold

    @property
    def promql(self) -> str:
        """The same as an expression."""
        return f"{self.measure.promql} {'>' if self.above else '<'} {float(self.threshold)!r}"


@dataclass(frozen=True)
class Rule:
    """An alerting rule.

    Attributes
    ----------
    name : str
        CamelCase, as Prometheus rules are usually called.
    any_of : tuple of tuple of Condition
        The rule holds if every condition of one of these holds.
    for_min, keep_min : int
        Minutes it must have held before it fires, and goes on firing when it no longer holds.
    severity : str
        ``"page"`` or ``"ticket"``.
    """

    name: str
    any_of: tuple[tuple[Condition, ...], ...]
    for_min: int = 0
    keep_min: int = 0
    severity: str = "page"

    def __post_init__(self):
        if not self.name.isidentifier():
            raise ValueError(f"name={self.name!r}: letters, digits and _ only, such as FastBurn")
        if not self.any_of or not all(self.any_of):
            raise ValueError(f"rule {self.name}: any_of has no conditions; give at least one")
        _whole("for_min", self.for_min, 0)
        _whole("keep_min", self.keep_min, 0)
        if self.severity not in ("page", "ticket"):
            raise ValueError(f"severity={self.severity!r}: must be 'page' or 'ticket'")

    @property
    def names(self) -> tuple[str, ...]:
        """Series it reads, each once."""
        found = (n for group in self.any_of for c in group for n in c.measure.names)
        return tuple(dict.fromkeys(found))

    @property
    def promql(self) -> str:
        """The rule's expression; series are plain names, so labels need no matching."""
        groups = [" and ".join(c.promql for c in group) for group in self.any_of]
        return groups[0] if len(groups) == 1 else " or ".join(f"({g})" for g in groups)


@dataclass(frozen=True)
class Firing:
    """What a rule did on one set of series.

    Attributes
    ----------
    minutes : ndarray of int, shape (evaluations,)
        When the rule was evaluated.
    holds, fires : ndarray of bool, shape (evaluations,)
    intervals : tuple of (int, int)
        From the first minute of firing to the first evaluation that does not fire; the end of
        the series if it fires to the end.
    """

    rule: Rule
    minutes: np.ndarray
    holds: np.ndarray
    fires: np.ndarray
    intervals: tuple[tuple[int, int], ...]


def rule(name: str, *conditions: Condition, **more) -> Rule:
    """Return a rule whose ``conditions`` must all hold."""
    return Rule(name, (conditions,), **more)


def burn_alert(
    name: str, slo: SLO, rules: BurnRule | tuple[BurnRule, ...], bad: str, total: str, **more
) -> Rule:
    """Return the rule that holds while one of the burn-rate ``rules`` does.

    Parameters
    ----------
    rules : BurnRule or tuple of BurnRule
        Several must have one severity, which becomes the rule's.
    bad, total : str
        Series of counts per minute.
    """
    rules = (rules,) if isinstance(rules, BurnRule) else tuple(rules)
    severities = {r.severity for r in rules}
    if len(severities) != 1:
        raise ValueError(
            f"rules have the severities {sorted(severities)}; give pages and tickets as two alerts"
        )
    any_of = tuple(
        tuple(Condition(Ratio(bad, total, w), r.threshold(slo)) for w in r.windows_min)
        for r in rules
    )
    return Rule(name, any_of, severity=severities.pop(), **more)


def evaluate(rule: Rule, series: Mapping[str, np.ndarray], interval_min: int = 1) -> Firing:
    """Evaluate ``rule`` at minutes 0, ``interval_min``, 2 ``interval_min``, …

    Parameters
    ----------
    series : mapping of str to array-like, shape (minutes,)
        One finite sample per minute; all of the same length.
    interval_min : int
        Evaluation interval.
    """
    _whole("interval_min", interval_min, 1)
    data = checked_series(rule, series)
    length = len(next(iter(data.values())))
    groups = [np.logical_and.reduce([c.holds(data) for c in group]) for group in rule.any_of]
    minutes = np.arange(0, length, interval_min)
    holds = np.logical_or.reduce(groups)[minutes]
    fires = _fires(holds, minutes, rule)
    return Firing(rule, minutes, holds, fires, _intervals(fires, minutes, length))


def checked_series(rule: Rule, series: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the series that ``rule`` reads as float arrays, or raise ValueError."""
    missing = [name for name in rule.names if name not in series]
    if missing:
        raise ValueError(
            f"rule {rule.name} reads {', '.join(missing)}, which the series do not have; "
            f"known: {', '.join(sorted(series)[:12])} …"
        )
    data = {name: np.asarray(series[name], float) for name in rule.names}
    lengths = {name: values.shape for name, values in data.items()}
    if len(set(lengths.values())) != 1 or not min(lengths.values())[0]:
        raise ValueError(f"series have the shapes {lengths}; give one sample per minute in each")
    for name, values in data.items():
        if not np.isfinite(values).all():
            raise ValueError(f"series {name} holds NaN or inf; a minute without events counts 0")
    return data


def _fires(holds: np.ndarray, minutes: np.ndarray, rule: Rule) -> np.ndarray:
    """Prometheus' states: inactive, pending since `since`, firing; `lost` while kept alive."""
    fires = np.zeros(len(holds), bool)
    since = lost = None
    firing = False
    for i, (now, on) in enumerate(zip(minutes.tolist(), holds.tolist(), strict=True)):
        if on:
            lost = None
            if since is None:
                since = now
            firing = firing or now - since >= rule.for_min
        elif firing:
            lost = now if lost is None else lost
            if now - lost >= rule.keep_min:
                since, lost, firing = None, None, False
        else:
            since = None
        fires[i] = firing
    return fires


def _intervals(fires, minutes, length) -> tuple[tuple[int, int], ...]:
    edges = np.diff(np.concatenate([[0], fires.astype(np.int8), [0]]))
    at = np.append(minutes, length)
    return tuple(
        (int(at[a]), int(at[b]))
        for a, b in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
    )


def metric_name(name: str) -> str:
    """Return how a series is called in Prometheus: ``model-a:errors`` is ``model_a:errors``."""
    plain = name.replace("-", "_")
    if not re.fullmatch(r"[A-Za-z_:][A-Za-z0-9_:]*", plain):
        raise ValueError(f"series {name!r}: letters, digits, _ : and - only, not a digit first")
    return plain


def _range(window_min: int) -> str:
    return f"{60 * window_min - 1}s"


def _whole(name: str, value, least: int) -> None:
    if isinstance(value, bool) or int(value) != value or value < least:
        raise ValueError(f"{name}={value!r}: must be a whole number of minutes, {least} or more")
