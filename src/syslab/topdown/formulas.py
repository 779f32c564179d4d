"""The formula of every Top-Down class, per CPU family, with its source.

Skylake-SP.  Level 1 and the shape of the tree: A. Yasin, "A Top-Down Method for Performance
Analysis and Counters Architecture", ISPASS 2014.  Event names and the level-2 and level-3
expressions: Intel 64 and IA-32 Architectures Optimization Reference Manual, appendix B
("Performance monitoring and the Top-Down method"), and the metric file of the Linux kernel
(tools/perf/pmu-events/arch/x86/skylakex/skx-metrics.json).

Zen 4.  AMD's pipeline-utilisation metrics (Processor Programming Reference, family 19h), as in
the Linux kernel (tools/perf/pmu-events/arch/x86/amdzen4/pipeline.json).

Two choices of this course.  Intel reports level 3 in cycles; here the stall cycles share out the
memory-bound slots, so that children always add up to their parent.  And `heavy_ops` is the
microcoded part only: later Intel cores also count instructions of two or more plain uops.
"""

from dataclasses import dataclass

from syslab.topdown.counterset import CounterSet

YASIN = "Yasin, ISPASS 2014"
INTEL = "Intel Optimization Reference Manual, appendix B; Linux skx-metrics.json"
AMD = "AMD PPR family 19h; Linux amdzen4/pipeline.json"


@dataclass(frozen=True)
class Formula:
    """How many slots one class has: ``text`` in event names, SLOTS, WIDTH and other classes."""

    name: str
    parent: str | None
    text: str
    source: str


_NO_DISPATCH = "de_no_dispatch_per_slot"
_EMPTY_FETCH = "IDQ_UOPS_NOT_DELIVERED.CYCLES_0_UOPS_DELIV.CORE"
_MEMORY_STALLS = "(CYCLE_ACTIVITY.STALLS_MEM_ANY + EXE_ACTIVITY.BOUND_ON_STORES)"
_MISPREDICTS = "BR_MISP_RETIRED.ALL_BRANCHES"


def _table(rows) -> dict[str, Formula]:
    return {name: Formula(name, parent, text, source) for name, parent, text, source in rows}


_SKYLAKE = _table(
    [
        ("retiring", None, "UOPS_RETIRED.RETIRE_SLOTS", YASIN),
        (
            "bad_speculation",
            None,
            "UOPS_ISSUED.ANY - UOPS_RETIRED.RETIRE_SLOTS + WIDTH * INT_MISC.RECOVERY_CYCLES",
            YASIN,
        ),
        ("front_end_bound", None, "IDQ_UOPS_NOT_DELIVERED.CORE", YASIN),
        ("back_end_bound", None, "SLOTS - retiring - bad_speculation - front_end_bound", YASIN),
        ("light_ops", "retiring", "retiring - heavy_ops", YASIN),
        (
            "heavy_ops",
            "retiring",
            "IDQ.MS_UOPS * UOPS_RETIRED.RETIRE_SLOTS / UOPS_ISSUED.ANY",
            YASIN,
        ),
        (
            "branch_mispredicts",
            "bad_speculation",
            f"bad_speculation * {_MISPREDICTS} / ({_MISPREDICTS} + MACHINE_CLEARS.COUNT)",
            YASIN,
        ),
        ("machine_clears", "bad_speculation", "bad_speculation - branch_mispredicts", YASIN),
        ("fetch_latency", "front_end_bound", f"WIDTH * {_EMPTY_FETCH}", YASIN),
        ("fetch_bandwidth", "front_end_bound", "front_end_bound - fetch_latency", YASIN),
        (
            "memory_bound",
            "back_end_bound",
            f"back_end_bound * {_MEMORY_STALLS} / (CYCLE_ACTIVITY.STALLS_TOTAL"
            " + EXE_ACTIVITY.1_PORTS_UTIL + retiring / SLOTS * EXE_ACTIVITY.2_PORTS_UTIL"
            " + EXE_ACTIVITY.BOUND_ON_STORES)",
            INTEL,
        ),
        ("core_bound", "back_end_bound", "back_end_bound - memory_bound", INTEL),
        (
            "l1_bound",
            "memory_bound",
            "memory_bound * (CYCLE_ACTIVITY.STALLS_MEM_ANY"
            f" - CYCLE_ACTIVITY.STALLS_L1D_MISS) / {_MEMORY_STALLS}",
            INTEL,
        ),
        (
            "l2_bound",
            "memory_bound",
            "memory_bound * (CYCLE_ACTIVITY.STALLS_L1D_MISS"
            f" - CYCLE_ACTIVITY.STALLS_L2_MISS) / {_MEMORY_STALLS}",
            INTEL,
        ),
        (
            "l3_bound",
            "memory_bound",
            "memory_bound * (CYCLE_ACTIVITY.STALLS_L2_MISS"
            f" - CYCLE_ACTIVITY.STALLS_L3_MISS) / {_MEMORY_STALLS}",
            INTEL,
        ),
        (
            "dram_bound",
            "memory_bound",
            f"memory_bound * CYCLE_ACTIVITY.STALLS_L3_MISS / {_MEMORY_STALLS}",
            INTEL,
        ),
        (
            "store_bound",
            "memory_bound",
            f"memory_bound * EXE_ACTIVITY.BOUND_ON_STORES / {_MEMORY_STALLS}",
            INTEL,
        ),
    ]
)

_ZEN4 = _table(
    [
        ("retiring", None, "ex_ret_ops", AMD),
        ("bad_speculation", None, "de_src_op_disp.all - ex_ret_ops", AMD),
        ("front_end_bound", None, f"{_NO_DISPATCH}.no_ops_from_frontend", AMD),
        ("back_end_bound", None, f"{_NO_DISPATCH}.backend_stalls", AMD),
        ("smt_contention", None, f"{_NO_DISPATCH}.smt_contention", AMD),
        ("light_ops", "retiring", "retiring - heavy_ops", AMD),
        ("heavy_ops", "retiring", "ex_ret_ucode_ops", AMD),
        (
            "branch_mispredicts",
            "bad_speculation",
            "bad_speculation * ex_ret_brn_misp / (ex_ret_brn_misp + resyncs_or_nc_redirects)",
            AMD,
        ),
        ("machine_clears", "bad_speculation", "bad_speculation - branch_mispredicts", AMD),
        (
            "fetch_latency",
            "front_end_bound",
            f"WIDTH * {_NO_DISPATCH}.no_ops_from_frontend:cmask=6",
            AMD,
        ),
        ("fetch_bandwidth", "front_end_bound", "front_end_bound - fetch_latency", AMD),
        (
            "memory_bound",
            "back_end_bound",
            "back_end_bound * ex_no_retire.load_not_complete / ex_no_retire.not_complete",
            AMD,
        ),
        ("core_bound", "back_end_bound", "back_end_bound - memory_bound", AMD),
    ]
)

FORMULAS = {"skylake-sp": _SKYLAKE, "zen4": _ZEN4}


def slots_by_class(counter_set: CounterSet) -> dict[str, float]:
    """Slots of every class of ``FORMULAS[counter_set.cpu]``, in the table's order.

    Level 1 is integer arithmetic on the counts, so it adds up to ``counter_set.slots`` exactly.
    """
    return {"skylake-sp": _skylake_slots, "zen4": _zen4_slots}[counter_set.cpu](counter_set)


def _ratio(part: float, whole: float) -> float:
    """Share of an event that may not have happened at all: 0 of 0 is 0."""
    return part / whole if whole else 0.0


def _skylake_slots(c: CounterSet) -> dict[str, float]:
    issued, retired = c["UOPS_ISSUED.ANY"], c["UOPS_RETIRED.RETIRE_SLOTS"]
    bad = issued - retired + c.width * c["INT_MISC.RECOVERY_CYCLES"]
    front = c["IDQ_UOPS_NOT_DELIVERED.CORE"]
    back = c.slots - retired - bad - front

    heavy = c["IDQ.MS_UOPS"] * _ratio(retired, issued)
    mispredicts, clears = c["BR_MISP_RETIRED.ALL_BRANCHES"], c["MACHINE_CLEARS.COUNT"]
    branch = bad * _ratio(mispredicts, mispredicts + clears)
    latency = c.width * c[_EMPTY_FETCH]

    any_stall, stores = c["CYCLE_ACTIVITY.STALLS_MEM_ANY"], c["EXE_ACTIVITY.BOUND_ON_STORES"]
    few_uops = c["EXE_ACTIVITY.1_PORTS_UTIL"] + retired / c.slots * c["EXE_ACTIVITY.2_PORTS_UTIL"]
    memory_cycles = any_stall + stores
    memory = back * _ratio(memory_cycles, c["CYCLE_ACTIVITY.STALLS_TOTAL"] + few_uops + stores)
    l1, l2, l3 = (c[f"CYCLE_ACTIVITY.STALLS_{level}_MISS"] for level in ("L1D", "L2", "L3"))
    return {
        "retiring": retired,
        "bad_speculation": bad,
        "front_end_bound": front,
        "back_end_bound": back,
        "light_ops": retired - heavy,
        "heavy_ops": heavy,
        "branch_mispredicts": branch,
        "machine_clears": bad - branch,
        "fetch_latency": latency,
        "fetch_bandwidth": front - latency,
        "memory_bound": memory,
        "core_bound": back - memory,
        "l1_bound": memory * _ratio(any_stall - l1, memory_cycles),
        "l2_bound": memory * _ratio(l1 - l2, memory_cycles),
        "l3_bound": memory * _ratio(l2 - l3, memory_cycles),
        "dram_bound": memory * _ratio(l3, memory_cycles),
        "store_bound": memory * _ratio(stores, memory_cycles),
    }


def _zen4_slots(c: CounterSet) -> dict[str, float]:
    retired = c["ex_ret_ops"]
    bad = c["de_src_op_disp.all"] - retired
    front, back, other_thread = (
        c[f"{_NO_DISPATCH}.{reason}"]
        for reason in ("no_ops_from_frontend", "backend_stalls", "smt_contention")
    )
    mispredicts, resyncs = c["ex_ret_brn_misp"], c["resyncs_or_nc_redirects"]
    branch = bad * _ratio(mispredicts, mispredicts + resyncs)
    latency = c.width * c[f"{_NO_DISPATCH}.no_ops_from_frontend:cmask=6"]
    memory = back * _ratio(c["ex_no_retire.load_not_complete"], c["ex_no_retire.not_complete"])
    heavy = c["ex_ret_ucode_ops"]
    return {
        "retiring": retired,
        "bad_speculation": bad,
        "front_end_bound": front,
        "back_end_bound": back,
        "smt_contention": other_thread,
        "light_ops": retired - heavy,
        "heavy_ops": heavy,
        "branch_mispredicts": branch,
        "machine_clears": bad - branch,
        "fetch_latency": latency,
        "fetch_bandwidth": front - latency,
        "memory_bound": memory,
        "core_bound": back - memory,
    }
