"""The clock around the compiled steps. Imported only when a simulation runs."""

import numpy as np
from numba import njit

from syslab.serving import _counts
from syslab.serving._compiled_step import (
    BUSY_S,
    CONTEXT,
    DECODED,
    DECODES,
    EVICTED,
    HEAD,
    MOVED,
    OUT,
    PAIRS,
    PEAK_BLOCKS,
    PROMPT_TOKENS,
    PROMPTS,
    PUSHED,
    RUN,
    SAMPLES,
    SEEN,
    STEPS,
    SWAPPED_BLOCKS,
    TOKENS,
    USED,
    blocks_of,
    next_step,
    too_long,
)

step_seconds = njit(cache=True)(_counts.step_seconds)
LOG_COLUMNS = 6  # end of step, its seconds, running, waiting, used blocks, tokens


@njit(cache=True)
def log_step(log, rows, stride, step, row):
    """Keep every ``stride``-th step; when the log is full, drop every second row of it."""
    if log.shape[0] == 0 or step % stride:
        return rows, stride
    if rows == log.shape[0]:
        rows, stride = (rows + 1) // 2, stride * 2
        for i in range(rows):
            log[i] = log[2 * i]
        if step % stride:
            return rows, stride
    for column in range(LOG_COLUMNS):
        log[rows, column] = row[column]
    return rows + 1, stride


@njit(cache=True)
def _decode_steps(s, rules, arrival, now, seconds, slope):
    """Return how many times the step that is due can be taken before anything else happens.

    While the same sequences decode, the step grows by ``slope`` seconds each time. That ends when
    one of them is finished, when somebody arrives who may be let in, or when blocks run out.
    """
    steps = s.output[s.running[0]] - s.generated[s.running[0]]
    for i in range(1, s.at[RUN]):
        steps = min(steps, s.output[s.running[i]] - s.generated[s.running[i]])
    waiting = s.at[SEEN] > s.at[HEAD] or s.at[PUSHED] > 0  # and, as nobody entered, for room
    if not waiting and s.at[SEEN] < arrival.size:
        gap, most = arrival[s.at[SEEN]] - now, steps
        steps = min(most, 1 + int(gap / seconds))
        if slope > 0:  # the last step that starts before the gap is over
            half = seconds / slope - 0.5
            steps = min(steps, 1 + int(np.sqrt(half * half + 2 * gap / slope) - half))
        while steps > 1 and _stretch(steps - 1, seconds, slope) >= gap:
            steps -= 1
        while steps < most and _stretch(steps, seconds, slope) < gap:
            steps += 1
    free = rules.kv_blocks - s.at[USED]
    while steps > 1 and free < s.at[RUN] * (1 + steps // rules.size):
        if _new_blocks(s, rules, steps) <= free:
            break
        steps //= 2
    return steps


@njit(cache=True)
def _stretch(steps, seconds, slope):
    """Return the seconds of ``steps`` steps, the first of which takes ``seconds``."""
    return steps * (seconds + slope * (steps - 1) / 2)


@njit(cache=True)
def _new_blocks(s, rules, steps):
    """Return the blocks that all sequences need for ``steps`` tokens, the first one provided."""
    new = 0
    for i in range(s.at[RUN]):
        held = s.cached[s.running[i]]
        new += blocks_of(held + steps, rules.size) - blocks_of(held + 1, rules.size)
    return new


@njit(cache=True)
def run_steps(s, rules, cost, arrival, first, finish, gap, last, log):
    """Serve a trace on one engine; fill the per-request records, return the rows of the log."""
    n = arrival.size
    now, step, rows, stride = 0.0, 0, 0, 1
    while True:
        while s.at[SEEN] < n and arrival[s.at[SEEN]] <= now:
            s.at[SEEN] += 1
        next_step(s, rules, now)
        decodes = s.at[DECODES]
        sequences = s.at[PROMPTS] + decodes
        if sequences == 0:
            if s.at[RUN] > 0 or s.at[PUSHED] > 0 or s.at[OUT] > 0:
                continue
            while s.at[HEAD] < n and too_long(s, s.at[HEAD], rules):
                s.at[HEAD] += 1
            if s.at[HEAD] == n:
                return rows
            now = max(now, arrival[s.at[HEAD]])
            continue
        seconds = step_seconds(
            cost, s.at[TOKENS], s.work[PAIRS], s.work[CONTEXT], s.at[SAMPLES], sequences,
            s.at[MOVED] * rules.size,
        )  # fmt: skip
        steps, slope = 1, 0.0
        steady = decodes == s.at[RUN] and s.at[EVICTED] + s.at[OUT] + s.at[MOVED] == 0
        if steady and log.shape[0] == 0 and s.window[1] == 0 and seconds > 0:
            slope = decodes * cost[6]
            steps = _decode_steps(s, rules, arrival, now, seconds, slope)
            s.at[USED] += _new_blocks(s, rules, steps)
        begin, now = now, now + _stretch(steps, seconds, slope)
        s.totals[STEPS] += steps
        s.totals[BUSY_S] += now - begin
        s.totals[DECODED] += steps * decodes
        s.totals[PROMPT_TOKENS] += s.at[TOKENS] - decodes
        s.totals[SWAPPED_BLOCKS] += s.at[MOVED]
        s.totals[PEAK_BLOCKS] = max(s.totals[PEAK_BLOCKS], s.at[USED])
        if log.shape[0] > 0:
            while s.at[SEEN] < n and arrival[s.at[SEEN]] <= now:
                s.at[SEEN] += 1
            waiting = s.at[SEEN] - s.at[HEAD] + s.at[PUSHED] + s.at[OUT]
            row = (now, seconds, s.at[RUN] * 1.0, waiting * 1.0, s.at[USED] * 1.0,
                   s.at[TOKENS] * 1.0)  # fmt: skip
            rows, stride = log_step(log, rows, stride, step, row)
        step += 1
        longest = seconds + slope * (steps - 1)
        if steps > 1:
            for i in range(s.at[RUN]):
                r = s.running[i]
                gap[r] = max(gap[r], begin + seconds - last[r], longest)
                last[r] = now - longest
                s.cached[r] += steps - 1
                s.generated[r] += steps - 1
        _finish_step(s, rules, now, first, finish, gap, last)


@njit(cache=True)
def _finish_step(s, rules, now, first, finish, gap, last):
    kept = 0
    for i in range(s.at[RUN]):
        r = s.running[i]
        s.running[kept] = r
        kept += 1
        count, s.chunk[r] = s.chunk[r], 0
        if count == 0:
            continue
        s.cached[r] += abs(count)  # a decode caches one token
        if s.cached[r] < s.target[r]:
            continue
        s.target[r] = s.cached[r]
        s.generated[r] += 1
        if s.generated[r] == 1:
            first[r] = now
        else:
            gap[r] = max(gap[r], now - last[r])
        last[r] = now
        if s.generated[r] == s.output[r]:
            finish[r] = now
            s.at[USED] -= blocks_of(s.cached[r], rules.size)
            kept -= 1
    s.at[RUN] = kept
