"""Prompts on some engines, decoding on others.

A prompt is computed on a prefill engine, which also samples the first token; its cache is sent
over the network; a decode engine does the rest and is never interrupted by a prompt (Splitwise,
ISCA 2024; DistServe, OSDI 2024).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from syslab.serving.cost import StepCost
from syslab.serving.outcome import Outcome, Totals
from syslab.serving.policy import Policy
from syslab.serving.simulate import simulate
from syslab.serving.trace import Trace


def simulate_disaggregated(
    trace: Trace,
    prefill_cost: StepCost,
    decode_cost: StepCost,
    *,
    prefill_engines: int = 1,
    decode_engines: int = 1,
    prefill_policy: Policy | None = None,
    decode_policy: Policy | None = None,
    transfer_token_s: float = 0.0,
) -> Outcome:
    """Serve a trace on separate prefill and decode engines.

    Parameters
    ----------
    prefill_engines, decode_engines : int
        How many of each; requests are dealt to them in turn.
    prefill_policy, decode_policy : Policy
        Continuous batching unless given.
    transfer_token_s : float
        Seconds to send the cache of one prompt token: KV bytes per token over the link's B/s.
        Transfers do not wait for one another.

    Returns
    -------
    Outcome
        ``first_token_s`` is when the prefill engine has it; the transfer and the queue of the
        decode engine are part of TPOT. ``totals`` sum over all engines; no timeline.
    """
    for name, value in (("prefill_engines", prefill_engines), ("decode_engines", decode_engines)):
        if isinstance(value, bool) or int(value) != value or value < 1:
            raise ValueError(f"{name}={value!r}: must be a whole number, 1 or more")
    if not transfer_token_s >= 0:
        raise ValueError(f"transfer_token_s={transfer_token_s!r}: must be 0 or more")
    prompts_only = replace(trace, output_tokens=np.ones(len(trace), np.int64))
    prompts = [
        (np.arange(i, len(trace), prefill_engines),
         simulate(prompts_only.share(i, prefill_engines), prefill_cost, prefill_policy))
        for i in range(min(prefill_engines, len(trace)))
    ]  # fmt: skip
    admitted, first = _gather(trace, prompts, "admitted_s"), _gather(trace, prompts, "finish_s")
    finish = np.where(trace.output_tokens == 1, first, np.nan)

    ready_s = first + trace.prompt_tokens * transfer_token_s
    onward = np.flatnonzero(np.isfinite(ready_s) & (trace.output_tokens > 1))
    onward = onward[np.argsort(ready_s[onward], kind="stable")]
    decodes = []
    for i in range(min(decode_engines, onward.size)):
        mine = onward[i::decode_engines]
        part = Trace(ready_s[mine], trace.prompt_tokens[mine], trace.output_tokens[mine])
        decodes.append(
            (mine, simulate(part, decode_cost, decode_policy, first_token_s=first[mine]))
        )
    gap, preemptions = np.zeros(len(trace)), np.zeros(len(trace), np.int64)
    for which, run in decodes:
        finish[which], preemptions[which] = run.finish_s, run.preemptions
        gap[which] = run.longest_gap_s
    totals = [run.totals for _, run in prompts + decodes]
    summed = {f: sum(getattr(t, f) for t in totals) for f in Totals.__dataclass_fields__}
    summed["peak_blocks"] = max((t.peak_blocks for t in totals), default=0)
    return Outcome(
        trace, admitted, first, finish, gap, preemptions, Totals(**summed), np.empty((0, 6))
    )


def _gather(trace: Trace, parts, field: str) -> np.ndarray:
    whole = np.full(len(trace), np.nan)
    for which, run in parts:
        whole[which] = getattr(run, field)
    return whole
