"""Measure the serving instruments, side by side with others and with reality, in one run.

    python benchmarks/bench_serving.py [simulator] [points] [model]

``simulator``: 100,000 requests of the conversation trace's shape, and requests per second beside
the same policies written in plain SimPy, which must give the same times. Exits with 1 if a target
is missed.
``points``: 5,221 measured serving points of data-centre GPUs against the roofline's bounds, and
the model's ranking and error over them, fitted on one half of the (model, GPU) pairs and tested
on the other.
``model``: a real small language model: steps timed and calibrated, then a load that was not part
of the calibration served for real and on paper. Needs about two minutes. Times are processor
seconds of one thread, so that other programs on the machine do not count.

Without arguments all three.
"""

import sys
import time
from collections import deque

import numpy as np

WANTED_RATIO, WANTED_S = 20.0, 10.0
SIMPY_REQUESTS, ROUNDS = 4000, 3


def main(parts: list[str]) -> int:
    """Run the parts asked for; return 1 if a target was missed."""
    known = {"simulator": simulator, "points": points, "model": model}
    for part in parts or known:
        if part not in known:
            sys.exit(f"bench_serving: no part {part!r}; choose from {', '.join(known)}")
    return max([known[part]() for part in parts or known])


# --------------------------------------------------------------------- simulator


def simulator() -> int:
    """Print seconds for 100,000 requests, and the ratio to SimPy on the same requests."""
    from syslab import facts
    from syslab.kvcache import plan_memory
    from syslab.serving import Policy, roofline_cost, simulate, synthetic_trace

    model, device = facts.model("Llama-3.1 8B"), facts.hardware("H100 SXM")
    cost = roofline_cost(
        model, device, compute_efficiency=0.5, memory_efficiency=0.7, overhead_s=2e-3
    )
    blocks = plan_memory(model, device).blocks(16)
    trace = synthetic_trace(100_000)
    print(f"{model.name} on one {device.name}, {trace.requests_per_s:.2f} requests/s")
    head = f"{'policy':<12}{'100,000':>10}{'ours':>12}{'SimPy':>10}{'ratio':>8}   same times"
    print(f"{head}   (requests/s on the first {SIMPY_REQUESTS})")
    missed = False
    for policy in (
        Policy("continuous", 256, 2048, blocks),
        Policy("chunked", 256, 512, blocks),
        Policy("chunked", 256, 512, 700),  # little memory: preemption
    ):
        part = trace.first(SIMPY_REQUESTS)
        simulate(part, cost, policy)  # compiles
        ours, other = [], []
        for _ in range(ROUNDS):  # in turns, so that other load meets both
            ours.append(_seconds(simulate, part, cost, policy))
            other.append(_seconds(simpy_run, part, cost, policy))
        whole = min(_seconds(simulate, trace, cost, policy)[0] for _ in range(2))
        (ours_s, run), (simpy_s, (first, finish)) = min(ours, key=_first), min(other, key=_first)
        same = np.allclose(run.first_token_s, first, equal_nan=True)
        same &= np.allclose(run.finish_s, finish, equal_nan=True)
        ratio = simpy_s / ours_s
        label = policy.batching + ("" if policy.kv_blocks == blocks else "*")
        rates = f"{SIMPY_REQUESTS / ours_s:>12,.0f}{SIMPY_REQUESTS / simpy_s:>10,.0f}"
        print(f"{label:<12}{whole:>8.2f} s{rates}{ratio:>8.1f}   {'yes' if same else 'NO'}")
        missed |= not same or ratio < WANTED_RATIO or whole > WANTED_S
    print(f"targets: ratio >= {WANTED_RATIO:.0f}, 100,000 requests in {WANTED_S:.0f} s: "
          f"{'MISSED' if missed else 'ok'}   (* 700 blocks: recompute preemption)")  # fmt: skip
    return int(missed)


def _first(pair):
    return pair[0]


def _seconds(call, *arguments):
    begin = time.perf_counter()
    answer = call(*arguments)
    return time.perf_counter() - begin, answer


class Request:
    """A request of the SimPy program."""

    __slots__ = ("cached", "done", "first", "made", "output", "prompt", "target")

    def __init__(self, prompt, output):
        self.prompt, self.output, self.target = prompt, output, prompt
        self.cached = self.made = 0
        self.first = self.done = float("nan")


def simpy_run(trace, cost, policy):
    """The same policies as a user of SimPy would write them: one process per thing that acts."""
    import simpy

    env = simpy.Environment()
    columns = (trace.prompt_tokens.tolist(), trace.output_tokens.tolist())
    requests = [Request(p, o) for p, o in zip(*columns, strict=True)]
    arrivals = trace.arrival_s.tolist()
    waiting, running = deque(), []
    wake = [env.event()]
    size, budget, chunked = policy.block_tokens, policy.token_budget, policy.batching == "chunked"
    reserve, most = policy.reserve_blocks, policy.max_sequences
    overhead, weights, token_s = cost.overhead_s, cost.weights_s, cost.token_s
    pair_s, cached_s, sample_s = cost.pair_s, cost.cached_token_s, cost.sample_s
    free = policy.kv_blocks

    def arrive():
        for request, at in zip(requests, arrivals, strict=True):
            if at > env.now:
                yield env.timeout(at - env.now)
            longest = request.prompt + request.output - 1
            if -(-longest // size) <= policy.kv_blocks:
                waiting.append(request)
                if not wake[0].triggered:
                    wake[0].succeed()

    def serve():
        nonlocal free
        while True:
            work, tokens, pairs, cached, samples = [], 0, 0.0, 0, 0

            def admit(work):
                nonlocal free, tokens, pairs, cached, samples
                while waiting and len(running) < most:
                    request = waiting[0]
                    if chunked and tokens == budget:
                        break
                    if not chunked and work and tokens + request.target > budget:
                        break
                    blocks = -(-request.target // size)
                    if free < blocks + (reserve if running else 0):
                        break
                    waiting.popleft()
                    running.append(request)
                    free -= blocks
                    count = min(request.target, budget - tokens) if chunked else request.target
                    work.append((request, count))
                    tokens += count
                    pairs += count * (count + 1) / 2
                    samples += count == request.target

            if not chunked:
                admit(work)
            if chunked or not work:
                evicted = False
                place = 0
                while place < len(running):
                    request = running[place]
                    place += 1
                    if request.cached < request.target:
                        continue
                    if request.cached % size == 0:
                        while free < 1:
                            victim = running.pop()
                            free += -(-max(victim.cached, victim.target) // size)
                            victim.target, victim.cached = victim.prompt + victim.made, 0
                            waiting.appendleft(victim)
                            evicted = True
                            if victim is request:
                                break
                        if request.cached == 0:
                            break
                        free -= 1
                    work.append((request, 1))
                    tokens += 1
                    cached += request.cached + 1
                    samples += 1
                if chunked:
                    for request in running:
                        if request.cached < request.target and tokens < budget:
                            count = min(budget - tokens, request.target - request.cached)
                            work.append((request, count))
                            tokens += count
                            pairs += count * (request.cached + (count + 1) / 2)
                            cached += request.cached
                            samples += request.cached + count == request.target
                    if not evicted:
                        admit(work)
            if not work:
                wake[0] = env.event()
                if not waiting:
                    yield wake[0]
                continue
            yield env.timeout(
                overhead + max(weights, tokens * token_s) + pairs * pair_s + cached * cached_s
                + samples * sample_s
            )  # fmt: skip
            gone = False
            for request, count in work:
                request.cached += count
                if request.cached < request.target:
                    continue
                request.target = request.cached
                request.made += 1
                if request.made == 1:
                    request.first = env.now
                if request.made == request.output:
                    request.done = env.now
                    free += -(-request.cached // size)
                    gone = True
            if gone:
                running[:] = [r for r in running if r.made < r.output]

    env.process(arrive())
    env.process(serve())
    env.run()
    return [r.first for r in requests], [r.done for r in requests]


# ------------------------------------------------------------------------ points


def points() -> int:
    """Print how the bounds and the model do on measured serving points; nothing to miss but one."""
    from syslab.serving.points import LEFT_OUT, measured_points
    from syslab.serving.points_check import check_bounds
    from syslab.serving.points_fit import fit_efficiency, halves, predictable, prediction_error

    table = measured_points()
    checked = check_bounds(table)
    gone = len(table) - len(checked)
    print(f"{len(table)} measured points, {gone} left out: {'; '.join(LEFT_OUT.values())}")
    for bound in ("ttft", "alone", "decoding", "crowd", "peak"):
        share = checked[f"{bound}_share"]
        print(f"  {bound:<9} beaten by {int((share > 1).sum())}, bound over measurement: "
              f"median {share.median():.3f}, most {share.max():.3f}")  # fmt: skip
    usable = predictable(checked)
    train, test = halves(usable)
    fitted = fit_efficiency(train.iloc[::3])
    print(f"fitted on {len(train.iloc[::3])} runs: {fitted}")
    print(f"  {'':<22}{'runs':>6}{'rank':>7}{'median ratio':>14}{'median error':>14}{'p90':>7}")
    for name, rows, efficiency in (
        ("data sheet, all", usable, None),
        ("fitted, its half", train, fitted),
        ("fitted, other half", test, fitted),
    ):
        found = prediction_error(rows, efficiency) if efficiency else prediction_error(rows)
        for metric, e in found.items():
            print(f"  {name + ' ' + metric[:4]:<22}{e.points:>6}{e.rank:>7.2f}"
                  f"{e.median_ratio:>14.2f}{e.median_error:>13.0%}{e.p90_error:>8.0%}")  # fmt: skip
    return int((checked["alone_share"] > 1).any() or (checked["ttft_share"] > 1).any())


# ------------------------------------------------------------------------- model


def model() -> int:
    """Print the calibration of the real model and the simulator's error on a load it never saw."""
    from syslab.serving.measured import fit, held_out_errors, measure_here
    from syslab.serving.tiny import missing_packages

    gone = missing_packages()
    if gone:
        print("no real model here:", "; ".join(gone))
        return 0
    measured = measure_here(date="now")
    found = fit(measured)
    print(f"calibration on {found.steps} steps: median error {found.median_error:.1%}, worst "
          f"{found.worst_error:.0%}; knee {found.knee_tokens} tokens")  # fmt: skip
    print(found.cost)
    unseen = [abs(step.predicted_s(found.cost) / step.seconds - 1) for step in measured.held_out]
    print(f"{len(unseen)} steps of the held-out load: median error {np.median(unseen):.1%}")
    trace = measured.loads[0].outcome.trace
    print(f"held out: {len(trace)} requests at {trace.requests_per_s:.2f}/s, real and on paper")
    for e in held_out_errors(measured.loads, found.cost):
        print(f"  {e.batching:<11}{e.metric:<7} p{e.percent} {e.real_s * 1e3:>7.0f} "
              f"{e.simulated_s * 1e3:>7.0f} ms {e.error:>+5.0%}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
