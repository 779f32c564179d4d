"""Arithmetic of one step, shared by plain Python and by the compiled simulator."""

from __future__ import annotations


def seen_tokens(context, window, window_share):
    """Return the tokens that attention reads of ``context``, averaged over layers."""
    if window_share > 0 and context > window:
        return context - window_share * (context - window)
    return context * 1.0


def causal_pairs(start, count, window, window_share):
    """Return the pairs of ``count`` new tokens after ``start`` with those they see."""
    pairs = count * (start + (count + 1) / 2)
    if window_share > 0 and start + count > window:
        over = start + count - window  # tokens that a window shortens, the last by ``over``
        least = max(0.0, start - window)
        beyond = (over * (over + 1) - least * (least + 1)) / 2
        pairs -= window_share * beyond
    return pairs


def step_seconds(cost, tokens, pairs, cached, samples, sequences, swapped_tokens):
    """Return the seconds of a step; ``cost`` are the numbers of ``StepCost`` in its order."""
    reading = cost[1]
    if cost[2] > 0:
        reading += cost[2] * (1 - (1 - cost[3]) ** tokens)
    seconds = swapped_tokens * cost[9]
    if tokens > 0:
        seconds += cost[0] + max(reading, tokens * cost[4]) + min(tokens, cost[13]) * cost[12]
    return seconds + pairs * cost[5] + cached * cost[6] + samples * cost[7] + sequences * cost[8]
