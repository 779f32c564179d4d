"""The linter of plans: form a machine can read. Whether it is true is for a human."""

import re
from collections import Counter
from datetime import date
from itertools import pairwise

from syslab.mentoring.coaching import MODES
from syslab.mentoring.findings import Finding
from syslab.mentoring.text import EMAIL, FULL_NAME, as_date, is_link, strings, why_vague

TABLES = {
    "mentee": dict, "begins": object, "ends": object, "cadence": dict, "outcomes": list,
    "topics": list, "sponsorship": list, "risks": list, "not_done": list, "ledger": list,
}  # fmt: skip
_KEYS = {
    "mentee": {"pseudonym", "start", "evidence"},
    "cadence": {"every_days", "minutes"},
    "outcomes": {"id", "outcome", "exit", "start", "evidence"},
    "topics": {"topic", "outcome", "mode"},
    "sponsorship": {"date", "act", "audience", "result"},
    "risks": {"risk", "sign", "response"},
    "ledger": {"date", "what", "evidence", "outcome", "minutes", "mode"},
}


def lint(plan, *, today: date | str | None = None, real_names: tuple[str, ...] = ()):
    """Return the findings of a plan, in the order of its tables; an empty list is a clean plan.

    Parameters
    ----------
    plan : dict
        As described in the package docstring. Anything else yields one ``form`` finding.
    today : date or str, optional
        Entries after it are findings. Without it the future is not checked.
    real_names : tuple of str
        Names that must not appear anywhere, links included. They are not stored.
    """
    if not isinstance(plan, dict):
        return [Finding("form", "plan", f"expected a table, got {type(plan).__name__}",
                        "Start from template()")]  # fmt: skip
    found = list(_form(plan))
    sound = _sound(plan)
    begins, ends = as_date(sound["begins"]), as_date(sound["ends"])
    for rule in (_dates, _mentee, _cadence, _outcomes, _topics, _sponsorship, _not_done, _risks):
        found += rule(sound)
    found += _ledger(sound, begins, ends, as_date(today) if today else None)
    found += _privacy(plan, real_names)
    return found


def _form(plan):
    for key in plan:
        if key not in TABLES:
            yield Finding("form", str(key), "this table is not part of a plan",
                          f"Use one of {', '.join(TABLES)}")  # fmt: skip
    for key, kind in TABLES.items():
        if key not in plan:
            continue  # what is missing is reported by its own rule
        value = plan[key]
        if not isinstance(value, kind):
            yield Finding("form", key, f"expected a {kind.__name__}, got {type(value).__name__}",
                          "Look at template()")  # fmt: skip
            continue
        rows = [(key, value)] if kind is dict else []
        if kind is list:
            rows = [(f"{key}[{i}]", row) for i, row in enumerate(value)]
        for place, row in rows:
            if key == "not_done":
                if not isinstance(row, str):
                    yield Finding("form", place, "expected a sentence", "Write it as text")
            elif not isinstance(row, dict):
                yield Finding("form", place, f"expected a table, got {type(row).__name__}",
                              f"Give {', '.join(sorted(_KEYS[key]))}")  # fmt: skip
            else:
                for name in row.keys() - _KEYS[key]:
                    yield Finding("form", f"{place}.{name}", "this key is not part of the form",
                                  f"Use one of {', '.join(sorted(_KEYS[key]))}")  # fmt: skip


def _sound(plan) -> dict:
    """The plan with wrongly typed parts left out, so that every rule may read on.

    Rows keep their place in the list: a finding must name the row the writer sees.
    """
    sound = {}
    for key, kind in TABLES.items():
        value = plan.get(key)
        if kind is object:
            sound[key] = value
        elif not isinstance(value, kind):
            sound[key] = kind()
        elif key == "not_done":
            sound[key] = [row for row in value if isinstance(row, str)]
        elif kind is list:
            sound[key] = [row if isinstance(row, dict) else None for row in value]
        else:
            sound[key] = value
    return sound


def _rows(plan, key):
    """(place, row) of every sound row of a list."""
    return [(f"{key}[{i}]", row) for i, row in enumerate(plan[key]) if row is not None]


def _text(row, key) -> str:
    value = row.get(key)
    return value.strip() if isinstance(value, str) else ""


def _links(value) -> list[str]:
    """Evidence is a text or a list of texts."""
    texts = value if isinstance(value, list) else [value]
    return [text.strip() for text in texts if isinstance(text, str) and text.strip()]


def _evidence(row, place, code):
    texts = _links(row.get("evidence"))
    if not texts:
        yield Finding(code, f"{place}.evidence", "nothing shows it",
                      "Link what existed on that day: a change, a document, a log")  # fmt: skip
    elif not any(is_link(text) for text in texts):
        yield Finding("weak-evidence", f"{place}.evidence", f"{texts[0]!r} cannot be opened",
                      "Give a URL, repository#118, a path or a commit")  # fmt: skip


def _dates(plan):
    ends, begins = as_date(plan["ends"]), as_date(plan["begins"])
    for key, value in (("begins", begins), ("ends", ends)):
        if value is None:
            yield Finding("dates", key, "no date", "Write it as 2025-03-03")
    if begins and ends and ends <= begins:
        yield Finding("dates", "ends", f"{ends} is not after {begins}", "Choose a later end")


def _mentee(plan):
    mentee = plan["mentee"]
    if not _text(mentee, "pseudonym"):
        yield Finding("form", "mentee.pseudonym", "empty", "Invent one word for the mentee")
    if not _text(mentee, "start"):
        yield Finding("form", "mentee.start", "empty", "Say what the mentee does today")
    yield from _evidence(mentee, "mentee", "start-no-evidence")


def _cadence(plan):
    cadence = plan["cadence"]
    for key in ("every_days", "minutes"):
        value = cadence.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            yield Finding("no-cadence", f"cadence.{key}", f"{value!r} is no rhythm",
                          "Give a number above 0")  # fmt: skip
            return


def _outcomes(plan):
    rows = _rows(plan, "outcomes")
    if not any(_text(row, "outcome") for _, row in rows):
        yield Finding("no-outcome", "outcomes", "no outcome is named",
                      "Name one thing the mentee will do that they do not do today")  # fmt: skip
    if len(rows) > 4:
        yield Finding("many-outcomes", "outcomes", f"{len(rows)} outcomes",
                      "Keep four at most; move the others to not_done")  # fmt: skip
    names = Counter(_text(row, "id") for _, row in rows)
    worked = Counter(_text(row, "outcome") for _, row in _rows(plan, "ledger"))
    seen = set()
    for place, row in rows:
        name, criterion = _text(row, "id"), _text(row, "exit")
        if not name:
            yield Finding("form", f"{place}.id", "empty", "Give one word")
        elif names[name] > 1 and name in seen:
            yield Finding("duplicate-outcome", f"{place}.id", f"{name!r} is taken", "Rename it")
        seen.add(name)
        if not criterion:
            yield Finding("exit-missing", f"{place}.exit", "no exit criterion",
                          "Say what somebody else can count on the last day")  # fmt: skip
        elif why := why_vague(criterion):
            yield Finding("exit-vague", f"{place}.exit", why,
                          "Name an event and its number, and who can see it")  # fmt: skip
        yield from _evidence(row, place, "start-no-evidence")
        if name and not worked[name]:
            yield Finding("outcome-no-entry", place, f"no ledger entry for {name!r}",
                          "Work on it, or move it to not_done and say why")  # fmt: skip


def _topics(plan):
    known = {_text(row, "id") for _, row in _rows(plan, "outcomes")} - {""}
    for key in ("topics", "ledger"):
        for place, row in _rows(plan, key):
            if _text(row, "outcome") not in known:
                yield Finding("unknown-outcome", f"{place}.outcome",
                              f"{_text(row, 'outcome')!r} is no outcome of this plan",
                              f"Use one of {', '.join(sorted(known)) or 'none yet'}")  # fmt: skip
            if _text(row, "mode") not in MODES:
                yield Finding("unknown-mode", f"{place}.mode", f"{_text(row, 'mode')!r}",
                              f"Use one of {', '.join(MODES)}")  # fmt: skip


def _sponsorship(plan):
    rows = _rows(plan, "sponsorship")
    if not any(_text(row, "act") for _, row in rows):
        yield Finding("no-sponsorship", "sponsorship", "nobody heard of the mentee from you",
                      "Name them for work, or read their evidence out where it counts")  # fmt: skip
    for place, row in rows:
        if _text(row, "act") and not _text(row, "audience"):
            yield Finding("no-audience", f"{place}.audience", "nobody heard it",
                          "Say who did, by role; praise to the mentee is feedback")  # fmt: skip
        if as_date(row.get("date")) is None:
            yield Finding("form", f"{place}.date", "no date", "Write it as 2025-03-03")


def _not_done(plan):
    if not any(len(text.split()) >= 4 for text in plan["not_done"]):
        yield Finding("not-done-empty", "not_done", "nothing was left undone",
                      "Say what you did not do and why")  # fmt: skip


def _risks(plan):
    if not any(_text(row, "risk") for _, row in _rows(plan, "risks")):
        yield Finding("no-risk", "risks", "no risk named",
                      "Name one, its first sign and your response")  # fmt: skip


def _ledger(plan, begins, ends, today):
    rows, last = _rows(plan, "ledger"), None
    texts = Counter(_text(row, "what").lower() for _, row in rows)
    days = []
    for place, row in rows:
        day, what = as_date(row.get("date")), _text(row, "what")
        if day is None:
            yield Finding("form", f"{place}.date", "no date", "Write it as 2025-03-03")
        else:
            if begins and day < begins:
                yield Finding("before-begin", f"{place}.date", f"{day}, the plan begins {begins}",
                              "Move it to the starting point, or correct the date")  # fmt: skip
            if ends and day > ends:
                yield Finding("after-end", f"{place}.date", f"{day}, the plan ended {ends}",
                              "Stop, or extend the plan and say why")  # fmt: skip
            if today and day > today:
                yield Finding("future", f"{place}.date", f"{day} has not come yet",
                              "Enter what happened, after it happened")  # fmt: skip
            if last and day < last:
                yield Finding("order", f"{place}.date", f"{day} stands after {last}",
                              "Sort the ledger, oldest first")  # fmt: skip
            last = day if last is None else max(last, day)
            days.append(day)
        if not what:
            yield Finding("form", f"{place}.what", "empty", "Say what happened")
        elif texts[what.lower()] > 1:
            yield Finding("repeated-entry", f"{place}.what", f"also in {texts[what.lower()] - 1} "
                          "other entries", "Say what was different this time")  # fmt: skip
        minutes = row.get("minutes")
        if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not minutes > 0:
            yield Finding("form", f"{place}.minutes", f"{minutes!r}", "Give minutes above 0")
        yield from _evidence(row, place, "no-evidence")
    modes = {_text(row, "mode") for _, row in rows}
    if len(rows) >= 3 and len(modes) == 1:
        yield Finding("one-mode", "ledger", f"all {len(rows)} entries are {modes.pop()!r}",
                      "Change the mode as the mentee grows, or say why in not_done")  # fmt: skip
    yield from _pauses(plan, days, begins, ends)


def _pauses(plan, days, begins, ends):
    every = plan["cadence"].get("every_days")
    if isinstance(every, bool) or not isinstance(every, int | float) or not every > 0 or not days:
        return
    ordered = sorted({*days, *filter(None, (begins, ends))})
    for a, b in pairwise(ordered):
        if (b - a).days > 2 * every:
            yield Finding("cadence-broken", "ledger", f"{(b - a).days} days from {a} to {b}, "
                          f"planned every {every:g}", "Say in not_done what happened")  # fmt: skip


def _privacy(plan, real_names):
    mentee = plan.get("mentee")
    if isinstance(mentee, dict) and FULL_NAME.match(_text(mentee, "pseudonym")):
        yield Finding("real-name", "mentee.pseudonym", "this looks like a full name",
                      "Use one invented word")  # fmt: skip
    parts = {p for name in real_names for p in (name, *re.split(r"[\s-]+", name)) if len(p) > 2}
    # Letters only on both sides: "anna" must be found in "github.com/anna_k", not in "annotate".
    named = [(p, re.compile(rf"(?<![^\W\d_]){re.escape(p)}(?![^\W\d_])", re.I)) for p in parts]
    for place, text in strings(plan):
        if address := EMAIL.search(text):
            yield Finding("e-mail", place, f"{address.group()!r}", "Use the pseudonym")
        if any(pattern.search(text) for _, pattern in named):
            yield Finding("real-name", place, "the mentee's real name", "Use the pseudonym")
