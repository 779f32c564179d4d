"""Bytes of the KV cache, for every kind of attention in the registry.

What one layer keeps of one token:

========================  =====================================================================
MHA, GQA, MQA             a key and a value vector of ``head_dim`` for each **KV** head
MLA                       one latent of ``kv_lora_rank`` and one rotary key of ``rope_head_dim``,
                          whatever the number of heads (DeepSeek-V2, section 2.1)
sliding window            the same vectors, for the last ``sliding_window`` tokens only
alternating               windowed and full layers take turns (Gemma-2)
========================  =====================================================================

Tensor parallelism gives each GPU ``kv_heads / tp`` of the heads. It cannot cut a head: with more
GPUs than KV heads each head is stored several times. An MLA latent belongs to all heads at once,
so every GPU stores it whole. Pipeline parallelism gives each GPU some of the layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from syslab.facts import Model
from syslab.kvcache.formats import CacheFormat, cache_format


@dataclass(frozen=True)
class Split:
    """How a replica of the model is cut over GPUs: ``tp`` within each layer, ``pp`` by layers."""

    tp: int = 1
    pp: int = 1

    def __post_init__(self):
        for name in ("tp", "pp"):
            value = getattr(self, name)
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise ValueError(f"{name}={value!r}: must be a whole number of GPUs, 1 or more")

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return self.tp * self.pp

    def stages(self, layers: int) -> tuple[range, ...]:
        """Return the layers of each pipeline stage, the first stages taking one more if needed."""
        if self.pp > layers:
            raise ValueError(f"pp={self.pp!r}: a model of {layers} layers has at most {layers}")
        share, more = divmod(layers, self.pp)
        starts = [stage * share + min(stage, more) for stage in range(self.pp + 1)]
        return tuple(range(a, b) for a, b in pairwise(starts))

    def heads_per_gpu(self, kv_heads: int) -> int:
        """Return the KV heads that one GPU stores.

        ``kv_heads`` and ``tp`` must divide one another: 8 heads over 4 GPUs are 2 each, over 16
        GPUs 1 each, stored twice in all.
        """
        if max(kv_heads, self.tp) % min(kv_heads, self.tp):
            raise ValueError(
                f"tp={self.tp!r}: {kv_heads} KV heads can be cut into equal parts, or repeated "
                f"equally, only if one number divides the other; choose a divisor or a multiple "
                f"of {kv_heads}"
            )
        return max(1, kv_heads // self.tp)


ONE_GPU = Split()


def layer_windows(model: Model) -> tuple[int | None, ...]:
    """Return for each layer how many tokens back it looks; None for all of them.

    Windowed layers come first in each turn: of Gemma-2's 42, layers 0, 2, 4, ... have a window.
    """
    total, windowed = model.layers, model.window_layers or 0
    if not model.sliding_window or not windowed:
        return (None,) * total
    counts = [-(-i * windowed // total) for i in range(total + 1)]
    return tuple(model.sliding_window if counts[i + 1] > counts[i] else None for i in range(total))


def layer_bytes_per_token(
    model: Model, dtype: str | CacheFormat = "bf16", split: Split = ONE_GPU
) -> int:
    """Return what one layer of one GPU stores of one token, B."""
    stored = cache_format(dtype)
    if model.attention == "mla":
        return stored.vector_bytes(model.kv_lora_rank) + stored.vector_bytes(model.rope_head_dim)
    return 2 * split.heads_per_gpu(model.kv_heads) * stored.vector_bytes(model.head_dim)


def kv_bytes_per_token(model: Model, dtype: str | CacheFormat = "bf16") -> int:
    """Return what one more token adds to the cache of the whole model, B.

    Examples
    --------
    >>> from syslab import facts
    >>> kv_bytes_per_token(facts.model("Llama-3 70B"))
    327680
    """
    return model.layers * layer_bytes_per_token(model, dtype)


def kv_bytes(model: Model, tokens: int, dtype: str | CacheFormat = "bf16") -> int:
    """Return the cache of one sequence of ``tokens``, B, all GPUs as if they were one.

    A windowed layer keeps the last ``sliding_window`` tokens, so beyond it only full layers grow.
    """
    return _sequence_bytes(model, tokens, dtype, ONE_GPU, range(model.layers))


def kv_bytes_per_gpu(
    model: Model, tokens: int, dtype: str | CacheFormat = "bf16", split: Split = ONE_GPU
) -> int:
    """Return the cache of one sequence on the GPU that stores most of it, B."""
    stages = split.stages(model.layers)
    return max(_sequence_bytes(model, tokens, dtype, split, stage) for stage in stages)


def copies_of_a_head(model: Model, split: Split) -> int:
    """Return how often the replica stores each KV vector: 1, or more when ``tp`` exceeds heads."""
    if model.attention == "mla":
        return split.tp
    return split.heads_per_gpu(model.kv_heads) * split.tp // model.kv_heads


def _sequence_bytes(model, tokens, dtype, split, layers) -> int:
    if isinstance(tokens, bool) or int(tokens) != tokens or tokens < 0:
        raise ValueError(f"tokens={tokens!r}: must be a whole number, 0 or more")
    windows = layer_windows(model)
    kept = sum(min(tokens, windows[i]) if windows[i] else tokens for i in layers)
    return int(kept) * layer_bytes_per_token(model, dtype, split)
