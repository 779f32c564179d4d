"""Counting oracles for arch-02: the work is done on small data and every step is counted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

CACHE_LINE = 64


class CountedMemory:
    """A memory interface that counts the bytes that cross it."""

    def __init__(self, value_bytes: int) -> None:
        self.value_bytes = value_bytes
        self.bytes = 0

    def read(self, count: int) -> None:
        """`count` values come in."""
        self.bytes += count * self.value_bytes

    def write(self, count: int) -> None:
        """`count` values go out."""
        self.bytes += count * self.value_bytes


def triad_bytes(n: int, value_bytes: int, write_allocate: bool) -> int:
    """Bytes over the memory interface for ``a = b + s * c``, line by line through a cache.

    A line of `a` that is written is first read when the cache allocates on writes.
    `n * value_bytes` must be a whole number of lines.
    """
    lines, rest = divmod(n * value_bytes, CACHE_LINE)
    if rest:
        raise ValueError(f"n={n} values of {value_bytes} B do not fill whole {CACHE_LINE} B lines")
    moved = 0
    for _line in range(lines):
        moved += CACHE_LINE  # b
        moved += CACHE_LINE  # c
        if write_allocate:
            moved += CACHE_LINE  # a, before it is overwritten
        moved += CACHE_LINE  # a, written back
    return moved


def softmax_bytes(rows: int, columns: int, value_bytes: int, fused: bool) -> int:
    """Bytes a softmax moves, pass by pass; row statistics stay on the chip."""
    memory = CountedMemory(value_bytes)
    size = rows * columns
    if fused:
        memory.read(size)
        memory.write(size)
        return memory.bytes
    memory.read(size)  # row maximum
    for _step in ("subtract", "exponential"):
        memory.read(size)
        memory.write(size)
    memory.read(size)  # row sum
    memory.read(size)  # divide
    memory.write(size)
    return memory.bytes


def decode_attention(
    batch: int, context: int, heads: int, kv_heads: int, head_dim: int
) -> tuple[int, int]:
    """FLOP that torch counts and bytes that the K and V tensors hold, at 16 bits a value."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    query = torch.zeros(batch, heads, 1, head_dim, dtype=torch.bfloat16)
    key = torch.zeros(batch, kv_heads, context, head_dim, dtype=torch.bfloat16)
    value = torch.zeros_like(key)
    group = heads // kv_heads
    with FlopCounterMode(display=False) as counter:
        scores = query @ key.repeat_interleave(group, dim=1).transpose(-1, -2)
        scores.softmax(-1) @ value.repeat_interleave(group, dim=1)
    return counter.get_total_flops(), key.nbytes + value.nbytes


def lru_misses(lines: Iterable[int], capacity: int) -> int:
    """Misses of a fully associative LRU cache of `capacity` lines, one access at a time."""
    cache: OrderedDict[int, None] = OrderedDict()
    misses = 0
    for line in lines:
        if line in cache:
            cache.move_to_end(line)
            continue
        misses += 1
        cache[line] = None
        if len(cache) > capacity:
            cache.popitem(last=False)
    return misses


def stack_distances(lines: Iterable[int]) -> list[float]:
    """Reuse distances by a literal LRU stack; infinity for a first use."""
    stack: list[int] = []
    distances: list[float] = []
    for line in lines:
        if line in stack:
            depth = stack.index(line)
            distances.append(float(depth))
            del stack[depth]
        else:
            distances.append(float("inf"))
        stack.insert(0, line)
    return distances
