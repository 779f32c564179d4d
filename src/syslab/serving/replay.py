"""The same requests through two allocators, step by step, with every slot on show.

Time counts decoding steps: in each step newcomers bring their whole prompt, and every sequence
inside gets one token. Both allocators have the same memory. The contiguous one reserves the
longest length for everybody; the paged one takes a block when one is needed and pushes out the
youngest sequence, to be computed again, when there is none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from syslab.kvcache import ContiguousCache, Counters, OutOfMemory, PagedCache
from syslab.serving.trace import Trace

FREE, RESERVED, EVEN, ODD = range(4)
"""What a slot is: free, reserved and empty, or holding a token of an even or odd request."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One allocator after one step.

    Attributes
    ----------
    slots : ndarray of int8, shape (slots,)
        ``FREE``, ``RESERVED``, ``EVEN`` or ``ODD`` per slot.
    counters : Counters
    running, waiting, finished : int
        Requests inside, in the queue, and done.
    """

    slots: np.ndarray
    counters: Counters
    running: int
    waiting: int
    finished: int

    @property
    def used_share(self) -> float:
        """Share of all slots that hold a token."""
        return self.counters.used_slots / self.counters.total_slots


def replay(
    trace: Trace, slots: int, *, block_tokens: int = 16, steps: int = 200
) -> dict[str, list[Frame]]:
    """Run ``trace`` through both allocators and keep a frame of every step.

    Parameters
    ----------
    trace : Trace
        Its seconds count as steps.
    slots : int
        Memory of each allocator in tokens, a multiple of ``block_tokens``.
    block_tokens, steps : int

    Returns
    -------
    dict
        ``"paged"`` and ``"contiguous"``, a list of ``steps`` frames each.
    """
    longest = int((trace.prompt_tokens + trace.output_tokens).max())
    if slots < longest or slots % block_tokens:
        raise ValueError(
            f"slots={slots!r}: must be a multiple of block_tokens={block_tokens} and at least "
            f"{longest}, the longest request"
        )
    makers = {
        "paged": lambda: _Paged(slots, block_tokens),
        "contiguous": lambda: _Contiguous(slots, longest),
    }
    return {name: _run(trace, make(), steps) for name, make in makers.items()}


def _run(trace: Trace, side, steps: int) -> list[Frame]:
    waiting, running, arrived, finished = deque(), {}, 0, 0
    frames = []
    for step in range(steps):
        while arrived < len(trace) and trace.arrival_s[arrived] <= step:
            waiting.append((arrived, int(trace.prompt_tokens[arrived])))
            arrived += 1
        for request in list(running):
            if request not in running:
                continue  # pushed out by an older one in this step
            for victim, length in side.append(request):
                del running[victim]
                waiting.appendleft((victim, length))
            if request in running:
                running[request] += 1
        while waiting and side.admit(*waiting[0]):
            request, length = waiting.popleft()
            running[request] = length
        ends = trace.prompt_tokens + trace.output_tokens
        for request in [r for r, length in running.items() if length >= ends[r]]:
            del running[request]
            side.cache.free(request)
            finished += 1
        frames.append(
            Frame(side.picture(), side.cache.counters, len(running), len(waiting), finished)
        )
    return frames


class _Paged:
    def __init__(self, slots: int, block_tokens: int):
        self.slots = slots
        self.cache = PagedCache(slots // block_tokens, block_tokens)

    def admit(self, request: int, length: int) -> bool:
        if self.cache.names() and self.cache.pool.free <= -(-length // self.cache.block_tokens):
            return False  # one block stays free for the others to grow into
        try:
            self.cache.add(request, length)
        except OutOfMemory:
            return False
        return True

    def append(self, request: int) -> list[tuple[int, int]]:
        """Add a token; return the requests pushed out for it, with their lengths."""
        out = []
        while True:
            try:
                self.cache.append(request)
                return out
            except OutOfMemory:
                victim = self.cache.youngest()
                out.append((victim, self.cache.preempt(victim)))
                if victim == request:
                    return out

    def picture(self) -> np.ndarray:
        size, slots = self.cache.block_tokens, np.full(self.slots, FREE, np.int8)
        for name in self.cache.names():
            left = self.cache.length(name)
            for block in self.cache.table(name):
                here = min(left, size)
                slots[block * size : (block + 1) * size] = RESERVED
                slots[block * size : block * size + here] = EVEN + name % 2
                left -= here
        return slots


class _Contiguous:
    def __init__(self, slots: int, longest: int):
        self.slots, self.longest = slots, longest
        self.cache = ContiguousCache(slots)
        self._lengths: dict[int, int] = {}

    def admit(self, request: int, length: int) -> bool:
        try:
            self.cache.add(request, length, reserve=self.longest)
        except OutOfMemory:
            return False
        self._lengths[request] = length
        return True

    def append(self, request: int) -> list[tuple[int, int]]:
        self.cache.append(request)  # never beyond the reservation
        self._lengths[request] += 1
        return []

    def picture(self) -> np.ndarray:
        slots = np.full(self.slots, FREE, np.int8)
        for name, length in self._lengths.items():
            try:
                start, reserved = self.cache.place(name)
            except ValueError:
                continue  # finished
            slots[start : start + reserved] = RESERVED
            slots[start : start + length] = EVEN + name % 2
        return slots
