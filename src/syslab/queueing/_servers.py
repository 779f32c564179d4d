"""The servers' side of the event engine: where a copy goes, waits, runs and is called off.

With a shared queue there is one queue for each group of replicas, otherwise one for each server.
"""

import numpy as np

from syslab.queueing._tables import (
    ASSIGNED,
    CANCEL_COPY,
    CANCELLED,
    DROPPED,
    FINISH,
    POWER,
    RUNNING,
    SHARED,
    STOPPED,
    TIED,
    WAITING,
    compiled,
    schedule,
    uniform,
)
from syslab.queueing.run import FIRST, SECOND


@compiled
def send(t, leaf, now, kind):
    """One copy of a leaf goes to a server or its queue; False if it is refused."""
    w = t.world[0]
    tried, part = leaf // w.fan_out, leaf % w.fan_out
    request = t.attempts[tried].request
    priority = t.requests[request].priority
    server = -1
    if w.routing == SHARED:
        queue = part
        free = t.idle_at[part, 1] > 0
    else:
        server = choose(t, leaf, kind)
        queue = server
        free = t.servers[server].running < 0
    if not free and t.waiting[queue] >= t.limits[priority]:
        return False
    if w.copies == t.copies.size or (kind != FIRST and w.extras == t.extra_s.size):
        w.full = 1
        return True
    new = w.copies
    w.copies += 1
    copy = t.copies[new]
    copy.leaf = leaf
    copy.next = -1
    copy.queued_s = now
    copy.start_s = np.nan
    copy.end_s = np.nan
    copy.kind = kind
    copy.useful = 0
    copy.state = WAITING
    copy.server = server
    copy.queue = queue
    if kind == FIRST:
        copy.service_s = t.service_s[request, part]
    elif kind == SECOND and w.same_work:
        copy.service_s = t.copies[t.leaves[leaf].first].service_s
    else:
        copy.service_s = t.extra_s[w.extras]
        w.extras += 1
    if kind == SECOND:
        t.leaves[leaf].second = new
    else:
        t.leaves[leaf].first = new
    if server >= 0:
        t.servers[server].load += 1
    if free:
        if server < 0:
            server = t.idle[part, t.idle_at[part, 0]]
            t.idle_at[part, 0] = (t.idle_at[part, 0] + 1) % w.replicas
            t.idle_at[part, 1] -= 1
        start(t, new, server, now)
    else:
        line = t.lines[queue, priority]
        if line.tail >= 0:
            t.copies[line.tail].next = new
        else:
            line.head = new
        line.tail = new
        t.waiting[queue] += 1
    return True


@compiled
def choose(t, leaf, kind):
    """The server for a copy; a second copy never goes where the first one is."""
    w = t.world[0]
    tried, part = leaf // w.fan_out, leaf % w.fan_out
    base, among = part * w.replicas, w.replicas
    if among == 1:
        return base
    if w.routing == ASSIGNED and kind == FIRST:
        return np.int64(t.assigned[t.attempts[tried].request, part])
    # Candidates are numbered 0..among-1; one at or after `avoid` means the next server.
    avoid = np.int64(t.servers.size)
    if kind == SECOND:
        avoid = np.int64(t.copies[t.leaves[leaf].first].server) - base
        among -= 1
    offset = np.int64(uniform(t.world) * among)
    if w.routing == ASSIGNED:
        return base + offset + (offset >= avoid)
    looks = among if w.routing != POWER else min(w.choices, among)
    best, least = -1, 0
    for look in range(looks):
        candidate = (offset + look) % among if looks == among else _another(t, look, among)
        server = base + candidate + (candidate >= avoid)
        if best < 0 or t.servers[server].load < least:
            best, least = server, t.servers[server].load
    return np.int64(best)


@compiled
def _another(t, picked, among):
    """A random candidate that is not among the first `picked` of ``t.picked``; noted there."""
    while True:
        candidate = np.int64(uniform(t.world) * among)
        new = True
        for i in range(picked):
            if t.picked[i] == candidate:
                new = False
        if new:
            t.picked[picked] = candidate
            return candidate


@compiled
def start(t, number, server, now):
    """A server begins a copy; a tied one calls the other off."""
    w = t.world[0]
    copy = t.copies[number]
    copy.state = RUNNING
    copy.start_s = now
    copy.server = server
    t.servers[server].running = number
    schedule(t.events, t.world, now + copy.service_s, FINISH, number)
    if w.copy_mode == TIED:
        other = twin(t, number)
        if other >= 0 and t.copies[other].state == WAITING:
            if w.message_s == 0:
                unqueue(t, other, now)
            else:
                schedule(t.events, t.world, now + w.message_s, CANCEL_COPY, other)


@compiled
def unqueue(t, number, now):
    """A waiting copy is called off; its place in the line is skipped later."""
    copy = t.copies[number]
    copy.state = CANCELLED
    copy.end_s = now
    t.waiting[copy.queue] -= 1
    if copy.server >= 0:
        t.servers[copy.server].load -= 1


@compiled
def stop(t, number, now):
    """A running copy is called off; its server takes the next."""
    t.copies[number].state = STOPPED
    t.copies[number].end_s = now
    release(t, t.copies[number].server, now)


@compiled
def release(t, server, now):
    """A server is free: it takes the first of the most urgent class, or rests."""
    w = t.world[0]
    group = server // w.replicas
    queue = group
    if w.routing != SHARED:
        queue = server
        t.servers[server].load -= 1
    while t.waiting[queue] > 0:
        number = pop(t, queue)
        copy = t.copies[number]
        if now - copy.queued_s <= w.shed_wait_s:
            t.waiting[queue] -= 1
            start(t, number, server, now)
            return
        unqueue(t, number, now)
        other = twin(t, number)
        alive = other >= 0 and t.copies[other].state <= RUNNING
        if not alive:
            schedule(t.events, t.world, now, DROPPED, copy.leaf // w.fan_out)
    t.servers[server].running = -1
    if w.routing == SHARED:
        t.idle[group, (t.idle_at[group, 0] + t.idle_at[group, 1]) % w.replicas] = server
        t.idle_at[group, 1] += 1


@compiled
def pop(t, queue):
    """Take the first waiting copy out of its line, most urgent class first."""
    for priority in range(t.lines.shape[1]):
        line = t.lines[queue, priority]
        while line.head >= 0:
            number = line.head
            line.head = t.copies[number].next
            if line.head < 0:
                line.tail = -1
            if t.copies[number].state == WAITING:
                return number
    return -1


@compiled
def twin(t, number):
    """The other copy of the same leaf, or -1."""
    leaf = t.leaves[t.copies[number].leaf]
    return leaf.second if leaf.first == number else leaf.first
