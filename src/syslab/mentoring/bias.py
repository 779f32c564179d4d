"""Find what an interview loop should not contain: a private scale, halo, an effect of the group.

A test says how surprising the data are if there is no such effect. It does not say who meant what.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from syslab.mentoring.interviews import Loop


def interviewer_scales(loop: Loop) -> dict[str, np.ndarray]:
    """Offset, spread and standard error of every interviewer's scale.

    ``offset`` is the mean distance, in points, from the colleagues who saw the same candidates;
    ``se`` its standard error over candidates; ``spread`` the standard deviation of the
    interviewer's means over that of the colleagues' (one person's means vary more than several
    people's mean, so colleagues are compared one by one and the ratios averaged).
    Each array has shape (interviewers,).
    """
    means = loop.by_interviewer
    k = means.shape[1]
    if k < 2:
        raise ValueError("loop: one interviewer has no colleagues to be compared with")
    offset, se, spread = np.zeros(k), np.zeros(k), np.ones(k)
    for j in range(k):
        others = np.delete(means, j, axis=1)
        both = ~np.isnan(means[:, j]) & ~np.isnan(others).all(axis=1)
        distance = means[both, j] - np.nanmean(others[both], axis=1)
        offset[j], se[j] = distance.mean(), distance.std(ddof=1) / np.sqrt(both.sum())
        spread[j] = np.nanstd(means[:, j]) / np.nanmean(np.nanstd(others, axis=0))
    return {"offset": offset, "se": se, "spread": spread}


def halo(loop: Loop) -> np.ndarray:
    """Halo index per interviewer, shape (interviewers,): near 0 without halo, up to 1.

    Mean correlation between two questions as one interviewer rated them, less the same
    correlation with the second question rated by a colleague. Answers of one candidate agree in
    both; only the first also holds what the interviewer carried from question to question.
    """
    x = loop.score
    _, k, questions = x.shape
    if questions < 2 or k < 2:
        raise ValueError(f"loop: {k} interviewers, {questions} questions; two of each are needed")
    index = np.zeros(k)
    for j in range(k):
        within, across = [], []
        for p in range(questions):
            for q in range(questions):
                if p == q:
                    continue
                within.append(_correlation(x[:, j, p], x[:, j, q]))
                across += [_correlation(x[:, j, p], x[:, o, q]) for o in range(k) if o != j]
        index[j] = np.nanmean(within) - np.nanmean(across)
    return index


def _correlation(a, b) -> float:
    both = ~np.isnan(a) & ~np.isnan(b)
    if both.sum() < 3 or a[both].std() == 0 or b[both].std() == 0:
        return float("nan")
    return float(np.corrcoef(a[both], b[both])[0, 1])


@dataclass(frozen=True)
class GroupEffect:
    """Difference of group 1 from group 0 at equal work sample.

    Attributes
    ----------
    raw, difference : float
        In points: without and with the work sample held equal.
    p : float
        Share of permutations with a difference at least as far from 0; two-sided.
    strata : int
        Bands of equal work sample that hold both groups.
    shuffled : ndarray, shape (permutations,)
        The differences under permutation, for a picture.
    """

    raw: float
    difference: float
    p: float
    strata: int
    shuffled: np.ndarray


def group_effect(
    score, work_sample, group, *, seed: int, strata: int = 5, permutations: int = 2000
) -> GroupEffect:
    """Permutation test of a group effect at equal work sample.

    Candidates are cut into ``strata`` bands of equal size by work sample. Within each band the
    scores have the straight line over the work sample taken out (fitted over all candidates), the
    groups are compared, and the bands are averaged by the number of pairs they offer. Under the
    null hypothesis the labels within a band could have been dealt in any order; so they are.

    Parameters
    ----------
    score, work_sample, group : array, shape (n,)
        Candidates with a nan score are left out. ``group`` holds 0 and 1.

    Raises
    ------
    ValueError
        When no band holds both groups.
    """
    score, work_sample = np.asarray(score, float), np.asarray(work_sample, float)
    group = np.asarray(group)
    keep = ~np.isnan(score)
    score, work_sample, group = score[keep], work_sample[keep], group[keep]
    if not set(np.unique(group)) <= {0, 1}:
        raise ValueError(f"group: holds {sorted(set(group.tolist()))}; it must hold 0 and 1")
    slope, level = np.polyfit(work_sample, score, 1)
    rest = score - level - slope * work_sample
    bands = [band for band in np.array_split(np.argsort(work_sample, kind="stable"), strata)
             if 0 < group[band].sum() < len(band)]  # fmt: skip
    if not bands:
        raise ValueError("group: no band of work sample holds both groups; use fewer strata")
    ones = np.array([group[band].sum() for band in bands])
    sizes = np.array([len(band) for band in bands])
    weight = ones * (sizes - ones) / sizes  # information of a two-group comparison
    weight = weight / weight.sum()

    def difference(members):  # members: per band, order of candidates; the first `ones` are group 1
        total = np.array([rest[m].sum() for m in members])
        first = np.array([rest[m[:c]].sum() for m, c in zip(members, ones, strict=True)])
        return float((weight * (first / ones - (total - first) / (sizes - ones))).sum())

    found = difference([np.concatenate([b[group[b] == 1], b[group[b] == 0]]) for b in bands])
    rng = np.random.default_rng(seed)
    shuffled = np.array([difference([rng.permutation(b) for b in bands])
                         for _ in range(permutations)])  # fmt: skip
    extreme = (np.abs(shuffled) >= abs(found) - 1e-12).sum()
    raw = score[group == 1].mean() - score[group == 0].mean()
    p = float((extreme + 1) / (permutations + 1))
    return GroupEffect(float(raw), found, p, len(bands), shuffled)


def holm(p_values: Mapping) -> dict:
    """Adjust p values for the number of tests made (Holm, Scand. J. Statistics 6, 1979, 65-70)."""
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    adjusted, least = {}, 0.0
    for rank, (name, p) in enumerate(ordered):
        least = max(least, min(1.0, (len(ordered) - rank) * p))
        adjusted[name] = least
    return {name: adjusted[name] for name in p_values}
