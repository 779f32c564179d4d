"""Weights, KV cache and activations against the memory of a GPU.

A GPU's memory is printed in GB (1e9 B), allocated in GiB (2^30 B) and never free in full. The
plan here starts from what a program sees, keeps back a share for the driver, the graphs and
fragmentation of other buffers, and gives the KV cache what the weights and activations leave.
"""

from __future__ import annotations

from dataclasses import dataclass

from syslab import facts
from syslab.kvcache.formats import CacheFormat, cache_format
from syslab.kvcache.sizing import ONE_GPU, Split, kv_bytes_per_gpu
from syslab.kvcache.weights import parameters

GB = 1_000_000_000
GIB = 2**30


@dataclass(frozen=True)
class MemoryPlan:
    """Where the memory of one GPU of a replica goes, B.

    ``pool_bytes`` is what is left for the KV cache; negative when the model does not fit at all.
    ``text()`` prints the budget as a table.
    """

    model: facts.Model
    split: Split
    cache: CacheFormat
    capacity_bytes: int
    reserved_bytes: int
    weight_bytes: int
    activation_bytes: int

    @property
    def pool_bytes(self) -> int:
        spent = self.reserved_bytes + self.weight_bytes + self.activation_bytes
        return self.capacity_bytes - spent

    @property
    def fits(self) -> bool:
        """Whether the weights fit and leave room for one token."""
        return self.pool_bytes >= self.sequence_bytes(1)

    @property
    def pool_tokens(self) -> int:
        """Tokens that the pool holds if each pays in every layer (no window is made use of)."""
        return max(0, self.pool_bytes // self.sequence_bytes(1))

    def sequence_bytes(self, tokens: int) -> int:
        """Return the cache of one sequence on the fullest GPU, B."""
        return kv_bytes_per_gpu(self.model, tokens, self.cache, self.split)

    def largest_batch(self, context_tokens: int) -> int:
        """Return how many sequences of ``context_tokens`` fit beside the weights."""
        _count("context_tokens", context_tokens)
        return max(0, self.pool_bytes // self.sequence_bytes(context_tokens))

    def largest_context(self, batch: int) -> int:
        """Return the longest context that ``batch`` sequences can all have; 0 if none.

        Not more than the model's own limit, ``max_context``.
        """
        _count("batch", batch)
        low, high = 0, self.model.max_context
        while low < high:  # sequence_bytes grows with tokens, so bisect
            middle = (low + high + 1) // 2
            fits = batch * self.sequence_bytes(middle) <= self.pool_bytes
            low, high = (middle, high) if fits else (low, middle - 1)
        return low

    def blocks(self, block_tokens: int = 16) -> int:
        """Return how many blocks of ``block_tokens`` a paged allocator gets."""
        _count("block_tokens", block_tokens)
        return self.pool_tokens // block_tokens

    def text(self) -> str:
        """Return the budget of one GPU as lines of GB and GiB."""
        rows = [
            ("memory of the GPU", self.capacity_bytes),
            ("kept back", self.reserved_bytes),
            ("weights", self.weight_bytes),
            ("activations", self.activation_bytes),
            ("left for the KV cache", self.pool_bytes),
        ]
        lines = [f"{name:<22}{size / GB:>9.2f} GB {size / GIB:>9.2f} GiB" for name, size in rows]
        return "\n".join(lines)


def plan_memory(
    model: facts.Model,
    device: facts.Hardware | None = None,
    *,
    capacity_bytes: int | None = None,
    weight_dtype: str = "bf16",
    cache: str | CacheFormat = "bf16",
    split: Split = ONE_GPU,
    step_tokens: int = 2048,
    step_sequences: int = 256,
    reserve_share: float = 0.1,
) -> MemoryPlan:
    """Budget the memory of one GPU of a replica.

    Parameters
    ----------
    model, device
        From ``syslab.facts``.
    capacity_bytes : int, optional
        Instead of a device. A device counts with ``capacity_visible``, what a program sees, where
        the registry has it: 85.5e9 B for an "80GB" H100.
    weight_dtype, cache : str or CacheFormat
        Storage of weights and of the cache.
    split : Split
        Tensor and pipeline parallelism.
    step_tokens, step_sequences : int
        The largest step: tokens processed, and sequences that sample a token in it.
    reserve_share : float
        Share of the memory that nobody may plan with, 0 to below 1. 0.1 leaves 90 %, as serving
        engines do by default.
    """
    if (device is None) == (capacity_bytes is None):
        raise ValueError("give either device or capacity_bytes, and not both")
    if device is not None:
        known = dict(device.facts())
        capacity_bytes = known.get("capacity_visible", known["capacity"]).value
    if not 0 <= reserve_share < 1:
        raise ValueError(f"reserve_share={reserve_share!r}: must be 0 or more and below 1")
    return MemoryPlan(
        model,
        split,
        cache_format(cache),
        int(capacity_bytes),
        round(capacity_bytes * reserve_share),
        weight_bytes_per_gpu(model, weight_dtype, split),
        activation_bytes(model, step_tokens, step_sequences, split),
    )


def weight_bytes_per_gpu(
    model: facts.Model, dtype: str | CacheFormat = "bf16", split: Split = ONE_GPU
) -> int:
    """Return the weights of the GPU that holds most of them, B.

    Matrices are cut in ``tp`` equal parts, layers dealt to ``pp`` stages; the token table lies on
    the first stage and the output head on the last. Key and value projections are repeated where
    ``tp`` exceeds the KV heads. On one GPU this is exactly ``model.params`` times the width.
    """
    stored, counted = cache_format(dtype), parameters(model)
    biases = model.params - counted.total  # what the count leaves out, spread over the layers
    stages, repeated = split.stages(model.layers), 1
    if model.attention != "mla":
        repeated = split.heads_per_gpu(model.kv_heads) * split.tp / model.kv_heads
    extra_kv = counted.kv_projection_per_layer * (repeated - 1)
    parts = []
    for number, stage in enumerate(stages):
        dense = sum(1 for layer in stage if layer < counted.mlp_dense_layers)
        moe = len(stage) - dense
        held = len(stage) * (counted.attention_per_layer + extra_kv)
        held += dense * counted.mlp_per_dense_layer
        held += moe * (counted.shared_per_layer + counted.routed_per_layer)
        held += len(stage) * (counted.norms + biases) / model.layers
        first, last = number == 0, number == len(stages) - 1
        held += counted.embedding * first
        held += counted.head * (last and not (counted.tied and first))  # tied: one matrix
        parts.append(held / split.tp)
    return stored.vector_bytes(round(max(parts)))


def activation_bytes(
    model: facts.Model, tokens: int, sequences: int, split: Split = ONE_GPU, value_bytes: int = 2
) -> int:
    """Estimate the activations alive at once while ``tokens`` go through a layer, B.

    Two copies of the residual stream (whole on every GPU), the widest intermediate (the MLP's
    inputs to its last matrix, or queries, keys and values; cut by ``tp``), and the logits of the
    ``sequences`` that sample a token, in fp32. An estimate: engines reuse and pad buffers.
    """
    for name, value in (("tokens", tokens), ("sequences", sequences)):
        _count(name, value)
    inner = model.ffn
    if model.is_moe:
        inner = model.expert_ffn * (model.experts_per_token + (model.shared_experts or 0))
    qkv = (model.heads + 2 * model.kv_heads) * model.head_dim
    widest = max((3 if model.gated_mlp else 2) * inner, qkv)
    stream = tokens * value_bytes * (2 * model.hidden + widest / split.tp)
    return round(stream + sequences * model.vocab * 4 / split.tp)


def _count(name: str, value: int) -> None:
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"{name}={value!r}: must be a whole number, 1 or more")
