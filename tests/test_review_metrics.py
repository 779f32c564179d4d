"""Numbers about reviewing: capture-recapture, agreement, quality of a log."""

import math
from math import comb

import numpy as np
import pytest

from syslab.review import (
    agreement,
    chapman,
    detection_probability,
    found,
    lincoln_petersen,
    load_truth,
    pull,
    quality,
    score,
    synthetic_log,
)


def test_estimates_by_hand():
    assert lincoln_petersen(10, 8, 4).total == 20
    assert lincoln_petersen(3, 2, 0).total == math.inf
    got = chapman(10, 8, 4)
    assert got.total == pytest.approx(11 * 9 / 5 - 1)
    assert got.found == 14
    assert got.remaining == pytest.approx(18.8 - 14)
    assert got.standard_error == pytest.approx(math.sqrt(11 * 9 * 6 * 4 / (25 * 6)))
    low, high = got.interval()
    assert low == 14
    assert high == pytest.approx(18.8 + 1.96 * got.standard_error)
    assert chapman(3, 3, 3).total == 3
    assert chapman(0, 0, 0).remaining == 0


@pytest.mark.parametrize(("total", "first", "second"), [(10, 7, 5), (12, 6, 6), (9, 6, 4)])
def test_chapman_is_unbiased_where_both_together_see_enough(total, first, second):
    """Exact expectation over the hypergeometric law; unbiased if first + second >= total."""
    ways = comb(total, second)
    mean = sum(
        comb(first, both) * comb(total - first, second - both) / ways
        * chapman(first, second, both).total
        for both in range(max(0, first + second - total), min(first, second) + 1)
    )  # fmt: skip
    assert mean == pytest.approx(total)


@pytest.mark.parametrize(
    ("counts", "said"),
    [((3, 2, 3), "both is 3, more than one"), ((-1, 2, 0), "first is -1"), ((1, 2.5, 0), "second")],
)
def test_impossible_counts_are_refused(counts, said):
    for estimate in (chapman, lincoln_petersen):
        with pytest.raises(ValueError, match=said):
            estimate(*counts)


def test_agreement_by_hand():
    got = agreement("abcd", "cde", "abcdefgh")
    assert (got.both, got.only_first, got.only_second, got.neither) == (2, 2, 1, 3)
    assert got.jaccard == 2 / 5
    chance = (4 * 3 + 4 * 5) / 64
    assert got.kappa == pytest.approx((5 / 8 - chance) / (1 - chance))
    assert got.estimate == chapman(4, 3, 2)
    assert agreement("ab", "ab", "abcd").kappa == 1
    assert math.isnan(agreement("", "", "ab").kappa)
    assert agreement("", "").jaccard == 1
    with pytest.raises(ValueError, match="kappa needs"):
        _ = agreement("a", "b").kappa
    with pytest.raises(ValueError, match=r"defects lacks \['z'\]"):
        agreement("z", "a", "ab")


def test_finds_come_from_scored_reviews():
    here = pull("request-audit")
    truth = load_truth("request-audit", here)
    first = score(here, [truth.defects[0].comment, truth.defects[1].comment])
    second = score(here, [truth.defects[1].comment])
    got = agreement(found(first), found(second), [d.id for d in truth.defects])
    assert (got.both, got.only_first, got.only_second, got.neither) == (1, 1, 0, 1)


def test_the_log_follows_its_parameters():
    log = synthetic_log(1, 20_000, at_zero=0.8, scale_lines=200, false_per_change=0.5)
    assert len(log) == 20_000
    assert np.all(log.caught <= log.defects)
    assert np.all(log.false_alarms <= log.comments)
    assert np.all(np.diff(log.opened_h) >= 0)
    assert np.median(log.size_lines) == pytest.approx(80, rel=0.05)
    assert log.defects.sum() / log.size_lines.sum() == pytest.approx(0.012, rel=0.03)
    for low, high in ((1, 50), (50, 150), (150, 400), (400, 1200)):
        chosen = (log.size_lines >= low) & (log.size_lines < high)
        weight = log.defects[chosen]
        want = np.average(detection_probability(log.size_lines[chosen], 0.8, 200), weights=weight)
        got = quality(log, chosen)
        spread = math.sqrt(want * (1 - want) / weight.sum())
        assert abs(got.detection - want) < 4 * spread
    assert quality(log).false_alarms == pytest.approx(
        10_000 / (10_000 + log.caught.sum()), rel=0.05
    )


def test_the_seed_decides():
    one, same, other = (synthetic_log(seed).table() for seed in (3, 3, 4))
    assert one.equals(same)
    assert not one.equals(other)
    assert list(one.columns)[:3] == ["opened_h", "latency_h", "size_lines"]


def test_quality_by_hand():
    log = synthetic_log(0, 10)
    got = quality(log)
    assert got.changes == 10
    assert got.detection == log.caught.sum() / log.defects.sum()
    assert got.escaped_per_change == (log.defects.sum() - log.caught.sum()) / 10
    ranked = sorted(log.latency_h)
    assert got.latency_h == {50: ranked[4], 90: ranked[8], 99: ranked[9]}
    assert quality(log, log.size_lines < 1e9) == got
    with pytest.raises(ValueError, match="selects no change"):
        quality(log, log.size_lines < 0)


@pytest.mark.parametrize(
    "bad", [{"changes": 0}, {"at_zero": 1.5}, {"median_lines": 0}, {"changes_per_day": -1}]
)
def test_impossible_parameters_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        synthetic_log(1, **bad)
