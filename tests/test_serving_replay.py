"""Two allocators under the same requests: every slot accounted for, step by step."""

import numpy as np
import pytest

from syslab.serving import Shape, Trace, synthetic_trace
from syslab.serving.replay import EVEN, FREE, ODD, RESERVED, replay


@pytest.fixture(scope="module")
def frames():
    shape = Shape("small", 1.0, 1.1, 24, 0.96, 24, 0.77)
    return replay(synthetic_trace(60, shape, seed=3), 512, block_tokens=16, steps=160)


@pytest.mark.parametrize("name", ["paged", "contiguous"])
def test_the_picture_agrees_with_the_counters(frames, name):
    for frame in frames[name]:
        counted = np.bincount(frame.slots, minlength=4)
        assert counted[EVEN] + counted[ODD] == frame.counters.used_slots
        assert counted[RESERVED] == frame.counters.internal_slots
        assert counted[FREE] == frame.counters.free_slots


def test_paging_finishes_more_and_never_loses_a_request(frames):
    paged, contiguous = frames["paged"][-1], frames["contiguous"][-1]
    assert paged.finished > contiguous.finished
    for shown in frames.values():
        finished = [f.finished for f in shown]
        assert finished == sorted(finished)
        last = shown[-1]
        assert last.running + last.waiting + last.finished <= 60


def test_everybody_is_served_in_the_end():
    trace = Trace([0, 0, 0, 1], [10, 20, 5, 30], [20, 10, 30, 2])
    for shown in replay(trace, 48, block_tokens=4, steps=200).values():
        assert shown[-1].finished == 4
        assert shown[-1].counters.allocated_slots == 0


def test_a_full_paged_pool_pushes_out_the_youngest():
    # Two of 8 + 24 tokens in 40 slots: both enter, and both cannot stay.
    shown = replay(Trace([0, 1], [8, 8], [24, 24]), 40, block_tokens=4, steps=120)["paged"]
    assert max(f.running for f in shown) == 2
    assert shown[-1].counters.preemptions >= 1
    assert shown[-1].finished == 2


def test_a_pool_too_small_for_the_longest_is_refused():
    trace = Trace([0, 1], [8, 8], [24, 30])
    with pytest.raises(ValueError, match="at least 38"):
        replay(trace, 32)
    with pytest.raises(ValueError, match="multiple of block_tokens=16"):
        replay(trace, 40)
