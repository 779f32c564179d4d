"""What happens at the same time and has nothing to do with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from syslab.incident.faults import Change, Event, Fault, Plan, Said
from syslab.incident.services import NODE_POOL, NODES, SERVICES

PEOPLE = ("ivo", "jonas", "kofi", "lena")


def with_herrings(plan: Plan, rng: np.random.Generator, minutes: int) -> Plan:
    """Return the plan with an innocent deploy and two of three other distractions."""
    start = plan.trigger.minute
    involved = {plan.component, plan.trigger.component} | {e.component for e in plan.factors}
    involved |= {target for _, target in plan.remedies | plan.relief}
    free = [name for name in SERVICES if name not in involved]
    parts = [_deploy(rng, start, free)]
    others = [_memory_errors(rng, start, involved), _lag(rng, start), _disk(rng, start)]
    skipped = int(rng.integers(3))
    parts += [part for i, part in enumerate(others) if i != skipped]
    for events, faults, changes, logs, chat in parts:
        plan = replace(
            plan,
            unrelated=plan.unrelated + events,
            faults=plan.faults + faults,
            changes=plan.changes + changes,
            logs=plan.logs + logs,
            chat=plan.chat + chat,
        )
    return plan


def _deploy(rng, start, free):
    name = free[int(rng.integers(len(free)))]
    minute = max(3, start + int(rng.integers(-9, 4)))
    build, who = f"{int(rng.integers(16**7, 16**8)):08x}", PEOPLE[int(rng.integers(4))]
    said = Said(
        max(minute, start) + 13, who, f"I shipped {name} {build} around then. Could that be it?"
    )
    return (
        (Event(minute, name, "deploy", "unrelated", f"build {build} rolled out"),),
        (),
        (Change(minute, name, "deploy", f"build {build}", who),),
        (Said(minute, name, f"starting build {build}"),),
        (said,),
    )


def _memory_errors(rng, start, involved):
    pools = {NODE_POOL.get(name) for name in involved}
    node = [n for n in NODES if n not in involved and NODE_POOL[n] not in pools][
        int(rng.integers(2))
    ]
    minute = max(2, start + int(rng.integers(-20, 10)))
    text = "corrected memory errors above normal"
    return (
        (Event(minute, node, "warning", "unrelated", text),),
        (Fault("ecc", node, float(rng.uniform(4, 9)), minute, 1, end=minute + 45),),
        (),
        (
            Said(
                minute + 2, node, "EDAC: corrected errors above threshold, all corrected", "WARNING"
            ),
        ),
        (),
    )


def _lag(rng, start):
    minute = max(2, start + int(rng.integers(-6, 12)))
    lag = int(rng.integers(20, 90)) * 1000
    return (
        (
            Event(
                minute, "queue", "warning", "unrelated", "consumer of the billing export is behind"
            ),
        ),
        (),
        (),
        (Said(minute, "queue", f"consumer billing-export lag={lag}", "WARNING"),),
        (),
    )


def _disk(rng, start):
    minute = max(2, start + int(rng.integers(-15, 25)))
    return (
        (
            Event(
                minute, "checkpoint-store", "warning", "unrelated", "disk nearly full, then pruned"
            ),
        ),
        (),
        (),
        (
            Said(minute, "checkpoint-store", "disk 91 % full", "WARNING"),
            Said(minute + 6, "checkpoint-store", "retention job removed 3 checkpoints; disk 74 %"),
        ),
        (),
    )
