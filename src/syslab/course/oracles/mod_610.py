"""Oracles for mod-610: windows slid over an outage, minutes counted, every state of a system."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product


def holds_from(
    threshold: float, windows_min: Sequence[float], error_ratio: float, outage_min: float
) -> tuple[float, float]:
    """Detection and reset time of a rule, minutes, by sliding its windows over one outage.

    At minute ``t`` a window of ``w`` minutes has seen the part of the outage that lies in
    ``(t - w, t]``. The first time at which all windows are above `threshold` and the first after
    the end at which one is not are found by halving intervals. (inf, 0) if it never holds.
    """

    def seen(t: float, w: float) -> float:
        return error_ratio * max(0.0, min(t, outage_min) - max(t - w, 0.0)) / w

    def over(t: float) -> bool:
        return all(seen(t, w) > threshold * (1 + 1e-13) for w in windows_min)

    if not over(outage_min):  # every window has seen most of it when it ends
        return math.inf, 0.0
    return (
        _switch(over, 0.0, outage_min),
        _switch(lambda t: not over(outage_min + t), 0.0, 2 * max(windows_min)),
    )


def _switch(true_later, low: float, high: float) -> float:
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if true_later(middle) else (middle, high)
    return high


def alert_score(
    alerts: Sequence[tuple[int, int]], incidents: Sequence[tuple[int, int]]
) -> dict[str, object]:
    """Precision, recall, detection and reset minutes, from sets of minutes."""
    ringing = [set(range(a, b)) for a, b in alerts]
    burning = [set(range(a, b)) for a, b in incidents]
    own = [[r for r in ringing if r & b] for b in burning]
    told = sum(bool(r) for r in own)
    false = sum(not any(r & b for b in burning) for r in ringing)
    return {
        "precision": told / (told + false) if told + false else 1.0,
        "recall": told / len(burning) if burning else 1.0,
        "detection_min": [
            max(0, min(map(min, r)) - min(b)) if r else math.inf
            for r, b in zip(own, burning, strict=True)
        ],
        "reset_min": [
            max(0, max(map(max, r)) - max(b)) if r else 0 for r, b in zip(own, burning, strict=True)
        ],
    }


def available(system: object) -> float:
    """Availability of a nested system by adding up all states in which it is up.

    A number is a part; ``("all", [...])``, ``("any", [...])``, and ``("k of n", k, n, part,
    beta)``, whose copies are down together with probability ``beta (1 - part)``.
    """
    chances: list[float] = []

    def coin(p: float) -> int:
        chances.append(p)
        return len(chances) - 1

    def structure(node):
        if not isinstance(node, (tuple, list)):
            i = coin(float(node))
            return lambda state: state[i]
        if node[0] in ("all", "any"):
            parts = [structure(part) for part in node[1]]
            join = all if node[0] == "all" else any
            return lambda state: join(part(state) for part in parts)
        _, k, n, part, beta = node
        q = 1 - part
        shared = coin(1 - beta * q)
        copies = [coin((1 - q) / (1 - beta * q)) for _ in range(n)]
        return lambda state: state[shared] and sum(state[c] for c in copies) >= k

    up = structure(system)
    return math.fsum(
        math.prod(p if s else 1 - p for p, s in zip(chances, state, strict=True))
        for state in product((True, False), repeat=len(chances))
        if up(state)
    )


def budget_shares(bad, total, target: float, minutes: int, worst_ratio: float) -> tuple:
    """Shares of the request and the minute budget spent in the last `minutes`, minute by minute."""
    failed = asked = lost = seen = 0
    for minute in range(max(0, len(bad) - minutes), len(bad)):
        failed, asked, seen = failed + int(bad[minute]), asked + int(total[minute]), seen + 1
        lost += total[minute] > 0 and bad[minute] / total[minute] > worst_ratio
    return failed / ((1 - target) * asked), lost / ((1 - target) * seen)
