"""Minute by minute: from load, faults and decisions to rates, latencies and errors.

A small fluid model, in expected values. Three loops make it interesting:

- a failed try at a model pool is tried again, so failures are load: with up to four tries,
  ``1 + f + f^2 + f^3`` of them for a failure ratio ``f``;
- above its capacity a service wastes work on requests that will not finish: of a load ``r`` times
  its capacity only the share ``r^-3`` succeeds. Together with the first this makes a state that
  outlives its trigger (metastable failure);
- the router holds a thread while it waits: its use is proportional to load times latency
  (Little's law), so a slow dependency fills it up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from syslab.incident.decisions import Decision
from syslab.incident.faults import Fault, Plan
from syslab.incident.services import (
    DEADLINE_S,
    HIT_RATIO,
    HIT_SAVES,
    NODE_POOL,
    POOLS,
    REQUESTS_PER_MIN,
    SERVICES,
    TRIES,
)

NAMES = tuple(SERVICES)
AT = {name: i for i, name in enumerate(NAMES)}
METRICS = ("requests", "error_ratio", "p50_s", "p99_s", "saturation", "retries")
OTHERS = (
    "hit_ratio",
    "wrong_a",
    "wrong_b",
    "memory_a",
    "memory_b",
    "memory_router",
    "nulls",
    "loss",
)
RESTART_MIN, RESTART_COST = 3, 0.4
COLD_MIN, COLD_SLOWER = 15, 1.35
THROTTLE_MIN, THROTTLE_SHARE = 15, 0.3
SCALE = 0.6
AUTOSCALE_PER_MIN = 0.04
RELOAD_MIN = 6  # a killed model server reads its weights again
NEVER = math.inf
_NORMAL_WORK = 1 - HIT_SAVES * HIT_RATIO
_LEAKS = {"model-a": "memory_a", "model-b": "memory_b", "router": "memory_router"}
_LOGIT_99 = math.log(99)


@dataclass(frozen=True)
class Expected:
    """Expected values of every minute.

    Attributes
    ----------
    service : ndarray, shape (metrics, services, minutes)
        In the order of ``METRICS`` and ``NAMES``.
    other : dict of str to ndarray, shape (minutes,)
        The names in ``OTHERS``.
    notes : tuple of (int, str, str)
        What happened on the way: minute, component, text.
    """

    service: np.ndarray
    other: dict[str, np.ndarray]
    notes: tuple[tuple[int, str, str], ...]


def run(plan: Plan, decisions: tuple[Decision, ...], demand: np.ndarray) -> Expected:
    """Play the plan under ``decisions``; ``demand`` is the load of each minute, 1 on average."""
    state = _State(plan, decisions)
    minutes = len(demand)
    service = np.zeros((minutes, len(METRICS), len(NAMES)))
    other = np.zeros((minutes, len(OTHERS)))
    for minute in range(minutes):
        service[minute], other[minute] = state.step(minute, float(demand[minute]))
    columns = {name: other[:, i] for i, name in enumerate(OTHERS)}
    return Expected(service.transpose(1, 2, 0), columns, tuple(state.notes))


def quota_refuses(plan: Plan, decisions: tuple[Decision, ...], decision: Decision) -> bool:
    """Return whether ``decision`` asks for servers that the quota does not allow."""
    return (
        decision.action == "scale"
        and decision.target in POOLS
        and any(
            fault.effect == "no-autoscale"
            and fault.start <= decision.acts_at < _cured_at(fault, decisions)
            for fault in plan.faults
        )
    )


def leaking(plan: Plan, decisions: tuple[Decision, ...]) -> bool:
    """Return whether a memory leak is never mended."""
    return any(f.effect == "leak" and _cured_at(f, decisions) == NEVER for f in plan.faults)


def _cured_at(fault: Fault, decisions: tuple[Decision, ...]) -> float:
    # What was done before there was a fault does not end it, except a limit, which stands.
    times = [
        d.acts_at
        for d in decisions
        if (d.action, d.target) in fault.cures
        and (d.acts_at > fault.start or d.action == "throttle")
    ]
    return min(times, default=NEVER)


class _State:
    """What one minute hands to the next."""

    def __init__(self, plan: Plan, decisions: tuple[Decision, ...]):
        self.plan = plan
        self.decisions = tuple(d for d in decisions if d.action != "wait")
        self.notes: list[tuple[int, str, str]] = []
        self.failing = 0.0  # share of tries at the pools that failed in the minute before
        self.grown = 1.0  # capacity of the pools, with what autoscaling has added
        self.grown_cpu = 1.0  # the same of all other services, which no quota stops
        self.memory = dict.fromkeys(_LEAKS, 0.55)
        self.killed_until = dict.fromkeys(_LEAKS, -1)
        self.loss_extra = 0.0
        self.cured = [_cured_at(fault, self.decisions) for fault in plan.faults]

    # -------------------------------------------------------------- one minute

    def step(self, now: int, demand: float) -> tuple[np.ndarray, np.ndarray]:
        acts = self._faults(now)
        can = self._decisions(now)
        own_error, slower, capacity = dict(can.error), dict(can.slower), dict(can.capacity)
        for (effect, target), size in acts.items():
            if effect == "errors":
                own_error[target] = own_error.get(target, 0.0) + size
            elif effect == "latency":
                slower[target] = slower.get(target, 1.0) * (1 + size)
            elif effect == "capacity":
                capacity[target] = capacity.get(target, 1.0) * (1 - size)
        self._memory(now, acts, own_error, slower, capacity)

        users = self.plan.busy * demand * (1 + acts.get(("demand", "gateway"), 0.0))
        admitted = users * (1 - can.refused)
        self._autoscale(users, ("no-autoscale", "model-a") in acts)

        kv = self._simple("kv-store", admitted, own_error, slower, capacity, acts)
        features = self._simple("feature-store", admitted, own_error, slower, capacity, acts)
        queue = self._simple("queue", admitted, own_error, slower, capacity, acts)
        store = self._simple("checkpoint-store", 1.0, own_error, slower, capacity, acts)

        hit = HIT_RATIO * (1 - acts.get(("hit", "kv-store"), 0.0)) * (1 - kv.error)
        work = (1 - HIT_SAVES * hit) / _NORMAL_WORK
        limit = TRIES + round(acts.get(("retries", "router"), 0.0)) if can.retries else 1
        tries = sum(self.failing**i for i in range(limit))
        pools, weights = self._pools(admitted * tries, work, kv, own_error, slower, capacity)
        self.failing = min(1.0, sum(w * p.over for w, p in zip(weights, pools, strict=True)))
        lasting = sum(w * p.own for w, p in zip(weights, pools, strict=True))
        after_tries = self.failing**limit
        pool_error = 1 - (1 - after_tries) * (1 - lasting)

        base = SERVICES["router"]
        p50 = sum(w * p.p50 for w, p in zip(weights, pools, strict=True))
        spread = sum(w * (p.p99 - p.p50) for w, p in zip(weights, pools, strict=True))
        wait_p50 = p50 + features.p50 + base.p50_s
        wait_p99 = wait_p50 + math.hypot(spread, features.p99 - features.p50, 0.02)
        normal_p50 = 0.012 + 0.180 + 0.015 + base.p50_s
        held = min(wait_p50, DEADLINE_S) / normal_p50
        use = base.busy * admitted * held / capacity.get("router", 1.0) / self.grown_cpu
        router_own = own_error.get("router", 0.0) + base.errors
        router_error = _either(_over(use), router_own, features.error, pool_error)
        slow = slower.get("router", 1.0) * _queueing(use)
        path_p50 = wait_p50 + base.p50_s * (slow - 1)
        path_p99 = wait_p99 + base.p99_s * (slow - 1)

        front = SERVICES["gateway"]
        front_use = front.busy * admitted / capacity.get("gateway", 1.0) / self.grown_cpu
        own = own_error.get("gateway", 0.0) + front.errors
        late = _beyond(DEADLINE_S, path_p50, path_p99)
        front_error = _either(own, _over(front_use), router_error, late)
        front_error = can.refused + (1 - can.refused) * front_error
        front_slow = slower.get("gateway", 1.0) * _queueing(front_use)

        rate = REQUESTS_PER_MIN
        out = np.empty((len(METRICS), len(NAMES)))

        def put(name, requests, error, p50, p99, use, retries=0.0):
            out[:, AT[name]] = requests * rate, min(error, 1.0), p50, p99, min(use, 1.0), retries

        put("gateway", users, front_error, path_p50 + front.p50_s * front_slow,
            path_p99 + front.p99_s * (front_slow - 1) + 0.01, front_use)  # fmt: skip
        put("router", admitted, router_error, path_p50, path_p99, use,
            admitted * rate * (tries - 1))  # fmt: skip
        for name, weight, pool in zip(POOLS, weights, pools, strict=True):
            requests = admitted * tries * weight
            put(name, requests, _either(pool.own, pool.over), pool.p50, pool.p99, pool.use)
        for name, part, share in (
            ("feature-store", features, admitted), ("kv-store", kv, admitted * tries),
            ("queue", queue, 0.2 * admitted), ("checkpoint-store", store, 0.005),
        ):  # fmt: skip
            put(name, share, part.error, part.p50, part.p99, part.use)
        return out, self._others(acts, hit, weights)

    # -------------------------------------------------------------- parts of it

    def _faults(self, now: int) -> dict[tuple[str, str], float]:
        acts: dict[tuple[str, str], float] = {}
        for fault, cured in zip(self.plan.faults, self.cured, strict=True):
            strength = fault.strength(now, cured)
            if strength and now < cured and self._reconnected(fault, now):
                strength = 1.0
            if strength:
                key = (fault.effect, fault.target)
                acts[key] = acts.get(key, 0.0) + strength * fault.size
        return acts

    def _reconnected(self, fault: Fault, now: int) -> bool:
        """Whether a restart broke the connections that an expired certificate had left alone."""
        return ("renew_certificate", fault.target) in fault.cures and any(
            (d.action, d.target) == ("restart", fault.target) and fault.start <= d.acts_at <= now
            for d in self.decisions
        )

    def _decisions(self, now: int) -> _Can:
        can = _Can()
        for d in self.decisions:
            since = now - d.acts_at
            if since < 0:
                continue
            if d.action in ("rollback", "restart") and d.target in SERVICES:
                if since < RESTART_MIN:
                    can.times(can.capacity, d.target, 1 - RESTART_COST)
                if since == 0 and d.target in self.memory:
                    self.memory[d.target] = 0.55
            elif d.action == "drain":
                pool = NODE_POOL.get(d.target, d.target)
                can.times(can.capacity, pool, 0.5 if d.target in NODE_POOL else 1e-6)
            elif d.action == "scale" and not quota_refuses(self.plan, self.decisions, d):
                can.capacity[d.target] = can.capacity.get(d.target, 1.0) + SCALE
            elif d.action == "fail_over" and since < COLD_MIN:
                can.times(can.slower, d.target, COLD_SLOWER)
            elif d.action == "disable_retries":
                can.retries = False
            elif d.action == "throttle" and d.target == "gateway" and since < THROTTLE_MIN:
                can.refused = THROTTLE_SHARE
        return can

    def _memory(self, now, acts, own_error, slower, capacity) -> None:
        for name in _LEAKS:
            self.memory[name] += acts.get(("leak", name), 0.0)
            if self.memory[name] >= 1.0:
                self.memory[name], self.killed_until[name] = 0.55, now + RELOAD_MIN
                self.notes.append((now, name, "out of memory, killed"))
            if self.memory[name] > 0.85:  # collecting garbage ever more often
                slower[name] = slower.get(name, 1.0) * (1 + 12 * (self.memory[name] - 0.85))
            if now < self.killed_until[name]:
                own_error[name] = own_error.get(name, 0.0) + 0.5
                capacity[name] = capacity.get(name, 1.0) * 0.5

    def _autoscale(self, users: float, blocked: bool) -> None:
        """Follow demand beyond 1.1 times what the day was planned for, a little every minute."""
        wanted = max(1.0, users / self.plan.busy / 1.1)
        self.grown_cpu = _towards(wanted, self.grown_cpu)
        if not blocked or wanted < self.grown:
            self.grown = _towards(wanted, self.grown)

    def _simple(self, name, load, own_error, slower, capacity, acts) -> _Part:
        """A service that calls nothing."""
        s = SERVICES[name]
        grown = self.grown_cpu if name != "checkpoint-store" else 1.0
        use = (s.busy * load / grown + acts.get(("load", name), 0.0)) / capacity.get(name, 1.0)
        slow = slower.get(name, 1.0) * _queueing(use)
        own = own_error.get(name, 0.0) + s.errors
        return _Part(s.p50_s * slow, s.p99_s * slow, use, own, _over(use))

    def _pools(self, load, work, kv, own_error, slower, capacity):
        """The model pools; the router spreads tries by capacity."""
        rooms = [capacity.get(name, 1.0) * self.grown for name in POOLS]
        total = max(sum(rooms), 1e-3)
        weights = [room / total for room in rooms]
        parts = []
        for name, room, weight in zip(POOLS, rooms, weights, strict=True):
            s = SERVICES[name]
            use = s.busy * 2 * load * weight * work / max(room, 1e-6)
            slow = slower.get(name, 1.0) * _queueing(use) * (0.5 + 0.5 * work)
            p50 = s.p50_s * slow + 2 * kv.p50
            p99 = p50 + math.hypot((s.p99_s - s.p50_s) * slow, 2 * (kv.p99 - kv.p50))
            own = min(1.0, own_error.get(name, 0.0) + s.errors)
            parts.append(_Part(p50, p99, use, own, _over(use)))
        return parts, weights

    def _others(self, acts, hit, weights) -> np.ndarray:
        wrong = [acts.get(("wrong", name), 0.0) for name in POOLS]
        self.loss_extra = max(
            acts.get(("loss", "trainer"), 0.0),
            self.loss_extra * 0.96,  # what was learnt wrongly is unlearnt slowly
        )
        memory = [self.memory[name] for name in _LEAKS]
        nulls = 0.01 + acts.get(("nulls", "feature-store"), 0.0)
        return np.array([hit, *wrong, *memory, nulls, self.loss_extra])


@dataclass(frozen=True)
class _Part:
    p50: float
    p99: float
    use: float
    own: float
    over: float

    @property
    def error(self) -> float:
        return _either(self.own, self.over)


class _Can:
    """What decisions do in one minute."""

    def __init__(self):
        self.error: dict[str, float] = {}
        self.slower: dict[str, float] = {}
        self.capacity: dict[str, float] = {}
        self.retries = True
        self.refused = 0.0

    @staticmethod
    def times(table: dict[str, float], name: str, factor: float) -> None:
        table[name] = table.get(name, 1.0) * factor


def _towards(wanted: float, now: float) -> float:
    return min(wanted, now + AUTOSCALE_PER_MIN) if wanted > now else max(wanted, now - 0.02)


def _either(*ratios: float) -> float:
    """Probability that at least one of several independent failures happens."""
    good = 1.0
    for ratio in ratios:
        good *= 1 - min(ratio, 1.0)
    return 1 - good


def _over(use: float) -> float:
    """Share that fails for want of capacity: none below it, ``1 - use^-3`` above."""
    return 1 - use**-3 if use > 1 else 0.0


def _queueing(use: float) -> float:
    """How much slower a service is at this use of its capacity."""
    use = min(use, 0.95)
    return 1 + 0.3 * use * use * use / (1 - use)


def _beyond(limit_s: float, p50_s: float, p99_s: float) -> float:
    """Share of requests slower than ``limit_s``: log-logistic through both percentiles."""
    shape = _LOGIT_99 / math.log(max(p99_s / p50_s, 1.05))
    return 1 / (1 + (limit_s / p50_s) ** shape)
