"""Made-up traces with the moments of real ones.

Arrivals are a renewal process: gaps are gamma distributed up to a coefficient of variation (CV)
of 1, and above it a mixture of short and long gaps (two exponentials with balanced means), which
is what bursts with silences between them look like. Lengths are gamma distributed up to CV 1 and
lognormal above. Mean and CV are matched; nothing else of the real trace is, its daily rhythm and
the dependence of lengths on one another least of all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from syslab.serving.trace import Trace


@dataclass(frozen=True)
class Shape:
    """Rate, burstiness and lengths of a trace."""

    name: str
    requests_per_s: float
    gap_cv: float
    prompt_mean: float
    prompt_cv: float
    output_mean: float
    output_cv: float

    def __post_init__(self):
        for field in ("requests_per_s", "gap_cv", "prompt_cv", "output_cv"):
            if not getattr(self, field) > 0:
                raise ValueError(f"{field}={getattr(self, field)!r}: must be above 0")
        for field in ("prompt_mean", "output_mean"):
            if not getattr(self, field) >= 1:
                raise ValueError(f"{field}={getattr(self, field)!r}: must be 1 token or more")


# Counted over the files AzureLLMInferenceTrace_conv.csv (19,366 requests) and _code.csv (8,819)
# of 2023-11-16, Azure/AzurePublicDataset, CC-BY 4.0; described in Patel et al., "Splitwise",
# ISCA 2024.
CONVERSATION = Shape("conversation", 5.53, 1.09, 1154.7, 0.960, 211.1, 0.771)
CODE = Shape("code", 2.57, 13.2, 2047.8, 0.964, 27.9, 2.147)


def synthetic_trace(
    requests: int,
    shape: Shape = CONVERSATION,
    *,
    seed: int = 0,
    requests_per_s: float | None = None,
) -> Trace:
    """Draw a trace.

    Parameters
    ----------
    requests : int
    shape : Shape
        ``CONVERSATION``, ``CODE``, or your own.
    seed : int
        Same seed, same trace.
    requests_per_s : float, optional
        Another mean rate than the shape's, with the same burstiness.
    """
    if isinstance(requests, bool) or int(requests) != requests or requests < 1:
        raise ValueError(f"requests={requests!r}: must be a whole number, 1 or more")
    rate = shape.requests_per_s if requests_per_s is None else requests_per_s
    if not rate > 0:
        raise ValueError(f"requests_per_s={rate!r}: must be above 0")
    draw = np.random.default_rng(seed)
    gaps = _gaps(draw, requests, 1 / rate, shape.gap_cv)
    prompt = _lengths(draw, requests, shape.prompt_mean, shape.prompt_cv)
    output = _lengths(draw, requests, shape.output_mean, shape.output_cv)
    return Trace(np.cumsum(gaps) - gaps[0], prompt, output, name=shape.name)


def _gaps(draw, count: int, mean: float, cv: float) -> np.ndarray:
    if cv <= 1:
        return draw.gamma(1 / cv**2, mean * cv**2, count)
    often = 0.5 * (1 + np.sqrt((cv**2 - 1) / (cv**2 + 1)))  # share of the short gaps
    is_short = draw.random(count) < often
    return draw.exponential(1.0, count) * np.where(
        is_short, mean / (2 * often), mean / (2 * (1 - often))
    )


def _lengths(draw, count: int, mean: float, cv: float) -> np.ndarray:
    if cv <= 1:
        drawn = draw.gamma(1 / cv**2, mean * cv**2, count)
    else:
        variance = np.log(1 + cv**2)
        drawn = draw.lognormal(np.log(mean) - variance / 2, np.sqrt(variance), count)
    return np.maximum(1, np.rint(drawn)).astype(np.int64)
