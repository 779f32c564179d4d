"""Measured kernels of data-centre GPUs, and the ceilings they imply.

The timings are published inside the Python package ``aiconfigurator-core`` (NVIDIA, Apache-2.0),
as Parquet tables per GPU, kernel, framework and framework version. One row is one kernel shape;
its ``latency`` is in milliseconds. Nothing of that package is run: only its tables are read.

How the rows were taken matters for what they mean. Each is the mean of repeated launches, so
small operands may still lie in the GPU's L2 cache. The collectors of SGLang give every launch
operands of its own, filled with random numbers; that of vLLM lets six launches share one input
and leaves the weights as they were allocated (collector/sglang and collector/vllm/collect_gemm.py
in github.com/ai-dynamo/aiconfigurator). fp8 rows time the whole linear layer, which first casts
its bf16 input.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from .model import COMPUTE_UNIT, MEMORY_UNIT, Ceiling, Roof, attainable

PACKAGE, WANTED_VERSION = "aiconfigurator-core", "0.12.0"
FRAMEWORKS = ("sglang", "vllm", "trtllm")  # in the order they are preferred
_COLUMN_DTYPE = {"bf16": "bfloat16", "fp8": "fp8"}
_DTYPE_BYTES = {"bf16": 2, "fp8": 1}
# The tables' names of systems, and the names of the same devices in syslab.facts.
DEVICES = {
    "a100_sxm": "A100 80GB",
    "b200_sxm": "B200",
    "h100_sxm": "H100 SXM",
    "h200_sxm": "H200",
    "l40s": "L40S",
}


@dataclass(frozen=True)
class Origin:
    """Where a table comes from; ``str(origin)`` is a line to print under a picture."""

    package: str
    version: str
    file: str
    framework: str
    framework_version: str
    device: str

    def __str__(self) -> str:
        return (
            f"{self.device}, {self.framework} {self.framework_version}; "
            f"{self.package} {self.version}, {self.file}"
        )


def systems() -> list[str]:
    """Return the systems whose kernels were measured, such as ``h100_sxm``."""
    return sorted({path.parents[3].name for path in _data().glob("*/gemm/*/*/gemm_perf.parquet")})


def gemm(system: str = "h100_sxm", dtype: str = "bf16", framework: str | None = None):
    """Return the measured matrix products ``[m, k] @ [k, n]`` of one GPU.

    Parameters
    ----------
    system : str
        One of ``systems()``.
    dtype : str
        ``"bf16"`` or ``"fp8"`` (fp8 inputs, bf16 output).
    framework : str, optional
        ``"sglang"``, ``"vllm"`` or ``"trtllm"``; by default the first of these that is there.

    Returns
    -------
    pandas.DataFrame
        Columns m, n, k, flop, bytes, seconds, intensity (FLOP/B), flops (FLOP/s) and
        bytes_per_s; one row per shape. ``frame.attrs["origin"]`` is its ``Origin``.
    """
    table, origin = _table(system, "gemm", "gemm_perf.parquet", framework)
    table = table[table["gemm_dtype"] == _dtype(dtype, table["gemm_dtype"])]
    width = _DTYPE_BYTES[dtype]
    m, n, k = (table[c].astype(float) for c in "mnk")
    flop, moved = 2 * m * n * k, (m * k + k * n) * width + 2 * m * n
    return _frame(table[["m", "n", "k"]], flop, moved, table["latency"], origin)


def attention_context(
    system: str = "h100_sxm",
    dtype: str = "bf16",
    framework: str | None = None,
    head_dim: int = 128,
):
    """Return the measured causal prefill attention of one GPU (no sliding window).

    ``dtype`` is that of the arithmetic and of the cache. Columns batch, tokens, heads, kv_heads,
    head_dim and those of ``gemm``; work as in ``kernels.attention_prefill``.
    """
    table, origin = _attention(system, "context", dtype, dtype, framework, head_dim)
    shape = table[["batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim"]]
    shape = shape.set_axis(["batch", "tokens", "heads", "kv_heads", "head_dim"], axis=1)
    b, s, h, g, d = (shape[c].astype(float) for c in shape)
    width = _DTYPE_BYTES[dtype]
    flop = 4 * b * h * d * s * (s + 1) / 2
    moved = b * s * d * (width * (h + 2 * g) + 2 * h)  # Q, K, V in; O out in bf16
    return _frame(shape, flop, moved, table["latency"], origin)


def attention_generation(
    system: str = "h100_sxm",
    kv_dtype: str = "bf16",
    framework: str | None = None,
    head_dim: int = 128,
):
    """Return the measured decode attention of one GPU: one new token, bf16 arithmetic.

    ``kv_dtype`` is that of the cache. Columns batch, context (positions in the cache, the new
    one included), heads, kv_heads, head_dim and those of ``gemm``; work as in
    ``kernels.attention_decode``.

    The SGLang rows with ``head_dim=192`` imply up to 3.58 TB/s on an H100, above its memory's
    3.35: the table names one head size for keys and values, and models with keys of 192 have
    values of 128. With that the same rows come to 2.98 TB/s. Hence the default of 128.
    """
    table, origin = _attention(system, "generation", "bf16", kv_dtype, framework, head_dim)
    shape = table[["batch_size", "step", "num_heads", "num_key_value_heads", "head_dim"]]
    shape = shape.set_axis(["batch", "context", "heads", "kv_heads", "head_dim"], axis=1)
    shape = shape.assign(context=shape["context"] + 1)  # step counts the tokens before this one
    b, s, h, g, d = (shape[c].astype(float) for c in shape)
    flop = 4 * b * h * s * d
    moved = b * d * (2 * g * s * _DTYPE_BYTES[kv_dtype] + 2 * h * 2)
    return _frame(shape, flop, moved, table["latency"], origin)


@dataclass(frozen=True)
class Fit:
    """Ceilings read off measured kernels: see ``fit_ceilings``."""

    peak: float
    bandwidth: float
    overhead_s: float
    rows: int
    rows_left_out: int

    @property
    def ridge(self) -> float:
        """FLOP/B."""
        return self.peak / self.bandwidth

    def roof(self, name: str, dtype: str = "bf16") -> Roof:
        """Return the fitted ceilings as a ``Roof``."""
        peak = Ceiling(dtype, self.peak, COMPUTE_UNIT)
        return Roof(name, peak, Ceiling("DRAM", self.bandwidth, MEMORY_UNIT))


def fit_ceilings(frame, cache_bytes: float | None = None, best: int = 10) -> Fit:
    """Estimate peak, bandwidth and launch overhead from measured kernels alone.

    A ceiling is an upper envelope: what the best kernels reach and none exceeds. So

    1. rows whose operands are not at least four times the cache are left out, as part of their
       bytes need not come from memory, and so are rows shorter than 20 launch overheads (the
       shortest time in the table), which say more about the launch than about the kernel;
    2. bandwidth is the median of the ``best`` highest B/s, and peak the median of the ``best``
       highest FLOP/s. The median of ten withstands a few wrong rows, unlike the single highest;
       it lies slightly under the true envelope.

    A table shows a ceiling only if some of its kernels press against it: matrix products show
    both, decode attention alone shows bandwidth and no peak.

    Parameters
    ----------
    frame : DataFrame
        From ``gemm`` or one of the attention tables, or several joined by ``pandas.concat``.
    cache_bytes : float, optional
        The last cache level. By default that of the device the table was measured on.
    best : int
        How many rows stand for each ceiling.
    """
    cache_bytes = _cache_bytes(frame) if cache_bytes is None else cache_bytes
    overhead_s = float(frame["seconds"].min())
    kept = frame[(frame["bytes"] >= 4 * cache_bytes) & (frame["seconds"] >= 20 * overhead_s)]
    if best < 1:
        raise ValueError(f"best={best!r}: must be 1 or more")
    if len(kept) < 2 * best:
        raise ValueError(
            f"best={best!r}: only {len(kept)} of {len(frame)} rows are four times the "
            f"cache of {cache_bytes:.3g} B and 20 times the shortest time; give a larger table"
        )
    return Fit(
        float(kept["flops"].nlargest(best).median()),
        float(kept["bytes_per_s"].nlargest(best).median()),
        overhead_s,
        len(kept),
        len(frame) - len(kept),
    )


def above_roof(frame, peak: float, bandwidth: float, cache_bytes: float | None = None):
    """Return the rows that beat the roofline of ``peak`` and ``bandwidth``, the worst first.

    Nothing can beat a datasheet, so each such row accuses the model: its operands fit in the
    cache (column ``fits_cache``) and never came from memory, or are a little larger and partly
    stayed there, or their bytes were counted wrong. Column ``share`` is measured over
    attainable FLOP/s.
    """
    cache_bytes = _cache_bytes(frame) if cache_bytes is None else cache_bytes
    share = frame["flops"] / attainable(frame["intensity"].to_numpy(), peak, bandwidth)
    over = frame.assign(share=share, fits_cache=frame["bytes"] <= cache_bytes)
    return over[share > 1].sort_values("share", ascending=False)


def compare(fit: Fit, system: str = "h100_sxm", dtype: str = "bf16"):
    """Return a small table of fitted against datasheet peak, bandwidth and ridge.

    The datasheet figures are those of ``syslab.facts``.
    """
    import pandas as pd

    sheet = _device(system)
    rows = {
        "peak, FLOP/s": (fit.peak, sheet.peak(dtype)),
        "bandwidth, B/s": (fit.bandwidth, sheet.bandwidth),
        "ridge, FLOP/B": (fit.ridge, sheet.ridge(dtype)),
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["fitted", "datasheet"])
    return table.assign(share=table["fitted"] / table["datasheet"])


def _frame(shape, flop, moved, latency_ms, origin: Origin):
    frame = shape.assign(flop=flop, bytes=moved, seconds=latency_ms / 1e3)
    frame["intensity"] = frame["flop"] / frame["bytes"]
    frame["flops"] = frame["flop"] / frame["seconds"]
    frame["bytes_per_s"] = frame["bytes"] / frame["seconds"]
    order = list(shape.columns)
    frame = frame.sort_values(order, ignore_index=True)
    frame.attrs["origin"] = origin
    return frame


def _attention(system, phase, dtype, kv_dtype, framework, head_dim):
    table, origin = _table(system, "attention", f"{phase}_attention_perf.parquet", framework)
    kept = table[
        (table["attn_dtype"] == _dtype(dtype, table["attn_dtype"]))
        & (table["kv_cache_dtype"] == _dtype(kv_dtype, table["kv_cache_dtype"]))
        & (table.get("window_size", 0) == 0)
    ]
    sizes = sorted(int(d) for d in kept["head_dim"].unique())
    if head_dim not in sizes:
        raise ValueError(f"head_dim={head_dim!r}: this table has {sizes}")
    return kept[kept["head_dim"] == head_dim], origin


def _table(system: str, kind: str, file: str, framework: str | None):
    """Read one Parquet table of the newest version of a framework; return it and its origin."""
    import pandas as pd

    if system not in systems():
        raise ValueError(f"system={system!r}: measured systems are {', '.join(systems())}")
    there = {p.parents[1].name for p in (_data() / system / kind).glob(f"*/*/{file}")}
    if framework is None:
        framework = next(f for f in FRAMEWORKS if f in there)
    if framework not in there:
        raise ValueError(f"framework={framework!r}: for {system} there are {sorted(there)}")
    paths = (_data() / system / kind / framework).glob(f"*/{file}")
    path = max(paths, key=lambda p: _version_key(p.parent.name))
    table = pd.read_parquet(path)
    where = path.relative_to(_data().parent).as_posix()
    return table, Origin(
        PACKAGE, metadata.version(PACKAGE), where, framework, path.parent.name,
        str(table["device"].iloc[0]),
    )  # fmt: skip


def _version_key(version: str) -> list[tuple[int, str]]:
    """Order ``0.5.14`` after ``0.5.6.post2``, part by part."""
    digits = lambda part: "".join(c for c in part if c.isdigit())  # noqa: E731
    return [(int(digits(part) or 0), part) for part in version.split(".")]


def _dtype(dtype: str, column) -> str:
    there = [d for d, name in _COLUMN_DTYPE.items() if name in set(column)]
    if dtype not in there:
        raise ValueError(f"dtype={dtype!r}: this table has {', '.join(there)}")
    return _COLUMN_DTYPE[dtype]


def _cache_bytes(frame) -> float:
    origin = frame.attrs.get("origin")
    if origin is None:
        raise ValueError("cache_bytes=None: this table does not say its device; give cache_bytes")
    return _device(origin.file.split("/")[1]).l2


def _device(system: str):
    from syslab import facts

    if system not in DEVICES:
        raise ValueError(
            f"system={system!r}: datasheet figures are at hand for {', '.join(DEVICES)}; "
            "give peak, bandwidth and cache_bytes yourself"
        )
    return facts.hardware(DEVICES[system])


@lru_cache(maxsize=1)
def _data() -> Path:
    spec = importlib.util.find_spec("aiconfigurator_core")
    if spec is None:
        raise ModuleNotFoundError(
            f"the GPU tables are in the package {PACKAGE}, which is not installed: "
            f"pip install --no-deps {PACKAGE}=={WANTED_VERSION}"
        )
    return Path(spec.origin).parent / "systems" / "data"
