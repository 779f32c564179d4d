"""The whole measurement of the bench in one call, for the recorded file and for tests."""

from __future__ import annotations

import platform

from syslab.loadtest.generators import closed_loop, open_loop, overhead
from syslab.loadtest.results import Results
from syslab.loadtest.service import Service
from syslab.queueing import Hedge, Lognormal, Mixture, Poisson, Regular, Stall

FAST, SLOW = Lognormal(0.01, cv=0.3), Lognormal(0.1, cv=0.3)
REPLICAS = 6
PER_SECOND = 200.0
DELAY_S = 0.03
PACE_PER_SECOND = 50.0
STALL = Stall(at_s=1.0, length_s=0.4)


def work(slow: float = 0.02) -> Mixture:
    """Most requests take 10 ms, a share of `slow` ten times as long: a cold cache, a log page."""
    return Mixture((1 - slow, FAST), (slow, SLOW))


def machine(date: str | None = None) -> dict:
    """Describe this machine: CPU, cores, memory, versions; no host or user name."""
    import psutil

    from syslab.roofline.machine import cpu_model, usable_cores

    return {
        "date": date,
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
    }


def everything(date: str, command: str = "", duration_s: float = 4.0, seed: int = 1) -> Results:
    """Measure the five runs of the bench, four times `duration_s` and a little more.

    Parameters
    ----------
    date : str
        The day, as it shall stand in the file: ``"2026-11-22"``.
    command : str
        How this was called; by default this call.
    duration_s : float
        Of each run, at least 2 s; the overhead takes 1 s.
    seed : int
    """
    if not duration_s >= 2:
        raise ValueError(f"duration_s is {duration_s}; 2 s or more hold the stall")
    arrivals, pace = Poisson(PER_SECOND), Regular(PACE_PER_SECOND)
    with Service(work(), REPLICAS, seed=seed) as live:
        runs = {
            "overhead": overhead(live, arrivals, 1.0, seed=seed),
            "open": open_loop(live, arrivals, duration_s, seed=seed),
            "hedged": open_loop(live, arrivals, duration_s, seed=seed, hedge=Hedge(DELAY_S)),
            "closed": closed_loop(live, PACE_PER_SECOND, duration_s, seed=seed, stalls=(STALL,)),
            "stalled": open_loop(live, pace, duration_s, seed=seed, stalls=(STALL,)),
        }
    call = f"measure.everything(date={date!r}, duration_s={duration_s:g})"
    command = command or f"from syslab.loadtest import measure; {call}"
    return Results.from_logs(
        live, STALL, DELAY_S, machine=machine(date), date=date, command=command, **runs
    )
