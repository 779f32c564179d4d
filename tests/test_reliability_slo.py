"""Objectives and budgets: published minutes, and counting by hand."""

import numpy as np
import pytest

from syslab import facts
from syslab.reliability import (
    SLO,
    Policy,
    budget_left,
    error_ratio,
    good_minutes,
    minute_budget,
    request_budget,
    rolling_spent,
    sli,
    window_sum,
    workbook_policy,
)

THREE_NINES = SLO(0.999, 30)


def test_a_month_of_three_nines_leaves_43_minutes():
    # SRE workbook, chapter 5, table of burn rates: at burn rate 1000 the budget lasts 43 minutes.
    assert THREE_NINES.downtime_min == pytest.approx(43.2)
    assert SLO(0.9999).downtime_min == pytest.approx(4.32)
    assert SLO(0.99, 7).downtime_min == pytest.approx(100.8)
    assert THREE_NINES.allowed_bad(1_000_000) == pytest.approx(1000)


def test_requests_and_minutes_disagree_about_the_night():
    total = np.where(np.arange(1440) < 480, 10, 1000)  # eight quiet hours
    night, noon = np.zeros(1440), np.zeros(1440)
    night[60:120], noon[720:780] = 10, 1000  # an hour of complete outage each
    slo = SLO(0.999, 1)
    assert (
        minute_budget(night, total, slo, 0.01).spent == minute_budget(noon, total, slo, 0.01).spent
    )
    lost = {
        name: request_budget(bad, total, slo) for name, bad in (("night", night), ("noon", noon))
    }
    assert lost["noon"].spent == pytest.approx(100 * lost["night"].spent)
    assert lost["noon"].allowed == pytest.approx(0.001 * total.sum())
    assert lost["noon"].left < 0 < lost["night"].left


def test_expected_requests_fix_the_budget_early_in_the_window():
    bad, total = [5, 0], [100, 100]
    budget = request_budget(bad, total, THREE_NINES, expected_requests=1e6)
    assert budget.spent == pytest.approx(5 / 1000)
    left = budget_left(bad, total, THREE_NINES, expected_requests=1e6)
    assert left.tolist() == pytest.approx([0.995, 0.995])


def test_good_minutes_count_the_edge_as_good():
    assert good_minutes([0, 1, 2, 0], [100, 100, 100, 0], 0.01).tolist() == [
        True,
        True,
        False,
        True,
    ]


def test_rolling_window_forgets():
    slo = SLO(0.9, 3 / 1440)  # three minutes
    bad, total = [10, 0, 0, 0, 0], [10, 10, 10, 10, 10]
    spent = rolling_spent(bad, total, slo)
    assert spent.tolist() == pytest.approx([10, 5, 10 / 3, 0, 0])


def test_window_sum_against_a_loop():
    values = np.random.default_rng(1).integers(0, 9, 50)
    for window in (1, 7, 60):
        loop = [values[max(0, i - window + 1) : i + 1].sum() for i in range(50)]
        assert window_sum(values, window).tolist() == loop


def test_no_traffic_is_no_error():
    assert sli(0, 0) == 1.0
    assert error_ratio(0, 0) == 0.0
    assert error_ratio([1, 0], [2, 0]).tolist() == [0.5, 0.0]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: SLO(99.9), r"target=99.9: must be a share in \(0, 1\); write 99.9 % as 0.999"),
        (lambda: SLO(1.0), "target=1.0"),
        (lambda: SLO(0.999, 0), "window_days=0"),
        (lambda: sli(3, 2), "good=3: must lie between 0 and valid=2"),
        (lambda: request_budget([3], [2], THREE_NINES), "minute 0: bad=3 of total=2"),
        (lambda: request_budget([1, 2], [3], THREE_NINES), "one number per minute in each"),
        (
            lambda: workbook_policy().evaluate([3], [2], THREE_NINES),
            "day 0: bad=3 of total=2; every",
        ),
        (
            lambda: workbook_policy().evaluate([1, 2], [3], THREE_NINES),
            "one number per day in each",
        ),
        (lambda: window_sum([1], 0), "minutes=0: must be a whole number, 1 or more"),
        (lambda: Policy.of([]), "steps is empty"),
        (lambda: Policy.of([(1, "a"), (0.5, "b")]), "each must be above the one before"),
    ],
)
def test_errors_name_argument_value_and_range(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_policy_follows_a_history_day_by_day():
    slo = SLO(0.99, 4)  # 40 bad of 4,000 in four days
    policy = Policy.of([(0.5, "review"), (1.0, "freeze")], incident_share=0.6)
    bad = [0, 20, 0, 30, 0, 0, 0, 0]
    days = policy.evaluate(bad, [1000] * 8, slo)
    assert [round(d.spent, 3) for d in days] == [0, 0.5, 0.5, 1.25, 1.25, 0.75, 0.75, 0]
    assert [d.action for d in days] == [
        "ship", "review", "review", "freeze", "freeze", "review", "review", "ship",
    ]  # fmt: skip
    assert [d.day for d in days if d.changed] == [1, 3, 5, 7]
    assert [d.day for d in days if d.postmortem] == [3]


def test_policy_judges_by_share_not_by_count():
    slo, policy = SLO(0.99, 4), Policy.of([(1.0, "freeze")])
    assert policy.evaluate([20], [1000], slo)[0].action == "ship"
    assert policy.evaluate([20], [100], slo)[0].action == "freeze"


def test_the_workbooks_policy():
    # SRE workbook, appendix B: freeze when the budget is gone, a postmortem for over 20 % of it.
    policy = workbook_policy()
    assert policy.action(0.99) == "ship"
    assert policy.action(1.0) == "freeze"
    assert policy.incident_share == facts.constant("burn_alert.postmortem_share") == 0.2
