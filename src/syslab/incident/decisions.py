"""What a responder can do, how long it takes and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

from syslab.incident.services import COMPONENTS, NODES, POOLS, SERVICES, STANDBY


@dataclass(frozen=True)
class Action:
    """One kind of decision.

    Attributes
    ----------
    does : str
        In a sentence, with its cost.
    targets : tuple of str
        What it can be applied to; empty if it needs no target.
    delay_min : int
        Minutes until it acts.
    """

    does: str
    targets: tuple[str, ...]
    delay_min: int


ACTIONS = {
    "wait": Action("watch a little longer", (), 0),
    "rollback": Action(
        "give a service the build and the settings it had when the shift began; its restart takes "
        "40 % of its capacity for 3 minutes",
        tuple(SERVICES),
        5,
    ),
    "restart": Action(
        "restart a service, which empties its memory and opens all its connections anew; takes "
        "40 % of its capacity for 3 minutes",
        tuple(SERVICES),
        2,
    ),
    "drain": Action(
        "take a GPU node, or a whole model pool, out of service; the others carry its load",
        (*NODES, *POOLS),
        3,
    ),
    "scale": Action(
        "add 60 % of a service's normal capacity", ("gateway", "router", *POOLS, *STANDBY), 8
    ),
    "fail_over": Action(
        "switch to the standby copy, a third slower for 15 minutes while its caches are cold",
        STANDBY,
        4,
    ),
    "disable_retries": Action("let a failed try stay failed", ("router",), 1),
    "throttle": Action(
        "gateway: refuse 30 % of requests for 15 minutes; elsewhere: limit the heaviest tenant",
        ("gateway", "kv-store", "feature-store", "queue"),
        1,
    ),
    "renew_certificate": Action("issue and load a new certificate", tuple(SERVICES), 10),
    "raise_quota": Action("have the provider raise the quota of GPU instances", POOLS, 12),
}


@dataclass(frozen=True)
class Decision:
    """What was decided, when, and when it begins to act.

    Attributes
    ----------
    minute, acts_at : int
    action, target : str
        ``target`` is an empty string where the action needs none.
    """

    minute: int
    action: str
    target: str = ""

    def __post_init__(self):
        if self.action not in ACTIONS:
            raise ValueError(f"action={self.action!r}: must be one of {', '.join(ACTIONS)}")
        targets = ACTIONS[self.action].targets
        if (self.target in targets) if targets else (self.target == ""):
            return
        if not targets:
            raise ValueError(f"target={self.target!r}: {self.action} takes no target")
        unknown = "" if self.target in COMPONENTS else ", which is no component"
        raise ValueError(
            f"target={self.target!r}{unknown}: {self.action} can be applied to {', '.join(targets)}"
        )

    @property
    def acts_at(self) -> int:
        """First minute in which it has an effect."""
        return self.minute + ACTIONS[self.action].delay_min
