"""Reviewing pull requests with planted defects, and scoring the review.

- ``form``: :class:`Pull` and its files, :func:`pull`, :func:`pulls`;
- ``diffs``: the difference as text and HTML, with the line numbers of the new file;
- ``comments``: :class:`Comment`, :func:`parse`, the severities and their weights;
- ``wording``: whether a claim names a cause, and not only a line;
- ``truths``: what is planted: :class:`Defect`, :class:`Decoy`, :func:`load_truth`, :func:`seal`;
- ``scoring``: :func:`score`, :class:`Score` and the rules in numbers;
- ``after``: :func:`explain`, what one reads once the review is given;
- ``proof``: runs the test of each defect against the changed and the repaired files;
- ``metrics``: two reviewers, capture-recapture, detection, false alarms and latency of a log;
- ``log``: a synthetic review log with known parameters.

On disk a pull request is two TOML files, so that one can be handed out without the other::

    data/pulls/<id>.toml           what the reviewer sees
        title, description         strings
        [[file]] path              "ckpt/writer.py"
                 before, after     whole text of the file in '''...'''; before = "" for a new file

    data/truths/<id>.toml          what is planted
        pull = "<id>"
        [[defect]]
            id, cause, severity    cause: a key of causes.toml; severity: blocker|major|minor|nit
            file                   may be left out where the pull request has one file
            at                     the defective lines of `after`, quoted; found again by their text
            also = [...]           further places that count as the right place, quoted likewise
            claim, suggestion      the comment a good reviewer writes
            explanation            shown afterwards
            words = ["a|b* & c d"] each string names the cause: every &-group must be hit by one
                                   of its |-terms (a !-group by none); `*` ends a prefix, `@set`
                                   stands for a set of words.toml
            paraphrases = [...]    claims that must match, three or more
            near_misses = [...]    claims that must not match, two or more
            test                   a script: AssertionError on `after`, silence once repaired
            [[defect.repair]]      file (optional), old, new: text replaced once in `after`
        [[decoy]]
            id, file, at           as above
            looks_like, why        what it seems to be, and why it is right
            test                   optional script that passes on `after`: the decoy is clean

Line numbers are never typed: quoting the lines keeps a truth valid when the file above it moves.
Every repair is independent of the others, so each defect is shown to bite alone.  Another folder
with ``pulls/`` (and, for whoever may see them, ``truths/``) has the same form; a truth that must
not be read beside its notebook is passed as one sealed string.
"""

from syslab.review.after import explain
from syslab.review.comments import MEANING, WEIGHTS, Comment, CommentError, parse
from syslab.review.form import File, Pull, pull, pulls
from syslab.review.log import ReviewLog, detection_probability, synthetic_log
from syslab.review.metrics import (
    Agreement,
    Estimate,
    Quality,
    agreement,
    chapman,
    found,
    lincoln_petersen,
    quality,
)
from syslab.review.scoring import FalseAlarm, Match, Score, score
from syslab.review.truths import Decoy, Defect, Truth, load_truth, seal
from syslab.review.wording import causes_named, names

__all__ = [
    "MEANING",
    "WEIGHTS",
    "Agreement",
    "Comment",
    "CommentError",
    "Decoy",
    "Defect",
    "Estimate",
    "FalseAlarm",
    "File",
    "Match",
    "Pull",
    "Quality",
    "ReviewLog",
    "Score",
    "Truth",
    "agreement",
    "causes_named",
    "chapman",
    "detection_probability",
    "explain",
    "found",
    "lincoln_petersen",
    "load_truth",
    "names",
    "parse",
    "pull",
    "pulls",
    "quality",
    "score",
    "seal",
    "synthetic_log",
]
