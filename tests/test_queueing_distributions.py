"""Distributions and arrival processes: samples, moments, tails and percentiles must agree."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from syslab import queueing as q

SHAPES = [
    q.Exponential(0.02),
    q.Deterministic(0.02),
    q.Erlang(0.02, stages=4),
    q.Lognormal(0.02, cv=1.5),
    q.Hyperexponential(0.02, cv=3),
    q.Pareto(0.02, alpha=4.5),
    q.BoundedPareto(0.001, 10, alpha=1.1),
    q.BoundedPareto(0.001, 1, alpha=1.0),
    q.Empirical([0.01, 0.02, 0.02, 0.07]),
    q.Mixture((0.9, q.Exponential(0.01)), (0.1, q.Lognormal(0.1, cv=0.5))),
]


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_sample_mean_tail_and_percentile_are_of_one_distribution(shape):
    values = shape.sample(np.random.default_rng(3), 400_000)
    assert values.shape == (400_000,)
    assert values.min() >= 0
    assert values.mean() == pytest.approx(shape.mean, rel=0.03)
    assert values.var() / values.mean() ** 2 == pytest.approx(shape.scv, rel=0.12, abs=1e-9)
    for percent in (5, 50, 90, 99, 99.9):
        at = shape.percentile(percent)
        assert np.mean(values > at * (1 + 1e-9)) <= 1 - percent / 100 + 2e-3
        assert np.mean(values >= at * (1 - 1e-9)) >= 1 - percent / 100 - 2e-3
        assert np.mean(values > at) == pytest.approx(shape.tail(at), abs=3e-3)
    assert shape.tail(np.array([0.0, at])).shape == (2,)


@pytest.mark.parametrize("shape", [s for s in SHAPES if not isinstance(s, q.Empirical)], ids=repr)
def test_the_mean_is_the_area_under_the_tail(shape):
    longest = getattr(shape, "high", 100.0)
    edges = [0, shape.percentile(1), shape.mean, shape.percentile(99), shape.percentile(99.99)]
    edges = sorted({*edges, longest})
    area = sum(integrate.quad(shape.tail, a, b, limit=200)[0] for a, b in itertools.pairwise(edges))
    assert area == pytest.approx(shape.mean, rel=1e-4)


def test_shapes_against_scipy():
    t = np.array([0.001, 0.02, 0.3])
    lognormal = q.Lognormal(0.02, cv=1.5)
    sigma = np.sqrt(np.log(1 + 1.5**2))
    other = stats.lognorm(sigma, scale=0.02 * np.exp(-(sigma**2) / 2))
    assert lognormal.tail(t) == pytest.approx(other.sf(t))
    assert other.mean() == pytest.approx(0.02)
    assert lognormal.percentile(99) == pytest.approx(other.ppf(0.99))
    pareto = q.Pareto(0.02, alpha=2.5)
    assert pareto.tail(t) == pytest.approx(stats.pareto(2.5, scale=pareto.minimum).sf(t))
    assert pareto.scv == pytest.approx(1 / (2.5 * 0.5))


def test_a_sample_of_values_knows_no_longer_tail():
    few = q.Empirical([3.0, 1.0, 2.0])
    assert few.percentile(99.99) == 3
    assert few.percentile(0) == 1
    assert [few.percentile(p) for p in (33, 34, 67)] == [1, 2, 3]


@given(st.floats(0.001, 100), st.floats(1.0, 20))
@settings(max_examples=50, deadline=None)
def test_hyperexponential_branches_have_the_stated_mean_and_cv(mean, cv):
    shape = q.Hyperexponential(mean, cv)
    (p, short), (r, long) = shape.branches
    assert p + r == pytest.approx(1)
    assert p * short + r * long == pytest.approx(mean)
    second = 2 * (p * short**2 + r * long**2)
    assert second / mean**2 - 1 == pytest.approx(cv**2)


@pytest.mark.parametrize(
    "process",
    [q.Poisson(50), q.Regular(50), q.Renewal(q.Hyperexponential(0.02, cv=2)), q.Steps((1e9, 50))],
    ids=repr,
)
def test_arrivals_come_at_the_stated_rate_and_in_order(process):
    times = process.times(np.random.default_rng(1), 100_000)
    assert np.all(np.diff(times) >= 0)
    assert 100_000 / times[-1] == pytest.approx(50, rel=0.02)
    assert process.per_second == pytest.approx(50)


def test_poisson_counts_are_as_variable_as_their_mean_and_regular_ones_are_not():
    seconds = np.arange(0, 1500)
    for process, expected in ((q.Poisson(60), 60), (q.Regular(60), 0)):
        times = process.times(np.random.default_rng(5), 100_000)
        counts = np.histogram(times, seconds)[0]
        assert counts.var() == pytest.approx(expected, rel=0.1, abs=1)


def test_steps_change_the_rate_where_they_say():
    process = q.Steps((10, 100), (5, 1000), (10, 200))
    assert process.expected == 8000
    times = process.times(np.random.default_rng(2), 12_000)
    counts = np.histogram(times, [0, 10, 15, 25, 35])[0]
    assert counts == pytest.approx([1000, 5000, 2000, 2000], rel=0.07)


def test_given_times_are_used_as_they_are():
    at = q.At([3.0, 1.0, 2.0])
    assert at.times(np.random.default_rng(0), 2).tolist() == [1, 2]
    assert at.per_second == 1
    with pytest.raises(ValueError, match="requests is 4; the trace holds 3"):
        at.times(np.random.default_rng(0), 4)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: q.Exponential(0), "mean is 0; it must be positive and finite"),
        (lambda: q.Hyperexponential(1, cv=0.5), r"cv is 0\.5; .* 1 or more"),
        (lambda: q.Pareto(1, alpha=1), "alpha is 1; it must exceed 1"),
        (lambda: q.BoundedPareto(2, 1), "high is 1; .* above low"),
        (lambda: q.Empirical([]), "values has 0 entries"),
        (lambda: q.Empirical([1, -1]), "values has 2 entries; .* ≥ 0 s"),
        (lambda: q.Mixture((0.5, q.Exponential(1))), "shares are .* add up to 1"),
        (lambda: q.Exponential(1).percentile(100), r"q is 100; .*\[0, 100\)"),
        (lambda: q.Poisson(-1), "per_second is -1"),
        (lambda: q.Steps(), "phases is empty"),
        (lambda: q.At([float("nan")]), "times_s has 1 entries"),
        (lambda: q.Hedge(-1), "after_s is -1; it must be 0 or more"),
        (lambda: q.Hedge(1, cancel="yes"), "cancel is 'yes'; say 'all', 'queued' or 'none'"),
        (lambda: q.Hedge(1, budget=2), r"budget is 2; .* \[0, 1\]"),
        (lambda: q.Timeout(1, server_knows="no"), "server_knows is 'no'"),
        (lambda: q.Retry(attempts=1), "attempts is 1; .* 2 or more"),
        (lambda: q.Shed(), "Shed has no limit"),
        (lambda: q.Shed(waiting=-1), "waiting is -1"),
        (lambda: q.Priorities(0.5, 0.6), "shares are"),
        (lambda: q.PowerOf(0), "choices is 0"),
    ],
)
def test_errors_name_the_argument_the_value_and_the_range(call, said):
    with pytest.raises(ValueError, match=said):
        call()
