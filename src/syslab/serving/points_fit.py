"""Serving points predicted in closed form, and how far off that is.

A data sheet leaves open which shares of its peaks an engine reaches and what each step and each
request costs besides. ``fit_efficiency`` finds these four numbers on some points; the error that
counts is that on models and GPUs it has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from syslab.serving.cost import StepCost
from syslab.serving.points import point_device, point_model
from syslab.serving.points_check import cache_dtype, compute_dtype
from syslab.serving.roofline_cost import roofline_cost


@dataclass(frozen=True)
class Efficiency:
    """Reached shares of peak and bandwidth, and seconds added to each step and each first token."""

    compute: float = 1.0
    memory: float = 1.0
    step_s: float = 0.0
    request_s: float = 0.0


DATA_SHEET = Efficiency()


def point_cost(point, efficiency: Efficiency = DATA_SHEET) -> StepCost:
    """Return the step cost of the engine of one measured point."""
    device = point_device(point.system)
    return roofline_cost(
        point_model(point.model),
        device,
        tp=int(point.decode_gpus),
        weight_dtype=point.precision,
        cache=cache_dtype(point.precision),
        compute_dtype=compute_dtype(point.precision, device),
        compute_efficiency=efficiency.compute,
        memory_efficiency=efficiency.memory,
        overhead_s=efficiency.step_s,
    )


def predict(point, efficiency: Efficiency = DATA_SHEET) -> tuple[float, float]:
    """Predict ``(ttft_s, tpot_s)`` of an aggregated run in closed form.

    With ``c`` clients, ``c`` sequences decode together, and while one of them makes its ``o``
    output tokens the prompt of each of the others interrupts it once:
    ``tpot = decode + (c - 1) * prefill / o``. A prompt waits for half a decode step; and clients
    that started together finish together, so half of the other prompts are in line before it
    once in the ten requests that a client usually sends:
    ``ttft = request + prefill + decode / 2 + (c - 1) / 20 * prefill``.
    """
    cost = point_cost(point, efficiency)
    clients = int(point.concurrency)
    prefill = cost.prefill_s(int(point.prompt_tokens))
    decode = cost.decode_s(clients, int(point.prompt_tokens + point.output_tokens / 2))
    tpot = decode + (clients - 1) * prefill / point.output_tokens
    ttft = efficiency.request_s + prefill + decode / 2 + (clients - 1) / 20 * prefill
    return ttft, tpot


@dataclass(frozen=True)
class Error:
    """Predictions against measurements of one metric.

    ``rank`` is Spearman's correlation, ``median_ratio`` predicted over measured, ``median_error``
    and ``p90_error`` percentiles of ``|ratio - 1|``.
    """

    points: int
    rank: float
    median_ratio: float
    median_error: float
    p90_error: float


def prediction_error(points, efficiency: Efficiency = DATA_SHEET) -> dict[str, Error]:
    """Return the error of ``predict`` over a table of points, for ``"ttft_s"`` and ``"tpot_s"``."""
    from scipy.stats import spearmanr

    predicted = np.array([predict(point, efficiency) for point in points.itertuples()])
    errors = {}
    for place, metric in enumerate(("ttft_s", "tpot_s")):
        measured = points[metric].to_numpy()
        ratio = predicted[:, place] / measured
        off = np.abs(ratio - 1)
        errors[metric] = Error(
            len(points),
            float(spearmanr(predicted[:, place], measured)[0]),
            float(np.median(ratio)),
            float(np.median(off)),
            float(np.percentile(off, 90)),
        )
    return errors


def predictable(checked):
    """Return the rows of ``check_bounds`` that ``predict`` is about.

    Aggregated runs with a known number of clients that do not break a bound, each once: the file
    lists many runs twice.
    """
    right = (checked["mode"] == "agg") & (checked["concurrency"] >= 1)
    right &= (checked["peak_share"] <= 1) & (checked["decoding_share"] <= 1)
    kept = checked[right].drop_duplicates(["model", "system", "ttft_s", "tpot_s"])
    return kept.reset_index(drop=True)


def halves(points):
    """Return two tables: the (model, GPU) pairs in alternation, so that none is in both."""
    pairs = points["model"] + " " + points["system"]
    number = pairs.map({pair: i for i, pair in enumerate(sorted(pairs.unique()))})
    return points[number % 2 == 0], points[number % 2 == 1]


def fit_efficiency(points) -> Efficiency:
    """Fit the four numbers to the median absolute log ratio of TTFT and TPOT over ``points``."""
    from scipy.optimize import minimize

    measured = np.log(points[["ttft_s", "tpot_s"]].to_numpy())

    def off(x) -> float:
        guess = np.array([predict(p, _efficiency(x)) for p in points.itertuples()])
        return float(np.abs(np.log(guess) - measured).mean(axis=0).sum())

    start = np.array([0.0, 0.0, np.log(2e-3), np.log(0.03)])
    simplex = start + np.vstack([np.zeros(4), 0.7 * np.eye(4)])
    options = {"maxfev": 240, "xatol": 0.01, "fatol": 1e-4, "initial_simplex": simplex}
    found = minimize(off, start, method="Nelder-Mead", options=options)
    return _efficiency(found.x)


def _efficiency(x) -> Efficiency:
    """Turn four unbounded numbers into shares between 0 and 1 and seconds above 0."""
    shares = 1 / (1 + np.exp(-x[:2]))
    return Efficiency(float(shares[0]), float(shares[1]), *(float(v) for v in np.exp(x[2:])))
