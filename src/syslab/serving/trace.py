"""What arrives: requests with a time, a prompt length and an output length."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Moments:
    """The figures by which a trace is usually described."""

    requests: int
    requests_per_s: float
    gap_cv: float
    prompt_mean: float
    prompt_cv: float
    output_mean: float
    output_cv: float


@dataclass(frozen=True, eq=False)
class Trace:
    """A request log, in order of arrival.

    Attributes
    ----------
    arrival_s : ndarray of float, shape (n,)
        Seconds since the start of the trace; never decreasing.
    prompt_tokens, output_tokens : ndarray of int, shape (n,)
        1 or more each. The output includes the token that ends it.
    cached_tokens : ndarray of int, shape (n,)
        Prompt tokens found in a prefix cache, below ``prompt_tokens``: they need not be computed.
        Zeros if not given.
    name : str
    """

    arrival_s: np.ndarray
    prompt_tokens: np.ndarray
    output_tokens: np.ndarray
    cached_tokens: np.ndarray | None = None
    name: str = "trace"

    def __post_init__(self):
        arrival = np.ascontiguousarray(self.arrival_s, float)
        columns = {"prompt_tokens": self.prompt_tokens, "output_tokens": self.output_tokens}
        cached = self.cached_tokens
        columns["cached_tokens"] = np.zeros(arrival.size, np.int64) if cached is None else cached
        for name, values in columns.items():
            values = np.ascontiguousarray(values)
            if values.shape != arrival.shape or values.ndim != 1:
                raise ValueError(
                    f"{name} has shape {values.shape} and arrival_s {arrival.shape}: "
                    "give one number per request in each"
                )
            if (values != values.astype(np.int64)).any():
                raise ValueError(f"{name} holds fractions: tokens are whole")
            least = 0 if name == "cached_tokens" else 1
            if values.size and values.min() < least:
                raise ValueError(f"{name} holds {values.min()}: must be {least} or more")
            object.__setattr__(self, name, values.astype(np.int64))
        if arrival.size and not (np.isfinite(arrival).all() and arrival.min() >= 0):
            raise ValueError("arrival_s must be finite and 0 or more")
        if (np.diff(arrival) < 0).any():
            raise ValueError("arrival_s goes back in time: sort the requests by arrival")
        if (self.cached_tokens >= self.prompt_tokens).any():
            raise ValueError("cached_tokens must be below prompt_tokens: the last one is computed")
        object.__setattr__(self, "arrival_s", arrival)

    def __len__(self) -> int:
        return self.arrival_s.size

    @property
    def requests_per_s(self) -> float:
        """Mean arrival rate over the gaps between the first and the last request."""
        _at_least_two(self)
        return (len(self) - 1) / float(self.arrival_s[-1] - self.arrival_s[0])

    def moments(self) -> Moments:
        """Return rate, burstiness (coefficient of variation of the gaps) and mean lengths."""
        _at_least_two(self)
        gaps = np.diff(self.arrival_s)
        return Moments(
            len(self),
            self.requests_per_s,
            _cv(gaps),
            float(self.prompt_tokens.mean()),
            _cv(self.prompt_tokens),
            float(self.output_tokens.mean()),
            _cv(self.output_tokens),
        )

    def at_rate(self, requests_per_s: float) -> Trace:
        """Return the same requests, with the clock stretched to another mean rate."""
        if not requests_per_s > 0:
            raise ValueError(f"requests_per_s={requests_per_s!r}: must be above 0")
        factor = self.requests_per_s / requests_per_s
        return replace(self, arrival_s=(self.arrival_s - self.arrival_s[0]) * factor)

    def first(self, requests: int) -> Trace:
        """Return the first ``requests`` requests."""
        return self._part(slice(0, requests))

    def share(self, replica: int, replicas: int) -> Trace:
        """Return what one of ``replicas`` gets when requests are dealt in turn (round robin)."""
        if not 0 <= replica < replicas:
            raise ValueError(f"replica={replica!r}: must be 0 or more and below {replicas}")
        return self._part(slice(replica, None, replicas))

    def _part(self, which: slice) -> Trace:
        columns = (self.arrival_s, self.prompt_tokens, self.output_tokens, self.cached_tokens)
        return Trace(*(column[which] for column in columns), name=self.name)


def _cv(values: np.ndarray) -> float:
    return float(values.std() / values.mean())


def _at_least_two(trace: Trace) -> None:
    if len(trace) < 2 or trace.arrival_s[-1] == trace.arrival_s[0]:
        raise ValueError(
            f"{trace.name!r} has {len(trace)} requests: a rate needs two at different times"
        )
