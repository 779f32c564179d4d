"""Prefix caching: naming the content of a block, and what a request log would have hit.

The keys and values of a token depend on every token before it. So a block of a prompt may be
reused only if the whole prompt up to its end is the same, and its name is a hash of the previous
block's name and its own tokens (Kwon et al., SOSP 2023, section 4.4; vLLM's automatic prefix
caching; Mooncake names blocks of 512 tokens so).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass


def block_keys(tokens: Sequence[int], block_tokens: int = 16) -> tuple[Hashable, ...]:
    """Return the chained names of the full blocks of a prompt, first to last.

    Two prompts share a name exactly as far as they agree. An unfilled last block has no name.

    Examples
    --------
    >>> a, b = block_keys([1, 2, 3, 4, 5], 2), block_keys([1, 2, 9, 4], 2)
    >>> len(a), a[0] == b[0], a[1] == b[1]
    (2, True, False)
    """
    if block_tokens < 1:
        raise ValueError(f"block_tokens={block_tokens!r}: must be 1 or more")
    keys: list[Hashable] = []
    parent: Hashable = None
    for start in range(0, len(tokens) - block_tokens + 1, block_tokens):
        parent = next_key(parent, tokens[start : start + block_tokens])
        keys.append(parent)
    return tuple(keys)


def next_key(parent: Hashable, tokens: Sequence[int]) -> Hashable:
    """Return the name of the block that holds ``tokens`` after the block named ``parent``.

    A strong hash: a collision would hand one user the cache of another.
    """
    import hashlib

    text = f"{parent}|{','.join(map(str, tokens))}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class PrefixHits:
    """What a request log found in a prefix cache: ``hits`` of ``blocks``, per request too."""

    blocks: int
    hits: int
    hits_by_request: tuple[int, ...]

    @property
    def ratio(self) -> float:
        return self.hits / self.blocks if self.blocks else 0.0


def prefix_hits(
    requests: Iterable[Sequence[Hashable]], capacity_blocks: int | None = None
) -> PrefixHits:
    """Replay the block names of a request log through one prefix cache, least recently used out.

    Parameters
    ----------
    requests : iterable of sequences
        Chained block names of each prompt, in order of arrival (Mooncake's ``hash_ids``).
    capacity_blocks : int, optional
        Size of the cache; without it nothing is ever given up.

    Notes
    -----
    A request hits up to its first missing block. All its blocks are then the most recent, the
    first of them last of all: leaves are given up before the trunk they hang on.
    """
    if capacity_blocks is not None and capacity_blocks < 1:
        raise ValueError(f"capacity_blocks={capacity_blocks!r}: must be 1 or more, or None")
    cache: OrderedDict[Hashable, None] = OrderedDict()
    found = []
    blocks = 0
    for names in requests:
        hits = 0
        while hits < len(names) and names[hits] in cache:
            hits += 1
        found.append(hits)
        blocks += len(names)
        for name in reversed(names):
            cache[name] = None
            cache.move_to_end(name)
        while capacity_blocks is not None and len(cache) > capacity_blocks:
            cache.popitem(last=False)
    return PrefixHits(blocks, sum(found), tuple(found))
