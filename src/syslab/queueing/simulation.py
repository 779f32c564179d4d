"""``simulate``: a queueing system in one call.

Two engines stand behind it.  Systems without feedback (no hedge, timeout, refusal, priority or
look at the queues) are solved as a recurrence, tens of millions of requests a second; everything
else is played event by event.  Both take the same random numbers from the same seed, and where
both apply they give the same times to the last bit.

Each use of randomness has its own stream (arrivals, service, routing, …), so two runs with one
seed meet the same requests with the same work whatever their policies: compare them pairwise.
"""

import numpy as np

from syslab.queueing.plan import Drawn, Plan
from syslab.queueing.policies import Hedge, Priorities, Retry, Shed, Tied, Timeout
from syslab.queueing.routing import SharedQueue
from syslab.queueing.run import Run, Work
from syslab.queueing.warmup import check_warmup


def simulate(
    arrivals,
    service,
    servers: int = 1,
    requests: int = 100_000,
    *,
    seed: int | np.random.Generator,
    routing=SharedQueue(),  # noqa: B008 (frozen)
    fan_out: int = 1,
    hedge: Hedge | Tied | None = None,
    priorities: Priorities | None = None,
    timeout: Timeout | None = None,
    retry: Retry | None = None,
    shed: Shed | None = None,
    warmup: float | str = 0.1,
) -> Run:
    """Simulate first-come-first-served queues and record every request.

    Parameters
    ----------
    arrivals : Poisson, Regular, Renewal, Steps or At
        When requests come, whether or not earlier ones are answered (open loop).
    service : distribution
        Service time in seconds, drawn for every leaf of every request.
    servers : int
        In all; a multiple of `fan_out`.
    requests : int
        How many to simulate; the run goes on until the last one has ended.
    seed : int or numpy.random.Generator
    routing : SharedQueue, Random, RoundRobin, ShortestQueue or PowerOf
        Among the servers, or among the replicas of one leaf.
    fan_out : int
        Leaves per request.  Leaf j has servers / fan_out replicas to itself; the request is
        answered when its last leaf is.
    hedge, priorities, timeout, retry, shed : optional
        See ``policies``.
    warmup : float or "mser"
        Share of requests, from the first, that statistics leave out: the system starts empty.
        ``"mser"`` looks for the share that leaves the mean least uncertain.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        On an argument out of range, naming it, its value and what is legal.
    """
    plan = Plan(arrivals, service, servers, requests, routing, fan_out,
                hedge, priorities, timeout, retry, shed)  # fmt: skip
    check_warmup(warmup)
    drawn = Drawn.for_plan(plan, seed)
    run = _play(plan, drawn) if plan.has_feedback else _solve(plan, drawn)
    return run.after_warmup(warmup)


def _solve(plan: Plan, drawn: Drawn) -> Run:
    """Carry out a plan without feedback as a recurrence."""
    from syslab.queueing import _recurrence

    n, k = drawn.service_s.shape
    if k == 1:
        service_s = drawn.service_s[:, 0]
        if drawn.server.size:
            server = drawn.server[:, 0]
            start_s = _recurrence.own_queues(drawn.arrival_s, service_s, server, plan.servers)
        else:
            start_s, server = _recurrence.one_queue(drawn.arrival_s, service_s, plan.servers)
        finish_s = start_s + service_s
        work = Work(start_s, finish_s, server)
        return Run(plan, drawn.arrival_s, start_s, finish_s, server, work)
    leaf_start_s, leaf_server, last = _recurrence.fan_out(
        drawn.arrival_s, drawn.service_s, drawn.server, plan.replicas
    )
    every = np.arange(n)
    start_s = leaf_start_s[every, last]
    leaf_finish_s = leaf_start_s + drawn.service_s
    work = Work(leaf_start_s.ravel(), leaf_finish_s.ravel(), leaf_server.ravel())
    return Run(
        plan, drawn.arrival_s, start_s, leaf_finish_s[every, last], leaf_server[every, last], work,
        leaf_s=leaf_finish_s - drawn.arrival_s[:, None],
    )  # fmt: skip


def _play(plan: Plan, drawn: Drawn) -> Run:
    """Carry out any plan event by event."""
    from syslab.queueing import _engine

    done = _engine.play(plan, drawn)
    requests, copies = done.requests, done.copies
    work = Work(
        copies["start_s"], copies["end_s"], copies["server"], copies["queued_s"], copies["kind"],
        copies["useful"].astype(bool),
    )  # fmt: skip
    return Run(
        plan, drawn.arrival_s, requests["start_s"].copy(), requests["finish_s"].copy(),
        requests["server"].copy(), work, leaf_s=done.leaf_s,
        outcome=requests["outcome"].copy(), tries=requests["tries"].copy(),
        priority=drawn.priority, sent_s=done.attempts["sent_s"].copy(),
    )  # fmt: skip
