"""The ten ways in which the system breaks; :mod:`.herrings` adds what merely looks like it.

Each function draws one incident: ``draw(rng, minutes) -> Plan``. Sizes and times vary with the
seed; cause, remedy and what made it possible belong to the scenario.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from syslab.incident.faults import Change, Event, Fault, Plan, Said

SCENARIOS: dict[str, Callable[[np.random.Generator, int], Plan]] = {}
PEOPLE = ("amara", "bo", "chen", "dana", "emil", "farah", "goran", "hana")


def scenario(name: str):
    """Register a function as the scenario called ``name``."""

    def register(draw):
        SCENARIOS[name] = draw
        return draw

    return register


def _start(rng, minutes: int, low: float = 0.2, high: float = 0.4) -> int:
    return int(rng.integers(round(low * minutes), round(high * minutes) + 1))


def _pick(rng, *choices):
    return choices[int(rng.integers(len(choices)))]


def _build(rng) -> str:
    return f"{int(rng.integers(16**7, 16**8)):08x}"


def _cures(*pairs) -> frozenset[tuple[str, str]]:
    return frozenset(pairs)


@scenario("bad-deploy")
def _bad_deploy(rng, minutes):
    start = _start(rng, minutes)
    target, build, who = (
        _pick(rng, "router", "feature-store", "gateway"),
        _build(rng),
        _pick(rng, *PEOPLE),
    )
    size = float(rng.uniform(0.03, 0.12))
    cures = _cures(("rollback", target))
    return Plan(
        "bad-deploy",
        f"build {build} of {target} fails on a share of the requests",
        target,
        Event(start, target, "deploy", "trigger", f"build {build} rolled out"),
        (
            Event(
                start - 4,
                target,
                "warning",
                "factor",
                "canary judged after 2 minutes, on 41 requests",
            ),
        ),
        (),
        (Fault("errors", target, size, start, int(rng.integers(5, 13)), cures=cures),),
        (Change(start, target, "deploy", f"build {build}", who),),
        (
            Said(
                start - 4,
                target,
                f"canary {build}: 41 requests, 0 errors, PASS after 120 s (minimum of 1000 waived)",
                "WARNING",
            ),
            Said(start, target, f"starting build {build}"),
        ),
        (),
        cures,
    )


@scenario("retry-storm")
def _retry_storm(rng, minutes):
    start = _start(rng, minutes)
    raised = start - int(rng.integers(35, 50))
    pool = _pick(rng, "model-a", "model-b")
    length = int(rng.integers(7, 11))
    return Plan(
        "retry-storm",
        f"a restart of {pool} lasted {length} minutes; the retries it set off kept both pools "
        "overloaded after it was over (metastable failure)",
        "router",
        Event(start, pool, "fault", "trigger", "certificate agent restarted every server at once"),
        (
            Event(
                raised,
                "router",
                "config",
                "factor",
                "tries of a request raised from 2 to 4, without a budget",
            ),
        ),
        (),
        (
            Fault("capacity", pool, 0.95, start, 1, end=start + length),
            Fault("retries", "router", 2, raised, 1, cures=_cures(("rollback", "router"))),
        ),
        (Change(raised, "router", "config", "pool.max_tries 2 -> 4", _pick(rng, *PEOPLE)),),
        (
            Said(raised, "router", "config reload: pool.max_tries=4 retry_budget=none"),
            Said(
                start,
                pool,
                "node-agent: restarting all servers of the pool (max_unavailable=100%)",
                "WARNING",
            ),
            Said(start + length, pool, "all servers ready"),
        ),
        (
            Said(
                start + length + 4,
                _pick(rng, *PEOPLE),
                f"{pool} is back since a few minutes, why are we still red?",
            ),
        ),
        _cures(
            ("disable_retries", "router"),
            ("rollback", "router"),
            ("throttle", "gateway"),
            ("scale", "model-a"),
            ("scale", "model-b"),
        ),
        busy=float(rng.uniform(1.40, 1.46)),
    )


@scenario("dependency-slowdown")
def _dependency_slowdown(rng, minutes):
    start = _start(rng, minutes)
    cures = _cures(("fail_over", "feature-store"))
    return Plan(
        "dependency-slowdown",
        "a compaction on the feature store makes every read slow; the router waits with a thread "
        "for each",
        "feature-store",
        Event(start, "feature-store", "fault", "trigger", "compaction of all levels started"),
        (Event(start - 30, "router", "warning", "factor", "no deadline on feature reads"),),
        (),
        (
            Fault("latency", "feature-store", float(rng.uniform(20, 28)), start, 20, cures=cures),
            Fault("load", "feature-store", 0.3, start, 20, cures=cures),
        ),
        (),
        (
            Said(
                start,
                "feature-store",
                "compaction started: level=0..6 files=18344 throttle=off",
                "WARNING",
            ),
            Said(
                start - 30,
                "router",
                "feature client: deadline not set, waiting without limit",
                "WARNING",
            ),
        ),
        (),
        cures,
    )


@scenario("certificate-expiry")
def _certificate_expiry(rng, minutes):
    start = _start(rng, minutes)
    target = _pick(rng, "model-b", "model-a", "feature-store")
    cures = _cures(("renew_certificate", target))
    drained = _cures(("drain", target)) if target.startswith("model") else _cures()
    return Plan(
        "certificate-expiry",
        f"the certificate of {target} expired; every connection opened since then is refused",
        target,
        Event(start, target, "fault", "trigger", "certificate expired"),
        (Event(start - 55, target, "warning", "factor", "renewal failed, and nobody was told"),),
        (),
        (Fault("errors", target, 0.95, start, int(rng.integers(30, 50)), cures=cures | drained),),
        (),
        (
            Said(
                start - 55,
                target,
                "cert-agent: renewal failed: ACME account key not found; will retry in 24h",
                "WARNING",
            ),
            Said(
                start + 1,
                target,
                "tls: handshake rejected by peer: certificate has expired",
                "ERROR",
            ),
            Said(
                start + 9,
                target,
                "tls: handshake rejected by peer: certificate has expired",
                "ERROR",
            ),
            Said(
                start + 21,
                target,
                "tls: handshake rejected by peer: certificate has expired",
                "ERROR",
            ),
        ),
        (),
        cures,
    )


@scenario("silent-corruption")
def _silent_corruption(rng, minutes):
    start = _start(rng, minutes)
    node = _pick(rng, "gpu-1", "gpu-2", "gpu-3", "gpu-4")
    pool = "model-a" if node in ("gpu-1", "gpu-2") else "model-b"
    cures = _cures(("drain", node))
    return Plan(
        "silent-corruption",
        f"a GPU of {node} computes wrong results without reporting an error",
        node,
        Event(start, node, "fault", "trigger", "a GPU began to compute wrong results"),
        (
            Event(
                start - 40, node, "warning", "factor", "returned from repair, burn-in test skipped"
            ),
        ),
        (),
        (
            Fault("wrong", pool, float(rng.uniform(0.06, 0.12)), start, 15, cures=cures),
            Fault("loss", "trainer", float(rng.uniform(0.5, 1.1)), start, 25, cures=cures),
        ),
        (),
        (
            Said(
                start - 40,
                node,
                "node returned from repair (gpu 5 replaced); burn-in: SKIPPED (pool below minimum)",
                "WARNING",
            ),
            Said(
                start + 16,
                "trainer",
                f"gradient norm of ranks on {node} is 9.4 x the median of all ranks",
                "WARNING",
            ),
            Said(
                start + 30,
                pool,
                "probe: answer differs from reference (same prompt, temperature 0)",
                "WARNING",
            ),
            Said(
                start + 44,
                pool,
                "probe: answer differs from reference (same prompt, temperature 0)",
                "WARNING",
            ),
        ),
        (
            Said(
                start + 35,
                "support",
                "a customer says some answers are gibberish since this morning, no error shown",
            ),
        ),
        cures,
    )


@scenario("memory-leak")
def _memory_leak(rng, minutes):
    start = _start(rng, minutes, 0.06, 0.10)
    target, build = _pick(rng, "model-a", "model-b"), _build(rng)
    cures = _cures(("rollback", target))
    return Plan(
        "memory-leak",
        f"build {build} of {target} keeps a reference to every finished request",
        target,
        Event(start, target, "deploy", "trigger", f"build {build} rolled out"),
        (Event(start + 45, target, "config", "factor", "memory alert raised from 80 % to 97 %"),),
        (),
        (Fault("leak", target, 0.45 / float(rng.uniform(55, 75)), start, 1, cures=cures),),
        (
            Change(start, target, "deploy", f"build {build}", _pick(rng, *PEOPLE)),
            Change(
                start + 45,
                target,
                "config",
                "alert.memory 0.80 -> 0.97 (noisy)",
                _pick(rng, *PEOPLE),
            ),
        ),
        (
            Said(start, target, f"starting build {build}"),
            Said(start + 45, target, "config reload: alert.memory=0.97"),
        ),
        (),
        cures,
        _cures(("restart", target)),
    )


@scenario("noisy-neighbour")
def _noisy_neighbour(rng, minutes):
    start = _start(rng, minutes)
    cures = _cures(("throttle", "kv-store"), ("rollback", "kv-store"))
    lifted = start - int(rng.integers(25, 40))
    return Plan(
        "noisy-neighbour",
        "the nightly job of another tenant reads the whole KV store at full speed",
        "kv-store",
        Event(start, "kv-store", "load", "trigger", "tenant batch-embed began a full scan"),
        (
            Event(
                lifted, "kv-store", "config", "factor", "rate limit of tenant batch-embed removed"
            ),
        ),
        (),
        (Fault("load", "kv-store", float(rng.uniform(0.95, 1.15)), start, 10, cures=cures),),
        (
            Change(
                lifted,
                "kv-store",
                "config",
                "limits.batch-embed 500/s -> none",
                _pick(rng, *PEOPLE),
            ),
        ),
        (
            Said(lifted, "kv-store", "config reload: limits.batch-embed=none"),
            Said(start, "kv-store", "tenant=batch-embed scan started keys=all parallel=256"),
            Said(start + 12, "kv-store", "tenant=batch-embed share_of_reads=0.68", "WARNING"),
        ),
        (),
        cures,
        _cures(("scale", "kv-store")),
    )


@scenario("bad-cache-key")
def _bad_cache_key(rng, minutes):
    start = _start(rng, minutes)
    cures = _cures(("rollback", "router"))
    return Plan(
        "bad-cache-key",
        "a new setting puts the request's id into the cache key, so no prefix is ever found again",
        "router",
        Event(start, "router", "config", "trigger", "cache key template changed"),
        (
            Event(
                start - 20,
                "kv-store",
                "config",
                "factor",
                "alert on the hit ratio muted for a week",
            ),
        ),
        (),
        (Fault("hit", "kv-store", float(rng.uniform(0.93, 0.99)), start, 12, cures=cures),),
        (
            Change(
                start,
                "router",
                "config",
                "cache.key '{model}:{prefix}' -> '{model}:{prefix}:{req}'",
                _pick(rng, *PEOPLE),
            ),
            Change(
                start - 20, "kv-store", "config", "mute alert hit_ratio 7d", _pick(rng, *PEOPLE)
            ),
        ),
        (
            Said(start, "router", "config reload: cache.key={model}:{prefix}:{req}"),
            Said(start - 20, "kv-store", "alert hit_ratio muted for 7d"),
            Said(
                start + 14,
                "kv-store",
                "evictions 41x of the hour before; keys read twice: 0.2 %",
                "WARNING",
            ),
        ),
        (),
        cures,
        busy=float(rng.uniform(1.05, 1.12)),
    )


@scenario("data-drift")
def _data_drift(rng, minutes):
    start = _start(rng, minutes)
    cures = _cures(("fail_over", "feature-store"))
    return Plan(
        "data-drift",
        "a supplier of a feed renamed a field; the features made from it are empty and the models "
        "answer without them",
        "feature-store",
        Event(start, "feature-store", "load", "trigger", "feed in a new schema arrived"),
        (
            Event(
                start - 45,
                "feature-store",
                "config",
                "factor",
                "schema check set from reject to warn",
            ),
        ),
        (),
        (
            Fault("nulls", "feature-store", float(rng.uniform(0.3, 0.5)), start, 40, cures=cures),
            Fault("wrong", "model-a", float(rng.uniform(0.03, 0.06)), start, 40, cures=cures),
            Fault("wrong", "model-b", float(rng.uniform(0.03, 0.06)), start, 40, cures=cures),
        ),
        (
            Change(
                start - 45,
                "feature-store",
                "config",
                "ingest.schema_check reject -> warn",
                _pick(rng, *PEOPLE),
            ),
        ),
        (
            Said(start - 45, "feature-store", "config reload: ingest.schema_check=warn"),
            Said(
                start,
                "feature-store",
                "feed accounts: 'country' missing, 'country_code' unknown; stored with nulls",
                "WARNING",
            ),
            Said(
                start + 30,
                "feature-store",
                "feed accounts: 'country' missing, 'country_code' unknown; stored with nulls",
                "WARNING",
            ),
        ),
        (
            Said(
                start + 50, "support", "several customers see recommendations for the wrong country"
            ),
        ),
        cures,
    )


@scenario("quota-exhaustion")
def _quota_exhaustion(rng, minutes):
    start = _start(rng, minutes, 0.15, 0.25)
    both = _cures(("raise_quota", "model-a"), ("raise_quota", "model-b"))
    return Plan(
        "quota-exhaustion",
        "demand grew with a campaign, and the pools could not grow with it: the quota of GPU "
        "instances was used up",
        "model-a",
        Event(start, "gateway", "load", "trigger", "campaign began, requests grow"),
        (Event(start + 6, "model-a", "warning", "factor", "autoscaler refused: quota reached"),),
        (),
        (
            Fault(
                "demand",
                "gateway",
                float(rng.uniform(1.25, 1.45)),
                start,
                int(rng.integers(70, 100)),
            ),
            Fault("no-autoscale", "model-a", 1.0, max(0, start - 30), 1, cures=both),
        ),
        (),
        (
            Said(
                start + 6,
                "model-a",
                "autoscaler: want 14 instances, have 10: QUOTA_EXCEEDED gpu_instances 20/20",
                "WARNING",
            ),
            Said(
                start + 7,
                "model-b",
                "autoscaler: want 14 instances, have 10: QUOTA_EXCEEDED gpu_instances 20/20",
                "WARNING",
            ),
            Said(
                start + 46,
                "model-a",
                "autoscaler: want 19 instances, have 10: QUOTA_EXCEEDED gpu_instances 20/20",
                "WARNING",
            ),
        ),
        (Said(start + 10, "marketing", "campaign is live :) numbers look great"),),
        both,
    )
