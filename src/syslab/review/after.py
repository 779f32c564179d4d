"""What one reads once the review is given."""

from __future__ import annotations

from textwrap import fill

from syslab.review.comments import line_range
from syslab.review.scoring import Score


def explain(score: Score) -> str:
    """Every defect (found, half found or missed, and why it bites), every decoy, every alarm.

    Raises
    ------
    ValueError
        When the review that was scored has no comment: first review, then read.
    """
    if not score.comments:
        raise ValueError(
            f"your review of {score.pull} is empty: write at least one comment, score it, "
            "then read what was planted"
        )
    lines = [str(score), ""]
    matches = {match.defect.id: match for match in score.matched}
    for defect in score.truth.defects:
        match = matches.get(defect.id)
        at = line_range(defect.places[0])
        head = f"{defect.severity.upper()} {defect.file}:{at} {defect.claim}"
        if match is None:
            state = "missed."
        else:
            state = f"{match.how}, {match.credit:.0%} of its weight."
            if match.why_not:
                state += f" Not more, for {match.why_not}."
            elif match.comment.severity != defect.severity:
                state += f" You called it {match.comment.severity}; it is {defect.severity}."
        lines += [_wrap(head), _wrap("You: " + state, 2), _wrap(defect.explanation, 2),
                  _wrap("Instead: " + defect.suggestion, 2), ""]  # fmt: skip
    fell = {alarm.decoy.id for alarm in score.false_alarms if alarm.decoy}
    for decoy in score.truth.decoys:
        state = "you raised an alarm here" if decoy.id in fell else "you left it alone"
        head = f"CLEAN {decoy.file}:{line_range(decoy.lines)} looks like {decoy.looks_like}"
        lines += [_wrap(f"{head}; {state}."), _wrap(decoy.why, 2), ""]
    other = [alarm.comment for alarm in score.false_alarms if alarm.decoy is None]
    for comment in other:
        lines.append(_wrap(f"NOT PLANTED {comment}"))
    if other:
        lines.append(
            _wrap(
                "Nothing was planted there. If you are right all the same, say so: it happens.", 2
            )
        )
    return "\n".join(lines).rstrip()


def _wrap(text: str, indent: int = 0) -> str:
    pad = " " * indent
    return fill(" ".join(text.split()), 96, initial_indent=pad, subsequent_indent=pad)
