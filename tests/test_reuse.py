"""Reuse distance against brute force, simulators and cachegrind."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syslab import reuse
from syslab.counters import Cache, recorded, simulate
from syslab.reuse import traces

small_traces = st.lists(st.integers(0, 12), min_size=1, max_size=80)


def brute_distances(trace):
    """Definition, word for word: distinct other lines since the last access to this one."""
    out = []
    for now, line in enumerate(trace):
        before = [i for i in range(now) if trace[i] == line]
        out.append(len(set(trace[before[-1] + 1 : now])) if before else -1)
    return out


def brute_lru(trace, capacity):
    """An LRU cache as a Python list, newest first."""
    held, misses = [], []
    for line in trace:
        misses.append(line not in held)
        if line in held:
            held.remove(line)
        held = [line, *held][:capacity]
    return misses


def test_by_hand():
    #         a  b  c  a  a  c  b
    trace = [10, 20, 30, 10, 10, 30, 20]
    assert reuse.distances(trace).tolist() == [-1, -1, -1, 2, 0, 1, 2]
    counted = reuse.histogram(reuse.distances(trace))
    assert counted.counts.tolist() == [1, 1, 2]
    assert (counted.cold, counted.accesses) == (3, 7)
    curve = reuse.miss_ratio_curve(reuse.distances(trace))
    assert curve.miss_ratio == pytest.approx([1, 6 / 7, 5 / 7, 3 / 7])
    assert curve.cold_ratio == pytest.approx(3 / 7)
    assert curve.at(1000) == pytest.approx(3 / 7)
    assert curve.at_bytes(2 * 64 + 63) == pytest.approx(5 / 7)
    assert curve.at([0, 3]) == pytest.approx([1, 3 / 7])


@given(small_traces)
@settings(max_examples=150, deadline=None)
def test_distances_match_the_definition(trace):
    assert reuse.distances(trace).tolist() == brute_distances(trace)


@given(small_traces, st.integers(1, 14))
@settings(max_examples=150, deadline=None)
def test_the_lru_simulator_matches_a_plain_list(trace, capacity):
    assert reuse.lru_misses(trace, capacity).tolist() == brute_lru(trace, capacity)


@given(small_traces, st.integers(0, 3), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_the_set_associative_simulator_is_one_lru_list_for_each_set(trace, log_sets, ways):
    sets = 2**log_sets
    misses = reuse.set_associative_misses(trace, sets * ways * 64, ways).tolist()
    for index in range(sets):
        mine = [i for i, line in enumerate(trace) if line % sets == index]
        assert [misses[i] for i in mine] == brute_lru([trace[i] for i in mine], ways)


@pytest.mark.parametrize(
    "addresses",
    [
        traces.zipf(3000, 20_000, 0.9, seed=2),
        traces.uniform(500, 5_000, seed=1),
        traces.matmul(24, "ijk"),
        traces.kv_decode(40, 20, 256),
        traces.embedding(300, 200, 2_000),
    ],
)
def test_the_curve_is_the_fully_associative_cache_at_every_size(addresses):
    trace = reuse.lines(addresses)
    curve = reuse.miss_ratio_curve(reuse.distances(trace))
    for capacity in (1, 2, 3, 8, 31, 100, 333, 1000, 4000):
        assert curve.at(capacity) == reuse.lru_misses(trace, capacity).mean()
    assert np.all(np.diff(curve.miss_ratio) <= 0)
    assert curve.cold_ratio == np.unique(trace).size / trace.size
    assert curve.miss_ratio[-1] == curve.cold_ratio


def test_power_of_two_strides_miss_where_the_curve_says_hit():
    # 16 lines, all of set 0 in a cache of 64 sets: the curve sees 16 lines of 512.
    trace = reuse.lines(traces.strided(16, 64 * 64, passes=50))
    curve = reuse.miss_ratio_curve(reuse.distances(trace))
    assert curve.at_bytes(32 * 1024) == 1 / 50
    assert reuse.set_associative_misses(trace, 32 * 1024, ways=8).mean() == 1.0
    assert reuse.set_associative_misses(trace, 32 * 1024, ways=16).mean() == 1 / 50


def test_elements_share_lines():
    for element_bytes, per_line in ((8, 8), (4, 16), (2, 32)):
        trace = reuse.lines(traces.streaming(6400, element_bytes=element_bytes))
        assert (reuse.distances(trace) == reuse.COLD).sum() == 6400 // per_line
    assert reuse.lines([0, 63, 64, 127, 128]).tolist() == [0, 0, 1, 1, 2]
    assert reuse.lines([0, 63, 64, 127, 128], line_bytes=128).tolist() == [0, 0, 0, 0, 1]


def spelled_out_matmul(n, order, block, size, bases):
    """The three loop nests in plain Python."""
    a, b, c = bases
    step = block if order == "blocked" else n
    if order == "ijk":
        for i in range(n):
            for j in range(n):
                for k in range(n):
                    yield a + (i * n + k) * size
                    yield b + (k * n + j) * size
                yield c + (i * n + j) * size
        return
    tiles = range(0, n, step)
    for ii, kk, jj in ((x, y, z) for x in tiles for y in tiles for z in tiles):
        for i in range(ii, ii + step):
            for k in range(kk, kk + step):
                yield a + (i * n + k) * size
                for j in range(jj, jj + step):
                    yield b + (k * n + j) * size
                    yield c + (i * n + j) * size
                    yield c + (i * n + j) * size


@pytest.mark.parametrize("order", ["ijk", "ikj", "blocked"])
def test_matmul_traces_are_the_loops(order):
    bases = (4096, 16384, 65536)
    got = traces.matmul(12, order, block=4, element_bytes=4, bases=bases)
    assert got.tolist() == list(spelled_out_matmul(12, order, 4, 4, bases))
    assert traces.matmul(12, order, block=4).min() == 0


def test_kv_decode_sweeps_the_cache_that_grows():
    # 3 tokens of 128 B, 2 new ones: read 3, write 1, read 4, write 1 tokens of 2 lines each.
    got = reuse.lines(traces.kv_decode(3, 2, 128)).tolist()
    assert got == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_embedding_rows_that_straddle_lines_touch_both():
    # 96-byte rows: row 0 lies in lines 0-1, row 1 in lines 1-2.
    rows = reuse.lines(traces.embedding(2, 96, 200, exponent=0.0, seed=3))
    pairs = {tuple(pair) for pair in rows.reshape(-1, 2).tolist()}
    assert pairs == {(0, 1), (1, 2)}


def test_zipf_popularity():
    lines = reuse.lines(traces.zipf(1000, 200_000, exponent=1.0, seed=0))
    counts = np.sort(np.bincount(lines))[::-1]
    harmonic = (1 / np.arange(1, 1001)).sum()
    assert counts[0] / lines.size == pytest.approx(1 / harmonic, rel=0.03)
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.1)


def test_generators_repeat_with_their_seed():
    for make in (
        lambda s: traces.zipf(100, 500, seed=s),
        lambda s: traces.uniform(100, 500, seed=s),
        lambda s: traces.embedding(100, 64, 500, seed=s),
    ):
        assert np.array_equal(make(1), make(1))
        assert not np.array_equal(make(1), make(2))


def test_knees_find_the_working_set():
    looped = reuse.lines(traces.streaming(8 * 1000, passes=4))
    found = reuse.knees(reuse.miss_ratio_curve(reuse.distances(looped)))
    assert [knee.capacity_lines for knee in found] == [1, 1000]
    assert found[1].capacity_bytes == 64_000
    assert found[1].miss_ratio == 1 / 32
    assert found[1].drop == pytest.approx(1 / 8 - 1 / 32)
    no_reuse = reuse.miss_ratio_curve(reuse.distances(np.arange(100)))
    assert reuse.knees(no_reuse) == []


def test_the_kv_cache_cliff_is_at_its_size():
    # 256 to 320 tokens x 512 B: below the longest context LRU keeps nothing of the sweep.
    curve = reuse.miss_ratio_curve(reuse.distances(reuse.lines(traces.kv_decode(256, 64, 512))))
    last = reuse.knees(curve)[-1]
    assert 319 * 512 <= last.capacity_bytes <= 320 * 512
    assert curve.at_bytes(256 * 512 - 64) > 0.98


def test_sampling_at_rate_one_is_exact_and_less_is_close():
    trace = reuse.lines(traces.zipf(20_000, 200_000, 1.0, seed=4))
    exact = reuse.miss_ratio_curve(reuse.distances(trace))
    assert reuse.shards(trace, 1.0).miss_ratio == pytest.approx(exact.miss_ratio, abs=1e-12)
    # A few hot lines carry much of this trace; the adjustment is for their luck in the draw.
    errors = {
        adjust: [
            reuse.mean_absolute_error(reuse.shards(trace, 0.1, seed, adjust), exact)
            for seed in range(6)
        ]
        for adjust in (True, False)
    }
    assert np.mean(errors[True]) < 0.06
    assert np.mean(errors[True]) < 0.7 * np.mean(errors[False])
    assert errors[True][0] == reuse.mean_absolute_error(reuse.shards(trace, 0.1, 0), exact)


def test_sampling_scales_distances_back():
    # One loop over 10,000 lines: every warm distance is 9,999; the sampled curve has its cliff
    # there too, and not at a tenth of it.
    trace = np.tile(np.arange(10_000), 5)
    curve = reuse.shards(trace, 0.1, seed=1)
    assert curve.at(8_000) == pytest.approx(1, abs=0.05)
    assert curve.at(12_000) == pytest.approx(0.2, abs=0.05)
    assert curve.sample_rate == 0.1


def cachegrind_pair(simulation, order, n):
    element, array = 8, 65536 * 8  # as in kernels/matmul.c
    bases = (0, array, 2 * array)
    addresses = traces.matmul(n, order, block=16, element_bytes=element, bases=bases)
    misses = reuse.set_associative_misses(reuse.lines(addresses), 32 * 1024, ways=8)
    return addresses.size, int(misses.sum()), simulation[f"matmul_{order}"]


@pytest.mark.parametrize("n", [96, 128])
@pytest.mark.parametrize(("order", "tolerance"), [("ijk", 1e-4), ("ikj", 1e-4), ("blocked", 0.03)])
def test_recorded_cachegrind_agrees_with_the_simulator(order, tolerance, n):
    # The blocked kernel keeps loop bounds on its stack; the trace leaves those accesses out.
    accesses, misses, counts = cachegrind_pair(recorded(f"matmul-{order}-{n}"), order, n)
    assert accesses == pytest.approx(counts.accesses, rel=1e-5 if order != "blocked" else 2e-3)
    assert misses == pytest.approx(counts.l1_misses, rel=tolerance)


def test_live_cachegrind_agrees_with_the_simulator_in_another_geometry(needs_program):
    needs_program("valgrind")
    needs_program("gcc")
    n, cache = 64, Cache(8 * 1024, 4)
    counts = simulate("matmul", "ijk", n, l1d=cache)["matmul_ijk"]
    trace = reuse.lines(traces.matmul(n, "ijk", bases=(0, 65536 * 8, 2 * 65536 * 8)))
    misses = int(reuse.set_associative_misses(trace, cache.cache_bytes, cache.ways).sum())
    assert misses == pytest.approx(counts.l1_misses, rel=1e-3)


def test_a_fully_associative_curve_misses_the_conflicts_of_n_128():
    trace = reuse.lines(traces.matmul(128, "ijk"))
    curve = reuse.miss_ratio_curve(reuse.distances(trace))
    real = recorded("matmul-ijk-128")["matmul_ijk"].l1_miss_ratio
    assert curve.at_bytes(32 * 1024) < 0.07
    assert real > 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reuse.distances([]), "1-D array of line numbers"),
        (lambda: reuse.distances([[1, 2]]), r"shape \(1, 2\)"),
        (lambda: reuse.distances([-3]), "trace holds -3"),
        (lambda: reuse.lru_misses([1], 0), "capacity_lines is 0"),
        (lambda: reuse.set_associative_misses([1], 1000, 8), "multiple of ways x line_bytes"),
        (lambda: reuse.shards([1, 2], 0), r"rate is 0; it must lie in \(0, 1\]"),
        (lambda: reuse.knees(reuse.miss_ratio_curve([0, -1]), window=1), "window is 1"),
        (lambda: reuse.miss_ratio_curve([]), "empty"),
        (lambda: reuse.miss_ratio_curve([0, -1]).at(-1), "capacity_lines is -1"),
        (lambda: traces.matmul(10, "blocked", 3), "block is 3; it must divide n = 10"),
        (lambda: traces.matmul(10, "kij"), "order is 'kij'"),
        (lambda: traces.zipf(0, 5), "footprint_lines is 0"),
        (lambda: traces.zipf(5, 5, -1), "exponent is -1"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_addresses_that_are_not_integers_are_refused():
    with pytest.raises(TypeError, match="line numbers are integers"):
        reuse.distances([0.5, 1.5])
