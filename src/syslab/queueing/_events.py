"""The event engine: queues whose later events change earlier plans.

Hedges, timeouts, retries, refusals and priorities need a clock and a list of what happens next.
Here is the clock and the client's side of it, in ``_servers`` the servers' side: each function is
one thing that can happen, at the time `now`, to the tables `t` of ``_tables``.  Compiled by
numba; imported only when a simulation runs.
"""

import numpy as np

from syslab.queueing._servers import release, send, stop, twin, unqueue
from syslab.queueing._tables import (
    ABANDON,
    ALL,
    CANCEL_COPY,
    DONE,
    FINISH,
    KEEP_LOSER,
    NEVER,
    NO_COPY,
    RUNNING,
    TIED,
    TRY_AGAIN,
    UNQUEUE_LOSER,
    WAITING,
    compiled,
    schedule,
    take_first,
    uniform,
)
from syslab.queueing.run import ANSWERED, FIRST, REFUSED, RETRIED, SECOND, TIMED_OUT


@compiled
def run(t):
    """Play all requests to their end, or stop early with ``world.full`` set.

    At equal times: what was under way, then second copies, timeouts and arrivals.
    """
    w = t.world[0]
    n = t.requests.size
    coming = 0
    while w.full == 0:
        event_s = t.events[0].time_s if w.events > 0 else np.inf
        copy_s = next_copy_s(t) if w.copy_mode != NO_COPY else np.inf
        timeout_s = next_timeout_s(t) if w.timeout_s < np.inf else np.inf
        arrival_s = t.requests[coming].arrival_s if coming < n else np.inf
        if event_s <= min(copy_s, timeout_s, arrival_s):
            if w.events == 0:
                break
            now, kind, subject = take_first(t.events, t.world)
            if kind == FINISH:
                finish(t, subject, now)
            elif kind == TRY_AGAIN:
                send_attempt(t, subject, now)
            elif kind == CANCEL_COPY:
                if t.copies[subject].state == WAITING:
                    unqueue(t, subject, now)
            elif kind == ABANDON:
                abandon(t, subject, now)
            elif t.attempts[subject].over == 0:  # DROPPED
                fail(t, subject, now, REFUSED)
        elif copy_s <= min(timeout_s, arrival_s):
            w.next_copy += 1
            send_second(t, w.next_copy - 1, copy_s)
        elif timeout_s <= arrival_s:
            w.next_timeout += 1
            fail(t, w.next_timeout - 1, timeout_s, TIMED_OUT)
        else:
            send_attempt(t, coming, arrival_s)
            coming += 1


@compiled
def next_copy_s(t):
    """When the next second copy is due; leaves that need none are passed over.

    The delay is the same for all, so they are due in the order of sending: no heap is needed.
    """
    w = t.world[0]
    while w.next_copy < w.tried * w.fan_out:
        leaf = t.leaves[w.next_copy]
        attempt = t.attempts[w.next_copy // w.fan_out]
        if attempt.over == 0 and leaf.winner < 0:
            return attempt.sent_s + w.copy_after_s
        w.next_copy += 1
    return np.inf


@compiled
def next_timeout_s(t):
    """When the next attempt is given up; those that are over are passed over."""
    w = t.world[0]
    while w.next_timeout < w.tried:
        if t.attempts[w.next_timeout].over == 0:
            return t.attempts[w.next_timeout].sent_s + w.timeout_s
        w.next_timeout += 1
    return np.inf


@compiled
def send_attempt(t, request, now):
    """The client sends its request, for the first time or again: one copy of every leaf."""
    w = t.world[0]
    if w.tried == t.attempts.size:
        w.full = 1
        return
    tried = w.tried
    w.tried += 1
    kind = RETRIED
    if t.requests[request].tries == 0:
        kind = FIRST
        w.tokens = min(w.burst, w.tokens + w.retry_budget)
    t.requests[request].tries += 1
    attempt = t.attempts[tried]
    attempt.sent_s = now
    attempt.request = request
    attempt.left = w.fan_out
    attempt.over = 0
    begin = tried * w.fan_out
    for leaf in range(begin, begin + w.fan_out):
        t.leaves[leaf].first = -1
        t.leaves[leaf].second = -1
        t.leaves[leaf].winner = -1
    for leaf in range(begin, begin + w.fan_out):
        if not send(t, leaf, now, kind):
            fail(t, tried, now, REFUSED)
            break
        w.leaves_sent += 1


@compiled
def send_second(t, leaf, now):
    """The hedge delay is over: send a second copy, unless it is no longer wanted."""
    w = t.world[0]
    first = t.copies[t.leaves[leaf].first]
    began = first.state != WAITING
    if w.copy_mode == TIED and began and first.start_s + w.message_s <= now:
        return
    if w.copies_sent + 1 > w.copy_budget * w.leaves_sent:
        return
    if send(t, leaf, now, SECOND):
        w.copies_sent += 1
        second = t.leaves[leaf].second
        if w.copy_mode == TIED and began and w.full == 0 and t.copies[second].state == WAITING:
            schedule(t.events, t.world, first.start_s + w.message_s, CANCEL_COPY, second)


@compiled
def finish(t, number, now):
    """A server has done a copy (unless it was stopped before)."""
    w = t.world[0]
    copy = t.copies[number]
    if copy.state != RUNNING:
        return
    copy.state = DONE
    copy.end_s = now
    leaf = copy.leaf
    if t.leaves[leaf].winner < 0:
        t.leaves[leaf].winner = number
        other = twin(t, number)
        if other >= 0 and w.copy_mode > KEEP_LOSER:
            state = t.copies[other].state
            if state == WAITING:
                unqueue(t, other, now)
            elif state == RUNNING and w.copy_mode != UNQUEUE_LOSER:
                stop(t, other, now)
        if t.attempts[leaf // w.fan_out].over == 0:
            answer(t, number, now)
    release(t, copy.server, now)


@compiled
def answer(t, number, now):
    """A leaf has its result; with the last leaf the request is answered."""
    w = t.world[0]
    leaf = t.copies[number].leaf
    attempt = t.attempts[leaf // w.fan_out]
    attempt.left -= 1
    if w.fan_out > 1:
        t.leaf_s[attempt.request, leaf % w.fan_out] = now - attempt.sent_s
    if attempt.left > 0:
        return
    attempt.over = 1
    request = t.requests[attempt.request]
    request.outcome = ANSWERED
    request.start_s = t.copies[number].start_s
    request.finish_s = now
    request.server = t.copies[number].server
    begin = leaf - leaf % w.fan_out
    for each in range(begin, begin + w.fan_out):
        t.copies[t.leaves[each].winner].useful = 1


@compiled
def fail(t, tried, now, outcome):
    """An attempt is refused or times out: try again if that is allowed."""
    w = t.world[0]
    attempt = t.attempts[tried]
    attempt.over = 1
    if w.server_knows != NEVER:
        schedule(t.events, t.world, now, ABANDON, tried)
    request = t.requests[attempt.request]
    if request.tries < w.attempts and w.tokens >= 1:
        if w.retry_budget < np.inf:
            w.tokens -= 1
        wait_s = w.backoff_s * 2.0 ** (request.tries - 1)
        if w.jitter:
            wait_s *= uniform(t.world)
        schedule(t.events, t.world, now + wait_s, TRY_AGAIN, attempt.request)
    else:
        request.outcome = outcome
        request.finish_s = now


@compiled
def abandon(t, tried, now):
    """The servers learn that nobody waits for an attempt any more."""
    w = t.world[0]
    begin = tried * w.fan_out
    for leaf in range(begin, begin + w.fan_out):
        for number in (t.leaves[leaf].first, t.leaves[leaf].second):
            if number >= 0:
                state = t.copies[number].state
                if state == WAITING:
                    unqueue(t, number, now)
                elif state == RUNNING and w.server_knows == ALL:
                    stop(t, number, now)
