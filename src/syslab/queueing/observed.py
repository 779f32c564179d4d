"""Distributions made of other things: measured values, and mixtures of two or more shapes."""

import math
from dataclasses import dataclass, field

import numpy as np

from syslab.queueing.distributions import Distribution, check_percent


@dataclass(frozen=True)
class Empirical(Distribution):
    """Measured values in seconds, each drawn with equal chance.

    A sample of n values knows nothing beyond its own maximum: a simulation fed with it cannot
    show a longer tail than was measured.
    """

    values: np.ndarray = field(repr=False)

    def __post_init__(self):
        values = np.sort(np.asarray(self.values, dtype=float).ravel())
        if values.size == 0 or not values[0] >= 0 or not values[-1] < math.inf:
            raise ValueError(
                f"values has {values.size} entries; it needs one or more, all finite and ≥ 0 s"
            )
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    @property
    def mean(self) -> float:
        """Mean in seconds."""
        return float(self.values.mean())

    @property
    def scv(self) -> float:
        """Squared coefficient of variation."""
        return float(self.values.var()) / self.mean**2

    def tail(self, t):
        """Share of the values above t seconds."""
        return 1 - np.searchsorted(self.values, t, side="right") / self.values.size

    def percentile(self, q: float) -> float:
        """Nearest rank: the smallest value that `q` percent of all values do not exceed."""
        check_percent(q)
        rank = math.ceil(q / 100 * self.values.size - 1e-9)
        return float(self.values[max(rank, 1) - 1])

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw `size` values with replacement."""
        return self.values[rng.integers(self.values.size, size=size)]


@dataclass(frozen=True)
class Mixture(Distribution):
    """One of several shapes, each with its share: 99 % fast and 1 % slow, for instance.

    ``Mixture((0.99, Exponential(0.005)), (0.01, Deterministic(1.0)))``
    """

    parts: tuple[tuple[float, Distribution], ...]

    def __init__(self, *parts):
        shares = [share for share, _ in parts]
        if not parts or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
            raise ValueError(f"the shares are {shares}; they must be ≥ 0 and add up to 1")
        object.__setattr__(self, "parts", tuple(parts))

    @property
    def mean(self) -> float:
        """Mean in seconds."""
        return sum(share * part.mean for share, part in self.parts)

    @property
    def scv(self) -> float:
        """Squared coefficient of variation."""
        second = sum(share * part.mean**2 * (1 + part.scv) for share, part in self.parts)
        return second / self.mean**2 - 1

    def tail(self, t):
        """P(X > t) for t in seconds, scalar or array."""
        return sum(share * part.tail(t) for share, part in self.parts)

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw `size` values in seconds."""
        shares = [share for share, _ in self.parts]
        chosen = rng.choice(len(self.parts), size=size, p=np.divide(shares, sum(shares)))
        out = np.empty(size)
        for index, (_, part) in enumerate(self.parts):
            mine = chosen == index
            out[mine] = part.sample(rng, int(mine.sum()))
        return out
