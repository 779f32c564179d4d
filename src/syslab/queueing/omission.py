"""Coordinated omission: a load generator that stops asking while the server is stuck.

A client that waits for its answer sends nothing during a stall, so the stall is counted once
instead of once for every request that would have met it.  The name and the repair are Gil Tene's
(HdrHistogram, wrk2).  Here are both load generators against the same stalling service, the repair,
and a detector that works on a log of send and finish times.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from syslab.queueing.distributions import check_count, check_positive
from syslab.queueing.sample import Sample


@dataclass(frozen=True)
class Stall:
    """From `at_s` on, for `length_s` seconds, the service does nothing at all."""

    at_s: float
    length_s: float

    def __post_init__(self):
        check_positive("length_s", self.length_s)
        if not self.at_s >= 0:
            raise ValueError(f"at_s is {self.at_s}; it must be 0 or more")


@dataclass(frozen=True)
class LoadTrace:
    """What a load generator wrote down.

    Attributes
    ----------
    sent_s, finish_s : ndarray of float, shape (n,)
        In the order of sending.
    interval_s : float
        Time between requests that was intended.
    """

    sent_s: np.ndarray = field(repr=False)
    finish_s: np.ndarray = field(repr=False)
    interval_s: float

    @property
    def latency(self) -> Sample:
        """Send to finish, as the generator reports it."""
        return Sample(self.finish_s - self.sent_s)


def open_loop(
    per_second: float, service, duration_s: float, *,
    seed: int | np.random.Generator, stalls: tuple[Stall, ...] = (),
) -> LoadTrace:  # fmt: skip
    """Send on schedule whatever the service does: what independent users do.

    Parameters
    ----------
    per_second : float
    service : distribution
        Latency without a stall, in seconds; the service takes any number of requests at once.
    duration_s : float
        Requests are sent in [0, duration_s).
    seed : int or numpy.random.Generator
    stalls : tuple of Stall
    """
    check_positive("per_second", per_second)
    check_positive("duration_s", duration_s)
    count = max(1, math.ceil(duration_s * per_second - 1e-9))
    sent_s = np.arange(count) / per_second
    times_s = service.sample(np.random.default_rng(seed), count)
    return LoadTrace(sent_s, _finish(sent_s, times_s, stalls), 1 / per_second)


def closed_loop(
    per_second: float, service, duration_s: float, *,
    seed: int | np.random.Generator, stalls: tuple[Stall, ...] = (), clients: int = 1,
) -> LoadTrace:  # fmt: skip
    """Each client sends at its pace, but never before its last answer: what most tools do.

    Parameters
    ----------
    per_second : float
        Intended, of all clients together.
    clients : int
        Each with one request under way at most, and its own pace per_second / clients.

    The other parameters are those of ``open_loop``.
    """
    check_positive("per_second", per_second)
    check_positive("duration_s", duration_s)
    check_count("clients", clients)
    rng = np.random.default_rng(seed)
    stalls = sorted(stalls, key=lambda each: each.at_s)
    pace_s = clients / per_second
    sent, finished = [], []
    for client in range(clients):
        most = math.ceil(duration_s / pace_s) + 1
        times_s = service.sample(rng, most).tolist()
        at_s = client / per_second
        for time_s in times_s:
            if at_s >= duration_s:
                break
            end_s = at_s + time_s
            for stall in stalls:  # as in _finish, for one
                if at_s < stall.at_s + stall.length_s and end_s > stall.at_s:
                    end_s += stall.at_s + stall.length_s - max(at_s, stall.at_s)
            sent.append(at_s)
            finished.append(end_s)
            at_s = max(at_s + pace_s, end_s)
    order = np.argsort(sent, kind="stable")
    return LoadTrace(np.array(sent)[order], np.array(finished)[order], 1 / per_second)


def _finish(sent_s: np.ndarray, times_s: np.ndarray, stalls) -> np.ndarray:
    """When work begun at `sent_s` is done, with time standing still during stalls."""
    finish_s = sent_s + times_s
    for stall in sorted(stalls, key=lambda each: each.at_s):
        end_s = stall.at_s + stall.length_s
        met = (sent_s < end_s) & (finish_s > stall.at_s)
        lost_s = end_s - np.maximum(sent_s, stall.at_s)
        finish_s = np.where(met, finish_s + lost_s, finish_s)
    return finish_s


def correct(latencies_s, interval_s: float) -> Sample:
    """Put back the requests that a single waiting client did not send.

    A latency v above the interval hid requests due one, two, … intervals after it was sent, which
    would have taken v - interval, v - 2 · interval, …  A repair, not a measurement: it assumes
    that the service was stuck for all of v.

    Parameters
    ----------
    latencies_s : array_like of float, shape (n,)
        Of one client.
    interval_s : float
        Intended time between its requests.
    """
    check_positive("interval_s", interval_s)
    latencies = np.asarray(latencies_s, dtype=float).ravel()
    hidden = np.maximum(np.floor(latencies / interval_s + 1e-9).astype(np.int64), 0)
    # As in HdrHistogram, put back v - j·interval for as long as it is at least one interval.
    hidden = np.maximum(hidden - 1, 0)
    begins = np.cumsum(hidden) - hidden
    step = np.arange(hidden.sum()) - np.repeat(begins, hidden) + 1
    return Sample(np.concatenate([latencies, np.repeat(latencies, hidden) - step * interval_s]))


@dataclass(frozen=True)
class Finding:
    """What ``detect`` saw.

    Attributes
    ----------
    suspect : bool
        Whether the trace looks coordinated.
    long_requests : int
        Requests that took over three intervals: where omission would show.
    expected, sent : float
        Requests that an open loop sends during those, and that were sent.
    """

    suspect: bool
    long_requests: int
    expected: float
    sent: float

    @property
    def missing(self) -> float:
        """Requests not sent while a long one was under way."""
        return max(0.0, self.expected - self.sent)

    def __str__(self) -> str:
        if not self.long_requests:
            return "no request took long enough to tell"
        verdict = "coordinated omission" if self.suspect else "open loop"
        return (
            f"{verdict}: while {self.long_requests} long requests were under way, "
            f"{self.sent:.0f} of {self.expected:.0f} expected requests were sent"
        )


def detect(sent_s, finish_s, interval_s: float) -> Finding:
    """Look for coordinated omission in a log: do sends go on while a long request is under way?

    Parameters
    ----------
    sent_s, finish_s : array_like of float, shape (n,)
        In any order.
    interval_s : float
        Intended time between requests, all clients together.
    """
    check_positive("interval_s", interval_s)
    sent = np.asarray(sent_s, dtype=float).ravel()
    finish = np.asarray(finish_s, dtype=float).ravel()
    if sent.size != finish.size or not sent.size:
        raise ValueError(f"sent_s has {sent.size} entries and finish_s {finish.size}; give pairs")
    ordered = np.sort(sent)
    end_s = ordered[-1] + interval_s  # after the last send nothing is expected
    long = np.flatnonzero(finish - sent > 3 * interval_s)
    until = np.minimum(finish[long], end_s)
    expected = (until - sent[long]) / interval_s - 1
    seen = np.searchsorted(ordered, until, side="left") - np.searchsorted(
        ordered, sent[long], side="right"
    )
    kept = expected > 1
    wanted, got = float(expected[kept].sum()), float(seen[kept].sum())
    return Finding(bool(kept.any() and got < wanted / 2), int(kept.sum()), wanted, got)
