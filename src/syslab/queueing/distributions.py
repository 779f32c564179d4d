"""How long a piece of work takes: distributions with a stated mean.

Every one is a frozen dataclass in seconds that can ``sample``, knows its ``mean`` and ``scv``
(squared coefficient of variation, variance / mean²), its ``tail`` P(X > t) and ``percentile``.
Swapping the shape at a fixed mean is the experiment that queueing theory is about::

    for shape in (Deterministic(0.01), Exponential(0.01), Hyperexponential(0.01, cv=3)):
        ...

Your own shape needs only ``mean`` and ``sample(rng, size)``.  Heavy tails are in ``heavy``,
measured values and mixtures in ``observed``.
"""

import math
from dataclasses import dataclass

import numpy as np


class Distribution:
    """What every distribution can do; ``mean``, ``scv``, ``tail`` and ``sample`` vary."""

    @property
    def cv(self) -> float:
        """Coefficient of variation: standard deviation / mean."""
        return math.sqrt(self.scv)

    def percentile(self, q: float) -> float:
        """Smallest t in seconds with P(X ≤ t) ≥ q / 100; `q` in [0, 100)."""
        check_percent(q)
        left = 1 - q / 100
        low, high = 0.0, self.mean
        while self.tail(high) > left:
            low, high = high, 2 * high
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if self.tail(middle) > left else (low, middle)
        return high


@dataclass(frozen=True)
class Exponential(Distribution):
    """No memory: the chance to finish in the next instant never changes (scv 1)."""

    mean: float

    def __post_init__(self):
        check_positive("mean", self.mean)

    @property
    def scv(self) -> float:
        """1, whatever the mean."""
        return 1.0

    def tail(self, t):
        """P(X > t) for t in seconds, scalar or array."""
        return np.exp(-np.maximum(t, 0) / self.mean)

    def percentile(self, q: float) -> float:
        """Time in seconds that `q` percent stay below: mean · ln(100 / (100 - q))."""
        check_percent(q)
        return -self.mean * math.log1p(-q / 100)

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw `size` values in seconds."""
        values = rng.standard_exponential(size)
        values *= self.mean
        return values


@dataclass(frozen=True)
class Deterministic(Distribution):
    """Always the same time (scv 0)."""

    mean: float

    def __post_init__(self):
        check_positive("mean", self.mean)

    @property
    def scv(self) -> float:
        """0: nothing varies."""
        return 0.0

    def tail(self, t):
        """P(X > t) for t in seconds, scalar or array."""
        return np.where(np.asarray(t) < self.mean, 1.0, 0.0)[()]

    def percentile(self, q: float) -> float:
        """Return the one value."""
        check_percent(q)
        return float(self.mean)

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Return the one value `size` times."""
        return np.full(size, float(self.mean))


@dataclass(frozen=True)
class Lognormal(Distribution):
    """The usual shape of measured service times: skewed, with a stated mean and cv."""

    mean: float
    cv: float = 1.0

    def __post_init__(self):
        check_positive("mean", self.mean)
        check_positive("cv", self.cv)

    @property
    def scv(self) -> float:
        """Square of the stated cv."""
        return self.cv**2

    @property
    def _log(self) -> tuple[float, float]:
        """Mean and standard deviation of ln X that give the stated mean and cv."""
        variance = math.log1p(self.cv**2)
        return math.log(self.mean) - variance / 2, math.sqrt(variance)

    def tail(self, t):
        """P(X > t) for t in seconds, scalar or array."""
        from scipy.special import ndtr

        centre, spread = self._log
        with np.errstate(divide="ignore"):
            return ndtr((centre - np.log(np.maximum(t, 0.0))) / spread)

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw `size` values in seconds."""
        return rng.lognormal(*self._log, size)


@dataclass(frozen=True)
class Hyperexponential(Distribution):
    """Mostly short, sometimes long: one of two exponentials, with cv of 1 or more.

    The two branches carry the same share of the total time ("balanced means"), which fixes the
    two rates and the branch probability from mean and cv.
    """

    mean: float
    cv: float = 2.0

    def __post_init__(self):
        check_positive("mean", self.mean)
        if not 1 <= self.cv < math.inf:
            raise ValueError(
                f"cv is {self.cv}; two exponentials reach 1 or more (below 1 use Erlang)"
            )

    @property
    def scv(self) -> float:
        """Square of the stated cv."""
        return self.cv**2

    @property
    def branches(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """(probability, mean in seconds) of the short and of the long branch."""
        short = (1 + math.sqrt((self.scv - 1) / (self.scv + 1))) / 2
        return (short, self.mean / (2 * short)), (1 - short, self.mean / (2 * (1 - short)))

    def tail(self, t):
        """P(X > t) for t in seconds, scalar or array."""
        t = np.maximum(t, 0)
        return sum(share * np.exp(-t / mean) for share, mean in self.branches)

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw `size` values in seconds."""
        (share, short), (_, long) = self.branches
        return rng.standard_exponential(size) * np.where(rng.random(size) < share, short, long)


@dataclass(frozen=True)
class Erlang(Distribution):
    """A sum of `stages` exponentials: steadier than one (scv 1 / stages)."""

    mean: float
    stages: int = 2

    def __post_init__(self):
        check_positive("mean", self.mean)
        check_count("stages", self.stages)

    @property
    def scv(self) -> float:
        """1 / stages."""
        return 1 / self.stages

    def tail(self, t):
        """P(X > t) for t in seconds, scalar or array."""
        from scipy.special import gammaincc

        return gammaincc(self.stages, np.maximum(t, 0) * self.stages / self.mean)

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw `size` values in seconds."""
        return rng.gamma(self.stages, self.mean / self.stages, size)


def check_positive(name: str, value: float) -> None:
    """Raise ValueError unless 0 < value < infinity."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}; it must be positive and finite")


def check_count(name: str, value: int, least: int = 1) -> None:
    """Raise ValueError unless `value` is a whole number of `least` or more."""
    if value != int(value) or value < least:
        raise ValueError(f"{name} is {value}; it must be a whole number, {least} or more")


def check_percent(q: float) -> None:
    """Raise ValueError unless 0 <= q < 100."""
    if not 0 <= q < 100:
        raise ValueError(f"q is {q:g}; a percentile lies in [0, 100): write 99 for p99, not 0.99")
