"""Data-sheet bounds held against measured serving points.

Three bounds per token, each stronger than the one before and needing more to be true:

``alone``
    A step reads the weights that one token needs and that token's own cache, once, with every
    GPU of the replica at full bandwidth. It does not even ask how many clients there were.
``decoding``
    A step also reads the caches of the others that decode at the same time. How many these are
    follows from the measurement by Little's law: of its time from request to answer, a request
    decodes for ``(output_tokens - 1) * tpot``, so that share of the clients decodes.
``crowd``
    As if all clients decoded all the time. Not a bound where requests wait in a queue, for
    example because their caches do not fit in memory together.

And one per prompt: two FLOP per active parameter and token, plus attention, on every GPU at full
rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from syslab.serving.points import LEFT_OUT, point_device, point_model
from syslab.serving.roofline_cost import model_work

# The fastest arithmetic that the storage allows: weights of 4 bits may be multiplied as fp4 where
# the GPU can, else as fp8.
_COMPUTE = {"bf16": ("bf16",), "fp8": ("fp8",), "fp4": ("fp4", "fp8"), "int4": ("fp8",)}


@dataclass(frozen=True)
class Bounds:
    """Least seconds of a prompt, and of an output token in the three ways; see the module."""

    ttft_s: float
    alone_s: float
    decoding_s: float
    crowd_s: float
    peak_share: float


def cache_dtype(precision: str) -> str:
    """Return the narrowest cache an engine of that precision would have: fp8 unless bf16."""
    return "bf16" if precision == "bf16" else "fp8"


def compute_dtype(precision: str, device) -> str:
    """Return the fastest data type the weights can be multiplied in on this GPU."""
    return next(dtype for dtype in _COMPUTE[precision] if device.has_peak(dtype))


def bounds(point) -> Bounds:
    """Return the bounds of one measured point (a row of ``measured_points``).

    ``peak_share`` is the arithmetic that the run's prompts and outputs needed per second, over
    the peak of the GPUs the row names: above 1 the row cannot be right.
    """
    model, device = point_model(point.model), point_device(point.system)
    work = model_work(model, point.precision, cache_dtype(point.precision))
    n, outputs = point.prompt_tokens, point.output_tokens
    active = work.weight_bytes + work.expert_bytes * work.expert_share
    cache = _seen(model, n + (outputs + 1) / 2) * work.cached_token_bytes  # mean over the output
    bandwidth = point.decode_gpus * device.bandwidth
    clients = point.concurrency if point.concurrency > 0 else 1.0  # nan: unknown
    if point.mode == "disagg":
        clients = clients / point.decode_engines if point.decode_engines > 0 else 1.0
    decode_s = (outputs - 1) * point.tpot_s
    decoding = max(1.0, clients * decode_s / (decode_s + point.ttft_s))

    pairs = n * (n + 1) / 2
    if model.sliding_window and n > model.sliding_window:
        over = n - model.sliding_window
        pairs -= model.window_layers / model.layers * over * (over + 1) / 2
    flop = n * work.token_flop + pairs * work.pair_flop + work.sample_flop
    peak = device.peak(compute_dtype(point.precision, device))
    request_flop = flop + (outputs - 1) * (work.token_flop + work.sample_flop)
    rate = (clients if point.mode == "agg" else 0.0) / (decode_s + point.ttft_s)
    return Bounds(
        ttft_s=flop / (point.prefill_gpus * peak),
        alone_s=(active + cache) / bandwidth,
        decoding_s=(active + decoding * cache) / bandwidth,
        crowd_s=(active + clients * cache) / bandwidth,
        peak_share=rate * request_flop / (point.decode_gpus * peak),
    )


def check_bounds(points):
    """Return the points whose model is described here, with bound over measurement as columns.

    ``ttft_share``, ``alone_share``, ``decoding_share``, ``crowd_share`` and ``peak_share``. A
    share above 1 beats the bound, so either the bound's assumption or the row is wrong.
    """
    described = points[~points["model"].isin(list(LEFT_OUT))].reset_index(drop=True)
    found = [bounds(point) for point in described.itertuples()]

    def share(field: str, measured: str) -> np.ndarray:
        return np.array([getattr(bound, field) for bound in found]) / described[measured].to_numpy()

    return described.assign(
        ttft_share=share("ttft_s", "ttft_s"),
        alone_share=share("alone_s", "tpot_s"),
        decoding_share=share("decoding_s", "tpot_s"),
        crowd_share=share("crowd_s", "tpot_s"),
        peak_share=[bound.peak_share for bound in found],
    )


def _seen(model, context: float) -> float:
    """Return the tokens that attention reads, averaged over layers."""
    if not model.sliding_window:
        return context
    return context - model.window_layers / model.layers * max(0.0, context - model.sliding_window)
