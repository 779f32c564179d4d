"""When requests arrive: open-loop processes, which do not wait for answers.

``times(rng, count)`` gives `count` arrival times in seconds, ascending.  Closed loops, where a
client waits for its answer before it asks again, are in ``omission``.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from syslab.queueing.distributions import Distribution, check_positive


@dataclass(frozen=True)
class Poisson:
    """Many independent users: `per_second` requests on average, gaps exponential."""

    per_second: float

    def __post_init__(self):
        check_positive("per_second", self.per_second)

    def times(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw `count` arrival times in seconds."""
        gaps = rng.standard_exponential(count)
        gaps *= 1 / self.per_second
        return np.cumsum(gaps, out=gaps)


@dataclass(frozen=True)
class Regular:
    """A clock: one request every 1 / per_second, the first after one gap."""

    per_second: float

    def __post_init__(self):
        check_positive("per_second", self.per_second)

    def times(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` arrival times in seconds."""
        return np.arange(1, count + 1) / self.per_second


@dataclass(frozen=True)
class Renewal:
    """Independent gaps of any shape: ``Renewal(Hyperexponential(0.01, cv=3))`` is bursty."""

    gap: Distribution

    @property
    def per_second(self) -> float:
        """Mean rate."""
        return 1 / self.gap.mean

    def times(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw `count` arrival times in seconds."""
        return np.cumsum(self.gap.sample(rng, count))


@dataclass(frozen=True)
class Steps:
    """Poisson arrivals whose rate changes: ``Steps((60, 80), (5, 300), (60, 80))``.

    Each pair is (length in seconds, requests per second); the last rate goes on for as long as
    requests are wanted.
    """

    phases: tuple[tuple[float, float], ...]

    def __init__(self, *phases):
        if not phases:
            raise ValueError("phases is empty; give one or more (seconds, requests per second)")
        for length_s, per_second in phases:
            check_positive("length of a phase in seconds", length_s)
            check_positive("rate of a phase per second", per_second)
        object.__setattr__(self, "phases", tuple(phases))

    @property
    def per_second(self) -> float:
        """Mean rate over the stated phases."""
        return self.expected / sum(length_s for length_s, _ in self.phases)

    @property
    def expected(self) -> float:
        """Mean number of requests in the stated phases: a sensible ``requests=``."""
        return sum(length_s * per_second for length_s, per_second in self.phases)

    def times(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw `count` arrival times in seconds."""
        lengths, rates = np.array(self.phases, dtype=float).T
        ends = np.cumsum(lengths)
        passed = np.cumsum(lengths * rates)
        unit = np.cumsum(rng.standard_exponential(count))  # arrivals of a process of rate 1
        times = np.interp(unit, np.r_[0.0, passed], np.r_[0.0, ends])
        late = unit > passed[-1]
        times[late] = ends[-1] + (unit[late] - passed[-1]) / rates[-1]
        return times


@dataclass(frozen=True)
class At:
    """Given times in seconds: a recorded trace, or the finishes of the hop before."""

    times_s: np.ndarray = field(repr=False)

    def __post_init__(self):
        times = np.sort(np.asarray(self.times_s, dtype=float).ravel())
        if times.size == 0 or not times[0] >= 0 or not times[-1] < math.inf:
            raise ValueError(
                f"times_s has {times.size} entries; it needs one or more, all finite and ≥ 0 s"
            )
        object.__setattr__(self, "times_s", times)

    @property
    def per_second(self) -> float:
        """Mean rate of the trace."""
        span = self.times_s[-1] - self.times_s[0]
        return (self.times_s.size - 1) / span if span else math.inf

    def times(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return the first `count` times."""
        if count > self.times_s.size:
            raise ValueError(f"requests is {count}; the trace holds {self.times_s.size}")
        return self.times_s[:count].copy()
