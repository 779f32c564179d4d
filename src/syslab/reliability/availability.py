"""Availability of parts and of what is composed of them.

Parts in series must all be up. Of redundant parts, ``k`` of ``n`` must be. Redundancy multiplies
nines only while failures are independent; the beta-factor model (Fleming 1975) says that a share
``beta`` of each part's unavailability has a cause that takes all copies down together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from syslab.reliability import _check


def availability(mttf_h: float, mttr_h: float) -> float:
    """Return the long-run share of time that a part is up.

    Parameters
    ----------
    mttf_h : float
        Mean time to failure: mean length of an up period, hours.
    mttr_h : float
        Mean time to repair: mean length of a down period, hours. Their sum is the mean time
        between failures, so this is ``1 - mttr / mtbf``.
    """
    _check.positive("mttf_h", mttf_h, "of hours")
    return mttf_h / (mttf_h + _check.not_negative("mttr_h", mttr_h, "of hours"))


def mttr_for(target: float, mttf_h: float) -> float:
    """Return the mean repair time, hours, with which a part reaches availability ``target``."""
    _check.share("target", target, open_below=True)
    return _check.positive("mttf_h", mttf_h, "of hours") * (1 - target) / target


def series(*parts: float) -> float:
    """Return the availability of a chain that needs every one of ``parts``."""
    return math.prod(_checked(parts))


def parallel(*parts: float) -> float:
    """Return the availability of independent ``parts`` of which one is enough."""
    return 1 - math.prod(1 - part for part in _checked(parts))


def k_of_n(k: int, n: int, part: float, beta: float = 0.0) -> float:
    """Return the availability of ``n`` equal parts of which ``k`` must be up.

    Parameters
    ----------
    part : float
        Availability of each part, whatever takes it down.
    beta : float
        Share of its unavailability ``q`` with a cause common to all parts: with probability
        ``beta q`` all are down; otherwise each is down alone with a probability that leaves
        ``q`` in total. 0 is independence; with 1 the copies are no better than one part.
    """
    k, n = _check.count("k", k), _check.count("n", n)
    if k > n:
        raise ValueError(f"k={k!r}: must not exceed n={n}")
    down = 1 - _check.share("part", part)
    common = _check.share("beta", beta) * down
    if common == 1:
        return 0.0
    up = (1 - down) / (1 - common)
    alone = sum(math.comb(n, i) * up**i * (1 - up) ** (n - i) for i in range(k, n + 1))
    return (1 - common) * alone


def k_of(k: int, parts: Sequence[float]) -> float:
    """Return the availability of independent, unequal ``parts`` of which ``k`` must be up."""
    parts = _checked(parts)
    if _check.count("k", k) > len(parts):
        raise ValueError(f"k={k!r}: must not exceed the {len(parts)} parts")
    ways = [1.0] + [0.0] * len(parts)  # ways[i]: probability that i of those seen are up
    for seen, part in enumerate(parts, 1):
        for up in range(seen, -1, -1):
            ways[up] = ways[up] * (1 - part) + (ways[up - 1] * part if up else 0.0)
    return min(1.0, math.fsum(ways[k:]))


def downtime_min(availability: float, days: float = 30) -> float:
    """Return the expected minutes of downtime in ``days``."""
    share = _check.share("availability", availability)
    return (1 - share) * _check.positive("days", days, "of days") * 24 * 60


def nines(availability: float) -> float:
    """Return ``-log10(1 - availability)``: 3 for 99.9 %; inf for 1."""
    down = 1 - _check.share("availability", availability)
    return -math.log10(down) if down else math.inf


def _checked(parts: Sequence[float]) -> list[float]:
    if not parts:
        raise ValueError("parts is empty; give the availability of at least one part")
    return [_check.share(f"parts[{i}]", part) for i, part in enumerate(parts)]
