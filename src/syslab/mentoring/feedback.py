"""Feedback in four parts, checked for form: situation, behaviour, effect, request.

Kluger and DeNisi (Psychological Bulletin 119, 1996, 254-284) found that feedback works less the
nearer it moves attention to the self and away from the task. So the linter looks for the self.
"""

import re

from syslab.mentoring.findings import Finding
from syslab.mentoring.text import CHANGE, EVENT, STATE, has_measure, is_link

PARTS = ("situation", "behaviour", "effect", "request")
TRAIT = re.compile(
    r"\byou(?:'re| are| seem| tend to be| were being)\s+(?:\w+\s+){0,3}(?:careless|sloppy|lazy|"
    r"slow|brilliant|smart|clever|talented|gifted|natural|great|amazing|difficult|negative|"
    r"defensive|aggressive|abrasive|emotional|junior|senior|weak|strong|unprofessional|passive|"
    r"arrogant|disorgani[sz]ed|unreliable|rockstar|genius|nice|bad|good|"
    r"not (?:strategic|technical|senior)|too \w+)\b|"
    r"\b(?:your|an?) (?:attitude|personality|character|ego|talent|lack of \w+)\b|"
    r"\b(?:good|bad|great) (?:boy|girl|engineer|person|team player)\b",
    re.IGNORECASE,
)
ABSOLUTE = re.compile(
    r"\b(?:always|never|constantly|every single time|every time|everyone|everybody|nobody)\b",
    re.IGNORECASE,
)


def lint_feedback(feedback: dict) -> list[Finding]:
    """Return the findings of a piece of feedback; empty means the form is sound.

    Parameters
    ----------
    feedback : dict of str
        ``situation`` (when and where), ``behaviour`` (what was done or written), ``effect``
        (what followed, counted or linked) and ``request`` (the next step, visible).
    """
    if not isinstance(feedback, dict):
        return [Finding("form", "feedback", f"expected a table, got {type(feedback).__name__}",
                        f"Give {', '.join(PARTS)}")]  # fmt: skip
    found = [Finding("form", str(key), "this part is unknown", f"Use {', '.join(PARTS)}")
             for key in feedback if key not in PARTS]  # fmt: skip
    for part in PARTS:
        text = feedback.get(part)
        text = text.strip() if isinstance(text, str) else ""
        if len(text.split()) < 3:
            found.append(Finding("empty-part", part, "missing or a word or two",
                                 "Write one sentence"))  # fmt: skip
            continue
        if hit := TRAIT.search(text):
            found.append(Finding("trait", part, f"{hit.group()!r} judges the person",
                                 "Say what was done or written instead"))  # fmt: skip
        if hit := ABSOLUTE.search(text):
            found.append(Finding("always-never", part, f"{hit.group()!r} is a count nobody made",
                                 "Give the count, or this one case"))  # fmt: skip
        if part == "effect" and not (has_measure(text) or is_link(text)):
            found.append(Finding("no-measure", part, "no number, nothing to open",
                                 "Count what followed, or link it"))  # fmt: skip
        if part == "request" and not _visible(text):
            found.append(Finding("no-request", part, "nobody could see whether it was done",
                                 "Name an act that leaves a trace"))  # fmt: skip
    return found


_ACT = re.compile(
    r"\b(?:add|send|ask|open|link|name|list|post|bring|cut|split|move|test|try|call|"
    r"show|share|draft|book|mark|state|put|start|stop|wait|rename|rerun|replace|label|count)\w*\b",
    re.IGNORECASE,
)


def _visible(text: str) -> bool:
    if EVENT.search(text) or _ACT.search(text):
        return True
    return bool(has_measure(text) and CHANGE.search(text) and not STATE.search(text))
