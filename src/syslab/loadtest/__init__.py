"""A real service under a real load generator, small enough for a laptop and a few seconds.

    with Service(Exponential(0.008), replicas=6, seed=1) as live:
        log = open_loop(live, Poisson(300), duration_s=3, seed=2)
    log.latency.percentile(99), log.lag.median, log.service.mean

service      Service: HTTP on loopback, replicas with workers and queues, in its own process
generators   open_loop (with hedge=, timeout=, retry=), closed_loop, overhead
log          Log: a record of every request, and what to read off it
results      Results: what the bench saves as my_tail.json, checked when it is read
measure      everything(): the whole measurement in one call
views        the same system simulated, with sliders

Distributions, arrivals, policies and stalls are those of ``syslab.queueing``, so that the same
plan can be simulated and measured.  The service runs as a process of its own and ends with the
``with`` block, on an error, on an interrupt, and when this process dies.
"""

from syslab.loadtest.generators import closed_loop, open_loop, overhead
from syslab.loadtest.log import Log
from syslab.loadtest.results import Results
from syslab.loadtest.service import Service

__all__ = ["Log", "Results", "Service", "closed_loop", "open_loop", "overhead"]
