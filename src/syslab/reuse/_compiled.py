"""Loops that Python is too slow for, compiled by numba.  Imported only when one is called."""

import numpy as np
from numba import njit


@njit(cache=True)
def stack_distances(ids, distinct):
    """Olken's algorithm: a Fenwick tree over time marks the latest access of every line."""
    n = ids.size
    tree = np.zeros(n + 1, np.int64)
    last = np.full(distinct, -1, np.int64)
    out = np.empty(n, np.int64)
    live = 0
    for now in range(n):
        line = ids[now]
        before = last[line]
        if before < 0:
            out[now] = -1
            live += 1
        else:
            marked = 0
            i = before + 1
            while i > 0:
                marked += tree[i]
                i -= i & -i
            out[now] = live - marked
            i = before + 1
            while i <= n:
                tree[i] -= 1
                i += i & -i
        i = now + 1
        while i <= n:
            tree[i] += 1
            i += i & -i
        last[line] = now
    return out


@njit(cache=True)
def lru_miss_mask(ids, distinct, capacity):
    """One LRU list of ``capacity`` lines, kept as a doubly linked list."""
    newer = np.full(distinct, -1, np.int64)
    older = np.full(distinct, -1, np.int64)
    resident = np.zeros(distinct, np.bool_)
    newest, oldest, held = -1, -1, 0
    miss = np.zeros(ids.size, np.bool_)
    for now in range(ids.size):
        line = ids[now]
        if line == newest:
            continue
        if resident[line]:
            after, before = newer[line], older[line]
            older[after] = before
            if before >= 0:
                newer[before] = after
            else:
                oldest = after
        else:
            miss[now] = True
            if held == capacity:
                victim = oldest
                resident[victim] = False
                oldest = newer[victim]
                if oldest >= 0:
                    older[oldest] = -1
                else:
                    newest = -1
                newer[victim] = -1
            else:
                held += 1
            resident[line] = True
        older[line] = newest
        newer[line] = -1
        if newest >= 0:
            newer[newest] = line
        else:
            oldest = line
        newest = line
    return miss


@njit(cache=True)
def set_associative_miss_mask(lines, sets, ways):
    """LRU in every set; the set is the line number modulo the number of sets."""
    held = np.full((sets, ways), -1, np.int64)
    miss = np.zeros(lines.size, np.bool_)
    for now in range(lines.size):
        line = lines[now]
        row = held[line % sets]
        way = 0
        while way < ways and row[way] != line:
            way += 1
        if way == ways:
            miss[now] = True
            way = ways - 1
        while way > 0:
            row[way] = row[way - 1]
            way -= 1
        row[0] = line
    return miss
