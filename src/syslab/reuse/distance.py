"""Reuse distances, their histogram, and the miss-ratio curve they give."""

from dataclasses import dataclass

import numpy as np

COLD = -1
"""Distance of a first access: no cache size makes it a hit."""


def as_trace(trace) -> np.ndarray:
    """Check a trace and return it as a 1-D int64 array of line numbers."""
    trace = np.asarray(trace)
    if trace.ndim != 1 or trace.size == 0:
        raise ValueError(f"trace has shape {trace.shape}; give a 1-D array of line numbers")
    if not np.issubdtype(trace.dtype, np.integer):
        raise TypeError(f"trace holds {trace.dtype}; line numbers are integers: use lines(...)")
    if trace.min() < 0:
        raise ValueError(f"trace holds {trace.min()}; line numbers are not negative")
    return trace.astype(np.int64, copy=False)


def dense_ids(trace: np.ndarray) -> tuple[np.ndarray, int]:
    """Renumber lines 0..distinct-1; also how many distinct lines there are."""
    distinct, ids = np.unique(trace, return_inverse=True)
    return ids.reshape(-1), distinct.size


def distances(trace) -> np.ndarray:
    """Reuse distance of every access.

    Parameters
    ----------
    trace : array_like of int, shape (n,)
        Line numbers, in the order of access.

    Returns
    -------
    ndarray of int64, shape (n,)
        Distinct other lines touched since the last access to the same line; `COLD` (-1) for a
        first access.  Time O(n log n); a million accesses take well under a second.
    """
    from syslab.reuse._compiled import stack_distances

    return stack_distances(*dense_ids(as_trace(trace)))


@dataclass(frozen=True)
class Histogram:
    """``counts[d]`` accesses have distance d; ``cold`` are first accesses."""

    counts: np.ndarray
    cold: int

    @property
    def accesses(self) -> int:
        """All accesses, cold ones included."""
        return int(self.counts.sum()) + self.cold


def histogram(reuse_distances) -> Histogram:
    """Count accesses by reuse distance, cold ones apart."""
    found = np.asarray(reuse_distances)
    warm = found[found != COLD]
    return Histogram(
        np.bincount(warm) if warm.size else np.zeros(0, np.int64), int(found.size - warm.size)
    )


@dataclass(frozen=True)
class MissRatioCurve:
    """Miss ratio of a fully associative LRU cache, for every capacity.

    Parameters
    ----------
    miss_ratio : ndarray, shape (largest useful capacity + 1,)
        ``miss_ratio[c]`` with a cache of c lines, cold misses included; 1 at c = 0.
    cold_ratio : float
        Share of first accesses: the floor of the curve.
    line_bytes : int
    sample_rate : float
        1 for an exact curve, the sampling rate for one from `shards`.
    """

    miss_ratio: np.ndarray
    cold_ratio: float
    line_bytes: int = 64
    sample_rate: float = 1.0

    @property
    def capacities(self) -> np.ndarray:
        """Capacities in lines: 0, 1, 2, ..."""
        return np.arange(self.miss_ratio.size)

    def at(self, capacity_lines):
        """Miss ratio with a cache of ``capacity_lines`` (a number or an array)."""
        wanted = np.asarray(capacity_lines)
        if wanted.size and wanted.min() < 0:
            raise ValueError(f"capacity_lines is {wanted.min()}; it must be 0 or more")
        found = self.miss_ratio[np.minimum(wanted.astype(np.int64), self.miss_ratio.size - 1)]
        return float(found) if wanted.ndim == 0 else found

    def at_bytes(self, capacity_bytes):
        """Miss ratio with a cache of ``capacity_bytes``: whole lines only."""
        return self.at(np.asarray(capacity_bytes) // self.line_bytes)


def miss_ratio_curve(reuse_distances, line_bytes: int = 64) -> MissRatioCurve:
    """The whole curve from the distances of one pass (Mattson's stack algorithm).

    A cache of c lines misses on every cold access and on every distance of c or more.
    """
    counted = histogram(reuse_distances)
    if not counted.accesses:
        raise ValueError("reuse_distances is empty; there is no curve of no accesses")
    hits = np.concatenate([[0], np.cumsum(counted.counts)])
    return MissRatioCurve(
        (counted.accesses - hits) / counted.accesses, counted.cold / counted.accesses, line_bytes
    )


@dataclass(frozen=True)
class Knee:
    """A working set: with ``capacity_lines`` the miss ratio has dropped by ``drop``."""

    capacity_lines: int
    capacity_bytes: int
    drop: float
    miss_ratio: float


def knees(curve: MissRatioCurve, min_drop: float = 0.05, window: float = 1.5) -> list[Knee]:
    """Capacities at which the curve has just come down a cliff, smallest first.

    A knee is the smallest capacity c that wins at least ``min_drop`` over a cache ``window``
    times smaller, more than any other c nearby.  A curve without cliffs (Zipf) may have none.
    """
    if not 0 < min_drop <= 1:
        raise ValueError(f"min_drop is {min_drop}; it must lie in (0, 1]")
    if window <= 1:
        raise ValueError(f"window is {window}; it must be above 1")
    sizes = curve.capacities
    smaller = np.minimum((sizes / window).astype(np.int64), np.maximum(sizes - 1, 0))
    drop = curve.miss_ratio[smaller] - curve.miss_ratio
    found = []
    while drop.max() >= min_drop - 1e-12:
        best = int(np.argmax(drop >= drop.max() - 1e-9))
        found.append(Knee(best, best * curve.line_bytes, float(drop[best]), curve.at(best)))
        drop[int(best / window) : int(best * window) + 2] = 0.0
    return sorted(found, key=lambda knee: knee.capacity_lines)
