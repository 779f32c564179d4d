"""What an allocator counts, so that two of them can be compared by numbers."""

from __future__ import annotations

from dataclasses import dataclass


class OutOfMemory(RuntimeError):
    """The pool has no room for what was asked; the text says how much was missing."""


@dataclass(frozen=True)
class Counters:
    """State and history of an allocator. Sizes are in token slots (one slot holds one token).

    Attributes
    ----------
    total_slots, allocated_slots : int
        Size of the pool, and slots that belong to some sequence.
    used_slots : int
        Slots that hold a token; one that several sequences share counts once.
    internal_slots : int
        Allocated and empty: the unfilled end of blocks or of reservations.
    external_slots : int
        Free, but in holes smaller than the largest one: of no use to a sequence that needs the
        sum. Always 0 for blocks, of which any will do.
    shared_slots : int
        Slots saved now by sharing: what the sequences see minus ``used_slots``.
    copies, copied_tokens : int
        Copy-on-write copies and relocations so far, and the tokens they moved.
    prefix_queried_tokens, prefix_hit_tokens : int
        Prompt tokens looked up in the prefix cache, and found.
    evictions : int
        Cached prefix blocks given up for new data.
    preemptions, swapped_out_blocks, swapped_in_blocks : int
        Sequences pushed out, and blocks moved to the host and back.
    """

    total_slots: int
    allocated_slots: int
    used_slots: int
    internal_slots: int
    external_slots: int = 0
    shared_slots: int = 0
    copies: int = 0
    copied_tokens: int = 0
    prefix_queried_tokens: int = 0
    prefix_hit_tokens: int = 0
    evictions: int = 0
    preemptions: int = 0
    swapped_out_blocks: int = 0
    swapped_in_blocks: int = 0

    @property
    def free_slots(self) -> int:
        return self.total_slots - self.allocated_slots

    @property
    def internal_fragmentation(self) -> float:
        """Share of the allocated slots that are empty (0 when nothing is allocated)."""
        return self.internal_slots / self.allocated_slots if self.allocated_slots else 0.0

    @property
    def external_fragmentation(self) -> float:
        """Share of the free slots outside the largest hole (0 when nothing is free)."""
        return self.external_slots / self.free_slots if self.free_slots else 0.0

    @property
    def prefix_hit_ratio(self) -> float:
        """Found over looked-up prompt tokens (0 before the first look-up)."""
        asked = self.prefix_queried_tokens
        return self.prefix_hit_tokens / asked if asked else 0.0
