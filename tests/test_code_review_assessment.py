"""The code-review assessment: what is planted bites, variants are even, nothing is handed out."""

import importlib.util
import json
import re
import tomllib
import zlib
from base64 import b85decode
from collections import Counter
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from syslab.course.notebooks import canonical
from syslab.course.oracles import code_review as oracle
from syslab.review import Comment, load_truth, names, pull, pulls, score, seal
from syslab.review.proof import failure, repaired
from syslab.review.truths import SEALED, lines_of

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "source" / "code-review"
NAMES = pulls(SOURCE)
PULLS = {name: pull(name, SOURCE) for name in NAMES}
RAW = {name: (SOURCE / "truths" / f"{name}.toml").read_text() for name in NAMES}
TRUTHS = {name: load_truth(SOURCE, PULLS[name]) for name in NAMES}
DEFECTS = [pytest.param(n, d, id=f"{n}/{d.id}") for n in NAMES for d in TRUTHS[n].defects]
DECOYS = [pytest.param(n, d, id=f"{n}/{d.id}") for n in NAMES for d in TRUTHS[n].decoys if d.test]
NOTEBOOK = canonical.read(SOURCE / "code-review.ipynb")
CELLS = {c.metadata["nbgrader"]["grade_id"]: c for c in NOTEBOOK.cells}
RUBRIC = tomllib.loads((SOURCE / "rubric.toml").read_text())
SAMPLES = tomllib.loads((SOURCE / "rubric-samples.toml").read_text())["sample"]

_spec = importlib.util.spec_from_file_location("seal_truths", ROOT / "scripts" / "seal_truths.py")
sealing = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sealing)


def planted(name, variant):
    """(change, truth) as a learner of `variant` gets them."""
    change = oracle.changes(variant, SOURCE)[name]
    missing = sealing.left_out(name)[variant - 1].id
    return change, load_truth(oracle.without(seal(RAW[name]), missing), change)


def opened(text):
    return json.loads(zlib.decompress(b85decode(text.removeprefix(SEALED))))


def hidden(name):
    source = CELLS[f"test-{name}"].source
    begin, end = source.index("### BEGIN HIDDEN TESTS"), source.index("### END HIDDEN TESTS")
    return source[begin:end], source[:begin] + source[end:]


EVERY = [(name, variant) for name in NAMES for variant in oracle.VARIANTS]


# ---------------------------------------------------------------------------- what is planted


@pytest.mark.parametrize(("name", "defect"), DEFECTS)
def test_defect_bites_alone_and_beside_each_of_the_others(name, defect):
    here, all_ = PULLS[name], TRUTHS[name].defects
    others = [other for other in all_ if other is not defect]
    assert failure(defect.test, repaired(here, [])) not in ("", "AssertionError")
    for mended in ([others[0]], [others[1]], others):
        assert failure(defect.test, repaired(here, mended)), [each.id for each in mended]
    assert failure(defect.test, repaired(here, [defect])) == ""
    assert failure(defect.test, repaired(here, all_)) == ""


@pytest.mark.parametrize(("name", "defect"), DEFECTS)
def test_claims_are_read(name, defect):
    said = (defect.claim, *defect.paraphrases)
    assert [text for text in said if not names(text, defect.words).named] == []
    assert [text for text in defect.near_misses if names(text, defect.words).named] == []
    assert len(defect.paraphrases) >= 3
    assert len(defect.near_misses) >= 2


@pytest.mark.parametrize(("name", "decoy"), DECOYS)
def test_decoy_is_clean_whatever_is_left_out(name, decoy):
    for mended in ([], *([defect] for defect in TRUTHS[name].defects)):
        assert failure(decoy.test, repaired(PULLS[name], mended)) == ""


# -------------------------------------------------------------------------------- the variants


def test_twelve_changes_with_a_blocker_a_major_and_a_minor_each():
    assert len(NAMES) == 12
    for name in NAMES:
        assert sorted(d.severity for d in TRUTHS[name].defects) == ["blocker", "major", "minor"]


def test_every_variant_has_as_many_defects_of_each_severity():
    for variant in oracle.VARIANTS:
        found = Counter(d.severity for name in NAMES for d in planted(name, variant)[1].defects)
        assert found == {"blocker": 8, "major": 8, "minor": 8}
        assert all(len(planted(name, variant)[1].defects) == 2 for name in NAMES)


def test_two_variants_share_at_most_four_changes():
    for one, two in combinations(range(4), 2):
        gone = [[sealing.left_out(n)[v].id for n in NAMES] for v in (one, two)]
        same = [a for a, b in zip(*gone, strict=True) if a == b]
        assert len(same) == (4 if two == 3 else 0)


@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_a_variant_is_the_change_with_one_repair_and_marks_its_own_truth(name, variant):
    change, truth = planted(name, variant)
    missing = sealing.left_out(name)[variant - 1]
    assert {f.path: f.after for f in change.files} == repaired(PULLS[name], [missing])
    assert {f.path: f.before for f in change.files} == {f.path: f.before for f in PULLS[name].files}
    assert (change.title, change.description) == (PULLS[name].title, PULLS[name].description)
    assert missing.id not in {d.id for d in truth.defects}
    for row in tomllib.loads(RAW[name])["decoy"]:
        text = change.file(row.get("file", change.files[0].path)).after
        assert lines_of(row["at"], text, name)
    assert score(change, [d.comment for d in truth.defects], truth).share == pytest.approx(1)


@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_the_worse_alone_earns_its_weight_and_one_severity_for_all_four_fifths(name, variant):
    change, truth = planted(name, variant)
    worse, lesser = sorted(truth.defects, key=lambda d: -d.weight)
    got = score(change, [worse.comment], truth)
    assert got.share == pytest.approx(worse.weight / (worse.weight + lesser.weight))
    flat = [replace(d.comment, severity=worse.severity) for d in (worse, lesser)]
    assert score(change, flat, truth).share == pytest.approx(0.8)


@pytest.mark.parametrize("name", NAMES)
def test_a_comment_on_every_line_scores_low(name):
    change, truth = planted(name, 1)
    lines = [(f.path, n) for f in change.files for n in range(1, len(f.after.splitlines()) + 1)]
    vague = [Comment(path, (n, n), "major", "This could be better.") for path, n in lines]
    assert score(change, vague, truth).share < 0.1


def test_variant_of_a_name_is_stable_and_reaches_all_four():
    assert oracle.variant_of("Ada Lovelace") == zlib.crc32(b"ada lovelace") % 4 + 1
    assert oracle.variant_of("  ada   LOVELACE ") == oracle.variant_of("Ada Lovelace")
    drawn = Counter(oracle.variant_of(f"student{i}") for i in range(400))
    assert set(drawn) == set(oracle.VARIANTS)
    assert min(drawn.values()) > 60
    with pytest.raises(ValueError, match="name is empty"):
        oracle.variant_of(" ")


def test_a_variant_that_does_not_exist_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="variant is 5; it is one of 1, 2, 3, 4"):
        oracle.changes(5, SOURCE)
    with pytest.raises(FileNotFoundError, match="fetch the assignment again"):
        oracle.changes(2, tmp_path)
    (tmp_path / "variant-2.txt").write_text("not packed")
    with pytest.raises(ValueError, match=r"variant-2\.txt is damaged"):
        oracle.changes(2, tmp_path)
    with pytest.raises(ValueError, match="has none of that id"):
        oracle.without(seal(RAW[NAMES[0]]), "nothing")


# -------------------------------------------------------------------------- sealed and released


@pytest.mark.parametrize("variant", oracle.VARIANTS)
def test_released_variant_is_up_to_date(variant):
    """Out of date? ``python scripts/seal_truths.py``."""
    stored = (SOURCE / f"variant-{variant}.txt").read_text()
    assert oracle.unpack(stored) == oracle.unpack(sealing.variant(variant))


@pytest.mark.parametrize("name", NAMES)
def test_sealed_truth_in_the_hidden_test_is_up_to_date(name):
    """Out of date? ``python scripts/seal_truths.py``."""
    inside, outside = hidden(name)
    scope = {}
    exec(inside[inside.index("planted = (") : inside.index("with check")], scope)
    assert opened(scope["planted"]) == opened(seal(RAW[name]))
    assert scope["left_out"] == tuple(d.id for d in sealing.left_out(name))
    assert SEALED not in outside


def test_with_truth_renews_a_stale_cell_and_leaves_a_fresh_one_alone():
    name = NAMES[0]
    fresh = CELLS[f"test-{name}"].source
    assert sealing.with_truth(fresh, name) == fresh
    stale = re.sub(r'"sealed:[^"]*"', '"sealed:old"', fresh)
    assert stale != fresh
    assert sealing.with_truth(stale, name) == fresh
    with pytest.raises(ValueError, match="no line"):
        sealing.with_truth("check.score()", name)


def test_no_truth_in_what_is_released():
    helpers = (SOURCE / "helpers.txt").read_text().split()
    assert helpers == [f"variant-{number}.txt" for number in oracle.VARIANTS]
    handed = []
    for helper in helpers:
        block = (SOURCE / helper).read_text()
        handed += [block, *oracle.unpack(block).values()]
    for grade_id, cell in CELLS.items():
        if grade_id.removeprefix("test-") in NAMES:
            handed.append(re.sub(r"### BEGIN (SOLUTION|HIDDEN).*?### END \w+", "", cell.source,
                                 flags=re.DOTALL))  # fmt: skip
        elif not cell.metadata["nbgrader"]["solution"]:
            handed.append(cell.source)
    handed = "\n".join(handed).lower()
    assert "sealed:" not in handed
    for name in NAMES:
        with pytest.raises(ValueError, match="there is no truth"):
            score(PULLS[name], [], None)
        for each in (*TRUTHS[name].defects, *TRUTHS[name].decoys):
            assert each.id not in handed
        for defect in TRUTHS[name].defects:
            for text in (defect.claim, defect.explanation, *defect.paraphrases):
                assert text.lower() not in handed


# --------------------------------------------------------------------------- points and rubric


def test_eighty_points_by_machine_and_twenty_by_a_person():
    points = {True: {}, False: {}}
    for grade_id, cell in CELLS.items():
        mark = cell.metadata["nbgrader"]
        if mark["grade"]:
            points[mark["solution"]][grade_id] = mark["points"]
    assert sum(points[False].values()) == 80
    assert set(points[False]) == {f"test-{name}" for name in NAMES}
    assert points[True] == RUBRIC["cells"]
    assert sum(points[True].values()) == RUBRIC["points"] == 20


def test_each_dimension_has_five_levels_and_stands_in_the_lead_in_with_its_points():
    for cell, points in RUBRIC["cells"].items():
        rows = [row for row in RUBRIC["dimension"] if row["cell"] == cell]
        assert sum(row["points"] for row in rows) == points
        lead = CELLS[f"ask-{cell}"].source
        assert f"at most {RUBRIC['words_at_most'][cell]} words" in lead
        for row in rows:
            assert len(set(row["levels"])) == 5
            assert f"| {row['name'].partition(':')[0]} | {row['points']} |" in lead
    assert {row["cell"] for row in RUBRIC["dimension"]} == set(RUBRIC["cells"])
    assert all(text.strip() for text in RUBRIC["comments"].values())


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s["quality"])
def test_marks_of_a_sample_lie_within_the_rubric_and_add_up(sample):
    dimensions = RUBRIC["dimension"]
    assert len(sample["levels"]) == len(sample["why"]) == len(dimensions)
    assert all(level in range(5) for level in sample["levels"])
    pairs = zip(dimensions, sample["levels"], strict=True)
    assert sum(d["points"] * level / 4 for d, level in pairs) == sample["points"]
    assert set(sample["texts"]) == set(RUBRIC["cells"])
    for cell, text in sample["texts"].items():
        assert len(text.split()) <= RUBRIC["words_at_most"][cell]


def test_the_samples_are_in_order_in_every_dimension_and_apart_in_all():
    assert [s["quality"] for s in SAMPLES] == ["excellent", "good", "acceptable", "insufficient"]
    for better, worse in pairwise(SAMPLES):
        assert all(a >= b for a, b in zip(better["levels"], worse["levels"], strict=True))
        assert better["points"] - worse["points"] >= 4


def test_samples_name_the_findings_where_their_level_says_so():
    change = pull("checkpoint-writer")
    for sample in SAMPLES:
        sentences = re.split(r"(?<=[.:!?])\s+|\n\n", sample["texts"]["summary"])
        named = [
            any(names(" ".join(s.split()), d.words).named for s in sentences)
            for d in load_truth("checkpoint-writer", change).defects
        ]
        assert all(named) is (sample["levels"][1] >= 2), (sample["quality"], named)


def test_the_figures_of_the_best_sample_follow_from_those_of_the_notebook():
    shown = "".join(o.get("text", "") for o in CELLS["stopped-facts"].outputs)
    share, stops = 2 * 40 / 3600, 14 * 3
    assert f"{share:.1%}" in shown
    assert f"{stops} interruptions" in shown
    assert f"{stops * share:.2f}" in shown
    assert (1 - share) ** 20 > 0.5  # twenty kills miss the window more often than not
    assert round(512 * 40 / 3600, 1) == 5.7
    best = SAMPLES[0]["texts"]["summary"]
    assert all(figure in best for figure in ("80 s of every hour", "42 interruptions", "5.7"))
