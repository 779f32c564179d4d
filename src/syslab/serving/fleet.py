"""How many replicas, and what a million tokens cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from syslab.serving.cost import StepCost
from syslab.serving.outcome import Objective, Outcome
from syslab.serving.policy import Policy
from syslab.serving.simulate import simulate
from syslab.serving.trace import Trace

MILLION = 1_000_000


def usd_per_million_tokens(usd_per_hour: float, tokens_per_s: float) -> float:
    """Return the price of a million tokens: a fleet's hourly price over its tokens per hour.

    Examples
    --------
    >>> round(usd_per_million_tokens(3.6, 1000), 6)   # 3.6 USD buy 3.6 million tokens
    1.0
    """
    if not usd_per_hour >= 0:
        raise ValueError(f"usd_per_hour={usd_per_hour!r}: must be 0 or more")
    if not tokens_per_s > 0:
        raise ValueError(f"tokens_per_s={tokens_per_s!r}: must be above 0")
    return usd_per_hour / (tokens_per_s * 3600) * MILLION


@dataclass(frozen=True, eq=False)
class Fleet:
    """The smallest fleet that meets an objective on a trace.

    Attributes
    ----------
    replicas, gpus : int
    attainment : float
        Share of requests that met the objective.
    runs : tuple of Outcome
        What happened on each replica.
    usd_per_hour : float
    """

    replicas: int
    gpus: int
    attainment: float
    runs: tuple[Outcome, ...]
    usd_per_hour: float

    @property
    def output_tokens_per_s(self) -> float:
        """Tokens handed out per second between the first arrival and the last token."""
        tokens = sum(int(run.trace.output_tokens[run.served].sum()) for run in self.runs)
        return tokens / self._span_s

    @property
    def prompt_tokens_per_s(self) -> float:
        """Prompt tokens taken in per second, cached ones included."""
        tokens = sum(int(run.trace.prompt_tokens[run.served].sum()) for run in self.runs)
        return tokens / self._span_s

    @property
    def usd_per_million_output_tokens(self) -> float:
        """The whole price on the output tokens alone."""
        return usd_per_million_tokens(self.usd_per_hour, self.output_tokens_per_s)

    @property
    def usd_per_million_tokens(self) -> float:
        """The price spread over prompt and output tokens alike."""
        rate = self.output_tokens_per_s + self.prompt_tokens_per_s
        return usd_per_million_tokens(self.usd_per_hour, rate)

    @property
    def busy_share(self) -> float:
        """Mean share of the span that a replica was in a step."""
        return float(np.mean([run.totals.busy_s for run in self.runs])) / self._span_s

    @property
    def _span_s(self) -> float:
        start = min(float(run.trace.arrival_s[0]) for run in self.runs)
        return max(float(np.nanmax(run.finish_s)) for run in self.runs) - start


def serve_with(replicas: int, trace: Trace, cost: StepCost, policy: Policy) -> tuple[Outcome, ...]:
    """Serve a trace on ``replicas`` engines, requests dealt in turn (round robin)."""
    if isinstance(replicas, bool) or int(replicas) != replicas or not 1 <= replicas <= len(trace):
        raise ValueError(
            f"replicas={replicas!r}: must be a whole number from 1 to the {len(trace)} requests"
        )
    return tuple(simulate(trace.share(i, replicas), cost, policy) for i in range(replicas))


def plan_fleet(
    trace: Trace,
    cost: StepCost,
    policy: Policy,
    objective: Objective,
    *,
    usd_per_gpu_hour: float,
    gpus_per_replica: int = 1,
    attainment: float = 0.99,
    most_replicas: int = 4096,
) -> Fleet:
    """Return the smallest fleet on which enough requests of the trace meet the objective.

    Parameters
    ----------
    usd_per_gpu_hour : float
        Rental, for example ``facts.hardware("H100 SXM").price``.
    gpus_per_replica : int
        GPUs that ``cost`` stands for.
    attainment : float
        Share of requests that must be good, above 0 and at most 1.
    most_replicas : int
        Give up beyond so many.

    Raises
    ------
    ValueError
        Even requests that have a replica to themselves miss the objective, or the fleet would
        exceed ``most_replicas``.
    """
    if not 0 < attainment <= 1:
        raise ValueError(f"attainment={attainment!r}: must be above 0 and at most 1")

    def serve(replicas: int) -> tuple[float, tuple[Outcome, ...]]:
        runs = serve_with(replicas, trace, cost, policy)
        return sum(int(run.good(objective).sum()) for run in runs) / len(trace), runs

    limit = min(most_replicas, len(trace))
    low, high = 0, 1
    share, runs = serve(high)
    while share < attainment:
        if high == limit:
            raise ValueError(
                f"objective={objective!r}: {share:.1%} of the requests meet it on {high} "
                f"replicas and {attainment:.1%} should; relax it or use a faster replica"
            )
        low, high = high, min(limit, 2 * high)
        share, runs = serve(high)
    while high - low > 1:
        middle = (low + high) // 2
        tried = serve(middle)
        if tried[0] >= attainment:
            high, (share, runs) = middle, tried
        else:
            low = middle
    gpus = high * gpus_per_replica
    return Fleet(high, gpus, share, runs, gpus * usd_per_gpu_hour)
