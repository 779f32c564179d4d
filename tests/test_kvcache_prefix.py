"""Hits of a prefix cache over a request log: by hand, by brute force, and on a public trace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syslab.kvcache import PagedCache, prefix_hits
from syslab.serving import find_data, read_mooncake


def test_by_hand():
    log = [(1, 2, 3), (1, 2, 4), (5, 2, 3), (1, 2, 3, 6)]
    found = prefix_hits(log)
    assert found.hits_by_request == (0, 2, 0, 3)
    assert (found.hits, found.blocks, found.ratio) == (5, 13, 5 / 13)


def test_a_small_cache_keeps_the_trunk():
    # With room for 2, the shared first blocks stay and the leaves go.
    assert prefix_hits([(1, 2, 3), (1, 2, 4), (1, 2, 5)], 2).hits_by_request == (0, 2, 2)
    assert prefix_hits([(1, 2), (3, 4), (1, 2)], 2).hits == 0


logs = st.lists(st.lists(st.integers(0, 2), max_size=5), max_size=12)


@given(logs)
def test_endless_cache_is_longest_common_prefix(log):
    # Chained names: a name stands for everything before it too.
    named = [tuple(tuple(row[: i + 1]) for i in range(len(row))) for row in log]

    def shared(a, b):
        return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y),
                    min(len(a), len(b)))  # fmt: skip

    wanted = [max((shared(row, old) for old in log[:i]), default=0) for i, row in enumerate(log)]
    assert list(prefix_hits(named).hits_by_request) == wanted


@given(logs, st.integers(1, 6))
def test_more_room_never_hits_less(log, room):
    named = [tuple(tuple(row[: i + 1]) for i in range(len(row))) for row in log]
    assert prefix_hits(named, room).hits <= prefix_hits(named, room + 1).hits
    assert prefix_hits(named, 1000).hits == prefix_hits(named).hits


@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=9), min_size=1, max_size=8))
def test_the_allocator_hits_the_same_blocks_when_it_never_evicts(prompts):
    cache = PagedCache(200, 2, prefix_cache=True)
    hits = []
    for i, prompt in enumerate(prompts):
        hits.append(cache.add(i, prompt) // 2)
        cache.free(i)
    # The allocator leaves the block with the last token to be computed.
    named = [tuple(tuple(p[: 2 * i + 2]) for i in range(len(p) // 2)) for p in prompts]
    found = prefix_hits(named).hits_by_request
    usable = [min(hit, (len(p) - 1) // 2) for hit, p in zip(found, prompts, strict=True)]
    assert hits == usable


def test_mooncake_conversations_hit_36_percent():
    # 12,031 requests, infinite cache: 36.64 % of the blocks (counted over the published file).
    path = find_data("mooncake_conversation_trace.jsonl")
    if path is None:
        pytest.skip(
            "not proven here: mooncake_conversation_trace.jsonl is missing (published hit ratio); "
            "download it from kvcache-ai/Mooncake and set SYSLAB_DATA to its folder"
        )
    log = read_mooncake(path)
    assert len(log.trace) == 12_031
    assert round(100 * prefix_hits(log.block_names).ratio, 2) == 36.64
    assert prefix_hits(log.block_names, 10_000).ratio < 0.25
    cached = log.with_prefix_cache().cached_tokens
    assert (cached < log.trace.prompt_tokens).all()
    assert (cached % 512 == 0).mean() > 0.9


def test_capacity_must_be_positive():
    with pytest.raises(ValueError, match="capacity_blocks=0"):
        prefix_hits([], 0)
