"""What really happened: for after the incident, for marking, and for tests.

Kept apart from :class:`~syslab.incident.incident.Incident`, so that nobody meets it by chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from syslab.incident import engine
from syslab.incident.engine import AT, Expected
from syslab.incident.faults import Event, Plan
from syslab.incident.incident import Incident, _drawn
from syslab.incident.services import POOLS

FAILING, WRONG_SHARE, SLOWER, FULL = 0.005, 0.01, 1.8, 0.97


@dataclass(frozen=True)
class Truth:
    """The story of an incident.

    Attributes
    ----------
    scenario, cause, component : str
        Short name, cause in a sentence, and where it sits.
    timeline : tuple of Event
        Trigger, contributing factors, symptoms, pages, decisions and recovery, in order.
    unrelated : tuple of Event
        Red herrings.
    remedies, relief : frozenset of (str, str)
        Decisions that end it, and that only make it better.
    ahead_s : dict of str to float
        By how much each component's clock is ahead, seconds.
    """

    scenario: str
    cause: str
    component: str
    timeline: tuple[Event, ...]
    unrelated: tuple[Event, ...]
    remedies: frozenset[tuple[str, str]]
    relief: frozenset[tuple[str, str]]
    ahead_s: dict[str, float]

    def events(self, *roles: str) -> tuple[Event, ...]:
        """Return the events of the timeline with one of ``roles``."""
        return tuple(event for event in self.timeline if event.role in roles)

    @property
    def trigger(self) -> Event:
        """What started it."""
        return self.events("trigger")[0]


def truth(incident: Incident) -> Truth:
    """Return what really happened."""
    drawn = _drawn(incident.seed, incident.minutes, incident._scenario)
    plan = drawn.plan
    found = symptoms(plan, incident._expected)
    pages = [
        Event(p.minute, p.component, "page", "symptom", f"{p.rule} ({p.severity})")
        for p in incident._pages
        if p.severity == "page"
    ]
    done = [
        Event(d.minute, d.target, "decision", "response", f"{d.action} {d.target}".strip())
        for d in incident.decisions
        if d.action != "wait"
    ]
    well = recovered_at(incident)
    end = [Event(well, "gateway", "recovery", "response", "well again")] if well else []
    events = (plan.trigger, *plan.factors, *found, *pages, *done, *end)
    return Truth(
        scenario=plan.scenario,
        cause=plan.cause,
        component=plan.component,
        timeline=tuple(sorted(events, key=lambda e: (e.minute, e.component, e.kind))),
        unrelated=plan.unrelated,
        remedies=plan.remedies,
        relief=plan.relief,
        ahead_s=dict(drawn.ahead_s),
    )


def symptoms(plan: Plan, expected: Expected) -> list[Event]:
    """Return the first minute of each symptom, from the expected values without noise."""
    start = plan.trigger.minute
    out: list[Event] = []

    def first(flags: np.ndarray, component: str, kind: str, text: str) -> None:
        after = np.flatnonzero(flags[start:])
        if after.size:
            out.append(Event(start + int(after[0]), component, kind, "symptom", text))

    for name, i in AT.items():
        ratio, _, p99, used = (expected.service[m, i] for m in (1, 2, 3, 4))
        first(ratio > FAILING, name, "errors", f"more than {FAILING:.1%} of requests fail")
        usual = p99[:start].mean() if start else p99[0]
        first(p99 > SLOWER * usual, name, "slow", f"p99 above {SLOWER} times the usual")
        first(used >= FULL, name, "saturated", "no capacity left")
    for pool, column in zip(POOLS, ("wrong_a", "wrong_b"), strict=True):
        share = expected.other[column]
        first(share > WRONG_SHARE, pool, "wrong", f"more than {WRONG_SHARE:.0%} of answers wrong")
    first(expected.other["loss"] > 0.1, "trainer", "wrong", "training loss jumps")
    return out


def harm(incident: Incident) -> tuple[np.ndarray, np.ndarray]:
    """Return failed requests and wrong answers of each minute, both of shape (minutes,)."""
    series, other = incident._series, incident._expected.other
    wrong = sum(
        series[f"{pool}:requests"] * other[column]
        for pool, column in zip(POOLS, ("wrong_a", "wrong_b"), strict=True)
    )
    return series["gateway:errors"], wrong


def recovered_at(incident: Incident) -> int | None:
    """Return the first minute after which users had no more trouble; None if there never was one.

    No trouble: fewer than 0.5 % of requests failing and 1 % of answers wrong, from then on, and
    for at least the last ten minutes. A leak that goes on will be trouble again.
    """
    if engine.leaking(incident._plan, incident.decisions):
        return None
    expected = incident._expected
    hurt = expected.service[1, AT["gateway"]] > FAILING
    for column in ("wrong_a", "wrong_b"):
        hurt = hurt | (expected.other[column] > WRONG_SHARE)
    if not hurt.any():
        return None
    last = int(np.flatnonzero(hurt)[-1]) + 1
    return last if last <= incident.minutes - 10 else None
