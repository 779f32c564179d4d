"""Feedback in four parts, checked for form: situation, behaviour, effect, request.

Kluger and DeNisi (Psychological Bulletin 119, 1996, 254-284) found that feedback works less the
nearer it moves attention to the self and away from the task. So the linter looks for the self.
"""

import re

from syslab.mentoring.findings import Finding
from syslab.mentoring.text import CHANGE, EVENT, STATE, has_measure, is_link

PARTS = ("situation", "behaviour", "effect", "request")
TRAIT = re.compile(
    r"\byou(?:'re| are| were| seem(?:ed)?| looked| sounded| have been| tend to be| were being)\s+"
    r"(?:\w+\s+){0,3}(?:careless|sloppy|lazy|"
    r"slow|brilliant|smart|clever|talented|gifted|natural|great|amazing|difficult|negative|"
    r"defensive|aggressive|abrasive|emotional|junior|senior|weak|strong|unprofessional|passive|"
    r"arrogant|disorgani[sz]ed|unreliable|rockstar|genius|nice|bad|good|"
    r"not (?:strategic|technical|senior)|too \w+)\b|"
    r"\b(?:your|an?) (?:attitude|personality|character|ego|talent|lack of \w+)\b|"
    r"\b(?:careless|sloppy|lazy|unprofessional|arrogant|brilliant|clever)\s+(?:of|from) you\b|"
    r"\b(?:good|bad|great) (?:boy|girl|engineer|person|team player)\b",
    re.IGNORECASE,
)
# "The loop never stopped" and "nobody was paged" report one case. What is meant here is the habit
# of a person, and a crowd that is called as a witness.
ABSOLUTE = re.compile(
    r"\b(?P<habit>always|constantly|every (?:single )?time)\b|"
    r"\byou(?:'re|'ve|\s+(?:are|were|have|had|do|did|will|can|just|also))?\s+(?P<you>never)\b|"
    r"\byour\s+(?:\w+\s+){1,3}?(?P<your>never)\b|"
    r"\b(?:is|are)\s+(?P<state>never)\s+(?:there|here|on time|ready|done|good|right|enough)\b|"
    r"\b(?P<crowd>everyone|everybody|nobody|no one)\b[^.;,]*\b(?:annoyed|upset|(?:un)?happy|angry|"
    r"tired|afraid|fed up|thinks?|thought|feels?|felt|says?|said|knows?|knew|agrees?|agreed|likes?|"
    r"liked|hates?|hated|loves?|loved|wants?|wanted|trusts?|trusted|complain\w*)\b",
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
            said = f"{hit[hit.lastgroup]!r} is a count nobody made"
            found.append(Finding("always-never", part, said, "Give the count, or this one case"))
        if part == "effect" and not (has_measure(text) or is_link(text)):
            found.append(Finding("no-measure", part, "no number, nothing to open",
                                 "Count what followed, or link it"))  # fmt: skip
        if part == "request" and not _visible(text):
            found.append(Finding("no-request", part, "nobody could see whether it was done",
                                 "Name an act that leaves a trace"))  # fmt: skip
    return found


_ACT = re.compile(
    r"\b(?:add|send|ask|open|link|name|list|post|bring|cut|split|move|test|try|call|"
    r"show|share|draft|book|mark|state|put|start|stop|wait|rename|rerun|replace|label|count|tell|rais|"
    r"rehears|writ|report|warn|announc)\w*\b",
    re.IGNORECASE,
)


def _visible(text: str) -> bool:
    if EVENT.search(text) or _ACT.search(text):
        return True
    return bool(has_measure(text) and CHANGE.search(text) and not STATE.search(text))
