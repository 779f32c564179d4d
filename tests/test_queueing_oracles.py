"""The same requests through SimPy and through Ciw: every time must agree, not only the means.

The models here are written as a user of those libraries would write them.  They get the arrival
and service times that the simulator drew, so a difference is an error and not chance.
"""

from itertools import count

import ciw
import numpy as np
import pytest
import simpy

from syslab import queueing as q
from syslab.queueing.plan import Drawn, Plan


class Scripted:
    """Service times laid down in advance: first copies, then everything sent later."""

    def __init__(self, first, later):
        self.first, self.later, self.mean = first, later, float(np.mean(first))

    def sample(self, rng, size):
        return self.first if size == self.first.size else np.resize(self.later, size)


def drawn(rate, mean_s, n, seed=0):
    """Arrival times, service times and service times of later copies."""
    rng = np.random.default_rng(seed)
    arrival_s = np.cumsum(rng.exponential(1 / rate, n))
    return arrival_s, rng.exponential(mean_s, n), rng.exponential(mean_s, n)


@pytest.mark.parametrize("servers", [1, 5])
def test_simpy_mmc(servers):
    n = 4000
    arrival_s, service_s, _ = drawn(90 * servers, 0.01, n)
    start_s, finish_s = np.zeros(n), np.zeros(n)

    def customer(i):
        yield env.timeout(arrival_s[i])
        with desk.request() as turn:
            yield turn
            start_s[i] = env.now
            yield env.timeout(service_s[i])
            finish_s[i] = env.now

    env = simpy.Environment()
    desk = simpy.Resource(env, servers)
    for i in range(n):
        env.process(customer(i))
    env.run()
    run = q.simulate(q.At(arrival_s), Scripted(service_s, service_s), servers, n, seed=0)
    assert run.start_s == pytest.approx(start_s)
    assert run.finish_s == pytest.approx(finish_s)


@pytest.mark.parametrize("servers", [1, 5])
def test_ciw_mmc(servers):
    n = 3000
    arrival_s, service_s, _ = drawn(90 * servers, 0.01, n, seed=1)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([*np.diff(arrival_s, prepend=0), np.inf])],
        service_distributions=[ciw.dists.Sequential(service_s.tolist())],
        number_of_servers=[servers],
    )
    other = ciw.Simulation(network)
    other.simulate_until_max_time(1e6)
    records = sorted(other.get_all_records(), key=lambda record: record.arrival_date)
    assert len(records) == n
    run = q.simulate(q.At(arrival_s), Scripted(service_s, service_s), servers, n, seed=0)
    assert run.start_s == pytest.approx([r.service_start_date for r in records])
    assert run.finish_s == pytest.approx([r.service_end_date for r in records])


def test_ciw_priorities():
    n = 3000
    plan = Plan(q.Poisson(180), q.Exponential(0.01), 2, n, priorities=q.Priorities(0.3, 0.5, 0.2))
    given = Drawn.for_plan(plan, 4)
    names = ["first", "second", "third"]
    arrivals, services = {}, {}
    for p, name in enumerate(names):
        mine = given.priority == p
        gaps = np.diff(given.arrival_s[mine], prepend=0)
        arrivals[name] = [ciw.dists.Sequential([*gaps, np.inf])]
        services[name] = [ciw.dists.Sequential(given.service_s[mine, 0].tolist())]
    network = ciw.create_network(
        arrival_distributions=arrivals,
        service_distributions=services,
        number_of_servers=[2],
        priority_classes={name: p for p, name in enumerate(names)},
    )
    other = ciw.Simulation(network)
    other.simulate_until_max_time(1e6)
    records = sorted(other.get_all_records(), key=lambda record: record.arrival_date)
    run = q.simulate(
        q.Poisson(180), q.Exponential(0.01), 2, n, seed=4,
        priorities=q.Priorities(0.3, 0.5, 0.2), warmup=0.0,
    )  # fmt: skip
    assert run.finish_s == pytest.approx([r.service_end_date for r in records])
    means = [run.of_class(p).waiting.mean for p in range(3)]
    assert means == sorted(means)
    assert len(run.of_class(0).sojourn) == (given.priority == 0).sum()


def test_simpy_fan_out():
    n, leaves = 800, 6
    plan = Plan(q.Poisson(80), q.Exponential(0.01), leaves, n, fan_out=leaves)
    given = Drawn.for_plan(plan, 2)
    finish_s = np.zeros(n)

    def leaf(i, j):
        with shards[j].request() as turn:
            yield turn
            yield env.timeout(given.service_s[i, j])

    def request(i):
        yield env.timeout(given.arrival_s[i])
        yield env.all_of([env.process(leaf(i, j)) for j in range(leaves)])
        finish_s[i] = env.now

    env = simpy.Environment()
    shards = [simpy.Resource(env) for _ in range(leaves)]
    for i in range(n):
        env.process(request(i))
    env.run()
    run = q.simulate(q.Poisson(80), q.Exponential(0.01), leaves, n, seed=2, fan_out=leaves)
    assert run.finish_s == pytest.approx(finish_s)


def simpy_hedged(given, later, after_s, cancel, tied_message_s=None):
    """Two servers with a queue each; copies go to the one where the first copy is not."""
    n = given.arrival_s.size
    finish_s, copies = np.full(n, np.nan), count()
    env = simpy.Environment()
    desks = [simpy.Resource(env) for _ in range(2)]
    busy_s = [0.0]

    def copy(i, server, time_s, mine, done):
        """`mine` says how far this copy is; done[i] fires with the first answer."""
        try:
            with desks[server].request() as turn:
                yield turn
                mine["state"], mine["began"] = "running", env.now
                if tied_message_s is not None and mine["other"] is not None:
                    other = mine["other"]
                    if other["state"] == "waiting":
                        if tied_message_s == 0:
                            other["process"].interrupt()
                        else:
                            env.process(call_off(other, tied_message_s))
                yield env.timeout(time_s)
                busy_s[0] += env.now - mine["began"]
                mine["state"] = "done"
                if not done.triggered:
                    done.succeed()
                    other = mine["other"]
                    if other is not None:
                        stoppable = {"all": ("waiting", "running"), "queued": ("waiting",)}
                        if other["state"] in stoppable.get(cancel, ()):
                            other["process"].interrupt()
        except simpy.Interrupt:
            if mine["state"] == "running":
                busy_s[0] += env.now - mine["began"]
            mine["state"] = "stopped"

    def call_off(other, message_s):
        yield env.timeout(message_s)
        if other["state"] == "waiting":
            other["process"].interrupt()

    def request(i):
        yield env.timeout(given.arrival_s[i])
        done = env.event()
        server = int(given.server[i, 0])
        first = {"state": "waiting", "other": None}
        first["process"] = env.process(copy(i, server, given.service_s[i, 0], first, done))
        yield done | env.timeout(after_s)
        began = first["state"] != "waiting"
        wanted = not done.triggered
        if tied_message_s is not None and began and first["began"] + tied_message_s <= env.now:
            wanted = False
        if wanted:
            second = {"state": "waiting", "other": first}
            first["other"] = second
            time_s = later[next(copies)]
            second["process"] = env.process(copy(i, 1 - server, time_s, second, done))
            if tied_message_s is not None and began:
                env.process(call_off(second, first["began"] + tied_message_s - env.now))
        if not done.triggered:
            yield done
        finish_s[i] = env.now

    for i in range(n):
        env.process(request(i))
    env.run()
    return finish_s, busy_s[0], next(copies)


@pytest.mark.parametrize("cancel", ["all", "queued", "none"])
def test_simpy_hedged(cancel):
    n = 2500
    arrival_s, service_s, later = drawn(110, 0.01, n, seed=3)
    plan = Plan(q.At(arrival_s), Scripted(service_s, later), 2, n, q.Random())
    given = Drawn.for_plan(plan, 0)
    finish_s, busy_s, copies = simpy_hedged(given, later, 0.015, cancel)
    run = q.simulate(
        q.At(arrival_s), Scripted(service_s, later), 2, n, seed=0, routing=q.Random(),
        hedge=q.Hedge(0.015, cancel=cancel),
    )  # fmt: skip
    assert run.finish_s == pytest.approx(finish_s)
    assert run.work.busy_s(0, np.inf) == pytest.approx(busy_s)
    assert run.extra_copies == copies / n
    assert 0.05 < run.extra_copies < 1


@pytest.mark.parametrize(("message_s", "stagger_s"), [(0.0, 0.001), (0.004, 0.001)])
def test_simpy_tied(message_s, stagger_s):
    n = 2500
    arrival_s, service_s, later = drawn(140, 0.01, n, seed=5)
    plan = Plan(q.At(arrival_s), Scripted(service_s, later), 2, n, q.Random())
    given = Drawn.for_plan(plan, 0)
    finish_s, busy_s, copies = simpy_hedged(given, later, stagger_s, "all", message_s)
    run = q.simulate(
        q.At(arrival_s), Scripted(service_s, later), 2, n, seed=0, routing=q.Random(),
        hedge=q.Tied(message_s, stagger_s),
    )  # fmt: skip
    assert run.finish_s == pytest.approx(finish_s)
    assert run.work.busy_s(0, np.inf) == pytest.approx(busy_s)
    assert run.extra_copies == copies / n
    assert (run.wasted > 0) == (message_s > 0)


@pytest.mark.parametrize("knows", ["never", "queued", "all"])
@pytest.mark.parametrize("most_waiting", [np.inf, 4])
def test_simpy_timeouts_retries_and_refusals(knows, most_waiting):
    n, servers, timeout_s, attempts, backoff_s = 2500, 3, 0.04, 3, 0.02
    arrival_s, service_s, later = drawn(290, 0.01, n, seed=6)
    finish_s, outcome, tries = np.zeros(n), np.zeros(n, int), np.zeros(n, int)
    env = simpy.Environment()
    desk, extra = simpy.Resource(env, servers), iter(later.tolist() * attempts)

    def serve(time_s, mine, done):
        try:
            with desk.request() as turn:
                yield turn
                mine["running"] = True
                yield env.timeout(time_s)
                mine["ended"] = True
                if not mine["abandoned"]:
                    done.succeed()
        except simpy.Interrupt:
            mine["ended"] = True

    def request(i):
        yield env.timeout(arrival_s[i])
        for attempt in range(attempts):
            tries[i] += 1
            free = desk.count < servers
            if not free and len(desk.queue) >= most_waiting:
                outcome[i] = 1
            else:
                mine = {"running": False, "ended": False, "abandoned": False}
                done = env.event()
                time_s = service_s[i] if attempt == 0 else next(extra)
                process = env.process(serve(time_s, mine, done))
                yield done | env.timeout(timeout_s)
                if done.triggered:
                    outcome[i] = 0
                    break
                outcome[i] = 2
                mine["abandoned"] = True
                stops = {"never": False, "queued": not mine["running"], "all": True}
                if stops[knows] and not mine["ended"]:
                    process.interrupt()
            if attempt < attempts - 1:
                yield env.timeout(backoff_s * 2**attempt)
        finish_s[i] = env.now

    for i in range(n):
        env.process(request(i))
    env.run()
    run = q.simulate(
        q.At(arrival_s), Scripted(service_s, later), servers, n, seed=0,
        timeout=q.Timeout(timeout_s, server_knows=knows),
        retry=q.Retry(attempts, backoff_s, jitter=False),
        shed=None if most_waiting == np.inf else q.Shed(waiting=most_waiting),
    )  # fmt: skip
    assert np.array_equal(run.tries, tries)
    assert np.array_equal(run.outcome, outcome)
    assert run.finish_s == pytest.approx(finish_s)
    assert run.sent_s.size == tries.sum() > 1.02 * n
