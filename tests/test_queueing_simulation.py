"""The simulator against closed forms, against its own second engine and against its records."""

import subprocess
import sys

import numpy as np
import pytest

from syslab import queueing as q
from syslab.queueing import simulation, theory
from syslab.queueing.plan import Drawn, Plan


def close(estimate, truth, within):
    """The interval holds the truth and is narrow enough to mean something."""
    return truth in estimate and estimate.relative < within


@pytest.mark.parametrize("rho", [0.3, 0.8])
def test_mm1(rho):
    run = q.simulate(q.Poisson(100 * rho), q.Exponential(0.01), 1, 2_000_000, seed=11)
    paper = theory.MM1(100 * rho, 100)
    assert close(run.confidence("mean"), paper.mean_sojourn_s, 0.03)
    assert close(run.confidence("mean", of="waiting"), paper.mean_wait_s, 0.03)
    for name, percent in (("p50", 50), ("p99", 99), ("p99.9", 99.9)):
        assert close(run.confidence(name), paper.sojourn_percentile(percent), 0.1)
    assert close(run.confidence("utilization"), rho, 0.01)
    assert run.mean_in_system == pytest.approx(paper.mean_in_system, rel=0.03)
    waits = run.waiting.share_above(0.0)
    assert waits == pytest.approx(rho, rel=0.01)
    assert run.service.mean == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize(("servers", "rho"), [(3, 2 / 3), (10, 0.8), (40, 0.95)])
def test_mmc(servers, rho):
    run = q.simulate(q.Poisson(servers * rho), q.Exponential(1), servers, 2_000_000, seed=5)
    paper = theory.MMc(servers, servers * rho, 1)
    assert close(run.confidence("mean", of="waiting"), paper.mean_wait_s, 0.15)
    assert run.waiting.share_above(1e-9) == pytest.approx(paper.wait_probability, rel=0.02)
    assert close(run.confidence("p99"), paper.sojourn_percentile(99), 0.1)
    assert run.waiting.percentile(99) == pytest.approx(paper.wait_percentile(99), rel=0.05)


@pytest.mark.parametrize(
    "service",
    [
        q.Deterministic(0.01),
        q.Erlang(0.01, 3),
        q.Lognormal(0.01, cv=2),
        q.Hyperexponential(0.01, cv=3),
        q.BoundedPareto(0.002, 0.5, alpha=1.5),
    ],
    ids=repr,
)
def test_pollaczek_khinchine(service):
    rate = 0.7 / service.mean
    run = q.simulate(q.Poisson(rate), service, 1, 2_000_000, seed=9)
    paper = theory.MG1.of(rate, service)
    assert close(run.confidence("mean", of="waiting"), paper.mean_wait_s, 0.1)


def test_md1_percentiles():
    run = q.simulate(q.Poisson(80), q.Deterministic(0.01), 1, 1_000_000, seed=2)
    paper = theory.MD1(80, 0.01)
    for name, percent in (("p50", 50), ("p99", 99), ("p99.9", 99.9)):
        assert close(run.confidence(name), paper.sojourn_percentile(percent), 0.1)


def test_kingman_near_saturation_and_its_bound():
    gap, service = q.Hyperexponential(0.01, cv=2), q.Lognormal(0.0092, cv=1.5)
    run = q.simulate(q.Renewal(gap), service, 1, 4_000_000, seed=1)
    arguments = (100, service.mean, gap.scv, service.scv)
    assert run.waiting.mean == pytest.approx(theory.kingman(*arguments), rel=0.1)
    assert run.waiting.mean < theory.kingman_bound(*arguments)


def test_fork_join():
    # The closed form of Nelson and Tantawi: exact for two leaves, within 5 % up to 32.
    for fan_out, within in ((2, 0.01), (10, 0.05)):
        run = q.simulate(
            q.Poisson(60), q.Exponential(0.01), fan_out, 400_000, seed=4, fan_out=fan_out
        )
        assert run.sojourn.mean == pytest.approx(
            theory.fork_join_mean(60, 100, fan_out), rel=within
        )
        assert run.leaf.mean == pytest.approx(theory.MM1(60, 100).mean_sojourn_s, rel=0.02)


def test_fan_out_amplifies_as_the_paper_says():
    # 100 leaves, each slow 1 time in 100, at a load too light to queue (The Tail at Scale).
    service = q.Mixture((0.99, q.Deterministic(0.01)), (0.01, q.Deterministic(1.0)))
    run = q.simulate(q.Poisson(0.001), service, 100, 20_000, seed=8, fan_out=100)
    assert run.sojourn.share_above(0.5) == pytest.approx(theory.amplification(0.01, 100), abs=0.01)
    assert run.leaf.share_above(0.5) == pytest.approx(0.01, abs=0.001)


def test_two_choices_approach_the_mean_field():
    for choices in (1, 2, 3):
        run = q.simulate(
            q.Poisson(0.9 * 500), q.Exponential(1), 500, 600_000, seed=6,
            routing=q.PowerOf(choices),
        )  # fmt: skip
        paper = theory.choices_mean_sojourn(0.9, choices)
        assert run.sojourn.mean == pytest.approx(paper, rel=0.03 if choices > 1 else 0.06)


def test_routing_from_worst_to_best():
    means = [
        q.simulate(q.Poisson(800), q.Exponential(0.01), 10, 300_000, seed=1, routing=r).sojourn.mean
        for r in (q.Random(), q.RoundRobin(), q.PowerOf(2), q.ShortestQueue(), q.SharedQueue())
    ]
    assert means == sorted(means, reverse=True)
    assert means[0] == pytest.approx(theory.MM1(80, 100).mean_sojourn_s, rel=0.05)
    assert means[-1] == pytest.approx(theory.MMc(10, 800, 100).mean_sojourn_s, rel=0.02)


def loads_seen(run, servers):
    """Requests at each server when each request arrives, counted from the records alone."""
    ahead = []
    for i, now in enumerate(run.arrival_s):
        inside = (run.finish_s[:i] > now) & (run.arrival_s[:i] <= now)
        ahead.append(np.bincount(run.server[:i][inside], minlength=servers))
    return np.array(ahead)


def test_the_shortest_queue_is_the_shortest():
    common = {
        "arrivals": q.Poisson(570),
        "service": q.Exponential(0.01),
        "servers": 6,
        "requests": 1500,
    }
    chosen = np.arange(1500)
    run = q.simulate(**common, seed=3, routing=q.ShortestQueue())
    seen = loads_seen(run, 6)
    assert np.array_equal(seen[chosen, run.server], seen.min(axis=1))
    same = q.simulate(**common, seed=3, routing=q.PowerOf(6))
    assert np.array_equal(same.finish_s, run.finish_s)
    run = q.simulate(**common, seed=3, routing=q.PowerOf(2))
    seen = loads_seen(run, 6)
    mine = seen[chosen, run.server]
    alone_at_the_top = (seen == seen.max(axis=1, keepdims=True)).sum(axis=1) == 1
    assert not np.any(alone_at_the_top & (mine == seen.max(axis=1)))
    assert np.mean(mine == seen.min(axis=1)) < 0.9
    # all pairs of servers are looked at: each server gets its share
    assert np.bincount(run.server, minlength=6) / 1500 == pytest.approx(1 / 6, rel=0.3)


PLAIN = [
    Plan(q.Poisson(80), q.Exponential(0.01), 1, 20_000),
    Plan(q.Poisson(760), q.Lognormal(0.01, cv=3), 8, 20_000),
    Plan(q.Poisson(3700), q.Exponential(0.01), 40, 20_000),
    Plan(q.Poisson(760), q.Exponential(0.01), 8, 20_000, q.Random()),
    Plan(q.Poisson(760), q.Exponential(0.01), 8, 20_000, q.RoundRobin()),
    Plan(q.Poisson(90), q.Exponential(0.01), 7, 5_000, fan_out=7),
    Plan(q.Poisson(180), q.Exponential(0.01), 14, 5_000, fan_out=7),
    Plan(q.Poisson(180), q.Exponential(0.01), 14, 5_000, q.Random(), fan_out=7),
]


@pytest.mark.parametrize("plan", PLAIN, ids=lambda p: f"{p.servers}/{p.fan_out}/{p.routing}")
def test_recurrence_and_event_engine_agree_to_the_last_bit(plan):
    drawn = Drawn.for_plan(plan, 3)
    solved, played = simulation._solve(plan, drawn), simulation._play(plan, drawn)
    for name in ("start_s", "finish_s", "server"):
        assert np.array_equal(getattr(solved, name), getattr(played, name)), name
    assert solved.utilization == pytest.approx(played.utilization)
    assert solved.mean_in_system == played.mean_in_system
    assert solved.success == played.success == 1
    if plan.fan_out > 1:
        assert solved.leaf_s == pytest.approx(played.leaf_s)


@pytest.mark.parametrize("plan", PLAIN[1:4], ids=lambda p: f"{p.servers}/{p.routing}")
def test_the_records_are_a_legal_schedule(plan):
    run = simulation._solve(plan, Drawn.for_plan(plan, 1))
    assert np.all(run.start_s >= run.arrival_s)
    busy = 0.0
    for server in range(plan.servers):
        mine = np.flatnonzero(run.server == server)
        order = mine[np.argsort(run.start_s[mine])]
        assert np.all(run.start_s[order][1:] >= run.finish_s[order][:-1])
        busy += (run.finish_s[mine] - run.start_s[mine]).sum()
    assert run.work.busy_s(0, np.inf) == pytest.approx(busy)
    rows = run.records()
    assert rows.dtype.names == ("arrival_s", "start_s", "finish_s", "server")
    assert rows[5].finish_s == run.finish_s[5]
    # Little's law over the whole run, the area under the number in the system found separately.
    whole = run.after_warmup(0.0)
    grid = np.linspace(*whole.window_s, 200_001)
    assert whole.in_system(grid).mean() == pytest.approx(whole.mean_in_system, rel=1e-3)


def test_a_seed_is_one_run_and_policies_meet_the_same_requests():
    common = {
        "arrivals": q.Poisson(80),
        "service": q.Exponential(0.01),
        "servers": 2,
        "requests": 3000,
    }
    first, again = q.simulate(**common, seed=1), q.simulate(**common, seed=1)
    assert np.array_equal(first.finish_s, again.finish_s)
    other = q.simulate(**common, seed=2)
    assert not np.array_equal(first.arrival_s, other.arrival_s)
    from_rng = q.simulate(**common, seed=np.random.default_rng(1))
    assert np.array_equal(first.finish_s, from_rng.finish_s)
    rng = np.random.default_rng(1)
    pair = [q.simulate(**common, seed=rng).sojourn.mean for _ in range(2)]
    assert pair[0] != pair[1]
    hedged = q.simulate(**common, seed=1, routing=q.Random(), hedge=q.Hedge(0.05))
    assert np.array_equal(first.arrival_s, hedged.arrival_s)


def test_a_tandem_is_one_run_fed_with_the_finishes_of_another():
    # Burke: what leaves an M/M/1 is Poisson again, so the second hop is an M/M/1 of its own.
    first = q.simulate(q.Poisson(70), q.Exponential(0.01), 1, 800_000, seed=1)
    second = q.simulate(q.At(first.finish_s), q.Exponential(0.01), 1, 800_000, seed=2)
    truth = theory.MM1(70, 100).sojourn_percentile(99)
    assert close(second.confidence("p99"), truth, 0.05)
    whole = q.Sample(second.finish_s - first.arrival_s)
    added = first.sojourn.percentile(99) + second.sojourn.percentile(99)
    assert whole.percentile(99) < 0.8 * added  # p99s of parts do not add up


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"servers": 0}, "servers is 0; it must be a whole number, 1 or more"),
        ({"requests": 1.5}, r"requests is 1\.5"),
        ({"arrivals": 80}, r"arrivals is 80; give a process such as Poisson\(80\)"),
        ({"service": 0.01}, r"service is 0\.01; give a distribution"),
        ({"routing": "random"}, r"routing is 'random'; give SharedQueue\(\)"),
        ({"hedge": 0.1}, r"hedge is 0\.1; give Hedge or Tied"),
        ({"timeout": 0.1}, r"timeout is 0\.1; give Timeout"),
        ({"fan_out": 3, "servers": 4}, "servers is 4; with fan_out 3 it must be a multiple of 3"),
        ({"hedge": q.Hedge(1), "servers": 1}, "servers is 1 .* another server"),
        ({"retry": q.Retry()}, "retry is set, but nothing can fail"),
        ({"shed": q.Shed((1, 2))}, "one limit for each of the 1 priority classes"),
        ({"seed": None}, "seed is None; give a whole number"),
        ({"warmup": 1}, r"warmup is 1; .* \[0, 1\)"),
        ({"requests": 10**9}, "1,000,000,000; it must stay within"),
    ],
)
def test_errors_name_the_argument_the_value_and_the_range(change, said):
    good = {
        "arrivals": q.Poisson(80),
        "service": q.Exponential(0.01),
        "servers": 2,
        "requests": 10,
        "seed": 1,
    }
    with pytest.raises(ValueError, match=said):
        q.simulate(**(good | change))


def test_your_own_distribution_needs_a_mean_and_a_sample():
    class Coin:
        mean = 0.5

        def sample(self, rng, size):
            return rng.integers(0, 2, size).astype(float)

    run = q.simulate(q.Poisson(1), Coin(), 1, 200_000, seed=1)
    assert run.waiting.mean == pytest.approx(theory.MG1(1, 0.5, 1.0).mean_wait_s, rel=0.05)

    class Wrong(Coin):
        def sample(self, rng, size):
            return np.full(size, -1.0)

    with pytest.raises(ValueError, match=r"service drew -1\.0 s"):
        q.simulate(q.Poisson(1), Wrong(), 1, 10, seed=1)


def test_importing_it_compiles_and_loads_nothing_heavy():
    code = (
        "import sys, syslab.queueing as q; q.theory.MM1(8, 10).sojourn_percentile(99);"
        "print([m for m in ('numba', 'scipy', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
