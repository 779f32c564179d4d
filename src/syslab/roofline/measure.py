"""Measure a machine's roofline: bandwidth ladder, compute peaks, and real kernels under them.

``everything()`` does it all within a time budget; ``memory_ladder``, ``peaks`` and ``points``
are its three parts. Best-of-n is right for ceilings and hopeful for kernels, so points also
carry their median. Inputs are ordinary random numbers, never denormal ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager

from . import kernels
from .bandwidth import KERNELS as BANDWIDTH_KERNELS
from .bandwidth import cpu_bandwidth
from .machine import cache_capacity_bytes, last_level_bytes, machine, usable_cores
from .results import Peak, Point, Results, Rung
from .timing import spread, time_call

__all__ = ["Results", "everything", "machine", "memory_ladder", "peaks", "points"]

VALUE_BYTES = {"fp64": 8, "fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}
DTYPES = {"cpu": ("fp64", "fp32", "bf16", "int8"), "cuda": ("fp64", "fp32", "fp16", "bf16", "int8")}
SMALLEST_BYTES = 16 * 2**10
UNKNOWN_CACHE_BYTES = 64 * 2**20  # taken where the system does not describe its caches
LONGEST_CALL_S = 3.0  # a case whose one call would take longer is left out
LARGEST_GEMM = {"cpu": 4096, "cuda": 16384}


def everything(budget_s: float = 50, device: str = "cpu", date: str | None = None) -> Results:
    """Measure ladder, peaks and points in about ``budget_s`` seconds.

    Parameters
    ----------
    budget_s : float
        Seconds, without the few that importing torch and compiling the loops take.
    device : str
        ``"cpu"`` or ``"cuda"``.
    date : str, optional
        Recorded with the machine's description.
    """
    described = machine(date)
    return Results(
        described,
        memory_ladder(budget_s=0.3 * budget_s, device=device, described=described),
        peaks(budget_s=0.25 * budget_s, device=device),
        points(budget_s=0.45 * budget_s, device=device, described=described),
    )


def memory_ladder(
    sizes_bytes: Sequence[int] | None = None,
    threads: Sequence[int] | None = None,
    budget_s: float = 15,
    device: str = "cpu",
    described: dict | None = None,
) -> list[Rung]:
    """Measure bandwidth by working-set size, with a reading and a triad loop.

    Parameters
    ----------
    sizes_bytes : sequence of int, optional
        Working sets of all threads together. By default doubling from 16 KiB to eight times the
        last cache level, but at most an eighth of the free memory.
    threads : sequence of int, optional
        By default one, and all usable cores. Of no effect on a GPU.
    budget_s : float
        Seconds in all.
    device, described
        ``"cpu"`` or ``"cuda"``; and ``machine()``, if you have it already.
    """
    _known_device(device)
    described = described or machine()
    sizes_bytes = sizes_bytes or _ladder_sizes(described, device)
    threads = [1] if device == "cuda" else _thread_counts(threads, ends_only=True)
    cases = [
        (t, kernel, size) for t in threads for kernel in BANDWIDTH_KERNELS for size in sizes_bytes
    ]
    rungs = []
    for (count, kernel, size), share_s in spread(cases, budget_s):
        if device == "cuda":
            rate = _gpu_bandwidth(size, kernel, share_s)
        else:
            # A quarter of the share is left for filling the arrays.
            rate = cpu_bandwidth(size, count, kernel, 0.75 * share_s)
        level = _level(size, count, described, device)
        rungs.append(Rung(level, kernel, count, int(size), rate, device))
    return rungs


def peaks(
    dtypes: Sequence[str] | None = None,
    threads: Sequence[int] | None = None,
    budget_s: float = 12,
    device: str = "cpu",
) -> list[Peak]:
    """Measure the fastest square matrix product by data type and thread count.

    Every engine at hand is tried (torch; NumPy's BLAS for fp64 and fp32) and the best counts:
    a peak is what the machine can do, not what one library does. A data type that this machine
    or this torch cannot multiply is left out. fp32 means fp32: TF32 is off on a GPU.
    """
    _known_device(device)
    dtypes = dtypes or DTYPES[device]
    for dtype in dtypes:
        if dtype not in DTYPES[device]:
            raise ValueError(f"dtype={dtype!r} on {device}: use one of {', '.join(DTYPES[device])}")
    threads = [1] if device == "cuda" else _thread_counts(threads)
    found = []
    for (dtype, count), share_s in spread([(d, t) for d in dtypes for t in threads], budget_s):
        engines = {"torch": _torch_gemm}
        if device == "cpu" and dtype in ("fp64", "fp32") and _numpy_can_use(count):
            engines["numpy"] = _numpy_gemm
        tried = []
        with _threads(count, device):
            for engine, engine_s in spread(engines, share_s):
                tried += _growing_gemm(engine, engines[engine], dtype, count, engine_s, device)
        if tried:
            found.append(max(tried, key=lambda peak: peak.flops))
    return found


def points(
    kernels_wanted: Sequence[str] | None = None,
    threads: int | None = None,
    budget_s: float = 22,
    device: str = "cpu",
    described: dict | None = None,
    scale: float = 1.0,
) -> list[Point]:
    """Measure GEMM, GEMV, attention prefill and decode, softmax, layer norm and triad.

    Shapes are such that one call takes milliseconds; those meant for memory have operands of
    several times the last cache level. ``scale`` below 1 shrinks them, for a quick look.
    ``kernels_wanted`` picks kernels by name, such as ``["gemm", "gemv"]``. A case of which
    one call would take seconds is left out, such as bf16 on a CPU without such instructions.
    """
    _known_device(device)
    described = described or machine()
    threads = usable_cores() if threads is None else threads
    large_bytes = max(2**16, int(scale * _far_beyond_cache(described, device)))
    cases = list(_cases(large_bytes, scale, device))
    names = list(dict.fromkeys(case[0] for case in cases))
    for name in kernels_wanted or []:
        if name not in names:
            raise ValueError(f"kernels_wanted has {name!r}: use some of {', '.join(names)}")
    if kernels_wanted:
        cases = [case for case in cases if case[0] in kernels_wanted]
    measured = []
    with _threads(threads, device):
        rates = {dtype: _quick_rate(dtype, device) for dtype in {case[1] for case in cases}}
        for (name, dtype, shape, work, prepare), share_s in spread(cases, budget_s):
            if work.flop / rates[dtype] > max(4 * share_s, LONGEST_CALL_S):
                continue
            call = prepare()
            timing = time_call(call, 0.8 * share_s, device)
            measured.append(
                Point(
                    name, dtype, shape, work.flop, work.bytes, timing.best_s, timing.median_s,
                    timing.samples, 1 if device == "cuda" else threads, device,
                )
            )  # fmt: skip
            del call
    return measured


# --- the ladder ------------------------------------------------------------------------------


def _ladder_sizes(described: dict, device: str) -> list[int]:
    largest = 2 * _far_beyond_cache(described, device)
    sizes, size = [], SMALLEST_BYTES if device == "cpu" else 2**20
    while size < largest:
        sizes.append(size)
        size *= 2
    return [*sizes, largest]


def _far_beyond_cache(described: dict, device: str) -> int:
    """Return four times the last cache level, but at most a sixteenth of the free memory."""
    if device == "cuda":
        import torch

        free = torch.cuda.mem_get_info()[0]
        cache = described["gpu"]["l2_bytes"] or UNKNOWN_CACHE_BYTES
    else:
        import psutil

        free = psutil.virtual_memory().available
        cache = last_level_bytes(described) or UNKNOWN_CACHE_BYTES
    return max(2**20, min(4 * cache, free // 16))


def _level(size_bytes: int, threads: int, described: dict, device: str) -> str:
    """Name the smallest memory that holds ``size_bytes`` of ``threads`` together."""
    if device == "cuda":
        l2_bytes = described["gpu"]["l2_bytes"]
        return "L2" if l2_bytes and size_bytes <= l2_bytes else "DRAM"
    for cache in described["caches"]:
        if size_bytes <= cache_capacity_bytes(described, cache["level"], threads):
            return f"L{cache['level']}"
    return "DRAM"


def _gpu_bandwidth(size_bytes: int, kernel: str, budget_s: float) -> float:
    import torch

    arrays = BANDWIDTH_KERNELS[kernel]
    count = max(1, size_bytes // (4 * arrays))
    a, b, c = (torch.full((count,), 1.0 + i, device="cuda") for i in range(3))
    if kernel == "triad":
        timing = time_call(lambda: torch.add(b, c, alpha=3.0, out=a), budget_s, "cuda")
    else:
        timing = time_call(lambda: torch.dot(b, c), budget_s, "cuda")
    return 4 * arrays * count / timing.best_s


# --- the peaks -------------------------------------------------------------------------------


def _growing_gemm(engine, make, dtype, threads, budget_s, device) -> list[Peak]:
    """Time products of doubling size, while the next one still fits the budget."""
    found, n, left_s = [], 256, budget_s
    while n <= LARGEST_GEMM[device]:
        try:
            call = make(n, dtype, device)
            call()
        except (RuntimeError, NotImplementedError, TypeError):
            break  # this machine or this build cannot multiply such numbers
        share_s = 0.4 * left_s
        timing = time_call(call, share_s, device)
        left_s -= share_s
        found.append(Peak(dtype, threads, 2 * n**3 / timing.best_s, engine, n, device))
        n *= 2
        if 8 * 3 * timing.median_s > left_s:  # three calls of eight times the work
            break
    return found


def _torch_gemm(n: int, dtype: str, device: str) -> Callable:
    import torch

    if dtype == "int8":
        a = torch.randint(-128, 128, (n, n), dtype=torch.int8, device=device)
        # cuBLASLt wants the second factor with its columns contiguous.
        b = torch.randint(-128, 128, (n, n), dtype=torch.int8, device=device).t()
        return lambda: torch._int_mm(a, b)
    a, b = (_random((n, n), dtype, device) for _ in range(2))
    out = torch.empty_like(a)
    return lambda: torch.mm(a, b, out=out)


def _numpy_gemm(n: int, dtype: str, device: str) -> Callable:
    import numpy as np

    generator = np.random.default_rng(0)
    kind = {"fp64": np.float64, "fp32": np.float32}[dtype]
    a, b = (generator.standard_normal((n, n), dtype=kind) for _ in range(2))
    out = np.empty_like(a)
    return lambda: np.matmul(a, b, out=out)


def _numpy_can_use(threads: int) -> bool:
    """Whether NumPy's BLAS can be told to use this many threads (all is its default)."""
    return threads == usable_cores() or _threadpoolctl() is not None


# --- the points ------------------------------------------------------------------------------


def _cases(large_bytes: int, scale: float, device: str):
    """Yield ``(kernel, dtype, shape, work, prepare)`` of every kernel to measure."""
    side = _multiple(2048 * scale**0.5 * (4 if device == "cuda" else 1))
    sizes = sorted({_multiple(side / 16), _multiple(side / 4), side})
    for dtype in ("fp32", "bf16"):
        width = VALUE_BYTES[dtype]
        for n in sizes:
            yield _gemm_case(n, n, n, dtype, device)
        # The decode step of a linear layer: few rows against weights no cache holds.
        wide = _multiple((large_bytes / width) ** 0.5)
        for batch in (4, 32):
            yield _gemm_case(batch, wide, wide, dtype, device)
        yield _gemv_case(wide, wide, dtype, device)
    rows = max(1, large_bytes // (2 * 4096 * 4))
    yield _softmax_case(rows, 4096, "fp32", device)
    yield _layernorm_case(rows, 4096, "fp32", device)
    tokens = _multiple(1024 * scale**0.5 * (4 if device == "cuda" else 1))
    for dtype in ("fp32", "bf16"):
        yield _prefill_case(1, 8, 2, tokens, 128, dtype, device)
        context = max(64, large_bytes // (4 * 2 * 2 * 128 * VALUE_BYTES[dtype]))
        yield _decode_case(4, 8, 2, context, 128, dtype, device)
    yield _triad_case(max(1, large_bytes // 24), device)


def _quick_rate(dtype: str, device: str) -> float:
    """Return the FLOP/s of one small product, enough to tell what would take too long."""
    n = 256
    return 2 * n**3 / time_call(_torch_gemm(n, dtype, device), 0.1, device).best_s


def _gemm_case(m, n, k, dtype, device):
    import torch

    def prepare():
        # The weights are stored [n, k], as a linear layer keeps them.
        a, weights = _random((m, k), dtype, device), _random((n, k), dtype, device).t()
        out = torch.empty((m, n), dtype=a.dtype, device=device)
        return lambda: torch.mm(a, weights, out=out)

    work = kernels.gemm(m, n, k, VALUE_BYTES[dtype])
    return "gemm", dtype, {"m": m, "n": n, "k": k}, work, prepare


def _gemv_case(rows, columns, dtype, device):
    import torch

    def prepare():
        matrix, vector = _random((rows, columns), dtype, device), _random((columns,), dtype, device)
        out = torch.empty((rows,), dtype=matrix.dtype, device=device)
        return lambda: torch.mv(matrix, vector, out=out)

    work = kernels.gemv(rows, columns, VALUE_BYTES[dtype])
    return "gemv", dtype, {"rows": rows, "columns": columns}, work, prepare


def _softmax_case(rows, columns, dtype, device):
    import torch

    def prepare():
        x = _random((rows, columns), dtype, device)
        # Writing into an array that is there: fresh memory would cost a page fault per 4 KiB.
        out = torch.empty_like(x)
        return lambda: torch.ops.aten._softmax.out(x, -1, False, out=out)

    work = kernels.softmax(rows, columns, VALUE_BYTES[dtype])
    return "softmax", dtype, {"rows": rows, "columns": columns}, work, prepare


def _layernorm_case(rows, columns, dtype, device):
    import torch.nn.functional as F

    def prepare():
        x = _random((rows, columns), dtype, device)
        gain, bias = (_random((columns,), dtype, device) for _ in range(2))
        # torch can only return a new array here. On a CPU its page faults are part of the time.
        return lambda: F.layer_norm(x, [columns], gain, bias)

    work = kernels.layernorm(rows, columns, VALUE_BYTES[dtype])
    return "layernorm", dtype, {"rows": rows, "columns": columns}, work, prepare


def _prefill_case(batch, heads, kv_heads, tokens, head_dim, dtype, device):
    import torch.nn.functional as F

    def prepare():
        q = _random((batch, heads, tokens, head_dim), dtype, device)
        k, v = (_random((batch, kv_heads, tokens, head_dim), dtype, device) for _ in range(2))
        return lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

    work = kernels.attention_prefill(
        batch, heads, kv_heads, tokens, head_dim, VALUE_BYTES[dtype], causal=True
    )
    shape = {"batch": batch, "heads": heads, "kv_heads": kv_heads, "tokens": tokens}
    return "attention prefill", dtype, shape | {"head_dim": head_dim}, work, prepare


def _decode_case(batch, heads, kv_heads, context, head_dim, dtype, device):
    import torch.nn.functional as F

    def prepare():
        # The query heads that share a key/value head stand as rows of one matrix, so that the
        # cache is read once for all of them.
        q = _random((batch, kv_heads, heads // kv_heads, head_dim), dtype, device)
        k, v = (_random((batch, kv_heads, context, head_dim), dtype, device) for _ in range(2))
        return lambda: F.scaled_dot_product_attention(q, k, v)

    work = kernels.attention_decode(batch, heads, kv_heads, context, head_dim, VALUE_BYTES[dtype])
    shape = {"batch": batch, "heads": heads, "kv_heads": kv_heads, "context": context}
    return "attention decode", dtype, shape | {"head_dim": head_dim}, work, prepare


def _triad_case(n, device):
    import torch

    def prepare():
        a, b, c = (torch.full((n,), 1.0 + i, dtype=torch.float64, device=device) for i in range(3))
        return lambda: torch.add(b, c, alpha=3.0, out=a)

    return "triad", "fp64", {"n": n}, kernels.triad(n), prepare


# --- shared ----------------------------------------------------------------------------------


def _random(shape, dtype: str, device: str):
    import torch

    kinds = {"fp64": torch.float64, "fp32": torch.float32, "bf16": torch.bfloat16}
    kind = kinds.get(dtype, torch.float16)
    generator = torch.Generator(device).manual_seed(0)
    return torch.randn(shape, generator=generator, device=device).to(kind)


def _thread_counts(threads: Sequence[int] | None, ends_only: bool = False) -> list[int]:
    cores = usable_cores()
    if threads is None:
        doubling = [] if ends_only else [2**i for i in range(1, cores.bit_length())]
        return sorted({1, *(t for t in doubling if t < cores), cores})
    for count in threads:
        if not 1 <= count <= cores:
            raise ValueError(f"threads={count!r}: must be 1 to {cores}, the cores usable here")
    return list(threads)


@contextmanager
def _threads(count: int, device: str):
    """Run torch and NumPy with ``count`` threads, in true fp32, and put the settings back."""
    import torch

    before, tf32 = torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32
    limit = _threadpoolctl()
    try:
        torch.backends.cuda.matmul.allow_tf32 = False
        if device == "cpu":
            torch.set_num_threads(count)
        with torch.inference_mode():
            if limit is not None and device == "cpu":
                with limit(limits=count, user_api="blas"):
                    yield
            else:
                yield
    finally:
        torch.set_num_threads(before)
        torch.backends.cuda.matmul.allow_tf32 = tf32


def _threadpoolctl():
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return None
    return threadpool_limits


def _multiple(size: float, of: int = 64) -> int:
    return max(of, round(size / of) * of)


def _known_device(device: str) -> None:
    if device not in DTYPES:
        raise ValueError(f"device={device!r}: use 'cpu' or 'cuda'")
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise ValueError("device='cuda': torch finds no CUDA GPU here; use device='cpu'")
