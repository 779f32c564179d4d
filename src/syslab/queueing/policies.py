"""What clients and servers do about slow answers: hedge, give up, ask again, refuse.

Each is a few numbers; the rules stand in the docstrings and are carried out in ``_events``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from syslab.queueing.distributions import check_count, check_positive


@dataclass(frozen=True)
class Hedge:
    """Send a second copy if the first has not answered after `after_s`; first answer wins.

    Attributes
    ----------
    after_s : float
        Seconds from sending the first copy.
    cancel : str
        What happens to the loser: ``"all"`` takes it out of the queue or off the server,
        ``"queued"`` only out of a queue, ``"none"`` lets it run to the end.
    budget : float
        Copies sent may not exceed this share of the requests (leaves, under fan-out).
    same_work : bool
        False: the copy takes a fresh service time, because the slowness was the server's.
        True: it takes the same time again, because the request itself is long.
    """

    after_s: float
    cancel: str = "all"
    budget: float = 1.0
    same_work: bool = False

    def __post_init__(self):
        _check_not_negative("after_s", self.after_s)
        if self.cancel not in ("all", "queued", "none"):
            raise ValueError(f"cancel is {self.cancel!r}; say 'all', 'queued' or 'none'")
        if not 0 <= self.budget <= 1:
            raise ValueError(f"budget is {self.budget}; it is a share of requests in [0, 1]")


@dataclass(frozen=True)
class Tied:
    """Queue two copies at two servers; the one that starts first cancels the other.

    Attributes
    ----------
    message_s : float
        Seconds that the cancellation is on its way; if both start meanwhile, both run and the
        first answer stops the other.
    stagger_s : float
        Seconds between sending the two copies.
    same_work : bool
        As for ``Hedge``.
    """

    message_s: float = 0.0
    stagger_s: float = 0.0
    same_work: bool = False

    def __post_init__(self):
        _check_not_negative("message_s", self.message_s)
        _check_not_negative("stagger_s", self.stagger_s)


@dataclass(frozen=True)
class Timeout:
    """The client gives up `after_s` after sending.

    Attributes
    ----------
    after_s : float
        Seconds, counted anew for every attempt.
    server_knows : str
        What the deadline saves on the server: ``"never"``, all work is still done, for nobody;
        ``"queued"``, work not yet begun is dropped; ``"all"``, running work is stopped too.
    """

    after_s: float
    server_knows: str = "never"

    def __post_init__(self):
        check_positive("after_s", self.after_s)
        if self.server_knows not in ("never", "queued", "all"):
            raise ValueError(
                f"server_knows is {self.server_knows!r}; say 'never', 'queued' or 'all'"
            )


@dataclass(frozen=True)
class Retry:
    """Ask again after a timeout or a refusal.

    Attributes
    ----------
    attempts : int
        Tries in all, the first included.
    backoff_s : float
        Wait before the second try; it doubles with every further one.
    jitter : bool
        Multiply each wait by a uniform number in [0, 1).
    budget : float or None
        Tokens that each first try earns; a retry costs one token.  0.1 lets retries add 10 % to
        the load in the long run.  None: no limit.
    burst : float
        Most tokens that can be saved up, and the number at the start.
    """

    attempts: int = 3
    backoff_s: float = 0.0
    jitter: bool = True
    budget: float | None = None
    burst: float = 10.0

    def __post_init__(self):
        check_count("attempts", self.attempts, least=2)
        _check_not_negative("backoff_s", self.backoff_s)
        _check_not_negative("burst", self.burst)
        if self.budget is not None:
            _check_not_negative("budget", self.budget)


@dataclass(frozen=True)
class Shed:
    """Refuse work that would wait too long anyway.

    Attributes
    ----------
    waiting : int, tuple of int or None
        Refuse on arrival when this many wait in the queue already (0: refuse unless a server is
        free).  A tuple gives one limit for each priority class.
    wait_s : float or None
        Drop at the head of the queue what has waited longer than this.
    """

    waiting: int | tuple[int, ...] | None = None
    wait_s: float | None = None

    def __post_init__(self):
        if self.waiting is None and self.wait_s is None:
            raise ValueError("Shed has no limit; give waiting=, wait_s= or both")
        for limit in self.limits(1) if self.waiting is not None else ():
            check_count("waiting", limit, least=0)
        if self.wait_s is not None:
            check_positive("wait_s", self.wait_s)

    def limits(self, classes: int) -> tuple[float, ...]:
        """Queue limit of each priority class; infinite where there is none."""
        if self.waiting is None:
            return (math.inf,) * classes
        return self.waiting if isinstance(self.waiting, tuple) else (self.waiting,) * classes


@dataclass(frozen=True)
class Priorities:
    """Classes 0 (first) to n - 1, drawn at random; a running request is never interrupted.

    Attributes
    ----------
    shares : tuple of float
        Share of requests in each class, together 1.
    """

    shares: tuple[float, ...]

    def __init__(self, *shares: float):
        if not shares or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
            raise ValueError(f"the shares are {shares}; they must be ≥ 0 and add up to 1")
        object.__setattr__(self, "shares", tuple(shares))


def _check_not_negative(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} is {value}; it must be 0 or more, and finite")
