"""A paged KV cache: block tables, copy-on-write, prefix sharing, preemption.

After Kwon et al., "Efficient memory management for large language model serving with
PagedAttention", SOSP 2023. It manages places, not numbers: which block a token lies in.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from syslab.kvcache.blocks import BlockPool
from syslab.kvcache.counters import Counters, OutOfMemory
from syslab.kvcache.prefix import next_key


@dataclass
class _Sequence:
    table: list[int] = field(default_factory=list)
    length: int = 0
    tokens: list[int] | None = None  # None: only counted, so nothing to hash
    keys: list[Hashable] = field(default_factory=list)


class PagedCache:
    """A pool of ``blocks`` blocks of ``block_tokens`` slots, and the tables of the sequences in it.

    Parameters
    ----------
    blocks, block_tokens : int
    prefix_cache : bool
        Keep full blocks of freed sequences findable, and start new ones from them.

    Examples
    --------
    >>> cache = PagedCache(blocks=8, block_tokens=4)
    >>> cache.add("a", 6)
    0
    >>> cache.fork("a", "b")      # shares both blocks
    >>> cache.append("b")         # writes into the shared second block: copies it
    >>> cache.table("a"), cache.table("b"), cache.counters.copies
    ((0, 1), (0, 2), 1)
    """

    def __init__(self, blocks: int, block_tokens: int = 16, prefix_cache: bool = False):
        if isinstance(block_tokens, bool) or int(block_tokens) != block_tokens or block_tokens < 1:
            raise ValueError(f"block_tokens={block_tokens!r}: must be a whole number, 1 or more")
        self.block_tokens = int(block_tokens)
        self.prefix_cache = prefix_cache
        self.pool = BlockPool(blocks)
        self._sequences: dict[Hashable, _Sequence] = {}  # in order of admission
        self._swapped: dict[Hashable, _Sequence] = {}
        self._copies = self._copied_tokens = self._queried = self._hits = 0
        self._preemptions = self._out = self._in = 0

    def add(self, name: Hashable, prompt: int | Sequence[int]) -> int:
        """Admit a sequence with its prompt and return how many of its tokens were cached already.

        Parameters
        ----------
        name : hashable
            Any name that is not in use.
        prompt : int or sequence of int
            A number of tokens, or the tokens themselves: only those can hit the prefix cache.

        Notes
        -----
        At least one token of a prompt is always computed, since its output is wanted: a prompt
        found entirely still computes its last block. All or nothing: if the blocks do not
        suffice, ``OutOfMemory`` is raised and nothing has changed.
        """
        if name in self._sequences or name in self._swapped:
            raise ValueError(f"name={name!r}: in use; free it first or choose another")
        tokens = None if isinstance(prompt, int) else list(prompt)
        length = prompt if tokens is None else len(tokens)
        if isinstance(prompt, bool) or length < 1:
            raise ValueError(f"prompt={prompt!r}: must have 1 token or more")
        found, keys = self._find_prefix(tokens)
        revived = sum(1 for block in found if self.pool.references(block) == 0)
        missing = -(-length // self.block_tokens) - len(found)
        if missing > self.pool.free - revived:
            raise OutOfMemory(
                f"{name!r} needs {missing} blocks, and {self.pool.free - revived} are free; free "
                "or preempt a sequence first"
            )
        for block in found:
            self.pool.share(block)
        table = found + [self.pool.take() for _ in range(missing)]
        sequence = _Sequence(table, length, tokens, keys)
        self._sequences[name] = sequence
        hit = len(found) * self.block_tokens
        if self.prefix_cache and tokens is not None:
            self._queried += length
            self._hits += hit
            self._name_full_blocks(sequence)
        return hit

    def append(self, name: Hashable, token: int | None = None) -> None:
        """Add one token to a sequence: a new block if the last is full, a copy if it is shared.

        ``OutOfMemory`` leaves everything as it was.
        """
        sequence = self._running(name)
        if (token is None) != (sequence.tokens is None):
            raise ValueError(
                f"token={token!r}: {name!r} was added "
                + ("with its tokens; give the next one" if token is None else "as a count")
            )
        place, filled = divmod(sequence.length, self.block_tokens)
        if filled == 0:
            sequence.table.append(self.pool.take())
        elif self.pool.references(sequence.table[place]) > 1:
            mine = self.pool.take()
            self.pool.give_back(sequence.table[place])
            sequence.table[place] = mine
            self._copies += 1
            self._copied_tokens += filled
        sequence.length += 1
        if token is not None:
            sequence.tokens.append(token)
            if self.prefix_cache:
                self._name_full_blocks(sequence)

    def fork(self, name: Hashable, child: Hashable) -> None:
        """Start ``child`` with everything ``name`` has, sharing all its blocks (beams, samples)."""
        parent = self._running(name)
        if child in self._sequences or child in self._swapped:
            raise ValueError(f"child={child!r}: in use; free it first or choose another")
        for block in parent.table:
            self.pool.share(block)
        tokens = None if parent.tokens is None else list(parent.tokens)
        self._sequences[child] = _Sequence(
            list(parent.table), parent.length, tokens, list(parent.keys)
        )

    def free(self, name: Hashable) -> None:
        """Finish a sequence, running or swapped out, and give back its blocks."""
        if self._swapped.pop(name, None) is None:
            self._give_back(self._running(name))
            del self._sequences[name]

    def youngest(self) -> Hashable:
        """Return the sequence admitted last: the one to preempt, as it loses the least."""
        if not self._sequences:
            raise ValueError("no sequence is in the cache; nothing can be preempted")
        return next(reversed(self._sequences))

    def preempt(self, name: Hashable) -> int:
        """Drop a sequence to be recomputed later; return the tokens that will have to be."""
        length = self._running(name).length
        self.free(name)
        self._preemptions += 1
        return length

    def swap_out(self, name: Hashable) -> int:
        """Move a sequence to host memory; return the blocks moved. Shared ones stay for others."""
        sequence = self._running(name)
        moved = len(sequence.table)
        self._give_back(sequence)
        sequence.table = []
        self._swapped[name] = self._sequences.pop(name)
        self._preemptions += 1
        self._out += moved
        return moved

    def swap_in(self, name: Hashable) -> int:
        """Bring a swapped sequence back into blocks of its own; return the blocks moved."""
        if name not in self._swapped:
            raise ValueError(f"name={name!r}: not swapped out; swapped: {list(self._swapped)}")
        needed = -(-self._swapped[name].length // self.block_tokens)
        if needed > self.pool.free:
            raise OutOfMemory(f"{name!r} needs {needed} blocks, and {self.pool.free} are free")
        sequence = self._sequences[name] = self._swapped.pop(name)
        sequence.table = [self.pool.take() for _ in range(needed)]
        self._in += needed
        return needed

    def table(self, name: Hashable) -> tuple[int, ...]:
        """Return the physical blocks of a sequence, in the order of its tokens."""
        return tuple(self._running(name).table)

    def length(self, name: Hashable) -> int:
        """Return the tokens of a sequence."""
        return self._running(name).length

    def names(self) -> tuple[Hashable, ...]:
        """Return the sequences in the cache, the first admitted first."""
        return tuple(self._sequences)

    @property
    def counters(self) -> Counters:
        """Counts of this moment and since the start, as ``Counters``."""
        filled: dict[int, int] = {}
        seen = 0
        for sequence in self._sequences.values():
            seen += sequence.length
            for place, block in enumerate(sequence.table):
                here = min(self.block_tokens, sequence.length - place * self.block_tokens)
                filled[block] = max(filled.get(block, 0), here)
        allocated, used = len(filled) * self.block_tokens, sum(filled.values())
        return Counters(
            total_slots=self.pool.blocks * self.block_tokens,
            allocated_slots=allocated,
            used_slots=used,
            internal_slots=allocated - used,
            shared_slots=seen - used,
            copies=self._copies,
            copied_tokens=self._copied_tokens,
            prefix_queried_tokens=self._queried,
            prefix_hit_tokens=self._hits,
            evictions=self.pool.evictions,
            preemptions=self._preemptions,
            swapped_out_blocks=self._out,
            swapped_in_blocks=self._in,
        )

    def _running(self, name: Hashable) -> _Sequence:
        try:
            return self._sequences[name]
        except KeyError:
            where = "is swapped out" if name in self._swapped else "is not in the cache"
            raise ValueError(f"name={name!r}: {where}; in it: {list(self._sequences)}") from None

    def _give_back(self, sequence: _Sequence) -> None:
        for block in reversed(sequence.table):  # leaves before the trunk, so the trunk lives longer
            self.pool.give_back(block)

    def _find_prefix(self, tokens: list[int] | None) -> tuple[list[int], list[Hashable]]:
        """Return the cached blocks that a prompt starts with, and their names."""
        found: list[int] = []
        keys: list[Hashable] = []
        if not self.prefix_cache or tokens is None:
            return found, keys
        for start in range(0, len(tokens) - self.block_tokens, self.block_tokens):
            key = next_key(keys[-1] if keys else None, tokens[start : start + self.block_tokens])
            block = self.pool.lookup(key)
            if block is None:
                break
            found.append(block)
            keys.append(key)
        return found, keys

    def _name_full_blocks(self, sequence: _Sequence) -> None:
        size = self.block_tokens
        while (len(sequence.keys) + 1) * size <= sequence.length:
            place = len(sequence.keys)
            tokens = sequence.tokens[place * size : (place + 1) * size]
            sequence.keys.append(next_key(sequence.keys[-1] if place else None, tokens))
            self.pool.register(sequence.table[place], sequence.keys[place])
