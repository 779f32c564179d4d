"""A run cut into equal slices of time: what a dashboard would have shown."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from syslab.queueing.distributions import check_positive
from syslab.queueing.run import ANSWERED, Run


@dataclass(frozen=True)
class Timeline:
    """One entry for each slice, warm-up included.

    Attributes
    ----------
    begin_s : ndarray of float, shape (slices,)
    arrivals_per_s : first tries; sent_per_s : tries, retries included;
    answered_per_s : answers that a client received, by the time of the answer ("goodput").
    utilization : busy share of the servers, useful or not.
    useful : share of the servers' time spent on work whose result a client received.
    in_system : requests not yet ended at the end of the slice.
    p50_s, p99_s : latency of requests answered in the slice; nan where none was.
    """

    begin_s: np.ndarray = field(repr=False)
    arrivals_per_s: np.ndarray = field(repr=False)
    sent_per_s: np.ndarray = field(repr=False)
    answered_per_s: np.ndarray = field(repr=False)
    utilization: np.ndarray = field(repr=False)
    useful: np.ndarray = field(repr=False)
    in_system: np.ndarray = field(repr=False)
    p50_s: np.ndarray = field(repr=False)
    p99_s: np.ndarray = field(repr=False)


def timeline(run: Run, slice_s: float) -> Timeline:
    """Cut `run` into slices of `slice_s` seconds, from 0 to its last arrival."""
    check_positive("slice_s", slice_s)
    slices = max(1, int(np.floor(run.arrival_s[-1] / slice_s)))
    edges = np.arange(slices + 1) * slice_s

    def per_s(times_s):
        return np.histogram(times_s, edges)[0] / slice_s

    good = np.ones(run.arrival_s.size, bool) if run.outcome is None else run.outcome == ANSWERED
    finish_s = run.finish_s[good]
    order = np.argsort(finish_s, kind="stable")
    latency_s = (finish_s - run.arrival_s[good])[order]
    cuts = np.searchsorted(finish_s[order], edges)
    parts = [np.sort(latency_s[a:b]) for a, b in pairwise(cuts)]

    def percentiles(q):
        return np.array([p[int(np.ceil(q * p.size)) - 1] if p.size else np.nan for p in parts])

    work = run.work
    useful = slice(None) if work.useful is None else work.useful
    room_s = slice_s * run.plan.servers
    return Timeline(
        begin_s=edges[:-1],
        arrivals_per_s=per_s(run.arrival_s),
        sent_per_s=per_s(run.arrival_s if run.sent_s is None else run.sent_s),
        answered_per_s=per_s(finish_s),
        utilization=_busy(work.start_s, work.end_s, edges) / room_s,
        useful=_busy(work.start_s[useful], work.end_s[useful], edges) / room_s,
        in_system=run.in_system(edges[1:]),
        p50_s=percentiles(0.5),
        p99_s=percentiles(0.99),
    )


def _busy(start_s: np.ndarray, end_s: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Server-seconds spent in each slice: differences of the work done up to each edge."""
    began = ~np.isnan(start_s)
    done = np.zeros(edges.size)
    for times, sign in ((np.sort(start_s[began]), 1), (np.sort(end_s[began]), -1)):
        before = np.searchsorted(times, edges)
        total = np.concatenate([[0.0], np.cumsum(times)])[before]
        done += sign * (before * edges - total)
    return np.diff(done)
