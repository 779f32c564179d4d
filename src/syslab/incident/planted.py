"""Series with incidents and harmless blips at known minutes, to try alert rules on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from syslab.reliability import SLO

BAD, TOTAL = "errors", "requests"


@dataclass(frozen=True)
class Outage:
    """Errors that were planted.

    Attributes
    ----------
    start, end : int
        Half-open minutes.
    error_ratio : float
    spent : float
        Share of the budget it spends.
    """

    start: int
    end: int
    error_ratio: float
    spent: float

    @property
    def interval(self) -> tuple[int, int]:
        """``(start, end)``."""
        return self.start, self.end


@dataclass(frozen=True)
class Planted:
    """Synthetic counts per minute with their truth.

    Attributes
    ----------
    series : dict
        ``errors`` and ``requests``, each of shape (minutes,).
    incidents : tuple of Outage
        Spend at least ``matters`` of the budget: an alert should tell.
    blips : tuple of Outage
        Spend less than a tenth of that: an alert would be a false alarm.
    """

    series: dict[str, np.ndarray]
    incidents: tuple[Outage, ...]
    blips: tuple[Outage, ...]


def planted(
    seed: int,
    slo: SLO,
    days: int = 28,
    incidents: int = 8,
    blips: int = 16,
    matters: float = 0.03,
    per_min: float = 1000.0,
) -> Planted:
    """Return ``days`` of traffic with outages of all shapes, fast and slow, and short blips.

    Traffic swings by 60 % between day and night; errors between outages run at a tenth of what
    the objective allows. An outage lasts from 10 minutes to 2 days and spends between ``matters``
    and six times that; a blip lasts from 1 to 4 minutes and spends at most a tenth of it.

    Parameters
    ----------
    matters : float
        Share of the budget from which an outage deserves an alert.
    per_min : float
        Mean requests per minute.
    """
    if days < 7 or incidents + blips > 2 * days:
        raise ValueError(
            f"days={days!r} for incidents={incidents} and blips={blips}: needs 7 days or more and "
            "no more than two events a day"
        )
    rng = np.random.default_rng(seed)
    minutes = days * 24 * 60
    clock = np.arange(minutes)
    load = per_min * (1 - 0.6 * np.cos(2 * np.pi * clock / 1440))
    ratio = np.full(minutes, slo.budget_ratio / 10)
    allowed = slo.allowed_bad(per_min * slo.window_min)

    kinds = rng.permutation(np.repeat([True, False], [incidents, blips]))
    slot = minutes / len(kinds) if len(kinds) else minutes
    big, small = [], []
    for i, real in enumerate(kinds):
        room = int(slot * 0.55)
        if real:
            longest = max(11, min(room, 2 * 1440))
            length = int(np.exp(rng.uniform(np.log(10), np.log(longest))))
            spend = matters * float(rng.uniform(1.3, 6))
        else:
            length, spend = int(rng.integers(1, 5)), matters * float(rng.uniform(0.02, 0.1))
        start = int(i * slot + rng.uniform(0.02, 0.3) * slot)
        end = min(start + length, minutes)
        share = min(0.95, spend * allowed / load[start:end].sum())
        if real and share * load[start:end].sum() < matters * allowed:
            end = min(minutes, start + int(np.ceil(matters * 1.3 * allowed / (0.9 * load[start]))))
            share = 0.95
        ratio[start:end] = share
        spent = float(share * load[start:end].sum() / allowed)
        (big if real else small).append(Outage(start, end, float(share), spent))
    total = rng.poisson(load)
    bad = rng.binomial(total, ratio)
    series = {BAD: bad.astype(float), TOTAL: total.astype(float)}
    return Planted(series, tuple(big), tuple(small))
