"""Static batching with a clock, compiled by numba. Imported only when one is needed."""

from numba import njit

from syslab.serving._compiled import log_step, step_seconds
from syslab.serving._compiled_step import (
    BUSY_S,
    DECODED,
    PADDED,
    PEAK_BLOCKS,
    PROMPT_TOKENS,
    STEPS,
    blocks_of,
    causal_pairs,
    seen_tokens,
    too_long,
)


@njit(cache=True)
def run_static(s, rules, cost, arrival, first, finish, gap, last, log):
    """Serve a trace in batches that start and end together; return the rows of the log.

    A batch takes who has arrived, first come first served, up to ``max_sequences`` and the
    blocks that all of them will need in the end. Shorter ones are padded: their places in the
    prompt step and in every decode step are computed like the longest one's.
    """
    n, totals = arrival.size, s.totals
    head, seen, now, step, rows, stride = 0, 0, 0.0, 0, 0, 1
    while head < n:
        now = max(now, arrival[head])
        count, used = 0, 0
        while head < n and arrival[head] <= now and count < rules.max_sequences:
            if not too_long(s, head, rules):
                blocks = blocks_of(s.prompt[head] + s.output[head] - 1, rules.size)
                if used + blocks > rules.kv_blocks:
                    break
                s.running[count] = head
                s.admitted[head] = now
                count += 1
                used += blocks
            head += 1
        if count == 0:
            continue
        batch = s.running[:count]
        longest, most = s.prompt[batch].max(), s.output[batch].max()
        start = s.hit[batch].min()
        totals[PEAK_BLOCKS] = max(totals[PEAK_BLOCKS], used)
        for k in range(most):
            if k == 0:
                tokens = count * (longest - start)
                pairs = count * causal_pairs(start, longest - start, s.window[0], s.window[1])
                context = count * seen_tokens(start, s.window[0], s.window[1])
                totals[PROMPT_TOKENS] += tokens
            else:
                tokens, pairs = count, 0.0
                context = count * seen_tokens(longest + k, s.window[0], s.window[1])
                totals[DECODED] += count
            seconds = step_seconds(cost, tokens, pairs, context, count, count, 0)
            now += seconds
            totals[STEPS] += 1
            totals[BUSY_S] += seconds
            for r in batch:
                if k == 0:
                    totals[PADDED] += (longest - start) - (s.prompt[r] - s.hit[r])
                    first[r] = now
                elif k < s.output[r]:
                    gap[r] = max(gap[r], now - last[r])
                else:
                    totals[PADDED] += 1
                last[r] = now
                if k == s.output[r] - 1:
                    finish[r] = now
            if log.shape[0] > 0:
                while seen < n and arrival[seen] <= now:
                    seen += 1
                waiting = seen - head
                row = (now, seconds, count * 1.0, waiting * 1.0, used * 1.0, tokens * 1.0)
                rows, stride = log_step(log, rows, stride, step, row)
            step += 1
    return rows
