"""What the requests of a run experienced."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from syslab.serving.trace import Trace


@dataclass(frozen=True)
class Objective:
    """A service-level objective: both limits must hold for a request to count as good.

    ``ttft_s`` is the longest wait for the first token; ``tpot_s`` the longest mean time per token
    after it. A request of one token has no TPOT and meets any.
    """

    ttft_s: float
    tpot_s: float

    def __post_init__(self):
        for name in ("ttft_s", "tpot_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be above 0 seconds")


@dataclass(frozen=True)
class Totals:
    """Counts over a run; tokens unless the name says otherwise. ``busy_s`` is time in steps."""

    steps: int
    busy_s: float
    prompt_tokens: int
    decoded_tokens: int
    padded_tokens: int
    recomputed_tokens: int
    swapped_blocks: int
    peak_blocks: int


@dataclass(frozen=True, eq=False)
class Outcome:
    """Per-request records of a run, in the order of the trace; ``nan`` where rejected.

    Attributes
    ----------
    trace : Trace
    admitted_s, first_token_s, finish_s : ndarray of float, shape (n,)
        Times on the trace's clock.
    longest_gap_s : ndarray of float, shape (n,)
        The longest pause between two tokens of a request: a stall a mean TPOT hides.
    preemptions : ndarray of int, shape (n,)
    totals : Totals
    timeline : ndarray of float, shape (rows, 6)
        End of step, its seconds, running, waiting, used blocks, tokens; at even spacing in steps.
        No rows unless it was asked for.
    """

    trace: Trace
    admitted_s: np.ndarray
    first_token_s: np.ndarray
    finish_s: np.ndarray
    longest_gap_s: np.ndarray
    preemptions: np.ndarray
    totals: Totals
    timeline: np.ndarray

    @property
    def served(self) -> np.ndarray:
        """Which requests were finished (the others need more cache than there is)."""
        return np.isfinite(self.finish_s)

    @property
    def rejected(self) -> int:
        return int((~self.served).sum())

    @property
    def queue_s(self) -> np.ndarray:
        """Seconds from arrival until the engine first let the request in."""
        return self.admitted_s - self.trace.arrival_s

    @property
    def ttft_s(self) -> np.ndarray:
        """Time to first token: queue and prompt together; no network."""
        return self.first_token_s - self.trace.arrival_s

    @property
    def tpot_s(self) -> np.ndarray:
        """Mean time per output token after the first; ``nan`` for outputs of one token."""
        later = self.trace.output_tokens - 1
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(later > 0, (self.finish_s - self.first_token_s) / later, np.nan)

    @property
    def e2e_s(self) -> np.ndarray:
        """Seconds from arrival to the last token."""
        return self.finish_s - self.trace.arrival_s

    @property
    def span_s(self) -> float:
        """From the first arrival to the last token."""
        if not self.served.any():
            return 0.0
        return float(np.nanmax(self.finish_s) - self.trace.arrival_s[0])

    @property
    def output_tokens_per_s(self) -> float:
        """Tokens handed to users over the span of the run (padding is not handed out)."""
        tokens = int(self.trace.output_tokens[self.served].sum())
        return tokens / self.span_s if self.span_s else 0.0

    @property
    def busy_share(self) -> float:
        """Share of the span that the engine was in a step."""
        return self.totals.busy_s / self.span_s if self.span_s else 0.0

    def percentile(self, metric: str, percent: float) -> float:
        """Return a percentile of ``"ttft_s"``, ``"tpot_s"``, ``"e2e_s"``, ``"queue_s"``, ..."""
        legal = ("ttft_s", "tpot_s", "e2e_s", "queue_s", "longest_gap_s")
        if metric not in legal:
            raise ValueError(f"metric={metric!r}: must be one of {', '.join(legal)}")
        if not 0 <= percent <= 100:
            raise ValueError(f"percent={percent!r}: must be from 0 to 100")
        values = getattr(self, metric)[self.served]
        values = values[np.isfinite(values)]
        return float(np.percentile(values, percent)) if values.size else float("nan")

    def good(self, objective: Objective) -> np.ndarray:
        """Return which requests met the objective. Rejected ones did not."""
        tpot = self.tpot_s
        in_time = (tpot <= objective.tpot_s) | np.isnan(tpot)
        return self.served & (self.ttft_s <= objective.ttft_s) & in_time

    def attainment(self, objective: Objective) -> float:
        """Return the share of all requests that met the objective."""
        return float(self.good(objective).mean()) if len(self.trace) else 1.0

    def goodput(self, objective: Objective) -> float:
        """Return the good requests per second of the run's span."""
        return float(self.good(objective).sum()) / self.span_s if self.span_s else 0.0
