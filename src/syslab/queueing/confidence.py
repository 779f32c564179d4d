"""How far to trust a number from one run: batch means.

Successive latencies resemble each other (a long queue delays many in a row), so the textbook
interval from n independent values is far too narrow.  Cut the run into a few long batches, compute
the statistic in each, and treat those as independent.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from syslab.queueing.distributions import check_count


@dataclass(frozen=True)
class Estimate:
    """A value with its interval.

    Attributes
    ----------
    value, low, high : float
    level : float
        Share of repeated runs whose interval would hold the truth.
    batches : ndarray of float
        The statistic of each batch.
    """

    value: float
    low: float
    high: float
    level: float
    batches: np.ndarray

    @property
    def half_width(self) -> float:
        """Half the interval."""
        return (self.high - self.low) / 2

    @property
    def relative(self) -> float:
        """Half the interval over the value."""
        return self.half_width / abs(self.value)

    @property
    def correlation(self) -> float:
        """Correlation of each batch with the next; well above 0 says the batches are too short."""
        rest = self.batches - self.batches.mean()
        return float((rest[:-1] * rest[1:]).sum() / (rest**2).sum()) if rest.any() else 0.0

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.value:.4g} ± {self.half_width:.2g} ({100 * self.level:g} %)"


def batch_means(
    values, statistic: Callable = np.mean, batches: int = 20, level: float = 0.95, tail: float = 1.0
) -> Estimate:
    """Confidence interval of a statistic of a correlated series.

    The interval is centred on the statistic of the whole series and its width comes from how much
    the batches scatter about it ("sectioning"): for a percentile the mean of the batches would be
    biased.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        In the order in which they were observed, warm-up left out.
    statistic : callable
        From an array to a number.
    batches : int
        2 or more; 10 to 30 serve.
    level : float
        In (0, 1).
    tail : float
        Share of the values that the statistic rests on: 0.01 for p99.  A batch needs ten of them.

    Returns
    -------
    Estimate

    Raises
    ------
    ValueError
        If a batch is too short for the statistic.
    """
    check_count("batches", batches, least=2)
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie in (0, 1), such as 0.95")
    values = np.asarray(values, dtype=float)
    needed = math.ceil(10 / tail - 1e-9)
    if values.size < batches * needed:
        raise ValueError(
            f"values has {values.size:,} entries; {batches} batches need {needed:,} each, "
            f"{batches * needed:,} in all: simulate longer or ask for a lower percentile"
        )
    parts = np.array([statistic(part) for part in np.array_split(values, batches)])
    return interval(float(statistic(values)), parts, level)


def interval(whole: float, parts: np.ndarray, level: float = 0.95) -> Estimate:
    """Student's interval about `whole` from the scatter of `parts` about it."""
    from scipy.special import stdtrit

    count = len(parts)
    error = math.sqrt(((parts - whole) ** 2).sum() / (count - 1) / count)
    half = float(stdtrit(count - 1, (1 + level) / 2)) * error
    return Estimate(whole, whole - half, whole + half, level, np.asarray(parts))
