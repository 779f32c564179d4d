"""What a responder's decisions were worth, against nobody acting and against hindsight."""

from __future__ import annotations

from dataclasses import dataclass

from syslab.incident.engine import quota_refuses
from syslab.incident.incident import Incident
from syslab.incident.truth import harm, recovered_at, truth


@dataclass(frozen=True)
class Outcome:
    """How an incident ended.

    Attributes
    ----------
    failed, wrong : float
        Requests that failed, and answers that were wrong without an error.
    budget_spent : float
        Share of the budget of 30 days that the failed requests spent.
    harm_spent : float
        The same with wrong answers counted as bad, as users would.
    paged_at, recovered_at : int or None
        First page, and first minute from which users had no more trouble.
    helped, useless : tuple of str
        Decisions that end this incident or relieve it, and the others.
    """

    failed: float
    wrong: float
    budget_spent: float
    harm_spent: float
    paged_at: int | None
    recovered_at: int | None
    helped: tuple[str, ...]
    useless: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """One course of an incident beside two others.

    Attributes
    ----------
    yours, nobody, hindsight : Outcome
        As decided; without any decision; with the best single remedy at the first page.
    best : str
        That remedy.
    saved : float
        Share of the harm between ``nobody`` and ``hindsight`` that was avoided: 1 is as good as
        hindsight, 0 as good as nobody, below 0 is worse than doing nothing.
    """

    yours: Outcome
    nobody: Outcome
    hindsight: Outcome
    best: str
    saved: float


def outcome(incident: Incident) -> Outcome:
    """Return how the incident ended with the decisions taken."""
    failed, wrong = (float(part.sum()) for part in harm(incident))
    story = truth(incident)
    good = story.remedies | story.relief
    helped, useless = [], []
    for d in incident.decisions:
        if d.action == "wait":
            continue
        late = d.minute < story.trigger.minute
        refused = quota_refuses(incident._plan, incident.decisions, d)
        name = f"{d.action} {d.target}".strip()
        (helped if (d.action, d.target) in good and not late and not refused else useless).append(
            name
        )
    pages = [p.minute for p in incident._pages if p.severity == "page"]
    after = [minute for minute in pages if minute >= story.trigger.minute]
    return Outcome(
        failed=failed,
        wrong=wrong,
        budget_spent=failed / incident._allowed_bad,
        harm_spent=(failed + wrong) / incident._allowed_bad,
        paged_at=after[0] if after else None,
        recovered_at=recovered_at(incident),
        helped=tuple(helped),
        useless=tuple(useless),
    )


def compare(incident: Incident) -> Comparison:
    """Return the outcome beside that of nobody, and of one who knew."""
    idle = incident.idle()
    nobody = outcome(idle)
    minute = nobody.paged_at if nobody.paged_at is not None else truth(idle).trigger.minute + 30
    tried = {
        f"{action} {target}": outcome(idle.decide(minute, action, target))
        for action, target in sorted(truth(idle).remedies)
    }
    best = min(tried, key=lambda name: tried[name].harm_spent)
    yours = outcome(incident)
    span = nobody.harm_spent - tried[best].harm_spent
    saved = (nobody.harm_spent - yours.harm_spent) / span if span > 0 else 0.0
    return Comparison(yours, nobody, tried[best], best, saved)
