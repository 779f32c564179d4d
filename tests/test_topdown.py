"""Top-Down: planted truths are found again, the tree adds up, impossible counters are refused."""

import subprocess
import sys

import pytest

from syslab import topdown
from syslab.counters.formula import Formula
from syslab.topdown import (
    FORMULAS,
    WORKLOADS,
    CounterSet,
    Provenance,
    Recipe,
    classify,
    dominant,
    drill,
    misses_in_flight,
    planted,
    render,
    synthesize,
    workload,
)

BY_HAND = Provenance("synthetic", parameters={"made": "by hand"})

# 1,000 cycles, 4,000 slots; every number below can be checked on paper.
HAND = {
    "CPU_CLK_UNHALTED.THREAD": 1000,
    "INST_RETIRED.ANY": 900,
    "UOPS_ISSUED.ANY": 1200,
    "UOPS_RETIRED.RETIRE_SLOTS": 1000,
    "INT_MISC.RECOVERY_CYCLES": 50,
    "IDQ_UOPS_NOT_DELIVERED.CORE": 600,
    "IDQ_UOPS_NOT_DELIVERED.CYCLES_0_UOPS_DELIV.CORE": 100,
    "IDQ.MS_UOPS": 120,
    "BR_MISP_RETIRED.ALL_BRANCHES": 9,
    "MACHINE_CLEARS.COUNT": 1,
    "CYCLE_ACTIVITY.STALLS_TOTAL": 500,
    "CYCLE_ACTIVITY.STALLS_MEM_ANY": 400,
    "CYCLE_ACTIVITY.STALLS_L1D_MISS": 350,
    "CYCLE_ACTIVITY.STALLS_L2_MISS": 300,
    "CYCLE_ACTIVITY.STALLS_L3_MISS": 200,
    "EXE_ACTIVITY.BOUND_ON_STORES": 100,
    "EXE_ACTIVITY.1_PORTS_UTIL": 150,
    "EXE_ACTIVITY.2_PORTS_UTIL": 200,
}


def hand_set(**changes):
    counters = HAND | {name.replace("__", "."): value for name, value in changes.items()}
    return CounterSet("by hand", "skylake-sp", counters, BY_HAND)


def test_a_set_worked_out_on_paper():
    tree = classify(hand_set())
    slots = {node.name: node.slots for node in tree.nodes}
    assert slots["retiring"] == 1000
    assert slots["bad_speculation"] == 1200 - 1000 + 4 * 50
    assert slots["front_end_bound"] == 600
    assert slots["back_end_bound"] == 4000 - 1000 - 400 - 600
    assert slots["heavy_ops"] == pytest.approx(120 * 1000 / 1200)
    assert slots["branch_mispredicts"] == pytest.approx(360)
    assert slots["fetch_latency"] == 400
    # (400 + 100) / (500 + 150 + 0.25 * 200 + 100) of 2,000 slots
    assert slots["memory_bound"] == pytest.approx(2000 * 500 / 800)
    assert slots["dram_bound"] == pytest.approx(1250 * 200 / 500)
    assert slots["store_bound"] == pytest.approx(1250 * 100 / 500)
    assert [node.name for node in drill(tree)] == ["back_end_bound", "memory_bound", "dram_bound"]


@pytest.mark.parametrize("cpu", ["skylake-sp", "zen4"])
@pytest.mark.parametrize("name", WORKLOADS)
def test_the_planted_fractions_are_found_again(name, cpu):
    counter_set = workload(name, cpu)
    tree = classify(counter_set)
    truth = planted(counter_set)
    for node in tree.nodes:
        assert node.fraction == pytest.approx(truth.get(node.name, 0.0), abs=2e-8), node.name


@pytest.mark.parametrize("cpu", ["skylake-sp", "zen4"])
@pytest.mark.parametrize("seed", range(8))
def test_slots_add_up_exactly_and_children_to_their_parent(cpu, seed):
    for recipe in WORKLOADS.values():
        tree = classify(synthesize(recipe, cpu, cycles=1_234_567, seed=seed, spread=0.15))
        assert sum(node.slots for node in tree.children()) == tree.counter_set.slots
        for node in tree.nodes:
            below = tree.children(node.name)
            if below:
                assert sum(n.slots for n in below) == pytest.approx(node.slots, rel=1e-12, abs=1)
            assert node.fraction >= -1e-6


@pytest.mark.parametrize("cpu", FORMULAS)
def test_the_printed_formulas_give_what_classify_gives(cpu):
    for name in WORKLOADS:
        counter_set = workload(name, cpu)
        tree = classify(counter_set)
        known = dict(counter_set.counters) | {
            "SLOTS": counter_set.slots,
            "WIDTH": counter_set.width,
        }
        pending = dict(FORMULAS[cpu])
        while pending:
            ready = [
                f
                for f in pending.values()
                if all(event in known for event in Formula(f.text).events)
            ]
            assert ready, f"cannot resolve {list(pending)}"
            for formula in ready:
                known[formula.name] = Formula(formula.text).value(known)
                del pending[formula.name]
        for node in tree.nodes:
            assert known[node.name] == pytest.approx(node.slots, rel=1e-9, abs=1e-6), node.name


def test_most_misses_is_not_most_memory_bound():
    sets = [workload(name) for name in WORKLOADS]
    most_misses = max(sets, key=lambda s: s.mpki("LONGEST_LAT_CACHE.MISS"))
    tree = classify(most_misses)
    assert most_misses.workload == "hash_join_prefetched"
    assert tree["memory_bound"].fraction < 0.15
    assert [n.name for n in drill(tree, lost_only=True)] == ["back_end_bound", "core_bound"]
    chained = workload("hash_join_chained")
    assert chained.mpki("LONGEST_LAT_CACHE.MISS") < most_misses.mpki("LONGEST_LAT_CACHE.MISS") / 3
    assert drill(classify(chained))[-1].name == "dram_bound"


def test_notable_cache_misses_beside_a_front_end_bottleneck():
    interpreter = workload("python_interpreter")
    assert interpreter.mpki("L2_RQSTS.MISS") > workload("embedding_gather").mpki("L2_RQSTS.MISS")
    assert [n.name for n in drill(classify(interpreter))] == ["front_end_bound", "fetch_latency"]


def test_retiring_is_not_always_good_news():
    assert [n.name for n in drill(classify(workload("softmax_denormals")))] == [
        "retiring",
        "heavy_ops",
    ]


@pytest.mark.parametrize("name", WORKLOADS)
def test_recipes_are_physically_possible(name):
    counter_set = workload(name)
    assert misses_in_flight(counter_set, "LONGEST_LAT_CACHE.MISS", 250) <= 12
    assert counter_set["LONGEST_LAT_CACHE.MISS"] <= counter_set["L2_RQSTS.MISS"]
    busy = ("CYCLE_ACTIVITY.STALLS_TOTAL", "EXE_ACTIVITY.1_PORTS_UTIL", "EXE_ACTIVITY.2_PORTS_UTIL")
    assert sum(counter_set[event] for event in busy) <= counter_set.cycles
    assert 0 < counter_set.ipc <= counter_set.width
    assert all(isinstance(count, int) and count >= 0 for count in counter_set.counters.values())


def test_little_s_law():
    counter_set = hand_set(LONGEST_LAT_CACHE__MISS=8)
    assert misses_in_flight(counter_set, "LONGEST_LAT_CACHE.MISS", 250) == 2.0
    with pytest.raises(ValueError, match="latency_cycles is 0"):
        misses_in_flight(counter_set, "LONGEST_LAT_CACHE.MISS", 0)


def test_provenance_carries_what_made_the_set():
    recipe = WORKLOADS["tokenizer"]
    made = synthesize(recipe, cycles=2_000_000, seed=5, spread=0.1)
    parameters = made.provenance.parameters
    assert made.provenance.kind == "synthetic"
    assert (parameters["seed"], parameters["cycles"], parameters["spread"]) == (5, 2_000_000, 0.1)
    again = synthesize(Recipe(**parameters["recipe"]), cycles=parameters["cycles"])
    assert again.counters == made.counters
    assert synthesize(recipe, cycles=2_000_000, seed=6, spread=0.1).counters != made.counters
    assert sum(planted(made)[n.name] for n in classify(made).children()) == pytest.approx(1)


def test_measured_and_simulated_sets_name_their_tool_and_have_no_planted_truth():
    with pytest.raises(ValueError, match="must name its tool"):
        Provenance("measured")
    with pytest.raises(ValueError, match="one of synthetic, measured, simulated"):
        Provenance("guessed")
    measured = CounterSet("w", "skylake-sp", HAND, Provenance("measured", "perf 6.1"))
    with pytest.raises(ValueError, match="only a synthetic set"):
        planted(measured)
    assert "[measured counters]" in render(classify(measured))


def test_counter_sets_cannot_be_changed():
    counter_set = hand_set()
    with pytest.raises(TypeError):
        counter_set.counters["UOPS_ISSUED.ANY"] = 0
    with pytest.raises(AttributeError):
        counter_set.width = 6


def test_bad_counters_are_refused_with_what_to_do():
    with pytest.raises(KeyError, match=r"IDQ\.MS_UOPS was not counted for 'by hand'"):
        classify(
            CounterSet(
                "by hand",
                "skylake-sp",
                {k: v for k, v in HAND.items() if k != "IDQ.MS_UOPS"},
                BY_HAND,
            )
        )
    with pytest.raises(ValueError, match="0 cycles"):
        classify(hand_set(CPU_CLK_UNHALTED__THREAD=0))
    with pytest.raises(ValueError, match=r"bad_speculation would be .* not of one run"):
        classify(hand_set(UOPS_ISSUED__ANY=700))
    zen = dict(workload("tokenizer", "zen4").counters)
    zen["de_no_dispatch_per_slot.backend_stalls"] *= 3
    with pytest.raises(ValueError, match="level-1 classes cover"):
        classify(CounterSet("skewed", "zen4", zen, BY_HAND))
    with pytest.raises(ValueError, match="formulas exist for skylake-sp, zen4"):
        CounterSet("w", "pentium", HAND, BY_HAND)
    with pytest.raises(KeyError, match="no workload 'gem'"):
        workload("gem")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("retiring", 1.2),
        ("memory_share", -0.1),
        ("memory_levels", (1.0, 0.5, 0, 0, 0)),
        ("front_end_bound", 0.95),
    ],
)
def test_impossible_recipes_are_refused(field, value):
    fields = {
        "name": "w",
        "story": "",
        "retiring": 0.3,
        "bad_speculation": 0.1,
        "front_end_bound": 0.1,
        "memory_share": 0.5,
    }
    with pytest.raises(ValueError, match=field):
        Recipe(**fields | {field: value})


def test_dominant_ends_at_a_leaf_and_may_leave_retiring_out():
    tree = classify(workload("gemm_inner_loop"))
    assert dominant(tree).name == "retiring"
    assert dominant(tree, lost_only=True).name == "back_end_bound"
    assert dominant(tree, "memory_bound").name == "l2_bound"
    with pytest.raises(ValueError, match="end of the drill"):
        dominant(tree, "l2_bound")
    with pytest.raises(KeyError, match="no class 'memory'"):
        tree["memory"]


def test_text_shows_the_largest_branch_only():
    tree = classify(workload("embedding_gather"))
    short, full = render(tree), render(tree, full=True)
    assert "[synthetic counters]" in short
    assert "dram_bound" in short
    assert "fetch_latency" not in short
    assert "fetch_latency" in full
    marked = [line.split()[1] for line in short.splitlines() if line.startswith(">")]
    assert marked == [node.name for node in drill(tree)]


def test_bars_hold_the_fractions_and_do_not_rely_on_colour():
    trees = [classify(workload(name)) for name in WORKLOADS]
    fig = topdown.plot_workloads(trees)
    (ax,) = fig.axes
    drawn = {bars.get_label(): [patch.get_width() for patch in bars] for bars in ax.containers}
    assert drawn["back-end bound"] == pytest.approx(
        [100 * tree["back_end_bound"].fraction for tree in trees]
    )
    assert [sum(column) for column in zip(*drawn.values(), strict=True)] == pytest.approx(
        [100] * len(trees)
    )
    assert len({bars[0].get_hatch() for bars in ax.containers}) == len(ax.containers)
    assert "slots (%)" in ax.get_xlabel()
    assert "synthetic" in ax.get_title(loc="left") + ax.get_title()


def test_icicle_areas_are_slots():
    tree = classify(workload("decode_gemv"))
    (ax,) = topdown.plot_levels(tree).axes
    heights = [patch.get_height() for patch in ax.patches if patch.get_fill()]
    assert heights == pytest.approx(
        [
            100 * tree[n].fraction
            for n in (
                "retiring",
                "light_ops",
                "heavy_ops",
                "bad_speculation",
                "branch_mispredicts",
                "machine_clears",
                "front_end_bound",
                "fetch_latency",
                "fetch_bandwidth",
                "back_end_bound",
                "memory_bound",
                "l1_bound",
                "l2_bound",
                "l3_bound",
                "dram_bound",
                "store_bound",
                "core_bound",
            )
        ]
    )
    outlined = [patch for patch in ax.patches if not patch.get_fill()]
    assert len(outlined) == len(drill(tree))


def test_importing_is_light():
    code = (
        "import sys, syslab.topdown, syslab.counters, syslab.reuse;"
        "print([m for m in ('matplotlib', 'numba', 'pandas', 'torch', 'scipy')"
        " if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
