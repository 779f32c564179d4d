"""What can be planted: faults with an effect over time, and changes that people made."""

from __future__ import annotations

from dataclasses import dataclass

EFFECTS = {
    "errors": "adds `size` to the target's own error ratio",
    "latency": "multiplies the target's own latency by 1 + size",
    "capacity": "takes the share `size` of the target's capacity",
    "load": "adds `size` of the target's capacity as load from elsewhere",
    "demand": "multiplies requests at the gateway by 1 + size",
    "no-autoscale": "keeps the model pools from growing with demand",
    "retries": "adds `size` tries to those that the router makes at a model pool",
    "hit": "takes the share `size` of the KV store's hits",
    "wrong": "makes the share `size` of the target's answers wrong",
    "loss": "raises the training loss by up to `size`",
    "leak": "fills the share `size` of the target's memory every minute",
    "nulls": "empties the share `size` of the features",
    "ecc": "adds `size` corrected memory errors a minute to a GPU node",
}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, for a time.

    Attributes
    ----------
    effect : str
        One of :data:`EFFECTS`.
    target : str
        Component.
    size : float
        At full strength.
    start, ramp_min : int
        First minute, and minutes until full strength.
    end : int or None
        First minute without it, if it passes by itself.
    cures : frozenset of (str, str)
        Decisions ``(action, target)`` that end it.
    """

    effect: str
    target: str
    size: float
    start: int
    ramp_min: int = 1
    end: int | None = None
    cures: frozenset[tuple[str, str]] = frozenset()

    def __post_init__(self):
        if self.effect not in EFFECTS:
            raise ValueError(f"effect={self.effect!r}: must be one of {', '.join(EFFECTS)}")

    def strength(self, minute: int, cured_at: float) -> float:
        """Return its strength from 0 to 1; a cure takes three minutes to show in full."""
        if minute < self.start or (self.end is not None and minute >= self.end):
            return 0.0
        full = min(1.0, (minute - self.start + 1) / self.ramp_min)
        return full if minute < cured_at else full * max(0.0, 1 - (minute - cured_at + 1) / 3)


@dataclass(frozen=True)
class Change:
    """A deploy or a change of configuration, as the change calendar shows it."""

    minute: int
    component: str
    kind: str  # "deploy" or "config"
    text: str
    who: str


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes
    ----------
    minute : int
    component : str
    kind : str
        One of :data:`KINDS`.
    role : str
        One of :data:`ROLES`.
    text : str
    """

    minute: int
    component: str
    kind: str
    role: str
    text: str


KINDS = {
    "deploy": "new code went out",
    "config": "a setting changed",
    "warning": "a component logged that something was not as it should be",
    "fault": "hardware, a certificate or a job did something nobody asked for",
    "load": "more work arrived",
    "errors": "requests failed",
    "slow": "requests took longer",
    "saturated": "a component ran out of room",
    "wrong": "answers were wrong",
    "page": "somebody was paged",
    "decision": "a responder did something",
    "recovery": "it worked again",
}
ROLES = {
    "trigger": "started it",
    "factor": "made it possible, worse or longer",
    "symptom": "followed from it",
    "response": "was done about it",
    "unrelated": "happened at the time, and had nothing to do with it",
}


@dataclass(frozen=True)
class Said:
    """A line that a component logs, or that a person writes in the chat."""

    minute: int
    who: str
    text: str
    level: str = "INFO"


@dataclass(frozen=True)
class Plan:
    """All that is planted in one incident; the responder never sees it whole.

    Attributes
    ----------
    scenario, cause : str
        Short name, and one sentence.
    component : str
        Where the root cause sits.
    trigger : Event
    factors, unrelated : tuple of Event
        Contributing factors, and red herrings.
    faults, changes, logs, chat : tuples
        What acts, what the calendar shows, what is logged and said.
    remedies : frozenset of (str, str)
        Decisions that end it.
    relief : frozenset of (str, str)
        Decisions that make it better for a time, or in part.
    busy : float
        Load, relative to a normal day.
    """

    scenario: str
    cause: str
    component: str
    trigger: Event
    factors: tuple[Event, ...]
    unrelated: tuple[Event, ...]
    faults: tuple[Fault, ...]
    changes: tuple[Change, ...]
    logs: tuple[Said, ...]
    chat: tuple[Said, ...]
    remedies: frozenset[tuple[str, str]]
    relief: frozenset[tuple[str, str]] = frozenset()
    busy: float = 1.0
