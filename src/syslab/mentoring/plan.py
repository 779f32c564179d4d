"""A mentorship plan and its ledger as a plain dict, kept as TOML."""

import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from syslab.mentoring.text import as_date

_HERE = Path(__file__).parent


def read(path: str | Path) -> dict:
    """Return the plan in a TOML file.

    Raises
    ------
    ValueError
        When the file is not TOML; the message names line and column.
    """
    return parse(Path(path).read_text(encoding="utf-8"))


def parse(text: str) -> dict:
    """Return the plan in a TOML text; ValueError names the line that is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"the plan is not valid TOML: {error}; repair that line first") from None


def template() -> str:
    """An empty plan as TOML, each key explained in a comment. The linter finds it empty."""
    return (_HERE / "template.toml").read_text(encoding="utf-8")


def example() -> dict:
    """A finished plan of 24 weeks that passes the linter. Invented; nobody's."""
    return read(_HERE / "example.toml")


@dataclass(frozen=True)
class Summary:
    """Figures of a plan. Minutes are those of the ledger."""

    days: int
    entries: int
    minutes: float
    minutes_by_outcome: dict
    minutes_by_mode: dict
    longest_pause_days: int
    sponsorship_acts: int


def summary(plan: dict) -> Summary:
    """Count what a plan holds. Entries without a date or minutes count as none.

    ``longest_pause_days`` includes the pause before the first entry and after the last.
    """
    begins, ends = as_date(plan.get("begins")), as_date(plan.get("ends"))
    if begins is None or ends is None:
        raise ValueError("begins and ends: both must be dates; run lint(plan) and mend it first")
    ledger = [entry for entry in plan.get("ledger", []) if isinstance(entry, dict)]
    by_outcome, by_mode = {}, {}
    for entry in ledger:
        minutes = entry.get("minutes")
        minutes = minutes if isinstance(minutes, int | float) else 0
        for table, key in ((by_outcome, "outcome"), (by_mode, "mode")):
            name = str(entry.get(key, "none"))
            table[name] = table.get(name, 0) + minutes
    days = sorted({begins, ends, *filter(None, (as_date(e.get("date")) for e in ledger))})
    pauses = [(b - a).days for a, b in pairwise(days)]
    return Summary(
        (ends - begins).days, len(ledger), sum(by_mode.values()), by_outcome, by_mode,
        max(pauses, default=0), len(plan.get("sponsorship", [])),
    )  # fmt: skip
