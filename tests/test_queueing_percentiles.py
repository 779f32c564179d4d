"""Percentiles and their confidence, sketches, coordinated omission."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syslab import queueing as q
from syslab.queueing import theory
from syslab.queueing.omission import _finish

seconds = st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=200)


@given(seconds, st.floats(0, 99.99))
@settings(max_examples=200, deadline=None)
def test_a_percentile_is_the_nearest_rank(values, percent):
    sample = q.Sample(values)
    found = sample.percentile(percent)
    assert found in values
    at_most = sum(v <= found for v in values)
    below = sum(v < found for v in values)
    assert at_most >= percent / 100 * len(values) - 1e-6
    assert below < max(percent / 100 * len(values), 1e-9) + 1e-6
    assert sample.share_above(found) == pytest.approx(1 - at_most / len(values))


def test_a_sample_by_hand():
    sample = q.Sample(np.arange(100, 0, -1) / 10)
    assert sample.percentile([50, 99, 0]).tolist() == [5.0, 9.9, 0.1]
    assert (sample.median, sample.max, len(sample)) == (5.0, 10.0, 100)
    assert sample.share_above([5.0, 20]).tolist() == [0.5, 0]
    assert sample.scv == pytest.approx(np.var(sample.values) / sample.mean**2)
    at, above = sample.tail()
    assert (at[0], above[0], above[-1]) == (0.1, 1.0, 0.01)
    assert np.all(np.diff(at) > 0)
    assert np.all(np.diff(above) < 0)
    assert "p99 9.9 s" in repr(sample)
    with pytest.raises(ValueError, match=r"q is 100; .* not 0\.99"):
        sample.percentile(100)
    with pytest.raises(ValueError, match="values is empty"):
        q.Sample([]).median  # noqa: B018


@given(seconds, st.integers(2, 10), st.floats(0, 99.9))
@settings(max_examples=200, deadline=None)
def test_a_histogram_keeps_its_promise(values, bits, percent):
    histogram = q.Histogram(bits).record(values)
    exact = q.Sample(values).percentile(percent)
    assert histogram.percentile(percent) == pytest.approx(
        exact, rel=histogram.relative_error * 1.0001
    )
    assert histogram.total == len(values)


@given(seconds, seconds)
@settings(max_examples=50, deadline=None)
def test_merged_histograms_are_the_histogram_of_everything(some, others):
    merged = q.Histogram().record(some).merge(q.Histogram().record(others))
    assert np.array_equal(merged.counts, q.Histogram().record(some + others).counts)


def test_a_histogram_has_fixed_memory_and_takes_any_value():
    empty = q.Histogram()
    full = empty.record(q.Lognormal(0.01, cv=5).sample(np.random.default_rng(1), 100_000))
    assert full.memory_bytes == empty.memory_bytes < 64 * 1024
    assert empty.total == 0  # recording gives a new one
    assert q.Histogram().record([0.0, 1e12]).total == 2
    for call, said in (
        (lambda: empty.percentile(50), "histogram is empty"),
        (lambda: empty.merge(q.Histogram(3)), "bits is 3 here and 7 there"),
        (lambda: empty.record([-1]), r"values has -1\.0"),
        (lambda: q.Histogram(0), "bits is 0; it must lie in 1 to 14"),
    ):
        with pytest.raises(ValueError, match=said):
            call()


def test_a_digest_is_fine_at_the_tail_and_merges():
    values = q.Lognormal(0.01, cv=3).sample(np.random.default_rng(4), 400_000)
    whole = q.Digest().record(values)
    merged = q.Digest().merge(*(q.Digest().record(part) for part in np.split(values, 40)))
    for digest in (whole, merged):
        assert digest.means.size < 250
        assert digest.total == 400_000
        assert np.all(np.diff(digest.means) > 0)
        # A group at rank share r holds about sqrt(r (1 - r)) · 2 pi / compression of all values.
        for percent in (50, 90, 99, 99.9, 99.99):
            rank = np.mean(values <= digest.percentile(percent))
            share = percent / 100
            group = math.sqrt(share * (1 - share)) * 2 * math.pi / 200
            assert rank == pytest.approx(share, abs=group)
        assert digest.weights[-1] < 0.02 * digest.weights.max()
    assert merged.percentile(50) == pytest.approx(np.median(values), rel=0.02)
    with pytest.raises(ValueError, match="digest is empty"):
        q.Digest().percentile(50)


def test_the_average_of_percentiles_is_the_percentile_of_nothing():
    # Nine servers answer 1,000 requests each in 10 ms; the tenth answers ten, in 2 s.
    groups = [np.full(1000, 0.010) for _ in range(9)] + [np.full(10, 2.0)]
    assert q.average_of_percentiles(groups, 99) == pytest.approx(0.209)
    assert q.merged_percentile(groups, 99) == 0.010
    # And the other way round: the slow one answers most of them.
    groups = [np.full(10, 0.010) for _ in range(9)] + [np.full(1000, 2.0)]
    assert q.merged_percentile(groups, 50) == 2.0
    assert q.average_of_percentiles(groups, 50) == pytest.approx(0.209)
    merged = q.Histogram().merge(*(q.Histogram().record(group) for group in groups))
    assert merged.percentile(50) == pytest.approx(2.0, rel=merged.relative_error)


def test_tenes_stall():
    # Gil Tene, "How NOT to measure latency": 100 requests a second of 1 ms each for 100 s, then
    # the service stops for 100 s.  In truth half of all requests wait, up to 100 s.
    load = {"per_second": 100, "service": q.Deterministic(0.001), "duration_s": 200, "seed": 1,
                "stalls": (q.Stall(100, 100),)}  # fmt: skip
    truth, seen = q.open_loop(**load), q.closed_loop(**load)
    assert len(truth.latency) == 20_000
    assert len(seen.latency) == pytest.approx(10_001, abs=1)
    assert truth.latency.median < 0.02
    assert truth.latency.percentile(75) == pytest.approx(50, rel=0.001)
    assert truth.latency.percentile(99.99) == pytest.approx(100, rel=0.001)
    assert truth.latency.mean == pytest.approx(25, rel=0.01)
    assert seen.latency.percentile(99.99) == pytest.approx(0.001)
    assert seen.latency.mean == pytest.approx(0.011, rel=0.01)
    mended = q.correct(seen.latency.values, seen.interval_s)
    assert len(mended) == pytest.approx(20_000, abs=2)
    for percent in (50, 75, 90, 99, 99.9):
        assert mended.percentile(percent) == pytest.approx(
            truth.latency.percentile(percent), rel=0.001, abs=0.02
        )


def test_the_repair_by_hand():
    # As HdrHistogram does it: 35 at an interval of 10 puts back 25 and 15, not 5.
    mended = q.correct([1, 35, 20, 10], 10)
    assert sorted(mended.values.tolist()) == [1, 10, 10, 15, 20, 25, 35]
    assert len(q.correct([1, 2, 3], 10)) == 3
    with pytest.raises(ValueError, match="interval_s is 0"):
        q.correct([1], 0)


@pytest.mark.parametrize("clients", [1, 4])
def test_the_detector_tells_a_closed_loop_from_an_open_one(clients):
    load = {"per_second": 200, "service": q.Lognormal(0.003, cv=0.5), "duration_s": 60, "seed": 2}
    for stalls in ((q.Stall(20, 3),), (q.Stall(10, 0.5), q.Stall(30, 1), q.Stall(50, 2))):
        truth = q.open_loop(**load, stalls=stalls)
        seen = q.closed_loop(**load, stalls=stalls, clients=clients)
        found = q.detect(seen.sent_s, seen.finish_s, seen.interval_s)
        assert found.suspect
        stalled_s = sum(stall.length_s for stall in stalls)
        assert found.missing >= 0.9 * 200 * stalled_s
        assert "coordinated omission" in str(found)
        honest = q.detect(truth.sent_s, truth.finish_s, truth.interval_s)
        assert not honest.suspect
        assert honest.missing < 0.05 * honest.expected
        assert "open loop" in str(honest)
    calm = q.closed_loop(**load | {"service": q.Deterministic(0.003)})
    assert str(q.detect(calm.sent_s, calm.finish_s, calm.interval_s)).startswith("no request")


def test_the_detector_takes_poisson_arrivals_for_what_they_are():
    run = q.simulate(q.Poisson(95), q.Exponential(0.01), 1, 20_000, seed=3)
    found = q.detect(run.arrival_s, run.finish_s, 1 / 95)
    assert found.long_requests > 5000
    assert not found.suspect


def test_stalls_one_by_one_are_stalls_at_once():
    stalls = (q.Stall(5, 1), q.Stall(5.5, 1), q.Stall(9, 0.2))
    service = q.Exponential(0.3)
    seen = q.closed_loop(2, service, 15, seed=4, stalls=stalls, clients=3)
    per_client = service.sample(np.random.default_rng(4), 11)
    first = seen.sent_s[0]
    assert seen.finish_s[0] == _finish(np.array([first]), per_client[:1], stalls)[0]
    truth = q.open_loop(2, q.Deterministic(0.5), 10, seed=0, stalls=(q.Stall(1, 2),))
    #  sent at 0.5 done at 1; sent at 1 and 2.5 done at 3.5; the stall is over at 3.
    assert truth.finish_s[:7].tolist() == [0.5, 1.0, 3.5, 3.5, 3.5, 3.5, 3.5]


def test_batch_means_cover_the_truth_and_the_naive_interval_does_not():
    truth = theory.MM1(80, 100)
    covered, naive, percentile = 0, 0, 0
    for seed in range(200):
        run = q.simulate(q.Poisson(80), q.Exponential(0.01), 1, 40_000, seed=seed)
        covered += truth.mean_sojourn_s in run.confidence("mean")
        percentile += truth.sojourn_percentile(90) in run.confidence("p90")
        values = run.sojourn.values
        error = 1.96 * values.std() / math.sqrt(values.size)
        naive += abs(values.mean() - truth.mean_sojourn_s) <= error
    assert 0.86 <= covered / 200 <= 0.99
    assert 0.86 <= percentile / 200 <= 0.99
    assert naive / 200 < 0.3


def test_batch_means_of_independent_values_are_the_textbook_interval():
    values = np.random.default_rng(1).normal(5, 2, 100_000)
    estimate = q.batch_means(values)
    assert 5 in estimate
    assert estimate.half_width == pytest.approx(1.96 * 2 / math.sqrt(100_000), rel=0.3)
    assert abs(estimate.correlation) < 0.5
    assert str(estimate).endswith("(95 %)")
    assert q.batch_means(values, level=0.99).half_width > estimate.half_width
    drift = q.batch_means(np.cumsum(values - 5))
    assert drift.correlation > 0.5
    with pytest.raises(ValueError, match=r"20 batches need 10,000 each, 200,000 in all"):
        q.batch_means(values, tail=0.001)
    run = q.simulate(q.Poisson(80), q.Exponential(0.01), 1, 20_000, seed=1)
    with pytest.raises(ValueError, match="simulate longer"):
        run.confidence("p99.9")
    with pytest.raises(ValueError, match="statistic is '99'; say 'mean'"):
        run.confidence("99")
    with pytest.raises(ValueError, match="of is 'latency'"):
        run.confidence("mean", of="latency")


def test_the_warm_up_that_is_left_out():
    rng = np.random.default_rng(1)
    for transient in (300, 1000):
        values = rng.normal(0, 1, 10_000)
        values[:transient] += np.linspace(8, 0, transient)
        dropped = q.mser(values)
        assert 0.6 * transient < dropped < 1.3 * transient
        means = values.reshape(-1, 5).mean(axis=1)
        errors = [means[d:].var() / (means.size - d) for d in range(means.size // 2 + 1)]
        assert dropped == 5 * int(np.argmin(errors))
    assert q.mser([1, 2, 3]) == 0
    # An empty start at 95 % load: leaving it out takes the bias away.
    with_it, without = [], []
    for seed in range(400):
        run = q.simulate(q.Poisson(95), q.Exponential(0.01), 1, 1500, seed=seed, warmup=0.0)
        with_it.append(run.sojourn.mean)
        without.append(run.after_warmup(0.5).sojourn.mean)
    truth = theory.MM1(95, 100).mean_sojourn_s
    assert np.mean(with_it) < 0.85 * truth
    assert np.mean(without) > np.mean(with_it) * 1.08
    assert q.simulate(q.Poisson(9), q.Exponential(0.1), 1, 900, seed=1, warmup="mser").dropped >= 0
