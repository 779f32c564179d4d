"""A set of latencies, and the questions one asks of it."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from syslab.queueing.distributions import check_percent


@dataclass(frozen=True)
class Sample:
    """Times in seconds, in the order in which they were observed.

    A percentile is the *nearest rank*: the smallest observed value that at least q percent of all
    values do not exceed.  It is always a value that happened, never a blend of two.
    """

    values: np.ndarray = field(repr=False)

    def __post_init__(self):
        object.__setattr__(self, "values", np.asarray(self.values, dtype=float).ravel())

    @cached_property
    def _sorted(self) -> np.ndarray:
        if not self.values.size:
            raise ValueError("values is empty: no request was answered in this window")
        return np.sort(self.values)

    def __len__(self) -> int:
        return self.values.size

    def percentile(self, q):
        """Value in seconds at `q` percent, scalar or array; ``percentile(99)`` is p99."""
        ranks = np.asarray(q, dtype=float)
        for each in ranks.ravel():
            check_percent(each)
        index = np.ceil(ranks / 100 * self.values.size - 1e-9).astype(np.int64) - 1
        found = self._sorted[np.maximum(index, 0)]
        return float(found) if ranks.ndim == 0 else found

    @property
    def median(self) -> float:
        """p50 in seconds."""
        return self.percentile(50)

    @property
    def mean(self) -> float:
        """Mean in seconds."""
        return float(self._sorted.mean())

    @property
    def max(self) -> float:
        """Longest, in seconds: grows with the number of values, so compare only equal counts."""
        return float(self._sorted[-1])

    @property
    def scv(self) -> float:
        """Squared coefficient of variation."""
        return float(self._sorted.var()) / self.mean**2

    def share_above(self, limit_s):
        """Share of the values above `limit_s` seconds, scalar or array."""
        below = np.searchsorted(self._sorted, limit_s, side="right")
        return 1 - below / self.values.size

    def tail(self, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
        """(seconds, share above) for a plot whose logarithmic axis shows the tail.

        The points are spaced evenly in the logarithm of the share, so the last percent is drawn
        as finely as the first ninety.
        """
        size = self.values.size
        above = np.unique(np.geomspace(size, 1, points).astype(np.int64))[::-1]
        return self._sorted[size - above], above / size

    def __repr__(self) -> str:
        if not self.values.size:
            return "Sample(empty)"
        p50, p99, p999 = self.percentile([50, 99, 99.9])
        return f"Sample({len(self):,} values: p50 {p50:.4g} s, p99 {p99:.4g} s, p99.9 {p999:.4g} s)"
