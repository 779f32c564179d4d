"""Ladder, coaching, deciders: simulation against closed form, greedy against exhaustive."""

from dataclasses import astuple

import numpy as np
import pytest

from syslab.mentoring import (
    MODES,
    SITUATIONS,
    Expectation,
    Process,
    Situation,
    compare,
    expected,
    expected_decision,
    gaps,
    ladder_policy,
    pick,
    simulate,
    simulate_decisions,
)

MATRIX = [
    Expectation("design", 3, weight=3, feasibility=0.9, hours_per_level=8),
    Expectation("incident", 3, weight=2, feasibility=0.5),
    Expectation("mentoring", 2, weight=1, feasibility=1.0),
    Expectation("strategy", 4, weight=4, feasibility=0.1),
]


def test_gaps_by_hand():
    found = gaps(MATRIX, {"design": (1, "docs/a.md"), "incident": (3, "trust me"),
                          "mentoring": (2, "docs/b.md")})  # fmt: skip
    # design 3 x 2 x 0.9; incident counts as 1 without a link: 2 x 2 x 0.5; strategy 4 x 4 x 0.1
    assert [(g.skill, round(g.value, 2)) for g in found] == [
        ("design", 5.4), ("incident", 2.0), ("strategy", 1.6)]  # fmt: skip
    assert (found[1].claimed, found[1].shown, found[1].missing, found[1].hours) == (3, 1, 2, 12)


def test_more_evidence_never_widens_a_gap():
    for level in range(4):
        one = {g.skill: g.missing for g in gaps(MATRIX, {"design": (level, "a/b")})}
        two = {g.skill: g.missing for g in gaps(MATRIX, {"design": (level + 1, "a/b")})}
        assert two.get("design", 0) <= one.get("design", 0)


def test_the_pick_is_exact_where_greedy_is_not():
    matrix = [
        Expectation("long", 1, weight=10, feasibility=1, hours_per_level=10),
        Expectation("short", 1, weight=6, feasibility=1, hours_per_level=5),
        Expectation("brief", 1, weight=6, feasibility=1, hours_per_level=5),
    ]
    found = gaps(matrix, {})
    assert found[0].skill == "long"
    assert {g.skill for g in pick(found, 10)} == {"short", "brief"}
    assert pick(found, 4) == []
    assert len(pick(found, 1000, most=2)) == 2


def test_ladder_refuses():
    with pytest.raises(ValueError, match="no such skill"):
        gaps(MATRIX, {"cooking": (3, "a/b")})
    with pytest.raises(ValueError, match="must be 0 to 4"):
        gaps(MATRIX, {"design": (5, "a/b")})
    with pytest.raises(ValueError, match="feasibility"):
        Expectation("x", 1, 1, 1.5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SITUATIONS)
def test_coaching_simulation_meets_its_expectation(name, mode):
    situation, runs = SITUATIONS[name], 1500
    played = np.array([astuple(simulate(situation, mode, seed=i)) for i in range(runs)])
    wanted = np.array(astuple(expected(situation, mode)))
    se = played.std(axis=0) / np.sqrt(runs)
    assert (np.abs(played.mean(axis=0) - wanted) <= 4.5 * se + 1e-9).all()


def test_known_consequences():
    def cheapest(name):
        return min(MODES, key=lambda mode: expected(SITUATIONS[name], mode).total_h)

    assert cheapest("weekly deploy failure") != "tell"
    assert cheapest("last month of a contract") == "tell"
    assert cheapest("outage at night") == "show"  # the only one that teaches within the slack
    deploy = SITUATIONS["weekly deploy failure"]
    assert expected(deploy, "tell").incidents_after > 20
    assert expected(deploy, "ask").incidents_after < 0.1
    # Moving with the mentee's skill beats every constant mode there.
    mean = compare(deploy, runs=600, seed=2)
    assert min(mean, key=lambda name: mean[name].total_h) == "ladder"


def test_policies_see_the_skill_they_choose_by():
    met = []
    simulate(Situation(1, 0.0, 1, weeks=30), lambda s: met.append(s) or ladder_policy(s), seed=1)
    assert met[0] == 0
    assert met == sorted(met)
    assert ladder_policy(0.1) == "show"
    assert ladder_policy(0.9) == "delegate"


def test_coaching_refuses():
    with pytest.raises(ValueError, match="must be one of"):
        simulate(SITUATIONS["outage at night"], "lecture", seed=1)
    with pytest.raises(ValueError, match="skill"):
        Situation(1, 1.2, 1)


@pytest.mark.parametrize(
    "process",
    [
        Process(1, 1),
        Process(1, 6),
        Process(4, 6),
        Process(7, 7, faulty=0),
        Process(2, 3, objects=0),
    ],
)
def test_decisions_meet_their_expectation(process):
    wanted, played = expected_decision(process), simulate_decisions(process, seed=3, runs=12_000)
    assert played.rounds == pytest.approx(wanted.rounds, rel=0.03)
    assert played.days == pytest.approx(wanted.days, rel=0.04)
    assert played.reversed_share == pytest.approx(wanted.reversed_share, abs=0.012)


def test_asking_more_trades_days_for_reversals_and_deciding_by_all_only_costs():
    by_asked = [expected_decision(Process(1, n)) for n in range(1, 12)]
    assert (np.diff([d.reversed_share for d in by_asked]) < 0).all()
    cost = [d.cost_days(60) for d in by_asked]
    assert 0 < int(np.argmin(cost)) < len(cost) - 1  # neither nobody nor everybody
    all_agree = expected_decision(Process(7, 7))
    one_decides = expected_decision(Process(1, 7))
    assert all_agree.reversed_share == one_decides.reversed_share
    assert all_agree.days > 2 * one_decides.days


def test_process_refuses():
    with pytest.raises(ValueError, match="they read too"):
        Process(5, 3)
    with pytest.raises(ValueError, match="objects"):
        Process(1, 1, objects=1.0)
