"""Counter sets made from stated fractions, so that the right answer is known.

None of these numbers was measured.  A recipe states where the slots went; `synthesize` turns it
into the integer counts that a core would have shown.  The recipes are kept physically possible:
LLC misses x 250 cycles of latency need no more than the 12 fill buffers of a Skylake core.

`LONGEST_LAT_CACHE.MISS` counts prefetches too (Intel SDM vol. 3, architectural events), which is
how a workload can miss most often and wait least: `hash_join_prefetched`.
"""

from dataclasses import asdict, dataclass, replace

from syslab.topdown.counterset import CounterSet, Provenance

# Slots thrown away per flush: about 20 cycles of a 4-wide core.
_SLOTS_PER_FLUSH = 80
_LEVELS = ("l1_bound", "l2_bound", "l3_bound", "dram_bound", "store_bound")


@dataclass(frozen=True)
class Recipe:
    """Where the slots of a workload go.

    ``retiring``, ``bad_speculation`` and ``front_end_bound`` are fractions of all slots; the back
    end gets the rest.  The ``*_share`` fields split one class and lie in [0, 1]; ``memory_levels``
    are the shares of L1, L2, L3, DRAM and stores in the memory-bound slots and sum to 1.
    ``*_mpki`` are events per 1,000 instructions.
    """

    name: str
    story: str
    retiring: float
    bad_speculation: float
    front_end_bound: float
    memory_share: float
    memory_levels: tuple[float, float, float, float, float] = (0.3, 0.2, 0.2, 0.2, 0.1)
    heavy_share: float = 0.03
    mispredict_share: float = 0.97
    latency_share: float = 0.5
    uops_per_instruction: float = 1.1
    llc_mpki: float = 0.2
    l2_mpki: float = 2.0
    l1i_mpki: float = 0.5
    branches_per_instruction: float = 0.12

    def __post_init__(self):
        shares = ("memory_share", "heavy_share", "mispredict_share", "latency_share")
        for field in ("retiring", "bad_speculation", "front_end_bound", *shares):
            if not 0 <= getattr(self, field) <= 1:
                raise ValueError(f"{field} is {getattr(self, field)}; it must lie in [0, 1]")
        if self.back_end_bound < 0:
            raise ValueError("retiring + bad_speculation + front_end_bound exceed 1")
        if len(self.memory_levels) != 5 or abs(sum(self.memory_levels) - 1) > 1e-9:
            raise ValueError(f"memory_levels is {self.memory_levels}; give 5 shares that sum to 1")

    @property
    def back_end_bound(self) -> float:
        """What the other three classes leave."""
        rest = 1 - self.retiring - self.bad_speculation - self.front_end_bound
        return 0.0 if abs(rest) < 1e-12 else rest

    def fractions(self) -> dict[str, float]:
        """The planted truth: fraction of all slots for every class."""
        memory = self.back_end_bound * self.memory_share
        heavy = self.retiring * self.heavy_share
        branch = self.bad_speculation * self.mispredict_share
        latency = self.front_end_bound * self.latency_share
        return {
            "retiring": self.retiring,
            "bad_speculation": self.bad_speculation,
            "front_end_bound": self.front_end_bound,
            "back_end_bound": self.back_end_bound,
            "light_ops": self.retiring - heavy,
            "heavy_ops": heavy,
            "branch_mispredicts": branch,
            "machine_clears": self.bad_speculation - branch,
            "fetch_latency": latency,
            "fetch_bandwidth": self.front_end_bound - latency,
            "memory_bound": memory,
            "core_bound": self.back_end_bound - memory,
            **{
                name: memory * share
                for name, share in zip(_LEVELS, self.memory_levels, strict=True)
            },
        }


_RECIPES = (
    Recipe(
        "gemm_inner_loop",
        "blocked fp32 GEMM, packed panels in L2",
        0.82,
        0.01,
        0.03,
        0.35,
        (0.35, 0.45, 0.12, 0.05, 0.03),
        uops_per_instruction=1.05,
        llc_mpki=0.15,
        l2_mpki=1.2,
        branches_per_instruction=0.03,
    ),
    Recipe(
        "embedding_gather",
        "pooled lookups in a 40 GB table, one row at a time",
        0.11,
        0.02,
        0.03,
        0.88,
        (0.08, 0.04, 0.14, 0.72, 0.02),
        llc_mpki=9.5,
        l2_mpki=12.5,
        branches_per_instruction=0.08,
        uops_per_instruction=1.05,
    ),
    Recipe(
        "tokenizer",
        "byte-pair merges: data-dependent branches on every byte",
        0.30,
        0.38,
        0.17,
        0.40,
        (0.5, 0.25, 0.15, 0.06, 0.04),
        llc_mpki=0.6,
        l2_mpki=3.1,
        l1i_mpki=4.0,
        branches_per_instruction=0.22,
    ),
    Recipe(
        "json_parse",
        "scalar parser: a large switch, decoded again and again",
        0.34,
        0.13,
        0.38,
        0.45,
        (0.55, 0.2, 0.15, 0.06, 0.04),
        latency_share=0.24,
        llc_mpki=0.9,
        l2_mpki=2.6,
        l1i_mpki=6.0,
        branches_per_instruction=0.2,
    ),
    Recipe(
        "hash_join_prefetched",
        "hash join, probes prefetched in groups of 12",
        0.47,
        0.06,
        0.07,
        0.28,
        (0.45, 0.1, 0.15, 0.25, 0.05),
        uops_per_instruction=1.12,
        llc_mpki=26.0,
        l2_mpki=29.0,
        branches_per_instruction=0.1,
    ),
    Recipe(
        "hash_join_chained",
        "the same join, each probe waits for the one before",
        0.12,
        0.04,
        0.03,
        0.87,
        (0.06, 0.03, 0.13, 0.75, 0.03),
        uops_per_instruction=1.12,
        llc_mpki=8.6,
        l2_mpki=10.8,
        branches_per_instruction=0.14,
    ),
    Recipe(
        "python_interpreter",
        "request glue in CPython: a code footprint beyond L1I and L2",
        0.28,
        0.14,
        0.37,
        0.55,
        (0.4, 0.2, 0.22, 0.14, 0.04),
        latency_share=0.76,
        uops_per_instruction=1.15,
        llc_mpki=1.2,
        l2_mpki=14.0,
        l1i_mpki=28.0,
        branches_per_instruction=0.2,
    ),
    Recipe(
        "checkpoint_write",
        "fp32 to bf16 conversion into a fresh buffer",
        0.24,
        0.01,
        0.03,
        0.84,
        (0.04, 0.03, 0.07, 0.28, 0.58),
        uops_per_instruction=1.06,
        llc_mpki=14.0,
        l2_mpki=15.0,
        branches_per_instruction=0.05,
    ),
    Recipe(
        "rng_sampling",
        "top-p sampling: exp, divide and a serial random generator",
        0.38,
        0.05,
        0.05,
        0.10,
        (0.7, 0.15, 0.08, 0.04, 0.03),
        llc_mpki=0.1,
        l2_mpki=0.4,
    ),
    Recipe(
        "decode_gemv",
        "one token of decode: 4-bit weights streamed and dequantised",
        0.30,
        0.01,
        0.02,
        0.86,
        (0.06, 0.04, 0.09, 0.80, 0.01),
        uops_per_instruction=1.08,
        llc_mpki=16.0,
        l2_mpki=16.6,
        branches_per_instruction=0.02,
    ),
    Recipe(
        "softmax_denormals",
        "softmax over masked scores: denormals raise microcode assists",
        0.46,
        0.04,
        0.18,
        0.15,
        heavy_share=0.80,
        mispredict_share=0.3,
        latency_share=0.7,
        uops_per_instruction=3.4,
        llc_mpki=0.1,
        l2_mpki=0.5,
        branches_per_instruction=0.05,
    ),
)
WORKLOADS = {recipe.name: recipe for recipe in _RECIPES}


def workload(name: str, cpu: str = "skylake-sp") -> CounterSet:
    """The synthetic counter set of a named workload, with the default cycles and no variation."""
    if name not in WORKLOADS:
        raise KeyError(f"no workload {name!r}; named workloads: {', '.join(WORKLOADS)}")
    return synthesize(WORKLOADS[name], cpu=cpu)


def planted(counter_set: CounterSet) -> dict[str, float]:
    """The fractions that a synthetic counter set was made from."""
    if counter_set.provenance.kind != "synthetic":
        raise ValueError(
            f"{counter_set.workload!r} is {counter_set.provenance.kind}; "
            "only a synthetic set has a planted truth"
        )
    return dict(counter_set.provenance.parameters["fractions"])


def synthesize(
    recipe: Recipe,
    cpu: str = "skylake-sp",
    cycles: int = 1_000_000_000,
    seed: int = 0,
    spread: float = 0.0,
) -> CounterSet:
    """Turn a recipe into integer event counts.

    Parameters
    ----------
    recipe : Recipe
    cpu : {"skylake-sp", "zen4"}
    cycles : int
        Unhalted cycles, at least 1,000,000 so that rounding stays below 1e-5 of the slots.
    seed : int
        Of the variation; without effect when ``spread`` is 0.
    spread : float
        Relative standard deviation put on the level-1 fractions, 0 to 0.2.  The varied
        fractions, not the recipe's, become the planted truth.

    Returns
    -------
    CounterSet
        Provenance "synthetic"; its parameters hold the recipe, seed, spread and fractions.
    """
    if cycles < 1_000_000:
        raise ValueError(f"cycles is {cycles}; use at least 1,000,000")
    if not 0 <= spread <= 0.2:
        raise ValueError(f"spread is {spread}; it must lie in [0, 0.2]")
    if spread:
        recipe = _varied(recipe, seed, spread)
    makers = {"skylake-sp": _skylake_counts, "zen4": _zen4_counts}
    if cpu not in makers:
        raise ValueError(f"cpu is {cpu!r}; counts can be made for {', '.join(makers)}")
    provenance = Provenance(
        "synthetic",
        parameters={
            "recipe": asdict(recipe),
            "cycles": cycles,
            "seed": seed,
            "spread": spread,
            "fractions": recipe.fractions(),
        },
    )
    return CounterSet(recipe.name, cpu, makers[cpu](recipe, cycles), provenance)


def _varied(recipe: Recipe, seed: int, spread: float) -> Recipe:
    import numpy as np

    level1 = np.array(
        [recipe.retiring, recipe.bad_speculation, recipe.front_end_bound, recipe.back_end_bound]
    )
    level1 = level1 * np.exp(np.random.default_rng(seed).normal(0, spread, 4))
    retiring, bad, front, _ = (float(x) for x in level1 / level1.sum())
    return replace(recipe, retiring=retiring, bad_speculation=bad, front_end_bound=front)


def _skylake_counts(r: Recipe, cycles: int) -> dict[str, int]:
    slots = 4 * cycles
    retired = round(r.retiring * slots)
    bad = round(r.bad_speculation * slots)
    recovery = round(0.55 * bad / 4)
    issued = retired + bad - 4 * recovery
    front = round(r.front_end_bound * slots)
    instructions = round(retired / r.uops_per_instruction)

    # Back-end cycles: memory stalls nest (L3 miss within L2 miss within L1 miss within any), and
    # what is left is core-bound: no port, one port or two ports busy.
    back_cycles = round(r.back_end_bound * cycles)
    memory = round(r.memory_share * back_cycles)
    l1, l2, l3, _, stores = (round(share * memory) for share in r.memory_levels)
    any_stall = memory - stores
    core = back_cycles - memory
    no_port = round(0.3 * core)
    two_ports = round(min(0.3 * core, 0.1 * cycles))
    one_port = core - no_port - round(r.retiring * two_ports)
    return {
        "CPU_CLK_UNHALTED.THREAD": cycles,
        "INST_RETIRED.ANY": instructions,
        "UOPS_ISSUED.ANY": issued,
        "UOPS_RETIRED.RETIRE_SLOTS": retired,
        "INT_MISC.RECOVERY_CYCLES": recovery,
        "IDQ_UOPS_NOT_DELIVERED.CORE": front,
        "IDQ_UOPS_NOT_DELIVERED.CYCLES_0_UOPS_DELIV.CORE": round(r.latency_share * front / 4),
        "IDQ.MS_UOPS": round(r.heavy_share * issued),
        "BR_INST_RETIRED.ALL_BRANCHES": round(r.branches_per_instruction * instructions),
        **_flushes(r, bad, "BR_MISP_RETIRED.ALL_BRANCHES", "MACHINE_CLEARS.COUNT"),
        "CYCLE_ACTIVITY.STALLS_TOTAL": any_stall + no_port,
        "CYCLE_ACTIVITY.STALLS_MEM_ANY": any_stall,
        "CYCLE_ACTIVITY.STALLS_L1D_MISS": any_stall - l1,
        "CYCLE_ACTIVITY.STALLS_L2_MISS": any_stall - l1 - l2,
        "CYCLE_ACTIVITY.STALLS_L3_MISS": any_stall - l1 - l2 - l3,
        "EXE_ACTIVITY.BOUND_ON_STORES": stores,
        "EXE_ACTIVITY.1_PORTS_UTIL": one_port,
        "EXE_ACTIVITY.2_PORTS_UTIL": two_ports,
        "ICACHE_64B.IFTAG_MISS": round(r.l1i_mpki * instructions / 1000),
        "L2_RQSTS.MISS": round(r.l2_mpki * instructions / 1000),
        "LONGEST_LAT_CACHE.MISS": round(r.llc_mpki * instructions / 1000),
    }


def _zen4_counts(r: Recipe, cycles: int) -> dict[str, int]:
    slots = 6 * cycles
    retired = round(r.retiring * slots)
    bad = round(r.bad_speculation * slots)
    front = round(r.front_end_bound * slots)
    instructions = round(retired / r.uops_per_instruction)
    waiting = round(r.back_end_bound * cycles)
    no_dispatch = "de_no_dispatch_per_slot"
    return {
        "ls_not_halted_cyc": cycles,
        "ex_ret_instr": instructions,
        "ex_ret_ops": retired,
        "ex_ret_ucode_ops": round(r.heavy_share * retired),
        "de_src_op_disp.all": retired + bad,
        f"{no_dispatch}.no_ops_from_frontend": front,
        f"{no_dispatch}.no_ops_from_frontend:cmask=6": round(r.latency_share * front / 6),
        f"{no_dispatch}.backend_stalls": slots - retired - bad - front,
        f"{no_dispatch}.smt_contention": 0,
        "ex_ret_brn": round(r.branches_per_instruction * instructions),
        **_flushes(r, bad, "ex_ret_brn_misp", "resyncs_or_nc_redirects"),
        "ex_no_retire.not_complete": waiting,
        "ex_no_retire.load_not_complete": round(r.memory_share * waiting),
    }


def _flushes(r: Recipe, bad_slots: int, mispredicts: str, clears: str) -> dict[str, int]:
    flushes = bad_slots / _SLOTS_PER_FLUSH
    return {
        mispredicts: round(r.mispredict_share * flushes),
        clears: round((1 - r.mispredict_share) * flushes),
    }
