"""From a plan to the tables of the event engine and back.

The engine's tables have a fixed size.  How many hedges and retries there will be is not known
beforehand, so a run that fills a table is done again with twice the room: same random numbers,
same result.
"""

import math
from dataclasses import dataclass

import numpy as np

from syslab.queueing import _events
from syslab.queueing import _tables as tables
from syslab.queueing.policies import Tied
from syslab.queueing.routing import PowerOf, SharedQueue, ShortestQueue

BLOCK = 1 << 16  # service times of further copies are drawn in blocks of one size: a longer pool
# begins with the shorter one


@dataclass(frozen=True)
class Played:
    """The tables after the last event, cut to what was used."""

    requests: np.ndarray
    attempts: np.ndarray
    copies: np.ndarray
    leaf_s: np.ndarray | None


def play(plan, drawn) -> Played:
    """Play `plan` with the random numbers `drawn`; see ``plan``."""
    n, k = plan.requests, plan.fan_out
    extra_rng, choice_rng = drawn.rng.spawn(2)
    random = choice_rng.integers(1 << 63, dtype=np.uint64)
    blocks: list[np.ndarray] = []
    extras = 0
    if plan.hedge or plan.retry:
        extras = max(n * k if isinstance(plan.hedge, Tied) else n * k // 2, 1024)
    attempts = n + (max(n // 2, 1024) if plan.retry else 0)
    events = 4 * plan.servers + 1024
    while True:
        while len(blocks) * BLOCK < extras:
            blocks.append(np.asarray(plan.service.sample(extra_rng, BLOCK), dtype=float))
        extra_s = np.concatenate([np.empty(0), *blocks])[:extras]
        t = _tables_for(plan, drawn, random, extra_s, attempts, events)
        _events.run(t)
        world = t.world[0]
        if not world["full"]:
            break
        extras, attempts, events = 2 * extras, n + 2 * (attempts - n), 2 * events
    leaf_s = t.leaf_s if k > 1 else None
    return Played(t.requests, t.attempts[: world["tried"]], t.copies[: world["copies"]], leaf_s)


def _tables_for(plan, drawn, random, extra_s, attempts: int, events: int) -> tables.Tables:
    """Empty tables with room for so many attempts, extra copies and pending events."""
    n, k, r = plan.requests, plan.fan_out, plan.replicas
    requests = np.zeros(n, tables.REQUEST)
    requests["arrival_s"] = drawn.arrival_s
    requests["priority"] = drawn.priority
    requests["start_s"] = np.nan
    requests["server"] = -1
    servers = np.zeros(plan.servers, tables.SERVER)
    servers["running"] = -1
    queues = k if isinstance(plan.routing, SharedQueue) else plan.servers
    lines = np.full((queues, plan.classes), -1, np.int64).repeat(2).view(tables.LINE)
    idle_at = np.zeros((k, 2), np.int64)
    idle_at[:, 1] = r
    limits = plan.shed.limits(plan.classes) if plan.shed else (math.inf,) * plan.classes
    return tables.Tables(
        world=_rules(plan, random),
        requests=requests,
        attempts=np.empty(attempts, tables.ATTEMPT),
        leaves=np.empty(attempts * k, tables.LEAF),
        copies=np.empty(n * k + extra_s.size, tables.COPY),
        servers=servers,
        lines=lines.reshape(queues, plan.classes),
        waiting=np.zeros(queues, np.int64),
        idle=np.arange(plan.servers, dtype=np.int32).reshape(k, r),
        idle_at=idle_at,
        limits=np.asarray(limits, dtype=float),
        events=np.empty(events, tables.EVENT),
        service_s=drawn.service_s,
        extra_s=extra_s,
        assigned=drawn.server,
        leaf_s=np.full((n, k) if k > 1 else (0, 0), np.nan),
        picked=np.zeros(getattr(plan.routing, "choices", 1), np.int64),
    )


def _rules(plan, random) -> np.ndarray:
    """The one row of ``WORLD`` that says what the policies are."""
    world = np.zeros(1, tables.WORLD)
    rules = {
        "fan_out": plan.fan_out, "replicas": plan.replicas, "random": random,
        "routing": tables.ASSIGNED, "timeout_s": math.inf, "attempts": 1, "shed_wait_s": math.inf,
    }  # fmt: skip
    if isinstance(plan.routing, SharedQueue):
        rules["routing"] = tables.SHARED
    elif isinstance(plan.routing, ShortestQueue):
        rules["routing"] = tables.SHORTEST
    elif isinstance(plan.routing, PowerOf):
        rules |= {"routing": tables.POWER, "choices": plan.routing.choices}
    if isinstance(plan.hedge, Tied):
        rules |= {
            "copy_mode": tables.TIED, "copy_after_s": plan.hedge.stagger_s, "copy_budget": 1.0,
            "message_s": plan.hedge.message_s, "same_work": plan.hedge.same_work,
        }  # fmt: skip
    elif plan.hedge:
        loser = {
            "none": tables.KEEP_LOSER,
            "queued": tables.UNQUEUE_LOSER,
            "all": tables.STOP_LOSER,
        }
        rules |= {
            "copy_mode": loser[plan.hedge.cancel], "copy_after_s": plan.hedge.after_s,
            "copy_budget": plan.hedge.budget, "same_work": plan.hedge.same_work,
        }  # fmt: skip
    if plan.timeout:
        knows = {"never": tables.NEVER, "queued": tables.QUEUED, "all": tables.ALL}
        rules |= {"timeout_s": plan.timeout.after_s,
                  "server_knows": knows[plan.timeout.server_knows]}  # fmt: skip
    if plan.retry:
        free = plan.retry.budget is None
        rules |= {
            "attempts": plan.retry.attempts, "backoff_s": plan.retry.backoff_s,
            "jitter": plan.retry.jitter, "retry_budget": math.inf if free else plan.retry.budget,
            "burst": math.inf if free else plan.retry.burst,
            "tokens": math.inf if free else plan.retry.burst,
        }  # fmt: skip
    if plan.shed and plan.shed.wait_s is not None:
        rules["shed_wait_s"] = plan.shed.wait_s
    for name, value in rules.items():
        world[name] = value
    return world
