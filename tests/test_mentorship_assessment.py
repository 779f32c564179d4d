"""The mentorship assessment: samples as their marks say, rules that cannot be starved, oracles."""

import csv
import json
import math
import random
import re
import tomllib
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syslab import mentoring
from syslab.course.checks import Check
from syslab.course.oracles import mentorship as oracle
from syslab.mentoring.findings import CODES

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "source" / "mentorship"
TODAY = date(2025, 12, 31)
RULES = (*oracle.PLAN, oracle.OWN_WORDS)


def toml(name):
    return tomllib.loads((SOURCE / name).read_text(encoding="utf-8"))


RUBRIC, SAMPLES = toml("rubric.toml"), toml("rubric-samples.toml")
DIMENSIONS = {row["name"]: row for row in RUBRIC["dimension"]}
CELLS = {
    cell["metadata"]["nbgrader"]["grade_id"]: cell
    for cell in json.loads((SOURCE / "mentorship.ipynb").read_text(encoding="utf-8"))["cells"]
}


def text_of(cell):
    return "".join(CELLS[cell]["source"]).strip()


def points_of(kind):
    marks = (cell["metadata"]["nbgrader"] for cell in CELLS.values())
    return {m["grade_id"]: m["points"] for m in marks if m["grade"] and m["solution"] == kind}


def plan_of(name):
    return mentoring.read(SOURCE / SAMPLES[name]["plan"])


def broken(plan):
    return [rule.label for rule in RULES if rule.problem(plan, TODAY)]


class Fickle(dict):
    """Refuses to be read once, and is a sound plan from then on."""

    asked = False

    def get(self, *key):
        if not self.asked:
            self.asked = True
            raise KeyError("later")
        return super().get(*key)


# ------------------------------------------------------------------------- points and rubric


def test_thirty_points_by_machine_and_thirty_by_a_person():
    machine, person = points_of(False), points_of(True)
    assert (sum(machine.values()), sum(person.values())) == (30, 30)
    assert RUBRIC["points"] == 30
    assert RUBRIC["cells"] == person


def test_each_dimension_has_five_levels_and_stands_in_the_lead_in_with_its_points():
    for cell, points in RUBRIC["cells"].items():
        rows = [row for row in DIMENSIONS.values() if row["cell"] == cell]
        assert sum(row["points"] for row in rows) == points
        lead = text_of(f"ask-{cell}")
        assert f"At most {RUBRIC['words_at_most'][cell]} words" in lead
        for row in rows:
            assert len(row["levels"]) == 5
            assert len(set(row["levels"])) == 5
            assert f"| {row['name']} | {row['points']} |" in lead
    assert {row["cell"] for row in DIMENSIONS.values()} == set(RUBRIC["cells"])


# ---------------------------------------------------------------------------------- samples


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_breaks_the_rules_its_marks_say_and_earns_what_they_give(name):
    sample = SAMPLES[name]
    assert broken(plan_of(name)) == sample["breaks"]
    kept = sum(rule.weight for rule in RULES if rule.label not in sample["breaks"])
    share = kept / sum(rule.weight for rule in RULES)
    assert sample["plan_points"] == math.floor(600 * share + 1e-9) / 100


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_marked_within_the_rubric(name):
    sample = SAMPLES[name]
    assert set(sample["levels"]) == set(DIMENSIONS)
    assert set(sample["texts"]) == set(RUBRIC["cells"])
    for row in sample["levels"].values():
        assert row["level"] in range(5)
        assert len(row["why"].split()) >= 4
    given_points = sum(
        DIMENSIONS[d]["points"] * row["level"] / 4 for d, row in sample["levels"].items()
    )
    assert given_points == sample["human_points"]
    for cell, text in sample["texts"].items():
        assert len(text.split()) <= RUBRIC["words_at_most"][cell]


def test_the_samples_are_in_order_in_every_dimension_and_apart_in_all():
    order = ["excellent", "good", "acceptable", "insufficient"]
    assert list(SAMPLES) == order
    for dimension in DIMENSIONS:
        levels = [SAMPLES[name]["levels"][dimension]["level"] for name in order]
        assert levels == sorted(levels, reverse=True)
    totals = [SAMPLES[name]["human_points"] for name in order]
    assert all(a - b >= 5 for a, b in pairwise(totals))


def test_good_and_excellent_differ_only_for_a_person():
    assert SAMPLES["good"]["plan_points"] == SAMPLES["excellent"]["plan_points"] == 6
    assert SAMPLES["good"]["human_points"] < SAMPLES["excellent"]["human_points"]


def test_the_reference_answers_are_the_excellent_sample():
    for cell, text in SAMPLES["excellent"]["texts"].items():
        assert text_of(cell) == text.strip()


# ------------------------------------------------------------------------------ rules of a plan


def test_every_must_finding_of_a_plan_costs_a_rule():
    feedback_only = {"empty-part", "trait", "no-request"}
    must = {code for code, (severity, _) in CODES.items() if severity == "must"} - feedback_only
    assert {code for rule in RULES for code, _ in rule.codes} == must


@pytest.mark.parametrize("name", ["excellent", "good"])
@pytest.mark.parametrize("table", ["mentee", "begins", "ends", "cadence", "outcomes", "topics",
                                   "sponsorship", "risks", "not_done", "ledger"])  # fmt: skip
def test_leaving_a_part_out_always_costs(name, table):
    plan = plan_of(name)
    del plan[table]
    assert len(broken(plan)) > len(broken(plan_of(name)))


@pytest.mark.parametrize("nothing", [
    None, [], {}, "", 3, mentoring.read(SOURCE / "plan.toml"), mentoring.example(),
    mentoring.parse(mentoring.template()),
])  # fmt: skip
def test_nothing_the_template_and_the_example_break_every_rule_with_a_sentence(nothing):
    said = [rule.problem(nothing, TODAY) for rule in RULES]
    assert all(said)
    assert len(set(said)) == 1
    assert len(said[0]) > 30


@pytest.mark.parametrize(
    ("written", "answer", "says"),
    [
        ("begins = 2025-03-03\nends =\n", None, "plan.toml cannot be read: .*at line 2, column 7"),
        ("begins = 2025-03-03\n", None, "is still None"),
        ("begins = 2025-03-03\n", {}, "is plan.toml still the template"),
        (None, None, "plan.toml cannot be read: .*No such file"),
        ("", Fickle(plan_of("excellent")), "every table of the form"),
    ],
)
def test_where_there_is_no_plan_one_line_says_so(
    tmp_path, monkeypatch, capsys, written, answer, says
):
    monkeypatch.chdir(tmp_path)
    if written is not None:
        Path("plan.toml").write_text(written, encoding="utf-8")
    public, _, rest = text_of("test-plan").partition("### BEGIN HIDDEN TESTS")
    space = {"my_plan": answer, "Check": Check}
    exec(compile(public + rest.partition("### END HIDDEN TESTS")[2], "cell", "exec"), space)
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("FAIL") == 1
    assert re.search(says, said)
    assert "0 of 6 points" in said
    # Graded against the reference's run: the same checks must weigh the same in all.
    weights = [weight for weight, _, _ in space["check"]._weights]
    assert sum(weights) == sum(rule.weight for rule in oracle.PLAN)


def test_the_released_template_has_the_tables_of_a_plan_and_explains_the_missing_ones():
    plan = mentoring.read(SOURCE / "plan.toml")
    assert set(plan) == set(mentoring.example())
    codes = {finding.code for finding in mentoring.lint(plan)}
    assert {"no-outcome", "exit-missing", "not-done-empty", "no-cadence", "dates"} <= codes
    assert not [f for f in mentoring.lint(plan) if "not part of" in f.problem]


@pytest.mark.parametrize("leak", ["Ask maria.k@example.org", "https://example.org/maria_k/plan.md"])
def test_privacy(leak):
    plan = plan_of("excellent")
    plan["ledger"][2]["what"] += " " + leak
    found = mentoring.lint(plan, real_names=("Maria Kowal",))
    assert {f.code for f in found} & {"real-name", "e-mail"}
    if "@" in leak:
        assert broken(plan) == ["no names and no addresses"]


@pytest.mark.parametrize("audience", ["Curlew", "the mentee", "My mentee"])
def test_what_the_mentee_heard_is_no_sponsorship(audience):
    plan = plan_of("excellent")
    plan["sponsorship"][0]["audience"] = audience
    assert broken(plan) == ["sponsorship that somebody heard"]


MEETINGS = ("Productive conversation about priorities", "Discussed various matters of interest",
            "Talked through current progress and goals", "Good session with helpful feedback",
            "Reviewed next steps together", "Regular catch up on everything",
            "Second meeting on career goals", "We talked about our plans")  # fmt: skip


def test_entries_that_could_stand_in_any_ledger_are_no_ledger():
    plan = plan_of("excellent")
    said = [entry["what"] for entry in plan["ledger"]]
    assert not any(map(oracle.hollow, said))
    for most, broken_rules in ((2, []), (4, [oracle.OWN_WORDS.label]), (8, None)):
        for entry, text in zip(plan["ledger"][:most], MEETINGS, strict=False):
            entry["what"] = text
        if broken_rules is None:
            assert "could stand in any ledger" in oracle.no_plan(plan)
            assert len(broken(plan)) == len(RULES)
        else:
            assert broken(plan) == broken_rules


@pytest.mark.parametrize(
    ("skill", "text", "named"),
    [("review", "I left the reviews out", True), ("Review", "no review was held", True),
     ("code review", "code reviews waited", True), ("e", "we stopped here", False),
     ("art", "that part was artful", False), ("hiring", "nothing", False),
     ("c", "C came last", True)],
)  # fmt: skip
def test_a_skill_is_named_by_its_word_and_not_by_letters_in_others(skill, text, named):
    assert oracle.is_named(skill, text) is named


def test_word_lists_can_be_beaten_and_that_is_what_the_person_is_for():
    """Fluent nonsense earns the machine's points. The rubric calls it void; this is the limit."""
    rng = random.Random(4)
    stock = [a + b for a in ("tor", "mel", "vin", "sak", "dru", "pol", "hep", "qua", "zim")
             for b in ("ash", "ent", "ory", "ulm", "ick", "osk", "ard", "yew")]  # fmt: skip

    def nonsense(n):
        return " ".join(rng.sample(stock, n))

    plan = {
        "mentee": {"pseudonym": "Owl", "start": nonsense(9), "evidence": "a/b.md"},
        "begins": "2025-01-01", "ends": "2025-04-01", "not_done": [nonsense(12)],
        "cadence": {"every_days": 14, "minutes": 30},
        "outcomes": [{"id": "x", "outcome": nonsense(5), "start": nonsense(5), "evidence": "a#1",
                      "exit": f"Two {nonsense(3)} approved by reviewers of another team"}],
        "topics": [{"topic": nonsense(4), "outcome": "x", "mode": "ask"}],
        "sponsorship": [{"date": "2025-02-01", "act": nonsense(6), "audience": nonsense(2),
                         "result": nonsense(4)}],
        "risks": [{"risk": nonsense(4), "sign": nonsense(4), "response": nonsense(4)}],
        "ledger": [{"date": f"2025-0{1 + i // 2}-{10 + 9 * (i % 2)}", "what": nonsense(8),
                    "evidence": f"a#{i}", "outcome": "x", "minutes": 30,
                    "mode": ("ask", "tell")[i % 2]} for i in range(6)],
    }  # fmt: skip
    assert broken(plan) == []
    assert "nonsense" in (SOURCE / "rubric.toml").read_text(encoding="utf-8")


KEYS = ["mentee", "begins", "ends", "cadence", "outcomes", "topics", "sponsorship", "risks",
        "not_done", "ledger", "date", "what", "exit", "id", "outcome", "mode", "act", "audience",
        "evidence", "minutes", "every_days", "pseudonym", "start", "risk"]  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=15,
)


@settings(max_examples=40, deadline=None)
@given(VALUES, st.sampled_from(KEYS), st.integers(0, 8))
def test_no_plan_makes_a_rule_raise(value, key, row):
    whole, part = value, plan_of("good")
    part[key] = value
    rows = plan_of("good")
    rows["ledger"][row % len(rows["ledger"])][key] = value
    rows["outcomes"][row % 2][key] = value
    for plan in (whole, part, rows):
        for rule in RULES:
            assert isinstance(rule.problem(plan, TODAY), str)
        assert oracle.readable(plan)


# ------------------------------------------------------------------------------------ feedback


NOTES = (
    "Review of gateway#412 on 3 March. The retry loop had no limit. "
    "Two replicas retried for 40 minutes."
)
SAID = "You are careless with retries, as always."
SOUND = {"situation": "The review of gateway#412 on 3 March",
         "behaviour": "The retry loop went in without a limit",
         "effect": "Two replicas retried for 40 minutes",
         "request": "Add a test that fails without it, before Thursday"}  # fmt: skip


def test_sound_feedback_has_no_problem():
    assert oracle.feedback_problem(SOUND, SAID, NOTES) == ""


@pytest.mark.parametrize(("change", "says"), [
    ({"effect": "It retried for 55 minutes and cost us much"}, "55 in effect is not in the notes"),
    ({"situation": "The review on 3 March"}, "no link"),
    ({"behaviour": "Two replicas retried for 40 minutes"}, "say the same"),
    ({"request": "Add tests"}, "empty-part"),
    ({"request": "Add one test please"}, "too short"),
    ({"behaviour": "You are careless with retries as the loop shows"}, "trait"),
    ({"effect": None}, "empty-part"),
])  # fmt: skip
def test_each_fault_of_feedback_is_named(change, says):
    assert says in oracle.feedback_problem({**SOUND, **change}, SAID, NOTES)


@pytest.mark.parametrize("parts", [None, [], "please", {}, {"situation": 3}])
def test_feedback_of_the_wrong_kind_is_a_sentence(parts):
    assert oracle.feedback_problem(parts, SAID, NOTES)


# ------------------------------------------------------------------------------------- oracles


def test_the_knapsack_table_agrees_with_every_subset():
    rng = np.random.default_rng(1)
    for _ in range(20):
        rows = [mentoring.Expectation(f"s{i}", int(rng.integers(1, 5)), float(rng.integers(1, 9)),
                                      float(rng.integers(1, 5)) / 4, float(rng.integers(2, 20)) / 4)
                for i in range(9)]  # fmt: skip
        found = mentoring.gaps(rows, {})
        hours, most = float(rng.integers(5, 40)), int(rng.integers(1, 5))
        chosen = mentoring.pick(found, hours, most)
        value, takes = oracle.best_value([(g.value, g.hours) for g in found], hours, most)
        assert value == pytest.approx(sum(g.value for g in chosen))
        assert takes == pytest.approx(sum(g.hours for g in chosen))
    with pytest.raises(ValueError, match="quarter"):
        oracle.best_value([(1, 0.3)], 2, 2)


@pytest.mark.parametrize("name", mentoring.SITUATIONS)
def test_the_sum_over_problems_agrees_with_closed_form_and_simulation(name):
    case = mentoring.SITUATIONS[name]
    for mode in mentoring.MODES:
        exact = mentoring.expected(case, mode).total_h
        assert oracle.policy_hours(case, lambda skill, mode=mode: mode) == pytest.approx(exact)
    rule = ("show", 0.6, "ask")
    played = mentoring.compare(case, {"r": oracle.handover(*rule)}, runs=1500, seed=2)["r"].total_h
    assert oracle.policy_hours(case, oracle.handover(*rule)) == pytest.approx(played, rel=0.06)
    assert oracle.best_handover(case)[0] <= min(
        mentoring.expected(case, mode).total_h for mode in mentoring.MODES
    ) * (1 + 1e-9)


def test_one_change_of_mode_needs_a_twelfth_less_than_the_lessons_ladder():
    case = mentoring.SITUATIONS["weekly deploy failure"]
    ladder = oracle.policy_hours(case, mentoring.ladder_policy)
    assert 1 - oracle.best_handover(case)[0] / ladder == pytest.approx(1 / 12, abs=0.005)


def test_the_gap_in_bands_by_hand():
    # By work sample: 5, 6, 1 | 9, 4, 2 with groups 1, 0, 1 | 0, 1, 0.
    rating, sample, group = [1, 2, 6, 5, 4, 9], [3, 9, 2, 1, 8, 7], [1, 0, 0, 1, 1, 0]
    assert oracle.gap_in_bands(rating, sample, group, 2) == (3 - 6 + 4 - 5.5) / 2
    # The first band holds one more; a band with one group does not count.
    assert oracle.gap_in_bands([1, 2, 3, 9, 7], [1, 2, 3, 4, 5], [0, 0, 1, 1, 0], 2) == 1.75
    assert oracle.gap_in_bands([1, 2, 3, 9], [1, 2, 3, 4], [0, 0, 1, 0], 2) == -6


def test_exact_p_counts_every_deal():
    rating, sample, group = (
        np.array([2.0, 3, 4, 5]),
        np.array([1.0, 2, 8, 9]),
        np.array([1, 0, 1, 0]),
    )
    assert oracle.exact_p(rating, sample, group, 2) == 0.5
    assert oracle.exact_p(np.array([1.0, 9, 1, 9]), sample, np.array([0, 1, 1, 0]), 1) == 1.0


def test_recount_agrees_with_the_package():
    for plan in (mentoring.example(), plan_of("good"), plan_of("acceptable")):
        figures, mine = mentoring.summary(plan), oracle.recount(plan)
        assert mine["minutes"] == figures.minutes
        assert mine["longest_pause_days"] == figures.longest_pause_days
        shares = {m: v / figures.minutes for m, v in figures.minutes_by_mode.items()}
        assert mine["by_mode"] == pytest.approx(shares)
    assert oracle.recount(plan_of("acceptable"))["unlinked"] == 2


# ---------------------------------------------------------------------------------- the season


def test_the_season_is_the_planted_one():
    season = mentoring.interviews(
        seed=608, candidates=160, interviewers=6, questions=4, skill_gap=0.7, sample_noise=0.15,
        penalty={1: 0.7, 4: 0.8}, lenience={0: -0.7}, halo={2: 0.6},
    )  # fmt: skip
    with (SOURCE / "season.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["group"]) for row in rows] == season.group.tolist()
    stored = [[float(row[f"interviewer_{j}"]) for j in range(6)] for row in rows]
    assert np.allclose(stored, season.by_interviewer, atol=0.005)
    sample = np.array([float(row["work_sample"]) for row in rows])
    assert np.allclose(sample, season.work_sample, atol=0.005)
    p = {j: mentoring.group_effect(np.array(stored)[:, j], sample, season.group, seed=3).p
         for j in range(6)}  # fmt: skip
    assert [j for j, adjusted in mentoring.holm(p).items() if adjusted <= 0.05] == [1, 4]
