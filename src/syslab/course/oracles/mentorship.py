"""Oracles and rules of the mentorship assessment.

Rules (``PLAN``, ``feedback_problem``) answer with a sentence, empty when they are met. They are no
secret: the notebook lists them, and a learner may run them. They read form and thrift with words,
never truth; that is the human part.

Oracles go another way than what learners are asked to write: a table over minutes instead of
subsets, a sum over Poisson weights instead of a closed form, every deal instead of a sample of
them, a walk from day to day instead of a sorted list.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import combinations, product
from typing import Any

MIN_DAYS, MIN_ENTRIES, MAX_RHYTHM_DAYS = 42, 6, 31
LINKED_SHARE = 2 / 3  # of the entries must have evidence that can be opened
COPIED_SHARE, ALIKE = 0.2, 0.8

# ------------------------------------------------------------------------------------ wording


@functools.lru_cache(maxsize=4096)
def words(text: str) -> tuple[str, ...]:
    """Words in lower case; figures left out, so that "entry 1" and "entry 2" are alike."""
    return tuple(re.findall(r"[^\W\d_]+", text.lower()))


def alike(a: str, b: str) -> float:
    """Share of different words that two texts have in common, 0 to 1."""
    return _overlap(frozenset(words(a)), frozenset(words(b)))


def _overlap(one: frozenset[str], two: frozenset[str]) -> float:
    return len(one & two) / max(len(one | two), 1)


@functools.cache
def _example_bags() -> tuple[frozenset[str], ...]:
    from syslab import mentoring

    said = sentences(mentoring.example())
    return tuple(frozenset(words(text)) for text in said if len(words(text)) >= 3)


_PROSE = {
    "outcomes": ("outcome", "start", "exit"),
    "topics": ("topic",),
    "sponsorship": ("act", "result"),
    "risks": ("risk", "sign", "response"),
    "ledger": ("what",),
}


def sentences(plan: dict) -> list[str]:
    """What the plan says in words, form fields and links left out; short ones included."""
    found = [row for row in _list(plan, "not_done") if isinstance(row, str)]
    found += [_text(plan.get("mentee"), "start")]
    for table, keys in _PROSE.items():
        found += [_text(row, key) for row in _list(plan, table) for key in keys]
    return [text for text in found if text]


def _list(plan: dict, key: str) -> list:
    value = plan.get(key)
    return value if isinstance(value, list) else []


def _text(row: Any, key: str) -> str:
    value = row.get(key) if isinstance(row, dict) else None
    return value.strip() if isinstance(value, str) else ""


# What is left of "we had a productive meeting and discussed various topics" is nothing.
EMPTY_WORDS = frozenset(
    words(
        """
    a about across advice agreed align aligned alignment all also an and any are as at back be by
    call career catch chat check conversation current currently daily did discussed discussing
    discussion everything feedback focus for from future general goal goals good great had has have
    he hello helped helpful her hers him his how i ideas impact in interest interesting is issues it
    items its learned learning learnings look looked made matter matters me meeting meetings mentee
    mentor met month monthly more my new next nice of on one open opinions our over overall plan
    planning plans positive priorities priority productive progress questions regular review
    reviewed second session sessions several shared she some status steps stuff sync talk talked
    talking that the their them things this thoughts through time to together topic topics up
    update updates us useful value various very was we week weekly went were what when where which
    with work worked working you your
    """
    )
)


def hollow(text: str) -> bool:
    """Whether a sentence could stand in any ledger: fewer than two words that say what it was."""
    return len(set(words(text)) - EMPTY_WORDS) < 2


def hollow_entries(plan: dict) -> list[str]:
    """What the ledger's entries say, of those that could stand in any ledger."""
    said = [_text(row, "what") for row in _list(plan, "ledger")]
    return [text for text in said if text and hollow(text)]


SMALL = words("one two three four five six seven eight nine ten eleven twelve")

# ----------------------------------------------------------------------------- rules of a plan


def no_plan(plan: Any) -> str:
    """Why there is nothing to judge yet; every rule of ``PLAN`` asks this first."""
    if not isinstance(plan, dict):
        return (
            f"a plan is a table, this is {type(plan).__name__}: fill plan.toml and write "
            'my_plan = mentoring.read("plan.toml")'
        )
    said = [text for text in sentences(plan) if len(words(text)) >= 3]
    if not any(len(words(_text(row, "outcome"))) >= 3 for row in _list(plan, "outcomes")):
        return "no outcome is named in words: is plan.toml still the template?"
    if not any(len(words(_text(row, "what"))) >= 3 for row in _list(plan, "ledger")):
        return "the ledger is empty: enter what happened, one entry per meeting or act"
    empty = hollow_entries(plan)
    if 3 * len(empty) > 2 * len(_list(plan, "ledger")):
        return (
            f"{len(empty)} of {len(_list(plan, 'ledger'))} entries could stand in any ledger, such "
            f"as {empty[0][:50]!r}: enter what happened"
        )
    bags = [frozenset(words(text)) for text in said]
    copied = [
        text
        for text, bag in zip(said, bags, strict=True)
        if any(_overlap(bag, other) >= ALIKE for other in _example_bags())
    ]
    if len(copied) > COPIED_SHARE * len(said):
        return (
            f"{len(copied)} of {len(said)} sentences are those of the package's example, such as "
            f"{copied[0][:50]!r}: write about your own mentee"
        )
    often = max(sum(_overlap(a, b) >= ALIKE for b in bags) for a in bags)
    if often > max(3, 0.3 * len(said)):
        return f"the same words stand in {often} of {len(said)} fields: say what belongs there"
    return ""


@dataclass(frozen=True)
class Rule:
    """One line of the plan's marks.

    Attributes
    ----------
    label : str
    weight : float
    codes : tuple of (code, place prefix)
        The linter's must-findings that break it; an empty prefix means any place.
    needs : function
        From the plan to a sentence about what is absent, empty when it is there. A rule can
        never be met by leaving its part of the plan out.
    """

    label: str
    weight: float
    codes: tuple[tuple[str, str], ...]
    needs: Callable[[dict], str]

    def problem(self, plan: Any, today: date | None = None) -> str:
        """The first thing that breaks this rule, with what to do; empty when it is met."""
        from syslab.mentoring import lint

        if missing := no_plan(plan):
            return missing
        for finding in lint(plan, today=today or date.today()):
            if any(finding.code == c and finding.place.startswith(p) for c, p in self.codes):
                return f"{finding.code} at {finding.place}: {finding.problem}. {finding.do}"
        return self.needs(plan)


def _needs_tables(plan: dict) -> str:
    gone = [key for key in ("mentee", "cadence", "outcomes", "topics", "sponsorship", "risks",
                            "not_done", "ledger") if not plan.get(key)]  # fmt: skip
    return f"{', '.join(gone)}: missing or empty" if gone else ""


def _needs_start(plan: dict) -> str:
    if len(words(_text(plan.get("mentee"), "start"))) < 6:
        return "mentee.start: say in a sentence what the mentee does today"
    return ""


def _needs_weeks(plan: dict) -> str:
    days = planned_days(plan)
    return "" if days >= MIN_DAYS else f"{days} days: six weeks at least, or nothing can change"


def _needs_rhythm(plan: dict) -> str:
    every = plan["cadence"]["every_days"]
    if every > MAX_RHYTHM_DAYS:
        return f"every {every:g} days is no rhythm: meet at least once a month"
    return ""


def _needs_outcomes(plan: dict) -> str:
    rows = _list(plan, "outcomes")
    if len(rows) > 4:
        return f"{len(rows)} outcomes: keep four at most, move the others to not_done"
    for i, row in enumerate(rows):
        for key in ("outcome", "start"):
            if len(words(_text(row, key))) < 3:
                return f"outcomes[{i}].{key}: a few words are needed"
    return ""


def _needs_exits(plan: dict) -> str:
    rows = [_text(row, "exit") for row in _list(plan, "outcomes")]
    for i, text in enumerate(rows):
        if len(words(text)) < 5:
            return f"outcomes[{i}].exit: name the event, its number and who sees it"
        if alike(text, _text(plan["outcomes"][i], "outcome")) >= ALIKE:
            return f"outcomes[{i}].exit repeats the outcome: how would a stranger know?"
    for a, b in combinations(rows, 2):
        if alike(a, b) >= ALIKE:
            return "two outcomes have the same exit criterion: then they are one outcome"
    return ""


def _needs_topics(plan: dict) -> str:
    named = any(len(words(_text(row, "topic"))) >= 2 for row in _list(plan, "topics"))
    return "" if named else "no topic is named: what will the meetings be about?"


def _needs_sponsorship(plan: dict) -> str:
    from syslab.mentoring.text import as_date

    begins, ends = as_date(plan.get("begins")), as_date(plan.get("ends"))
    for i, row in enumerate(_list(plan, "sponsorship")):
        day = as_date(row.get("date")) if isinstance(row, dict) else None
        if day and begins and ends and not begins <= day <= ends:
            return f"sponsorship[{i}].date: {day} is not within the plan"
        heard, name = _text(row, "audience"), _text(plan.get("mentee"), "pseudonym")
        if re.fullmatch(r"(?:the |my )?mentee", heard, re.IGNORECASE) or (
            name and heard.casefold() == name.casefold()
        ):
            return f"sponsorship[{i}].audience: what is said to the mentee is feedback"
        for key, least in (("act", 4), ("result", 2)):
            if len(words(_text(row, key))) < least:
                return f"sponsorship[{i}].{key}: say what was said or done, and what came of it"
    return ""


def _needs_risk(plan: dict) -> str:
    for row in _list(plan, "risks"):
        if all(len(words(_text(row, key))) >= 3 for key in ("risk", "sign", "response")):
            return ""
    return "no risk has all three: the risk, its first sign and your response"


def _needs_undone(plan: dict) -> str:
    if any(len(words(row)) >= 8 for row in _list(plan, "not_done") if isinstance(row, str)):
        return ""
    return "not_done: name something you left undone, and why"


def _needs_ledger(plan: dict) -> str:
    from syslab.mentoring.text import as_date

    rows = _list(plan, "ledger")
    if len(rows) < MIN_ENTRIES:
        return f"{len(rows)} entries: {MIN_ENTRIES} at least"
    dates = [as_date(row.get("date")) for row in rows if isinstance(row, dict)]
    days = sorted(day for day in dates if day)
    span = (days[-1] - days[0]).days if days else 0
    if span < MIN_DAYS - 14:
        return f"the entries span {span} days; a mentorship of six weeks leaves more"
    return ""


def _needs_links(plan: dict) -> str:
    from syslab.mentoring.text import is_link

    rows = _list(plan, "ledger")
    linked = [evidence for row in rows for evidence in evidence_texts(row) if is_link(evidence)]
    with_link = sum(any(map(is_link, evidence_texts(row))) for row in rows)
    if with_link < LINKED_SHARE * len(rows):
        return f"{with_link} of {len(rows)} entries have evidence that can be opened: two thirds"
    if 2 * len(set(linked)) < with_link:
        return f"{len(set(linked))} different links for {with_link} entries: link what each left"
    return ""


def _needs_modes(plan: dict) -> str:
    modes = {_text(row, "mode") for row in _list(plan, "ledger")}
    return "" if len(modes) > 1 else "one coaching mode throughout: did the mentee not grow?"


def _needs_pseudonym(plan: dict) -> str:
    name = _text(plan.get("mentee"), "pseudonym")
    return "" if len(name) >= 2 and len(name.split()) == 1 else "mentee.pseudonym: one word"


def _needs_own_words(plan: dict) -> str:
    said = [text for text in sentences(plan) if len(words(text)) >= 3]
    if len(said) < 15:
        return f"{len(said)} sentences in the whole plan: too few to tell anything"
    twice = [a for a, b in combinations(said, 2) if alike(a, b) >= ALIKE]
    if len(twice) > 2:
        return f"{len(twice)} pairs of sentences say the same, such as {twice[0][:50]!r}"
    empty = hollow_entries(plan)
    if 3 * len(empty) > len(_list(plan, "ledger")):
        return f"{len(empty)} entries could stand in any ledger, such as {empty[0][:50]!r}"
    return ""


PLAN: tuple[Rule, ...] = (
    Rule("every table of the form, and none beside", 1, (("form", ""),), _needs_tables),
    Rule("the mentee's starting point, with evidence", 1,
         (("start-no-evidence", "mentee"),), _needs_start),
    Rule("a begin and an end, six weeks apart or more", 1, (("dates", ""),), _needs_weeks),
    Rule("a rhythm", 1, (("no-cadence", ""),), _needs_rhythm),
    Rule("one to four outcomes, each with where it stands today", 1,
         (("no-outcome", ""), ("duplicate-outcome", ""), ("start-no-evidence", "outcomes")),
         _needs_outcomes),
    Rule("exit criteria that a stranger could check", 6,
         (("exit-missing", ""), ("exit-vague", "")), _needs_exits),
    Rule("topics, each with an outcome and a mode", 1,
         (("unknown-outcome", "topics"), ("unknown-mode", "topics")), _needs_topics),
    Rule("sponsorship that somebody heard", 3,
         (("no-sponsorship", ""), ("no-audience", "")), _needs_sponsorship),
    Rule("a risk, its sign and a response", 1, (), _needs_risk),
    Rule("what was not done", 2, (("not-done-empty", ""),), _needs_undone),
    Rule("a ledger in order, within the plan, of the past", 4,
         (("before-begin", ""), ("after-end", ""), ("future", ""), ("order", "")), _needs_ledger),
    Rule("evidence for the entries, most of it a link", 6, (("no-evidence", ""),), _needs_links),
    Rule("every outcome worked on, in more than one mode", 1,
         (("outcome-no-entry", ""), ("unknown-outcome", "ledger"), ("unknown-mode", "ledger")),
         _needs_modes),
    Rule("no names and no addresses", 2, (("real-name", ""), ("e-mail", "")), _needs_pseudonym),
)  # fmt: skip
OWN_WORDS = Rule("every sentence says something of its own", 5, (), _needs_own_words)


def is_named(skill: str, text: str) -> bool:
    """Whether a text speaks of a skill: "review" in "reviews", but "art" not in "part" or "artist".

    Short names must stand alone.
    """
    ending = r"(?!\w)" if len(skill) < 4 else ""
    return bool(re.search(rf"(?<!\w){re.escape(skill.strip())}{ending}", text, re.IGNORECASE))


def planned_days(plan: dict) -> int:
    """Days from begin to end."""
    from syslab.mentoring.text import as_date

    return (as_date(plan["ends"]) - as_date(plan["begins"])).days


def planned_hours(plan: dict) -> float:
    """The mentor's hours that the rhythm foresees: one meeting per `every_days` days."""
    cadence = plan["cadence"]
    return planned_days(plan) / cadence["every_days"] * cadence["minutes"] / 60


def evidence_texts(row: Any) -> list[str]:
    """Evidence is a text or a list of texts."""
    value = row.get("evidence") if isinstance(row, dict) else None
    return [text for text in (value if isinstance(value, list) else [value])
            if isinstance(text, str) and text.strip()]  # fmt: skip


def readable(plan: Any) -> str:
    """The plan as a marker reads it; one line where there is none."""
    if missing := no_plan(plan):
        return f"no plan to read: {missing}"
    lines = []
    for key, value in plan.items():
        rows = value if isinstance(value, list) else [value]
        lines.append(f"{key}")
        for row in rows:
            told = (
                " | ".join(f"{k}: {v}" for k, v in row.items())
                if isinstance(row, dict)
                else str(row)
            )
            lines.append(f"    {told}")
    return "\n".join(lines)


# -------------------------------------------------------------------------- rules of feedback


def feedback_problem(parts: Any, said: str, notes: str) -> str:
    """What is wrong with a rewriting of the bad feedback ``said``, given what is known.

    Parameters
    ----------
    parts : dict of str
        situation, behaviour, effect and request.
    said, notes : str
        The draft, and the facts that the rewriting may draw on.
    """
    from syslab.mentoring import lint_feedback
    from syslab.mentoring.text import LINK

    if findings := lint_feedback(parts):
        f = findings[0]
        return f"{f.code} in {f.place}: {f.problem}. {f.do}"
    for (a, one), (b, two) in combinations(parts.items(), 2):
        if alike(one, two) >= 0.6:
            return f"{a} and {b} say the same"
    told = {key: parts[key] for key in ("situation", "behaviour", "effect")}
    known = set(re.findall(r"\d+", notes)) | {
        str(number) for number, word in enumerate(SMALL, 1) if word in words(notes)
    }
    for key, text in told.items():
        for number in re.findall(r"\d+", text):
            if number not in known and not re.fullmatch(r"20\d\d", number):
                return f"{number} in {key} is not in the notes: report what is known"
    whole = " ".join(told.values())
    links = [link.rstrip(".,;") for link in LINK.findall(notes)]
    if not any(link in whole for link in links):
        return "no link from the notes: let them open what you saw"
    shared = {w for w in words(notes) if len(w) >= 5} & set(words(whole))
    if len(shared) < 4:
        return "hardly a word of the notes is in it: say what happened in this case"
    draft = words(said)
    for text in parts.values():
        here = " ".join(words(text))
        if any(" ".join(draft[i : i + 4]) in here for i in range(len(draft) - 3)):
            return "it repeats the draft word for word"
    for key, text in parts.items():
        if len(re.findall(r"[.!?]\s+(?=[A-Z0-9])", text.strip())) > 1 or len(text.split()) > 45:
            return f"{key} is longer than a sentence or two: what belongs there, and no more"
    if len(words(parts["request"])) < 5:
        return "the request is too short to act on: what, and by when"
    return ""


# ---------------------------------------------------------------------------------- knapsack


def best_value(gaps: Iterable[tuple[float, float]], hours: float, most: int) -> tuple[float, float]:
    """Highest value of at most ``most`` gaps within ``hours``, and the fewest hours that give it.

    ``gaps`` holds (value, hours). A table over quarter-hours and numbers of gaps, filled gap by
    gap; hours must be whole quarters.
    """
    room = int(hours * 4 + 1e-9)
    table = [[0.0 if used == 0 else float("-inf") for used in range(room + 1)]] + [
        [float("-inf")] * (room + 1) for _ in range(most)
    ]
    for value, cost_h in gaps:
        quarters = round(cost_h * 4)
        if abs(quarters - cost_h * 4) > 1e-9:
            raise ValueError(f"hours={cost_h!r}: must be whole quarter-hours")
        for taken in range(most, 0, -1):
            for used in range(room, quarters - 1, -1):
                table[taken][used] = max(
                    table[taken][used], table[taken - 1][used - quarters] + value
                )
    best = max(max(row) for row in table)
    used = min(u for row in table for u, v in enumerate(row) if abs(v - best) < 1e-9)
    return best, used / 4


# ---------------------------------------------------------------------------------- coaching


def policy_hours(situation: Any, policy: Callable[[float], str]) -> float:
    """Expected hours of a policy that sees the skill alone, to rounding.

    The skill after k problems is then fixed, so the expectation is a sum over k, weighted with
    the Poisson chance that there are more than k problems.
    """
    from math import exp

    from syslab.mentoring import MODES
    from syslab.mentoring.coaching import ALONE_H

    mean = situation.per_week * situation.weeks
    alone = situation.per_week * situation.after_weeks
    exactly, above = exp(-mean), 1 - exp(-mean)
    skill, total = situation.skill, alone * ALONE_H
    for k in range(int(mean + 12 * mean**0.5 + 30)):
        total += exactly * alone * (1 - skill) * situation.incident_h
        mode = MODES[policy(skill)]
        fails = 1 if mode.elapsed_h > situation.slack_h else mode.lets_through * (1 - skill)
        total += above * (mode.mentor_h + mode.mentee_h + fails * situation.incident_h)
        skill += mode.learns * (1 - skill)
        exactly *= mean / (k + 1)
        above -= exactly
    return total


def handover(first: str, until: float, then: str) -> Callable[[float], str]:
    """The policy that uses ``first`` below the skill ``until``, and ``then`` from there on."""
    return lambda skill: first if skill < until else then


def best_handover(situation: Any, steps: int = 50) -> tuple[float, tuple[str, float, str]]:
    """Fewest expected hours of any hand-over, and it; every pair of modes, ``steps`` thresholds."""
    from syslab.mentoring import MODES

    tried = ((a, i / steps, b) for a, b, i in product(MODES, MODES, range(1, steps + 1)))
    return min((policy_hours(situation, handover(*each)), each) for each in tried)


# -------------------------------------------------------------------------------------- bias


def gap_in_bands(rating: Any, work_sample: Any, group: Any, bands: int) -> float:
    """Plain mean over the bands that hold both groups, of group 1 less group 0; from lists.

    The first ``n % bands`` bands hold one candidate more.
    """
    rows = sorted(zip(work_sample, rating, group, strict=True), key=lambda row: row[0])
    size, longer = divmod(len(rows), bands)
    gaps = []
    for band in range(bands):
        taken, rows = rows[: size + (band < longer)], rows[size + (band < longer) :]
        sides = [[r for _, r, g in taken if g == side] for side in (0, 1)]
        if all(sides):
            gaps.append(sum(sides[1]) / len(sides[1]) - sum(sides[0]) / len(sides[0]))
    return sum(gaps) / len(gaps)


def exact_p(rating: Any, work_sample: Any, group: Any, bands: int) -> float:
    """Two-sided p of the mean gap within bands, over every way to deal the labels."""
    import numpy as np

    rating, group = np.asarray(rating, float), np.asarray(group)
    cut = np.array_split(np.argsort(work_sample, kind="stable"), bands)
    per_band = []
    for band in cut:
        ones = int(group[band].sum())
        if not 0 < ones < len(band):
            continue
        per_band.append([
            rating[list(chosen)].mean() - rating[[i for i in band if i not in chosen]].mean()
            for chosen in combinations(band, ones)
        ])  # fmt: skip
    real = np.mean([rating[b[group[b] == 1]].mean() - rating[b[group[b] == 0]].mean()
                    for b in cut if 0 < group[b].sum() < len(b)])  # fmt: skip
    deals = np.array([np.mean(each) for each in product(*per_band)])
    return float((np.abs(deals) >= abs(real) - 1e-12).mean())


# ------------------------------------------------------------------------------------ ledger


def recount(plan: Mapping) -> dict:
    """Figures of a ledger, from a walk over its days."""
    from syslab.mentoring.text import as_date, is_link

    begins, ends = as_date(plan["begins"]), as_date(plan["ends"])
    marked = {as_date(row["date"]) for row in plan["ledger"]} | {ends}
    longest = current = 0
    day = begins
    while day < ends:
        day += timedelta(days=1)
        current += 1
        if day in marked:
            longest, current = max(longest, current), 0
    total = sum(row["minutes"] for row in plan["ledger"])
    shares = dict.fromkeys([row["mode"] for row in plan["ledger"]], 0.0)
    for row in plan["ledger"]:
        shares[row["mode"]] += row["minutes"] / total
    unlinked = [row for row in plan["ledger"] if not any(map(is_link, evidence_texts(row)))]
    return {"minutes": total, "by_mode": shares, "longest_pause_days": longest,
            "unlinked": len(unlinked)}  # fmt: skip
