"""More events than counters: the kernel takes turns, and scales what it saw.

    estimate = count * time_enabled / time_running

That is right on average when the turns sample the workload fairly.  A workload whose phases keep
step with the rotation is seen in one phase only, and the estimate is wrong by any factor.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ScaledCount:
    """What a multiplexed counter reports for one event group, beside the truth.

    Parameters
    ----------
    count : float
        Counted while the group was on the hardware.
    ticks_enabled, ticks_running : int
        Rotation turns in all, and turns in which the group ran.
    truth : float
        What a counter of its own would have read.
    interval : tuple of float
        Confidence interval of the scaled count, from the scatter between turns.  It supposes
        that the turns seen are like the turns missed.
    """

    count: float
    ticks_enabled: int
    ticks_running: int
    truth: float
    interval: tuple[float, float]

    @property
    def estimate(self) -> float:
        """count * time_enabled / time_running."""
        return self.count * self.ticks_enabled / self.ticks_running

    @property
    def relative_error(self) -> float:
        """(estimate - truth) / truth."""
        return (self.estimate - self.truth) / self.truth

    @property
    def covered(self) -> bool:
        """Whether the interval holds the truth."""
        return self.interval[0] <= self.truth <= self.interval[1]


def phased_workload(
    ticks: int,
    period_ticks: int,
    duty: float = 0.5,
    high: float = 1e6,
    low: float = 1e5,
    noise: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """Events per tick of a workload that alternates between a busy and a quiet phase.

    Parameters
    ----------
    ticks : int
        Length of the run; one tick is one turn of the rotation (perf: 4 ms by default at
        CONFIG_HZ 250).
    period_ticks : int
        Busy phase plus quiet phase.
    duty : float
        Share of the period that is busy, in [0, 1].
    high, low : float
        Events per tick in the two phases.
    noise : float
        Relative standard deviation per tick.
    seed : int

    Returns
    -------
    ndarray of float, shape (ticks,)
    """
    if ticks < 1 or period_ticks < 1:
        raise ValueError(f"ticks is {ticks} and period_ticks {period_ticks}; both must be >= 1")
    if not 0 <= duty <= 1:
        raise ValueError(f"duty is {duty}; it must lie in [0, 1]")
    busy = (np.arange(ticks) % period_ticks) < round(duty * period_ticks)
    rates = np.where(busy, high, low).astype(float)
    scatter = 1 + noise * np.random.default_rng(seed).standard_normal(ticks)
    return np.maximum(rates * scatter, 0)


def multiplex(
    rates,
    groups: int,
    group: int = 0,
    schedule: str = "round-robin",
    seed: int = 0,
    confidence: float = 0.95,
) -> ScaledCount:
    """Count one of ``groups`` event groups that take turns on the hardware.

    Parameters
    ----------
    rates : array_like, shape (ticks,)
        True events per tick.
    groups : int
        Event groups that share the counters; 1 means no multiplexing.
    group : int
        Which one to report, 0 to groups - 1.
    schedule : {"round-robin", "random"}
        perf rotates round-robin; random turns cannot keep step with any phase.
    seed : int
        Of the random schedule.
    confidence : float
        Of the interval.
    """
    rates = np.asarray(rates, dtype=float)
    if rates.ndim != 1 or rates.size < 2 * groups:
        raise ValueError(
            f"rates has shape {rates.shape}; give at least {2 * groups} ticks, "
            "two turns for each group"
        )
    if groups < 1 or not 0 <= group < groups:
        raise ValueError(f"group is {group} of {groups}; it must lie in 0..groups-1")
    if schedule not in ("round-robin", "random"):
        raise ValueError(f"schedule is {schedule!r}; it must be 'round-robin' or 'random'")
    turns = np.arange(rates.size) % groups
    if schedule == "random":
        turns = np.random.default_rng(seed).permutation(turns)
    seen = rates[turns == group]
    return ScaledCount(
        float(seen.sum()),
        rates.size,
        seen.size,
        float(rates.sum()),
        _interval(seen, rates.size, confidence),
    )


def _interval(seen: np.ndarray, ticks: int, confidence: float) -> tuple[float, float]:
    """Interval of the total of ``ticks`` turns of which ``seen`` were sampled."""
    from scipy.stats import t

    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must lie in (0, 1)")
    estimate = ticks * seen.mean()
    # Turns that were seen need no estimate: the error shrinks to 0 as all are seen.
    unseen = 1 - seen.size / ticks
    spread = ticks * np.sqrt(seen.var(ddof=1) / seen.size * unseen)
    half = float(t.ppf(0.5 + confidence / 2, seen.size - 1) * spread)
    return float(estimate - half), float(estimate + half)
