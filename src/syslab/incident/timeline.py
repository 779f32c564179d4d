"""A timeline that somebody reconstructed, against the true one.

An entry is a dict with ``minute`` (after the start, may be fractional), ``component``, ``kind``
and ``role``. It stands for an event if component and kind agree and the minutes differ by no more
than the tolerance (twice that for symptoms, whose beginning is a matter of judgement).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from syslab.incident.faults import KINDS, ROLES, Event
from syslab.incident.services import COMPONENTS
from syslab.incident.truth import Truth

WEIGHT = {"trigger": 3.0, "factor": 2.0, "symptom": 1.0}
FREE = ("page", "decision", "recovery")  # neither asked for nor held against anyone
FIELDS = ("minute", "component", "kind", "role")


@dataclass(frozen=True)
class TimelineScore:
    """Verdict on a reconstructed timeline; every share is from 0 to 1.

    Attributes
    ----------
    recall : float
        Weight of the true events found; a trigger counts 3, a factor 2, a symptom 1.
    precision : float
        Share of the entries that stand for something.
    order : float
        Share of the pairs of found events in the right order.
    roles : float
        Share of the found events with the right role: trigger, factor, symptom or unrelated.
    total : float
        Harmonic mean of recall and precision, times ``(2 + order + roles) / 4``.
    missed : tuple of Event
    remarks : tuple of str
        What was wrong with which entry.
    """

    recall: float
    precision: float
    order: float
    roles: float
    total: float
    missed: tuple[Event, ...]
    remarks: tuple[str, ...]


def score_timeline(
    entries: Sequence[Mapping], story: Truth, tolerance_min: float = 3
) -> TimelineScore:
    """Score ``entries`` against the truth.

    Raises
    ------
    ValueError
        An entry lacks a field, or a field holds what it cannot; names entry and field.
    """
    checked = [_checked(i, entry) for i, entry in enumerate(entries)]
    causal = [e for e in story.timeline if e.kind not in FREE]
    wanted = [*causal, *story.unrelated]
    pairs = sorted(
        (abs(entry["minute"] - event.minute), i, j)
        for i, entry in enumerate(checked)
        for j, event in enumerate(wanted)
        if (entry["component"], entry["kind"]) == (event.component, event.kind)
        and abs(entry["minute"] - event.minute)
        <= tolerance_min * (2 if event.role == "symptom" else 1)
    )
    match: dict[int, int] = {}
    for _, i, j in pairs:
        if i not in match and j not in match.values():
            match[i] = j

    remarks, right = [], 0
    for i, entry in enumerate(checked):
        if i not in match:
            if entry["kind"] not in FREE:
                remarks.append(_why_not(i, entry, wanted))
            continue
        event = wanted[match[i]]
        right += entry["role"] == event.role
        if entry["role"] != event.role:
            remarks.append(
                f"entry {i + 1} ({entry['component']}, {entry['kind']}): you call it "
                f"{entry['role']}; it is {event.role}: it {ROLES[event.role]}"
            )
    found = [wanted[j] for j in match.values() if wanted[j].role != "unrelated"]
    weight = sum(WEIGHT[e.role] for e in causal)
    recall = sum(WEIGHT[e.role] for e in found) / weight
    asked = sum(e["kind"] not in FREE for e in checked)
    precision = len(match) / asked if asked else 0.0
    order = _order([(checked[i]["minute"], wanted[j].minute) for i, j in match.items()])
    roles = right / len(match) if match else 0.0
    both = recall + precision
    mean = 2 * recall * precision / both if both else 0.0
    total = mean * (2 + order + roles) / 4
    missed = tuple(e for j, e in enumerate(causal) if j not in match.values())
    return TimelineScore(recall, precision, order, roles, total, missed, tuple(remarks))


def _order(pairs: list[tuple[float, float]]) -> float:
    apart = [(a, b) for a, b in combinations(pairs, 2) if a[1] != b[1]]
    if not apart:
        return 1.0 if pairs else 0.0
    return sum((a[0] - b[0]) * (a[1] - b[1]) > 0 for a, b in apart) / len(apart)


def _why_not(i: int, entry: Mapping, wanted: list[Event]) -> str:
    same = [e for e in wanted if (e.component, e.kind) == (entry["component"], entry["kind"])]
    what = f"entry {i + 1} ({entry['component']}, {entry['kind']}, minute {entry['minute']:g})"
    if not same:
        return f"{what}: nothing of this kind happened there"
    near = min(same, key=lambda e: abs(e.minute - entry["minute"]))
    off = entry["minute"] - near.minute
    if abs(off) <= 1:
        return f"{what}: already told by another entry"
    side = "late" if off > 0 else "early"
    return f"{what}: {abs(off):.0f} minutes too {side}; check the zone and the clock"


def _checked(i: int, entry: Mapping) -> dict:
    if not isinstance(entry, Mapping):
        raise ValueError(f"entry {i + 1} is {entry!r}; give a dict with {', '.join(FIELDS)}")
    lacking = [f for f in FIELDS if f not in entry]
    if lacking:
        raise ValueError(f"entry {i + 1} lacks {', '.join(lacking)}; it has {sorted(entry)}")
    try:
        minute = float(entry["minute"])
    except (TypeError, ValueError):
        minute = math.nan
    if not math.isfinite(minute):
        raise ValueError(
            f"entry {i + 1}: minute={entry['minute']!r} must be a number of minutes after the start"
        )
    for name, legal in (("component", COMPONENTS), ("kind", KINDS), ("role", ROLES)):
        if entry[name] not in legal:
            raise ValueError(
                f"entry {i + 1}: {name}={entry[name]!r} must be one of {', '.join(legal)}"
            )
    return {**entry, "minute": minute}
