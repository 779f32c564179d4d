"""The system that breaks: services, what each needs, and how it behaves when it is well.

A gateway passes requests to a router, which reads features and picks one of two pools of model
servers. Model servers keep prefixes in a KV store and run on GPU nodes; a trainer uses what the
nodes have to spare. All of it is synthetic.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """One service in its normal state.

    Attributes
    ----------
    name : str
    needs : tuple of str
        What it calls.
    share : float
        Requests it gets for each request at the gateway.
    busy : float
        Share of its capacity that normal traffic uses.
    p50_s, p99_s : float
        Latency of its own work, without what it calls.
    errors : float
        Error ratio of its own.
    """

    name: str
    needs: tuple[str, ...]
    share: float
    busy: float
    p50_s: float
    p99_s: float
    errors: float


SERVICES = {
    s.name: s
    for s in (
        Service("gateway", ("router", "queue"), 1.0, 0.30, 0.010, 0.030, 2e-5),
        Service("router", ("feature-store", "model-a", "model-b"), 1.0, 0.35, 0.010, 0.030, 2e-5),
        Service("model-a", ("kv-store", "gpu-1", "gpu-2"), 0.5, 0.45, 0.180, 0.480, 4e-5),
        Service("model-b", ("kv-store", "gpu-3", "gpu-4"), 0.5, 0.45, 0.180, 0.480, 4e-5),
        Service("feature-store", (), 1.0, 0.40, 0.015, 0.050, 2e-5),
        Service("kv-store", (), 1.0, 0.40, 0.006, 0.020, 2e-5),
        Service("queue", (), 0.2, 0.30, 0.004, 0.015, 1e-5),
        Service("checkpoint-store", (), 0.005, 0.35, 0.400, 1.500, 1e-4),
    )
}

POOLS = ("model-a", "model-b")
NODES = ("gpu-1", "gpu-2", "gpu-3", "gpu-4")
NODE_POOL = {"gpu-1": "model-a", "gpu-2": "model-a", "gpu-3": "model-b", "gpu-4": "model-b"}
STANDBY = ("feature-store", "kv-store", "checkpoint-store")
COMPONENTS = (*SERVICES, *NODES, "trainer")

DEPENDS = {name: service.needs for name, service in SERVICES.items()} | {
    **dict.fromkeys(NODES, ()),
    "trainer": ("queue", "checkpoint-store", *NODES),
}

REQUESTS_PER_MIN = 6000.0
"""At the gateway, in the middle of the day's slow rise and fall."""

DEADLINE_S = 2.0
"""A request that takes longer counts as an error at the gateway."""

TRIES = 2
"""Tries of the router at a model pool on a normal day, the first included."""

HIT_RATIO = 0.8
"""Share of requests whose prefix the KV store knows."""

HIT_SAVES = 0.7
"""Share of a request's work that a known prefix saves."""

TARGET = 0.999
"""Objective at the gateway over 30 days: share of requests answered within the deadline."""
