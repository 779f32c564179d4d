"""Burn-rate alerts: the workbook's table, and the closed form against time series."""

import math

import numpy as np
import pytest

from syslab import facts
from syslab.reliability import (
    SLO,
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

SLO_999 = SLO(0.999, 30)


@pytest.mark.parametrize("name", ["fast", "slow", "ticket"])
def test_published_burn_rates_follow_from_share_and_window(name):
    # SRE workbook, chapter 5, table 5-8: 2 % in 1 h is 14.4, 5 % in 6 h is 6, 10 % in 3 d is 1.
    def fact(field):
        return facts.constant(f"burn_alert.{name}_{field}")

    days = facts.constant("burn_alert.slo_window") / 86_400
    assert burn_threshold(fact("share"), fact("long") / 3600, days) == pytest.approx(fact("burn"))
    assert budget_share(fact("burn"), fact("long") / 3600, days) == pytest.approx(fact("share"))
    assert fact("short") == fact("long") / 12


def test_workbook_rules_are_the_table():
    rules = workbook_rules()
    assert [(r.burn, r.long_min, r.short_min, r.severity) for r in rules] == [
        (14.4, 60, 5, "page"), (6, 360, 30, "page"), (1, 4320, 360, "ticket"),
    ]  # fmt: skip
    assert [r.budget_share(SLO_999) for r in rules] == pytest.approx([0.02, 0.05, 0.1])
    assert [r.threshold(SLO_999) for r in rules] == [0.0144, 0.006, 0.001]


@pytest.mark.parametrize(("burn", "days"), [(1, 30), (2, 15), (10, 3)])
def test_published_times_to_exhaustion(burn, days):
    # SRE workbook, chapter 5: table of burn rates and time to complete exhaustion.
    assert hours_to_exhaustion(burn) == pytest.approx(days * 24)
    assert burn_rate(burn / 1000, SLO_999) == pytest.approx(burn)


def test_published_detection_and_reset_of_single_windows():
    # SRE workbook, chapter 5. Approach 1: 10 min at burn 1, full outage, 0.6 s. Approach 2: 36 h,
    # 2 min 10 s. Approach 4: 5 % in an hour is burn 36, and it resets after 58 minutes.
    assert detection_min(BurnRule(1, 10), 1.0, SLO_999) * 60 == pytest.approx(0.6)
    assert detection_min(BurnRule(1, 36 * 60), 1.0, SLO_999) * 60 == pytest.approx(130, abs=1)
    assert burn_threshold(0.05, 1) == pytest.approx(36)
    assert round(reset_min(BurnRule(36, 60), 1.0, SLO_999, outage_min=600)) == 58
    assert hours_to_exhaustion(1000) * 60 == pytest.approx(43.2)


def test_short_window_resets_and_does_not_delay():
    one, two = BurnRule(14.4, 60), BurnRule(14.4, 60, 5)
    assert detection_min(two, 0.15, SLO_999) == detection_min(one, 0.15, SLO_999)
    assert detection_min(two, 0.15, SLO_999) == pytest.approx(5.76)
    assert reset_min(one, 0.15, SLO_999, 120) == pytest.approx(54.24)
    assert reset_min(two, 0.15, SLO_999, 120) == pytest.approx(4.52)


def test_spent_at_detection_is_the_share_the_rule_was_made_for():
    for rule in workbook_rules():
        for ratio in (0.02, 0.2, 1.0):
            assert spent_at_detection(rule, ratio, SLO_999) == pytest.approx(
                rule.budget_share(SLO_999)
            )


def test_an_outage_below_the_threshold_is_never_seen():
    fast = workbook_rules()[0]
    assert detection_min(fast, 0.0144, SLO_999) == math.inf
    assert reset_min(fast, 0.01, SLO_999, 600) == 0
    assert reset_min(fast, 0.15, SLO_999, outage_min=5) == 0  # over before it was seen


@pytest.mark.parametrize("rule", [*workbook_rules()[:2], BurnRule(14.4, 60), BurnRule(36, 60, 20)])
@pytest.mark.parametrize("ratio", [0.05, 0.31, 1.0])
@pytest.mark.parametrize("background", [0.0, 0.0005])
def test_closed_form_against_a_series(rule, ratio, background):
    per_min, start, outage = 100_000, 500, 410
    total = np.full(1600, per_min)
    bad = np.full(1600, background * per_min)
    bad[start : start + outage] = ratio * per_min
    seen, gone = measured_times(holds(rule, bad, total, SLO_999), start, start + outage)
    exact = detection_min(rule, ratio, SLO_999, background)
    assert exact <= seen <= exact + 1  # a series tells once a minute
    reset = reset_min(rule, ratio, SLO_999, outage, background)
    assert reset - 1 <= gone <= reset + 1


def test_background_brings_detection_forward():
    rule = BurnRule(14.4, 60, 5)
    assert detection_min(rule, 0.15, SLO_999, 0.005) < detection_min(rule, 0.15, SLO_999)
    with pytest.raises(ValueError, match=r"background=0.02: the rule holds at 0.0144 already"):
        detection_min(rule, 0.15, SLO_999, 0.02)


def test_burn_series_of_an_even_stream():
    burn = burn_series([2] * 90, [1000] * 90, SLO_999, 60)
    assert burn.tolist() == pytest.approx([2.0] * 90)


def test_measured_times_at_the_edges():
    on = np.zeros(20, bool)
    assert measured_times(on, 5, 10) == (math.inf, 0.0)
    on[5:] = True
    assert measured_times(on, 5, 10) == (1.0, math.inf)
    with pytest.raises(ValueError, match="need 0 <= start < end <= 20"):
        measured_times(on, 10, 5)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: BurnRule(0, 60), "burn=0"),
        (lambda: BurnRule(1, 60, 61), "short_min=61: must not be longer than long_min=60"),
        (lambda: BurnRule(1, 60, 5, "shout"), "must be 'page' or 'ticket'"),
        (lambda: burn_threshold(2, 1), "budget_share=2"),
        (lambda: burn_rate(1.5, SLO_999), "error_ratio=1.5"),
    ],
)
def test_errors_name_argument_value_and_range(call, said):
    with pytest.raises(ValueError, match=said):
        call()
