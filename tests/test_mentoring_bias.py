"""Agreement against published examples; planted bias is found, and nothing is found without it."""

from itertools import combinations

import numpy as np
import pytest

from syslab.mentoring import (
    cohen_kappa,
    group_effect,
    halo,
    holm,
    icc,
    interviewer_scales,
    interviews,
    krippendorff_alpha,
)


def test_kappa_of_a_two_by_two_table():
    # Both yes 20, only a 5, only b 10, both no 15: observed 0.70, by chance 0.50.
    a = [1] * 25 + [0] * 25
    b = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert cohen_kappa(a, b) == pytest.approx(0.4)
    assert cohen_kappa(a, a) == 1
    assert np.isnan(cohen_kappa([1, 1], [1, 1]))


def test_quadratic_kappa_against_its_definition():
    rng = np.random.default_rng(2)
    a = rng.integers(1, 6, 300)
    b = np.clip(a + rng.integers(-1, 2, 300), 1, 5)
    observed = np.mean((a - b) ** 2)
    by_chance = np.mean([(x - y) ** 2 for x in a for y in b])  # every pairing equally likely
    assert cohen_kappa(a, b, weights="quadratic") == pytest.approx(1 - observed / by_chance)
    assert cohen_kappa(a, b, weights="quadratic") > cohen_kappa(a, b)


def test_icc_of_shrout_and_fleiss():
    # Psychological Bulletin 86 (1979), tables 2 and 4.
    table = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert icc(table) == pytest.approx(0.29, abs=0.005)
    assert icc(table, average=True) == pytest.approx(0.62, abs=0.005)
    assert icc(table, consistency=True) == pytest.approx(0.71, abs=0.005)
    assert icc(table, consistency=True, average=True) == pytest.approx(0.91, abs=0.005)


def test_alpha_of_krippendorff():
    # "Computing Krippendorff's Alpha-Reliability" (2011), section E, interval metric: 0.849.
    n = np.nan
    table = np.array([[1, 2, 3, 3, 2, 1, 4, 1, 2, n, n, n],
                      [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, n, 3],
                      [n, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, n],
                      [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, n]]).T  # fmt: skip
    assert krippendorff_alpha(table) == pytest.approx(0.849, abs=0.0005)
    with pytest.raises(ValueError, match="two raters"):
        krippendorff_alpha([[1, n], [n, 2]])


def test_agreement_refuses():
    with pytest.raises(ValueError, match="one length"):
        cohen_kappa([1, 2], [1])
    with pytest.raises(ValueError, match="no nan"):
        icc([[1, np.nan], [2, 3]])


PLANTED = {"lenience": {2: -0.8}, "spread": {3: 0.5}, "halo": {1: 0.8}, "penalty": {4: 0.8}}


def test_loops_repeat_and_hold_whole_points():
    one, two = interviews(seed=4, **PLANTED), interviews(seed=4, **PLANTED)
    assert np.array_equal(one.score, two.score)
    assert not np.array_equal(one.score, interviews(seed=5, **PLANTED).score)
    assert set(np.unique(one.score)) <= {1, 2, 3, 4, 5}
    assert one.score.shape == (80, 5, 4)
    assert len(one.rows()) == one.score.size
    assert one.planted["lenience"] == [0, 0, -0.8, 0, 0]


def test_seen_by_leaves_the_others_out():
    loop = interviews(seed=1, seen_by=3)
    seen = ~np.isnan(loop.by_interviewer)
    assert (seen.sum(axis=1) == 3).all()
    assert len(loop.rows()) == 80 * 3 * 4
    assert -1 < krippendorff_alpha(loop.by_interviewer) < 1
    assert np.isfinite(interviewer_scales(loop)["offset"]).all()


def test_planted_scales_and_halo_are_found():
    loop = interviews(seed=4, candidates=300, **PLANTED)
    scales = interviewer_scales(loop)
    assert int(scales["offset"].argmin()) == 2
    assert scales["offset"][2] < -8 * scales["se"][2]
    assert int(scales["spread"].argmin()) == 3
    assert int(halo(loop).argmax()) == 1
    clean = interviews(seed=4, candidates=300)
    assert np.abs(halo(clean)).max() < 0.05
    assert np.abs(interviewer_scales(clean)["offset"]).max() < 0.15


def test_the_penalty_is_found_and_named():
    loop = interviews(seed=4, candidates=150, **PLANTED)
    p = {j: group_effect(loop.by_interviewer[:, j], loop.work_sample, loop.group, seed=1).p
         for j in range(5)}  # fmt: skip
    adjusted = holm(p)
    assert [j for j in adjusted if adjusted[j] < 0.05] == [4]
    effect = group_effect(loop.by_interviewer[:, 4], loop.work_sample, loop.group, seed=1)
    assert -1.1 < effect.difference < -0.4


def test_false_alarms_come_as_often_as_promised():
    alarms = 0
    for seed in range(150):
        loop = interviews(seed=seed, candidates=60, interviewers=2)
        effect = group_effect(loop.by_candidate, loop.work_sample, loop.group, seed=seed,
                              permutations=199)  # fmt: skip
        alarms += effect.p <= 0.05
    assert 1 <= alarms <= 16  # binomial(150, 0.05): beyond 16 in fewer than 1 of 1,000 cases


def test_a_difference_in_skill_is_mostly_taken_out():
    loop = interviews(seed=2, candidates=2000, skill_gap=1.0, sample_noise=0.1)
    effect = group_effect(loop.by_candidate, loop.work_sample, loop.group, seed=1, permutations=99)
    assert effect.raw < -0.5
    assert abs(effect.difference) < 0.1
    # With a noisy work sample part of the real difference is left over: an honest limit.
    noisy = interviews(seed=2, candidates=2000, skill_gap=1.0, sample_noise=1.0)
    left = group_effect(noisy.by_candidate, noisy.work_sample, noisy.group, seed=1, permutations=99)
    assert left.difference < -0.15


def test_permutation_p_against_all_permutations():
    rng = np.random.default_rng(5)
    score, sample = rng.normal(size=10), rng.normal(size=10)
    group = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    score[:4] -= 1.2
    effect = group_effect(score, sample, group, seed=0, strata=1, permutations=4000)
    rest = score - np.polyval(np.polyfit(sample, score, 1), sample)
    every = [rest[list(c)].mean() - np.delete(rest, c).mean() for c in combinations(range(10), 4)]
    assert effect.difference == pytest.approx(rest[:4].mean() - rest[4:].mean())
    exact = np.mean(np.abs(every) >= abs(effect.difference) - 1e-12)
    assert effect.p == pytest.approx(exact, abs=0.025)


def test_holm_by_hand():
    # 3 x 0.01, 2 x 0.02 and then no less than before.
    adjusted = holm({"a": 0.04, "b": 0.01, "c": 0.02})
    assert adjusted == pytest.approx({"a": 0.04, "b": 0.03, "c": 0.04})
    assert list(adjusted) == ["a", "b", "c"]


def test_group_effect_refuses():
    with pytest.raises(ValueError, match="0 and 1"):
        group_effect([1, 2, 3], [1, 2, 3], [1, 2, 1], seed=0)
    with pytest.raises(ValueError, match="no band"):
        group_effect([1.0, 2.0], [1, 2], [0, 1], seed=0, strata=2)
    with pytest.raises(ValueError, match="no interviewer 9"):
        interviews(seed=1, penalty={9: 1})
