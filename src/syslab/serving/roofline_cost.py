"""A ``StepCost`` from the shape of a model and the data sheet of a GPU.

Every part is a roofline of its own, and the parts follow one another: a layer needs the result of
the one before. With both efficiencies at 1 and no overhead the sum is what an engine could reach
at best if it never overlapped one part with another.

Left out: activations and norms (small beside weights), launch overhead and host time (give
``overhead_s``), and what pipeline stages cost. Work of the linear layers is two FLOP per active
parameter and token; that of attention is ``roofline.kernels.attention_prefill`` and
``attention_decode`` per pair and per cached token.
"""

from __future__ import annotations

from dataclasses import dataclass

from syslab import facts
from syslab.kvcache import Split, cache_format, parameters
from syslab.kvcache.sizing import layer_bytes_per_token, layer_windows
from syslab.serving.cost import StepCost

PCIE5_BYTES_PER_S = 63e9
"""PCIe 5.0 x16, one way: 32 GT/s on 16 lanes, 128 of 130 bits (PCI-SIG, 2019)."""


@dataclass(frozen=True)
class Work:
    """FLOP and bytes of a replica per unit of each part; bytes are those of one GPU.

    ``_flop`` fields are of the whole replica, to be shared by its ``tp`` GPUs.
    """

    weight_bytes: float
    expert_bytes: float
    expert_share: float
    token_flop: float
    pair_flop: float
    cached_token_flop: float
    cached_token_bytes: float
    sample_flop: float
    token_exchange_bytes: float


def model_work(
    model: facts.Model, weight_dtype: str = "bf16", cache: str = "bf16", tp: int = 1
) -> Work:
    """Count what a step does, per unit.

    ``cached_token_bytes`` is what each GPU reads: with more GPUs than KV heads, or with MLA, the
    heads' cache is read more than once. ``token_exchange_bytes`` is what each GPU sends for the
    two all-reduces of every layer, ``2 (tp - 1) / tp`` times the activations each (ring).
    """
    counted, width = parameters(model), cache_format(weight_dtype)
    split = Split(tp)
    d, layers = model.head_dim, model.layers
    if model.attention == "mla":
        latent, rope = model.kv_lora_rank, model.rope_head_dim
        # Prompts: keys of d + rope, values of d. Decode works on the latent itself ("absorbed").
        pair = 2 * model.heads * (d + rope + d) * layers
        cached = 2 * model.heads * (latent + rope + latent) * layers
    else:
        pair = cached = 4 * model.heads * d * layers
    return Work(
        weight_bytes=(counted.dense + counted.head) * width.bits / 8 / tp,
        expert_bytes=counted.routed * width.bits / 8 / tp,
        expert_share=model.experts_per_token / model.experts if model.is_moe else 0.0,
        token_flop=2 * counted.active,
        pair_flop=pair,
        cached_token_flop=cached,
        cached_token_bytes=layers * layer_bytes_per_token(model, cache, split),
        sample_flop=2 * counted.head,
        token_exchange_bytes=2 * layers * model.hidden * 2 * 2 * (tp - 1) / tp,
    )


def roofline_cost(
    model: facts.Model,
    device: facts.Hardware,
    *,
    tp: int = 1,
    weight_dtype: str = "bf16",
    cache: str = "bf16",
    compute_dtype: str | None = None,
    compute_efficiency: float = 1.0,
    memory_efficiency: float = 1.0,
    overhead_s: float = 0.0,
    host_bandwidth: float = PCIE5_BYTES_PER_S,
) -> StepCost:
    """Return the step cost of one replica: ``model`` on ``tp`` GPUs of kind ``device``.

    Parameters
    ----------
    weight_dtype, cache : str
        Storage of weights and of the KV cache.
    compute_dtype : str, optional
        Arithmetic of the linear layers, as ``weight_dtype`` unless given. Attention always
        computes in bf16.
    compute_efficiency, memory_efficiency : float
        Reached share of peak FLOP/s and of bandwidth, above 0 and at most 1.
    overhead_s : float
        Added to every step.
    host_bandwidth : float
        B/s of each GPU to host memory, for swapping.
    """
    for name, value in (("compute_efficiency", compute_efficiency),
                        ("memory_efficiency", memory_efficiency)):  # fmt: skip
        if not 0 < value <= 1:
            raise ValueError(f"{name}={value!r}: must be above 0 and at most 1")
    work = model_work(model, weight_dtype, cache, tp)
    linear = tp * device.peak(compute_dtype or weight_dtype) * compute_efficiency
    attention = tp * device.peak("bf16") * compute_efficiency
    bandwidth = device.bandwidth * memory_efficiency
    exchange_s = 0.0
    if tp > 1:
        one_way = device.interconnect / 2
        exchange_s = work.token_exchange_bytes / one_way
    windows = [w for w in layer_windows(model) if w]
    return StepCost(
        overhead_s=overhead_s,
        weights_s=work.weight_bytes / bandwidth,
        experts_s=work.expert_bytes / bandwidth,
        expert_share=work.expert_share,
        token_s=work.token_flop / linear + exchange_s,
        pair_s=work.pair_flop / attention,
        cached_token_s=max(work.cached_token_bytes / bandwidth,
                           work.cached_token_flop / attention),
        sample_s=work.sample_flop / linear,
        swap_token_s=work.cached_token_bytes / host_bandwidth,
        window=windows[0] if windows else 0,
        window_share=len(windows) / model.layers,
    )  # fmt: skip
