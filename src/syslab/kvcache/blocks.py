"""Physical blocks: who is free, who is shared, and which freed ones still hold a known prefix."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from syslab.kvcache.counters import OutOfMemory


class BlockPool:
    """``blocks`` interchangeable blocks with reference counts.

    A block that is given back keeps its content. If that content was registered under a key, a
    later ``lookup`` of the key revives it; otherwise it is the first to be handed out again.
    Registered blocks are given up oldest first (least recently freed).
    """

    def __init__(self, blocks: int):
        if isinstance(blocks, bool) or int(blocks) != blocks or blocks < 1:
            raise ValueError(f"blocks={blocks!r}: must be a whole number, 1 or more")
        self.blocks = int(blocks)
        self.evictions = 0
        self._references = [0] * self.blocks
        self._empty = list(range(self.blocks - 1, -1, -1))  # a stack: block 0 first
        self._cached: OrderedDict[int, Hashable] = OrderedDict()  # free, content known, LRU order
        self._block_of: dict[Hashable, int] = {}
        self._key_of: dict[int, Hashable] = {}

    @property
    def free(self) -> int:
        """Blocks that nobody refers to, with or without known content."""
        return len(self._empty) + len(self._cached)

    @property
    def cached(self) -> int:
        """Free blocks whose content can still be found by key."""
        return len(self._cached)

    def references(self, block: int) -> int:
        """Return how many sequences refer to ``block``."""
        return self._references[block]

    def take(self) -> int:
        """Hand out a free block with one reference; its old content is forgotten."""
        if self._empty:
            block = self._empty.pop()
        elif self._cached:
            block, key = self._cached.popitem(last=False)
            del self._block_of[key], self._key_of[block]
            self.evictions += 1
        else:
            raise OutOfMemory(
                f"all {self.blocks} blocks are in use; free or preempt a sequence first"
            )
        self._references[block] = 1
        return block

    def share(self, block: int) -> None:
        """Add a reference to ``block``, reviving it if it was free."""
        if self._references[block] == 0:
            if block not in self._cached:
                raise ValueError(f"block={block!r}: it is free and its content is not known")
            del self._cached[block]
        self._references[block] += 1

    def give_back(self, block: int) -> None:
        """Drop a reference; without any left the block is free."""
        if self._references[block] < 1:
            raise ValueError(f"block={block!r}: it is free already; each table frees it once")
        self._references[block] -= 1
        if self._references[block] == 0:
            if block in self._key_of:
                self._cached[block] = self._key_of[block]
            else:
                self._empty.append(block)

    def register(self, block: int, key: Hashable) -> None:
        """Make the content of ``block`` findable. The first block with a key keeps it."""
        if key not in self._block_of and block not in self._key_of:
            self._block_of[key] = block
            self._key_of[block] = key

    def lookup(self, key: Hashable) -> int | None:
        """Return the block that holds the content of ``key``, or None."""
        return self._block_of.get(key)
