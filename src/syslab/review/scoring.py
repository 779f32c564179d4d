"""Scoring a review against what was planted.

``share = recall × min(1, precision / 0.8) × (0.8 + 0.2 × calibration)``

recall       weight of the defects found over the weight of all; a find counts in full when its
             claim names the cause within 3 lines of the place, half when it names the cause
             elsewhere in the file, a fifth when it only points at the line
precision    weight of the finds over that weight plus the weight that the false alarms *claimed*;
             a fifth may be false without loss, for a reviewer may be right about something that
             nobody planted, and asking costs less than a defect that passes
calibration  mean over the causes named of 1, 1/2, 0 for a severity that is right, one step off,
             further off; 0 where several severities were found and one was given to everything

Product, not sum: silence earns nothing for being never wrong, and a comment on every line nothing
for having hit.  The two worst defects and nothing else earn exactly their share of the weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from syslab.review.comments import WEIGHTS, Comment, parse
from syslab.review.form import Pull
from syslab.review.truths import Decoy, Defect, Truth, load_truth
from syslab.review.wording import names

TOLERANCE_LINES = 3
CAUSE_AND_PLACE, CAUSE_ONLY, PLACE_ONLY = 1.0, 0.5, 0.2
FREE_FALSE_SHARE = 0.2
CALIBRATION_PART = 0.2
_STEPS = list(WEIGHTS)
_HOW = {
    CAUSE_AND_PLACE: "cause named in its place",
    CAUSE_ONLY: "cause named, but far from its place",
    PLACE_ONLY: "the right place, another cause",
}


@dataclass(frozen=True)
class Match:
    """A comment and the defect it was matched with, for `credit` of the defect's weight."""

    comment: Comment
    defect: Defect = field(repr=False)
    credit: float
    why_not: str = ""

    @property
    def how(self) -> str:
        """What the credit was given for."""
        return _HOW[self.credit]

    @property
    def calibration(self) -> float:
        """1 for the right severity, 1/2 one step off, 0 further off."""
        steps = abs(_STEPS.index(self.comment.severity) - _STEPS.index(self.defect.severity))
        return max(0.0, 1 - steps / 2)


@dataclass(frozen=True)
class FalseAlarm:
    """A comment that names nothing planted; `decoy` is the clean code it fell for, if any."""

    comment: Comment
    decoy: Decoy | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Score:
    """How good a review was; `share` is in [0, 1], `points` out of `out_of`."""

    pull: str
    recall: float
    precision: float
    calibration: float
    out_of: float
    comments: tuple[Comment, ...] = field(repr=False)
    matched: tuple[Match, ...] = field(repr=False)
    false_alarms: tuple[FalseAlarm, ...] = field(repr=False)
    repeated: tuple[Comment, ...] = field(repr=False)
    missed: tuple[Defect, ...] = field(repr=False)
    truth: Truth = field(repr=False)
    message: str = ""

    @property
    def share(self) -> float:
        """The three parts put together, see the module."""
        right = min(1.0, self.precision / (1 - FREE_FALSE_SHARE))
        weighed = 1 - CALIBRATION_PART * (1 - self.calibration)
        return self.recall * right * weighed

    @property
    def points(self) -> float:
        """Points, to two decimals."""
        return round(self.out_of * self.share, 2)

    def __str__(self) -> str:
        return (
            f"{self.pull}: {self.points:g} of {self.out_of:g} points; recall {self.recall:.2f}, "
            f"precision {self.precision:.2f}, calibration {self.calibration:.2f}; "
            f"{self.message}"
        )


def score(
    pull: Pull,
    comments: Sequence[Comment | Mapping],
    truth: Truth | str | None = None,
    out_of: float = 100.0,
) -> Score:
    """Score a review of `pull`.

    Parameters
    ----------
    pull : Pull
    comments : list of Comment or dict
        Dictionaries are read by :func:`parse`, whose errors pass through.
    truth : Truth or str, optional
        What is planted, or what :func:`load_truth` takes; default: the package's own.
    out_of : float
        Points of a review that misses nothing.
    """
    given = parse(comments, pull)
    if not isinstance(truth, Truth):
        truth = load_truth(pull.name if truth is None else truth, pull)
    pairs = _assign(given, truth.defects)
    matched = tuple(
        Match(given[c], truth.defects[d], *verdict) for (c, d), verdict in pairs.items()
    )
    used = {c for c, _ in pairs}
    repeated, alarms = [], []
    for c, comment in enumerate(given):
        if c in used:
            continue
        if any(_credit(comment, match.defect)[0] == CAUSE_AND_PLACE for match in matched):
            repeated.append(comment)
        else:
            alarms.append(FalseAlarm(comment, _decoy(comment, truth.decoys)))
    hit = {match.defect.id for match in matched}
    missed = tuple(defect for defect in truth.defects if defect.id not in hit)
    found_weight = sum(match.credit * match.defect.weight for match in matched)
    false_weight = sum(alarm.comment.weight for alarm in alarms)
    return Score(
        pull=pull.name,
        recall=found_weight / truth.weight,
        precision=found_weight / (found_weight + false_weight) if found_weight else 0.0,
        calibration=_calibration(given, matched),
        out_of=float(out_of),
        comments=given,
        matched=matched,
        false_alarms=tuple(alarms),
        repeated=tuple(repeated),
        missed=missed,
        truth=truth,
        message=_message(given, matched, alarms, repeated, truth),
    )


def _credit(comment: Comment, defect: Defect) -> tuple[float, str]:
    """Share of the defect's weight that the comment earns, and why its claim did not count."""
    if comment.file != defect.file:
        return 0.0, ""
    away = min(_distance(comment.lines, place) for place in defect.places)
    verdict = names(comment.claim, defect.words, comment.suggestion)
    if verdict.named:
        return (CAUSE_AND_PLACE if away <= TOLERANCE_LINES else CAUSE_ONLY), ""
    return (PLACE_ONLY if away == 0 else 0.0), verdict.why_not


def _distance(a: tuple[int, int], b: tuple[int, int]) -> int:
    """Lines from one range to the other; 0 where they overlap."""
    return max(0, a[0] - b[1], b[0] - a[1])


def _assign(comments, defects) -> dict[tuple[int, int], tuple[float, str]]:
    """The one-to-one matching that is worth most; ties go to the better severity, then nearer."""
    if not comments:
        return {}
    verdicts = {
        (c, d): _credit(comment, defect)
        for c, comment in enumerate(comments)
        for d, defect in enumerate(defects)
    }
    # Who names a cause is not paid for standing beside another defect.
    naming = {c for (c, _), (credit, _) in verdicts.items() if credit > PLACE_ONLY}
    for (c, d), (credit, _) in verdicts.items():
        if c in naming and credit == PLACE_ONLY:
            verdicts[c, d] = (0.0, "")
    value = np.zeros((len(comments), len(defects)))
    for (c, d), (credit, why_not) in verdicts.items():
        if credit:
            match = Match(comments[c], defects[d], credit, why_not)
            away = min(_distance(comments[c].lines, place) for place in defects[d].places)
            value[c, d] = credit * defects[d].weight + 1e-3 * match.calibration - 1e-7 * away
    rows, columns = linear_sum_assignment(value, maximize=True)
    return {
        (int(c), int(d)): verdicts[c, d]
        for c, d in zip(rows, columns, strict=True)
        if verdicts[c, d][0]
    }


def _calibration(comments, matched) -> float:
    """Mean agreement of the severities, over the defects whose cause was named."""
    named = [match for match in matched if match.credit > PLACE_ONLY]
    if not named:
        return 0.0
    said = {comment.severity for comment in comments}
    true = {match.defect.severity for match in named}
    if len(said) == 1 and len(true) > 1:
        return 0.0
    return float(np.mean([match.calibration for match in named]))


def _decoy(comment: Comment, decoys) -> Decoy | None:
    return next(
        (d for d in decoys if d.file == comment.file and _distance(comment.lines, d.lines) == 0),
        None,
    )


def _message(comments, matched, alarms, repeated, truth) -> str:
    if not comments:
        return "no comments were given: an empty review finds nothing and earns 0"
    named = sum(match.credit > PLACE_ONLY for match in matched)
    parts = [f"{named} of {len(truth.defects)} defects named"]
    if len(matched) > named:
        parts.append(f"{len(matched) - named} only pointed at")
    if alarms:
        fell = sum(alarm.decoy is not None for alarm in alarms)
        parts.append(
            f"{len(alarms)} false alarm{'s' * (len(alarms) > 1)}"
            + (f" ({fell} at clean code that only looks wrong)" if fell else "")
        )
    if repeated:
        parts.append(f"{len(repeated)} said twice")
    return ", ".join(parts)
