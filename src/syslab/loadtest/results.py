"""What the bench saves as ``my_tail.json``, and what a reader of it may rely on."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from syslab.queueing.omission import Stall
from syslab.saved import read_json, write_whole

SCHEMA = "syslab.loadtest/1"
LEAST_REQUESTS = 50  # of every run: fewer say nothing about a tail
DIGITS = 6  # times are kept to the microsecond


@dataclass(frozen=True)
class Open:
    """An open loop; ``waited_s`` is the time in the service's queue as the service counted it."""

    rate_per_s: float
    latency_s: np.ndarray = field(repr=False)
    waited_s: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Hedged:
    """The same open loop with a second copy after ``delay_s``; ``extra`` copies per request."""

    rate_per_s: float
    delay_s: float
    latency_s: np.ndarray = field(repr=False)
    extra: float


@dataclass(frozen=True)
class Closed:
    """One waiting client, one request per ``interval_s`` intended, one stall of ``stall_s``."""

    interval_s: float
    latency_s: np.ndarray = field(repr=False)
    stall_s: float


@dataclass(frozen=True)
class Stalled:
    """An open loop at the closed loop's rate, through a stall of the same length."""

    rate_per_s: float
    latency_s: np.ndarray = field(repr=False)
    stall_s: float


@dataclass(frozen=True)
class Overhead:
    """What the generator itself adds: late sends, and a request that asks for no work."""

    lag_p50_s: float
    lag_p99_s: float
    ping_p50_s: float
    ping_p99_s: float


@dataclass(frozen=True)
class Results:
    """Everything one pass through the bench measured, on which machine, and how.

    Attributes
    ----------
    machine : dict
        ``cpu``, ``cores`` and more; see ``measure.machine``.
    date, command : str
    replicas, workers : int
        Of the service.
    service_s : ndarray of float, shape (n,)
        Service times of the open loop, measured by the service itself.
    open, hedged, closed, stalled, overhead
        One object for each run.
    """

    machine: dict
    date: str
    command: str
    replicas: int
    workers: int
    service_s: np.ndarray = field(repr=False)
    open: Open
    hedged: Hedged
    closed: Closed
    stalled: Stalled
    overhead: Overhead

    @classmethod
    def from_logs(
        cls, live, stall: Stall, delay_s: float, *, open, hedged, closed, stalled, overhead,
        machine: dict, date: str, command: str,
    ) -> Results:  # fmt: skip
        """Gather the logs of five runs against the service `live`, which need not run any more."""
        rate_per_s = 1 / open.interval_s
        lag_p50_s, lag_p99_s = overhead.lag.percentile([50, 99])
        ping_p50_s, ping_p99_s = overhead.latency.percentile([50, 99])
        return cls(
            machine, date, command, live.replicas, live.workers, open.service.values,
            Open(rate_per_s, open.latency.values, open.waiting.values),
            Hedged(1 / hedged.interval_s, delay_s, hedged.latency.values, hedged.extra_copies),
            Closed(closed.interval_s, closed.latency.values, stall.length_s),
            Stalled(1 / stalled.interval_s, stalled.latency.values, stall.length_s),
            Overhead(float(lag_p50_s), float(lag_p99_s), float(ping_p50_s), float(ping_p99_s)),
        )  # fmt: skip

    def save(self, path: str | os.PathLike) -> Path:
        """Write the results to `path` as JSON, whole or not at all, replacing an older file."""
        text = json.dumps({"schema": SCHEMA, **_plain(asdict(self))}, indent=1, allow_nan=False)
        text = _one_line_each(text)
        return write_whole(path, text)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Results:
        """Read what ``save`` wrote.

        Raises
        ------
        FileNotFoundError
            No such file: run the bench first.
        ValueError
            The file is damaged, is not a file of this kind, or a number in it cannot be.
        """
        again = "run the tail-latency bench again to write a new one"
        absent = "no results here yet; run the tail-latency bench, which saves them"
        data = read_json(path, SCHEMA, absent, again)
        try:
            return _built(cls, data)
        except (KeyError, TypeError, ValueError) as error:
            why = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else error
            raise ValueError(f"{path}: {why}; {again}") from error


_PARTS = {"Open": Open, "Hedged": Hedged, "Closed": Closed, "Stalled": Stalled,
          "Overhead": Overhead}  # fmt: skip


def _built(kind, data: dict, where: str = ""):
    """Rebuild one dataclass, checking every number."""
    if not isinstance(data, dict):
        raise ValueError(f"{where.rstrip('.') or 'the file'} is {type(data).__name__}, no mapping")
    values = {}
    for spec in fields(kind):
        name, value = f"{where}{spec.name}", data[spec.name]
        if spec.type in _PARTS:
            value = _built(_PARTS[spec.type], value, f"{name}.")
        elif spec.type == "np.ndarray":
            value = _times(name, value, zero=spec.name == "waited_s")
        elif spec.type in ("float", "int"):
            _number(name, value, zero=name in ("hedged.extra", "hedged.delay_s"))
        elif not isinstance(value, {"str": str, "dict": dict}[spec.type]) or not value:
            raise ValueError(f"{name} is {value!r}, not a filled {spec.type}")
        values[spec.name] = value
    return kind(**values)


def _number(name: str, value, zero: bool = False) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and (value > 0 or (zero and value == 0))):
        raise ValueError(f"{name} is {value!r}; it must be a number above 0")


def _times(name: str, values, zero: bool) -> np.ndarray:
    """Times in seconds as a read-only array."""
    if not isinstance(values, list) or len(values) < LEAST_REQUESTS:
        count = len(values) if isinstance(values, list) else 0
        raise ValueError(f"{name} holds {count} times; {LEAST_REQUESTS} or more are needed")
    array = np.array(values, dtype=float)
    if not np.isfinite(array).all() or array.min() < 0 or (array.min() == 0 and not zero):
        raise ValueError(f"{name} holds a time that is not above 0 s")
    array.flags.writeable = False
    return array


def _plain(value):
    """Arrays as lists, times rounded to the microsecond."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        return [round(each, DIGITS) for each in value.tolist()]
    return round(value, DIGITS) if isinstance(value, float) else value


def _one_line_each(text: str) -> str:
    """Lists of numbers on one line: a file of forty lines instead of ten thousand."""
    return re.sub(
        r"\[\s*(-?\d[^\[\]{}\"]*?)\s*\]",
        lambda found: "[" + re.sub(r"\s+", " ", found[1]) + "]",
        text,
    )
