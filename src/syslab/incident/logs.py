"""Raw logs: what each component wrote, in its own format and by its own clock."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from syslab.incident.clocks import Host
from syslab.incident.engine import AT, Expected
from syslab.incident.faults import Plan, Said

TRACED = ("gateway", "router", "feature-store", "kv-store")
TRACE_EVERY_MIN = 5
REPORTED = 0.005  # error ratio from which a service logs errors

Line = tuple[float, str]  # true minute, text


def raw_logs(
    plan: Plan,
    expected: Expected,
    said: tuple[Said, ...],
    table: Mapping[str, Host],
    ahead_s: Mapping[str, float],
    rng: np.random.Generator,
) -> dict[str, list[Line]]:
    """Return for each component its lines in order, each with the true minute it was written."""
    lines: dict[str, list[tuple[float, str, str]]] = {name: [] for name in table}
    minutes = expected.service.shape[2]
    at_s = rng.uniform(1, 58, (minutes, 8))
    ids = rng.integers(16**5, 16**6, minutes)
    for minute in range(2, minutes, TRACE_EVERY_MIN):
        when = minute + at_s[minute, 0] / 60
        pool = "model-a" if ids[minute] % 2 else "model-b"
        for i, name in enumerate((*TRACED, pool)):
            text = f"req={ids[minute]:06x} trace sampled"
            lines[name].append((when + 0.0002 * i, "INFO", text))
    reporting = ("gateway", "router", "model-a", "model-b", "feature-store", "kv-store")
    for column, name in enumerate(reporting, 2):
        ratio, p50, use = (expected.service[m, AT[name]] for m in (1, 2, 4))
        for minute in np.flatnonzero(ratio > REPORTED).tolist():
            text = _failure(name, ratio[minute], p50[minute], use[minute])
            lines[name].append((minute + at_s[minute, column] / 60, "ERROR", text))
    retries = expected.service[5, AT["router"]]
    for minute in np.flatnonzero(retries > 500).tolist():
        text = f"retries in the last minute: {retries[minute]:.0f}"
        lines["router"].append((minute + 59 / 60, "WARNING", text))
    for minute, name, text in expected.notes:
        lines[name].append((minute + 0.2, "ERROR", text))
    for item in (*plan.logs, *said):
        if 0 <= item.minute < minutes:
            when = item.minute + at_s[item.minute, 1] / 120
            lines[item.who].append((when, item.level, item.text))
    return {name: _written(table[name], ahead_s[name], own) for name, own in lines.items()}


def read_all(view_logs: Mapping[str, tuple[str, ...]], table: Mapping[str, Host]) -> list[tuple]:
    """Return ``(minute, component, text)`` of all lines by the components' own clocks, sorted."""
    found = [
        (table[name].read(line) / 60, name, line) for name, own in view_logs.items() for line in own
    ]
    return sorted(found)


def estimate_ahead_s(
    view_logs: Mapping[str, tuple[str, ...]], table: Mapping[str, Host], component: str
) -> float:
    """Return by how much ``component``'s clock is ahead of the gateway's, seconds.

    Median over the requests that both have logged; they pass within a tenth of a second.

    Raises
    ------
    ValueError
        The two have no request in common yet.
    """

    def seen(name: str) -> dict[str, float]:
        out = {}
        for line in view_logs[name]:
            found = re.search(r"req=([0-9a-f]{6})", line)
            if found:
                out[found.group(1)] = table[name].read(line)
        return out

    here, there = seen("gateway"), seen(component)
    both = here.keys() & there.keys()
    if not both:
        raise ValueError(
            f"component={component!r}: no request in common with the gateway so far; such lines "
            "hold req=..., and GPU nodes, queue and stores of checkpoints write none"
        )
    return float(np.median([there[r] - here[r] for r in both]))


def _failure(name: str, ratio: float, p50_s: float, use: float) -> str:
    if use >= 0.999 and name != "gateway":
        return f"queue full, {ratio:.1%} of requests rejected in the last minute"
    if p50_s > 1.0:
        return f"deadline exceeded on {ratio:.1%} of requests, median {p50_s:.2f} s"
    return f"{ratio:.1%} of requests failed in the last minute"


def _written(host: Host, ahead_s: float, lines: list[tuple[float, str, str]]) -> list[Line]:
    out = []
    for when, level, text in sorted(lines):
        stamp = host.stamp(60 * when + ahead_s)
        out.append((when, _shape(host, stamp, level, text)))
    return out


def _shape(host: Host, stamp: str, level: str, text: str) -> str:
    match host.component, host.style:
        case "gateway", _:
            return f'{{"ts":"{stamp}","level":"{level.lower()}","msg":"{text}"}}'
        case _, "iso-z" | "iso-offset":
            return f'ts={stamp} level={level.lower()} msg="{text}"'
        case _, "boot" | "epoch-ms":
            return f"{stamp} {text}"
        case _, "syslog":
            return f"{stamp} {host.component}-0 {level.lower()}: {text}"
    return f"{stamp} {level} {text}"
