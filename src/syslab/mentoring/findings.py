"""What a linter says: a code that can be counted, a place that can be found, and what to do."""

from dataclasses import dataclass

# code: (severity, meaning)
CODES = {
    "form": ("must", "a table or key is missing, unknown or of the wrong type"),
    "dates": ("must", "the plan has no end, or ends before it begins"),
    "no-outcome": ("must", "no named outcome"),
    "many-outcomes": ("should", "more than four outcomes"),
    "duplicate-outcome": ("must", "two outcomes share an id"),
    "exit-missing": ("must", "an outcome without exit criterion"),
    "exit-vague": ("must", "an exit criterion nobody else could check"),
    "no-cadence": ("must", "no meeting rhythm"),
    "cadence-broken": ("should", "a pause of more than twice the rhythm"),
    "start-no-evidence": ("must", "a starting point without evidence"),
    "no-evidence": ("must", "a ledger entry without evidence"),
    "weak-evidence": ("should", "evidence that is not a link"),
    "outcome-no-entry": ("must", "an outcome nobody worked on"),
    "unknown-outcome": ("must", "an entry or topic for an outcome that is not in the plan"),
    "before-begin": ("must", "an entry dated before the plan begins"),
    "after-end": ("must", "an entry dated after the plan ends"),
    "future": ("must", "an entry dated after today"),
    "order": ("must", "ledger dates out of order"),
    "repeated-entry": ("should", "the same sentence in several entries"),
    "one-mode": ("should", "every entry has the same coaching mode"),
    "unknown-mode": ("must", "a coaching mode that is not one of the four"),
    "no-sponsorship": ("must", "no act of sponsorship"),
    "no-audience": ("must", "an act of sponsorship nobody heard"),
    "no-risk": ("should", "no risk named"),
    "not-done-empty": ("must", "nothing under what was not done"),
    "real-name": ("must", "the mentee can be identified by name"),
    "e-mail": ("must", "an e-mail address"),
    # feedback
    "empty-part": ("must", "a part of the feedback is missing"),
    "trait": ("must", "a judgement of the person"),
    "always-never": ("should", "always, never, everyone: a count nobody made"),
    "no-measure": ("should", "an effect without a number or a named event"),
    "no-request": ("must", "no next step that can be seen to happen"),
}


@dataclass(frozen=True)
class Finding:
    """One thing a linter found.

    Attributes
    ----------
    code : str
        A key of ``CODES``.
    place : str
        Where, as a path into the plan: ``outcomes[0].exit``.
    problem, do : str
        What was found there, and what to do about it.
    """

    code: str
    place: str
    problem: str
    do: str

    def __post_init__(self):
        if self.code not in CODES:
            raise ValueError(f"code={self.code!r}: must be one of {sorted(CODES)}")

    @property
    def severity(self) -> str:
        """``must`` or ``should``."""
        return CODES[self.code][0]

    def __str__(self) -> str:
        return f"{self.severity:6} {self.code} at {self.place}: {self.problem}. {self.do}."
