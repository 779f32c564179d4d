"""mod-610: its data are what the seeds give, its samples agree with rubric and data, its evaluator
with Prometheus."""

import importlib.util
import json
import re
import tomllib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from syslab.course.notebooks import canonical
from syslab.course.oracles import mod_610 as oracle
from syslab.incident import (
    Case,
    Condition,
    Firing,
    Ratio,
    confirm,
    judge,
    rule,
    score_timeline,
    truth,
)
from syslab.reliability import SLO, BurnRule, detection_min, k_of_n, reset_min

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "source" / "mod-610"
RUBRIC = tomllib.loads((SOURCE / "rubric.toml").read_text())
SAMPLES = {
    s["name"]: s for s in tomllib.loads((SOURCE / "rubric-samples.toml").read_text())["sample"]
}
CELLS = {
    c.metadata.get("nbgrader", {}).get("grade_id"): c
    for c in canonical.read(SOURCE / "mod-610.ipynb").cells
}


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("maker", ROOT / "scripts" / "mod_610_data.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def story():
    return json.loads((SOURCE / "incident.json").read_text())


# ------------------------------------------------------------------------------- data files


def test_the_data_files_are_what_their_seeds_give(maker):
    for name, content in maker.files().items():
        assert (SOURCE / name).read_text() == maker.text(content), f"{name}: run the script again"


def test_the_hidden_tests_use_the_seeds_of_the_files(maker):
    hidden = CELLS["test-timeline"].source.replace("_", "")
    assert f"generate({maker.SEED}, {maker.SCENARIO!r}".replace("'", '"') in hidden
    for minute, action, target in maker.RESPONSE:
        assert f'.decide({minute}, "{action}", "{target}")'.replace("_", "") in hidden
    for name, (seed, scenario) in maker.PAGES.items():
        pair = f'"{name}": ({seed}, "{scenario}")'
        assert pair in re.sub(r"(?<=\d)_(?=\d)|\n *", "", CELLS["test-first-move"].source).replace(
            ',"', ', "'
        )
        assert f'"{name}": {maker.page(name)[1]}' in CELLS["test-first-move"].source


def test_no_seed_and_no_scenario_is_released(maker):
    seeds = [str(maker.SEED), *(str(seed) for seed, _ in maker.PAGES.values())]
    names = [maker.SCENARIO, *(scenario for _, scenario in maker.PAGES.values())]
    for name in maker.files():
        text = (SOURCE / name).read_text()
        assert not [word for word in (*seeds, *names) if word in text]


def test_reading_the_clocks_as_they_are_turns_the_story_round(maker):
    """The planted trap: by its own clock the deploy comes first."""
    incident = maker.whole()
    true = truth(incident)
    deploy = next(e for e in true.unrelated if e.kind == "deploy")
    shown = {e.component: e.minute + true.ahead_s[e.component] / 60 for e in (true.trigger, deploy)}
    assert true.trigger.minute < deploy.minute
    assert shown[deploy.component] < shown[true.trigger.component]
    naive = [
        {"minute": shown[e.component], "component": e.component, "kind": e.kind, "role": role}
        for e, role in ((deploy, "trigger"), (true.trigger, "symptom"))
    ]
    assert score_timeline(naive, true).recall < 0.1


# ------------------------------------------------------------------------------- the samples


def test_the_rubric_adds_up_and_names_the_written_cells():
    written = {
        name: cell.metadata["nbgrader"]["points"]
        for name, cell in CELLS.items()
        if name and cell.metadata["nbgrader"]["grade"] and cell.cell_type == "markdown"
    }
    assert RUBRIC["cells"] == written
    for cell, points in written.items():
        assert sum(d["points"] for d in RUBRIC["dimension"] if d["cell"] == cell) == points
    assert all(len(d["levels"]) == 5 for d in RUBRIC["dimension"])
    assert RUBRIC["points"] == sum(written.values())


def test_each_row_of_the_rubric_stands_above_its_cell():
    for dimension in RUBRIC["dimension"]:
        assert f"| {dimension['name']} |" in CELLS[f"ask-{dimension['cell']}"].source


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_marked_in_every_dimension_and_adds_up(name):
    sample = SAMPLES[name]
    worth = {d["name"]: d["points"] for d in RUBRIC["dimension"]}
    assert [m["dimension"] for m in sample["mark"]] == list(worth)
    assert sum(worth[m["dimension"]] * m["level"] / 4 for m in sample["mark"]) == sample["points"]
    assert all(len(m["why"]) > 40 for m in sample["mark"])
    assert set(sample["comments"]["keys"]) <= set(RUBRIC["comments"])
    assert set(sample["text"]) == set(RUBRIC["cells"])
    assert sum(len(text.split()) for text in sample["text"].values()) <= RUBRIC["words_at_most"]


def test_the_samples_stand_apart():
    points = [SAMPLES[n]["points"] for n in ("excellent", "good", "acceptable", "insufficient")]
    assert all(a - b >= 1 for a, b in pairwise(points))


@pytest.mark.parametrize("name", ["excellent", "good"])
def test_what_a_good_sample_says_is_in_the_data(name, story, maker):
    series = {k: np.array(v) for k, v in story["series"].items()}
    failed = series["gateway:errors"].sum()
    share = failed / ((1 - story["target"]) * story["requests_per_window"])
    true = truth(maker.whole())
    said = " ".join(SAMPLES[name]["text"].values())
    assert f"{failed:,.0f}" in said
    assert f"{share:.0%}".replace("%", " %") in said
    recovered = next(e.minute for e in true.timeline if e.kind == "recovery")
    for minute in (true.trigger.minute, true.events("factor")[0].minute, recovered, 116, 122, 137):
        assert re.search(rf"\b{minute}\b", said), minute


def test_the_page_that_the_answers_propose_would_have_come_in_minute_110(story):
    use = np.array(story["series"]["router:saturation"])
    held = [all(use[m - 3 : m + 1] > 0.7) for m in range(3, len(use))]
    assert 3 + held.index(True) == 110


# ------------------------------------------------------------------------------- the oracles


def test_sliding_windows_agree_with_the_closed_form():
    for burn, long, short, ratio, outage in [
        (14.4, 60, 5, 0.144, 30), (6, 360, 30, 0.05, 700), (1, 4320, 360, 0.004, 1100),
        (14.4, 60, None, 0.9, 3),
    ]:  # fmt: skip
        slo, one = SLO(0.999), BurnRule(burn, long, short)
        windows = [long] if short is None else [long, short]
        late, after = oracle.holds_from(burn * 0.001, windows, ratio, outage)
        assert late == pytest.approx(detection_min(one, ratio, slo))
        assert after == pytest.approx(reset_min(one, ratio, slo, outage))
    assert oracle.holds_from(0.0144, [60, 5], 0.144, 5) == (float("inf"), 0.0)


def test_states_added_up_agree_with_the_package():
    for case in [(2, 3, 0.9, 0.0), (3, 4, 0.95, 0.2), (1, 2, 0.8, 1.0)]:
        assert oracle.available(("k of n", *case)) == pytest.approx(k_of_n(*case))
    both = ("any", [0.9, ("all", [0.9, 0.5])])
    assert oracle.available(both) == pytest.approx(0.945)


def test_sets_of_minutes_agree_with_the_judge():
    rng = np.random.default_rng(3)
    for _ in range(50):
        alerts, incidents = (
            [tuple(p) for p in np.sort(rng.choice(200, 10, replace=False)).reshape(-1, 2).tolist()]
            for _ in range(2)
        )
        found, other = oracle.alert_score(alerts, incidents), judge(alerts, incidents)
        assert found["precision"] == other.precision
        assert found["recall"] == other.recall
        assert found["detection_min"] == list(other.detection_min)
        assert found["reset_min"] == list(other.reset_min)


def test_the_reference_evaluator_agrees_with_the_real_prometheus(needs_program):
    """The answer of exercise 4, not our evaluator, is what promtool is asked about."""
    program = needs_program("promtool", "apt-get install prometheus")
    space = {"np": np}
    exec(CELLS["firing"].source, space)
    cases = []
    for seed, (long, short, wait) in enumerate([(60, 5, 0), (12, 3, 6), (7, 1, 1)]):
        rng = np.random.default_rng([610, seed])
        total = rng.poisson(40, 400) * (rng.random(400) > 0.05)
        wave = 0.02 + 0.3 * (np.sin(np.arange(400) / (20 + 15 * seed)) > 0.3)
        bad = rng.binomial(total, wave)
        windows = (Condition(Ratio("bad", "total", w), 0.1737) for w in (long, short))
        one = rule(f"Two{seed}", *windows, for_min=wait)
        intervals = tuple(space["firing"](bad, total, 0.1737, long, short, wait))
        fires = np.zeros(400, bool)
        for start, end in intervals:
            fires[start:end] = True
        assert intervals
        firing = Firing(one, np.arange(400), fires, fires, intervals)
        cases.append(Case({"bad": bad.astype(float), "total": total.astype(float)}, [firing]))
    verdict = confirm(cases, program=str(program) if program else None)
    assert verdict.agrees, verdict.output
