"""Help now, or coach? A small decision model with known consequences.

Problems of one kind arrive at random (Poisson, per week). The mentee solves one alone with
probability ``skill``. Each problem is met in one of four modes:

    mode       mentor h   mentee h   elapsed h   learns   errors let through
    tell         0.5         0.5        0.5        2 %         0 %
    show         1.5         1.5        1.5       12 %         0 %
    ask          1.0         3.0        3.0       30 %        25 %
    delegate     0.1         2.5        2.5       20 %       100 %

"Learns" is the share of what is still missing that one problem teaches: skill becomes
skill + learns x (1 - skill). An error of the mentee, let through, is an incident. So is a problem
that takes longer than the situation's slack while the mentorship runs. After the last week the
mentor is gone: each problem is met alone, takes 1.5 h and is an incident where the mentee errs.
The numbers are assumptions, stated here, and arguments of every function.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import exp

import numpy as np


@dataclass(frozen=True)
class Mode:
    """What one problem costs and teaches in one coaching mode; times in hours."""

    mentor_h: float
    mentee_h: float
    elapsed_h: float
    learns: float
    lets_through: float


MODES: dict[str, Mode] = {
    "tell": Mode(0.5, 0.5, 0.5, 0.02, 0.0),
    "show": Mode(1.5, 1.5, 1.5, 0.12, 0.0),
    "ask": Mode(1.0, 3.0, 3.0, 0.30, 0.25),
    "delegate": Mode(0.1, 2.5, 2.5, 0.20, 1.0),
}
ALONE_H = 1.5  # mentee's hours per problem after the end


@dataclass(frozen=True)
class Situation:
    """Where the choice is made.

    Attributes
    ----------
    per_week : float
        Problems of this kind per week.
    skill : float
        Chance, 0 to 1, that the mentee solves one alone today.
    incident_h : float
        Everybody's hours that one incident costs.
    weeks, after_weeks : float
        Length of the mentorship, and how long its effect is counted afterwards.
    slack_h : float
        A problem that takes longer than this becomes an incident.
    """

    per_week: float
    skill: float
    incident_h: float
    weeks: float = 24
    after_weeks: float = 52
    slack_h: float = float("inf")

    def __post_init__(self):
        if not 0 <= self.skill <= 1:
            raise ValueError(f"skill={self.skill!r}: must be 0 to 1")
        for name in ("per_week", "incident_h", "weeks", "after_weeks", "slack_h"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be 0 or more")


SITUATIONS = {
    "weekly deploy failure": Situation(per_week=1.0, skill=0.3, incident_h=12),
    "outage at night": Situation(per_week=0.25, skill=0.3, incident_h=40, slack_h=2.0),
    "yearly certificate": Situation(per_week=1 / 52, skill=0.2, incident_h=20),
    "last month of a contract": Situation(
        per_week=1.0, skill=0.3, incident_h=12, weeks=4, after_weeks=0
    ),
}


@dataclass(frozen=True)
class Outcome:
    """Hours and incidents of one run, or their expectations.

    ``total_h`` adds mentor, mentee and incidents, before and after the end.
    """

    mentor_h: float
    mentee_h: float
    incidents: float
    incidents_after: float
    skill_at_end: float
    total_h: float


Policy = str | Callable[[float], str]


def ladder_policy(skill: float) -> str:
    """Show below 0.4, ask below 0.85, delegate from there on."""
    return "show" if skill < 0.4 else "ask" if skill < 0.85 else "delegate"


def simulate(
    situation: Situation, policy: Policy, *, seed: int | np.random.Generator,
    modes: Mapping[str, Mode] = MODES,
) -> Outcome:  # fmt: skip
    """Play one mentorship and what follows it.

    ``policy`` is the name of a mode, or a function from the mentee's skill to one.
    """
    choose = _chooser(policy, modes)
    rng = np.random.default_rng(seed)
    skill, mentor_h, mentee_h, incidents = situation.skill, 0.0, 0.0, 0
    for _ in range(rng.poisson(situation.per_week * situation.weeks)):
        mode = modes[choose(skill)]
        failed = rng.random() > skill and rng.random() < mode.lets_through
        incidents += failed or mode.elapsed_h > situation.slack_h
        mentor_h += mode.mentor_h
        mentee_h += mode.mentee_h
        skill += mode.learns * (1 - skill)
    alone = rng.poisson(situation.per_week * situation.after_weeks)
    after = int(rng.binomial(alone, 1 - skill))
    mentee_h += alone * ALONE_H
    total = mentor_h + mentee_h + (incidents + after) * situation.incident_h
    return Outcome(mentor_h, mentee_h, incidents, after, skill, total)


def expected(situation: Situation, mode: str, *, modes: Mapping[str, Mode] = MODES) -> Outcome:
    """Expectation of ``simulate`` for one constant mode, in closed form.

    With N problems, Poisson with mean m, what is missing shrinks by (1 - g)^N, and
    E[(1 - g)^N] = exp(-g m). The missing skill met on the way sums to (1 - exp(-g m)) / g.
    """
    _chooser(mode, modes)
    m, how = situation.per_week * situation.weeks, modes[mode]
    lacking = 1 - situation.skill
    left = lacking * exp(-how.learns * m)
    met = lacking * m if how.learns == 0 else (lacking - left) / how.learns
    incidents = m if how.elapsed_h > situation.slack_h else how.lets_through * met
    alone = situation.per_week * situation.after_weeks
    after = alone * left
    mentor_h, mentee_h = m * how.mentor_h, m * how.mentee_h + alone * ALONE_H
    total = mentor_h + mentee_h + (incidents + after) * situation.incident_h
    return Outcome(mentor_h, mentee_h, incidents, after, 1 - left, total)


def compare(
    situation: Situation, policies: Mapping[str, Policy] | None = None, *, runs: int = 2000,
    seed: int = 0, modes: Mapping[str, Mode] = MODES,
) -> dict[str, Outcome]:  # fmt: skip
    """Mean outcome per policy over ``runs`` runs; run i of every policy has the same seed.

    ``policies`` defaults to the four modes and ``ladder_policy``.
    """
    if runs < 1:
        raise ValueError(f"runs={runs!r}: must be 1 or more")
    policies = policies or {**{name: name for name in modes}, "ladder": ladder_policy}
    means = {}
    for name, policy in policies.items():
        played = [simulate(situation, policy, seed=np.random.default_rng([seed, i]), modes=modes)
                  for i in range(runs)]  # fmt: skip
        fields = Outcome.__dataclass_fields__
        means[name] = Outcome(*(float(np.mean([getattr(o, f) for o in played])) for f in fields))
    return means


def _chooser(policy: Policy, modes: Mapping[str, Mode]) -> Callable[[float], str]:
    if isinstance(policy, str):
        if policy not in modes:
            raise ValueError(f"policy={policy!r}: must be one of {list(modes)} or a function")
        return lambda skill: policy
    return policy
