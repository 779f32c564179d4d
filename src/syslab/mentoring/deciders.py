"""How many must agree, how many are asked: time and reversals of a decision.

``deciders`` must all say yes in one round; each objects with chance ``objects`` and an objection
opens a new round. ``asked`` people (deciders among them) read the proposal at once; the round ends
when the slowest has answered. A proposal carries a fault with chance ``faulty``; each reader sees
it with chance ``sees``. What nobody saw comes back as a reversal.

With reading times exponential, mean ``reading_days``, the slowest of n takes H_n x reading_days
(H_n = 1 + 1/2 + ... + 1/n), and the number of rounds is geometric: 1 / (1 - objects)^deciders.
A fault that is seen costs one round more. The independence of readers is the model's weak point:
a group that thinks alike sees less than ``sees`` says.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Process:
    """Who decides and what they are like.

    Attributes
    ----------
    deciders : int
        Whose yes is needed, 1 or more.
    asked : int
        Who reads and answers, at least the deciders.
    objects, faulty, sees : float
        Chances, 0 to 1; ``objects`` below 1.
    reading_days : float
        Mean days one reader takes.
    """

    deciders: int
    asked: int
    objects: float = 0.15
    faulty: float = 0.3
    sees: float = 0.35
    reading_days: float = 2.0

    def __post_init__(self):
        if self.deciders < 1:
            raise ValueError(f"deciders={self.deciders!r}: must be 1 or more")
        if self.asked < self.deciders:
            raise ValueError(
                f"asked={self.asked!r}: must be at least deciders={self.deciders}; they read too"
            )
        for name in ("faulty", "sees", "objects"):
            if not 0 <= getattr(self, name) <= (1 if name != "objects" else 0.99):
                raise ValueError(f"{name}={getattr(self, name)!r}: must be a chance, 0 to 1")
        if not self.reading_days > 0:
            raise ValueError(f"reading_days={self.reading_days!r}: must be above 0")


@dataclass(frozen=True)
class Decision:
    """Expected rounds, days, chance of a reversal, and cost in days when a reversal costs some."""

    rounds: float
    days: float
    reversed_share: float

    def cost_days(self, reversal_days: float) -> float:
        """Days until decided plus what reversals add on average."""
        return self.days + self.reversed_share * reversal_days


def expected_decision(process: Process) -> Decision:
    """Closed form of the process in the module's docstring."""
    unseen = (1 - process.sees) ** process.asked
    rounds = (1 - process.objects) ** -process.deciders + process.faulty * (1 - unseen)
    slowest = process.reading_days * sum(1 / i for i in range(1, process.asked + 1))
    return Decision(rounds, rounds * slowest, process.faulty * unseen)


def simulate_decisions(process: Process, *, seed: int, runs: int = 10_000) -> Decision:
    """Play ``runs`` decisions round by round and return the means."""
    rng = np.random.default_rng(seed)
    rounds_all, days_all, reversed_all = 0, 0.0, 0
    for _ in range(runs):
        seen = rng.random() < process.faulty
        if seen:
            seen = bool((rng.random(process.asked) < process.sees).any())
            reversed_all += not seen
        rounds = 1 + seen
        while (rng.random(process.deciders) < process.objects).any():
            rounds += 1
        readings = rng.exponential(process.reading_days, (rounds, process.asked))
        days_all += float(readings.max(axis=1).sum())
        rounds_all += rounds
    return Decision(rounds_all / runs, days_all / runs, reversed_all / runs)
