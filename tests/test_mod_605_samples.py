"""What a person and what a machine mark in mod-605 agrees with what is written about it."""

import ast
import json
import re
import tomllib
import zlib
from base64 import b85decode
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from syslab import mentoring
from syslab.course.notebooks import canonical
from syslab.course.oracles import mod_605 as oracle
from syslab.review import Comment, chapman, load_truth, names, pull, score, seal
from syslab.review.form import read_pull
from syslab.review.proof import failure, repaired
from syslab.review.truths import SEALED

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "source" / "mod-605"
NAMES = ("latency-table", "answer-store", "event-window", "block-admission")
NOTEBOOK = canonical.read(SOURCE / "mod-605.ipynb")
RUBRIC = tomllib.loads((SOURCE / "rubric.toml").read_text())
SAMPLES = tomllib.loads((SOURCE / "rubric-samples.toml").read_text())["sample"]
PULLS = {name: read_pull(name, (SOURCE / f"{name}.toml").read_text()) for name in NAMES}
TRUTHS = {name: load_truth(SOURCE / f"rubric-truth-{name}.toml", PULLS[name]) for name in NAMES}
DEFECTS = [pytest.param(n, d, id=f"{n}/{d.id}") for n in NAMES for d in TRUTHS[n].defects]
DECOYS = [pytest.param(n, d, id=f"{n}/{d.id}") for n in NAMES for d in TRUTHS[n].decoys if d.test]


def cell(grade_id):
    return next(
        c for c in NOTEBOOK.cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id
    )


def graded():
    return [c for c in NOTEBOOK.cells if c.metadata.get("nbgrader", {}).get("grade")]


# --------------------------------------------------------------------------------- the points


def test_twenty_points_fifteen_by_machine():
    by_hand = [c for c in graded() if c.metadata.nbgrader.solution]
    points = Counter()
    for each in graded():
        kind = "person" if each.metadata.nbgrader.solution else "machine"
        points[kind] += each.metadata.nbgrader.points
    assert points == {"machine": 15, "person": 5}
    assert [c.metadata.nbgrader.grade_id for c in by_hand] == [RUBRIC["cell"]]
    assert "fifteen that checks mark, five" in cell("read-me-first").source


def test_the_rubric_adds_up_and_is_the_one_the_learner_reads():
    dimensions = RUBRIC["dimension"]
    assert sum(d["points"] for d in dimensions) == RUBRIC["points"] == 5
    assert cell("summary").metadata.nbgrader.points == RUBRIC["points"]
    assert all(len(d["levels"]) == 5 for d in dimensions)
    asked = re.findall(r"^\| (\w[^|]*?) \|", cell("ask-summary").source, re.MULTILINE)
    assert asked == ["Dimension", *(d["name"] for d in dimensions)]
    assert f"at most {RUBRIC['words_at_most']} words" in cell("ask-summary").source
    assert len(cell("summary").source.split()) <= RUBRIC["words_at_most"]
    assert all(text.strip() for text in RUBRIC["comments"].values())


# -------------------------------------------------------------------------------- the samples


def test_four_samples_from_excellent_to_insufficient():
    assert [s["quality"] for s in SAMPLES] == ["excellent", "good", "acceptable", "insufficient"]
    for better, worse in pairwise(SAMPLES):
        pairs = zip(better["levels"], worse["levels"], strict=True)
        assert all(a >= b for a, b in pairs)
        assert better["points"] > worse["points"]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s["quality"])
def test_marks_of_a_sample_lie_within_the_levels_and_add_up(sample):
    dimensions = RUBRIC["dimension"]
    assert len(sample["levels"]) == len(sample["why"]) == len(dimensions)
    assert all(level in range(5) for level in sample["levels"])
    worth = [d["points"] * level / 4 for d, level in zip(dimensions, sample["levels"], strict=True)]
    assert sum(worth) == sample["points"]
    assert len(sample["text"].split()) <= RUBRIC["words_at_most"]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s["quality"])
def test_a_sample_names_what_is_said_of_it(sample):
    change = pull("accumulate-half")
    sentences = re.split(r"(?<=[.:!?])\s+|\n\n", " ".join(sample["text"].split(" ")))
    for defect in load_truth("accumulate-half", change).defects:
        named = any(names(" ".join(s.split()), defect.words).named for s in sentences)
        assert named is (defect.id in sample["names"]), defect.id


def test_only_the_insufficient_sample_judges_the_person():
    for sample in SAMPLES:
        parts = dict.fromkeys(("situation", "behaviour", "effect", "request"), sample["text"])
        codes = {finding.code for finding in mentoring.lint_feedback(parts)}
        assert ("trait" in codes or "always-never" in codes) is (sample["levels"][4] == 0)


def test_the_figures_of_the_best_sample_are_those_of_the_notebook():
    shown = "".join(o.get("text", "") for o in cell("accumulate-facts").outputs)
    for figure in ("0.125", "2048", "65504"):
        assert figure in SAMPLES[0]["text"]
        assert figure in shown


# --------------------------------------------------------------------------- the four changes


@pytest.mark.parametrize("name", NAMES)
def test_sealed_truth_in_the_notebook_is_up_to_date(name):
    source = cell(f"test-{name}").source
    hidden = source[source.index("### BEGIN HIDDEN TESTS") : source.index("### END HIDDEN TESTS")]
    tree = ast.parse(hidden)
    stored = next(
        n.value.value
        for n in tree.body
        if isinstance(n, ast.Assign) and n.targets[0].id == "sealed"
    )

    def opened(text):
        return json.loads(zlib.decompress(b85decode(text.removeprefix(SEALED))))

    fresh = seal((SOURCE / f"rubric-truth-{name}.toml").read_text())
    assert opened(stored) == opened(fresh), f"lay this into the hidden tests of {name}: {fresh}"
    assert SEALED not in source.replace(hidden, "")


def test_what_is_planted_is_not_handed_out():
    helpers = (SOURCE / "helpers.txt").read_text().split()
    assert set(helpers) == {
        *(f"{name}.toml" for name in NAMES), "bad_plan.toml", "season.csv",
    }  # fmt: skip
    handed = "\n".join((SOURCE / helper).read_text() for helper in helpers)
    for name in NAMES:
        for defect in TRUTHS[name].defects:
            assert defect.claim not in handed
        with pytest.raises(ValueError, match="there is no truth"):
            score(PULLS[name], [], None)


@pytest.mark.parametrize(("name", "defect"), DEFECTS)
def test_defect_bites_alone_and_its_claims_are_read(name, defect):
    here, all_ = PULLS[name], TRUTHS[name].defects
    others = [other for other in all_ if other is not defect]
    assert failure(defect.test, repaired(here, [])) not in ("", "AssertionError")
    assert failure(defect.test, repaired(here, others))
    assert failure(defect.test, repaired(here, all_)) == ""
    assert all(names(text, defect.words).named for text in (defect.claim, *defect.paraphrases))
    assert not any(names(text, defect.words).named for text in defect.near_misses)
    assert len(defect.paraphrases) >= 3
    assert len(defect.near_misses) >= 2


@pytest.mark.parametrize(("name", "decoy"), DECOYS)
def test_decoy_is_clean(name, decoy):
    assert failure(decoy.test, repaired(PULLS[name], [])) == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_comment_on_every_line_scores_low_by_the_score_alone(name):
    lines = [
        (f.path, n) for f in PULLS[name].files for n in range(1, len(f.after.splitlines()) + 1)
    ]
    vague = [Comment(path, (n, n), "major", "This could be better.") for path, n in lines]
    assert score(PULLS[name], vague, TRUTHS[name]).share < 0.1
    claims = [d.claim for d in TRUTHS[name].defects]
    shotgun = [Comment(path, (n, n), "major", c) for path, n in lines for c in claims]
    found = score(PULLS[name], shotgun, TRUTHS[name])
    assert len(found.matched) == len(claims)  # all are hit, at the price of saying all everywhere
    assert len(shotgun) > oracle.MOST_COMMENTS


@pytest.mark.parametrize("name", NAMES)
def test_the_worst_and_nothing_else_earn_their_share_of_the_weight(name):
    by_weight = sorted(TRUTHS[name].defects, key=lambda d: -d.weight)
    kept = by_weight[: max(1, len(by_weight) - 1)]
    got = score(PULLS[name], [d.comment for d in kept], TRUTHS[name])
    assert got.share == pytest.approx(sum(d.weight for d in kept) / TRUTHS[name].weight)
    everything = [replace(d.comment, severity="blocker") for d in by_weight]
    lazy = score(PULLS[name], everything, TRUTHS[name])
    assert lazy.share == pytest.approx(0.8)


# ------------------------------------------------------------------------- oracles and the data


def test_chapman_is_unbiased_over_all_catches_and_so_is_sebers_variance():
    for total, first, second in ((12, 9, 8), (9, 6, 5)):
        made = [
            (p, chapman(first, second, both)) for p, both in oracle.catches(total, first, second)
        ]
        assert sum(p for p, _ in made) == pytest.approx(1)
        assert sum(p * e.total for p, e in made) == pytest.approx(total)
        spread = sum(p * (e.total - total) ** 2 for p, e in made)
        assert sum(p * e.standard_error**2 for p, e in made) == pytest.approx(spread)


def test_every_deal_agrees_with_a_count_by_hand():
    # One band, labels 1 on the two largest of four: 1 of 6 deals as far up, 1 as far down.
    assert oracle.every_deal([1, 2, 3, 4], [5, 5, 5, 5], [0, 0, 1, 1], 1) == (
        2.0,
        pytest.approx(2 / 6),
    )


def test_best_skills_of_a_small_case():
    worth = {"a": (10.0, 6.0), "b": (7.0, 4.0), "c": (6.0, 3.0)}
    assert oracle.best_skills(worth, 7) == ["b", "c"]
    assert oracle.best_skills(worth, 0) == []


def test_played_month_of_perfect_and_of_blind_readers():
    team = {"setup_h": 0.5, "lines_per_h": 100.0, "defects_per_line": 0.5, "hard_share": 1.0,
            "hard_factor": 0.0}  # fmt: skip
    planted, found, hours = oracle.played_month([250], 100, 2, team, seed=1)
    assert planted > 50
    assert found == 0
    assert hours == pytest.approx(2 * (3 * 0.5 + 2.5))
    planted, found, _ = oracle.played_month([100], 100, 40, {**team, "hard_share": 0.0}, seed=1)
    assert found == planted


def test_season_is_what_its_parameters_give():
    loop = mentoring.interviews(
        seed=638, candidates=240, interviewers=8, skill_gap=0.6, sample_noise=0.2,
        penalty={1: 0.55, 6: 0.7}, lenience={3: -0.7}, noise=0.6,
    )  # fmt: skip
    table = np.loadtxt(SOURCE / "season.csv", delimiter=",", skiprows=1)
    assert (table[:, 1] == loop.group).all()
    assert np.allclose(table[:, 2], loop.work_sample, atol=0.006)
    assert np.allclose(table[:, 3:], loop.by_interviewer, atol=0.006)


def test_the_bad_plan_has_many_findings_and_nothing_else_is_wrong_with_it():
    plan = mentoring.read(SOURCE / "bad_plan.toml")
    musts = [f for f in mentoring.lint(plan, real_names=("Jonas Weber",)) if f.severity == "must"]
    assert len(musts) == 15
    assert len({f.code for f in musts}) >= 10
