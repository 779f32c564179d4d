"""The alerts that are already there when the incident begins: some good, some noisy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from syslab.incident.alerts import Condition, Level, Ratio, Rule, burn_alert, evaluate, rule
from syslab.incident.services import NODES, POOLS, TARGET
from syslab.reliability import SLO, workbook_rules

OBJECTIVE = SLO(TARGET, 30, "gateway")


@dataclass(frozen=True)
class Page:
    """One alert that went off.

    Attributes
    ----------
    minute : int
    rule, severity : str
    component : str
        That the rule watches.
    text : str
        The rule's expression.
    ended : int or None
        When it went out again; None while it is on.
    """

    minute: int
    rule: str
    severity: str
    component: str
    text: str
    ended: int | None = None


def standing_rules() -> tuple[Rule, ...]:
    """Return the rules that page in every incident."""
    fast, slow, _ = workbook_rules()
    bad, total = "gateway:errors", "gateway:requests"
    probes = [
        rule(
            f"WrongAnswers_{pool.replace('-', '_')}",
            Condition(Ratio(f"{pool}:probes_wrong", f"{pool}:probes", 30), 0.025),
            for_min=5,
        )
        for pool in POOLS
    ]
    ecc = [
        rule(
            f"MemoryErrors_{node.replace('-', '_')}",
            Condition(Level(f"{node}:ecc_corrected", 15, "sum"), 40),
            severity="ticket",
        )
        for node in NODES
    ]
    return (
        burn_alert("GatewayBudgetBurn", OBJECTIVE, (fast, slow), bad, total),
        rule("GatewaySlow", Condition(Level("gateway:latency_p99_s"), 1.5), for_min=5),
        *probes,
        rule("TrainingLossHigh", Condition(Level("trainer:loss", 10, "min"), 2.5)),
        *ecc,
        rule("QueueLag", Condition(Level("queue:depth"), 15_000), for_min=5, severity="ticket"),
        rule("DiskFull", Condition(Level("checkpoint-store:disk"), 0.9), severity="ticket"),
        rule(
            "FeatureNulls", Condition(Level("feature-store:null_ratio"), 0.2),
            for_min=30, severity="ticket",
        ),
    )  # fmt: skip


def pages(series: Mapping[str, np.ndarray]) -> tuple[Page, ...]:
    """Return every page and ticket of the standing rules, in order."""
    length = len(series["gateway:requests"])
    out = []
    for one in standing_rules():
        for start, end in evaluate(one, series).intervals:
            ended = end if end < length else None
            component = one.names[0].split(":")[0]
            out.append(Page(start, one.name, one.severity, component, one.promql, ended))
    return tuple(sorted(out, key=lambda page: (page.minute, page.rule)))
