"""Scoring a review against what was planted.

``share = recall × min(1, precision / 0.8) × (0.8 + 0.2 × calibration)``

recall       weight of the defects found over the weight of all; a find counts in full when its
             claim names the cause within 3 lines of the place, half when it names the cause
             elsewhere in the file, a fifth when it only points at the line, with ten lines at
             most; of that, half when the severity is two steps too low (the author will leave
             it for later) or when the comment names two defects, in a sentence each or with
             lines beside both (a comment makes one point)
precision    weight of the finds over that weight plus the weight that the false alarms *claimed*;
             a fifth may be false without loss, for a reviewer may be right about something that
             nobody planted, and asking costs less than a defect that passes
calibration  mean over the causes named of 1, 1/2, 0 for a severity that is right, one step off,
             further off; 0 where several severities were found and one was given to everything

Product, not sum: silence earns nothing for being never wrong, and a comment on every line nothing
for having hit.  The two worst defects and nothing else earn exactly their share of the weight.

A claim that would fit nearly any change names nothing: it is read against the defects of the
package's other pull requests too, and may fit those of four causes at most, its own
included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations

import numpy as np
from scipy.optimize import linear_sum_assignment

from syslab.review import form
from syslab.review.comments import WEIGHTS, Comment, parse
from syslab.review.form import Pull
from syslab.review.truths import Decoy, Defect, Truth, load_truth
from syslab.review.wording import names

TOLERANCE_LINES = 3
MOST_POINTED_AT = 10  # lines of a comment that names no cause
CAUSE_AND_PLACE, CAUSE_ONLY, PLACE_ONLY = 1.0, 0.5, 0.2
DIVIDED = UNDERRATED = 0.5
STEPS_TOO_LOW = 2
MOST_KINDS = 4
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
    level: float
    part: float = 1.0
    why_not: str = ""

    @property
    def credit(self) -> float:
        """Share of the defect's weight: for cause and place, of that the part that counts."""
        return self.level * self.part

    @property
    def named(self) -> bool:
        """Whether the cause was named, and not only its line touched."""
        return self.level > PLACE_ONLY

    @property
    def how(self) -> str:
        """What the credit was given for."""
        return _HOW[self.level]

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
    pairs = _assign(given, truth)
    matched = tuple(pairs.values())
    used = {c for c, _ in pairs}
    repeated, alarms = [], []
    for c, comment in enumerate(given):
        if c in used:
            continue
        said = _named(comment, truth)
        if any(_level(comment, m.defect, said) == CAUSE_AND_PLACE for m in matched):
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


@dataclass(frozen=True)
class _Said:
    """Ids of the defects of a change that a comment names, and of those beside its lines.

    `points` is 2 where one sentence names one of them and another sentence another one.  If it
    names none, `why_not` says why.
    """

    ids: frozenset[str] = frozenset()
    here: frozenset[str] = frozenset()
    points: int = 1
    why_not: str = ""


def _named(comment: Comment, truth: Truth) -> _Said:
    """What a comment names; its suggestion is asked only where the claim leaves it open."""
    named, why_not = (), "the claim does not name the cause"
    for suggestion in ("", comment.suggestion):
        verdicts = {
            defect: names(comment.claim, defect.words, suggestion)
            for defect in truth.defects
            if defect.file == comment.file
        }
        named = [defect for defect, verdict in verdicts.items() if verdict.named]
        why_not = next((v.why_not for v in verdicts.values() if not v.named), why_not)
        if named:
            break
    if not named:
        return _Said(why_not=why_not)
    kinds = {defect.cause for defect in named} | {
        cause
        for name, cause, words in _everywhere()
        if name != truth.pull and names(comment.claim, words, comment.suggestion).named
    }
    if len(kinds) > MOST_KINDS:
        return _Said(
            why_not=f"the claim fits defects of {len(kinds)} kinds, here and in other "
            "changes: name the one thing that goes wrong here",
        )
    here = [defect for defect in named if _away(comment, defect) <= TOLERANCE_LINES]
    return _Said(
        frozenset(d.id for d in named), frozenset(d.id for d in here), _points(comment, named)
    )


def _points(comment: Comment, named: Sequence[Defect]) -> int:
    """2 when two sentences of the comment name different ones of `named`, else 1."""
    if len(named) < 2:
        return 1
    found = [
        {defect.id for defect in named if names(sentence, defect.words).named}
        for sentence in re.split(r"[.;!?]\s|\n", f"{comment.claim}. {comment.suggestion}")
        if sentence.strip()
    ]
    apart = any(a and b and not a & b for a, b in combinations(found, 2))
    return 2 if apart else 1


@cache
def _everywhere() -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """(pull request, cause, words) of every defect of the package."""
    return tuple(
        (name, defect.cause, defect.words)
        for name in form.pulls()
        for defect in load_truth(name, form.pull(name)).defects
    )


def _level(comment: Comment, defect: Defect, said: _Said) -> float:
    """What a comment is worth for a defect by cause and place."""
    if comment.file != defect.file:
        return 0.0
    if defect.id in said.ids:
        return CAUSE_AND_PLACE if defect.id in said.here else CAUSE_ONLY
    # Who names a cause is not paid for standing beside another defect, and who waves at half a
    # file is not paid for what lies there.
    points_at = comment.lines[1] - comment.lines[0] < MOST_POINTED_AT
    return PLACE_ONLY if points_at and not said.ids and _away(comment, defect) == 0 else 0.0


def _match(comment: Comment, defect: Defect, said: _Said) -> Match:
    level = _level(comment, defect, said)
    if defect.id not in said.ids:
        return Match(comment, defect, level, 1.0, said.why_not)
    part, why_not = 1.0, ""
    if len(said.ids) > 1 and (said.points > 1 or said.here != {defect.id}):
        part *= DIVIDED
        why_not = f"the comment names {len(said.ids)} defects of this change: make one point"
    elif _STEPS.index(comment.severity) - _STEPS.index(defect.severity) >= STEPS_TOO_LOW:
        part *= UNDERRATED
        why_not = f"whoever reads {comment.severity} leaves a {defect.severity} for later"
    return Match(comment, defect, level, part, why_not)


def _away(comment: Comment, defect: Defect) -> int:
    """Lines from the comment to the nearest place of the defect, in its file."""
    return min(_distance(comment.lines, place) for place in defect.places)


def _distance(a: tuple[int, int], b: tuple[int, int]) -> int:
    """Lines from one range to the other; 0 where they overlap."""
    return max(0, a[0] - b[1], b[0] - a[1])


def _assign(comments: Sequence[Comment], truth: Truth) -> dict[tuple[int, int], Match]:
    """The one-to-one matching that is worth most; ties go to the better severity, then nearer."""
    if not comments:
        return {}
    matches = {}
    for c, comment in enumerate(comments):
        said = _named(comment, truth)
        for d, defect in enumerate(truth.defects):
            matches[c, d] = _match(comment, defect, said)
    value = np.zeros((len(comments), len(truth.defects)))
    for (c, d), match in matches.items():
        if match.credit:
            nearer = 1e-7 * _away(match.comment, match.defect)
            value[c, d] = match.credit * match.defect.weight + 1e-3 * match.calibration - nearer
    rows, columns = linear_sum_assignment(value, maximize=True)
    return {
        (int(c), int(d)): matches[c, d]
        for c, d in zip(rows, columns, strict=True)
        if matches[c, d].credit
    }


def _calibration(comments, matched) -> float:
    """Mean agreement of the severities, over the defects whose cause was named."""
    named = [match for match in matched if match.named]
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
    named = sum(match.named for match in matched)
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
