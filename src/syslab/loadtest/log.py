"""What a load generator wrote down, and what can be read off it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from syslab.queueing.run import ANSWERED, TIMED_OUT
from syslab.queueing.sample import Sample


@dataclass(frozen=True)
class Log:
    """One entry for each request, in the order in which they were due.

    Attributes
    ----------
    due_s : ndarray of float, shape (n,)
        When the schedule wanted it sent; latencies count from here.
    sent_s, finish_s : ndarray of float, shape (n,)
        When it was sent, and when the client had its answer or gave up for good.
    outcome : ndarray of int, shape (n,)
        0 answered, 2 timed out, as in ``syslab.queueing.Run``.
    service_s, waited_s : ndarray of float, shape (n,)
        What the service says about the answered copy: time on the worker and in its queue; nan
        where there was no answer or no work.
    tries, copies : ndarray of int, shape (n,)
        Tries in all (1: no retry), and hedged copies sent.
    tried_s : ndarray of float, shape (tries in all,)
        When each try was sent, retries included.
    duration_s, interval_s : float
        Length of the schedule, and mean time between requests that was intended.
    stats : dict
        What the service counted meanwhile; see ``Service.stats``.
    """

    due_s: np.ndarray = field(repr=False)
    sent_s: np.ndarray = field(repr=False)
    finish_s: np.ndarray = field(repr=False)
    outcome: np.ndarray = field(repr=False)
    service_s: np.ndarray = field(repr=False)
    waited_s: np.ndarray = field(repr=False)
    tries: np.ndarray = field(repr=False)
    copies: np.ndarray = field(repr=False)
    tried_s: np.ndarray = field(repr=False)
    duration_s: float
    interval_s: float
    stats: dict = field(repr=False)

    def __len__(self) -> int:
        return self.due_s.size

    @property
    def answered(self) -> np.ndarray:
        """Which requests got an answer, as a mask."""
        return self.outcome == ANSWERED

    @property
    def latency(self) -> Sample:
        """From the time it was due to the answer, of answered requests."""
        return Sample((self.finish_s - self.due_s)[self.answered])

    @property
    def lag(self) -> Sample:
        """How late the generator itself was: due to sent."""
        return Sample(self.sent_s - self.due_s)

    @property
    def service(self) -> Sample:
        """Time that a worker was held, measured by the service, of answered requests."""
        return Sample(self.service_s[~np.isnan(self.service_s)])

    @property
    def waiting(self) -> Sample:
        """Time in the service's queue, measured by the service, of answered requests."""
        return Sample(self.waited_s[~np.isnan(self.waited_s)])

    @property
    def success(self) -> float:
        """Share of requests that were answered."""
        return float(self.answered.mean())

    @property
    def timed_out(self) -> float:
        """Share of requests that were given up."""
        return float((self.outcome == TIMED_OUT).mean())

    @property
    def extra_copies(self) -> float:
        """Hedged and retried copies per first copy."""
        return float((self.copies.sum() + (self.tries - 1).sum()) / len(self))

    @property
    def wasted(self) -> float:
        """Share of the workers' busy time that was spent for clients who had gone."""
        return self.stats["wasted_s"] / self.stats["busy_s"] if self.stats["busy_s"] else 0.0

    def per_second(self, slice_s: float = 0.25) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(edges of the slices in s, tries sent per s, answers per s), for ``Axes.stairs``."""
        edges = np.arange(round(self.duration_s / slice_s) + 1) * slice_s
        sent = np.histogram(self.tried_s, edges)[0] / slice_s
        answered = np.histogram(self.finish_s[self.answered], edges)[0] / slice_s
        return edges, sent, answered
