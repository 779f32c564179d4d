"""Poisson arrivals, exponential service, one or more servers: everything is in closed form.

Erlang (1917); the derivations are in any queueing text, for instance Harchol-Balter,
*Performance Modeling and Design of Computer Systems* (2013), chapters 13 to 14.
"""

import math
from dataclasses import dataclass

import numpy as np

from syslab.queueing.distributions import check_count, check_percent, check_positive
from syslab.queueing.theory._common import check_stable, percentile_of


def erlang_b(servers: int, offered: float) -> float:
    """Share of requests refused when none may wait.

    Parameters
    ----------
    servers : int
    offered : float
        Offered load in erlangs, arrival rate / service rate of one server; any size.

    Examples
    --------
    >>> round(erlang_b(10, 8), 6)
    0.121661
    """
    check_count("servers", servers)
    if not 0 <= offered < math.inf:
        raise ValueError(f"offered is {offered}; it must be 0 or more, and finite")
    blocked = 1.0
    for c in range(1, servers + 1):
        blocked = offered * blocked / (c + offered * blocked)
    return blocked


def erlang_c(servers: int, offered: float) -> float:
    """Share of requests that must wait when all may.

    Always more than ``erlang_b``: those that are not refused are still there.

    Parameters
    ----------
    servers : int
    offered : float
        Arrival rate / service rate, below `servers`.

    Examples
    --------
    >>> round(erlang_c(10, 8), 6)
    0.40918
    """
    blocked = erlang_b(servers, offered)
    check_stable(offered, servers)
    return blocked / (1 - offered / servers * (1 - blocked))


@dataclass(frozen=True)
class MMc:
    """`servers` servers behind one queue.

    Attributes
    ----------
    servers : int
    arrival_rate, service_rate : float
        Per second; `service_rate` of one server.
    """

    servers: int
    arrival_rate: float
    service_rate: float

    def __post_init__(self):
        check_count("servers", self.servers)
        check_positive("service_rate", self.service_rate)
        check_stable(self.arrival_rate, self.servers * self.service_rate)

    @property
    def offered(self) -> float:
        """Erlangs: mean number of busy servers."""
        return self.arrival_rate / self.service_rate

    @property
    def utilization(self) -> float:
        """Busy share of each server: arrival_rate / (servers · service_rate)."""
        return self.offered / self.servers

    @property
    def wait_probability(self) -> float:
        """Share of requests that wait (Erlang C)."""
        return erlang_c(self.servers, self.offered)

    @property
    def _drain(self) -> float:
        """Spare capacity per second; the wait of those who wait is exponential with this rate."""
        return self.servers * self.service_rate - self.arrival_rate

    @property
    def mean_wait_s(self) -> float:
        """Mean time in the queue."""
        return self.wait_probability / self._drain

    @property
    def mean_sojourn_s(self) -> float:
        """Mean time in queue and service."""
        return self.mean_wait_s + 1 / self.service_rate

    @property
    def mean_waiting(self) -> float:
        """Mean number in the queue (Little)."""
        return self.arrival_rate * self.mean_wait_s

    @property
    def mean_in_system(self) -> float:
        """Mean number in queue and service (Little)."""
        return self.arrival_rate * self.mean_sojourn_s

    def wait_tail(self, t):
        """P(wait > t), t in seconds, scalar or array."""
        return self.wait_probability * np.exp(-self._drain * np.maximum(t, 0))

    def sojourn_tail(self, t):
        """P(wait + service > t), t in seconds, scalar or array."""
        t = np.maximum(t, 0)
        mu, drain = self.service_rate, self._drain
        # Wait and service are both exponential for those who wait; the slower one sets the tail.
        gap = abs(drain - mu)
        later = -np.expm1(-gap * t) / gap if gap > 1e-9 * mu else t
        added = mu * np.exp(-min(mu, drain) * t) * later
        return np.exp(-mu * t) + self.wait_probability * added

    def wait_percentile(self, q: float) -> float:
        """Wait in seconds that `q` percent do not exceed: 0 up to 100 · (1 - Erlang C)."""
        check_percent(q)
        waiting = self.wait_probability
        return max(0.0, math.log(waiting / (1 - q / 100)) / self._drain) if waiting else 0.0

    def sojourn_percentile(self, q: float) -> float:
        """Time in queue and service that `q` percent do not exceed, in seconds."""
        return percentile_of(self.sojourn_tail, q, self.mean_sojourn_s)


class MM1(MMc):
    """One server.  The sojourn is exponential with mean 1 / (service_rate - arrival_rate).

    Examples
    --------
    >>> round(MM1(arrival_rate=0.8, service_rate=1).sojourn_percentile(99), 1)  # service times
    23.0
    """

    def __init__(self, arrival_rate: float, service_rate: float):
        super().__init__(1, arrival_rate, service_rate)

    def sojourn_percentile(self, q: float) -> float:
        """ln(100 / (100 - q)) / (service_rate · (1 - utilization)), in seconds."""
        check_percent(q)
        return -math.log1p(-q / 100) / self._drain


@dataclass(frozen=True)
class MMcK:
    """As ``MMc``, but a request that finds `room` requests (in service or waiting) is refused.

    Stable at any load: what does not fit goes away.

    Attributes
    ----------
    servers, room : int
        `room` is at least `servers`.
    arrival_rate, service_rate : float
    """

    servers: int
    room: int
    arrival_rate: float
    service_rate: float

    def __post_init__(self):
        check_count("servers", self.servers)
        check_count("room", self.room, least=self.servers)
        check_positive("arrival_rate", self.arrival_rate)
        check_positive("service_rate", self.service_rate)

    @property
    def shares(self) -> np.ndarray:
        """Share of time with 0, 1, … `room` requests inside, shape (room + 1,)."""
        inside = np.arange(1, self.room + 1)
        steps = self.arrival_rate / (self.service_rate * np.minimum(inside, self.servers))
        logs = np.concatenate([[0.0], np.cumsum(np.log(steps))])
        weights = np.exp(logs - logs.max())
        return weights / weights.sum()

    @property
    def refused(self) -> float:
        """Share of requests refused."""
        return float(self.shares[-1])

    @property
    def utilization(self) -> float:
        """Busy share of each server."""
        accepted = self.arrival_rate * (1 - self.refused)
        return accepted / (self.servers * self.service_rate)

    @property
    def mean_sojourn_s(self) -> float:
        """Mean time in queue and service of those accepted (Little)."""
        inside = float((self.shares * np.arange(self.room + 1)).sum())
        return inside / (self.arrival_rate * (1 - self.refused))


def servers_for(arrival_rate: float, service_rate: float, q: float, sojourn_s: float) -> int:
    """Fewest servers behind one queue whose `q`-th percentile sojourn is within `sojourn_s`.

    Raises
    ------
    ValueError
        If the service alone is longer than that.
    """
    check_positive("service_rate", service_rate)
    check_percent(q)
    alone_s = -math.log1p(-q / 100) / service_rate
    if alone_s >= sojourn_s:
        raise ValueError(
            f"sojourn_s is {sojourn_s}; p{q:g} of the service alone is {alone_s:.4g} s, so no "
            "number of servers is enough: ask for more time or make the service faster"
        )
    servers = int(arrival_rate / service_rate) + 1
    left = 1 - q / 100
    while MMc(servers, arrival_rate, service_rate).sojourn_tail(sojourn_s) > left:
        servers += 1
    return servers
