"""A review comment, the scale of severities, and reading both from what a learner typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_LINES = 25
MOST_WORDS = 60
FIELDS = ("file", "lines", "severity", "claim", "suggestion")

# Each step doubles, so that a blocker (8) outweighs one of each smaller kind together (4+2+1):
# with minutes for one comment only, it is the blocker that must be written.
WEIGHTS = {"blocker": 8, "major": 4, "minor": 2, "nit": 1}
MEANING = {
    "blocker": "do not merge: data lost, the usual result wrong, a secret out, a service down",
    "major": "mend before the merge: wrong under load, for some inputs, at an edge that comes",
    "minor": "mend soon, the merge may go ahead: bounded cost or a misled reader",
    "nit": "taste, naming, layout: the author may decline without a reason",
}


class CommentError(ValueError):
    """A comment that cannot be read; the message names the comment and the field."""


@dataclass(frozen=True)
class Comment:
    """One point of a review.

    Attributes
    ----------
    file : str
        Path as in the pull request.
    lines : (int, int)
        First and last line, numbers of the new file, at most 25 lines.
    severity : str
        "blocker", "major", "minor" or "nit".
    claim : str
        What is wrong and what follows from it, one point in at most 60 words.
    suggestion : str
        What to do instead, at most 60 words; read together with the claim.
    """

    file: str
    lines: tuple[int, int]
    severity: str
    claim: str
    suggestion: str = ""

    @property
    def weight(self) -> int:
        """Weight of the severity that the reviewer gave."""
        return WEIGHTS[self.severity]

    def __str__(self) -> str:
        return f"{self.file}:{line_range(self.lines)} [{self.severity}] {self.claim}"


def parse(comments: Sequence[Mapping], pull=None) -> tuple[Comment, ...]:
    """Read a list of dictionaries as comments.

    Parameters
    ----------
    comments : list of dict
        Keys ``file, lines, severity, claim`` and, if wanted, ``suggestion``; ``lines`` is a number
        or a pair (first, last).  Comments that are already read are taken as they are.
    pull : Pull, optional
        Checks file names and line numbers too.

    Raises
    ------
    CommentError
        For the first thing that cannot be read, naming comment (counted from 1) and field.
    """
    if comments is None or comments is Ellipsis:
        raise CommentError("comments is empty: give a list with one dictionary for each comment")
    if isinstance(comments, (Mapping, str, Comment)) or not isinstance(comments, Sequence):
        raise CommentError(
            f"comments is a {type(comments).__name__}; give a list of dictionaries, "
            "one for each comment"
        )
    return tuple(_one(number, given, pull) for number, given in enumerate(comments, 1))


def _one(number: int, given, pull) -> Comment:
    def wrong(field: str, what: str) -> CommentError:
        return CommentError(f"comment {number}, {field}: {what}")

    if isinstance(given, Comment):
        given = {name: getattr(given, name) for name in FIELDS}
    if not isinstance(given, Mapping):
        raise CommentError(
            f"comment {number} is a {type(given).__name__}; give a dictionary with the keys "
            + ", ".join(FIELDS)
        )
    for key in given:
        if key not in FIELDS:
            raise wrong(repr(key), f"is no field of a comment; the fields are {', '.join(FIELDS)}")
    for field in ("file", "lines", "severity", "claim"):
        if field not in given:
            raise wrong(field, "is missing")
    for field in ("file", "severity", "claim", "suggestion"):
        value = given.get(field, "")
        if not isinstance(value, str):
            raise wrong(field, f"is {value!r}; give text")
        if field != "suggestion" and not value.strip():
            raise wrong(field, "is empty")
    lines = _lines(given["lines"], wrong)
    severity = given["severity"].strip().lower()
    if severity not in WEIGHTS:
        raise wrong("severity", f"is {given['severity']!r}; choose one of {', '.join(WEIGHTS)}")
    for field in ("claim", "suggestion"):
        words = len(given.get(field, "").split())
        if words > MOST_WORDS:
            raise wrong(field, f"has {words} words; make one point in at most {MOST_WORDS}")
    file = given["file"].strip()
    if pull is not None:
        paths = [each.path for each in pull.files]
        if file not in paths:
            raise wrong("file", f"is {file!r}; the pull request has {', '.join(paths)}")
        last = len(pull.file(file).after.splitlines())
        if lines[1] > last:
            raise wrong("lines", f"is {line_range(lines)}; the new {file} ends at line {last}")
    return Comment(
        file, lines, severity, given["claim"].strip(), given.get("suggestion", "").strip()
    )


def _lines(value, wrong) -> tuple[int, int]:
    legal = "give a line number of the new file or a pair (first, last)"
    if _whole(value):
        pair = (int(value), int(value))
    elif isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_whole, value)):
        pair = (int(value[0]), int(value[1]))
    else:
        raise wrong("lines", f"is {value!r}; {legal}")
    if pair[0] < 1:
        raise wrong("lines", f"begins at {pair[0]}; lines count from 1")
    if pair[1] < pair[0]:
        raise wrong("lines", f"ends at {pair[1]}, before it begins at {pair[0]}")
    if pair[1] - pair[0] >= MOST_LINES:
        raise wrong(
            "lines", f"covers {pair[1] - pair[0] + 1} lines; point at {MOST_LINES} or fewer"
        )
    return pair


def _whole(value) -> bool:
    return not isinstance(value, bool) and hasattr(value, "__index__")


def line_range(lines: tuple[int, int]) -> str:
    """``"7"`` or ``"7-9"``."""
    return str(lines[0]) if lines[0] == lines[1] else f"{lines[0]}-{lines[1]}"
