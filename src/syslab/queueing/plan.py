"""What is to be simulated, checked, and the random numbers it is to meet."""

from dataclasses import dataclass

import numpy as np

from syslab.queueing.distributions import check_count
from syslab.queueing.policies import Hedge, Priorities, Retry, Shed, Tied, Timeout
from syslab.queueing.routing import PowerOf, Random, RoundRobin, SharedQueue, ShortestQueue

LARGEST = 50_000_000  # leaves: about 5 GB of tables


@dataclass(frozen=True)
class Plan:
    """The arguments of ``simulate``, checked against each other."""

    arrivals: object
    service: object
    servers: int = 1
    requests: int = 100_000
    routing: object = SharedQueue()
    fan_out: int = 1
    hedge: Hedge | Tied | None = None
    priorities: Priorities | None = None
    timeout: Timeout | None = None
    retry: Retry | None = None
    shed: Shed | None = None

    def __post_init__(self):
        for name in ("servers", "requests", "fan_out"):
            check_count(name, getattr(self, name))
        if not hasattr(self.arrivals, "times"):
            raise ValueError(
                f"arrivals is {self.arrivals!r}; give a process such as Poisson(80), or At(times)"
            )
        if not hasattr(self.service, "sample"):
            raise ValueError(
                f"service is {self.service!r}; give a distribution such as Exponential(0.01)"
            )
        if not isinstance(
            self.routing, SharedQueue | Random | RoundRobin | ShortestQueue | PowerOf
        ):
            raise ValueError(
                f"routing is {self.routing!r}; give SharedQueue(), Random(), RoundRobin(), "
                "ShortestQueue() or PowerOf(2)"
            )
        for name, kinds in (
            ("hedge", Hedge | Tied), ("priorities", Priorities), ("timeout", Timeout),
            ("retry", Retry), ("shed", Shed),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not isinstance(value, kinds):
                wanted = " or ".join(k.__name__ for k in getattr(kinds, "__args__", (kinds,)))
                raise ValueError(f"{name} is {value!r}; give {wanted}, or leave it out")
        if self.servers % self.fan_out:
            raise ValueError(
                f"servers is {self.servers}; with fan_out {self.fan_out} it must be a multiple of "
                f"{self.fan_out}, as every leaf has its own replicas"
            )
        if self.requests * self.fan_out > LARGEST:
            raise ValueError(
                f"requests × fan_out is {self.requests * self.fan_out:,}; it must stay within "
                f"{LARGEST:,} to fit in memory: simulate fewer requests"
            )
        if self.hedge is not None and self.replicas < 2:
            raise ValueError(
                f"servers is {self.servers} for {self.fan_out} leaves; a second copy needs another "
                "server: give every leaf 2 or more"
            )
        if self.retry is not None and self.timeout is None and self.shed is None:
            raise ValueError("retry is set, but nothing can fail: add timeout= or shed=")
        if self.shed is not None and len(self.shed.limits(self.classes)) != self.classes:
            raise ValueError(
                f"shed.waiting is {self.shed.waiting}; it needs one limit for each of the "
                f"{self.classes} priority classes"
            )

    @property
    def replicas(self) -> int:
        """Servers of each leaf."""
        return self.servers // self.fan_out

    @property
    def classes(self) -> int:
        """Priority classes."""
        return len(self.priorities.shares) if self.priorities else 1

    @property
    def has_feedback(self) -> bool:
        """Whether a later event can change an earlier plan, or a choice looks at the queues."""
        rules = (self.hedge, self.priorities, self.timeout, self.shed)
        looks = isinstance(self.routing, ShortestQueue | PowerOf)
        return looks or any(rule is not None for rule in rules)


@dataclass(frozen=True)
class Drawn:
    """Every random number that the plan fixes in advance.

    Attributes
    ----------
    arrival_s : ndarray of float, shape (requests,)
    service_s : ndarray of float, shape (requests, fan_out)
    server : ndarray of int32, shape (requests, fan_out) or (0, 0)
        Under Random and RoundRobin, where each leaf goes.
    priority : ndarray of int8, shape (requests,)
    rng : numpy.random.Generator
        For what cannot be known in advance: hedged copies, retries, choices.
    """

    arrival_s: np.ndarray
    service_s: np.ndarray
    server: np.ndarray
    priority: np.ndarray
    rng: np.random.Generator

    @classmethod
    def for_plan(cls, plan: Plan, seed: int | np.random.Generator) -> "Drawn":
        """Draw from `seed`, each kind of number from a stream of its own."""
        if seed is None:
            raise ValueError("seed is None; give a whole number, so that the run can be repeated")
        streams = np.random.default_rng(seed).spawn(5)
        n, k, r = plan.requests, plan.fan_out, plan.replicas
        arrival_s = np.ascontiguousarray(plan.arrivals.times(streams[0], n), dtype=float)
        service_s = np.ascontiguousarray(plan.service.sample(streams[1], n * k), dtype=float)
        if service_s.size and not service_s.min() >= 0:
            raise ValueError(f"service drew {service_s.min()} s; times must be 0 or more")
        server = np.empty((0, 0), np.int32)
        if isinstance(plan.routing, Random):
            server = streams[2].integers(r, size=(n, k), dtype=np.int32)
        elif isinstance(plan.routing, RoundRobin):
            server = np.repeat(np.arange(n, dtype=np.int32)[:, None] % r, k, axis=1)
        if server.size:
            server += np.arange(k, dtype=np.int32) * r
        priority = np.zeros(n, np.int8)
        if plan.priorities:
            shares = np.divide(plan.priorities.shares, sum(plan.priorities.shares))
            priority = streams[3].choice(plan.classes, size=n, p=shares).astype(np.int8)
        return cls(arrival_s, service_s.reshape(n, k), server, priority, streams[4])
