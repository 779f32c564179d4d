"""Queues: how load, variability and fan-out turn into latency, simulated and in closed form.

    run = simulate(arrivals=Poisson(80), service=Exponential(0.01), servers=1,
                   requests=100_000, seed=1)
    run.sojourn.percentile(99), run.utilization, run.confidence("p99")

simulation     simulate(): first come, first served, on any number of servers
arrivals       Poisson, Regular, Renewal, Steps (changing rate), At (given times)
distributions  Exponential, Deterministic, Erlang, Lognormal, Hyperexponential; heavy: Pareto,
               BoundedPareto; observed: Empirical, Mixture
routing        SharedQueue, Random, RoundRobin, ShortestQueue, PowerOf (d choices)
policies       Hedge, Tied, Timeout, Retry, Shed, Priorities
run            Run: a record of every request, and what to read off it; over_time: timeline()
sample         Sample: percentiles of values; histogram, digest: the same when memory is bounded
confidence     batch_means(): how far to trust one run; warmup: mser()
omission       load generators that wait for answers, the repair, and a detector
theory         closed forms: Erlang, M/M/c, Pollaczek-Khinchine, Kingman, amplification, …

All times are in seconds and all rates per second.  Simulations are compiled by numba on first use
(about ten seconds, once) and repeat exactly for the same seed.
"""

from syslab.queueing import theory
from syslab.queueing.arrivals import At, Poisson, Regular, Renewal, Steps
from syslab.queueing.confidence import Estimate, batch_means
from syslab.queueing.digest import Digest
from syslab.queueing.distributions import (
    Deterministic,
    Erlang,
    Exponential,
    Hyperexponential,
    Lognormal,
)
from syslab.queueing.heavy import BoundedPareto, Pareto
from syslab.queueing.histogram import Histogram, average_of_percentiles, merged_percentile
from syslab.queueing.observed import Empirical, Mixture
from syslab.queueing.omission import LoadTrace, Stall, closed_loop, correct, detect, open_loop
from syslab.queueing.over_time import Timeline, timeline
from syslab.queueing.policies import Hedge, Priorities, Retry, Shed, Tied, Timeout
from syslab.queueing.routing import PowerOf, Random, RoundRobin, SharedQueue, ShortestQueue
from syslab.queueing.run import Run
from syslab.queueing.sample import Sample
from syslab.queueing.simulation import simulate
from syslab.queueing.warmup import mser

__all__ = [
    "At",
    "BoundedPareto",
    "Deterministic",
    "Digest",
    "Empirical",
    "Erlang",
    "Estimate",
    "Exponential",
    "Hedge",
    "Histogram",
    "Hyperexponential",
    "LoadTrace",
    "Lognormal",
    "Mixture",
    "Pareto",
    "Poisson",
    "PowerOf",
    "Priorities",
    "Random",
    "Regular",
    "Renewal",
    "Retry",
    "RoundRobin",
    "Run",
    "Sample",
    "SharedQueue",
    "Shed",
    "ShortestQueue",
    "Stall",
    "Steps",
    "Tied",
    "Timeline",
    "Timeout",
    "average_of_percentiles",
    "batch_means",
    "closed_loop",
    "correct",
    "detect",
    "merged_percentile",
    "mser",
    "open_loop",
    "simulate",
    "theory",
    "timeline",
]
