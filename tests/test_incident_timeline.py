"""Scoring a reconstructed timeline: the truth scores full, and shortcuts do not."""

import pytest

from syslab.incident import COMPONENTS, KINDS, SCENARIOS, generate, score_timeline, truth

STORY = truth(generate(5, "noisy-neighbour"))
FREE = ("page", "decision", "recovery")


def entry(event, **changed):
    base = {name: getattr(event, name) for name in ("minute", "component", "kind", "role")}
    return {**base, **changed}


def perfect(story):
    return [entry(e) for e in (*story.timeline, *story.unrelated)]


@pytest.mark.parametrize("scenario", list(SCENARIOS))
def test_the_truth_scores_full(scenario):
    story = truth(generate(5, scenario))
    score = score_timeline(perfect(story), story)
    assert score.total == pytest.approx(1)
    assert not score.missed
    assert not score.remarks


def test_red_herrings_need_not_be_told_and_pages_are_free():
    plain = [entry(e) for e in STORY.timeline if e.kind not in FREE]
    assert score_timeline(plain, STORY).total == pytest.approx(1)
    with_page = [*plain, {"minute": 3, "component": "queue", "kind": "page", "role": "symptom"}]
    assert score_timeline(with_page, STORY).total == pytest.approx(1)


def test_tolerance_is_wider_for_symptoms():
    shifted = [entry(e, minute=e.minute + 4) for e in STORY.timeline if e.kind not in FREE]
    score = score_timeline(shifted, STORY)
    assert {e.role for e in score.missed} == {"trigger", "factor"}
    assert any("4 minutes too late; check the zone and the clock" in r for r in score.remarks)


def test_a_forgotten_time_zone_scores_nothing():
    off = [entry(e, minute=e.minute - 60) for e in STORY.timeline]
    assert score_timeline(off, STORY).total == 0


def test_telling_everything_everywhere_scores_low():
    flood = [
        {"minute": minute, "component": component, "kind": kind, "role": "symptom"}
        for minute in range(0, 360, 6)
        for component in COMPONENTS
        for kind in KINDS
        if kind not in FREE
    ]
    score = score_timeline(flood, STORY)
    assert score.recall > 0.9
    assert score.total < 0.05


def test_a_symptom_called_the_trigger_costs_its_role():
    wrong = [
        entry(e, role="trigger" if e.role == "symptom" else e.role)
        for e in STORY.timeline if e.kind not in FREE
    ]  # fmt: skip
    score = score_timeline(wrong, STORY)
    assert score.recall == 1
    assert score.roles < 0.5
    assert score.total < 0.9
    assert any("you call it trigger; it is symptom" in r for r in score.remarks)


def test_blaming_a_red_herring_is_said():
    herring = STORY.unrelated[0]
    score = score_timeline([*perfect(STORY)[:-3], entry(herring, role="trigger")], STORY)
    assert any("it is unrelated" in r for r in score.remarks)


def test_the_trigger_weighs_most():
    asked = [e for e in STORY.timeline if e.kind not in FREE]

    def without(role):
        gone = next(e for e in asked if e.role == role)
        return score_timeline([entry(e) for e in asked if e is not gone], STORY).recall

    assert without("trigger") < without("factor") < without("symptom") < 1


def test_order_is_scored():
    asked = sorted((e for e in STORY.timeline if e.kind not in FREE), key=lambda e: e.minute)
    close = [entry(e) for e in asked]
    swapped = [dict(c) for c in close]
    pair = next(
        i for i in range(len(asked) - 1)
        if 0 < asked[i + 1].minute - asked[i].minute <= 3 and asked[i].role == "symptom"
    )  # fmt: skip
    swapped[pair]["minute"], swapped[pair + 1]["minute"] = (
        close[pair + 1]["minute"], close[pair]["minute"],
    )  # fmt: skip
    score = score_timeline(swapped, STORY)
    assert score.recall == 1
    assert score.order < 1


def test_the_same_event_told_twice_counts_once():
    score = score_timeline([*perfect(STORY), entry(STORY.trigger)], STORY)
    assert score.precision < 1
    assert any("already told" in r for r in score.remarks)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("trigger", "entry 1 is 'trigger'; give a dict"),
        ({"minute": 1, "kind": "load"}, "entry 1 lacks component, role"),
        (entry(STORY.trigger, minute="soon"), "entry 1: minute='soon' must be a number"),
        (entry(STORY.trigger, minute=float("nan")), "entry 1: minute=nan"),
        (entry(STORY.trigger, component="db"), "entry 1: component='db' must be one of gateway"),
        (entry(STORY.trigger, kind="boom"), "entry 1: kind='boom'"),
        (entry(STORY.trigger, role="culprit"), "entry 1: role='culprit' must be one of trigger"),
    ],
)
def test_malformed_entries_are_named(bad, said):
    with pytest.raises(ValueError, match=said):
        score_timeline([bad], STORY)


def test_an_empty_timeline_scores_nothing():
    assert score_timeline([], STORY).total == 0
