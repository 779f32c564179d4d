"""Reuse distance: how much cache would have kept this line until its next use?

The reuse (stack) distance of an access is the number of *other* lines touched since the last
access to the same line.  A fully associative LRU cache of C lines hits exactly when that number
is below C (Mattson et al., IBM Systems Journal 1970), so one pass over a trace gives the miss
ratio of every cache size at once.

distance   distances(), histogram(), miss_ratio_curve(), knees()
caches     simulators to check the curve against: lru_misses(), set_associative_misses()
traces     byte addresses of streaming, matmul, Zipf, KV-cache and embedding patterns
sampling   shards(): the curve from a sample of the lines

A trace is an array of line numbers.  Generators give byte addresses; ``lines(addresses)`` turns
them into 64-byte lines: 8 doubles, 16 floats or 32 bf16 values in one line.
"""

from syslab.reuse import traces
from syslab.reuse.caches import lru_misses, set_associative_misses
from syslab.reuse.distance import (
    COLD,
    Histogram,
    Knee,
    MissRatioCurve,
    distances,
    histogram,
    knees,
    miss_ratio_curve,
)
from syslab.reuse.sampling import mean_absolute_error, shards
from syslab.reuse.traces import lines

__all__ = [
    "COLD",
    "Histogram",
    "Knee",
    "MissRatioCurve",
    "distances",
    "histogram",
    "knees",
    "lines",
    "lru_misses",
    "mean_absolute_error",
    "miss_ratio_curve",
    "set_associative_misses",
    "shards",
    "traces",
]
