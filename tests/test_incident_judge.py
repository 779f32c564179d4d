"""Judging alerts: precision, recall, times, and planted outages."""

import math
from itertools import pairwise

import numpy as np
import pytest

from syslab.incident import Condition, Ratio, burn_alert, evaluate, judge, merged, planted, rule
from syslab.reliability import SLO, workbook_rules

SLO_999 = SLO(0.999)


def test_by_hand():
    score = judge([(12, 25), (40, 42), (90, 95)], [(10, 20), (60, 70), (88, 100)])
    assert score.precision == pytest.approx(2 / 3)
    assert score.recall == pytest.approx(2 / 3)
    assert score.detection_min == (2, math.inf, 2)
    assert score.reset_min == (5, 0, 0)
    assert score.false_alerts == ((40, 42),)
    assert score.missed == (1,)
    assert score.median_detection_min == 2


def test_an_alert_that_flaps_counts_each_time_and_an_early_one_detects_at_once():
    score = judge([(8, 12), (14, 16), (18, 30)], [(10, 20)])
    assert (score.precision, score.recall, score.alerts) == (1.0, 1.0, 3)
    assert score.detection_min == (0,)
    assert score.reset_min == (10,)


def test_grace_lets_a_late_alert_count():
    assert judge([(22, 25)], [(10, 20)]).recall == 0
    assert judge([(22, 25)], [(10, 20)], grace_min=5).recall == 1


def test_silence_is_precise_and_blind():
    score = judge([], [(1, 2)])
    assert (score.precision, score.recall, score.median_detection_min) == (1, 0, math.inf)
    assert judge([], []).recall == 1


def test_ringing_often_in_one_incident_does_not_buy_precision():
    rings = [(start, start + 1) for start in range(10, 20, 2)]
    assert judge([*rings, (50, 51)], [(10, 20)]).precision == pytest.approx(0.5)


def test_merged_joins_what_touches():
    assert merged([(5, 7), (1, 3), (3, 4), (6, 9)]) == ((1, 4), (5, 9))
    with pytest.raises(ValueError, match="must start before it ends"):
        merged([(3, 3)])


@pytest.mark.parametrize("seed", range(6))
def test_planted_outages_are_what_they_say(seed):
    found = planted(seed, SLO_999)
    assert (len(found.incidents), len(found.blips)) == (8, 16)
    allowed = SLO_999.allowed_bad(1000 * SLO_999.window_min)
    bad = found.series["errors"]
    assert (bad <= found.series["requests"]).all()
    for outage in (*found.incidents, *found.blips):
        counted = bad[outage.start : outage.end].sum() / allowed
        spread = math.sqrt(outage.spent * allowed) / allowed
        assert abs(counted - outage.spent) < 4.5 * spread
    assert min(o.spent for o in found.incidents) >= 0.03
    assert max(o.spent for o in found.blips) <= 0.1 * 0.03 * 1.01
    ends = sorted(o.interval for o in (*found.incidents, *found.blips))
    assert all(a[1] < b[0] for a, b in pairwise(ends))


def test_planted_repeats_and_varies():
    one, same, other = planted(1, SLO_999), planted(1, SLO_999), planted(2, SLO_999)
    assert (one.series["errors"] == same.series["errors"]).all()
    assert one.incidents != other.incidents


def test_burn_alerts_beat_a_threshold_on_planted_outages():
    naive = rule("Naive", Condition(Ratio("errors", "requests", 1), 0.005))
    fast, slow, ticket = workbook_rules()
    page = burn_alert("Page", SLO_999, (fast, slow), "errors", "requests")
    late = burn_alert("Ticket", SLO_999, ticket, "errors", "requests")
    scores = {"naive": [], "page": [], "all": []}
    for seed in range(5):
        found = planted(seed, SLO_999)
        truth = [o.interval for o in found.incidents]
        on = {r.name: evaluate(r, found.series).intervals for r in (naive, page, late)}
        scores["naive"].append(judge(on["Naive"], truth))
        scores["page"].append(judge(on["Page"], truth))
        scores["all"].append(judge(on["Page"] + on["Ticket"], truth))

    def mean(name, field):
        return np.mean([getattr(s, field) for s in scores[name]])

    assert mean("naive", "precision") < 0.6
    assert mean("page", "precision") > 0.9
    assert mean("page", "recall") < mean("all", "recall")
    assert mean("all", "recall") > 0.85


def test_too_many_events_are_refused():
    with pytest.raises(ValueError, match="no more than two events a day"):
        planted(1, SLO_999, days=7, incidents=10, blips=10)
