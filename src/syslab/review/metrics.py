"""Numbers about reviewing: two reviewers of one change, and a log of many changes.

Two reviewers who work independently tell how many defects neither saw, as two catches of fish tell
the size of a lake.  Chapman's correction keeps the estimate finite and nearly unbiased for small
counts (D. G. Chapman, "Some properties of the hypergeometric distribution with applications to
zoological sample censuses", University of California Publications in Statistics, 1951; variance:
G. A. F. Seber, "The effects of trap response on tag recapture estimates", Biometrics, 1970).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from syslab.review.log import ReviewLog


@dataclass(frozen=True)
class Estimate:
    """An estimated number of defects.

    Attributes
    ----------
    total : float
        Estimated number in the change, found or not.
    found : int
        Different defects found by either reviewer.
    standard_error : float
        Of `total`; nan for the uncorrected estimate.
    """

    total: float
    found: int
    standard_error: float

    @property
    def remaining(self) -> float:
        """Estimated number that neither reviewer saw, at least 0."""
        return max(0.0, self.total - self.found)

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """Normal interval of `total`, cut off below at what was found."""
        return (
            max(float(self.found), self.total - z * self.standard_error),
            max(float(self.found), self.total + z * self.standard_error),
        )


def lincoln_petersen(first: int, second: int, both: int) -> Estimate:
    """Estimate ``first * second / both``, infinite when the reviewers share no find.

    Parameters
    ----------
    first, second : int
        Defects that each reviewer found.
    both : int
        Those that both found.
    """
    _check(first, second, both)
    total = first * second / both if both else math.inf
    return Estimate(total, first + second - both, math.nan)


def chapman(first: int, second: int, both: int) -> Estimate:
    """Estimate ``(first + 1)(second + 1)/(both + 1) - 1``, finite also without a shared find."""
    _check(first, second, both)
    total = (first + 1) * (second + 1) / (both + 1) - 1
    variance = (
        (first + 1) * (second + 1) * (first - both) * (second - both)
        / ((both + 1) ** 2 * (both + 2))
    )  # fmt: skip
    return Estimate(total, first + second - both, math.sqrt(variance))


def _check(first: int, second: int, both: int) -> None:
    for name, value in (("first", first), ("second", second), ("both", both)):
        if int(value) != value or value < 0:
            raise ValueError(f"{name} is {value!r}; give a count, 0 or more")
    if both > min(first, second):
        raise ValueError(
            f"both is {both}, more than one reviewer found ({first} and {second}); "
            f"give at most {min(first, second)}"
        )


@dataclass(frozen=True)
class Agreement:
    """What two reviewers of one change found, together and apart."""

    both: int
    only_first: int
    only_second: int
    neither: int | None

    @property
    def jaccard(self) -> float:
        """Share of all finds that both made; 1 where neither found anything."""
        union = self.both + self.only_first + self.only_second
        return self.both / union if union else 1.0

    @property
    def kappa(self) -> float:
        """Cohen's kappa over the defects of a change whose truth is known.

        1: the same finds, 0: as by chance; nan where chance already explains everything.
        J. Cohen, "A coefficient of agreement for nominal scales", 1960.
        """
        if self.neither is None:
            raise ValueError("kappa needs the number that neither found: give `defects`")
        count = self.both + self.only_first + self.only_second + self.neither
        if not count:
            return math.nan
        first = (self.both + self.only_first) / count
        second = (self.both + self.only_second) / count
        chance = first * second + (1 - first) * (1 - second)
        seen = (self.both + self.neither) / count
        return math.nan if chance == 1 else (seen - chance) / (1 - chance)

    @property
    def estimate(self) -> Estimate:
        """Chapman's estimate of the defects in the change."""
        return chapman(self.both + self.only_first, self.both + self.only_second, self.both)


def agreement(
    first: Collection, second: Collection, defects: Collection | None = None
) -> Agreement:
    """Compare the finds of two reviewers.

    Parameters
    ----------
    first, second : collection of str
        Ids of the defects that each found; :func:`found` takes them from a score.
    defects : collection of str, optional
        All of them, where the truth is known.
    """
    a, b = set(first), set(second)
    if defects is not None and not (a | b) <= set(defects):
        raise ValueError(f"defects lacks {sorted((a | b) - set(defects))}, which were found")
    neither = None if defects is None else len(set(defects) - a - b)
    return Agreement(len(a & b), len(a - b), len(b - a), neither)


def found(score) -> frozenset[str]:
    """Ids of the defects whose cause a scored review named."""
    return frozenset(m.defect.id for m in score.matched if m.named)


@dataclass(frozen=True)
class Quality:
    """Measured quality of the reviews in a log.

    Attributes
    ----------
    changes, defects, comments : int
        What was counted.
    detection : float
        Share of the defects that review found; nan without a defect.
    false_alarms : float
        Share of the comments that were about nothing; nan without a comment.
    escaped_per_change : float
        Defects that passed the review, per change.
    latency_h : dict
        Hours to the first review at percentiles 50, 90 and 99, nearest rank.
    """

    changes: int
    defects: int
    comments: int
    detection: float
    false_alarms: float
    escaped_per_change: float
    latency_h: dict[int, float]


def quality(log: ReviewLog, where=None) -> Quality:
    """Measure the reviews of `log`, or of the changes that the mask `where` selects.

    Raises
    ------
    ValueError
        When no change is selected.
    """
    chosen = slice(None) if where is None else np.asarray(where, dtype=bool)
    defects, caught = log.defects[chosen], log.caught[chosen]
    comments, alarms = log.comments[chosen], log.false_alarms[chosen]
    latency_h = np.sort(log.latency_h[chosen])
    if not latency_h.size:
        raise ValueError("where selects no change of the log: choose at least one")
    rank = {q: math.ceil(q / 100 * latency_h.size - 1e-9) - 1 for q in (50, 90, 99)}
    return Quality(
        changes=int(latency_h.size),
        defects=int(defects.sum()),
        comments=int(comments.sum()),
        detection=_ratio(caught.sum(), defects.sum()),
        false_alarms=_ratio(alarms.sum(), comments.sum()),
        escaped_per_change=float((defects - caught).sum() / latency_h.size),
        latency_h={q: float(latency_h[at]) for q, at in rank.items()},
    )


def _ratio(part, whole) -> float:
    return float(part / whole) if whole else math.nan
