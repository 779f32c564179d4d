"""One server and any service time: Pollaczek-Khinchine; any arrivals too: Kingman.

The mean wait is a product of three things one can act on: utilization ρ / (1 - ρ), variability
(c_a² + c_s²) / 2 and the mean service time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from syslab.queueing.distributions import check_positive
from syslab.queueing.theory._common import check_stable, percentile_of
from syslab.queueing.theory.erlang import erlang_c


@dataclass(frozen=True)
class MG1:
    """Poisson arrivals, one server, any service time: exact means (Pollaczek 1930, Khinchine 1932).

    Attributes
    ----------
    arrival_rate : float
        Per second.
    service_mean_s : float
    service_scv : float
        Variance / mean²: 0 deterministic, 1 exponential.
    """

    arrival_rate: float
    service_mean_s: float
    service_scv: float = 1.0

    def __post_init__(self):
        check_positive("service_mean_s", self.service_mean_s)
        if not self.service_scv >= 0:
            raise ValueError(f"service_scv is {self.service_scv}; it must be 0 or more")
        check_stable(self.arrival_rate, 1 / self.service_mean_s)

    @classmethod
    def of(cls, arrival_rate: float, service) -> "MG1":
        """For a distribution of ``syslab.queueing``."""
        return cls(arrival_rate, service.mean, service.scv)

    @property
    def utilization(self) -> float:
        """Busy share of the server."""
        return self.arrival_rate * self.service_mean_s

    @property
    def mean_wait_s(self) -> float:
        """ρ / (1 - ρ) · (1 + scv) / 2 · mean service; infinite if the scv is."""
        rho = self.utilization
        return rho / (1 - rho) * (1 + self.service_scv) / 2 * self.service_mean_s

    @property
    def mean_sojourn_s(self) -> float:
        """Mean time in queue and service."""
        return self.mean_wait_s + self.service_mean_s

    @property
    def mean_in_system(self) -> float:
        """Mean number in queue and service (Little)."""
        return self.arrival_rate * self.mean_sojourn_s


class MD1(MG1):
    """Service always the same: half the mean wait of M/M/1, and the whole distribution."""

    def __init__(self, arrival_rate: float, service_s: float):
        super().__init__(arrival_rate, service_s, 0.0)

    def wait_tail(self, t: float) -> float:
        """P(wait > t), t in seconds.

        Erlang's formula alternates in sign and loses all digits a few service times out; this is
        Franx's (Operations Research Letters 2001), whose terms are all positive.
        """
        if t < 0:
            return 1.0
        slots = math.floor(t / self.service_mean_s) + 1
        mean = self.arrival_rate * (slots * self.service_mean_s - t)
        queued = np.cumsum(_embedded(self.utilization, slots + 1))[1:]  # P(at most j wait)
        below = sum(queued[slots - 1 - j] * term for j, term in enumerate(_poisson(mean, slots)))
        return max(0.0, 1 - float(below))

    def sojourn_tail(self, t: float) -> float:
        """P(wait + service > t), t in seconds."""
        return self.wait_tail(t - self.service_mean_s)

    def wait_percentile(self, q: float) -> float:
        """Wait in seconds that `q` percent do not exceed."""
        return percentile_of(self.wait_tail, q, self.service_mean_s)

    def sojourn_percentile(self, q: float) -> float:
        """Time in queue and service that `q` percent do not exceed, in seconds."""
        return self.service_mean_s + self.wait_percentile(q)


def _poisson(mean: float, count: int) -> np.ndarray:
    """P(0), P(1), … of a Poisson number, shape (count,)."""
    j = np.arange(count)
    if mean <= 0:
        return (j == 0).astype(float)
    return np.exp(j * math.log(mean) - mean - np.array([math.lgamma(i + 1) for i in j]))


def _embedded(rho: float, count: int) -> np.ndarray:
    """P(0), P(1), … requests in M/D/1, by balancing the flow across each level (no subtraction)."""
    arrivals = _poisson(rho, count + 60)
    over = np.cumsum(arrivals[::-1])[::-1]  # over[k] = P(k or more arrive during a service)
    found = np.empty(count)
    found[0] = 1 - rho
    for j in range(count - 1):
        up = found[0] * over[j + 1] + (found[1 : j + 1] * over[j + 1 : 1 : -1]).sum()
        found[j + 1] = up / arrivals[0]
    return found


def cobham(
    arrival_rates: Sequence[float], service_means_s: Sequence[float], service_scvs: Sequence[float]
) -> list[float]:
    """Mean wait in seconds of each priority class, one server, nobody interrupted.

    Cobham (Operations Research 1954); the first class is the most urgent.
    """
    residual_s = sum(
        rate * mean**2 * (1 + scv) / 2
        for rate, mean, scv in zip(arrival_rates, service_means_s, service_scvs, strict=True)
    )
    waits, before = [], 0.0
    for rate, mean in zip(arrival_rates, service_means_s, strict=True):
        through = before + rate * mean
        if through >= 1:
            raise ValueError(
                f"arrival_rates is {list(arrival_rates)}; classes 0 to {len(waits)} alone keep the "
                f"server {through:.3g} busy: it must stay below 1"
            )
        waits.append(residual_s / (1 - before) / (1 - through))
        before = through
    return waits


def kingman(
    arrival_rate: float, service_mean_s: float, arrival_scv: float, service_scv: float
) -> float:
    """Approximate mean wait in seconds of one server with any arrivals and service.

    ρ / (1 - ρ) · (c_a² + c_s²) / 2 · mean service.  Exact for M/G/1, good near saturation,
    poor for smooth arrivals at light load.
    """
    return allen_cunneen(1, arrival_rate, service_mean_s, arrival_scv, service_scv)


def kingman_bound(
    arrival_rate: float, service_mean_s: float, arrival_scv: float, service_scv: float
) -> float:
    """Upper bound of the mean wait of one server (Kingman 1962): λ (σ_a² + σ_s²) / (2 (1 - ρ))."""
    check_stable(arrival_rate, 1 / service_mean_s)
    variance = arrival_scv / arrival_rate**2 + service_scv * service_mean_s**2
    return arrival_rate * variance / (2 * (1 - arrival_rate * service_mean_s))


def allen_cunneen(
    servers: int, arrival_rate: float, service_mean_s: float, arrival_scv: float, service_scv: float
) -> float:
    """Approximate mean wait in seconds of several servers: M/M/c's times (c_a² + c_s²) / 2."""
    check_positive("service_mean_s", service_mean_s)
    check_stable(arrival_rate, servers / service_mean_s)
    waiting = erlang_c(servers, arrival_rate * service_mean_s)
    exponential_s = waiting / (servers / service_mean_s - arrival_rate)
    return exponential_s * (arrival_scv + service_scv) / 2
