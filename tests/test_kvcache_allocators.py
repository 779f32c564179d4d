"""Paged and contiguous allocators against a model that only remembers what was written.

The oracle keeps, for every sequence, the tokens it should contain, and for every physical slot
what was last written there. Reading a sequence through its block table must give its tokens:
that fails if a block is handed out twice, shared too long or copied too late.
"""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from syslab.kvcache import ContiguousCache, OutOfMemory, PagedCache, block_keys

NAMES = "abcdefgh"


class PagedMachine(RuleBasedStateMachine):
    """Random adds, appends, forks, frees and swaps on a small pool with a prefix cache."""

    @initialize(blocks=st.integers(2, 9), size=st.integers(1, 4), prefix=st.booleans())
    def start(self, blocks, size, prefix):
        self.cache = PagedCache(blocks, size, prefix_cache=prefix)
        self.blocks, self.size = blocks, size
        self.slots = {}  # (block, offset) -> token written there
        self.wanted = {}  # name -> tokens
        self.host = {}  # swapped out: name -> tokens

    def write(self, name, start):
        table = self.cache.table(name)
        for i in range(start, len(self.wanted[name])):
            self.slots[table[i // self.size], i % self.size] = self.wanted[name][i]

    def pick(self, data, names):
        return data.draw(st.sampled_from(sorted(names)))

    @rule(data=st.data(), tokens=st.lists(st.integers(0, 1), min_size=1, max_size=12))
    def add(self, data, tokens):
        free = set(NAMES) - set(self.wanted) - set(self.host)
        if not free:
            return
        name = self.pick(data, free)
        before = self.cache.counters, self.cache.pool.free
        try:
            hit = self.cache.add(name, tokens)
        except OutOfMemory:
            assert before == (self.cache.counters, self.cache.pool.free)
            return
        assert hit < len(tokens)
        assert hit % self.size == 0
        self.wanted[name] = list(tokens)
        self.write(name, hit)  # the first ``hit`` tokens are not written: they must be there

    @precondition(lambda self: self.wanted)
    @rule(data=st.data(), token=st.integers(0, 1))
    def append(self, data, token):
        name = self.pick(data, self.wanted)
        old = self.cache.table(name)
        try:
            self.cache.append(name, token)
        except OutOfMemory:
            assert self.cache.table(name) == old
            assert self.cache.pool.free == 0
            return
        for before, after in zip(old, self.cache.table(name), strict=False):
            if before != after:  # copied on write
                for offset in range(self.size):
                    if (before, offset) in self.slots:
                        self.slots[after, offset] = self.slots[before, offset]
        self.wanted[name].append(token)
        self.write(name, len(self.wanted[name]) - 1)

    @precondition(lambda self: self.wanted)
    @rule(data=st.data())
    def fork(self, data):
        free = set(NAMES) - set(self.wanted) - set(self.host)
        if not free:
            return
        parent, child = self.pick(data, self.wanted), self.pick(data, free)
        unused = self.cache.pool.free
        self.cache.fork(parent, child)
        assert self.cache.pool.free == unused  # sharing costs nothing
        self.wanted[child] = list(self.wanted[parent])

    @precondition(lambda self: self.wanted)
    @rule(data=st.data())
    def free(self, data):
        name = self.pick(data, self.wanted)
        self.cache.free(name)
        del self.wanted[name]

    @precondition(lambda self: self.wanted)
    @rule()
    def preempt_youngest(self):
        name = self.cache.youngest()
        assert self.cache.preempt(name) == len(self.wanted.pop(name))

    @precondition(lambda self: self.wanted)
    @rule(data=st.data())
    def swap_out(self, data):
        name = self.pick(data, self.wanted)
        self.cache.swap_out(name)
        self.host[name] = self.wanted.pop(name)

    @precondition(lambda self: self.host)
    @rule(data=st.data())
    def swap_in(self, data):
        name = self.pick(data, self.host)
        try:
            self.cache.swap_in(name)
        except OutOfMemory:
            return
        self.wanted[name] = self.host.pop(name)
        self.write(name, 0)

    @invariant()
    def every_sequence_reads_back_what_was_written(self):
        for name, tokens in self.wanted.items():
            table = self.cache.table(name)
            assert len(table) == -(-len(tokens) // self.size)
            read = [self.slots[table[i // self.size], i % self.size] for i in range(len(tokens))]
            assert read == tokens

    @invariant()
    def blocks_are_conserved_and_counted(self):
        held = {block for name in self.wanted for block in self.cache.table(name)}
        assert len(held) + self.cache.pool.free == self.blocks
        counted = self.cache.counters
        assert counted.allocated_slots == len(held) * self.size
        assert counted.used_slots + counted.internal_slots == counted.allocated_slots
        assert counted.used_slots + counted.shared_slots == sum(map(len, self.wanted.values()))
        references = [b for name in self.wanted for b in self.cache.table(name)]
        assert all(self.cache.pool.references(b) == references.count(b) for b in held)
        if not self.cache.prefix_cache:
            assert self.cache.pool.cached == 0


TestPaged = PagedMachine.TestCase
TestPaged.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


def test_copy_on_write_copies_once_per_writer_and_never_for_the_last():
    cache = PagedCache(8, 4)
    cache.add("a", 6)
    for child in "bc":
        cache.fork("a", child)
    assert cache.counters.shared_slots == 12
    cache.append("b")
    cache.append("c")
    cache.append("a")  # the others have left: no copy
    assert cache.counters.copies == 2
    assert cache.counters.copied_tokens == 4
    assert len({cache.table(n)[0] for n in "abc"}) == 1  # the full block is still shared
    assert len({cache.table(n)[1] for n in "abc"}) == 3


def test_a_full_shared_block_is_not_copied():
    cache = PagedCache(4, 4)
    cache.add("a", 8)
    cache.fork("a", "b")
    cache.append("b")
    assert cache.counters.copies == 0
    assert cache.table("b")[:2] == cache.table("a")


def test_internal_waste_is_below_one_block_per_sequence():
    cache = PagedCache(100, 16)
    for i in range(20):
        cache.add(i, 17 + i)
    counted = cache.counters
    assert counted.internal_slots == sum(-(17 + i) % 16 for i in range(20)) < 20 * 16
    assert counted.external_slots == 0


def test_prefix_cache_survives_its_writer_and_spares_the_last_token():
    cache = PagedCache(10, 4, prefix_cache=True)
    system = list(range(100, 108))
    assert cache.add("a", [*system, 1, 2]) == 0
    cache.free("a")
    assert cache.add("b", [*system, 9]) == 8
    assert cache.add("c", system) == 4  # 8 tokens, but the last block must be computed
    assert cache.add("d", [0, *system]) == 0  # same tokens one place later: other keys
    assert cache.counters.prefix_hit_tokens == 12
    assert cache.counters.prefix_queried_tokens == 10 + 9 + 8 + 9


def test_prefix_blocks_are_given_up_oldest_first_and_leaves_before_trunk():
    cache = PagedCache(4, 2, prefix_cache=True)
    cache.add("a", [1, 2, 3, 4, 5, 6])
    cache.free("a")
    cache.add("x", 3)  # one unused block, then the leaf of a
    assert cache.counters.evictions == 1
    assert cache.pool.cached == 2
    with pytest.raises(OutOfMemory, match="needs 1 blocks, and 0 are free"):
        cache.add("b", [1, 2, 3, 4, 5])  # both cached blocks hit, and nothing is left for the 5
    assert cache.add("b", [1, 2, 3]) == 2
    assert cache.counters.evictions == 2


def test_prefix_needs_tokens_and_the_same_past():
    keys = block_keys([1, 2, 3, 4], 2)
    assert keys[1] != block_keys([9, 2, 3, 4], 2)[1]
    assert block_keys([12, 3], 2) != block_keys([1, 23], 2)
    cache = PagedCache(4, 2, prefix_cache=True)
    cache.add("count", 4)
    assert cache.counters.prefix_queried_tokens == 0
    with pytest.raises(ValueError, match="as a count"):
        cache.append("count", 7)


class ContiguousMachine(RuleBasedStateMachine):
    """Random runs in a small pool; the oracle is an array of owners."""

    @initialize(slots=st.integers(5, 40), fit=st.sampled_from(["first", "best"]))
    def start(self, slots, fit):
        self.cache, self.slots, self.lengths = ContiguousCache(slots, fit), slots, {}

    @rule(name=st.sampled_from(NAMES), prompt=st.integers(1, 12), more=st.integers(0, 12))
    def add(self, name, prompt, more):
        if name in self.lengths:
            return
        largest = max((size for _, size in self.cache.holes()), default=0)
        if prompt + more > largest:
            with pytest.raises(OutOfMemory):
                self.cache.add(name, prompt, prompt + more)
        else:
            self.cache.add(name, prompt, prompt + more)
            self.lengths[name] = prompt

    @precondition(lambda self: self.lengths)
    @rule(data=st.data())
    def append(self, data):
        name = data.draw(st.sampled_from(sorted(self.lengths)))
        try:
            self.cache.append(name)
        except OutOfMemory:
            return
        self.lengths[name] += 1

    @precondition(lambda self: self.lengths)
    @rule(data=st.data())
    def free(self, data):
        name = data.draw(st.sampled_from(sorted(self.lengths)))
        self.cache.free(name)
        del self.lengths[name]

    @invariant()
    def runs_do_not_overlap_and_holes_are_the_rest(self):
        owner = [None] * self.slots
        for name, length in self.lengths.items():
            start, reserved = self.cache.place(name)
            assert reserved >= length
            for slot in range(start, start + reserved):
                assert owner[slot] is None
                owner[slot] = name
        text = "".join("." if o is None else "x" for o in owner)
        runs = [len(run) for run in text.split("x") if run]
        assert sorted(size for _, size in self.cache.holes()) == sorted(runs)
        counted = self.cache.counters
        assert counted.free_slots == text.count(".")
        assert counted.external_slots == sum(runs) - max(runs, default=0)
        assert counted.used_slots == sum(self.lengths.values())


TestContiguous = ContiguousMachine.TestCase
TestContiguous.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)


def test_paging_admits_what_reservations_turn_away():
    # 2,048 slots, requests of 100 tokens that may grow to 512: 4 fit by reservation, 18 in blocks.
    runs, blocks = ContiguousCache(2048), PagedCache(128, 16)
    for i in range(4):
        runs.add(i, 100, reserve=512)
    for i in range(18):
        blocks.add(i, 100)
    for cache, extra in ((runs, (512,)), (blocks, ())):
        with pytest.raises(OutOfMemory):
            cache.add("one more", 100, *extra)
    assert runs.counters.internal_fragmentation == pytest.approx(1 - 100 / 512)
    assert blocks.counters.internal_fragmentation == pytest.approx(1 - 100 / 112)


def test_best_fit_keeps_the_large_hole():
    first, best = ContiguousCache(100), ContiguousCache(100, "best")
    for cache in (first, best):
        cache.add("a", 50)
        cache.add("b", 10)
        cache.add("c", 10)
        cache.free("a")  # holes of 50 and 30
        cache.add("d", 25)
    assert max(size for _, size in first.holes()) == 30
    assert max(size for _, size in best.holes()) == 50


def test_a_run_that_outgrows_its_place_moves():
    cache = ContiguousCache(20)
    cache.add("a", 3)
    cache.add("b", 3)
    cache.append("a")
    assert cache.place("a") == (6, 4)
    assert (cache.counters.copies, cache.counters.copied_tokens) == (1, 3)
    cache.append("a")  # into the hole behind: no copy
    assert cache.counters.copies == 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: PagedCache(0), "blocks=0"),
        (lambda: PagedCache(4, 0), "block_tokens=0"),
        (lambda: PagedCache(4).add("a", 0), "1 token or more"),
        (lambda: PagedCache(4).append("a"), "not in the cache"),
        (lambda: PagedCache(4).youngest(), "no sequence"),
        (lambda: PagedCache(4).swap_in("a"), "not swapped out"),
        (lambda: ContiguousCache(4, "worst"), "fit='worst'"),
        (lambda: ContiguousCache(9).add("a", 3, 2), "prompt <= reserve"),
        (lambda: PagedCache(4).pool.give_back(0), "free already"),
    ],
)
def test_errors_say_what_is_wrong(call, says):
    with pytest.raises(ValueError, match=says):
        call()
