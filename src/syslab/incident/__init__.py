"""Incidents with a known cause: to be on call for, and to try alerts on.

    incident = generate(seed=7)                            # the scenario stays hidden
    view = incident.at(95)                                 # what a responder sees at minute 95
    incident = incident.decide(95, "rollback", "router")   # changes what comes after
    outcome(incident).budget_spent, compare(incident).saved
    truth(incident).cause                                  # afterwards

incident   generate, Incident, View: series, raw logs, pages, changes, chat, up to a minute
decisions  ACTIONS: what a responder can do, to what, how fast and at what cost
truth      truth(), harm(): cause, timeline, red herrings; outcome: outcome(), compare()
timeline   score_timeline(): a reconstructed timeline against the truth
logs       estimate_ahead_s(), read_all(): zones and wrong clocks; clocks: Host
alerts     Rule, Condition, Ratio, Level, burn_alert, evaluate: as Prometheus evaluates them
judge      judge(): precision, recall, detection and reset time; planted: planted()
promtool   confirm(): the same rules in the real Prometheus engine

Everything is synthetic: generated from a seed by the model in ``engine`` and the parameters in
``services`` and ``scenarios``.
"""

from syslab.incident.alerts import (
    Condition,
    Firing,
    Level,
    Ratio,
    Rule,
    burn_alert,
    evaluate,
    rule,
)
from syslab.incident.decisions import ACTIONS, Decision
from syslab.incident.faults import KINDS, ROLES, Event
from syslab.incident.incident import Incident, View, generate
from syslab.incident.judge import AlertScore, judge, merged
from syslab.incident.logs import estimate_ahead_s, read_all
from syslab.incident.outcome import Comparison, Outcome, compare, outcome
from syslab.incident.paging import OBJECTIVE, Page, standing_rules
from syslab.incident.planted import Outage, Planted, planted
from syslab.incident.promtool import Case, Verdict, confirm, rule_file
from syslab.incident.scenarios import SCENARIOS
from syslab.incident.services import COMPONENTS, DEPENDS
from syslab.incident.timeline import TimelineScore, score_timeline
from syslab.incident.truth import Truth, harm, truth

__all__ = [
    "ACTIONS",
    "COMPONENTS",
    "DEPENDS",
    "KINDS",
    "OBJECTIVE",
    "ROLES",
    "SCENARIOS",
    "AlertScore",
    "Case",
    "Comparison",
    "Condition",
    "Decision",
    "Event",
    "Firing",
    "Incident",
    "Level",
    "Outage",
    "Outcome",
    "Page",
    "Planted",
    "Ratio",
    "Rule",
    "TimelineScore",
    "Truth",
    "Verdict",
    "View",
    "burn_alert",
    "compare",
    "confirm",
    "estimate_ahead_s",
    "evaluate",
    "generate",
    "harm",
    "judge",
    "merged",
    "outcome",
    "planted",
    "read_all",
    "rule",
    "rule_file",
    "score_timeline",
    "standing_rules",
    "truth",
]
