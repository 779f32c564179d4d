"""How good alerts are: precision, recall, detection and reset time.

The four qualities of the SRE workbook, chapter 5. What an alert tells of are events: precision is
the share of the events told that were incidents, recall the share of the incidents told. An alert
that comes and goes within one incident tells of it once; how often it rang is kept apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Interval = tuple[int, int]


@dataclass(frozen=True)
class AlertScore:
    """Verdict on one rule or on several together.

    Attributes
    ----------
    precision : float
        Incidents told over incidents told and false alerts; 1 when nothing fired.
    recall : float
        Share of incidents during which something fired; 1 when there were none.
    detection_min : tuple of float
        For each incident, minutes from its start to the first firing; inf if missed.
    reset_min : tuple of float
        For each incident, minutes it went on firing after the end; 0 if missed.
    false_alerts : tuple of (int, int)
        Firing intervals without an incident.
    alerts : int
        Firing intervals in all: how often it rang.
    """

    precision: float
    recall: float
    detection_min: tuple[float, ...]
    reset_min: tuple[float, ...]
    false_alerts: tuple[Interval, ...]
    alerts: int

    @property
    def missed(self) -> tuple[int, ...]:
        """Which incidents raised nothing, by index."""
        return tuple(i for i, d in enumerate(self.detection_min) if math.isinf(d))

    @property
    def median_detection_min(self) -> float:
        """Median detection time of the incidents that were seen; inf if none was."""
        seen = sorted(d for d in self.detection_min if not math.isinf(d))
        if not seen:
            return math.inf
        middle = len(seen) // 2
        return seen[middle] if len(seen) % 2 else (seen[middle - 1] + seen[middle]) / 2


def judge(
    firing: Sequence[Interval], incidents: Sequence[Interval], grace_min: int = 0
) -> AlertScore:
    """Score firing intervals against the incidents that there were.

    Parameters
    ----------
    firing : sequence of (int, int)
        Half-open minutes, from :func:`evaluate` or of several rules; overlapping ones count as
        one alert.
    incidents : sequence of (int, int)
        Half-open minutes of what deserved an alert.
    grace_min : int
        An alert that starts up to this long after an incident's end still belongs to it.
    """
    alerts = merged(firing)
    incidents = [_interval("incidents", i, pair) for i, pair in enumerate(incidents)]

    def belongs(alert: Interval, incident: Interval) -> bool:
        return alert[0] < incident[1] + grace_min and alert[1] > incident[0]

    false = tuple(a for a in alerts if not any(belongs(a, i) for i in incidents))
    detection, reset = [], []
    for incident in incidents:
        own = [a for a in alerts if belongs(a, incident)]
        detection.append(float(max(0, own[0][0] - incident[0])) if own else math.inf)
        reset.append(float(max(0, own[-1][1] - incident[1])) if own else 0.0)
    seen = sum(not math.isinf(d) for d in detection)
    return AlertScore(
        precision=seen / (seen + len(false)) if alerts else 1.0,
        recall=seen / len(incidents) if incidents else 1.0,
        detection_min=tuple(detection),
        reset_min=tuple(reset),
        false_alerts=false,
        alerts=len(alerts),
    )


def merged(intervals: Sequence[Interval]) -> tuple[Interval, ...]:
    """Return the union of half-open intervals, in order, touching ones joined."""
    out: list[Interval] = []
    for i, pair in enumerate(sorted(intervals)):
        start, end = _interval("intervals", i, pair)
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return tuple(out)


def _interval(name: str, index: int, pair) -> Interval:
    start, end = pair
    if not start < end:
        raise ValueError(f"{name}[{index}]={pair!r}: must start before it ends")
    return int(start), int(end)
