"""The simulator against hand calculation, queueing theory, a brute-force rerun and its own twin.

Four independent routes: schedules worked out by hand; one server, where Lindley's recursion is
exact and Pollaczek-Khinchine gives the mean; a list-and-loop rerun of continuous batching written
for this test; and ``Scheduler``, the policy in plain Python.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syslab.serving import (
    CONVERSATION,
    Objective,
    Policy,
    Shape,
    StepCost,
    Trace,
    largest_rate,
    simulate,
    simulate_disaggregated,
    synthetic_trace,
)
from syslab.serving.scheduler import Scheduler, Sequence

TICK = StepCost(overhead_s=1.0)  # every step takes a second, whatever is in it
MIXED = StepCost(
    overhead_s=0.01, weights_s=0.02, token_s=3e-4, pair_s=1e-6, cached_token_s=2e-5,
    sample_s=1e-3, sequence_s=1e-4, swap_token_s=1e-3,
)  # fmt: skip


def run_plain(trace, cost, policy):
    """Serve a trace with ``Scheduler`` and a clock; return admitted, first, finish, preemptions."""
    scheduler, now, arrived, n = Scheduler(policy), 0.0, 0, len(trace)
    first, finish, preempted = np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, int)
    sequences = [
        Sequence(i, int(p), int(o), int(h))
        for i, (p, o, h) in enumerate(
            zip(trace.prompt_tokens, trace.output_tokens, trace.cached_tokens, strict=True)
        )
    ]
    while True:
        while arrived < n and trace.arrival_s[arrived] <= now:
            scheduler.arrive(sequences[arrived])
            arrived += 1
        step = scheduler.next_step()
        if not step.tokens:
            if arrived == n:
                assert not scheduler.running
                assert not scheduler.waiting
                assert scheduler.used_blocks == 0
                return first, finish, preempted
            now = max(now, trace.arrival_s[arrived])
            continue
        most = max(policy.token_budget, policy.max_sequences)
        assert step.tokens <= most or len(step.prompts) == 1
        assert len(scheduler.running) <= policy.max_sequences
        if policy.kv_blocks:
            assert scheduler.used_blocks <= policy.kv_blocks
        now += cost.step_s(
            tuple((start, count) for _, start, count in step.prompts),
            tuple(s.cached + 1 for s in step.decodes),
            sum(s.cached + count >= s.target for s, _, count in step.prompts),
            step.swapped_blocks * policy.block_tokens,
        )
        for s in scheduler.finish_step(step):
            preempted[s.request] = s.preemptions
            if s.generated == 1:
                first[s.request] = now
            if s.generated == s.output_tokens:
                finish[s.request] = now


# ------------------------------------------------------------------ by hand


def test_static_batch_by_hand():
    # 0 and 1 are there at the start; 2 arrives a moment later and waits for both to end.
    trace = Trace([0, 0, 0.5], [5, 9, 4], [2, 4, 1])
    run = simulate(trace, TICK, Policy("static", max_sequences=8))
    assert run.first_token_s.tolist() == [1, 1, 5]
    assert run.finish_s.tolist() == [2, 4, 5]
    assert run.totals.steps == 5
    assert run.totals.padded_tokens == (9 - 5) + 2  # short prompt, then two steps beside 1
    assert run.queue_s.tolist() == [0, 0, 3.5]


def test_continuous_batch_by_hand():
    # Steps: prompts 0+1 | decode 0,1 | prompt 2 (decodes wait) | decode 1 | decode 1
    trace = Trace([0, 0, 1.5], [5, 9, 4], [2, 4, 1])
    run = simulate(trace, TICK, Policy("continuous"))
    assert run.first_token_s.tolist() == [1, 1, 3]
    assert run.finish_s.tolist() == [2, 5, 3]
    assert run.longest_gap_s.tolist() == [1, 2, 0]  # 1 was stalled by the prompt of 2


def test_chunked_batch_by_hand():
    # Budget 4: 0 is a prompt of 6 -> chunks 4, 2. Then 1 arrives: 3 of it fit beside a decode.
    trace = Trace([0, 1.5], [6, 5], [4, 2])
    run = simulate(trace, TICK, Policy("chunked", max_sequences=4, token_budget=4))
    # 1: four of 0 | 2: two of 0, its first token at 2 | 3: decode 0, three of 1 | 4: decode 0,
    # two of 1, its first token at 4 | 5: decode both, both done
    assert run.first_token_s.tolist() == [2, 4]
    assert run.finish_s.tolist() == [5, 5]
    assert run.longest_gap_s.tolist() == [1, 1]  # nobody was stalled


def test_a_prompt_that_arrives_with_a_step_shares_its_budget():
    trace = Trace([0, 0], [6, 5], [1, 1])
    run = simulate(trace, TICK, Policy("chunked", max_sequences=4, token_budget=8))
    assert run.first_token_s.tolist() == [1, 2]  # 6 + 2 tokens, then 3


def test_preemption_by_recompute_by_hand():
    # Blocks of 1 token, 6 of them. 0 and 1 (2 tokens each) hold 4 and grow by one each: full.
    # Next step 0 needs a block: 1, the younger, gives up its 3 and starts again with 2 + 2 known
    # tokens when 0 has gone.
    policy = Policy(kv_blocks=6, block_tokens=1, reserve_share=0)
    run = simulate(Trace([0, 0], [2, 2], [4, 4]), TICK, policy)
    # steps: prompts | decode both | decode 0 alone (5 blocks) -> 1 needs 4 blocks, 1-2 are free
    # | decode 0: finished at 4 | prompt of 1 with 4 tokens: third token at 5 | decode: 6
    assert run.preemptions.tolist() == [0, 1]
    assert run.finish_s.tolist() == [4, 6]
    assert run.totals.recomputed_tokens == 3
    assert run.longest_gap_s.tolist() == [1, 3]
    assert run.totals.peak_blocks == 6


def test_preemption_by_swap_by_hand():
    policy = Policy(kv_blocks=6, block_tokens=1, reserve_share=0, preemption="swap")
    cost = dataclasses.replace(TICK, swap_token_s=0.25)
    run = simulate(Trace([0, 0], [2, 2], [4, 4]), cost, policy)
    # 1 goes out with 3 blocks in the third step and comes back in the fifth: 0.75 s each.
    assert run.finish_s.tolist() == [4.75, 7.5]
    assert run.totals.swapped_blocks == 6
    assert run.totals.recomputed_tokens == 0


def test_what_can_never_fit_is_rejected_and_blocks_nobody():
    policy = Policy(kv_blocks=4, block_tokens=4)
    for batching in ("static", "continuous", "chunked"):
        which = dataclasses.replace(policy, batching=batching)
        run = simulate(Trace([0, 0, 0], [16, 17, 10], [1, 1, 8]), TICK, which)
        assert run.served.tolist() == [True, False, False]  # 10 + 8 - 1 = 17 tokens
        assert run.rejected == 2
        assert run.attainment(Objective(10, 10)) == pytest.approx(1 / 3)


def test_prefix_hits_save_computing():
    cost = StepCost(token_s=1.0)
    run = simulate(Trace([0], [10], [1], [6]), cost)
    assert run.ttft_s.tolist() == [4]


def test_window_is_used():
    cost = StepCost(cached_token_s=1.0, window=4, window_share=1)
    run = simulate(Trace([0], [10], [3]), cost)
    assert run.finish_s.tolist() == [8]  # two decode steps that see 4 tokens each


# ------------------------------------------------------- one server: queueing


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_one_at_a_time_is_lindleys_recursion(seed):
    trace = synthetic_trace(60, Shape("x", 2.0, 1.5, 40, 0.9, 6, 0.8), seed=seed)
    run = simulate(trace, MIXED, Policy(max_sequences=1))
    wait, free_at = [], 0.0
    for at, p, o in zip(trace.arrival_s, trace.prompt_tokens, trace.output_tokens, strict=True):
        start = max(at, free_at)
        service = MIXED.prefill_s(int(p)) + sum(MIXED.decode_s(1, int(p) + k) for k in range(1, o))
        wait.append(start - at)
        free_at = start + service
    assert run.queue_s == pytest.approx(wait)


def test_one_at_a_time_is_pollaczek_khinchine():
    shape = Shape("x", 0.6, 1.0, 40, 0.9, 8, 0.9)  # Poisson arrivals
    trace = synthetic_trace(200_000, shape, seed=5)
    cost = StepCost(overhead_s=1 / 8)  # a service of about 1 s, CV 0.9
    run = simulate(trace, cost, Policy(max_sequences=1))
    service = trace.output_tokens / 8
    rate = trace.requests_per_s
    predicted = rate * (service**2).mean() / (2 * (1 - rate * service.mean()))
    assert run.queue_s.mean() == pytest.approx(predicted, rel=0.05)


# ---------------------------------------------------------- brute-force rerun


def brute_force(trace, cost, slots, budget):
    """Continuous batching without a memory limit, one list of dicts and no cleverness."""
    columns = (trace.arrival_s, trace.prompt_tokens, trace.output_tokens)
    todo = [
        {"at": at, "p": int(p), "o": int(o), "out": []} for at, p, o in zip(*columns, strict=True)
    ]
    inside, now = [], 0.0
    while any(len(r["out"]) < r["o"] for r in todo):
        queue = [r for r in todo if r["at"] <= now and not r["out"] and r not in inside]
        batch = []
        for r in queue:
            if len(inside) + len(batch) == slots:
                break
            if batch and sum(b["p"] for b in batch) + r["p"] > budget:
                break
            batch.append(r)
        if batch:
            now += cost.step_s(tuple((0, r["p"]) for r in batch))
            inside += batch
            touched = batch
        elif inside:
            now += cost.step_s(contexts=tuple(r["p"] + len(r["out"]) for r in inside))
            touched = list(inside)
        else:
            now = min(r["at"] for r in todo if not r["out"])
            continue
        for r in touched:
            r["out"].append(now)
        inside = [r for r in inside if len(r["out"]) < r["o"]]
    return [r["out"] for r in todo]


@given(
    st.lists(
        st.tuples(st.floats(0, 0.4), st.integers(1, 30), st.integers(1, 8)), min_size=1, max_size=9
    ),
    st.integers(1, 5),
    st.integers(1, 60),
)
@settings(max_examples=80, deadline=None)
def test_continuous_against_brute_force(rows, slots, budget):
    gaps, prompt, output = (np.array(column) for column in zip(*rows, strict=True))
    trace = Trace(np.cumsum(gaps), prompt, output)
    run = simulate(trace, MIXED, Policy(max_sequences=slots, token_budget=budget))
    tokens = brute_force(trace, MIXED, slots, budget)
    assert run.first_token_s == pytest.approx([t[0] for t in tokens])
    assert run.finish_s == pytest.approx([t[-1] for t in tokens])
    gaps = [max(np.diff(t), default=0) for t in tokens]
    assert run.longest_gap_s == pytest.approx(gaps)


# -------------------------------------------------- the scheduler in plain Python


@given(
    rows=st.lists(
        st.tuples(st.floats(0, 0.3), st.integers(1, 24), st.integers(1, 16), st.integers(0, 9)),
        min_size=1, max_size=14,
    ),
    batching=st.sampled_from(["continuous", "chunked"]),
    preemption=st.sampled_from(["recompute", "swap"]),
    blocks=st.one_of(st.none(), st.integers(2, 30)),
    size=st.integers(1, 5),
    slots=st.integers(1, 6),
    budget=st.integers(0, 30),
    reserve=st.sampled_from([0, 0.1, 0.3]),
)  # fmt: skip
@settings(max_examples=250, deadline=None)
def test_compiled_and_plain_scheduler_agree(
    rows, batching, preemption, blocks, size, slots, budget, reserve
):
    gaps, prompt, output, hit = (np.array(column) for column in zip(*rows, strict=True))
    trace = Trace(np.cumsum(gaps), prompt, output, np.minimum(hit, prompt - 1))
    policy = Policy(batching, slots, slots + budget, blocks, size, preemption, reserve)
    run = simulate(trace, MIXED, policy)
    first, finish, preempted = run_plain(trace, MIXED, policy)
    np.testing.assert_allclose(run.first_token_s, first)
    np.testing.assert_allclose(run.finish_s, finish)
    served = np.isfinite(finish)
    assert run.preemptions[served].tolist() == preempted[served].tolist()


@pytest.mark.parametrize("batching", ["continuous", "chunked"])
@pytest.mark.parametrize("preemption", ["recompute", "swap"])
def test_they_agree_under_constant_preemption(batching, preemption):
    trace = synthetic_trace(150, Shape("x", 20, 1.0, 30, 0.9, 30, 0.8), seed=6)
    policy = Policy(batching, 16, 64, 60, 4, preemption, 0)
    run = simulate(trace, MIXED, policy)
    first, finish, preempted = run_plain(trace, MIXED, policy)
    assert preempted.sum() > 50
    np.testing.assert_allclose(run.finish_s, finish)
    np.testing.assert_allclose(run.first_token_s, first)
    assert (run.preemptions == preempted).all()


@pytest.mark.parametrize("batching", ["continuous", "chunked"])
@pytest.mark.parametrize("share", [0, 0.5])
def test_leaping_over_steady_steps_changes_nothing(batching, share):
    # With a timeline, or with windows, every step is taken on its own.
    trace = synthetic_trace(400, Shape("x", 2, 1.5, 60, 0.9, 60, 0.8), seed=7)
    cost = dataclasses.replace(MIXED, window=20, window_share=share)
    policy = Policy(batching, 16, 64, 120, 4)
    run, slow = simulate(trace, cost, policy), simulate(trace, cost, policy, timeline_rows=2)
    for field in ("first_token_s", "finish_s", "longest_gap_s"):
        np.testing.assert_allclose(getattr(run, field), getattr(slow, field), rtol=1e-9)
    assert run.totals.steps == slow.totals.steps
    assert run.totals.peak_blocks == slow.totals.peak_blocks
    assert run.totals.busy_s == pytest.approx(slow.totals.busy_s)
    _first, finish, _ = run_plain(trace, cost, policy)
    np.testing.assert_allclose(run.finish_s, finish)


# -------------------------------------------------------------- conservation


@pytest.mark.parametrize("batching", ["static", "continuous", "chunked"])
@pytest.mark.parametrize("preemption", ["recompute", "swap"])
def test_conservation(batching, preemption):
    trace = synthetic_trace(3000, CONVERSATION, seed=1, requests_per_s=4)
    policy = Policy(batching, 64, 512, 400, 16, preemption)
    cost = StepCost(overhead_s=2e-3, weights_s=5e-3, token_s=2e-5, cached_token_s=4e-8)
    run = simulate(trace, cost, policy, timeline_rows=500)
    ok = run.served
    assert 0 < run.rejected < 60  # longer than 400 blocks of 16
    tokens, totals = int(trace.output_tokens[ok].sum()), run.totals
    if batching == "static":
        useful = totals.prompt_tokens + totals.decoded_tokens - totals.padded_tokens
        assert useful == int(trace.prompt_tokens[ok].sum()) + tokens - int(ok.sum())
    elif preemption == "swap" and batching == "continuous":
        assert totals.decoded_tokens == tokens - int(ok.sum())
        assert totals.prompt_tokens == int(trace.prompt_tokens[ok].sum())
    else:
        # each recomputed sequence samples one token at the end of its prompt again
        assert totals.decoded_tokens <= tokens - int(ok.sum())
        assert totals.prompt_tokens >= int(trace.prompt_tokens[ok].sum())
    assert (run.preemptions.sum() > 20) == (batching != "static")
    assert totals.peak_blocks <= 400
    assert (run.queue_s[ok] >= 0).all()
    alone = np.array([cost.prefill_s(int(p)) for p in trace.prompt_tokens[ok]])
    assert (run.ttft_s[ok] >= alone * (1 - 1e-9)).all()
    tpot = run.tpot_s[ok]
    assert np.nanmin(tpot) >= cost.decode_s(1, 1)
    assert (run.longest_gap_s[ok] >= np.nan_to_num(tpot) * (1 - 1e-9)).all()
    assert run.timeline.shape[0] >= 250
    assert (np.diff(run.timeline[:, 0]) > 0).all()
    assert run.timeline[:, 4].max() <= totals.peak_blocks
    assert totals.busy_s <= run.span_s


def test_policies_rank_as_published():
    # Orca (OSDI 2022): continuous beats static; Sarathi (OSDI 2024): chunks remove stalls.
    trace = synthetic_trace(3000, CONVERSATION, seed=2, requests_per_s=3)
    cost = StepCost(overhead_s=2e-3, weights_s=6e-3, token_s=4e-5, cached_token_s=6e-8)
    static, continuous, chunked = (
        simulate(trace, cost, Policy(batching, 64, 512))
        for batching in ("static", "continuous", "chunked")
    )
    assert continuous.percentile("ttft_s", 99) < static.percentile("ttft_s", 99) / 5
    stall = "longest_gap_s"
    assert chunked.percentile(stall, 99) < continuous.percentile(stall, 99) / 3


def test_largest_rate_is_on_the_brink():
    trace = synthetic_trace(1500, seed=4)
    cost = StepCost(overhead_s=2e-3, weights_s=6e-3, token_s=4e-5, cached_token_s=6e-8)
    policy, objective = Policy("chunked", 128, 512), Objective(1.0, 0.05)
    rate = largest_rate(trace, cost, policy, objective)
    for factor, enough in ((0.97, True), (1.05, False)):
        run = simulate(trace.at_rate(rate * factor), cost, policy)
        assert (run.attainment(objective) >= 0.9) == enough
    assert largest_rate(trace, cost, policy, Objective(1e-4, 1e-4)) == 0


def test_outcome_figures_by_hand():
    run = simulate(Trace([0, 0, 1.5], [5, 9, 4], [2, 4, 1]), TICK)
    assert run.ttft_s.tolist() == [1, 1, 1.5]
    assert run.tpot_s[:2].tolist() == pytest.approx([1, 4 / 3])
    assert np.isnan(run.tpot_s[2])
    assert run.e2e_s.tolist() == [2, 5, 1.5]
    assert run.output_tokens_per_s == 7 / 5
    assert run.good(Objective(1.2, 1.2)).tolist() == [True, False, False]
    assert run.good(Objective(2, 1.4)).all()  # one token: no TPOT to miss
    assert run.goodput(Objective(1.2, 1.2)) == 1 / 5
    assert run.percentile("ttft_s", 50) == 1
    assert run.busy_share == 1


# ------------------------------------------------------------ disaggregation


def test_disaggregation_by_hand():
    trace = Trace([0, 0], [4, 8], [3, 1])
    cost = StepCost(token_s=1.0)
    run = simulate_disaggregated(
        trace, cost, TICK, prefill_policy=Policy(token_budget=4), transfer_token_s=0.5
    )
    # prompt of 0: 4 s, transfer 2 s, two decode steps of 1 s; prompt of 1 follows: 12 s, done
    assert run.first_token_s.tolist() == [4, 12]
    assert run.finish_s.tolist() == [8, 12]
    assert run.longest_gap_s.tolist() == [3, 0]
    assert run.ttft_s.tolist() == [4, 12]


def test_disaggregation_never_stalls_decoding():
    trace = synthetic_trace(2000, CONVERSATION, seed=3, requests_per_s=3)
    cost = StepCost(overhead_s=2e-3, weights_s=6e-3, token_s=4e-5, cached_token_s=6e-8)
    together = simulate(trace, cost)
    apart = simulate_disaggregated(trace, cost, cost, prefill_engines=2, decode_engines=2)
    assert apart.percentile("longest_gap_s", 99) < together.percentile("longest_gap_s", 99) / 3
    assert apart.served.all()
    assert apart.totals.prompt_tokens == int(trace.prompt_tokens.sum())
    assert apart.totals.decoded_tokens == int(trace.output_tokens.sum()) - 2000


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Policy("dynamic"), "batching='dynamic'"),
        (lambda: Policy(preemption="drop"), "preemption"),
        (lambda: Policy("chunked", 64, 32), "token_budget=32"),
        (lambda: Policy(kv_blocks=0), "kv_blocks=0"),
        (lambda: Scheduler(Policy("static")), "simulate"),
        (lambda: Objective(0, 1), "ttft_s=0"),
        (lambda: simulate(synthetic_trace(2), TICK, timeline_rows=1), "timeline_rows=1"),
        (lambda: simulate(synthetic_trace(2), TICK).percentile("p99", 99), "metric='p99'"),
        (lambda: simulate_disaggregated(synthetic_trace(2), TICK, TICK, decode_engines=0), "=0"),
    ],
)
def test_errors(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_stale_machine_code_is_dropped(tmp_path, monkeypatch):
    import os

    from syslab.serving import _fresh

    monkeypatch.setattr(_fresh, "__file__", str(tmp_path / "_fresh.py"))
    (tmp_path / "__pycache__").mkdir()
    for name in ("outer", "inner"):
        (tmp_path / f"{name}.py").write_text("")
        index = tmp_path / "__pycache__" / f"{name}.run-1.py311.nbi"
        index.write_text("")
        os.utime(index, (2000, 2000))
        os.utime(tmp_path / f"{name}.py", (1000, 1000))
    assert _fresh.forget_stale_machine_code("outer", "inner") == []
    os.utime(tmp_path / "inner.py", (3000, 3000))  # the outer function calls into it
    assert len(_fresh.forget_stale_machine_code("outer", "inner")) == 2
    assert not list((tmp_path / "__pycache__").iterdir())
