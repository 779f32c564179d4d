"""Oracles for arch-08: exact arithmetic, chains of states, and what happens request by request."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext

import numpy as np

DIGITS = 60


def slow_share(p: float, n: int) -> float:
    """P(any of `n` is slow) by multiplying n factors out in 60 digits."""
    with localcontext() as context:
        context.prec = DIGITS
        return float(1 - (1 - Decimal(p)) ** n)


def leaf_budget(target: float, n: int) -> float:
    """Largest p whose ``slow_share`` is `target`, by halving an interval in 60 digits."""
    with localcontext() as context:
        context.prec = DIGITS
        low, high, wanted = Decimal(0), Decimal(target), Decimal(target)
        for _ in range(180):
            middle = (low + high) / 2
            low, high = (middle, high) if 1 - (1 - middle) ** n < wanted else (low, middle)
        return float(high)


def chain(servers: int, offered: float) -> np.ndarray:
    """P(k requests inside), k = 0, 1, …, balancing the flow between neighbours, in logarithms."""
    utilization = offered / servers
    if not 0 < utilization < 1:
        raise ValueError(f"offered is {offered}; it must lie between 0 and {servers} servers")
    waiting = int(np.ceil(np.log(1e-20) / np.log(utilization)))
    inside = np.arange(1, servers + waiting + 1)
    logs = np.r_[0.0, np.cumsum(np.log(offered / np.minimum(inside, servers)))]
    weights = np.exp(logs - logs.max())
    return weights / weights.sum()


def wait_share(servers: int, offered: float) -> float:
    """Share of arrivals that find all servers busy."""
    return float(chain(servers, offered)[servers:].sum())


def wait_tail(servers: int, arrival_rate: float, service_rate: float, t: float) -> float:
    """P(wait > t): with j ahead in the queue, at most j services end within t seconds."""
    from scipy.special import gammaincc

    queued = chain(servers, arrival_rate / service_rate)[servers:]
    if t <= 0:
        return float(queued.sum())
    return float(queued @ gammaincc(np.arange(1, queued.size + 1), servers * service_rate * t))


def wait_percentile(servers: int, arrival_rate: float, service_rate: float, q: float) -> float:
    """Wait in seconds that `q` percent do not exceed, by halving an interval."""
    left, low, high = 1 - q / 100, 0.0, 1 / service_rate
    if wait_tail(servers, arrival_rate, service_rate, 0.0) <= left:
        return 0.0
    while wait_tail(servers, arrival_rate, service_rate, high) > left:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        late = wait_tail(servers, arrival_rate, service_rate, middle) > left
        low, high = (middle, high) if late else (low, middle)
    return high


def sojourn_percentile(arrival_rate: float, service_rate: float, q: float) -> float:
    """Of one server: who meets k inside stays for k + 1 exponential services."""
    from scipy.optimize import brentq
    from scipy.special import gammaincc

    inside = chain(1, arrival_rate / service_rate)
    stages = np.arange(1, inside.size + 1)
    slowest_s = 100 / (service_rate - arrival_rate)
    return brentq(
        lambda t: inside @ gammaincc(stages, service_rate * t) - (1 - q / 100), 0.0, slowest_s
    )


def fewest_servers(arrival_rate: float, service_rate: float, q: float, wait_s: float) -> int:
    """Servers added one by one until no more than 100 - q percent wait longer than `wait_s`."""
    servers = int(arrival_rate / service_rate) + 1
    while wait_tail(servers, arrival_rate, service_rate, wait_s) > 1 - q / 100:
        servers += 1
    return servers


def mean_wait(service_s: Sequence[float], arrival_rate: float, seed: int) -> tuple[float, float]:
    """Mean wait of one server and its standard error: forty queues played from empty.

    A wait is the last one, plus the service before, less the gap between the arrivals, and never
    below zero; so it is the sum of these steps above its own lowest point.
    """
    rng = np.random.default_rng(seed)
    requests, skipped = 20_000, 2_000
    means = []
    for _ in range(40):
        steps = rng.choice(np.asarray(service_s, dtype=float), requests)
        steps -= rng.exponential(1 / arrival_rate, requests)
        level = np.r_[0.0, np.cumsum(steps)]
        means.append((level - np.minimum.accumulate(level))[skipped:].mean())
    return float(np.mean(means)), float(np.std(means, ddof=1) / np.sqrt(len(means)))


def spread_out(counts: Sequence[Sequence[int]], upper_s: Sequence[float], q: float) -> float:
    """Percentile of a histogram of several hosts, by writing every request down."""
    values = np.sort(np.concatenate([np.repeat(upper_s, row) for row in counts]))
    rank = next(r for r in range(1, values.size + 1) if 100 * r >= q * values.size - 1e-6)
    return float(values[rank - 1])


def put_back(latency_s: Sequence[float], interval_s: float) -> list[float]:
    """A log of one waiting client with the requests it did not send, one by one, in whole ns."""
    every = round(interval_s * 1e9)
    repaired = []
    for latency in latency_s:
        left = round(latency * 1e9)
        repaired.append(left)
        while left - every >= every:
            left -= every
            repaired.append(left)
    return sorted(ns / 1e9 for ns in repaired)


def hedged(latency_s: Sequence[float], delay_s: float, rng: np.random.Generator) -> np.ndarray:
    """Hedged latencies, one request after the other: a copy goes out at `delay_s`, if at all."""
    values = np.asarray(latency_s, dtype=float)
    first, second = rng.choice(values, 400_000), rng.choice(values, 400_000)
    late = first > delay_s
    answered = first.copy()
    answered[late] = np.minimum(first[late], delay_s + second[late])
    return answered


def best_delay(latency_s: Sequence[float], share: float) -> float:
    """Earliest delay that at most `share` of the latencies exceed, counting down the slowest."""
    slowest = sorted(latency_s, reverse=True)
    return float(slowest[int(share * len(slowest))])


def convolved_percentile(hops: Sequence[Sequence[float]], q: float) -> float:
    """Percentile of the sum of independent hops: their histograms on one grid, convolved."""
    from scipy.signal import fftconvolve

    step_s = sum(float(np.max(hop)) for hop in hops) / 40_000
    mass = np.ones(1)
    for hop in hops:
        cells = np.round(np.asarray(hop, dtype=float) / step_s).astype(int)
        mass = fftconvolve(mass, np.bincount(cells) / cells.size)
    return float(np.searchsorted(np.cumsum(mass), q / 100) * step_s)


def recovers(
    arrival_rate: float,
    capacity: float,
    attempts: int,
    budget: float,
    *,
    servers: int = 10,
    service=None,
    timeout_s: float | None = None,
    seed: int = 1,
) -> bool:
    """Whether clients are answered again after three times the load for 300 services per server.

    The trigger goes, the retries stay; the verdict is over the last tenth of 60,000 services per
    server.  Without a distribution of its own, `service` is exponential, and clients wait for
    five mean services.
    """
    from syslab.queueing import Exponential, Retry, Steps, Timeout, simulate

    mean_s = servers / capacity
    service, timeout_s = service or Exponential(mean_s), timeout_s or 5 * mean_s
    trigger_s, after_s = 300 / capacity, 60_000 / capacity
    phases = (
        (1_000 / capacity, arrival_rate),
        (trigger_s, 3 * arrival_rate),
        (after_s, arrival_rate),
    )
    run = simulate(
        Steps(*phases),
        service,
        servers,
        int(sum(length_s * rate for length_s, rate in phases)),
        seed=seed,
        timeout=Timeout(timeout_s),
        retry=Retry(attempts=attempts, budget=max(0.0, budget), burst=10),
        warmup=0.0,
    )
    late = run.arrival_s > run.arrival_s[-1] - after_s / 10
    return bool((run.outcome[late] == 0).mean() > 0.9)
