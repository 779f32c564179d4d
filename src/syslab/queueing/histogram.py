"""A latency histogram that can be merged: fixed memory, bounded relative error.

Laid out as in HdrHistogram (Tene): every power of two is cut into the same number of equal
buckets.  Two histograms of the same precision merge by adding counts, and the merged percentile is
that of all values together, to within the precision.  Percentiles themselves cannot be merged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from syslab.queueing.distributions import check_percent

FINEST_S, LONGEST_S = 2.0**-33, 2.0**18  # about 0.1 ns to 3 days


@dataclass(frozen=True)
class Histogram:
    """Counts of latencies in buckets.

    Attributes
    ----------
    bits : int
        Each power of two has 2^bits buckets; the relative error is at most 2^-(bits + 1).
    counts : ndarray of int
        One for each bucket, from 0.1 ns to 3 days; values outside go to the nearest bucket.
    """

    bits: int = 7
    counts: np.ndarray = field(default=None, repr=False)

    def __post_init__(self):
        if not 1 <= self.bits <= 14:
            raise ValueError(f"bits is {self.bits}; it must lie in 1 to 14")
        if self.counts is None:
            octaves = round(math.log2(LONGEST_S / FINEST_S))
            object.__setattr__(self, "counts", np.zeros(octaves << self.bits, np.int64))

    @property
    def relative_error(self) -> float:
        """Largest relative error of a percentile."""
        return 2.0 ** -(self.bits + 1)

    @property
    def total(self) -> int:
        """Number of values."""
        return int(self.counts.sum())

    @property
    def memory_bytes(self) -> int:
        """Size of the counts: the same for a thousand values and for a thousand million."""
        return self.counts.nbytes

    def record(self, values) -> Histogram:
        """A histogram with `values` (seconds) added."""
        values = np.asarray(values, dtype=float).ravel()
        if values.size and not values.min() >= 0:
            raise ValueError(f"values has {values.min()}; latencies must be 0 s or more")
        mantissa, exponent = np.frexp(np.clip(values / FINEST_S, 1.0, None))  # mantissa in [½, 1)
        within = ((2 * mantissa - 1) * 2**self.bits).astype(np.int64)
        bucket = ((exponent.astype(np.int64) - 1) << self.bits) + within
        bucket = np.minimum(bucket, self.counts.size - 1)
        return Histogram(self.bits, self.counts + np.bincount(bucket, minlength=self.counts.size))

    def merge(self, *others: Histogram) -> Histogram:
        """The histogram of all values of this one and `others`."""
        for other in others:
            if other.bits != self.bits:
                raise ValueError(
                    f"bits is {other.bits} here and {self.bits} there; only histograms of the same "
                    "precision can be merged"
                )
        return Histogram(self.bits, sum((other.counts for other in others), self.counts))

    def percentile(self, q: float) -> float:
        """Latency in seconds at `q` percent: the middle of the bucket that holds it."""
        check_percent(q)
        if not self.total:
            raise ValueError("the histogram is empty: record values first")
        rank = max(math.ceil(q / 100 * self.total - 1e-9), 1)
        bucket = int(np.searchsorted(np.cumsum(self.counts), rank))
        octave, within = bucket >> self.bits, bucket & ((1 << self.bits) - 1)
        return FINEST_S * 2.0**octave * (1 + (within + 0.5) / 2**self.bits)


def average_of_percentiles(groups, q: float) -> float:
    """The trap: the mean of each group's percentile.  It is the percentile of nothing.

    Compare with ``merged_percentile``: one slow server of ten moves the average by a tenth of its
    own p99, whether it answers one request in ten or one in a thousand.
    """
    from syslab.queueing.sample import Sample

    return float(np.mean([Sample(group).percentile(q) for group in groups]))


def merged_percentile(groups, q: float) -> float:
    """Percentile of all values of all groups together, in seconds."""
    from syslab.queueing.sample import Sample

    return Sample(np.concatenate([np.ravel(group) for group in groups])).percentile(q)
