"""Oracles for mod-605: marking a review, counting every case, a team played reader by reader."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Any

import numpy as np

from syslab import review
from syslab.course.checks import Check
from syslab.review.form import read_pull
from syslab.review.wording import dismisses

FORM = 1e-3  # weight of a check of form: a review that only reads well earns nothing
MOST_COMMENTS = 10  # of one review: who sends more has chosen nothing


# ------------------------------------------------------------------------------------- reviews


def change(name: str) -> review.Pull:
    """The pull request in ``<name>.toml`` beside the notebook."""
    return read_pull(name, Path(f"{name}.toml").read_text(encoding="utf-8"))


def form(check: Check, pull: review.Pull, comments: Callable[[], Any]) -> None:
    """Public checks of a review: it can be read, and it is not empty."""

    def trouble() -> str:
        try:
            review.parse(comments(), pull)
        except review.CommentError as error:
            return str(error)
        return ""

    check.true("every comment can be read", lambda: not trouble(), trouble, weight=FORM)
    check.true("there is a comment", lambda: len(comments()) > 0,
               "an empty review finds nothing and earns 0", weight=FORM)  # fmt: skip
    check.true(f"at most {MOST_COMMENTS} comments", lambda: _chosen(comments()),
               lambda: _too_many(comments()), weight=FORM)  # fmt: skip


def mark(check: Check, pull: review.Pull, comments: Callable[[], Any], truth: str) -> None:
    """Hidden checks of a review: it earns its share of the points, as `syslab.review` counts."""
    try:
        given = review.parse(comments(), pull)
        # "This looks fine" beside a defect is no find, and no alarm either.
        alarms = [comment for comment in given if not dismisses(comment.claim)]
        got = review.score(pull, alarms, truth)
        share = got.share if _chosen(comments()) else 0.0
        said = (
            f"{got.message}; recall {got.recall:.2f}, precision {got.precision:.2f}, "
            f"calibration {got.calibration:.2f}"
        )
        if given and len(alarms) < len(given):
            said += f"; {len(given) - len(alarms)} of {len(given)} comments say that all is well"
    except Exception as error:  # unanswered or unreadable: the check below says which
        share, said = 0.0, str(error)
    if share > 1e-9:
        check.true(f"earned {share:.0%}", lambda: comments() is not None, said, weight=share)
    if share < 1 - 1e-9:
        label = f"the other {1 - share:.0%}" if share > 1e-9 else "it earns points"
        check.true(label, lambda: comments() is None, said, weight=1 - share)


def _chosen(comments: Any) -> bool:
    return 0 < len(comments) <= MOST_COMMENTS


def _too_many(comments: Any) -> str:
    return f"{len(comments)} comments: choose the {MOST_COMMENTS} that the author must read"


# ---------------------------------------------------------------------------- capture-recapture


def catches(total: int, first: int, second: int) -> list[tuple[float, int]]:
    """(probability, defects in common) when both readers find at random: hypergeometric."""
    ways = comb(total, second)
    low, high = max(0, first + second - total), min(first, second)
    return [
        (comb(first, both) * comb(total - first, second - both) / ways, both)
        for both in range(low, high + 1)
    ]


# ------------------------------------------------------------------------------- review process


def played_month(
    sizes: Sequence[int], limit: int, readers: int, team: Mapping[str, float], seed: int
) -> tuple[float, float, float]:
    """(defects planted, defects found, reviewer hours) of one month, drawn defect by defect.

    Sizes are cut into equal parts of at most `limit` lines; every reader looks at every defect.
    """
    rng = np.random.default_rng(seed)
    planted = found = hours = 0.0
    for size in sizes:
        parts = -(-int(size) // int(limit))
        lines = size / parts
        hours += parts * readers * (team["setup_h"] + lines / team["lines_per_h"])
        for _ in range(rng.poisson(team["defects_per_line"] * size)):
            planted += 1
            chance = 0.85 * np.exp(-lines / 400)
            if rng.random() < team["hard_share"]:
                chance *= team["hard_factor"]
            found += bool((rng.random(readers) < chance).any())
    return planted, found, hours


def month(seed: int) -> np.ndarray:
    """Sizes in lines of a month's 240 pieces of work, synthetic (`review.synthetic_log`)."""
    return review.synthetic_log(seed, changes=240, median_lines=160.0).size_lines


# -------------------------------------------------------------------------------------- ladder


def best_skills(worth: Mapping[str, tuple[float, float]], hours: float) -> list[str]:
    """Skills (name -> value, hours) of the best set that fits: every subset, as a bit mask."""
    names = sorted(worth)
    best, chosen = -1.0, []
    for mask in range(1 << len(names)):
        picked = [name for at, name in enumerate(names) if mask >> at & 1]
        value = sum(worth[name][0] for name in picked)
        if sum(worth[name][1] for name in picked) <= hours and value > best + 1e-9:
            best, chosen = value, picked
    return chosen


# -------------------------------------------------------------------------------- interview loop


def every_deal(score, work_sample, group, bands: int) -> tuple[float, float]:
    """Gap and exact two-sided p value: every way to deal the labels within every band."""
    score, group = [float(x) for x in score], [int(x) for x in group]
    order = sorted(range(len(score)), key=lambda i: (work_sample[i], i))
    size, extra = divmod(len(order), bands)
    pools, at = [], 0
    for band in range(bands):
        members = order[at : at + size + (band < extra)]
        at += len(members)
        ones = sum(group[i] for i in members)
        if 0 < ones < len(members):
            pools.append((members, ones))

    def gap(members, chosen):
        first = [score[i] for i in chosen]
        rest = [score[i] for i in members if i not in chosen]
        return sum(first) / len(first) - sum(rest) / len(rest)

    real = np.mean([gap(m, [i for i in m if group[i]]) for m, _ in pools])
    dealt = [
        [gap(members, chosen) for chosen in itertools.combinations(members, ones)]
        for members, ones in pools
    ]
    all_gaps = [np.mean(gaps) for gaps in itertools.product(*dealt)]
    return float(real), float(np.mean(np.abs(all_gaps) >= abs(real) - 1e-12))
