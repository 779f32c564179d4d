"""Synthetic interview loops with planted bias, so that a test for bias can be tested.

Each candidate has a skill (standard normal) and, for every question, an own strength in it. What
interviewer j writes for candidate i on question q is, before rounding to whole points 1 to 5,

    impression = 3 + spread_j x ((1 - halo_j) x answer_iq + halo_j x overall_ij) + lenience_j
                 - penalty_j x group_i + noise

where ``answer_iq`` mixes skill and the question's own part, and ``overall_ij`` is the impression
that interviewer j formed in the first minutes. ``work_sample`` is marked blind: it knows the skill
and some noise, never the group. Nothing here describes real people.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Loop:
    """Ratings of one hiring season, with the truth that made them.

    Attributes
    ----------
    score : ndarray, shape (candidates, interviewers, questions)
        Whole points 1 to 5; nan where this interviewer did not see the candidate.
    group : ndarray of int, shape (candidates,)
        0 or 1.
    work_sample : ndarray, shape (candidates,)
        Points, mean 60 and standard deviation about 15, marked blind.
    skill : ndarray, shape (candidates,)
        The truth. A real loop never has this column.
    planted : dict
        The parameters, by name.
    """

    score: np.ndarray = field(repr=False)
    group: np.ndarray = field(repr=False)
    work_sample: np.ndarray = field(repr=False)
    skill: np.ndarray = field(repr=False)
    planted: dict

    @property
    def by_interviewer(self) -> np.ndarray:
        """Mean over questions, shape (candidates, interviewers); nan where not seen."""
        return self.score.mean(axis=2)

    @property
    def by_candidate(self) -> np.ndarray:
        """Mean over the interviewers who saw the candidate, shape (candidates,)."""
        return np.nanmean(self.by_interviewer, axis=1)

    def rows(self) -> list[dict]:
        """One dict per rating: candidate, group, work_sample, interviewer, question, score."""
        return [
            {"candidate": int(i), "group": int(self.group[i]),
             "work_sample": float(self.work_sample[i]), "interviewer": int(j),
             "question": int(q), "score": int(self.score[i, j, q])}
            for i, j, q in np.argwhere(~np.isnan(self.score))
        ]  # fmt: skip


def interviews(
    *, seed: int, candidates: int = 80, interviewers: int = 5, questions: int = 4,
    seen_by: int | None = None, group_share: float = 0.4, skill_gap: float = 0.0,
    lenience: Mapping[int, float] | None = None, spread: Mapping[int, float] | None = None,
    halo: Mapping[int, float] | None = None, penalty: Mapping[int, float] | None = None,
    noise: float = 0.6, sample_noise: float = 0.5,
) -> Loop:  # fmt: skip
    """Return a season of interviews.

    Parameters
    ----------
    seed : int
    candidates, interviewers, questions : int
    seen_by : int, optional
        How many interviewers, drawn at random, see each candidate. Default: all of them.
    group_share : float
        Share of candidates in group 1.
    skill_gap : float
        How much higher the mean skill of group 0 is. 0 means: the groups are equally good.
    lenience, spread, halo, penalty : mapping of interviewer number to value, optional
        Points added; factor on differences between candidates; share of a rating that comes from
        the overall impression (0 to 1); points taken from group 1. Default 0, 1, 0, 0.
    noise : float
        Standard deviation of one rating, in points.
    sample_noise : float
        Standard deviation of the work sample's error, in standard deviations of skill.
    """
    for name, value, low in (("candidates", candidates, 4), ("interviewers", interviewers, 1),
                             ("questions", questions, 1)):  # fmt: skip
        if value < low:
            raise ValueError(f"{name}={value!r}: must be {low} or more")
    if not 0 < group_share < 1:
        raise ValueError(f"group_share={group_share!r}: must be above 0 and below 1")
    if seen_by is not None and not 1 <= seen_by <= interviewers:
        raise ValueError(f"seen_by={seen_by!r}: must be 1 to {interviewers}")

    def per_interviewer(name, given, otherwise):
        values = np.full(interviewers, float(otherwise))
        for who, value in (given or {}).items():
            if who not in range(interviewers):
                raise ValueError(
                    f"{name}: no interviewer {who!r}; they are 0 to {interviewers - 1}"
                )
            values[who] = value
        return values

    lens = {"lenience": per_interviewer("lenience", lenience, 0),
            "spread": per_interviewer("spread", spread, 1),
            "halo": per_interviewer("halo", halo, 0),
            "penalty": per_interviewer("penalty", penalty, 0)}  # fmt: skip
    if ((lens["halo"] < 0) | (lens["halo"] > 1)).any():
        raise ValueError(f"halo={halo!r}: must be 0 to 1")

    rng = np.random.default_rng(seed)
    group = np.zeros(candidates, int)
    group[rng.permutation(candidates)[: round(group_share * candidates)]] = 1
    skill = rng.normal(size=candidates) - skill_gap * group
    work_sample = 60 + 13.4 * (skill + rng.normal(0, sample_noise, candidates))
    strength = rng.normal(size=(candidates, 1, questions))
    answer = np.sqrt(0.5) * (skill[:, None, None] + strength)  # variance 1
    overall = np.sqrt(0.5) * (skill[:, None] + rng.normal(size=(candidates, interviewers)))
    mixed = (1 - lens["halo"][:, None]) * answer + (lens["halo"] * overall)[:, :, None]
    points = (
        3 + lens["spread"][:, None] * mixed + lens["lenience"][:, None]
        - (lens["penalty"] * group[:, None])[:, :, None]
        + rng.normal(0, noise, (candidates, interviewers, questions))
    )  # fmt: skip
    score = np.clip(np.round(points), 1, 5)
    if seen_by is not None:
        ranks = rng.random((candidates, interviewers)).argsort(axis=1).argsort(axis=1)
        score[ranks >= seen_by] = np.nan
    planted = {"seed": seed, "skill_gap": skill_gap, "noise": noise, "sample_noise": sample_noise,
               **{name: values.tolist() for name, values in lens.items()}}  # fmt: skip
    return Loop(score, group, work_sample, skill, planted)
