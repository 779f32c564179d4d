"""Heavy tails: most work is short, and most of the load is in the few long pieces."""

import math
from dataclasses import dataclass

import numpy as np

from syslab.queueing.distributions import Distribution, check_percent, check_positive


@dataclass(frozen=True)
class Pareto(Distribution):
    """P(X > t) = (minimum / t)^alpha, with the stated mean.

    At alpha ≤ 1 there is no mean; at alpha ≤ 2 the variance is infinite, so that theory gives an
    infinite mean wait at any load and a simulation never settles.
    """

    mean: float
    alpha: float = 2.5

    def __post_init__(self):
        check_positive("mean", self.mean)
        if not 1 < self.alpha < math.inf:
            raise ValueError(f"alpha is {self.alpha}; it must exceed 1, or there is no mean")

    @property
    def minimum(self) -> float:
        """Shortest value in seconds."""
        return self.mean * (self.alpha - 1) / self.alpha

    @property
    def scv(self) -> float:
        """Squared coefficient of variation; infinite for alpha ≤ 2."""
        return 1 / (self.alpha * (self.alpha - 2)) if self.alpha > 2 else math.inf

    def tail(self, t):
        """P(X > t) for t in seconds, scalar or array."""
        return (self.minimum / np.maximum(t, self.minimum)) ** self.alpha

    def percentile(self, q: float) -> float:
        """Time in seconds that `q` percent stay below."""
        check_percent(q)
        return self.minimum * (1 - q / 100) ** (-1 / self.alpha)

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw `size` values in seconds."""
        return self.minimum * (1 - rng.random(size)) ** (-1 / self.alpha)


@dataclass(frozen=True)
class BoundedPareto(Distribution):
    """A Pareto cut off at `high` seconds: real requests end, by a size limit or a timeout."""

    low: float
    high: float
    alpha: float = 1.5

    def __post_init__(self):
        check_positive("low", self.low)
        check_positive("alpha", self.alpha)
        if not self.low < self.high < math.inf:
            raise ValueError(f"high is {self.high}; it must be finite and above low ({self.low})")

    @property
    def _kept(self) -> float:
        """Share of the unbounded Pareto that lies below `high`."""
        return 1 - (self.low / self.high) ** self.alpha

    def moment(self, order: int) -> float:
        """E[X^order], exact."""
        gap = order - self.alpha
        scale = self.alpha * self.low**self.alpha / self._kept
        if abs(gap) < 1e-12:
            return scale * math.log(self.high / self.low)
        return scale * (self.high**gap - self.low**gap) / gap

    @property
    def mean(self) -> float:
        """Mean in seconds."""
        return self.moment(1)

    @property
    def scv(self) -> float:
        """Squared coefficient of variation."""
        return self.moment(2) / self.moment(1) ** 2 - 1

    def tail(self, t):
        """P(X > t) for t in seconds, scalar or array."""
        t = np.clip(t, self.low, self.high)
        return ((self.low / t) ** self.alpha - (1 - self._kept)) / self._kept

    def percentile(self, q: float) -> float:
        """Time in seconds that `q` percent stay below."""
        check_percent(q)
        return self.low * (1 - q / 100 * self._kept) ** (-1 / self.alpha)

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw `size` values in seconds."""
        return self.low * (1 - rng.random(size) * self._kept) ** (-1 / self.alpha)
