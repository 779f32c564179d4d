"""Reading short English sentences for form: numbers, verbs, links, names.

Word lists, no language model: a list can be read, argued with and beaten. What it misses is what
the human rubric is for.
"""

import re
from datetime import date, datetime

NUMBER = re.compile(
    r"(?<![\w.])(?:\d[\d,.]*\s*(?:%|x\b)?|one|two|three|four|five|six|seven|eight|nine|ten|"
    r"twelve|once|twice|half|zero|no more than|none)(?![\w])",
    re.IGNORECASE,
)
# A deadline or a level is a number that measures nothing.
_NOT_A_MEASURE = re.compile(
    r"\b(?:19|20)\d\d(?:-\d\d){0,2}\b|\b[QH][1-4]\b|\b[LEP]\d\b|"
    r"\b(?:jan|feb|mar|apr|may|june?|july?|aug|sep|oct|nov|dec)[a-z]*\.?\s+\d{1,2}\b|"
    r"\b(?:week|month|quarter|sprint|level|by day)\s+(?:\d+|one|two|three|four)\b|"
    r"\b(?:the |this |that |each |every |no )one\b|\bone (?:of|day)\b|"
    r"\b(?:\d+|one|two|three|six|twelve)[\s-](?:weeks?|months?|quarters?|years?)(?:\s+time)?\b",
    re.IGNORECASE,
)
STATE = re.compile(
    r"\b(?:understand\w*|knows?|knowing|knowledge of|aware\w*|appreciat\w+|familiar\w*|confiden\w+|"
    r"comfortable|learn\w*|think\w*|feels?|grasp\w*|internali[sz]\w+|mindset|believes?)\b",
    re.IGNORECASE,
)
CHANGE = re.compile(
    r"\b(?:improv\w+|increas\w+|reduc\w+|better|faster|more|grows?|growing|develop\w*|strengthen\w*|"
    r"enhanc\w+|deepen\w*|progress\w*|stronger|fewer|less|becomes?|rises?|falls?|drops?)\b",
    re.IGNORECASE,
)
EVENT = re.compile(
    r"\b(?:merg\w+|approv\w+|accept\w+|sign(?:s|ed)|ship\w*|releas\w+|deploy\w*|present\w*|publish\w*|"
    r"leads?|led|commands?|commanded|chairs?|chaired|writes?|wrote|written|runs?|ran|handl\w+|resolv\w+|clos(?:es|ed)|"
    r"reviewed|finds?|found|detect\w*|hands? over|handed over|teach\w*|taught|answer\w*|"
    r"diagnos\w+|reproduc\w+|rolls? back|rolled back|on[- ]call|pass(?:es|ed)|fil(?:es|ed)|"
    r"cit(?:es|ed)|adopt\w*|measur\w+|repairs?|repaired|proposes?|proposed|decides?|decided|"
    r"deliver\w*|complet\w+|commits?|committed|records?|recorded|scor(?:es|ed)|fix(?:es|ed)|"
    r"gives?|gave|builds?|built|explains?|explained|debugs?|debugged|migrat\w+|implement\w+|"
    r"opens|opened|submit\w*|mentors?|mentored|solves?|solved|demonstrates?|demonstrated|creates?|created|"
    r"removes?|removed|replaces?|replaced|automat\w+|drafts?|drafted|hosts?|hosted|speaks?|spoke|"
    r"is asked|are asked|names?|named|lands?|landed|sends?|sent|reviews|holds?|held)\b",
    re.IGNORECASE,
)
# A limit or a witness stands in for a count: whether it happened is seen by others.
LIMIT = re.compile(
    r"\bwithin\b|\bwithout (?:me|help|a mentor|their mentor)\b|\balone\b|\bin production\b|"
    r"\b(?:approved|accepted|adopted|merged|signed(?: off)?|reviewed|cited|confirmed) by\b|"
    r"\b(?:that|which) (?:the |an? |another |their )?[\w-]+ (?:accepts?|adopts?|approves?|merges?|"
    r"signs?)\b",
    re.IGNORECASE,
)
THRESHOLD = re.compile(r"\b(?:below|under|above|over|within|exceed\w*)\s+\d", re.IGNORECASE)
EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
# Words with a slash that lead nowhere: "and/or", "24/7", "n/a".
_NO_PATH = r"(?!(?:and/or|s?he/\w+|his/her\w*|n/a|w/o|yes/no|\d+/\d+)(?![\w/.]))"
LINK = re.compile(
    rf"https?://\S+|(?<!\S)[\w./-]+[#!]\d+|(?<!\S){_NO_PATH}[\w.-]+(?:/[\w.%-]+)+|"
    r"(?<!\S)[\w-]+\.(?:md|toml|py|ipynb|pdf|txt|csv|html|json|png|svg|log|ya?ml|docx?|xlsx?|pptx?|"
    r"tex|rst|c|h|cc|cpp|cu|rs|go|java|js|ts|sh)\b|(?<!\S)arXiv:\d{4}\.\d{4,5}\b|"
    r"(?<!\S)[A-Z]{2,10}-\d{2,}\b|"
    r"(?<![0-9a-zA-Z])(?=[a-f]*\d)[0-9a-f]{7,40}(?![0-9a-zA-Z])"
)
FULL_NAME = re.compile(r"^[A-Z][a-z]+(?:[ -][A-Z][a-z]+)+$")


def has_measure(text: str) -> bool:
    """Whether a count, share or threshold remains once deadlines and levels are taken out."""
    return bool(NUMBER.search(_NOT_A_MEASURE.sub(" ", text)))


def why_vague(text: str) -> str | None:
    """Why nobody else could check this criterion; None when they could.

    A state of mind is never visible. A change needs its size. An event needs a count, a limit or
    a witness. One clause that can be checked is enough.
    """
    clauses = [clause for clause in re.split(r"[;,.]\s+|\band\b", text) if clause.strip()]
    if len(clauses) > 1 and any(_why_vague(clause) is None for clause in clauses):
        return None
    return _why_vague(text)


def _why_vague(text: str) -> str | None:
    measure, change = has_measure(text), CHANGE.search(text)
    if state := STATE.search(text):
        return f"{state.group()!r} is a state of mind: nobody else can see it"
    if change and not measure:
        return f"{change.group()!r} without a number: it could be called met on any day"
    if not measure and not LIMIT.search(text):
        return "it has no count and no limit: two people could disagree whether it is met"
    if not (EVENT.search(text) or change or THRESHOLD.search(text)):
        return "it names no event that someone else can see"
    return None


def is_link(text: str) -> bool:
    """Whether a text holds a URL, repository#118, a path, a file name or a commit hash."""
    return bool(LINK.search(text))


def as_date(value) -> date | None:
    """``value`` as a date, from a date, a datetime or "2025-03-03"; None when it is none."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value).strip())
    except ValueError:
        return None


def strings(value, place: str = "plan"):
    """Every (place, text) below a value made of dicts and lists, keys in the place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from strings(below, str(key) if place == "plan" else f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for index, below in enumerate(value):
            yield from strings(below, f"{place}[{index}]")
