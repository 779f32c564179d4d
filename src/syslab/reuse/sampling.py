"""The miss-ratio curve from a sample of the lines.

SHARDS (Waldspurger et al., FAST 2015): keep a line when its hash is small, so that a line is
followed for its whole life or not at all.  Distances in the sample are then short by the sampling
rate, and are scaled back.
"""

import numpy as np

from syslab.reuse.distance import MissRatioCurve, as_trace, distances, histogram


def shards(
    trace, rate: float, seed: int = 0, adjust: bool = True, line_bytes: int = 64
) -> MissRatioCurve:
    """Estimate the miss-ratio curve from about ``rate`` of the distinct lines.

    Parameters
    ----------
    trace : array_like of int, shape (n,)
        Line numbers.
    rate : float
        Share of lines to keep, in (0, 1].
    seed : int
        Of the hash.
    adjust : bool
        The paper's SHARDS-adj: when hot lines fell in or out of the sample by chance, put the
        surplus or the missing accesses at distance 0.
    line_bytes : int

    Returns
    -------
    MissRatioCurve
        With ``sample_rate = rate``.
    """
    if not 0 < rate <= 1:
        raise ValueError(f"rate is {rate}; it must lie in (0, 1]")
    trace = as_trace(trace)
    kept = trace[_hash(trace, seed) < rate]
    if kept.size == 0:
        raise ValueError(f"no line was kept at rate {rate}; raise the rate or change the seed")
    counted = histogram(distances(kept))
    # A cache of c lines holds c * rate of the sampled ones.
    scaled = np.ceil(np.arange(counted.counts.size) / rate).astype(np.int64)
    counts = np.bincount(scaled, weights=counted.counts) if scaled.size else np.zeros(1)
    total = float(kept.size)
    if adjust:
        surplus = total - trace.size * rate
        counts[0] -= surplus
        total -= surplus
    hits = np.concatenate([[0.0], np.cumsum(counts)])
    ratio = np.clip(1 - hits / total, 0, 1)
    return MissRatioCurve(ratio, counted.cold / total, line_bytes, rate)


def mean_absolute_error(estimate: MissRatioCurve, exact: MissRatioCurve, points: int = 64) -> float:
    """Mean |difference| of two curves over ``points`` capacities, evenly spaced in log scale.

    The capacities start at 1 / rate lines: a sample cannot resolve a smaller cache.
    """
    smallest = round(1 / min(estimate.sample_rate, exact.sample_rate))
    largest = max(exact.miss_ratio.size - 1, smallest)
    sizes = np.unique(np.geomspace(smallest, largest, points).astype(np.int64))
    return float(np.abs(estimate.at(sizes) - exact.at(sizes)).mean())


def _hash(trace: np.ndarray, seed: int) -> np.ndarray:
    """Uniform in [0, 1) per line number and seed: the finaliser of SplitMix64."""
    with np.errstate(over="ignore"):
        x = trace.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(2 * seed + 1)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)) / 2.0**53
