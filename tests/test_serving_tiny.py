"""A real model: bytes of its cache, greedy text with and without it, and the ragged engine."""

import os

import numpy as np
import pytest

from syslab import facts
from syslab.kvcache import kv_bytes
from syslab.serving import Policy, Trace, calibrate
from syslab.serving.tiny import (
    REGISTRY_NAME,
    greedy,
    measured_kv_bytes,
    missing_packages,
    tiny_model,
    torch_threads,
)

SHAPE = facts.model(REGISTRY_NAME)
FP32 = 4


@pytest.fixture(scope="module")
def model():
    gone = missing_packages()
    if gone:
        said = f"not proven here: the small language model is missing (real KV bytes); {gone}"
        if os.environ.get("CI") and not os.environ.get("SYSLAB_ALLOW_UNPROVEN"):
            pytest.fail(said, pytrace=False)
        pytest.skip(said)
    with torch_threads(1):
        yield tiny_model()


@pytest.fixture(scope="module")
def prompt(model):
    return model.encode("The capital of France is")


def test_the_registry_describes_the_network(model):
    config = model.network.config
    assert (config.num_hidden_layers, config.hidden_size) == (SHAPE.layers, SHAPE.hidden)
    assert (config.num_attention_heads, config.num_key_value_heads) == (
        SHAPE.heads, SHAPE.kv_heads,
    )  # fmt: skip
    assert (config.head_dim, config.intermediate_size) == (SHAPE.head_dim, SHAPE.ffn)
    assert sum(p.numel() for p in model.network.parameters()) == SHAPE.params


@pytest.mark.parametrize("tokens", [1, 5, 64])
def test_measured_kv_bytes_equal_predicted(model, tokens):
    measured = measured_kv_bytes(model, list(range(10, 10 + tokens)))
    assert measured == kv_bytes(SHAPE, tokens, "fp32") == tokens * 2 * 30 * 3 * 64 * FP32
    wrong = 2 * SHAPE.layers * SHAPE.heads * SHAPE.head_dim * FP32 * tokens
    assert wrong == 3 * measured  # query heads counted


def test_greedy_text_is_the_same_with_and_without_cache(model, prompt):
    with_cache, held = greedy(model, prompt, 10)
    without, nothing = greedy(model, prompt, 10, use_cache=False)
    assert with_cache == without
    assert "Paris" in model.decode(with_cache)
    assert held == kv_bytes(SHAPE, len(prompt) + 9, "fp32")  # the last token is not cached
    assert nothing == 0


def test_ragged_steps_give_the_same_text(model, prompt):
    # Beside another sequence, and with the prompt in two chunks.
    from syslab.serving.ragged import RaggedModel

    wanted, held = greedy(model, prompt, 8)
    ragged = RaggedModel(model)
    mine, other = ragged.new_slot(32), ragged.new_slot(64)
    ragged.step([(mine, prompt[:2]), (other, model.encode("Once upon a time, in a land"))])
    text = [ragged.step([(other, [3]), (mine, prompt[2:])])[1]]
    while len(text) < 8:
        text.append(ragged.step([(mine, text[-1:]), (other, [5])])[0])
    assert text == wanted
    assert mine.used_bytes == held


@pytest.mark.parametrize("batching", ["continuous", "chunked"])
def test_engine_serves_what_was_asked(model, batching):
    from syslab.serving.engine import serve

    trace = Trace([0, 0, 0.01, 0.3], [5, 20, 9, 4], [3, 2, 6, 1])
    policy = Policy(batching, 4, 16, kv_blocks=7, block_tokens=4, reserve_share=0)
    run = serve(model, trace, policy, clock="cpu")
    assert run.served.all()
    assert (run.queue_s >= 0).all()
    assert (run.first_token_s <= run.finish_s).all()
    assert run.totals.peak_blocks <= 7
    assert (np.diff(run.timeline[:, 0]) > 0).all()
    if not run.preemptions.any():
        assert run.totals.prompt_tokens == 38
    assert run.totals.decoded_tokens + 4 >= 12 - run.preemptions.sum()


def test_measured_steps_can_be_calibrated(model):
    from syslab.serving.engine import measure_steps

    steps = measure_steps(model, prompts=(8, 32, 64), batches=(1, 4), contexts=(16, 64), repeats=1)
    assert {step.tokens for step in steps} >= {8, 32, 64, 1, 4}
    assert all(step.seconds > 0 for step in steps)
    fit = calibrate(steps, ("overhead_s", "token_s"))
    assert fit.cost.prefill_s(64) > fit.cost.prefill_s(8)
    with pytest.raises(ValueError, match="clock='sun'"):
        measure_steps(model, clock="sun")


@pytest.mark.parametrize("batching", ["continuous", "chunked"])
def test_the_steps_of_a_load_are_what_was_computed(model, batching):
    from syslab.serving.engine import serve

    trace = Trace([0, 0, 0.01, 0.3], [5, 20, 9, 4], [3, 2, 6, 1])
    steps = []
    run = serve(model, trace, Policy(batching, 4, 16), clock="cpu", steps=steps)
    assert len(steps) == run.totals.steps
    assert sum(step.seconds for step in steps) == pytest.approx(run.totals.busy_s)
    assert sum(n for step in steps for _, n in step.prompts) == trace.prompt_tokens.sum()
    # Each request samples one token per output token; its contexts grow one by one to the end.
    assert sum(step.samples for step in steps) == trace.output_tokens.sum()
    longest = max(context for step in steps for context in step.contexts)
    assert longest == (trace.prompt_tokens + trace.output_tokens - 1)[trace.output_tokens > 1].max()


def test_the_short_way_to_the_tokenizer_leads_to_the_same_one(model):
    """`AutoTokenizer` comes to it as well, in ten times the time."""
    import transformers

    from syslab.serving import tiny

    place = {"gguf_file": tiny.WEIGHTS, "local_files_only": True}
    stock = transformers.AutoTokenizer.from_pretrained(str(tiny._folder()), **place)
    for text in ("The capital of France is", " été 12345\n\t日本語", "<|im_start|>user", ""):
        tokens = stock(text)["input_ids"]
        assert model.encode(text) == tokens
        assert model.decode(tokens) == stock.decode(tokens)
