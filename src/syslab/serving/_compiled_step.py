"""``scheduler.Scheduler``, compiled by numba. Imported only when it is needed.

The state is a tuple of arrays: one entry per request, three lists of request numbers, and the
counters of ``at``. Function and field names follow ``scheduler``.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from syslab.serving import _counts
from syslab.serving._fresh import forget_stale_machine_code

forget_stale_machine_code("_counts", "_compiled_step", "_compiled", "_compiled_static")

seen_tokens = njit(cache=True)(_counts.seen_tokens)
causal_pairs = njit(cache=True)(_counts.causal_pairs)

# Entries of the totals of a run
STEPS, BUSY_S, PROMPT_TOKENS, DECODED, PADDED, RECOMPUTED, SWAPPED_BLOCKS, PEAK_BLOCKS = range(8)
# Entries of State.at: lengths of the lists, place in the trace, memory, and this step's counts
RUN, PUSHED, OUT, HEAD, SEEN, USED, TOKENS, PROMPTS, DECODES, SAMPLES, MOVED, EVICTED = range(12)
PAIRS, CONTEXT = range(2)  # entries of State.work


class Rules(NamedTuple):
    """A ``Policy`` in numbers."""

    chunked: bool
    swap: bool
    max_sequences: int
    budget: int
    kv_blocks: int
    size: int
    reserve: int


class State(NamedTuple):
    """Everything that changes while a trace is served."""

    prompt: np.ndarray
    output: np.ndarray
    hit: np.ndarray
    ready: np.ndarray
    cached: np.ndarray
    target: np.ndarray
    generated: np.ndarray
    preempted: np.ndarray
    chunk: np.ndarray  # tokens of this step: of a prompt, or -1 for a decode
    admitted: np.ndarray
    running: np.ndarray  # in order of admission
    pushed: np.ndarray  # preempted, ahead of the queue: a stack
    swapped: np.ndarray  # a stack, the oldest on top
    at: np.ndarray
    work: np.ndarray
    window: np.ndarray
    totals: np.ndarray


@njit(cache=True)
def blocks_of(tokens, size):
    return (tokens + size - 1) // size


@njit(cache=True)
def too_long(s, r, rules):
    return blocks_of(s.prompt[r] + s.output[r] - 1, rules.size) > rules.kv_blocks


@njit(cache=True)
def _room(s, blocks, rules):
    keep = rules.reserve if s.at[RUN] > 0 else 0
    return rules.kv_blocks - s.at[USED] >= blocks + keep


@njit(cache=True)
def _enter(s, r, blocks):
    s.running[s.at[RUN]] = r
    s.at[RUN] += 1
    s.at[USED] += blocks


@njit(cache=True)
def _compute(s, r, count):
    """Put ``count`` prompt tokens of ``r`` into the step."""
    s.chunk[r] = count
    s.at[TOKENS] += count
    s.at[PROMPTS] += 1
    s.at[SAMPLES] += s.cached[r] + count >= s.target[r]
    s.work[PAIRS] += causal_pairs(s.cached[r], count, s.window[0], s.window[1])
    s.work[CONTEXT] += seen_tokens(s.cached[r], s.window[0], s.window[1])


@njit(cache=True)
def _swap_in(s, rules):
    while s.at[OUT] > 0 and s.at[RUN] < rules.max_sequences:
        r = s.swapped[s.at[OUT] - 1]
        if not _room(s, blocks_of(s.cached[r] + 1, rules.size), rules):
            break
        s.at[OUT] -= 1
        blocks = blocks_of(s.cached[r], rules.size)
        _enter(s, r, blocks)
        s.at[MOVED] += blocks


@njit(cache=True)
def _admit(s, rules, now):
    while s.at[RUN] < rules.max_sequences:
        if s.at[PUSHED] > 0:
            r = s.pushed[s.at[PUSHED] - 1]
        else:
            while s.at[HEAD] < s.at[SEEN] and too_long(s, s.at[HEAD], rules):
                s.at[HEAD] += 1
            if s.at[HEAD] == s.at[SEEN]:
                break
            r = s.at[HEAD]
        todo = s.target[r] - s.hit[r]
        if rules.chunked and s.at[TOKENS] == rules.budget:
            break
        over = s.at[TOKENS] + todo > rules.budget
        if not rules.chunked and not s.ready[r] and s.at[PROMPTS] > 0 and over:
            break
        blocks = blocks_of(s.target[r], rules.size)
        if not _room(s, blocks, rules):
            break
        if s.at[PUSHED] > 0:
            s.at[PUSHED] -= 1
        else:
            s.at[HEAD] += 1
        _enter(s, r, blocks)
        if np.isnan(s.admitted[r]):
            s.admitted[r] = now
        if s.ready[r]:
            s.ready[r], s.cached[r] = False, s.target[r]
            continue
        s.cached[r] = s.hit[r]
        _compute(s, r, min(todo, rules.budget - s.at[TOKENS]) if rules.chunked else todo)


@njit(cache=True)
def _preempt(s, rules):
    """Push out the youngest and return it."""
    s.at[RUN] -= 1
    v = s.running[s.at[RUN]]
    blocks = blocks_of(max(s.cached[v], s.target[v]), rules.size)
    s.at[USED] -= blocks
    s.at[EVICTED] += 1
    s.preempted[v] += 1
    if rules.swap and s.cached[v] >= s.target[v]:
        s.swapped[s.at[OUT]] = v
        s.at[OUT] += 1
        s.at[MOVED] += blocks
    else:
        s.totals[RECOMPUTED] += s.cached[v]
        s.target[v] = s.prompt[v] + s.generated[v]
        s.cached[v], s.hit[v] = 0, 0
        s.pushed[s.at[PUSHED]] = v
        s.at[PUSHED] += 1
    return v


@njit(cache=True)
def _grow(s, rules):
    i = -1
    while i + 1 < s.at[RUN]:
        i += 1
        r = s.running[i]
        if s.cached[r] < s.target[r]:
            continue
        if s.cached[r] % rules.size == 0:
            victim = -1
            while victim != r and rules.kv_blocks - s.at[USED] < 1:
                victim = _preempt(s, rules)
            if victim == r:
                break
            s.at[USED] += 1
        s.chunk[r] = -1
        s.at[TOKENS] += 1
        s.at[DECODES] += 1
        s.at[SAMPLES] += 1
        s.work[CONTEXT] += seen_tokens(s.cached[r] + 1, s.window[0], s.window[1])


@njit(cache=True)
def next_step(s, rules, now):
    s.at[TOKENS : EVICTED + 1] = 0
    s.work[:] = 0.0
    _swap_in(s, rules)
    if not rules.chunked:
        if s.at[OUT] == 0:
            _admit(s, rules, now)
        if s.at[PROMPTS] == 0:
            _grow(s, rules)
        return
    _grow(s, rules)
    for i in range(s.at[RUN]):
        r = s.running[i]
        if s.cached[r] < s.target[r] and s.at[TOKENS] < rules.budget:
            _compute(s, r, min(rules.budget - s.at[TOKENS], s.target[r] - s.cached[r]))
    if s.at[EVICTED] == 0 and s.at[OUT] == 0:
        _admit(s, rules, now)
