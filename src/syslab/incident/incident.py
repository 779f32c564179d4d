"""An incident, and what a responder sees of it as time goes by.

    incident = generate(seed=7)                 # which scenario, only truth(incident) tells
    view = incident.at(95)                      # series, logs, pages, chat up to minute 95
    incident = incident.decide(95, "rollback", "router")
    incident.at(110).decisions[-1].result

An incident is never changed: ``decide`` returns another one, equal up to the minute in which the
decision begins to act.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np

from syslab.incident import clocks, engine, herrings, logs, paging
from syslab.incident.decisions import Decision
from syslab.incident.faults import Change, Plan, Said
from syslab.incident.paging import OBJECTIVE, Page
from syslab.incident.readings import demand, readings
from syslab.incident.scenarios import SCENARIOS
from syslab.incident.services import DEPENDS, REQUESTS_PER_MIN

SHORTEST, LONGEST = 240, 1440


@dataclass(frozen=True)
class Taken:
    """A decision as the responder sees it: taken at ``minute``, and what came of it."""

    minute: int
    action: str
    target: str
    result: str


@dataclass(frozen=True)
class View:
    """What there is to see at one minute.

    Attributes
    ----------
    minute : int
        The last one of which there is data.
    series : dict of str to ndarray, shape (minute + 1,)
        By name, ``component:metric``; ``view["gateway:errors"]`` for short.
    logs : dict of str to tuple of str
        Raw lines of each component, in the order in which it wrote them.
    pages : tuple of Page
    changes : tuple of Change
        The change calendar.
    chat : tuple of Said
    decisions : tuple of Taken
    budget_spent : float
        Share of the gateway's budget of 30 days that failed requests have spent so far.
    """

    minute: int
    series: dict[str, np.ndarray]
    logs: dict[str, tuple[str, ...]]
    pages: tuple[Page, ...]
    changes: tuple[Change, ...]
    chat: tuple[Said, ...]
    decisions: tuple[Taken, ...]
    budget_spent: float

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            return self.series[name]
        except KeyError:
            component = name.split(":")[0]
            near = [n for n in self.series if n.split(":")[0] == component] or list(self.series)
            raise ValueError(f"series {name!r}: unknown; there are {', '.join(near)}") from None

    def error_ratio(self, service: str = "gateway", minutes: int = 5) -> float:
        """Return the error ratio of a service over the last ``minutes``."""
        bad = self[f"{service}:errors"][-minutes:].sum()
        return float(bad / max(1.0, self[f"{service}:requests"][-minutes:].sum()))


@dataclass(frozen=True, repr=False)
class Incident:
    """One incident with the decisions taken so far.

    Attributes
    ----------
    seed, minutes : int
    decisions : tuple of Decision
    """

    seed: int
    minutes: int
    decisions: tuple[Decision, ...] = ()
    _scenario: str = field(default="", repr=False)

    def __repr__(self) -> str:
        return f"Incident(seed={self.seed}, minutes={self.minutes}, decisions={self.decisions})"

    # ------------------------------------------------------------------ for the responder

    @property
    def hosts(self) -> dict[str, clocks.Host]:
        """Format, zone and start of each component's clock; not by how much it is wrong."""
        return _drawn(self.seed, self.minutes, self._scenario).hosts

    @property
    def depends(self) -> dict[str, tuple[str, ...]]:
        """What each component needs."""
        return dict(DEPENDS)

    def at(self, minute: int) -> View:
        """Return what a responder sees when ``minute`` is over."""
        minute = self._minute(minute)
        spent = float(self._series["gateway:errors"][: minute + 1].sum()) / self._allowed_bad
        return View(
            minute=minute,
            series={name: values[: minute + 1].copy() for name, values in self._series.items()},
            logs={
                name: tuple(text for when, text in own if when <= minute + 1)
                for name, own in self._logs.items()
            },
            pages=tuple(
                replace(p, ended=p.ended if p.ended is not None and p.ended <= minute else None)
                for p in self._pages
                if p.minute <= minute
            ),
            changes=tuple(sorted(_until(self._plan.changes, minute), key=lambda c: c.minute)),
            chat=tuple(sorted(_until(self._chat, minute), key=lambda s: s.minute)),
            decisions=tuple(self._taken(d, minute) for d in _until(self.decisions, minute)),
            budget_spent=spent,
        )

    def decide(self, minute: int, action: str, target: str = "") -> Incident:
        """Return the incident in which ``action`` is taken at ``minute``.

        Raises
        ------
        ValueError
            Unknown action, a target that it cannot be applied to, or a minute before the last
            decision.
        """
        decision = Decision(self._minute(minute), action, target)
        if self.decisions and minute < self.decisions[-1].minute:
            raise ValueError(
                f"minute={minute!r}: the last decision was at {self.decisions[-1].minute}; "
                "take them in order"
            )
        return Incident(self.seed, self.minutes, (*self.decisions, decision), self._scenario)

    def idle(self) -> Incident:
        """Return the same incident with no decisions."""
        return Incident(self.seed, self.minutes, (), self._scenario)

    # ------------------------------------------------------------------ behind the curtain

    @property
    def _plan(self) -> Plan:
        return _drawn(self.seed, self.minutes, self._scenario).plan

    @cached_property
    def _expected(self) -> engine.Expected:
        drawn = _drawn(self.seed, self.minutes, self._scenario)
        return engine.run(drawn.plan, self.decisions, drawn.demand)

    @cached_property
    def _series(self) -> dict[str, np.ndarray]:
        return readings(self._plan, self._expected, self._stream(2))

    @cached_property
    def _pages(self) -> tuple[Page, ...]:
        return paging.pages(self._series)

    @cached_property
    def _logs(self) -> dict[str, list[logs.Line]]:
        drawn = _drawn(self.seed, self.minutes, self._scenario)
        said = tuple(
            Said(d.acts_at, d.target, f"operator: {d.action} done")
            for d in self.decisions
            if d.target and d.acts_at < self.minutes and "refused" not in self._result(d)
        )
        return logs.raw_logs(
            drawn.plan, self._expected, said, drawn.hosts, drawn.ahead_s, self._stream(3)
        )

    @property
    def _chat(self) -> list[Said]:
        pager = [
            Said(p.minute, "pager", f"{p.severity.upper()} {p.rule} ({p.component})")
            for p in self._pages
        ]
        bot = [
            Said(
                d.acts_at, "ops-bot", f"{d.action} {d.target}: {self._result(d)}".replace(" :", ":")
            )
            for d in self.decisions
            if d.action != "wait"
        ]
        return [*self._plan.chat, *pager, *bot]

    @property
    def _allowed_bad(self) -> float:
        per_min = REQUESTS_PER_MIN * self._plan.busy
        return OBJECTIVE.allowed_bad(per_min * OBJECTIVE.window_min)

    def _stream(self, which: int) -> np.random.Generator:
        return _streams(self.seed, self._scenario)[which]

    def _result(self, d: Decision) -> str:
        plan = self._plan
        if d.action == "wait":
            return "watched"
        if d.action == "rollback":
            own = (c for c in plan.changes if c.component == d.target)
            undone = [c.text for c in own if c.minute <= d.minute]
            return f"undid {'; '.join(undone)}" if undone else "nothing had changed; restarted"
        if engine.quota_refuses(plan, self.decisions, d):
            return "refused: QUOTA_EXCEEDED gpu_instances 20/20"
        return "done"

    def _taken(self, d: Decision, now: int) -> Taken:
        result = self._result(d) if now >= d.acts_at else f"in progress until minute {d.acts_at}"
        return Taken(d.minute, d.action, d.target, result)

    def _minute(self, minute: int) -> int:
        if isinstance(minute, bool) or int(minute) != minute or not 0 <= minute < self.minutes:
            raise ValueError(
                f"minute={minute!r}: must be a whole number from 0 to {self.minutes - 1}"
            )
        return int(minute)


def generate(seed: int, scenario: str | None = None, minutes: int = 360) -> Incident:
    """Return an incident; the same arguments always give the same one.

    Parameters
    ----------
    scenario : str, optional
        One of ``SCENARIOS``; left out, the seed chooses and nobody says which.
    minutes : int
        Length, from 240 to 1,440.
    """
    if isinstance(seed, bool) or int(seed) != seed or seed < 0:
        raise ValueError(f"seed={seed!r}: must be a whole number, 0 or more")
    if scenario is not None and scenario not in SCENARIOS:
        raise ValueError(f"scenario={scenario!r}: must be one of {', '.join(SCENARIOS)}")
    if int(minutes) != minutes or not SHORTEST <= minutes <= LONGEST:
        raise ValueError(f"minutes={minutes!r}: must be from {SHORTEST} to {LONGEST}")
    names = list(SCENARIOS)
    if scenario is None:
        scenario = names[int(np.random.default_rng([int(seed), 77]).integers(len(names)))]
    return Incident(int(seed), int(minutes), (), scenario)


@dataclass(frozen=True)
class _Drawn:
    plan: Plan
    demand: np.ndarray
    hosts: dict[str, clocks.Host]
    ahead_s: dict[str, float]


@lru_cache(maxsize=256)
def _drawn(seed: int, minutes: int, scenario: str) -> _Drawn:
    """What chance decided, before anybody did anything."""
    rng, load = _streams(seed, scenario)[:2]
    plan = herrings.with_herrings(SCENARIOS[scenario](rng, minutes), rng, minutes)
    table, ahead_s = clocks.hosts(rng)
    return _Drawn(plan, demand(load, minutes), table, ahead_s)


def _streams(seed: int, scenario: str) -> list[np.random.Generator]:
    return np.random.default_rng([seed, list(SCENARIOS).index(scenario)]).spawn(4)


def _until(items, minute: int) -> list:
    return [item for item in items if item.minute <= minute]
