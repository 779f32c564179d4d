"""What a simulation recorded, and what can be read off it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from syslab.queueing.confidence import Estimate, batch_means, interval
from syslab.queueing.sample import Sample
from syslab.queueing.warmup import mser

ANSWERED, REFUSED, TIMED_OUT = range(3)
FIRST, SECOND, RETRIED = range(3)


@dataclass(frozen=True)
class Work:
    """One row for every copy that was sent to a server, in the order of sending.

    Attributes
    ----------
    start_s, end_s : ndarray of float, shape (m,)
        Begin of service (nan: never) and the end of it or the time it was called off.
    server : ndarray of int, shape (m,)
    queued_s : ndarray of float, shape (m,), or None
        When it was sent; None where every copy is sent when its request arrives.
    kind : ndarray of int, shape (m,), or None
        0 first copy, 1 hedged or tied, 2 retried; None: all first.
    useful : ndarray of bool, shape (m,), or None
        Whether its result is part of an answer that a client received; None: all.
    """

    start_s: np.ndarray = field(repr=False)
    end_s: np.ndarray = field(repr=False)
    server: np.ndarray = field(repr=False)
    queued_s: np.ndarray | None = field(default=None, repr=False)
    kind: np.ndarray | None = field(default=None, repr=False)
    useful: np.ndarray | None = field(default=None, repr=False)

    def busy_s(self, begin_s, end_s, mask=slice(None)) -> float:
        """Server-seconds spent between two times."""
        inside = np.minimum(self.end_s[mask], end_s) - np.maximum(self.start_s[mask], begin_s)
        return float(inside[inside > 0].sum())


@dataclass(frozen=True, repr=False)
class Run:
    """Records of one simulation, one entry for each request in the order of arrival.

    Statistics leave out the first ``dropped`` requests; the arrays hold all of them.

    Attributes
    ----------
    arrival_s : ndarray of float, shape (n,)
    start_s : ndarray of float, shape (n,)
        When the copy that completed the request began service; nan if none did.
    finish_s : ndarray of float, shape (n,)
        When the client had its answer or gave up for good.
    server : ndarray of int, shape (n,)
        That completed the request (under fan-out: of the last leaf); -1 if none did.
    leaf_s : ndarray of float, shape (n, fan_out), or None
        Latency of each leaf from sending; None without fan-out.
    outcome : ndarray of int, shape (n,)
        0 answered, 1 refused, 2 timed out.
    tries, priority : ndarray of int, shape (n,)
    sent_s : ndarray of float, shape (attempts,)
        When each attempt, retries included, was sent.
    """

    plan: object
    arrival_s: np.ndarray = field(repr=False)
    start_s: np.ndarray = field(repr=False)
    finish_s: np.ndarray = field(repr=False)
    server: np.ndarray = field(repr=False)
    work: Work = field(repr=False)
    leaf_s: np.ndarray | None = field(default=None, repr=False)
    outcome: np.ndarray | None = field(default=None, repr=False)
    tries: np.ndarray | None = field(default=None, repr=False)
    priority: np.ndarray | None = field(default=None, repr=False)
    sent_s: np.ndarray | None = field(default=None, repr=False)
    dropped: int = 0
    only: int | None = None

    def after_warmup(self, warmup: float | str) -> Run:
        """The same run with another warm-up left out; see ``simulate``."""
        if warmup == "mser":
            times = self.finish_s - self.arrival_s
            return replace(self, dropped=mser(times))
        return replace(self, dropped=int(warmup * self.arrival_s.size))

    def of_class(self, priority: int) -> Run:
        """The same run, with latencies and outcomes of one priority class only."""
        if not 0 <= priority < self.plan.classes:
            raise ValueError(f"priority is {priority}; classes are 0 to {self.plan.classes - 1}")
        if self.plan.classes == 1:
            return self
        return replace(self, only=priority)

    @cached_property
    def _kept(self) -> slice | np.ndarray:
        """Which requests count."""
        if self.only is None:
            return slice(self.dropped, None)
        mine = self.priority == self.only
        mine[: self.dropped] = False
        return mine

    def _of_answered(self, values: np.ndarray) -> Sample:
        kept = values[self._kept]
        return Sample(kept if self.outcome is None else kept[self.outcome[self._kept] == ANSWERED])

    @cached_property
    def sojourn(self) -> Sample:
        """Arrival to answer, of answered requests (see ``success`` for the others)."""
        return self._of_answered(self.finish_s - self.arrival_s)

    @cached_property
    def waiting(self) -> Sample:
        """Arrival to start of service (of the copy that completed the request)."""
        return self._of_answered(self.start_s - self.arrival_s)

    @cached_property
    def service(self) -> Sample:
        """Time on the server (of the copy that completed the request)."""
        return self._of_answered(self.finish_s - self.start_s)

    @cached_property
    def leaf(self) -> Sample:
        """Latency of single leaves; without fan-out the same as ``sojourn``."""
        if self.leaf_s is None:
            return self.sojourn
        values = self.leaf_s[self._kept].ravel()
        return Sample(values[~np.isnan(values)])

    @property
    def window_s(self) -> tuple[float, float]:
        """First and last arrival that count: what happens between them is steady."""
        return float(self.arrival_s[self.dropped]), float(self.arrival_s[-1])

    @property
    def utilization(self) -> float:
        """Busy share of the servers' time in the window."""
        begin_s, end_s = self.window_s
        return self.work.busy_s(begin_s, end_s) / (end_s - begin_s) / self.plan.servers

    @property
    def success(self) -> float:
        """Share of requests that were answered."""
        return self._share(ANSWERED)

    @property
    def refused(self) -> float:
        """Share of requests that ended with a refusal."""
        return self._share(REFUSED)

    @property
    def timed_out(self) -> float:
        """Share of requests that ended with a timeout."""
        return self._share(TIMED_OUT)

    def _share(self, outcome: int) -> float:
        if self.outcome is None:
            return float(outcome == ANSWERED)
        return float((self.outcome[self._kept] == outcome).mean())

    @property
    def extra_copies(self) -> float:
        """Hedged, tied and retried copies per first copy, over the whole run."""
        kind = self.work.kind
        return 0.0 if kind is None else float((kind != FIRST).sum() / (kind == FIRST).sum())

    @property
    def wasted(self) -> float:
        """Share of the servers' busy time in the window that no client had anything from."""
        if self.work.useful is None:
            return 0.0
        window = self.window_s
        return self.work.busy_s(*window, ~self.work.useful) / self.work.busy_s(*window)

    @property
    def mean_in_system(self) -> float:
        """Time average of the number of requests not yet ended (Little: rate × mean time)."""
        begin_s, end_s = self.window_s
        inside = np.minimum(self.finish_s, end_s) - np.maximum(self.arrival_s, begin_s)
        return float(inside[inside > 0].sum()) / (end_s - begin_s)

    def in_system(self, at_s):
        """Number of requests not yet ended at `at_s` seconds, scalar or array."""
        came = np.searchsorted(self.arrival_s, at_s, side="right")
        return came - np.searchsorted(np.sort(self.finish_s), at_s, side="right")

    def confidence(
        self, statistic: str, of: str = "sojourn", level: float = 0.95, batches: int = 20
    ) -> Estimate:
        """Interval of a statistic by batch means.

        Parameters
        ----------
        statistic : str
            ``"mean"``, a percentile such as ``"p99"`` or ``"p99.9"``, or ``"utilization"``.
        of : str
            ``"sojourn"``, ``"waiting"`` or ``"service"``.
        """
        if statistic == "utilization":
            edges = np.linspace(*self.window_s, batches + 1)
            slots = (np.diff(edges) * self.plan.servers).tolist()
            parts = [
                self.work.busy_s(a, b) / slot
                for a, b, slot in zip(edges[:-1], edges[1:], slots, strict=True)
            ]
            return interval(self.utilization, np.array(parts), level)
        if of not in ("sojourn", "waiting", "service"):
            raise ValueError(f"of is {of!r}; say 'sojourn', 'waiting' or 'service'")
        values = getattr(self, of).values
        if statistic == "mean":
            return batch_means(values, np.mean, batches, level)
        if not re.fullmatch(r"p\d{1,2}(\.\d+)?", statistic):
            raise ValueError(
                f"statistic is {statistic!r}; say 'mean', 'p50', 'p99', 'p99.9' or 'utilization'"
            )
        q = float(statistic[1:])
        return batch_means(
            values,
            lambda part: Sample(part).percentile(q),
            batches,
            level,
            min(1 - q / 100, q / 100 or 1),
        )

    def __repr__(self) -> str:
        plan = self.plan
        return (
            f"Run({self.arrival_s.size:,} requests, servers: {plan.servers}, utilization: "
            f"{self.utilization:.3f}, answered: {self.success:.2%}, {self.sojourn!r})"
        )

    def records(self) -> np.ndarray:
        """One row for each request: arrival, start, finish in seconds, and server."""
        names = ("arrival_s", "start_s", "finish_s", "server")
        return np.rec.fromarrays([getattr(self, name) for name in names], names=names)
