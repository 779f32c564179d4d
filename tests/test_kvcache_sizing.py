"""KV bytes, weights and memory plans against published figures and by-hand arithmetic."""

import dataclasses

import pytest

from syslab import facts
from syslab.kvcache import (
    GIB,
    CacheFormat,
    Split,
    activation_bytes,
    cache_format,
    copies_of_a_head,
    kv_bytes,
    kv_bytes_per_gpu,
    kv_bytes_per_token,
    layer_windows,
    parameters,
    plan_memory,
    weight_bytes_per_gpu,
)

LLAMA70 = facts.model("Llama-3 70B")
H100 = facts.hardware("H100 SXM")

# Kwon et al., SOSP 2023, section 3 ("800 KB"); the others are 2 * layers * KV heads * head size *
# 2 B with the published configurations of Llama 2 and 3, GPT-3 (Table 2.1) and SmolLM2.
PUBLISHED_PER_TOKEN = {
    "OPT-13B": 819_200,
    "Llama-2 7B": 524_288,
    "Llama-3 70B": 327_680,
    "GPT-3 175B": 4_718_592,
    "SmolLM2-135M": 23_040,
}


@pytest.mark.parametrize(("name", "expected"), PUBLISHED_PER_TOKEN.items())
def test_published_bytes_per_token(name, expected):
    model = facts.model(name)
    assert kv_bytes_per_token(model) == expected
    assert kv_bytes(model, 1) == expected
    assert kv_bytes_per_token(model, "fp8") == expected / 2


@pytest.mark.parametrize("name", facts.model_names())
def test_every_model_agrees_with_the_registry(name):
    # Counted per layer here, in one product there.
    model = facts.model(name)
    assert kv_bytes_per_token(model) == model.kv_bytes_per_token(2)


def test_the_vllm_papers_table_counts_gib():
    # Kwon et al., Table 1: OPT-13B on an A100 40GB has "12 GB" for the cache, "15.7K" slots.
    per_token = kv_bytes_per_token(facts.model("OPT-13B"))
    assert round(12 * GIB / per_token, -2) == 15_700
    assert round(12e9 / per_token, -2) == 14_600  # which the table does not say
    # Section 3: one request of 2,048 tokens takes up to 1.6 GB; this is 1.6 GiB too, rounded.
    assert kv_bytes(facts.model("OPT-13B"), 2048) / GIB == pytest.approx(1.6, abs=0.05)


def test_mla_is_worth_two_and_a_quarter_kv_heads():
    # DeepSeek-V2 report, Table 1: (d_c + d_R) = 9/2 d_h, "GQA with only 2.25 groups".
    model = facts.model("DeepSeek-V2")
    values = kv_bytes_per_token(model) / model.layers / 2
    assert values == 4.5 * model.head_dim == 2 * 2.25 * model.head_dim
    # The mistake: cache its 128 heads of keys and values.
    wrong = 2 * model.kv_heads * model.head_dim
    assert wrong / values == pytest.approx(56.9, abs=0.1)


def test_sliding_window_saves_eight_times_at_32k():
    # Jiang et al., "Mistral 7B", section 2, rolling buffer: 8x less cache at 32k tokens.
    model = facts.model("Mistral 7B")
    full = kv_bytes_per_token(model) * 32768
    assert full / kv_bytes(model, 32768) == 8
    assert kv_bytes(model, 4096) == kv_bytes_per_token(model) * 4096
    assert kv_bytes(model, 4097) == kv_bytes(model, 4096)


def test_alternating_layers_grow_at_half_the_pace():
    model = facts.model("Gemma-2 9B")
    windows = layer_windows(model)
    assert windows[:4] == (4096, None, 4096, None)
    assert len(windows) == 42
    assert windows.count(None) == 21
    per_token = kv_bytes_per_token(model)
    assert kv_bytes(model, 5000) == per_token // 2 * (5000 + 4096)


def test_five_windowed_layers_to_one_full():
    model = dataclasses.replace(
        facts.model("Gemma-2 9B"), layers=12, window_layers=10, sliding_window=100
    )
    w = 100
    assert layer_windows(model) == (w, w, w, w, w, None) * 2


def test_mqa_and_mha_from_one_shape():
    heads = LLAMA70.heads
    one = dataclasses.replace(LLAMA70, kv_heads=1, attention="mqa")
    all_ = dataclasses.replace(LLAMA70, kv_heads=heads, attention="mha")
    assert kv_bytes_per_token(all_) == 64 * kv_bytes_per_token(one) == 8 * 327_680


def test_quantised_caches_pay_for_their_scales():
    assert cache_format("int8_head").vector_bytes(128) == 128 + 2
    assert cache_format("int4_64").vector_bytes(128) == 64 + 2 * 4
    assert cache_format("int4_32").vector_bytes(64) == 32 + 2 * 4
    assert CacheFormat("odd", 3).vector_bytes(5) == 2  # 15 bits
    assert kv_bytes_per_token(LLAMA70, "int4_64") == 2 * 80 * 8 * 72
    assert kv_bytes_per_token(LLAMA70, "int4") == 2 * 80 * 8 * 64


def test_tensor_parallel_divides_heads_then_repeats_them():
    for tp, share in ((1, 1), (2, 2), (4, 4), (8, 8), (16, 8), (32, 8)):
        split = Split(tp)
        assert kv_bytes_per_gpu(LLAMA70, 1000, split=split) * share == kv_bytes(LLAMA70, 1000)
        assert copies_of_a_head(LLAMA70, split) == max(1, tp // 8)
    # Meta's first upload of Llama-3.1 405B stored its 8 KV heads twice, for 16 slices.
    assert copies_of_a_head(facts.model("Llama-3.1 405B"), Split(16)) == 2


def test_tensor_parallel_does_not_divide_a_latent():
    model = facts.model("DeepSeek-V3")
    assert kv_bytes_per_gpu(model, 777, split=Split(8)) == kv_bytes(model, 777)
    assert copies_of_a_head(model, Split(8)) == 8


def test_pipeline_takes_the_fullest_stage():
    model = facts.model("DeepSeek-V3")  # 61 layers over 4: 16, 15, 15, 15
    assert [len(s) for s in Split(1, 4).stages(61)] == [16, 15, 15, 15]
    assert kv_bytes_per_gpu(model, 10, split=Split(1, 4)) * 61 == kv_bytes(model, 10) * 16
    stages = Split(1, 7).stages(61)
    assert [layer for stage in stages for layer in stage] == list(range(61))


@pytest.mark.parametrize("name", facts.model_names())
def test_parameters_counted_from_the_shape(name):
    # Published totals are counts over checkpoints: an independent route.
    model = facts.model(name)
    counted = parameters(model)
    assert counted.total == pytest.approx(model.params, rel=1e-3)
    assert weight_bytes_per_gpu(model) == 2 * model.params


def test_exact_parameters_of_models_without_biases():
    for name in ("Llama-2 7B", "Llama-3.1 405B", "Mixtral 8x7B", "SmolLM2-135M"):
        assert parameters(facts.model(name)).total == facts.model(name).params


def test_active_parameters_of_experts():
    for name in ("Mixtral 8x7B", "DeepSeek-V2", "DeepSeek-V3"):
        model = facts.model(name)
        counted = parameters(model)
        both_tables = counted.active + counted.head + counted.embedding
        assert both_tables == pytest.approx(model.active_params, rel=0.03)


def test_weights_are_all_there_under_any_split():
    for name in ("Llama-3 70B", "Gemma-2 9B", "Mixtral 8x7B", "DeepSeek-V3"):
        model = facts.model(name)
        for split in (Split(2), Split(4, 2), Split(1, 3), Split(8, 4)):
            per_gpu = weight_bytes_per_gpu(model, split=split)
            assert per_gpu * split.gpus >= 2 * model.params  # the fullest GPU, so no less
            assert per_gpu * split.gpus < 2 * model.params * 1.6
    # 16 GPUs, 8 KV heads: each key and value projection is stored twice.
    extra = 2 * 80 * 2 * 8192 * 8 * 128
    assert weight_bytes_per_gpu(LLAMA70, split=Split(16)) * 16 == pytest.approx(
        2 * 70_553_706_496 + extra, abs=64
    )


def test_memory_plan_adds_up_and_is_tight():
    plan = plan_memory(LLAMA70, H100, split=Split(4))
    spent = plan.reserved_bytes + plan.weight_bytes + plan.activation_bytes + plan.pool_bytes
    assert spent == plan.capacity_bytes == H100.capacity_visible
    batch = plan.largest_batch(4096)
    assert batch * plan.sequence_bytes(4096) <= plan.pool_bytes
    assert (batch + 1) * plan.sequence_bytes(4096) > plan.pool_bytes
    assert plan.blocks(16) == plan.pool_tokens // 16
    assert "GiB" in plan.text()
    assert "79.65" in plan.text()


def test_largest_context_is_the_brink():
    model = dataclasses.replace(LLAMA70, max_context=10**7)
    plan = plan_memory(model, H100, split=Split(8))
    for batch in (1, 7, 64):
        most = plan.largest_context(batch)
        assert batch * plan.sequence_bytes(most) <= plan.pool_bytes
        assert batch * plan.sequence_bytes(most + 1) > plan.pool_bytes
    assert plan_memory(LLAMA70, H100, split=Split(8)).largest_context(1) == 8192  # the model's


def test_a_model_that_does_not_fit_says_so():
    plan = plan_memory(LLAMA70, H100)  # 141 GB of weights, 85.5 GB of memory
    assert not plan.fits
    assert plan.largest_batch(1) == plan.largest_context(1) == plan.pool_tokens == 0


def test_windowed_models_batch_by_what_they_keep():
    plan = plan_memory(facts.model("Mistral 7B"), H100)
    assert plan.largest_batch(32768) == plan.largest_batch(4096)


def test_logits_dominate_small_models_activations():
    model = facts.model("Llama-3 8B")
    without = activation_bytes(model, 256, 1)
    assert activation_bytes(model, 256, 257) - without == 256 * 128256 * 4


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Split(0), "tp=0"),
        (lambda: Split(3).heads_per_gpu(8), "divides the other"),
        (lambda: kv_bytes(LLAMA70, -1), "tokens=-1"),
        (lambda: kv_bytes(LLAMA70, 1.5), "tokens=1.5"),
        (lambda: cache_format("int3"), "int4_64"),
        (lambda: CacheFormat("x", 4, None, 2), "group_values"),
        (lambda: plan_memory(LLAMA70), "capacity_bytes"),
        (lambda: plan_memory(LLAMA70, H100, reserve_share=1), "reserve_share"),
        (lambda: plan_memory(LLAMA70, H100).largest_batch(0), "context_tokens=0"),
        (lambda: Split(1, 99).stages(80), "pp=99"),
    ],
)
def test_errors_name_argument_and_range(call, says):
    with pytest.raises((ValueError, KeyError), match=says):
        call()
