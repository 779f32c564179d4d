"""Pictures of the kv-cache bench, each with controls: what fits, how fast, and who waits.

Every view returns a ``plotting.Live``; the line under the picture holds the numbers to read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from syslab import facts, plotting
from syslab.kvcache import GB, MemoryPlan, Split, plan_memory
from syslab.plotting import BLUE, GREEN, GREY, RED, SKY, Choice, Live, Slider
from syslab.serving.cost import StepCost
from syslab.serving.outcome import Objective
from syslab.serving.policy import Policy
from syslab.serving.replay import Frame
from syslab.serving.roofline_cost import roofline_cost
from syslab.serving.simulate import simulate
from syslab.serving.trace import Trace

MODELS = ("Llama-3.1 8B", "Llama-3.1 70B", "Llama-2 7B", "Mistral 7B", "Gemma-2 9B", "DeepSeek-V2")
DEVICES = ("H100 SXM", "H200", "A100 80GB", "L40S", "L4")
GPUS = (1, 2, 4, 8)
DTYPES = ("bf16", "fp8")
MOST_CONTEXT, MOST_BATCH = 131_072, 1024
ACHIEVED = {"compute_efficiency": 0.5, "memory_efficiency": 0.7, "overhead_s": 2e-3}
"""Assumed, not measured: half the peak, 70 % of the bandwidth, and 2 ms of host time per step."""
_MOVING = {"animated": True}


def achieved_cost(
    model: facts.Model,
    device: facts.Hardware,
    *,
    tp: int = 1,
    weight_dtype: str = "bf16",
    cache: str = "bf16",
    achieved: Mapping[str, float] = ACHIEVED,
) -> StepCost:
    """Return ``roofline_cost`` with the shares of the peaks that a real engine may reach.

    Arithmetic is in ``weight_dtype`` where the device has a peak for it, in bf16 otherwise.
    """
    known = {name for name, _ in device.facts()}
    compute = weight_dtype if f"peak.{weight_dtype}" in known else "bf16"
    return roofline_cost(
        model, device, tp=tp, weight_dtype=weight_dtype, cache=cache, compute_dtype=compute,
        **achieved,
    )  # fmt: skip


def why_not(plan: MemoryPlan, context: int, batch: int) -> str:
    """Return ``"fits"``, or in a few words what does not fit."""
    if context > plan.model.max_context:
        return f"no: the model's context ends at {plan.model.max_context:,} tokens"
    if not plan.fits:
        return "no: the weights alone do not fit"
    most = plan.largest_batch(context)
    return "fits" if batch <= most else f"OOM: the cache holds {most:,} such sequences"


def memory_view(
    models: Sequence[str] = MODELS, devices: Sequence[str] = DEVICES, alt: str | None = None
) -> Live:
    """Return the memory budget of one GPU, and the largest batch over the context.

    Controls: model, GPU, number of GPUs (tensor parallel), storage of weights and of the cache,
    context and batch.
    """
    fig, (top, low) = plotting.figure(height_px=500, rows=2)
    top.get_gridspec().set_height_ratios([1, 2.2])
    top.set(
        xlim=(0, 200), ylim=(0, 1), yticks=[], xlabel="share of one GPU's memory, %",
        title="Memory of one GPU; the black line is where it ends",
    )  # fmt: skip
    kinds = (("kept back", "#D9D9D9", ""), ("weights", BLUE, ""), ("activations", "#000000", ""),
             ("KV cache", SKY, "//"))  # fmt: skip
    bars = []
    for name, colour, hatch in kinds:
        (bar,) = top.barh([0.3], [1], 0.42, color=colour, hatch=hatch, edgecolor="white",
                          label=name)  # fmt: skip
        bar.set_animated(True)
        bars.append(bar)
    top.axvline(100, 0, 0.62, color="black", lw=2.5, ls="-", zorder=5, animated=True)
    top.legend(loc="upper left", ncols=4, borderaxespad=0.1)
    low.set(xscale="log", yscale="log", xlim=(256, MOST_CONTEXT), ylim=(1, MOST_BATCH),
            xlabel="context, tokens per sequence", ylabel="sequences at once",
            title="Largest batch that the memory holds")  # fmt: skip
    (line,) = low.plot([], [], color=BLUE, ls="-", **_MOVING)
    (spot,) = low.plot([], [], ls="", ms=11, color=RED, **_MOVING)
    said = low.annotate("", (1, 1), (0, 0), textcoords="offset points", fontsize=9, **_MOVING)
    contexts = np.unique(np.geomspace(256, MOST_CONTEXT, 40).astype(int))

    def draw(model, gpu, gpus, weights, cache, context, batch) -> str:
        shape, device = facts.model(model), facts.hardware(gpu)
        try:
            plan = plan_memory(
                shape, device, weight_dtype=weights, cache=cache, split=Split(gpus)
            )  # fmt: skip
        except ValueError as error:
            return str(error)
        sizes = (plan.reserved_bytes, plan.weight_bytes, plan.activation_bytes,
                 batch * plan.sequence_bytes(context))  # fmt: skip
        left = 0.0
        for bar, size in zip(bars, sizes, strict=True):
            bar.set_x(left)
            bar.set_width(100 * size / plan.capacity_bytes)
            left += bar.get_width()
        inside = contexts[contexts <= shape.max_context]
        line.set_data(inside, [max(plan.largest_batch(int(c)), 0.5) for c in inside])
        status = why_not(plan, context, batch)
        spot.set_data([context], [batch])
        spot.set_marker("o" if status == "fits" else "X")
        right = context > 5000
        said.xy = (context, batch)
        said.set(text=status.partition(":")[0], ha="right" if right else "left")
        said.set_position((-9 if right else 9, 6))
        return (
            f"{plan.weight_bytes / GB:.1f} GB of weights, {plan.pool_bytes / GB:.1f} GB left for "
            f"the cache per GPU, {plan.sequence_bytes(1):,} B a token; {batch:,} sequences of "
            f"{context:,} tokens need {sizes[-1] / GB:.1f} GB: {status}"
        )

    alt = alt or (
        "A bar of one GPU's memory: kept back, weights, activations and KV cache against the line "
        "where memory ends; below, the largest batch falls as the context grows, and a dot marks "
        "the chosen batch and context."
    )
    return plotting.live(
        draw, fig, alt,
        model=Choice(list(models)),
        gpu=Choice(list(devices)),
        gpus=Choice(list(GPUS)),
        weights=Choice(list(DTYPES)),
        cache=Choice(list(DTYPES)),
        context=Slider(256, MOST_CONTEXT, 8192, log=True, steps=36, unit="tokens"),
        batch=Slider(1, MOST_BATCH, 32, log=True, steps=40),
    )  # fmt: skip


def latency_view(
    models: Sequence[str] = MODELS,
    devices: Sequence[str] = DEVICES,
    objective: Objective | None = None,
    achieved: Mapping[str, float] = ACHIEVED,
    alt: str | None = None,
) -> Live:
    """Return TPOT over the batch and TTFT over the prompt, and where each of them breaks.

    Without load: every sequence decodes in every step, and a prompt is computed alone.
    """
    objective = Objective(1.0, 0.05) if objective is None else objective
    fig, (left, right) = plotting.figure(width_px=860, height_px=400, columns=2)
    left.set(xscale="log", yscale="log", xlim=(1, MOST_BATCH), ylim=(1, 1000),
             xlabel="sequences decoding together", ylabel="TPOT, ms",
             title="Decode: a step of the whole batch")  # fmt: skip
    right.set(xscale="log", yscale="log", xlim=(128, MOST_CONTEXT), ylim=(5, 100_000),
              xlabel="prompt, tokens", ylabel="TTFT without a queue, ms",
              title="Prefill: one prompt alone")  # fmt: skip
    for ax in (left, right):
        ax.tick_params(which="minor", length=0)
    right.axhline(objective.ttft_s * 1e3, color=GREY, lw=1.2, ls="--")
    right.text(140, objective.ttft_s * 1.15e3, f"limit {objective.ttft_s * 1e3:.0f} ms",
               fontsize=9, color=GREY)  # fmt: skip
    batches = np.unique(np.geomspace(1, MOST_BATCH, 40).round().astype(int))
    prompts = np.unique(np.geomspace(128, MOST_CONTEXT, 30).round().astype(int))
    (held,) = left.plot([], [], color=BLUE, ls="-", **_MOVING)
    (beyond,) = left.plot([], [], color=BLUE, ls=":", lw=1.2, **_MOVING)
    (limit,) = left.plot([], [], color=GREY, ls="--", lw=1.2, **_MOVING)
    (wall,) = left.plot([], [], color="black", ls="-.", lw=1.4, **_MOVING)
    (spot,) = left.plot([], [], "o", color=RED, ms=9, **_MOVING)
    (first,) = right.plot([], [], color=GREEN, ls="-", **_MOVING)
    (mark,) = right.plot([], [], "D", color=RED, ms=8, **_MOVING)
    memory_text = left.text(1, 1.25, "", fontsize=9, ha="right", **_MOVING)
    limit_text = left.text(1.15, 1, "", fontsize=9, color=GREY, **_MOVING)

    def draw(model, gpu, gpus, cache, context, tpot_limit) -> str:
        shape, device = facts.model(model), facts.hardware(gpu)
        try:
            plan = plan_memory(shape, device, cache=cache, split=Split(gpus))
            cost = achieved_cost(shape, device, tp=gpus, cache=cache, achieved=achieved)
        except ValueError as error:
            return str(error)
        most = plan.largest_batch(context) if plan.fits else 0
        tpot = 1e3 * np.array([_decode_s(cost, int(b), context) for b in batches])
        held.set_data(batches[batches <= most], tpot[batches <= most])
        beyond.set_data(batches[batches >= most], tpot[batches >= most])
        limit.set_data([1, MOST_BATCH], [tpot_limit] * 2)
        limit_text.set(y=tpot_limit * 1.12, text=f"limit {tpot_limit:.3g} ms")
        wall.set_data([most, most] if most else [1, 1], [1, 1000])
        crowded = most < 40
        memory_text.set(
            x=max(most, 1) * (1.1 if crowded else 0.92),
            text=f"memory ends at {most:,}",
            ha="left" if crowded else "right",
        )
        quick = largest_batch_in_time(cost, context, tpot_limit / 1e3)
        works = min(most, quick)
        spot.set_data([works] if works else [], [1e3 * cost.decode_s(works, context)] if works
                      else [])  # fmt: skip
        inside = prompts[prompts <= shape.max_context]
        first.set_data(inside, [1e3 * cost.prefill_s(int(p)) for p in inside])
        prompt = min(context, shape.max_context)
        mark.set_data([prompt], [1e3 * cost.prefill_s(prompt)])
        if not works:
            why = "the weights do not fit" if not plan.fits else (
                "not one sequence fits" if not most else "even one sequence is too slow"
            )  # fmt: skip
            return f"memory allows {most:,}, TPOT {quick:,}: breaks at once, {why}"
        binds = "memory" if most < quick else "TPOT"
        rate = works / cost.decode_s(works, context)
        return (
            f"memory allows {most:,} sequences, TPOT {quick:,}: {binds} binds at {works:,}, "
            f"{rate:,.0f} tokens/s; a prompt of {prompt:,} tokens takes "
            f"{1e3 * cost.prefill_s(prompt):,.0f} ms"
        )

    alt = alt or (
        "Left: time per output token grows with the batch until the line where memory ends, "
        "against a dashed limit; right: time to first token grows with the prompt."
    )
    return plotting.live(
        draw, fig, alt,
        model=Choice(list(models)),
        gpu=Choice(list(devices)),
        gpus=Choice(list(GPUS)),
        cache=Choice(list(DTYPES)),
        context=Slider(256, MOST_CONTEXT, 2048, log=True, steps=36, unit="tokens"),
        tpot_limit=Slider(5.0, 200.0, objective.tpot_s * 1e3, log=True, steps=32, unit="ms"),
    )  # fmt: skip


def largest_batch_in_time(cost: StepCost, context: int, limit_s: float, most: int = 65_536) -> int:
    """Return the largest batch whose decode step stays within ``limit_s``; 0 if none does."""
    low, high = 0, most
    while low < high:  # a step never gets shorter with one more sequence, so bisect
        middle = (low + high + 1) // 2
        in_time = _decode_s(cost, middle, context) <= limit_s
        low, high = (middle, high) if in_time else (low, middle - 1)
    return low


def _decode_s(cost: StepCost, batch: int, context: int) -> float:
    """Return ``cost.decode_s`` without a tuple of ``batch`` entries."""
    from syslab.serving._counts import seen_tokens, step_seconds

    cached = batch * seen_tokens(context, cost.window, cost.window_share)
    return float(step_seconds(cost.as_array(), batch, 0.0, cached, batch, batch, 0))


def allocation_view(
    frames: Mapping[str, Sequence[Frame]],
    row_slots: int = 64,
    start: int | None = None,
    alt: str | None = None,
) -> Live:
    """Return the slots of both allocators side by side, with a slider over the steps."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    sides = {name: list(frames[name]) for name in ("contiguous", "paged")}
    steps = min(len(shown) for shown in sides.values())
    paints = ("#FFFFFF", "#C8C8C8", "#0072B2", "#00344F")
    fig, axes = plotting.figure(width_px=860, height_px=400, columns=2)
    images, heads = {}, {}
    for ax, (name, shown) in zip(axes, sides.items(), strict=True):
        slots = shown[0].slots.size
        images[name] = ax.imshow(
            shown[0].slots.reshape(-1, row_slots), cmap=ListedColormap(paints), vmin=-0.5, vmax=3.5,
            aspect="auto", interpolation="nearest", extent=(0, row_slots, slots, 0), animated=True,
        )  # fmt: skip
        ax.grid(visible=False)
        ax.set(xlabel="slot in its row", ylabel="first slot of the row", title=" ")
        ax.set_yticks(range(0, slots + 1, 4 * row_slots))
        ax.set_xticks(range(0, row_slots + 1, 16))
        heads[name] = ax.text(0, 1.02, "", transform=ax.transAxes, fontsize=10, **_MOVING)
    labels = ("free", "reserved, empty", "holds a token", "of another request")
    fig.legend(
        handles=[Patch(facecolor=p, edgecolor="black", label=w)
                 for p, w in zip(paints, labels, strict=True)],
        loc="outside lower center", ncols=4,
    )  # fmt: skip

    def draw(step) -> str:
        lines = []
        for name, shown in sides.items():
            frame = shown[step]
            images[name].set_data(frame.slots.reshape(-1, row_slots))
            heads[name].set_text(
                f"{name}: {frame.running} running, {frame.waiting} waiting, "
                f"{frame.used_share:.0%} used"
            )
            c = frame.counters
            lines.append(
                f"{name}: internal {c.internal_slots}, external {c.external_slots}, "
                f"pushed out {c.preemptions}, finished {frame.finished}"
            )
        return " | ".join(lines)

    alt = alt or (
        "Token slots of two allocators: the contiguous one is mostly reserved and empty, the paged "
        "one is nearly full of tokens."
    )
    begin = steps // 2 if start is None else start
    return plotting.live(draw, fig, alt, step=Slider(0, steps - 1, begin, steps=steps - 1))


def load_view(
    trace: Trace,
    cost: StepCost,
    policy: Policy,
    objective: Objective,
    *,
    rate: Slider | None = None,
    memory: Slider | None = None,
    sequences: Slider | None = None,
    alt: str | None = None,
) -> Live:
    """Return what the requests of ``trace`` wait, as rate, batching, memory and seats change.

    Above, TTFT of each request over its arrival; below, the used share of the cache's blocks and
    the requests inside. ``policy`` must have ``kv_blocks``.
    """
    if policy.kv_blocks is None:
        raise ValueError("policy: kv_blocks=None; give the blocks of a memory plan")
    rate = rate or Slider(2.0, 30.0, 12.0, steps=28, unit="requests/s")
    memory = memory or Slider(5, 100, 100, steps=19, unit="% of the blocks")
    sequences = sequences or Slider(16, 512, policy.max_sequences, log=True, steps=20)
    fig, (top, low) = plotting.figure(height_px=500, rows=2)
    top.set(
        yscale="log",
        xlim=(0, 100),
        ylim=(0.01, 100),
        ylabel="TTFT, s",
        title="Each request: wait for its first token (x: pushed out at least once)",
    )
    top.axhline(objective.ttft_s, color=GREY, ls="--", lw=1.2)
    top.text(99.5, objective.ttft_s * 1.15, f"limit {objective.ttft_s:g} s", fontsize=9,
             color=GREY, ha="right")  # fmt: skip
    low.set(xlim=(0, 100), ylim=(0, 105), ylabel="%", xlabel="time, % of the run",
            title="Cache blocks in use (solid), seats taken (dashed)")  # fmt: skip
    (dots,) = top.plot([], [], "o", color=BLUE, ms=3.5, alpha=0.6, **_MOVING)
    (pushed,) = top.plot([], [], "x", color=RED, ms=6, **_MOVING)
    (blocks,) = low.plot([], [], color=SKY, ls="-", **_MOVING)
    (inside,) = low.plot([], [], color=RED, ls="--", lw=1.4, **_MOVING)

    def draw(rate, batching, memory, seats) -> str:
        held = max(1, round(policy.kv_blocks * memory / 100))
        rules = Policy(
            batching, seats, max(policy.token_budget, seats), held, policy.block_tokens,
            policy.preemption, policy.reserve_share,
        )  # fmt: skip
        run = simulate(trace.at_rate(rate), cost, rules, timeline_rows=200)
        ttft, hit = np.clip(run.ttft_s, 0.01, 100), run.preemptions > 0
        at = 100 * run.trace.arrival_s / max(run.span_s, 1e-9)
        dots.set_data(at[~hit], ttft[~hit])
        pushed.set_data(at[hit], ttft[hit])
        times = 100 * run.timeline[:, 0] / max(run.span_s, 1e-9)
        blocks.set_data(times, 100 * run.timeline[:, 4] / held)
        inside.set_data(times, 100 * run.timeline[:, 2] / seats)
        return (
            f"TTFT p50 {run.percentile('ttft_s', 50):.2f} s, p90 "
            f"{run.percentile('ttft_s', 90):.2f} s; TPOT p90 "
            f"{1e3 * run.percentile('tpot_s', 90):.0f} ms; good {run.attainment(objective):.0%}; "
            f"pushed out {int(run.preemptions.sum()):,} times, "
            f"{run.totals.recomputed_tokens:,} tokens computed again"
        )

    alt = alt or (
        "Above, the wait of each request for its first token against a dashed limit; below, the "
        "share of cache blocks and of seats in use over the run."
    )
    starts = policy.batching if policy.batching != "static" else "continuous"
    return plotting.live(
        draw, fig, alt, rate=rate, batching=Choice(["continuous", "chunked"], starts),
        memory=memory, seats=sequences,
    )  # fmt: skip
