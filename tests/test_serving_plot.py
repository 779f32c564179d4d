"""The views of the kv-cache bench: what stands under the picture is what the instruments say."""

import re
from dataclasses import replace

import pytest

from syslab import facts
from syslab.kvcache import Split, plan_memory
from syslab.serving import CONVERSATION, Objective, Policy, plot, simulate, synthetic_trace
from syslab.serving.replay import replay

LLAMA, H100 = facts.model("Llama-3.1 8B"), facts.hardware("H100 SXM")
OBJECTIVE = Objective(1.0, 0.05)


def test_every_setting_of_the_memory_view_can_be_drawn():
    view = plot.memory_view()
    seen = set()
    for model in view.controls["model"].values:
        for gpu in view.controls["gpu"].values:
            for gpus in view.controls["gpus"].values:
                view.set(model=model, gpu=gpu, gpus=gpus)
                seen.add(view.caption.rpartition(": ")[2][:10])
                assert view.caption
    assert len(seen) > 1


def test_the_memory_view_says_what_the_plan_says():
    view = plot.memory_view()
    view.set(model="Llama-3.1 70B", gpus=4, context=8192, batch=32)
    plan = plan_memory(facts.model("Llama-3.1 70B"), H100, split=Split(4))
    assert f"{plan.pool_bytes / 1e9:.1f} GB left" in view.caption
    assert view.caption.endswith("fits")
    view.set(batch=1024)
    assert f"OOM: the cache holds {plan.largest_batch(8192)} such" in view.caption
    view.set(gpus=1)
    assert "the weights alone do not fit" in view.caption
    view.set(model="Llama-2 7B", context=131_072, batch=1)
    assert "context ends at 4,096" in view.caption


@pytest.mark.parametrize(("gpu", "binds"), [("H100 SXM", "memory"), ("H200", "TPOT")])
def test_the_latency_view_names_what_binds(gpu, binds):
    view = plot.latency_view(objective=OBJECTIVE)
    view.set(gpu=gpu)
    device = facts.hardware(gpu)
    cost = plot.achieved_cost(LLAMA, device)
    most = plan_memory(LLAMA, device).largest_batch(2048)
    quick = plot.largest_batch_in_time(cost, 2048, 0.05)
    assert f"{binds} binds at {min(most, quick):,}" in view.caption
    assert cost.decode_s(quick, 2048) <= 0.05 < cost.decode_s(quick + 1, 2048)


def test_the_latency_view_says_why_nothing_works():
    view = plot.latency_view(objective=OBJECTIVE)
    view.set(gpu="L4")
    assert "even one sequence is too slow" in view.caption
    view.set(gpu="H100 SXM", model="Llama-3.1 70B")
    assert "the weights do not fit" in view.caption


def test_fp8_is_computed_in_bf16_where_there_is_no_fp8_peak():
    a100 = facts.hardware("A100 80GB")
    eight = plot.achieved_cost(LLAMA, a100, weight_dtype="fp8")
    sixteen = plot.achieved_cost(LLAMA, a100)
    assert eight.token_s == sixteen.token_s
    assert eight.weights_s == pytest.approx(sixteen.weights_s / 2)
    assert plot.achieved_cost(LLAMA, H100, weight_dtype="fp8").token_s < sixteen.token_s


def test_the_allocation_view_shows_the_counters_of_its_step():
    small = replace(CONVERSATION, requests_per_s=1.0, prompt_mean=24, output_mean=24)
    frames = replay(synthetic_trace(80, small, seed=3), 1024, steps=60)
    view = plot.allocation_view(frames)
    for step in (0, 59):
        view.set(step=step)
        for name, shown in frames.items():
            said = re.search(rf"{name}: internal (\d+), .*?finished (\d+)", view.caption)
            assert [int(x) for x in said.groups()] == [
                shown[step].counters.internal_slots, shown[step].finished,
            ]  # fmt: skip


def test_the_load_view_shows_the_run_it_stands_for():
    trace, cost = synthetic_trace(200, seed=5), plot.achieved_cost(LLAMA, H100)
    policy = Policy("chunked", 512, 1024, plan_memory(LLAMA, H100).blocks(16))
    view = plot.load_view(trace, cost, policy, OBJECTIVE)
    view.set(memory=10, batching="continuous", rate=20.0)
    rules = replace(policy, batching="continuous", kv_blocks=round(0.1 * policy.kv_blocks))
    run = simulate(trace.at_rate(20.0), cost, rules)
    assert f"pushed out {run.preemptions.sum():,} times" in view.caption
    assert f"TTFT p50 {run.percentile('ttft_s', 50):.2f} s" in view.caption
    with pytest.raises(ValueError, match="kv_blocks=None"):
        plot.load_view(trace, cost, Policy(), OBJECTIVE)
