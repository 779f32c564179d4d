"""Hedges, timeouts, retries, refusals and priorities: by hand, and against closed forms."""

import math

import numpy as np
import pytest

from syslab import queueing as q
from syslab.queueing import theory


class Scripted:
    """Service times laid down in advance: first copies, then everything sent later."""

    def __init__(self, first, later=(1.0,)):
        self.first, self.later, self.mean = np.array(first, float), np.array(later, float), 1.0

    def sample(self, rng, size):
        return self.first if size == self.first.size else np.resize(self.later, size)


def play(times, first, later=(1.0,), servers=2, routing=q.RoundRobin(), **policies):  # noqa: B008
    """A run of a few requests whose every time is known."""
    return q.simulate(
        q.At(times), Scripted(first, later), servers, len(times), seed=0, routing=routing,
        warmup=0.0, **policies,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cancel", "finish", "busy"),
    [
        # Request 0 runs on server 0 from 0; hedged at 3, its copy (2 s) runs on server 1 to 5.
        # Request 1 runs on server 1 from 1 to 2.  Request 2 (4 s) queues at server 0 at 2.5 and is
        # hedged at 5.5 on server 1: the copy (2 s) ends at 7.5.
        ("all", [5, 2, 7.5], 5 + 2 + 1 + 2 + 2.5),  # server 0 is free at 5 and runs request 2 too
        ("queued", [5, 2, 7.5], 10 + 2 + 1 + 2),  # server 0 runs to 10; request 2 leaves its queue
        ("none", [5, 2, 7.5], 10 + 2 + 1 + 2 + 4),
    ],
)
def test_a_hedge_by_hand(cancel, finish, busy):
    run = play([0, 1, 2.5], [10, 1, 4], [2], hedge=q.Hedge(3, cancel=cancel))
    assert run.finish_s.tolist() == finish
    assert run.work.kind.tolist() == [0, 0, 0, 1, 1]
    copies_s = run.work.end_s - run.work.start_s
    assert np.nansum(copies_s) == busy
    assert run.extra_copies == pytest.approx(2 / 3)


def test_who_hedges_the_same_work_gains_nothing_from_another_server():
    run = play([0], [10], [2], hedge=q.Hedge(3, same_work=True))
    assert run.finish_s.tolist() == [10]
    assert run.work.end_s.tolist() == [10, 10]  # the copy would have run to 13: stopped
    assert play([0], [10], [2], hedge=q.Hedge(3)).finish_s.tolist() == [5]


def test_a_hedge_budget_is_kept():
    common = {
        "arrivals": q.Poisson(400),
        "service": q.Lognormal(0.01, cv=3),
        "servers": 10,
        "requests": 20_000,
        "seed": 1,
        "routing": q.Random(),
    }
    free = q.simulate(**common, hedge=q.Hedge(0.01))
    tight = q.simulate(**common, hedge=q.Hedge(0.01, budget=0.05))
    assert free.extra_copies > 0.2
    assert 0.045 < tight.extra_copies <= 0.05
    assert q.simulate(**common, hedge=q.Hedge(0.01, budget=0)).extra_copies == 0


def test_tied_requests_by_hand():
    # Request 0 starts at once on server 0: no second copy.  Request 1 on server 1, to 1.2.
    # Request 2 queues at both; server 1 is free first and calls the copy at server 0 off.
    run = play([0, 0.2, 0.5], [10, 1, 4], [2], hedge=q.Tied())
    assert run.finish_s.tolist() == [10, 1.2, 3.2]
    assert run.wasted == 0
    # With half a second of message delay request 0 starts on both servers and both run; the first
    # answer stops the other.
    run = play([0], [10], [2], hedge=q.Tied(message_s=0.5))
    assert run.finish_s.tolist() == [2]
    assert run.work.end_s.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("knows", "outcome", "finish", "start", "end"),
    [
        # One server, patience 3 s.  It works on request 0 to 5, then on 1 and 2, for nobody.
        ("never", [2, 2, 2], [3, 4.5, 5.5], [0, 5, 6], [5, 6, 7]),
        # Request 1 leaves the queue at 4.5; request 2 starts at 5, too late.
        ("queued", [2, 2, 2], [3, 4.5, 5.5], [0, np.nan, 5], [5, 4.5, 6]),
        # The server stops request 0 at 3, in time for both others.
        ("all", [2, 0, 0], [3, 4, 5], [0, 3, 4], [3, 4, 5]),
    ],
)
def test_timeouts_by_hand(knows, outcome, finish, start, end):
    run = play([0, 1.5, 2.5], [5, 1, 1], servers=1, timeout=q.Timeout(3, knows))
    assert run.outcome.tolist() == outcome
    assert run.finish_s.tolist() == finish
    assert np.array_equal(run.work.start_s, start, equal_nan=True)
    assert run.work.end_s.tolist() == end
    assert run.timed_out == pytest.approx(np.mean(np.array(outcome) == 2))
    assert run.work.useful.tolist() == [o == 0 for o in outcome]


def test_a_retry_by_hand():
    # Given up at 3, asked again at 3 + 1: the server is busy with the first try to 5, so the second
    # (1 s) runs from 5 to 6, inside its own 3 s.
    run = play(
        [0], [5], [1], servers=1, timeout=q.Timeout(3), retry=q.Retry(2, backoff_s=1, jitter=False)
    )
    assert run.finish_s.tolist() == [6]
    assert run.sent_s.tolist() == [0, 4]
    assert (run.tries[0], run.outcome[0], run.extra_copies) == (2, 0, 1)
    assert run.work.useful.tolist() == [False, True]
    # A third try waits twice as long as the second.
    run = play(
        [0], [50], [9], servers=3, timeout=q.Timeout(3), retry=q.Retry(3, 1, jitter=False),
        routing=q.SharedQueue(),
    )  # fmt: skip
    assert run.sent_s.tolist() == [0, 4, 9]
    assert (run.outcome[0], run.finish_s[0]) == (2, 12)


def test_jitter_spreads_the_retries():
    run = q.simulate(
        q.Regular(1), q.Deterministic(0.9), 4, 2000, seed=1, timeout=q.Timeout(0.5),
        retry=q.Retry(2, backoff_s=0.2),
    )  # fmt: skip
    waits = np.sort(run.sent_s)[1::2] - np.arange(1, 2001) - 0.5
    assert waits.min() >= 0
    assert waits.max() < 0.2
    assert waits.mean() == pytest.approx(0.1, abs=0.005)
    assert run.success == 0


def test_a_retry_budget_is_a_share_of_the_requests():
    common = {
        "arrivals": q.Poisson(100),
        "service": q.Deterministic(1.0),
        "servers": 10,
        "requests": 10_000,
        "seed": 3,
        "timeout": q.Timeout(0.5, "all"),
    }
    assert q.simulate(**common, retry=q.Retry(4)).extra_copies == 3
    kept = q.simulate(**common, retry=q.Retry(4, budget=0.1, burst=10))
    assert kept.extra_copies == pytest.approx(0.1, abs=0.0015)
    assert (kept.tries - 1).sum() <= 0.1 * 10_000 + 10


def test_refusals_by_hand():
    run = play([0, 1, 2], [5, 1, 1], servers=1, shed=q.Shed(waiting=1))
    assert run.outcome.tolist() == [0, 0, 1]
    assert run.finish_s.tolist() == [5, 6, 2]
    assert math.isnan(run.start_s[2])
    assert run.server[2] == -1
    assert run.refused == pytest.approx(1 / 3)
    # Dropped at the head of the queue: at 5 request 1 has waited 4 s, request 2 only 1.5 s.
    run = play([0, 1, 3.5], [5, 1, 1], servers=1, shed=q.Shed(wait_s=2))
    assert run.outcome.tolist() == [0, 1, 0]
    assert run.finish_s.tolist() == [5, 5, 6]


def test_priorities_by_hand():
    run = q.simulate(
        q.At([0, 1, 2, 3, 4]), Scripted([10] * 5), 1, 5, seed=0, warmup=0.0,
        priorities=q.Priorities(0.5, 0.5),
    )  # fmt: skip
    order = np.argsort(run.start_s)
    waiting = [i for i in order if i > 0]  # request 0 is not interrupted, whatever its class
    assert order[0] == 0
    assert waiting == sorted(waiting, key=lambda i: (run.priority[i], i))


@pytest.mark.parametrize(
    ("servers", "room", "load"), [(1, 4, 0.9), (3, 3, 2.0), (10, 10, 8.0), (4, 9, 6.0)]
)
def test_refusals_are_those_of_the_bounded_queue(servers, room, load):
    run = q.simulate(
        q.Poisson(load), q.Exponential(1), servers, 600_000, seed=2, shed=q.Shed(room - servers)
    )
    paper = theory.MMcK(servers, room, load, 1)
    assert run.refused == pytest.approx(paper.refused, rel=0.02)
    assert run.sojourn.mean == pytest.approx(paper.mean_sojourn_s, rel=0.02)
    assert run.utilization == pytest.approx(paper.utilization, rel=0.01)


def test_the_less_urgent_are_refused_first():
    run = q.simulate(
        q.Poisson(15), q.Exponential(0.1), 1, 100_000, seed=2,
        priorities=q.Priorities(0.4, 0.6), shed=q.Shed((50, 5)),
    )  # fmt: skip
    assert run.of_class(0).refused < 0.001
    assert run.of_class(1).refused > 0.5
    assert run.of_class(0).sojourn.percentile(99) < 1.5
    whole = 0.4 * run.of_class(0).success + 0.6 * run.of_class(1).success
    assert run.success == pytest.approx(whole, abs=0.005)


def test_priority_waits_are_cobhams():
    run = q.simulate(
        q.Poisson(80), q.Exponential(0.01), 1, 1_000_000, seed=3,
        priorities=q.Priorities(0.25, 0.5, 0.25),
    )  # fmt: skip
    paper = theory.cobham([20, 40, 20], [0.01] * 3, [1] * 3)
    for p in range(3):
        assert run.of_class(p).waiting.mean == pytest.approx(paper[p], rel=0.05)


def test_patience_is_erlang_a_seen_from_the_ends():
    # M/M/c whose customers leave the queue: with short patience a loss system, with long patience
    # an Erlang C one.
    short = q.simulate(
        q.Poisson(8), q.Exponential(1), 10, 400_000, seed=1, shed=q.Shed(wait_s=1e-9)
    )
    assert short.refused == pytest.approx(theory.erlang_b(10, 8), rel=0.03)
    long = q.simulate(q.Poisson(8), q.Exponential(1), 10, 400_000, seed=1, shed=q.Shed(wait_s=1e9))
    assert long.waiting.share_above(0) == pytest.approx(theory.erlang_c(10, 8), rel=0.03)


def test_hedging_at_light_load_is_what_it_is_on_paper():
    service = q.Lognormal(0.01, cv=2.5)
    after_s = service.percentile(95)
    common = {
        "arrivals": q.Poisson(20),
        "service": service,
        "servers": 100,
        "requests": 400_000,
        "seed": 4,
    }
    alone = q.simulate(**common, routing=q.ShortestQueue())
    run = q.simulate(**common, routing=q.ShortestQueue(), hedge=q.Hedge(after_s))
    assert run.extra_copies == pytest.approx(0.05, rel=0.05)
    for percent in (90, 99, 99.9):
        paper = theory.hedged_percentile(service, after_s, percent)
        assert run.sojourn.percentile(percent) == pytest.approx(paper, rel=0.05)
    assert run.sojourn.percentile(99.9) < alone.sojourn.percentile(99.9) / 2


def test_hedging_within_a_fan_out():
    service = q.Mixture((0.99, q.Exponential(0.01)), (0.01, q.Deterministic(1.0)))
    common = {
        "arrivals": q.Poisson(2),
        "service": service,
        "servers": 100,
        "requests": 20_000,
        "seed": 5,
        "fan_out": 50,
        "routing": q.RoundRobin(),
    }
    alone = q.simulate(**common)
    hedged = q.simulate(**common, hedge=q.Hedge(0.06))
    slow = alone.sojourn.share_above(0.9)
    assert slow == pytest.approx(theory.amplification(0.01, 50), abs=0.05)
    assert hedged.sojourn.share_above(0.9) < 0.05
    assert hedged.extra_copies < 0.03
    assert hedged.leaf_s.max(axis=1) == pytest.approx(hedged.finish_s - hedged.arrival_s)


def storm(rate, **policies):
    """Ten servers of 10 per second each; three times what they can do for three seconds."""
    phases = q.Steps((60, rate), (3, 300), (120, rate))
    run = q.simulate(
        phases, q.Exponential(0.1), 10, int(phases.expected), seed=1, timeout=q.Timeout(1.0),
        warmup=0.0, **policies,
    )  # fmt: skip
    shown = q.timeline(run, 1.0)
    late = slice(160, 180)
    return shown.answered_per_s[late].mean() / rate, shown


@pytest.mark.parametrize(
    ("rate", "budget"), [(20, None), (50, None), (70, None), (70, 0.1), (80, 0.1)]
)
def test_a_retry_storm_outlives_its_trigger_where_the_theory_says(rate, budget):
    after, shown = storm(rate, retry=q.Retry(3, backoff_s=0.1, budget=budget))
    state = theory.overload_state(rate, 100, 3, budget)
    assert shown.answered_per_s[30:60].mean() == pytest.approx(rate, rel=0.1)  # fine before
    if state == "vulnerable":
        assert after < 0.05
        assert shown.utilization[160:180].mean() == pytest.approx(1)  # fully busy, for nobody
        assert shown.useful[160:180].mean() < 0.05
        assert shown.sent_per_s[160:180].mean() == pytest.approx(3 * rate, rel=0.1)
    else:
        assert state == "stable"
        assert after == pytest.approx(1, rel=0.1)
    assert state == ("vulnerable" if budget is None and rate > 33 else "stable")


def test_a_server_that_knows_the_deadline_leaves_the_storm():
    after, _ = storm(70, retry=q.Retry(3, backoff_s=0.1))
    assert after < 0.05
    for cure in (
        {"shed": q.Shed(waiting=20)},
        {"shed": q.Shed(wait_s=0.5)},
    ):
        after, _ = storm(70, retry=q.Retry(3, backoff_s=0.1), **cure)
        assert after == pytest.approx(1, rel=0.1)


def test_a_full_table_changes_nothing(monkeypatch):
    from syslab.queueing import _engine

    common = {
        "arrivals": q.Poisson(95),
        "service": q.Exponential(0.1),
        "servers": 10,
        "requests": 3000,
        "seed": 2,
        "routing": q.Random(),
        "hedge": q.Hedge(0.1),
        "timeout": q.Timeout(0.8),
        "retry": q.Retry(3, 0.01),
    }
    roomy = q.simulate(**common)
    real, calls = _engine._tables_for, []

    def cramped(plan, drawn, random, extra_s, attempts, events):
        calls.append(events)
        share = 2 ** min(len(calls) - 6, 0)
        keep = int(extra_s.size * share)
        attempts = 3000 + int((attempts - 3000) * share)
        return real(plan, drawn, random, extra_s[:keep], attempts, int(events * share))

    monkeypatch.setattr(_engine, "_tables_for", cramped)
    again = q.simulate(**common)
    assert len(calls) > 2
    assert np.array_equal(roomy.finish_s, again.finish_s)
    assert np.array_equal(roomy.work.server, again.work.server)


def test_a_timeline_adds_up():
    _, shown = storm(70, retry=q.Retry(3, backoff_s=0.1))
    assert shown.begin_s.tolist() == list(range(len(shown.begin_s)))
    run = q.simulate(q.Poisson(80), q.Exponential(0.1), 10, 40_000, seed=1, warmup=0.0)
    shown = q.timeline(run, 2.0)
    assert shown.arrivals_per_s.sum() * 2 == pytest.approx(40_000, abs=400)
    assert np.array_equal(shown.sent_per_s, shown.arrivals_per_s)
    assert shown.utilization.mean() == pytest.approx(run.utilization, rel=0.01)
    for i in (0, 7, 100):
        inside = (run.finish_s >= 2 * i) & (run.finish_s < 2 * i + 2)
        latency = q.Sample((run.finish_s - run.arrival_s)[inside])
        assert shown.answered_per_s[i] == inside.sum() / 2
        assert (shown.p50_s[i], shown.p99_s[i]) == (latency.median, latency.percentile(99))
        end = 2 * i + 2
        assert shown.in_system[i] == np.sum((run.arrival_s <= end) & (run.finish_s > end))
