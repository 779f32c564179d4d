"""Step costs: pair counts by enumeration, the roofline kernel by kernel, fits that find back."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syslab import facts
from syslab.kvcache import kv_bytes_per_token
from syslab.roofline import kernels, time_bounds
from syslab.serving import MeasuredStep, StepCost, calibrate, model_work, roofline_cost
from syslab.serving._counts import causal_pairs, seen_tokens

H100 = facts.hardware("H100 SXM")
LLAMA8 = facts.model("Llama-3 8B")


@given(st.integers(0, 30), st.integers(1, 30), st.integers(1, 20), st.sampled_from([0, 0.5, 1]))
def test_pairs_by_enumeration(start, count, window, share):
    full = sum(i + 1 for i in range(start, start + count))
    cut = sum(min(i + 1, window) for i in range(start, start + count))
    wanted = (1 - share) * full + share * cut
    assert causal_pairs(start, count, window, share) == pytest.approx(wanted)
    context = start + count
    wanted = (1 - share) * context + share * min(context, window)
    assert seen_tokens(context, window, share) == pytest.approx(wanted)


def test_chunks_of_a_prompt_cost_its_pairs_together():
    assert causal_pairs(0, 100, 0, 0) == causal_pairs(0, 30, 0, 0) + causal_pairs(30, 70, 0, 0)


def test_step_by_hand():
    cost = StepCost(overhead_s=1, weights_s=10, token_s=2, pair_s=0.5, cached_token_s=0.25,
                    sample_s=3, sequence_s=0.125, swap_token_s=7)  # fmt: skip
    # chunk of 3 tokens after 2 (pairs 3 + 4 + 5), unfinished; two sequences of 4 and 6
    got = cost.step_s(((2, 3),), (4, 6), prompts_finished=0, swapped_tokens=1)
    assert got == 1 + max(10, 5 * 2) + 12 * 0.5 + (2 + 4 + 6) * 0.25 + 2 * 3 + 3 * 0.125 + 7
    assert cost.step_s(swapped_tokens=2) == 14  # no tokens: nothing is computed
    assert cost.knee_tokens == 5
    assert cost.scaled(2).step_s(((2, 3),), (4, 6), 0, 1) == 2 * got


def kernel_by_kernel(model, device, contexts=(), prompt=0, bytes_=2):
    """Return the roofline time of a step as a sum over its matrix products and attentions."""
    peak, bandwidth = device.peak("bf16"), device.bandwidth
    tokens = prompt + len(contexts)

    def seconds(work):
        return time_bounds(work.flop, work.bytes, peak, bandwidth)[0]

    h, d = model.hidden, model.head_dim
    qkv = (model.heads + 2 * model.kv_heads) * d
    total = 0.0
    for columns, rows in ((qkv, h), (h, model.heads * d), (2 * model.ffn, h), (h, model.ffn)):
        total += model.layers * seconds(kernels.gemm(tokens, columns, rows, bytes_))
    total += seconds(kernels.gemm(len(contexts) + (prompt > 0), model.vocab, h, bytes_))
    shape = (model.heads, model.kv_heads)
    if prompt:
        total += model.layers * seconds(kernels.attention_prefill(1, *shape, prompt, d))
    for context in contexts:
        total += model.layers * seconds(kernels.attention_decode(1, *shape, context, d))
    return total


@pytest.mark.parametrize("name", ["Llama-3 8B", "Llama-2 7B", "Qwen2.5 7B"])
def test_closed_form_against_a_sum_of_kernels(name):
    # The closed form leaves activations out, so it lies below, by a few percent.
    model = facts.model(name)
    cost = roofline_cost(model, H100)
    for prompt in (2048, 8192):
        share = cost.prefill_s(prompt) / kernel_by_kernel(model, H100, prompt=prompt)
        assert 0.9 < share <= 1
    for batch, context in ((1, 500), (8, 4000), (64, 2000)):
        whole = kernel_by_kernel(model, H100, contexts=(context,) * batch)
        assert 0.9 < cost.decode_s(batch, context) / whole <= 1.001


def test_decode_of_one_sequence_is_reading_the_weights():
    # The textbook estimate: weights over bandwidth; the token table is looked up, not read.
    cost = roofline_cost(LLAMA8, H100)
    read = 2 * (LLAMA8.params - LLAMA8.vocab * LLAMA8.hidden)
    assert cost.decode_s(1, 1) == pytest.approx(read / H100.bandwidth, rel=2e-3)
    assert cost.cached_token_s == kv_bytes_per_token(LLAMA8) / H100.bandwidth


def test_the_knee_is_the_ridge_point_at_16_bit():
    cost = roofline_cost(facts.model("Llama-3 70B"), H100)
    head = 128256 * 8192 / (70_553_706_496 - 2 * 128256 * 8192)  # read but not in token_s
    assert cost.knee_tokens == pytest.approx(H100.ridge("bf16") * (1 + head), rel=1e-3)


def test_tensor_parallel_speeds_up_and_pays_for_exchange():
    model = facts.model("Llama-3 70B")
    one, four = (roofline_cost(model, H100, tp=tp) for tp in (1, 4))
    assert four.weights_s == one.weights_s / 4
    assert four.cached_token_s == one.cached_token_s / 4
    exchange = 2 * 80 * 8192 * 2 * 2 * 3 / 4 / (H100.interconnect / 2)
    assert four.token_s == pytest.approx(one.token_s / 4 + exchange)
    # 16 GPUs, 8 KV heads: each is read twice, so the cache is not read faster than with 8.
    assert roofline_cost(model, H100, tp=16).cached_token_s == one.cached_token_s / 8


def test_experts_are_read_as_the_batch_touches_them():
    model = facts.model("Mixtral 8x7B")
    cost = roofline_cost(model, H100)
    assert cost.expert_share == 0.25
    whole = 32 * 8 * 3 * 4096 * 14336 * 2 / H100.bandwidth
    assert cost.experts_s == pytest.approx(whole)
    step = cost.decode_s(2, 1) - dataclasses.replace(cost, experts_s=0).decode_s(2, 1)
    assert step == pytest.approx(whole * (1 - 0.75**2))


def test_mla_decode_can_be_bound_by_arithmetic():
    work = model_work(facts.model("DeepSeek-V3"))
    intensity = work.cached_token_flop / work.cached_token_bytes
    assert intensity == pytest.approx(2 * 128 * (576 + 512) / 1152)  # 242 FLOP/B
    assert intensity < H100.ridge("bf16")  # 295: still memory
    assert model_work(LLAMA8).cached_token_flop / model_work(LLAMA8).cached_token_bytes == 4


def test_windows_cap_what_is_read():
    cost = roofline_cost(facts.model("Mistral 7B"), H100)
    assert cost.decode_s(1, 4096) == cost.decode_s(1, 40960)
    half = roofline_cost(facts.model("Gemma-2 9B"), H100)
    grow = [half.decode_s(1, c + 1000) - half.decode_s(1, c) for c in (1000, 6000)]
    assert grow[1] == pytest.approx(grow[0] / 2)


TRUE = StepCost(
    overhead_s=0.004, weights_s=32 * 5e-4, token_s=5e-4, pair_s=2e-7, cached_token_s=3e-6,
    sample_s=1e-3, sequence_s=4e-4,
)  # fmt: skip


def steps(cost, noise=0.0):
    draw = np.random.default_rng(0)
    made = []
    for _ in range(120):
        chunks = tuple(
            (int(draw.integers(0, 300)), int(draw.integers(1, 400)))
            for _ in range(draw.integers(0, 3))
        )
        contexts = tuple(int(c) for c in draw.integers(1, 900, size=draw.integers(0, 20)))
        if not chunks and not contexts:
            continue
        done = int(draw.integers(0, len(chunks) + 1))
        seconds = cost.step_s(chunks, contexts, done) * np.exp(noise * draw.normal())
        made.append(MeasuredStep(seconds, chunks, contexts, done))
    return made


def test_calibration_finds_the_cost_that_made_the_steps():
    fit = calibrate(steps(TRUE))
    assert fit.knee_tokens == 32
    assert fit.worst_error < 1e-6
    for field in dataclasses.fields(TRUE):
        assert getattr(fit.cost, field.name) == pytest.approx(getattr(TRUE, field.name), rel=1e-4)


def test_calibration_finds_a_ramp():
    ramped = dataclasses.replace(TRUE, ramp_s=6e-3, ramp_tokens=4)
    draw = np.random.default_rng(1)
    few = [tuple(int(c) for c in draw.integers(1, 900, size=n)) for n in (1, 2, 3, 4, 5, 9) * 8]
    made = steps(ramped) + [MeasuredStep(ramped.step_s(contexts=c), (), c) for c in few]
    fit = calibrate(made)
    assert fit.worst_error < 1e-6
    assert fit.cost.ramp_tokens == 4
    assert fit.cost.ramp_s == pytest.approx(6e-3)
    assert ramped.decode_s(9, 5) - TRUE.decode_s(9, 5) == pytest.approx(4 * 6e-3)
    assert calibrate(made, ("overhead_s", "token_s", "cached_token_s")).worst_error > 0.1


def test_calibration_under_noise_predicts_new_steps():
    fit = calibrate(steps(TRUE, noise=0.05))
    assert 0.01 < fit.median_error < 0.06
    for prompt in (50, 800):
        assert fit.cost.prefill_s(prompt) == pytest.approx(TRUE.prefill_s(prompt), rel=0.1)
    assert fit.cost.decode_s(8, 400) == pytest.approx(TRUE.decode_s(8, 400), rel=0.1)


def test_calibration_can_leave_terms_out():
    fit = calibrate(steps(TRUE), ("overhead_s", "token_s"))
    assert fit.cost.pair_s == fit.cost.sequence_s == 0
    assert fit.worst_error > 0.05


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: StepCost(token_s=-1), "token_s=-1"),
        (lambda: StepCost(expert_share=1.5), "expert_share"),
        (lambda: roofline_cost(LLAMA8, H100, compute_efficiency=0), "compute_efficiency=0"),
        (lambda: calibrate(steps(TRUE), ("speed",)), "speed"),
        (lambda: calibrate(steps(TRUE)[:3]), "at least 14"),
        (lambda: calibrate(steps(TRUE), ("ramp_s",)), "surcharge"),
        (lambda: calibrate([MeasuredStep(0, ((0, 1),))] * 20), "0 s or less"),
    ],
)
def test_errors(call, says):
    with pytest.raises(ValueError, match=says):
        call()
