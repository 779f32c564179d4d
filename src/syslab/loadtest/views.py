"""The service of the bench, simulated, with sliders: its tail, and its retry storm."""

from __future__ import annotations

import math

import numpy as np

from syslab import plotting
from syslab.loadtest.measure import work
from syslab.plotting import COLOURS, GREY, Choice, Live, Slider
from syslab.queueing import Hedge, Poisson, Random, Retry, Run, Steps, Timeout, simulate, timeline

OFF = "off"
SLICES = 50
MOST_LEAVES = 20_000  # of one redraw; with hedging about 40 ms of simulation
STORM_SERVERS, STORM_TIMEOUT_S = 4, 0.15
STORM_S, SURGE_AT_S, CUT_S = 15.0, 2.0, (7.0, 10.0)
SURGE_LOAD = 2.0


def tail(
    load: float = 0.4, servers: int = 6, fan_out: int = 1, slow: float = 0.02,
    hedge_s: float | None = None, requests: int = 20_000, seed: int = 1,
) -> Run:  # fmt: skip
    """Simulate `servers` replicas behind a client that picks one at random.

    Parameters
    ----------
    load : float
        Utilisation without hedging, in (0, 1).
    servers : int
        Replicas of every leaf.
    fan_out : int
        Leaves that a request waits for, all of them.
    slow : float
        Share of requests that take 100 ms instead of 10.
    hedge_s : float, optional
        Delay of the second copy; the loser is called off.
    requests : int
        Simulated at most; fewer where requests × fan_out would exceed 20,000 leaves.
    seed : int
    """
    service = work(slow)
    return simulate(
        Poisson(load * servers / service.mean), service, servers * fan_out,
        max(1, min(requests, MOST_LEAVES // fan_out)), seed=seed, routing=Random(),
        fan_out=fan_out, hedge=None if hedge_s is None else Hedge(hedge_s),
    )  # fmt: skip


def storm(
    load: float = 0.4, surge_s: float = 0.3, attempts: int = 3, budget: float | None = None,
    cut: float = 0.0, seed: int = 1,
) -> Run:  # fmt: skip
    """Simulate four workers behind one queue, clients that time out, and a surge.

    Parameters
    ----------
    load : float
        Utilisation by first tries, before and after the surge.
    surge_s : float
        Length of the surge, which begins at 2 s with twice the capacity.
    attempts : int
        Tries in all; 1: no retry.
    budget : float, optional
        Tokens that each first try earns for retries; None: retry without limit.
    cut : float
        Share of the load that is turned away between 7 and 10 s, in [0, 1).
    seed : int
    """
    service = work()
    capacity = STORM_SERVERS / service.mean
    steady = load * capacity
    phases = (
        (SURGE_AT_S, steady), (surge_s, SURGE_LOAD * capacity),
        (CUT_S[0] - SURGE_AT_S - surge_s, steady), (CUT_S[1] - CUT_S[0], (1 - cut) * steady),
        (STORM_S - CUT_S[1], steady),
    )  # fmt: skip
    arrivals = Steps(*phases)
    retry = Retry(attempts, budget=budget) if attempts > 1 else None
    return simulate(
        arrivals, service, STORM_SERVERS, round(1.05 * arrivals.expected), seed=seed,
        timeout=Timeout(STORM_TIMEOUT_S), retry=retry, warmup=0,
    )  # fmt: skip


def tail_view() -> Live:
    """Return the tail and its course over time, with a slider for each cause."""
    fig, (left, right) = plotting.figure(820, 370, columns=2)
    begin = tail()
    left.set(xscale="log", yscale="log", xlim=(5, 3000), ylim=(1e-4, 1.2),
             xlabel="latency t, ms", ylabel="share of requests above t",
             title="Tail: how many take longer than t")  # fmt: skip
    right.set(yscale="log", xlim=(0, 100), ylim=(5, 3000), xlabel="time, % of the run",
              ylabel="latency, ms", title="Over time: fifty slices")  # fmt: skip
    for ax, axis in ((left, left.xaxis), (right, right.yaxis)):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.grid(visible=True, which="major")
    t_s, above = begin.sojourn.tail()
    left.plot(1e3 * t_s, above, color=GREY, ls=":", label="first setting", zorder=2)
    moving = {"animated": True, "zorder": 3}
    (tail_line,) = left.plot([], [], color=COLOURS[0], label="this setting", **moving)
    (middle,) = right.plot([], [], color=COLOURS[0], label="median of the slice", **moving)
    (high,) = right.plot([], [], color=COLOURS[1], label="p99 of the slice", **moving)
    left.legend(loc="lower left")
    right.legend(loc="upper right")

    def draw(load, servers, fan_out, slow, hedge) -> str:
        run = tail(load / 100, servers, fan_out, slow / 100, None if hedge == OFF else hedge / 1e3)
        t_s, above = run.sojourn.tail()
        tail_line.set_data(1e3 * t_s, above)
        each = len(run.sojourn) // SLICES
        parts = np.sort(1e3 * run.sojourn.values[: each * SLICES].reshape(SLICES, each), axis=1)
        x = (np.arange(SLICES) + 0.5) * 100 / SLICES
        middle.set_data(x, parts[:, math.ceil(0.50 * each) - 1])
        high.set_data(x, parts[:, math.ceil(0.99 * each) - 1])
        return tail_numbers(run)

    return plotting.live(
        draw, fig,
        "Two panels. Left: share of requests above t on logarithmic axes, with a shoulder where "
        "one in fifty requests is slow. Right: median and p99 of fifty slices of the run.",
        load=Slider(5, 95, 40, steps=18, unit="%"), servers=Slider(2, 16, 6, steps=14),
        fan_out=Slider(1, 20, 1, log=True, steps=10), slow=Slider(0.0, 10.0, 2.0, steps=20,
                                                                  unit="%"),
        hedge=Choice([OFF, 5, 10, 20, 30, 50, 100]),
    )  # fmt: skip


def tail_numbers(run: Run) -> str:
    """Return the numbers to read from the tail, as a line of text."""
    p50, p99 = 1e3 * run.sojourn.percentile([50, 99])
    far = f", p99.9 {1e3 * run.sojourn.percentile(99.9):.0f} ms" if len(run.sojourn) >= 1e4 else ""
    return (
        f"p50 {p50:.1f} ms, p99 {p99:.0f} ms{far}; servers busy {run.utilization:.0%}, "
        f"copies +{run.extra_copies:.1%}"
    )


def storm_view() -> Live:
    """Return tries and answers over time, with sliders that cause a storm and end it."""
    fig, ax = plotting.figure(760, 370)
    capacity = STORM_SERVERS / work().mean
    ax.set(xlim=(0, STORM_S), ylim=(0, 4 * capacity), xlabel="time, s",
           ylabel="per second", title="Tries sent and answers received")  # fmt: skip
    ax.axhline(capacity, color=GREY, lw=1, ls=":")
    ax.annotate(f"capacity\n{capacity:.0f} per s", (STORM_S, capacity), (5, 0), ha="left",
                va="center", textcoords="offset points", fontsize=9, color=GREY,
                annotation_clip=False)  # fmt: skip
    ax.axvspan(*CUT_S, color="#F0F0F0", zorder=0)
    ax.annotate("cut", (sum(CUT_S) / 2, 1), (0, -12), xycoords=("data", "axes fraction"),
                textcoords="offset points", ha="center", fontsize=9, color=GREY)  # fmt: skip
    moving = {"animated": True, "zorder": 3}
    (sent,) = ax.step([], [], where="post", color=COLOURS[1], label="tries, retries included",
                      **moving)  # fmt: skip
    (good,) = ax.step([], [], where="post", color=COLOURS[0], label="answers in time", **moving)
    ax.legend(loc="upper right")

    def draw(load, surge, attempts, budget, cut) -> str:
        run = storm(load / 100, surge, attempts, None if budget == OFF else budget, cut / 100)
        line = timeline(run, 0.25)
        sent.set_data(line.begin_s, line.sent_per_s)
        good.set_data(line.begin_s, line.answered_per_s)
        return storm_numbers(run)

    return plotting.live(
        draw, fig,
        "Tries and answers per second over 15 s. A surge at 2 s; afterwards tries stay above "
        "capacity and answers at zero.",
        load=Slider(10, 80, 40, steps=14, unit="%"),
        surge=Slider(0.1, 1.0, 0.3, steps=9, unit="s"), attempts=Slider(1, 5, 3, steps=4),
        budget=Choice([OFF, 0.5, 0.2, 0.1, 0.0]), cut=Slider(0, 95, 0, steps=19, unit="%"),
    )  # fmt: skip


def storm_numbers(run: Run) -> str:
    """Return how the run stood before the surge, before the cut and at the end, as text."""
    return "answered in time: " + ", ".join(
        f"{answered_between(run, *window):.0%} {when}"
        for window, when in (
            ((0.5, SURGE_AT_S), "before the surge"),
            ((CUT_S[0] - 2, CUT_S[0]), "2 s before the cut"),
            ((STORM_S - 2, STORM_S), "in the last 2 s"),
        )
    )


def answered_between(run: Run, begin_s: float, end_s: float) -> float:
    """Share of the requests that came in [begin_s, end_s) and got an answer."""
    came = (run.arrival_s >= begin_s) & (run.arrival_s < end_s)
    return float((run.outcome[came] == 0).mean())
