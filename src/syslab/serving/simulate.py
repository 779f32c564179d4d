"""Serve a trace on paper: what would each request have waited?"""

from __future__ import annotations

import numpy as np

from syslab.serving.cost import StepCost
from syslab.serving.outcome import Objective, Outcome, Totals
from syslab.serving.policy import Policy
from syslab.serving.trace import Trace

NO_LIMIT = 2**50


def simulate(
    trace: Trace,
    cost: StepCost,
    policy: Policy | None = None,
    *,
    first_token_s: np.ndarray | None = None,
    timeline_rows: int = 0,
) -> Outcome:
    """Serve ``trace`` on one engine, step by step.

    Parameters
    ----------
    trace : Trace
    cost : StepCost
        From ``roofline_cost`` or ``calibrate``.
    policy : Policy
        Continuous batching without a memory limit unless given.
    first_token_s : ndarray of float, shape (n,), optional
        When a request's first token was made elsewhere, not after its arrival here; ``nan`` where
        it was not. Such a request arrives with the cache of its prompt (disaggregation).
    timeline_rows : int
        Keep at most so many evenly spaced steps in ``Outcome.timeline``.

    Notes
    -----
    Requests are served first come, first served. A request that would need more blocks than
    there are, even alone, is rejected. A prefix-cache hit saves computing, not memory. The
    network, tokenisation and the scheduler's own time are not in it unless ``cost.overhead_s``
    holds them. 100,000 requests of a conversation take about a second; the first call compiles.
    """
    from syslab.serving import _compiled, _compiled_static, _compiled_step

    policy = Policy() if policy is None else policy
    n, slots = len(trace), policy.max_sequences
    if timeline_rows < 0 or timeline_rows == 1:
        raise ValueError(f"timeline_rows={timeline_rows!r}: must be 0, or 2 or more")
    first = np.full(n, np.nan) if first_token_s is None else np.array(first_token_s, float)
    ready = np.isfinite(first)
    if ready.any() and policy.batching == "static":
        raise ValueError("first_token_s: a static batch computes its own prompts")
    if (trace.output_tokens[ready] == 1).any():
        raise ValueError("first_token_s: leave out requests of one output token, they are done")
    if (first[ready] > trace.arrival_s[ready]).any():
        raise ValueError("first_token_s is after the arrival of a request: give its own clock")

    def zeros():
        return np.zeros(n, np.int64)

    def never():
        return np.full(n, np.nan)

    state = _compiled_step.State(
        prompt=trace.prompt_tokens,
        output=trace.output_tokens,
        hit=trace.cached_tokens.copy(),
        ready=ready,
        cached=zeros(),
        target=trace.prompt_tokens.copy(),
        generated=ready.astype(np.int64),
        preempted=zeros(),
        chunk=zeros(),
        admitted=never(),
        running=np.empty(slots, np.int64),
        pushed=np.empty(n + 1, np.int64),
        swapped=np.empty(n + 1, np.int64),
        at=np.zeros(12, np.int64),
        work=np.zeros(2),
        window=np.array([cost.window, cost.window_share]),
        totals=np.zeros(8),
    )
    rules = _compiled_step.Rules(
        policy.batching == "chunked",
        policy.preemption == "swap",
        slots,
        policy.token_budget,
        NO_LIMIT if policy.kv_blocks is None else policy.kv_blocks,
        policy.block_tokens,
        policy.reserve_blocks,
    )
    last = np.where(ready, first, trace.arrival_s)
    finish, gap = never(), np.zeros(n)
    log = np.empty((timeline_rows, _compiled.LOG_COLUMNS))
    static = policy.batching == "static"
    run = _compiled_static.run_static if static else _compiled.run_steps
    rows = run(state, rules, cost.as_array(), trace.arrival_s, first, finish, gap, last, log)
    counted = (float(x) if i == 1 else int(x) for i, x in enumerate(state.totals))
    return Outcome(
        trace, state.admitted, first, finish, gap, state.preempted, Totals(*counted), log[:rows]
    )


def largest_rate(
    trace: Trace,
    cost: StepCost,
    policy: Policy,
    objective: Objective,
    *,
    attainment: float = 0.9,
    precision: float = 0.01,
) -> float:
    """Return the highest arrival rate, requests/s, at which enough requests meet the objective.

    This is the goodput of one engine (Zhong et al., "DistServe", OSDI 2024): the trace's clock is
    compressed until the share of good requests falls to ``attainment``. 0 if even requests that
    come one by one miss it.

    Parameters
    ----------
    attainment : float
        Share of requests that must be good, above 0 and at most 1.
    precision : float
        Relative precision of the answer. Attainment is not quite monotonic in the rate, so the
        answer is one crossing, found by bisection.
    """
    if not 0 < attainment <= 1:
        raise ValueError(f"attainment={attainment!r}: must be above 0 and at most 1")

    def enough(rate: float) -> bool:
        run = simulate(trace.at_rate(rate), cost, policy)
        return run.attainment(objective) >= attainment

    alone_s = float(np.median([cost.prefill_s(int(p)) for p in trace.prompt_tokens[:101]]))
    low = high = 1 / (alone_s + cost.decode_s(1, 1) * float(trace.output_tokens.mean()))
    while not enough(low):
        low /= 4
        if low < high / 4**8:
            return 0.0
    high = max(high, 2 * low)
    while enough(high):
        low, high = high, 2 * high
        if high > 1e9:
            return float("inf")
    while high / low > 1 + precision:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if enough(middle) else (low, middle)
    return low
