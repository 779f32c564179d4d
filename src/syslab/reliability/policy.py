"""An error-budget policy as data: how much is spent, and what follows from it.

    policy = Policy.of([(0.5, "review"), (0.75, "reliability first"), (1.0, "freeze")],
                       incident_share=0.2)
    for day in policy.evaluate(bad_per_day, total_per_day, slo): ...

The strictest step reached is in force until enough old errors have left the rolling window.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from syslab.reliability import _check
from syslab.reliability.slo import SLO, error_ratio, window_sum


@dataclass(frozen=True)
class Step:
    """``action`` is in force while at least ``spent`` of the budget is gone."""

    spent: float
    action: str


@dataclass(frozen=True)
class Day:
    """The policy on one day.

    Attributes
    ----------
    day : int
        0 is the first.
    spent : float
        Share of the budget spent in the window that ends with this day.
    action : str
        In force; the policy's ``normal`` below all steps.
    changed : bool
        Whether the action is another one than the day before.
    postmortem : bool
        Whether this day alone spent so much that it must be written up.
    """

    day: int
    spent: float
    action: str
    changed: bool
    postmortem: bool


@dataclass(frozen=True)
class Policy:
    """Steps in rising order, and the share of a budget that one day may spend unexamined."""

    steps: tuple[Step, ...]
    incident_share: float | None = None
    normal: str = "ship"

    def __post_init__(self):
        if not self.steps:
            raise ValueError("steps is empty; give at least one (spent, action)")
        levels = [_check.positive(f"steps[{i}].spent", s.spent) for i, s in enumerate(self.steps)]
        if any(b <= a for a, b in pairwise(levels)):
            raise ValueError(f"steps spend {levels}: each must be above the one before; sort them")
        if self.incident_share is not None:
            _check.share("incident_share", self.incident_share, open_below=True)

    @classmethod
    def of(
        cls,
        steps: Iterable[tuple[float, str]],
        incident_share: float | None = None,
        normal: str = "ship",
    ) -> Policy:
        """Build a policy from pairs ``(spent, action)``."""
        return cls(tuple(Step(*pair) for pair in steps), incident_share, normal)

    def action(self, spent: float) -> str:
        """Return the action in force when ``spent`` of the budget is gone."""
        reached = [step.action for step in self.steps if spent >= step.spent]
        return reached[-1] if reached else self.normal

    def evaluate(self, bad, total, slo: SLO) -> tuple[Day, ...]:
        """Return the policy's verdict for each day of a history.

        Parameters
        ----------
        bad, total : array-like, shape (days,)
            Requests of each day. The budget is that of the requests really seen in the window;
            before a whole window has passed, its first days are taken as typical of it.
        """
        bad, total = _check.counts(bad, total, per="day")
        days = max(1, round(slo.window_days))
        seen = np.minimum(np.arange(1, len(bad) + 1), days)
        expected = window_sum(total, days) * days / seen
        allowed = slo.budget_ratio * expected
        spent = error_ratio(window_sum(bad, days), allowed)
        alone = error_ratio(bad, allowed)
        out, before = [], self.normal
        for day, (share, own) in enumerate(zip(spent.tolist(), alone.tolist(), strict=True)):
            action = self.action(share)
            examine = self.incident_share is not None and own > self.incident_share
            out.append(Day(day, share, action, action != before, examine))
            before = action
        return tuple(out)


def workbook_policy() -> Policy:
    """Return the SRE workbook's example: freeze when the budget is gone, write up 20 % (app. B)."""
    from syslab import facts

    return Policy.of(
        [(1.0, "freeze")], incident_share=facts.constant("burn_alert.postmortem_share")
    )
