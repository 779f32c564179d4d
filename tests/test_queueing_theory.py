"""Closed forms against published figures, against each other and against numerical solutions."""

import math

import numpy as np
import pytest
from scipy import integrate

from syslab import facts, queueing
from syslab.queueing import theory


def chain(births, deaths, n=4000):
    """Stationary shares of a birth-death chain, solved as linear equations of its balance."""
    shares = [1.0]
    for i in range(n):
        shares.append(shares[-1] * births(i) / deaths(i + 1))
    return np.array(shares) / sum(shares)


# Erlang's tables as printed in engineering handbooks; offered load in erlangs, service rate 1.
@pytest.mark.parametrize(
    ("servers", "offered", "blocked", "waiting", "mean_wait"),
    [
        (1, 0.8, 0.444444, 0.8, 4.0),
        (3, 2.0, 0.210526, 0.444444, 0.444444),
        (10, 8.0, 0.121661, 0.409180, 0.204590),
    ],
)
def test_erlang_tables(servers, offered, blocked, waiting, mean_wait):
    assert theory.erlang_b(servers, offered) == pytest.approx(blocked, abs=5e-7)
    assert theory.erlang_c(servers, offered) == pytest.approx(waiting, abs=5e-7)
    queue = theory.MMc(servers, offered, 1)
    assert queue.mean_wait_s == pytest.approx(mean_wait, abs=5e-7)


@pytest.mark.parametrize(("servers", "offered"), [(1, 0.5), (4, 3.0), (30, 27.0)])
def test_erlang_is_what_the_balance_of_flows_gives(servers, offered):
    full = chain(lambda i: offered if i < servers else 0, lambda i: min(i, servers))
    assert theory.erlang_b(servers, offered) == pytest.approx(full[servers])
    shares = chain(lambda i: offered, lambda i: min(i, servers))
    queue = theory.MMc(servers, offered, 1)
    assert queue.wait_probability == pytest.approx(shares[servers:].sum())
    assert queue.mean_in_system == pytest.approx((shares * np.arange(shares.size)).sum())
    assert queue.mean_waiting == pytest.approx(queue.mean_in_system - offered)


@pytest.mark.parametrize("rho", [0.5, 0.8, 0.95])
def test_p99_of_mm1_is_ln_100_over_the_spare_rate(rho):
    # ln(100) / (mu (1 - rho)): 23.0 service times at 0.8, and not 4.6, a slip seen in courses.
    p99 = theory.MM1(rho, 1).sojourn_percentile(99)
    assert p99 == pytest.approx(math.log(100) / (1 - rho))
    assert theory.MMc(1, rho, 1).sojourn_percentile(99) == pytest.approx(p99)
    assert theory.MM1(2000 * rho, 2000).sojourn_percentile(99) == pytest.approx(p99 / 2000)


@pytest.mark.parametrize(("servers", "rate"), [(1, 0.7), (2, 1.0), (2, 1.0 + 1e-7), (8, 7.5)])
def test_the_sojourn_of_mmc_is_the_wait_convolved_with_the_service(servers, rate):
    queue = theory.MMc(servers, rate, 1)
    drain = servers - rate
    for t in (0.0, 0.3, 2.0, 9.0):
        waits = integrate.quad(
            lambda w: queue.wait_probability * drain * math.exp(-drain * w) * math.exp(-(t - w)),  # noqa: B023
            0, t,
        )[0]  # fmt: skip
        expected = (
            (1 - queue.wait_probability) * math.exp(-t)
            + waits
            + queue.wait_probability * math.exp(-drain * t)
        )
        assert queue.sojourn_tail(t) == pytest.approx(expected)
    for q in (10, 50, 99, 99.9):
        assert queue.sojourn_tail(queue.sojourn_percentile(q)) == pytest.approx(1 - q / 100)
    mean = integrate.quad(queue.sojourn_tail, 0, np.inf)[0]
    assert mean == pytest.approx(queue.mean_sojourn_s)
    assert queue.wait_percentile(0) == 0
    assert queue.wait_tail(queue.wait_percentile(99)) == pytest.approx(0.01)


def test_servers_for_is_the_smallest_that_meets_the_objective():
    for rate in (75, 85, 300):
        servers = theory.servers_for(rate, 10, 99.9, 0.75)
        assert theory.MMc(servers, rate, 10).sojourn_percentile(99.9) <= 0.75
        assert theory.MMc(servers - 1, rate, 10).sojourn_percentile(99.9) > 0.75
    with pytest.raises(ValueError, match=r"sojourn_s is 0\.5; p99\.9 of the service alone"):
        theory.servers_for(80, 10, 99.9, 0.5)


def test_a_bounded_queue_runs_from_erlang_b_to_erlang_c():
    assert theory.MMcK(3, 3, 2, 1).refused == pytest.approx(theory.erlang_b(3, 2))
    assert theory.MMcK(3, 500, 2, 1).mean_sojourn_s == pytest.approx(
        theory.MMc(3, 2, 1).mean_sojourn_s
    )
    crowded = theory.MMcK(2, 20, 50, 1)
    assert crowded.utilization == pytest.approx(1)
    assert crowded.refused == pytest.approx(0.96, abs=1e-3)
    assert theory.MMcK(40, 2000, 60, 1).refused == pytest.approx(1 / 3)  # no overflow


def test_pollaczek_khinchine():
    assert theory.MG1(0.8, 1, 1).mean_wait_s == pytest.approx(theory.MM1(0.8, 1).mean_wait_s)
    assert theory.MG1(0.8, 1, 0).mean_wait_s == pytest.approx(2)
    assert theory.MG1.of(50, queueing.Pareto(0.01, alpha=1.5)).mean_wait_s == math.inf
    assert theory.kingman(0.8, 1, 1, 3) == pytest.approx(theory.MG1(0.8, 1, 3).mean_wait_s)
    assert theory.kingman_bound(0.8, 1, 1, 1) >= theory.MM1(0.8, 1).mean_wait_s
    assert theory.allen_cunneen(5, 4, 1, 1, 1) == pytest.approx(theory.MMc(5, 4, 1).mean_wait_s)


@pytest.mark.parametrize("rho", [0.2, 0.8, 0.95])
def test_md1_is_erlangs_series_where_that_has_digits_left(rho):
    queue = theory.MD1(rho, 1.0)
    for t in (0.0, 0.4, 1.0, 2.7, 5.5):
        series = (1 - rho) * sum(
            (-rho * (t - k)) ** k / math.factorial(k) * math.exp(rho * (t - k))
            for k in range(int(t) + 1)
        )
        assert queue.wait_tail(t) == pytest.approx(1 - series, abs=1e-10)
    mean = integrate.quad(queue.wait_tail, 0, 60 / (1 - rho), limit=2000)[0]
    assert mean == pytest.approx(queue.mean_wait_s, rel=1e-4)
    assert queue.sojourn_percentile(99.9) == pytest.approx(1 + queue.wait_percentile(99.9))


def test_priorities_conserve_work():
    rates, means, scvs = [20, 30, 25], [0.01, 0.005, 0.02], [1, 0, 4]
    waits = theory.cobham(rates, means, scvs)
    assert waits == sorted(waits)
    # Kleinrock's conservation law: the load-weighted mean wait is that without priorities.
    loads = np.multiply(rates, means)
    residual = sum(r * m**2 * (1 + c) / 2 for r, m, c in zip(rates, means, scvs, strict=True))
    assert (loads * waits).sum() / loads.sum() == pytest.approx(residual / (1 - loads.sum()))
    with pytest.raises(ValueError, match="classes 0 to 1 alone"):
        theory.cobham([60, 60], [0.01, 0.01], [1, 1])


def test_the_tail_at_scale():
    # Dean and Barroso, CACM 2013: 63 % of requests over 100 leaves that are slow 1 time in 100;
    # almost 1 in 5 over 2,000 servers that are slow 1 time in 10,000.
    assert 100 * theory.amplification(0.01, 100) == pytest.approx(63.4, abs=0.05)
    assert 100 * theory.amplification(0.0001, 2000) == pytest.approx(18.1, abs=0.05)
    assert theory.amplification([0, 0.5, 1], 2).tolist() == [0, 0.75, 1]
    assert theory.amplification(1e-18, 10) == pytest.approx(1e-17)  # 1 - (1 - p)^N would give 0
    for n in (1, 7, 2000):
        assert theory.amplification(theory.leaf_probability(0.01, n), n) == pytest.approx(0.01)
    assert theory.leaf_percentile(99, 100) == pytest.approx(99.98995, abs=1e-5)
    most = theory.largest_fan_out(0.01, 0.05)
    assert theory.amplification(0.01, most) <= 0.05 < theory.amplification(0.01, most + 1)


def test_hedging_on_paper():
    latency = queueing.Mixture(
        (0.99, queueing.Exponential(0.005)), (0.01, queueing.Deterministic(1.0))
    )
    assert theory.hedge_extra_load(latency, 0.025) == pytest.approx(0.01 + 0.99 * math.exp(-5))
    rng = np.random.default_rng(7)
    first, second = latency.sample(rng, 400_000), latency.sample(rng, 400_000)
    hedged = queueing.Sample(np.minimum(first, 0.025 + second))
    for t in (0.01, 0.03, 0.06):
        paper = theory.hedged_tail(latency, 0.025, t)
        assert hedged.share_above(t) == pytest.approx(paper, rel=0.05, abs=1e-4)
    p999 = theory.hedged_percentile(latency, 0.025, 99.9)
    assert hedged.percentile(99.9) == pytest.approx(p999, rel=0.05)
    assert latency.percentile(99.9) == pytest.approx(1.0)


def test_two_choices_on_paper():
    # The fixed point of the mean-field equations, found by letting them run (Mitzenmacher 2001).
    rho, shares = 0.9, np.zeros(60)
    shares[0] = 1
    for _ in range(60_000):
        inflow = rho * (shares[:-1] ** 2 - shares[1:] ** 2)
        outflow = shares[1:] - np.append(shares[2:], 0)
        shares[1:] += 0.05 * (inflow - outflow)
    assert [theory.choices_tail(rho, 2, i) for i in range(8)] == pytest.approx(shares[:8].tolist())
    assert theory.choices_mean_sojourn(rho, 2) == pytest.approx(shares[1:].sum() / rho)
    assert theory.choices_mean_sojourn(rho, 1) == pytest.approx(theory.MM1(rho, 1).mean_sojourn_s)
    assert theory.choices_tail(rho, 1, 3) == pytest.approx(rho**3)


def test_layers_of_retries_as_a_played_call_tree():
    rng = np.random.default_rng(3)

    def call(layers):
        """Whether a request is answered, and the tries it costs at the lowest layer."""
        if layers == 0:
            return rng.random() >= 0.6, 1
        cost = 0
        for _ in range(2):
            answered, tries = call(layers - 1)
            cost += tries
            if answered:
                return True, cost
        return False, cost

    played = np.array([call(3)[1] for _ in range(20_000)])
    exact = theory.retry_amplification(0.6, 2, layers=3)
    assert played.mean() == pytest.approx(exact, abs=4 * played.std() / math.sqrt(played.size))


def test_overload_on_paper():
    assert theory.retry_amplification(0, 4) == 1
    assert theory.retry_amplification(0.5, 3) == pytest.approx(1.75)
    assert theory.retry_amplification(1, 3, layers=3) == 27
    assert theory.overload_state(101, 100, 3) == "overloaded"
    assert theory.overload_state(50, 100, 3) == "vulnerable"
    assert theory.overload_state(30, 100, 3) == "stable"
    assert theory.overload_state(50, 100, 3, budget=0.1) == "stable"
    assert theory.overload_state(95, 100, 3, budget=0.1) == "vulnerable"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: theory.erlang_c(3, 3), r"arrival_rate is 3; .* below the capacity of 3"),
        (lambda: theory.erlang_b(0, 3), "servers is 0; it must be a whole number, 1 or more"),
        (lambda: theory.MM1(80, 70), "arrival_rate is 80; "),
        (lambda: theory.MM1(0.8, 1).sojourn_percentile(100), r"q is 100; .* \[0, 100\)"),
        (lambda: theory.MG1(0.8, 1, -1), "service_scv is -1"),
        (lambda: theory.amplification(1.2, 3), r"slow is 1\.2; a probability"),
        (lambda: theory.leaf_probability(1, 3), "slow is 1"),
        (lambda: theory.MMcK(3, 2, 1, 1), "room is 2; .* 3 or more"),
        (lambda: theory.choices_tail(1.0, 2, 3), r"utilization is 1\.0"),
    ],
)
def test_errors_name_the_argument_the_value_and_the_range(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_hedged_bigtable_reads():
    # Dean and Barroso, CACM 2013, "Hedged requests": 1,000 keys from 100 servers; a copy after
    # 10 ms takes p99.9 from 1,800 to 74 ms for 2 % more requests. A tail with three parameters
    # meets the three figures at once, so the formulas can hold them together.
    leaf = queueing.BoundedPareto(low=0.0001545, high=1.932, alpha=0.9365)
    delay_s, calls = facts.constant("bigtable.hedge_after"), 100
    rank = theory.leaf_percentile(99.9, calls)
    assert leaf.percentile(rank) == pytest.approx(facts.constant("bigtable.read_p999"), rel=0.01)
    extra = theory.hedge_extra_load(leaf, delay_s)
    assert extra == pytest.approx(facts.constant("bigtable.hedge_extra"), rel=0.01)
    hedged_s = theory.hedged_percentile(leaf, delay_s, rank)
    assert hedged_s == pytest.approx(facts.constant("bigtable.hedged_read_p999"), rel=0.01)
    # The same reads, drawn: the slowest of 100 calls, each with its copy.
    rng = np.random.default_rng(1)
    first, second = (leaf.sample(rng, 40_000 * calls) for _ in range(2))
    assert (first > delay_s).mean() == pytest.approx(extra, rel=0.02)
    read_s = np.minimum(first, delay_s + second).reshape(-1, calls).max(axis=1)
    assert np.quantile(read_s, 0.999) == pytest.approx(hedged_s, rel=0.15)
