"""The tables that the event engine works on, and its heap.  Compiled by numba.

One record array for each kind of thing: a *request* makes one or more *attempts*, an attempt is
split into *leaves* (one without fan-out), a leaf is carried out by one or two *copies*, a copy
waits in a queue and runs on a server.
"""

import zlib
from collections import namedtuple
from pathlib import Path

import numpy as np
from numba import njit

COPY = np.dtype(
    [("service_s", "f8"), ("queued_s", "f8"), ("start_s", "f8"), ("end_s", "f8"),
     ("leaf", "i8"), ("next", "i8"), ("server", "i4"), ("queue", "i4"),
     ("state", "i1"), ("kind", "i1"), ("useful", "i1")], align=True)  # fmt: skip
LEAF = np.dtype([("first", "i8"), ("second", "i8"), ("winner", "i8")])  # copies; -1: none
ATTEMPT = np.dtype(
    [("sent_s", "f8"), ("request", "i8"), ("left", "i4"), ("over", "i1")], align=True
)
REQUEST = np.dtype(
    [("arrival_s", "f8"), ("start_s", "f8"), ("finish_s", "f8"),
     ("server", "i4"), ("tries", "i4"), ("outcome", "i1"), ("priority", "i1")],
    align=True)  # fmt: skip
SERVER = np.dtype([("running", "i8"), ("load", "i4")], align=True)  # load: waiting and running
LINE = np.dtype([("head", "i8"), ("tail", "i8")], align=True)  # one class in one queue
EVENT = np.dtype([("time_s", "f8"), ("order", "i8"), ("subject", "i8"), ("kind", "i8")], align=True)
# numba recompiles a function when its own file changes, not when one that it calls does.  A field
# named after all the sources makes them part of every signature, and so of the cache's key.
SOURCES = zlib.crc32(
    b"".join(
        Path(__file__).with_name(name).read_bytes()
        for name in ("_tables.py", "_servers.py", "_events.py")
    )
)
# One row: the rules, and what the engine counts.
WORLD = np.dtype(
    [("fan_out", "i8"), ("replicas", "i8"), ("routing", "i8"), ("choices", "i8"),
     ("copy_mode", "i8"), ("copy_after_s", "f8"), ("copy_budget", "f8"), ("message_s", "f8"),
     ("same_work", "i8"), ("timeout_s", "f8"), ("server_knows", "i8"),
     ("attempts", "i8"), ("backoff_s", "f8"), ("jitter", "i8"), ("retry_budget", "f8"),
     ("burst", "f8"), ("shed_wait_s", "f8"),
     ("tokens", "f8"), ("random", "u8"), ("copies", "i8"), ("extras", "i8"), ("tried", "i8"),
     ("events", "i8"), ("order", "i8"), ("leaves_sent", "i8"), ("copies_sent", "i8"),
     ("next_copy", "i8"), ("next_timeout", "i8"),
     ("full", "i8"), (f"sources_{SOURCES:08x}", "i8")], align=True)  # fmt: skip

# idle[g, :] is a ring of the free servers of group g, longest idle first; idle_at[g] = (first,
# count).  limits[p]: most that may wait when a request of class p arrives.
Tables = namedtuple(
    "Tables",
    "world requests attempts leaves copies servers lines waiting idle idle_at limits events "
    "service_s extra_s assigned leaf_s picked",
)

# What can be wanted: names for the numbers in the tables.
SHARED, ASSIGNED, SHORTEST, POWER = range(4)
NO_COPY, KEEP_LOSER, UNQUEUE_LOSER, STOP_LOSER, TIED = range(5)
NEVER, QUEUED, ALL = range(3)
WAITING, RUNNING, DONE, CANCELLED, STOPPED = range(5)
FINISH, TRY_AGAIN, CANCEL_COPY, ABANDON, DROPPED = range(5)

# Nothing compiled here makes or keeps an array, so numba need not count references (`_nrt`): with
# inlining that makes the engine three times as fast.
compiled = njit(cache=True, error_model="numpy", forceinline=True, _nrt=False)


@compiled
def uniform(world):
    """Next number in [0, 1): SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    w = world[0]
    w.random += np.uint64(0x9E3779B97F4A7C15)
    x = w.random
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return np.float64(x >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@compiled
def schedule(events, world, time_s, kind, subject):
    """Put an event on the heap; events of one time keep the order in which they were put."""
    w = world[0]
    at = w.events
    if at == events.size:
        w.full = 1
        return
    order = w.order
    w.events += 1
    w.order += 1
    while at > 0:
        above = (at - 1) // 2
        if events[above].time_s <= time_s:
            break
        events[at] = events[above]
        at = above
    events[at].time_s = time_s
    events[at].order = order
    events[at].kind = kind
    events[at].subject = subject


@compiled
def take_first(events, world):
    """Take the earliest event off the heap; return (time_s, kind, subject)."""
    w = world[0]
    time_s, kind, subject = events[0].time_s, events[0].kind, events[0].subject
    w.events -= 1
    size = w.events
    if size:
        late_s, order = events[size].time_s, events[size].order
        late_kind, late_subject = events[size].kind, events[size].subject
        at = 0
        while True:
            child = 2 * at + 1
            if child >= size:
                break
            if child + 1 < size and _before(events, child + 1, child):
                child += 1
            if events[child].time_s > late_s or (
                events[child].time_s == late_s and events[child].order > order
            ):
                break
            events[at] = events[child]
            at = child
        events[at].time_s = late_s
        events[at].order = order
        events[at].kind = late_kind
        events[at].subject = late_subject
    return time_s, kind, subject


@compiled
def _before(events, a, b):
    if events[a].time_s == events[b].time_s:
        return events[a].order < events[b].order
    return events[a].time_s < events[b].time_s
