"""From expected values to what the dashboards show: whole counts, and noise.

All noise is drawn once for the whole incident and then applied, so that a decision changes what
it acts on and nothing else: two courses of one incident differ by the decision alone.
"""

from __future__ import annotations

import numpy as np

from syslab.incident.engine import AT, METRICS, NAMES, Expected
from syslab.incident.faults import Plan
from syslab.incident.services import NODE_POOL, POOLS

PROBES_PER_MIN = 30
MEMORY = {"model-a": "memory_a", "model-b": "memory_b", "router": "memory_router"}
WRONG = {"model-a": "wrong_a", "model-b": "wrong_b"}


def demand(rng: np.random.Generator, minutes: int) -> np.ndarray:
    """Return the load of each minute, 1 on average: a slow wave of the day, and noise."""
    phase = 2 * np.pi * (np.arange(minutes) - 60) / (24 * 60)
    return 1 + 0.06 * np.sin(phase) + rng.normal(0, 0.01, minutes)


def readings(plan: Plan, expected: Expected, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return all series, each of shape (minutes,), by name ``component:metric``."""
    minutes = expected.service.shape[2]
    metric = dict(zip(METRICS, expected.service, strict=True))
    z = rng.normal(size=(4, len(NAMES), minutes))
    u = rng.random((len(NAMES) + 8, minutes))
    requests = np.maximum(0, np.rint(metric["requests"] * (1 + 0.004 * z[0])))
    errors = np.minimum(requests, _counts(requests * metric["error_ratio"], u[: len(NAMES)]))
    p50 = metric["p50_s"] * np.exp(0.02 * z[1])
    p99 = np.maximum(p50, metric["p99_s"] * np.exp(0.04 * z[2]))
    used = np.clip(metric["saturation"] * (1 + 0.015 * z[3]), 0, 1)
    out: dict[str, np.ndarray] = {}
    for name, i in AT.items():
        out[f"{name}:requests"], out[f"{name}:errors"] = requests[i], errors[i]
        out[f"{name}:latency_p50_s"], out[f"{name}:latency_p99_s"] = p50[i], p99[i]
        out[f"{name}:saturation"] = used[i]
    out["router:retries"] = np.rint(metric["retries"][AT["router"]])

    other, more = expected.other, u[len(NAMES) :]
    noise = rng.normal(size=(10, minutes))
    for k, pool in enumerate(POOLS):
        wrong = PROBES_PER_MIN * other[WRONG[pool]] + 0.01
        out[f"{pool}:probes"] = np.full(minutes, float(PROBES_PER_MIN))
        out[f"{pool}:probes_wrong"] = np.minimum(PROBES_PER_MIN, _counts(wrong, more[k]))
        out[f"{pool}:score_mean"] = 0.62 - 0.3 * (other["nulls"] - 0.01) + 0.004 * noise[k]
    for k, (name, column) in enumerate(MEMORY.items()):
        out[f"{name}:memory"] = np.clip(other[column] + 0.01 * noise[2 + k], 0, 1)
    out["kv-store:hit_ratio"] = np.clip(other["hit_ratio"] + 0.008 * noise[5], 0, 1)
    out["feature-store:null_ratio"] = np.clip(other["nulls"] + 0.002 * noise[6], 0, 1)
    fading = 2.31 - 0.04 * np.arange(minutes) / 360
    out["trainer:loss"] = fading + other["loss"] + 0.02 * noise[7]
    lag = _episode(plan, "queue", minutes, 35)
    out["queue:depth"] = np.rint(800 + 60 * noise[8] + 24_000 * lag)
    full = _episode(plan, "checkpoint-store", minutes, 6)
    out["checkpoint-store:disk"] = np.clip(0.74 + 0.17 * full + 0.003 * noise[9], 0, 1)
    for k, (node, pool) in enumerate(NODE_POOL.items()):
        ecc = np.full(minutes, 0.2)
        for fault in plan.faults:
            if (fault.effect, fault.target) == ("ecc", node):
                ecc[fault.start : fault.end] += fault.size
        out[f"{node}:ecc_corrected"] = _counts(ecc, more[2 + k])
        out[f"{node}:utilization"] = used[AT[pool]]
        xid = np.zeros(minutes)
        if more[2 + k, 0] < 0.3:  # an application's own fault, seen on any fleet
            xid[int(more[2 + k, 1] * minutes)] = 1
        out[f"{node}:xid"] = xid
    return out


def _episode(plan: Plan, component: str, minutes: int, length: int) -> np.ndarray:
    """1 while a red herring on ``component`` shows on its own dashboard."""
    on = np.zeros(minutes)
    for event in plan.unrelated:
        if event.component == component and event.kind == "warning":
            on[event.minute : event.minute + length] = 1
    return on


def _counts(mean: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Poisson counts by inversion of ``u``; beyond a mean of 25 by the normal curve."""
    mean = np.asarray(mean, float)
    small = np.minimum(mean, 25.0)
    term = np.exp(-small)
    below, count = term.copy(), np.zeros_like(mean)
    for k in range(1, 60):
        count += u > below
        term = term * small / k
        below += term
    big = mean > 25
    if big.any():
        root = np.sqrt(mean[big])
        count[big] = np.maximum(0, np.rint(mean[big] + root * _normal(u[big])))
    return count


def _normal(u: np.ndarray) -> np.ndarray:
    """Quantile of the normal curve, within 0.0005 (Abramowitz and Stegun, 26.2.23)."""
    tail = np.clip(np.minimum(u, 1 - u), 1e-12, None)
    t = np.sqrt(-2 * np.log(tail))
    top = 2.515517 + t * (0.802853 + t * 0.010328)
    bottom = 1 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    return np.sign(u - 0.5) * (t - top / bottom)
