"""The KV cache: how large it is, and where its tokens lie.

- ``formats``: :class:`CacheFormat`, plain and quantised storage of a value;
- ``sizing``: bytes per token and per sequence for every kind of attention, :class:`Split`;
- ``weights``: parameters by what they do, :func:`parameters`;
- ``memory``: :func:`plan_memory`, weights, cache and activations against a GPU's memory;
- ``paged``: :class:`PagedCache`, block tables with sharing, copies and preemption;
- ``contiguous``: :class:`ContiguousCache`, what paging replaced;
- ``prefix``: names of prompt blocks, and the hits of a request log;
- ``counters``: :class:`Counters`, what both allocators count.
"""

from syslab.kvcache.contiguous import ContiguousCache
from syslab.kvcache.counters import Counters, OutOfMemory
from syslab.kvcache.formats import CacheFormat, cache_format
from syslab.kvcache.memory import (
    GB,
    GIB,
    MemoryPlan,
    activation_bytes,
    plan_memory,
    weight_bytes_per_gpu,
)
from syslab.kvcache.paged import PagedCache
from syslab.kvcache.prefix import PrefixHits, block_keys, prefix_hits
from syslab.kvcache.sizing import (
    ONE_GPU,
    Split,
    copies_of_a_head,
    kv_bytes,
    kv_bytes_per_gpu,
    kv_bytes_per_token,
    layer_windows,
)
from syslab.kvcache.weights import Parameters, parameters

__all__ = [
    "GB",
    "GIB",
    "ONE_GPU",
    "CacheFormat",
    "ContiguousCache",
    "Counters",
    "MemoryPlan",
    "OutOfMemory",
    "PagedCache",
    "Parameters",
    "PrefixHits",
    "Split",
    "activation_bytes",
    "block_keys",
    "cache_format",
    "copies_of_a_head",
    "kv_bytes",
    "kv_bytes_per_gpu",
    "kv_bytes_per_token",
    "layer_windows",
    "parameters",
    "plan_memory",
    "prefix_hits",
    "weight_bytes_per_gpu",
]
