"""Which server gets the request.

With one shared queue the request waits in front and takes the first server that is free: no
routing mistake is possible.  The others choose a server on arrival, and the request stays there.
"""

from dataclasses import dataclass

from syslab.queueing.distributions import check_count


@dataclass(frozen=True)
class SharedQueue:
    """One queue for all servers; who waited longest is served first."""


@dataclass(frozen=True)
class Random:
    """Any server, with equal chance: no state, and the longest tail."""


@dataclass(frozen=True)
class RoundRobin:
    """The servers in turn.  Hedged copies and retries go to a random one."""


@dataclass(frozen=True)
class ShortestQueue:
    """The server with the fewest requests, in service or waiting (JSQ)."""


@dataclass(frozen=True)
class PowerOf:
    """The shorter of `choices` queues looked at in random places: two already do most of it."""

    choices: int = 2

    def __post_init__(self):
        check_count("choices", self.choices)
