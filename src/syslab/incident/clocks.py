"""Clocks: every component stamps its lines in its own manner, and some clocks are wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from syslab.incident.services import NODES

DAY = datetime(2026, 3, 10, tzinfo=UTC)

STYLES = {
    "gateway": ("iso-z", 0),
    "router": ("iso-offset", 120),
    "model-a": ("python", -420),
    "model-b": ("python", -420),
    "feature-store": ("access", 60),
    "kv-store": ("epoch-ms", 0),
    "queue": ("syslog", 0),
    "checkpoint-store": ("iso-z", 0),
    "trainer": ("iso-offset", 330),
    **dict.fromkeys(NODES, ("boot", 0)),
}
SKEWED = ("router", "model-a", "model-b", "feature-store", "kv-store")


@dataclass(frozen=True)
class Host:
    """What is known of a component's clock.

    Attributes
    ----------
    component, style : str
        ``iso-z``, ``iso-offset``, ``python`` (local time, zone not written), ``access``,
        ``epoch-ms``, ``syslog`` (UTC, no year) or ``boot`` (seconds since it was started).
    zone_min : int
        Offset of its local time from UTC, minutes.
    began : datetime
        Minute 0 of the incident, UTC.
    booted : datetime
        When it was started, UTC; needed for ``boot``.
    """

    component: str
    style: str
    zone_min: int
    began: datetime
    booted: datetime

    def stamp(self, seconds: float) -> str:
        """Return how it writes the time ``seconds`` after minute 0 of its own clock."""
        utc = self.began + timedelta(seconds=seconds)
        local = utc + timedelta(minutes=self.zone_min)
        millis = f"{local.microsecond // 1000:03d}"
        plain = local.strftime("%Y-%m-%dT%H:%M:%S")
        match self.style:
            case "iso-z":
                return f"{plain}.{millis}Z"
            case "iso-offset":
                return f"{plain}.{millis}{_offset(self.zone_min, ':')}"
            case "python":
                return f"{local:%Y-%m-%d %H:%M:%S},{millis}"
            case "access":
                return f"[{local:%d/%b/%Y:%H:%M:%S} {_offset(self.zone_min)}]"
            case "epoch-ms":
                return str(round(utc.timestamp() * 1000))
            case "syslog":
                return f"{local:%b %d %H:%M:%S}"
        return f"[{(utc - self.booted).total_seconds():14.6f}]"

    def read(self, line: str) -> float:
        """Return the seconds after minute 0 at which the component says it wrote ``line``.

        The zone is taken out; an error of the clock itself is not, for nobody knows it yet.
        """
        match self.style:
            case "iso-z" | "iso-offset":
                found = re.search(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)", line)
                utc = datetime.fromisoformat(found.group().replace("Z", "+00:00"))
            case "python":
                local = datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").replace(tzinfo=UTC)
                utc = local - timedelta(minutes=self.zone_min)
            case "access":
                found = re.match(r"\[(.*?)\]", line)
                utc = datetime.strptime(found.group(1), "%d/%b/%Y:%H:%M:%S %z")
            case "epoch-ms":
                utc = datetime.fromtimestamp(int(line.split()[0]) / 1000, UTC)
            case "syslog":
                stamp = f"{self.began.year} {line[:15]}"
                utc = datetime.strptime(stamp, "%Y %b %d %H:%M:%S").replace(tzinfo=UTC)
            case _:
                seconds = float(re.match(r"\[\s*([\d.]+)\]", line).group(1))
                utc = self.booted + timedelta(seconds=seconds)
        return (utc - self.began).total_seconds()


def hosts(rng: np.random.Generator) -> tuple[dict[str, Host], dict[str, float]]:
    """Return all clocks, and by how many seconds each is ahead of true time."""
    began = DAY + timedelta(days=int(rng.integers(0, 300)), minutes=int(rng.integers(360, 600)))
    up = rng.integers(3 * 86_400, 60 * 86_400, len(STYLES))
    table = {
        name: Host(name, style, zone, began, began - timedelta(seconds=int(s)))
        for (name, (style, zone)), s in zip(STYLES.items(), up, strict=True)
    }
    ahead = dict.fromkeys(STYLES, 0.0)
    wrong = rng.permutation(len(SKEWED))[:3]
    for i in wrong:
        size = float(rng.uniform(60, 280)) * (1 if rng.random() < 0.5 else -1)
        ahead[SKEWED[i]] = round(size, 3)
    return table, ahead


def _offset(minutes: int, colon: str = "") -> str:
    sign, minutes = "-" if minutes < 0 else "+", abs(minutes)
    return f"{sign}{minutes // 60:02d}{colon}{minutes % 60:02d}"
