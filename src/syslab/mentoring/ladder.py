"""Growth-ladder gap: what the next level expects, what the evidence shows, what to do first.

Evidence levels: 0 nothing, 1 said so, 2 done once with help, 3 done alone and seen by others,
4 repeated and taught. A level without a link counts as 1 at most, whoever claims it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from syslab.mentoring.text import is_link

UNPROVEN = 1  # the highest level that a claim without a link can have


@dataclass(frozen=True)
class Expectation:
    """One row of a level's expectations matrix.

    Attributes
    ----------
    skill : str
    level : int
        Expected evidence level, 0 to 4.
    weight : float
        How much the promotion decision rests on it, above 0.
    feasibility : float
        Chance, 0 to 1, that work which can show it comes up before the plan ends.
    hours_per_level : float
        Mentor's hours that one level usually costs, above 0.
    """

    skill: str
    level: int
    weight: float
    feasibility: float
    hours_per_level: float = 6.0

    def __post_init__(self):
        if self.level not in range(5):
            raise ValueError(f"{self.skill}: level={self.level!r} must be 0, 1, 2, 3 or 4")
        if not 0 <= self.feasibility <= 1:
            raise ValueError(f"{self.skill}: feasibility={self.feasibility!r} must be 0 to 1")
        for name in ("weight", "hours_per_level"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{self.skill}: {name}={getattr(self, name)!r} must be above 0")


@dataclass(frozen=True)
class Gap:
    """What is missing for one expectation.

    ``value`` is weight x missing levels x feasibility; ``hours`` what closing it costs.
    ``claimed`` differs from ``shown`` where a link is missing.
    """

    skill: str
    claimed: int
    shown: int
    expected: int
    value: float
    hours: float

    @property
    def missing(self) -> int:
        """Levels between what is shown and what is expected."""
        return max(self.expected - self.shown, 0)


def gaps(expectations: Sequence[Expectation], evidence: Mapping[str, tuple[int, str]]) -> list[Gap]:
    """Return the open gaps, the most valuable first (ties: fewer hours, then name).

    Parameters
    ----------
    expectations : sequence of Expectation
    evidence : mapping
        Skill to ``(level, link)``. A skill that is absent is at level 0.

    Raises
    ------
    ValueError
        For a level outside 0 to 4 or a skill the matrix does not have.
    """
    unknown = set(evidence) - {e.skill for e in expectations}
    if unknown:
        raise ValueError(f"evidence for {sorted(unknown)}: no such skill in the expectations")
    found = []
    for e in expectations:
        claimed, link = evidence.get(e.skill, (0, ""))
        if claimed not in range(5):
            raise ValueError(f"evidence[{e.skill!r}]: level {claimed!r} must be 0 to 4")
        shown = claimed if is_link(link) else min(claimed, UNPROVEN)
        missing = max(e.level - shown, 0)
        if missing:
            value = e.weight * missing * e.feasibility
            found.append(Gap(e.skill, claimed, shown, e.level, value, missing * e.hours_per_level))
    return sorted(found, key=lambda gap: (-gap.value, gap.hours, gap.skill))


def pick(found: Sequence[Gap], hours: float, most: int = 4) -> list[Gap]:
    """Return the set of at most ``most`` gaps with the highest value that fits into ``hours``.

    Every subset is tried, so the answer is exact; a dozen gaps take a few hundred subsets.
    """
    if not hours >= 0:
        raise ValueError(f"hours={hours!r}: must be 0 or more")
    fitting = (
        subset
        for size in range(most + 1)
        for subset in combinations(found, size)
        if sum(gap.hours for gap in subset) <= hours
    )
    best = max(fitting, key=lambda s: (sum(g.value for g in s), -sum(g.hours for g in s)))
    return list(best)
