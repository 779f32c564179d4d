"""A t-digest: a few hundred averages that are fine at the tail and coarse in the middle.

Dunning and Ertl, *Computing Extremely Accurate Quantiles Using t-Digests* (2019).  Values are
sorted and grouped so that a group at rank share q spans at most one step of
k(q) = compression / (2π) · asin(2q - 1), which is steep near 0 and 1.  Unlike ``Histogram`` it
needs no range, and promises no error bound: look at the ranks, not at the values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from syslab.queueing.distributions import check_percent


@dataclass(frozen=True)
class Digest:
    """Means and weights of groups of neighbouring values.

    Attributes
    ----------
    compression : float
        About the number of groups kept; 10 or more.
    means, weights : ndarray of float, shape (groups,)
    """

    compression: float = 200.0
    means: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)
    weights: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)

    def __post_init__(self):
        if not 10 <= self.compression <= 10_000:
            raise ValueError(f"compression is {self.compression}; it must lie in 10 to 10,000")

    @property
    def total(self) -> int:
        """Number of values."""
        return round(float(self.weights.sum()))

    def record(self, values) -> Digest:
        """A digest with `values` added."""
        values = np.asarray(values, dtype=float).ravel()
        return self._grouped(
            np.concatenate([self.means, values]),
            np.concatenate([self.weights, np.ones(values.size)]),
        )

    def merge(self, *others: Digest) -> Digest:
        """The digest of all values of this one and `others`."""
        all_of_us = (self, *others)
        return self._grouped(
            np.concatenate([each.means for each in all_of_us]),
            np.concatenate([each.weights for each in all_of_us]),
        )

    def _grouped(self, means: np.ndarray, weights: np.ndarray) -> Digest:
        if not means.size:
            return self
        order = np.argsort(means, kind="stable")
        means, weights = means[order], weights[order]
        middle = (np.cumsum(weights) - weights / 2) / weights.sum()
        step = self.compression / (2 * math.pi) * np.arcsin(2 * middle - 1)
        group = np.floor(step)
        begins = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
        total = np.add.reduceat(weights, begins)
        mean = np.add.reduceat(means * weights, begins) / total
        return Digest(self.compression, mean, total)

    def percentile(self, q: float) -> float:
        """Value at `q` percent, interpolated between the groups' middles."""
        check_percent(q)
        if not self.means.size:
            raise ValueError("the digest is empty: record values first")
        middle = np.cumsum(self.weights) - self.weights / 2
        return float(np.interp(q / 100 * self.weights.sum(), middle, self.means))
