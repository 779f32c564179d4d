"""The oracles of arch-05 against the package they judge with, and against planted mistakes."""

import numpy as np
import pytest

from syslab import facts, kvcache
from syslab.course.oracles import arch_05 as oracle
from syslab.serving import (
    CODE,
    CONVERSATION,
    Objective,
    Policy,
    StepCost,
    simulate,
    synthetic_trace,
)

COST = StepCost(overhead_s=2e-3, weights_s=5e-3, token_s=2e-5, pair_s=1e-9, cached_token_s=5e-8)


def shape(name, **other):
    m = facts.model(name)
    return {
        "layers": m.layers,
        "kv_heads": m.kv_heads,
        "head_dim": m.head_dim,
        "latent": m.kv_lora_rank or 0,
        "rope_dim": m.rope_head_dim or 0,
        "window": m.sliding_window or 0,
        "window_layers": m.window_layers or 0,
        **other,
    }


@pytest.mark.parametrize("name", ["SmolLM2-135M", "Llama-3 8B", "DeepSeek-V3", "Gemma-2 9B"])
@pytest.mark.parametrize("stored", ["bf16", "int8_head", "int4_64"])
def test_stored_arrays_are_as_large_as_the_sizing_says(name, stored):
    form = kvcache.cache_format(stored)
    counted = oracle.cache_bytes(
        shape(name), 3, form.bits, form.group_values or 0, form.scale_bytes
    )
    assert counted == kvcache.kv_bytes(facts.model(name), 3, stored)


def test_a_window_forgets():
    mixed = shape("SmolLM2-135M", layers=4, window=8, window_layers=2)
    per_layer = oracle.cache_bytes(mixed, 1) // 4
    assert oracle.cache_bytes(mixed, 20) == per_layer * (2 * 8 + 2 * 20)


@pytest.mark.parametrize("tp", [1, 2, 4, 8, 16])
def test_filling_gpus_agrees_with_the_memory_plan(tp):
    model = facts.model("Llama-3 70B")
    each = kvcache.kv_bytes_per_gpu(model, 100, split=kvcache.Split(tp))
    assert oracle.sequences_that_fit(7.5 * each, shape("Llama-3 70B"), 100, tp) == 7
    assert oracle.longest_context(7.5 * each, shape("Llama-3 70B"), 7, tp, 10**4) == 107


def decode_all_then_prompts(waiting, running, budget, seats):
    left, chunks = budget - len(running), {}
    free = seats - len(running) - sum(w["started"] for w in waiting)
    for w in waiting:
        if not left or (not w["started"] and not free):
            break
        free -= not w["started"]
        chunks[w["id"]] = min(left, w["prompt_left"])
        left -= chunks[w["id"]]
    return chunks, [r["id"] for r in running]


@pytest.mark.parametrize(("kind", "rate"), [(CONVERSATION, 12), (CODE, 3)])
def test_the_played_engine_is_the_simulated_one(kind, rate):
    trace = synthetic_trace(80, kind, seed=3, requests_per_s=rate)
    played = oracle.play(decode_all_then_prompts, trace, COST, 256, 16)
    run = simulate(trace, COST, Policy("chunked", max_sequences=16, token_budget=256))
    np.testing.assert_allclose(played["first_s"], run.first_token_s, rtol=1e-9)
    np.testing.assert_allclose(played["finish_s"], run.finish_s, rtol=1e-9)
    good = oracle.good_requests(played, 0.5, 0.02)[0]
    assert good == run.good(Objective(0.5, 0.02)).sum() > 0


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (lambda w, r, b, s: ({}, []), "the step is empty"),
        (lambda w, r, b, s: ({w[0]["id"]: 10**6}, []), "it has"),
        (lambda w, r, b, s: ({77: 1}, []), "request 77"),
        (lambda w, r, b, s: ({}, [0, 0]), "at most once"),
        (lambda w, r, b, s: None, "return ({id"),
        (lambda w, r, b, s: ({w[0]["id"]: 1}, []), "steps and"),
    ],
)
def test_an_illegal_step_is_named(step, said, monkeypatch):
    monkeypatch.setattr(oracle, "MOST_STEPS", 50)
    with pytest.raises(ValueError, match=r".") as caught:
        oracle.play(step, synthetic_trace(5, seed=1), COST, 2000, 4)
    assert said in str(caught.value)


class Tables:
    """Right block tables, found by looking; `slip` plants one mistake."""

    slip = ""

    def __init__(self, blocks, size):
        self.blocks, self.size, self.live, self.copies = blocks, size, {}, 0

    def _empty(self):
        held = {b for table, _, _ in self.live.values() for b in table}
        return [b for b in range(self.blocks) if b not in held]

    def _shared(self, block):
        return sum(block in table for table, _, _ in self.live.values()) > 1

    def add(self, name, tokens):
        size, best = self.size, []
        for table, _, prompt in self.live.values():
            full = 0
            while (full + 1) * size < len(tokens) and full < len(prompt) // size:
                part = slice(full * size if self.slip == "chain" else 0, (full + 1) * size)
                if prompt[part] != tokens[part]:
                    break
                full += 1
            best = max(best, table[:full], key=len)
        if self.slip == "prefix":
            best = []
        needed = -(-len(tokens) // size) - len(best)
        if needed > len(self._empty()):
            raise MemoryError
        self.live[name] = [best + self._empty()[:needed], len(tokens), list(tokens)]
        return len(best) * size

    def append(self, name, token):
        entry, moved = self.live[name], None
        fresh = entry[1] % self.size == 0
        if fresh or (self.slip != "write" and self._shared(entry[0][-1])):
            if not self._empty():
                raise MemoryError
            if fresh:
                entry[0] = [*entry[0], self._empty()[0]]
            else:
                moved = (entry[0][-1], self._empty()[0])
                entry[0] = [*entry[0][:-1], moved[1]]
                self.copies += self.slip != "count"
        entry[1] += 1
        return moved

    def fork(self, name, child):
        self.live[child] = list(self.live[name])

    def free(self, name):
        del self.live[name]

    def table(self, name):
        return self.live[name][0]

    def counters(self):
        filled = {}
        for table, length, _ in self.live.values():
            for place, block in enumerate(table):
                here = min(self.size, length - place * self.size)
                filled[block] = max(filled.get(block, 0), here)
        return {
            "free_blocks": self.blocks - len(filled),
            "shared_blocks": sum(self._shared(b) for b in filled),
            "copies": self.copies,
            "empty_slots": len(filled) * self.size - sum(filled.values()),
        }


@pytest.mark.parametrize("slip", ["prefix", "write", "count"])
def test_a_broken_rule_of_block_tables_is_found(slip):
    log = oracle.block_log(1, 80, 4)
    assert oracle.broken_rule(Tables, 40, 4, log) == ""
    assert oracle.broken_rule(type("Slip", (Tables,), {"slip": slip}), 40, 4, log)


def test_block_counts_are_those_of_the_package():
    log = [("add", "a", 9), ("fork", "a", "b"), ("append", "b"), ("append", "a"), ("free", "b")]
    mine = [
        (kind, name, list(range(rest[0]))) if kind == "add" else
        (kind, name, 0) if kind == "append" else (kind, name, *rest)
        for kind, name, *rest in log
    ]  # fmt: skip
    assert oracle.counts_along(Tables, 9, 4, mine) == oracle.counts_along(
        kvcache.PagedCache, 9, 4, log
    )


def test_drawn_guesses_have_the_expected_mean():
    assert oracle.tokens_per_check(0.5, 2, 200_000, 1) == pytest.approx(1.75, rel=0.01)
    assert oracle.tokens_per_check(1.0, 4, 10, 1) == 5
