"""What an engine decides before each step: who is in it."""

from __future__ import annotations

from dataclasses import dataclass

BATCHING = ("static", "continuous", "chunked")
PREEMPTION = ("recompute", "swap")


@dataclass(frozen=True)
class Policy:
    """Batching and memory rules of one engine.

    Attributes
    ----------
    batching : {"static", "continuous", "chunked"}
        ``static``: a batch starts together, is padded to its longest prompt and output, and
        nobody joins until all are done. ``continuous`` (as vLLM first did): prompts that have
        arrived are computed whole in a step of their own, while the decoding sequences wait;
        then everyone decodes. ``chunked`` (Sarathi): every step decodes everyone and fills what
        is left of ``token_budget`` with pieces of prompts.
    max_sequences : int
        Most sequences in the engine at once.
    token_budget : int
        Most tokens of a step: prompt tokens if continuous (a longer prompt goes alone), all
        tokens if chunked.
    kv_blocks, block_tokens : int or None, int
        Size of the paged cache; None: no limit.
    preemption : {"recompute", "swap"}
        When a decoding sequence finds no free block, the youngest sequence gives up its own: it
        is computed again later, or moved to the host and back.
    reserve_share : float
        Share of the blocks that a newcomer must leave free for the others to grow into.
    """

    batching: str = "continuous"
    max_sequences: int = 256
    token_budget: int = 2048
    kv_blocks: int | None = None
    block_tokens: int = 16
    preemption: str = "recompute"
    reserve_share: float = 0.01

    def __post_init__(self):
        for name, legal in (("batching", BATCHING), ("preemption", PREEMPTION)):
            if getattr(self, name) not in legal:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be one of {legal}")
        for name in ("max_sequences", "token_budget", "block_tokens", "kv_blocks"):
            value = getattr(self, name)
            if name == "kv_blocks" and value is None:
                continue
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise ValueError(f"{name}={value!r}: must be a whole number, 1 or more")
        if self.batching == "chunked" and self.token_budget < self.max_sequences:
            raise ValueError(
                f"token_budget={self.token_budget!r}: must be at least max_sequences="
                f"{self.max_sequences} so that every sequence decodes in every step"
            )
        if not 0 <= self.reserve_share < 1:
            raise ValueError(f"reserve_share={self.reserve_share!r}: must be 0 or more, below 1")

    def blocks_of(self, tokens: int) -> int:
        """Return the blocks that ``tokens`` take."""
        return -(-tokens // self.block_tokens)

    @property
    def reserve_blocks(self) -> int:
        """Blocks that a newcomer leaves free, unless the engine is empty."""
        return 0 if self.kv_blocks is None else int(self.reserve_share * self.kv_blocks)
