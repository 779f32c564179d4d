"""Reliability in numbers: objectives, budgets, burn rates, availability, fleets, checkpoints.

    slo = SLO(0.999, window_days=30)
    slo.downtime_min                                # 43.2
    rule = BurnRule(burn=14.4, long_min=60, short_min=5)
    detection_min(rule, error_ratio=0.15, slo=slo)  # 5.76

slo           SLO, Budget; budgets by requests and by good minutes; rolling windows
burn          burn rates, two-window rules, detection and reset: closed form and on series
availability  series, parallel, k of n, common causes, MTTF and MTTR
fleet         from one GPU's life to a job's interruptions; the Llama 3 405B run
checkpoint    Young, Daly, the exact optimum, expected and simulated efficiency
policy        an error-budget policy as data, evaluated on a history

Series are counts per minute, bad and total. Times carry their unit in the name.
"""

from syslab.reliability.availability import (
    availability,
    downtime_min,
    k_of,
    k_of_n,
    mttr_for,
    nines,
    parallel,
    series,
)
from syslab.reliability.burn import (
    BurnRule,
    budget_share,
    burn_rate,
    burn_series,
    burn_threshold,
    detection_min,
    holds,
    hours_to_exhaustion,
    measured_times,
    reset_min,
    spent_at_detection,
    workbook_rules,
)
from syslab.reliability.checkpoint import (
    best_interval_s,
    daly_interval_s,
    efficiency,
    first_order_loss,
    simulate_efficiency,
    young_interval_s,
)
from syslab.reliability.fleet import (
    expected_interruptions,
    hours_at_survival,
    job_mtti_h,
    llama3_405b,
    survival,
    unit_mttf_h,
    yearly_failure_share,
)
from syslab.reliability.policy import Policy, workbook_policy
from syslab.reliability.slo import (
    SLO,
    Budget,
    budget_left,
    error_ratio,
    good_minutes,
    minute_budget,
    request_budget,
    rolling_spent,
    sli,
    window_sum,
)

__all__ = [
    "SLO",
    "Budget",
    "BurnRule",
    "Policy",
    "availability",
    "best_interval_s",
    "budget_left",
    "budget_share",
    "burn_rate",
    "burn_series",
    "burn_threshold",
    "daly_interval_s",
    "detection_min",
    "downtime_min",
    "efficiency",
    "error_ratio",
    "expected_interruptions",
    "first_order_loss",
    "good_minutes",
    "holds",
    "hours_at_survival",
    "hours_to_exhaustion",
    "job_mtti_h",
    "k_of",
    "k_of_n",
    "llama3_405b",
    "measured_times",
    "minute_budget",
    "mttr_for",
    "nines",
    "parallel",
    "request_budget",
    "reset_min",
    "rolling_spent",
    "series",
    "simulate_efficiency",
    "sli",
    "spent_at_detection",
    "survival",
    "unit_mttf_h",
    "window_sum",
    "workbook_policy",
    "workbook_rules",
    "yearly_failure_share",
    "young_interval_s",
]
