"""Two simulators of caches, to see where the miss-ratio curve is right and where it is not.

Neither uses reuse distances.  The first is the cache that the curve describes; the second has
sets, as real caches do, and so has conflict misses that no curve of capacities can show.
"""

import numpy as np

from syslab.reuse.distance import as_trace, dense_ids


def lru_misses(trace, capacity_lines: int) -> np.ndarray:
    """Which accesses miss in a fully associative LRU cache that starts empty.

    Parameters
    ----------
    trace : array_like of int, shape (n,)
        Line numbers.
    capacity_lines : int
        1 or more.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    from syslab.reuse._compiled import lru_miss_mask

    if capacity_lines < 1:
        raise ValueError(f"capacity_lines is {capacity_lines}; it must be 1 or more")
    return lru_miss_mask(*dense_ids(as_trace(trace)), capacity_lines)


def set_associative_misses(trace, cache_bytes: int, ways: int, line_bytes: int = 64) -> np.ndarray:
    """Which accesses miss in a set-associative LRU cache that starts empty.

    The set of a line is its number modulo the number of sets, so line numbers must be true
    addresses divided by the line size: power-of-two strides then collide as on hardware.

    Parameters
    ----------
    trace : array_like of int, shape (n,)
        Line numbers.
    cache_bytes, ways, line_bytes : int
        32 KiB, 8 ways and 64 bytes make 64 sets.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    from syslab.reuse._compiled import set_associative_miss_mask

    if min(cache_bytes, ways, line_bytes) < 1 or cache_bytes % (ways * line_bytes):
        raise ValueError(
            f"cache_bytes is {cache_bytes}; it must be a positive multiple of "
            f"ways x line_bytes = {ways} x {line_bytes}"
        )
    return set_associative_miss_mask(as_trace(trace), cache_bytes // (ways * line_bytes), ways)
