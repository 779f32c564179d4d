"""What reviews of each kind earn."""

import itertools
from dataclasses import replace

import pytest

from syslab.review import (
    Comment,
    explain,
    load_truth,
    pull,
    pulls,
    score,
    seal,
)
from syslab.review.comments import WEIGHTS
from syslab.review.scoring import (
    CALIBRATION_PART,
    PLACE_ONLY,
    TOLERANCE_LINES,
    _assign,
    _match,
    _named,
)

NAMES = pulls()
PULLS = {name: pull(name) for name in NAMES}
TRUTHS = {name: load_truth(name, PULLS[name]) for name in NAMES}
WRONG = "The naming here could follow the style guide."


def own(name):
    return [defect.comment for defect in TRUTHS[name].defects]


@pytest.mark.parametrize("name", NAMES)
def test_own_claims_score_full_also_without_the_suggestions_and_in_any_order(name):
    plain = [replace(comment, suggestion="") for comment in own(name)]
    for comments in (own(name), plain, plain[::-1]):
        got = score(PULLS[name], comments, out_of=7)
        assert (got.recall, got.precision, got.calibration, got.points) == (1, 1, 1, 7)
        assert not got.missed
        assert not got.false_alarms
        assert all(a.comment == a.defect.comment for a in score(PULLS[name], own(name)).matched)


@pytest.mark.parametrize("name", NAMES)
def test_paraphrases_score_full(name):
    for at in range(3):
        comments = [
            replace(d.comment, claim=d.paraphrases[at], suggestion="") for d in TRUTHS[name].defects
        ]
        assert score(PULLS[name], comments).points == 100


@pytest.mark.parametrize("name", NAMES)
def test_a_comment_on_every_line_scores_low(name):
    here = PULLS[name]
    for severity in WEIGHTS:
        comments = [
            Comment(file.path, (line, line), severity, WRONG)
            for file in here.files
            for line in range(1, len(file.after.splitlines()) + 1)
        ]
        assert score(here, comments).points < 10


@pytest.mark.parametrize("name", NAMES)
def test_every_right_claim_on_every_line_scores_low(name):
    """The claims of all defects of all pull requests, tried on each line."""
    here = PULLS[name]
    claims = [comment.claim for each in NAMES for comment in own(each)]
    comments = [
        Comment(file.path, (line, line), "major", claim)
        for file in here.files
        for line in range(1, len(file.after.splitlines()) + 1, 4)
        for claim in claims
    ]
    assert score(here, comments).points < 10


def test_the_two_worst_and_nothing_else_earn_their_share_of_the_weight():
    name = "request-audit"  # blocker 8, major 4, minor 2
    worst = sorted(TRUTHS[name].defects, key=lambda d: -d.weight)[:2]
    got = score(PULLS[name], [defect.comment for defect in worst])
    assert (got.recall, got.precision, got.calibration) == (12 / 14, 1, 1)
    assert got.points == round(100 * 12 / 14, 2)
    assert [defect.severity for defect in got.missed] == ["minor"]


@pytest.mark.parametrize("name", NAMES)
def test_right_line_and_wrong_cause_earn_a_fifth(name):
    for defect in TRUTHS[name].defects:
        comment = replace(defect.comment, claim=WRONG, suggestion="")
        got = score(PULLS[name], [comment])
        assert got.recall == pytest.approx(PLACE_ONLY * defect.weight / TRUTHS[name].weight)
        assert got.points <= 20
        assert "another cause" in got.matched[0].how
        assert "does not name the cause" in " ".join(explain(got).split())


@pytest.mark.parametrize("name", NAMES)
def test_right_cause_within_the_tolerance_earns_all_beyond_it_half(name):
    for defect in TRUTHS[name].defects:
        last_line = len(PULLS[name].file(defect.file).after.splitlines())

        def away(line, places=defect.places):
            return min(max(0, a - line, line - b) for a, b in places)

        for line in range(1, last_line + 1):
            comment = replace(defect.comment, lines=(line, line))
            want = 1 if away(line) <= TOLERANCE_LINES else 0.5
            assert score(PULLS[name], [comment]).matched[0].credit == want


def test_right_cause_in_another_file_earns_nothing():
    here = PULLS["tenant-bucket"]
    defect = TRUTHS["tenant-bucket"].defects[0]
    other = next(file.path for file in here.files if file.path != defect.file)
    got = score(here, [replace(defect.comment, file=other, lines=(3, 3))])
    assert got.points == 0
    assert got.recall == 0


@pytest.mark.parametrize("name", NAMES)
def test_everything_a_blocker_loses_the_calibration_part(name):
    severities = {defect.severity for defect in TRUTHS[name].defects}
    got = score(PULLS[name], [replace(comment, severity="blocker") for comment in own(name)])
    if len(severities) > 1:
        assert got.calibration == 0
        assert got.points == pytest.approx(100 * (1 - CALIBRATION_PART))
    else:
        assert got.points == 100


def test_severity_one_step_off_costs_half_of_its_part():
    name = "kv-planner"
    one, two = own(name)
    assert (one.severity, two.severity) == ("blocker", "major")
    got = score(PULLS[name], [replace(one, severity="major"), replace(two, severity="minor")])
    assert got.calibration == 0.5
    assert got.points == 90


@pytest.mark.parametrize("name", NAMES)
def test_a_decoy_flagged_as_a_blocker_is_a_false_alarm(name):
    for decoy in TRUTHS[name].decoys:
        alarm = Comment(decoy.file, decoy.lines, "blocker", f"This is {decoy.looks_like}.")
        got = score(PULLS[name], [*own(name), alarm])
        assert [a.decoy for a in got.false_alarms] == [decoy]
        assert got.precision == TRUTHS[name].weight / (TRUTHS[name].weight + 8)
        assert got.points < 100
        assert "you raised an alarm here" in " ".join(explain(got).split())
        alone = score(PULLS[name], [alarm])
        assert alone.points == alone.precision == 0


def test_a_fifth_of_the_weight_may_be_false_and_false_alarms_cost_what_they_claim():
    name = "request-audit"
    far = [Comment("gateway/audit.py", (n, n), "nit", WRONG) for n in (1, 2, 3)]
    assert score(PULLS[name], own(name) + far).points == 100
    points = [
        score(PULLS[name], [*own(name), *(replace(c, severity=s) for c in far)]).points
        for s in ("nit", "minor", "major", "blocker")
    ]
    assert points == sorted(points, reverse=True)
    assert points[-1] == pytest.approx(100 * 14 / (14 + 24) / 0.8, abs=0.01)


def test_no_comment_scores_nothing_and_says_so():
    got = score(PULLS["image-embeddings"], [])
    assert (got.points, got.recall, got.precision) == (0, 0, 0)
    assert "no comments were given" in str(got)
    with pytest.raises(ValueError, match="your review of image-embeddings is empty"):
        explain(got)


def test_saying_it_twice_neither_helps_nor_hurts():
    name = "image-embeddings"
    first = own(name)[0]
    once, twice = score(PULLS[name], [first]), score(PULLS[name], [first, first])
    assert once.share == twice.share
    assert len(twice.repeated) == 1
    everywhere = [replace(first, lines=(n, n)) for n in range(1, 44)]
    assert score(PULLS[name], [first, *everywhere]).share < 0.3 * once.share


def test_one_comment_is_matched_with_one_defect():
    name = "encoder-benchmark"
    both = " ".join(comment.claim for comment in own(name)[:2])
    got = score(PULLS[name], [replace(own(name)[0], claim=both)])
    assert len(got.matched) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_matching_is_the_best_of_all_matchings(name):
    """Against brute force over every way to give comments to defects."""
    defects = TRUTHS[name].defects
    comments = []
    for at, defect in enumerate(defects):
        comments.append(replace(defect.comment, lines=(1, 1)))
        comments.append(replace(defects[at - 1].comment, claim=WRONG, suggestion=""))
        comments.append(replace(defect.comment, severity="nit"))
    comments = comments[:6]
    said = [_named(comment, TRUTHS[name]) for comment in comments]
    credits = [
        [_match(comment, defect, of).credit for defect in defects]
        for comment, of in zip(comments, said, strict=True)
    ]

    def worth(chosen):
        return sum(credits[c][d] * defects[d].weight for d, c in enumerate(chosen))

    best = max(map(worth, itertools.permutations(range(len(comments)), len(defects))))
    pairs = _assign(tuple(comments), TRUTHS[name])
    got = sum(match.credit * match.defect.weight for match in pairs.values())
    assert got == pytest.approx(best)


@pytest.mark.parametrize("name", NAMES)
def test_explanation_tells_every_defect_and_every_decoy_after_any_comment(name):
    truth = TRUTHS[name]
    text = " ".join(explain(score(PULLS[name], [own(name)[0]])).split())
    for defect in truth.defects:
        assert " ".join(defect.explanation.split()) in text
        assert defect.suggestion in text
    assert text.count("You: missed.") == len(truth.defects) - 1
    for decoy in truth.decoys:
        assert " ".join(decoy.why.split()) in text
    assert text.count("you left it alone") == len(truth.decoys)


def test_explanation_lists_what_was_not_planted():
    name = "image-embeddings"
    text = explain(score(PULLS[name], [Comment("vision/embeddings.py", (1, 1), "nit", WRONG)]))
    assert "NOT PLANTED vision/embeddings.py:1 [nit]" in text


def test_printed_score_and_matches_tell_nothing_of_the_truth():
    got = score(PULLS["kv-planner"], [Comment("serving/plan.py", (31, 31), "nit", WRONG)])
    for word in ("query", "GiB", "explanation"):
        assert word not in repr(got) + str(got) + repr(got.matched) + repr(got.false_alarms)


def test_a_sealed_truth_scores_alike():
    from importlib import resources

    text = (resources.files("syslab.review") / "data/truths/kv-planner.toml").read_text()
    here = PULLS["kv-planner"]
    assert score(here, own("kv-planner"), seal(text)).points == 100


# ------------------------------------------------------------------- reviews that try to game it


def test_a_blocker_called_minor_or_nit_counts_half_and_says_why():
    name = "kv-planner"
    worst = own(name)[0]
    got = {s: score(PULLS[name], [replace(worst, severity=s)]) for s in WEIGHTS}
    assert [got[s].matched[0].credit for s in WEIGHTS] == [1, 1, 0.5, 0.5]
    assert "whoever reads nit leaves a blocker for later" in " ".join(explain(got["nit"]).split())


def test_guesses_do_not_get_cheap_by_calling_each_a_nit():
    name = "request-audit"
    here = PULLS[name]
    alarms = [Comment("gateway/audit.py", (n, n), "nit", WRONG) for n in range(1, 9)]
    nits = [replace(comment, severity="nit") for comment in own(name)]
    assert score(here, own(name) + alarms).share > 2 * score(here, nits + alarms).share


@pytest.mark.parametrize("name", NAMES)
def test_all_claims_in_every_comment_earn_at_most_half(name):
    both = TRUTHS[name].defects[:2]
    if both[0].file != both[1].file:
        both = ()  # a comment stands in one file: the other defect is not named there
    joined = " ".join(defect.paraphrases[0].rstrip(".") + "." for defect in both)
    comments = [replace(d.comment, claim=joined, suggestion="") for d in both]
    honest = score(PULLS[name], own(name)[:2])
    assert score(PULLS[name], comments).share <= 0.5 * honest.share + 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_that_fits_anything_earns_next_to_nothing(name):
    claim = (
        "It never stops, an error is ignored, the count is off by one, the unit is wrong and the "
        "old file stays open while the token is logged"
    )
    for file in PULLS[name].files:
        last = len(file.after.splitlines())
        wide = [(at, min(at + 24, last)) for at in range(1, last + 1, 25)]
        comments = [Comment(file.path, lines, "blocker", claim) for lines in wide]
        assert score(PULLS[name], comments).share < 0.05


def test_a_claim_that_fits_other_changes_too_is_told_so():
    name = "kv-planner"
    claim = (
        "It counts query heads where the cache stores KV heads because the call never gives up, "
        "the file of the last hour is never closed while the default argument is shared between "
        "calls and every error of the thread is ignored."
    )
    got = score(PULLS[name], [replace(own(name)[0], claim=claim, suggestion="")])
    assert got.matched[0].credit == PLACE_ONLY
    assert "the claim fits defects of" in got.matched[0].why_not


@pytest.mark.parametrize("name", NAMES)
def test_half_a_file_is_no_place(name):
    for defect in TRUTHS[name].defects:
        end = len(PULLS[name].file(defect.file).after.splitlines())
        first = min(defect.places[0][0], end - 11)
        wide = (first, max(defect.places[0][1], first + 11))
        vague = replace(defect.comment, lines=wide, claim=WRONG, suggestion="")
        assert score(PULLS[name], [vague]).recall == 0
        named = replace(defect.comment, lines=wide)
        assert score(PULLS[name], [named]).matched[0].level == 1
