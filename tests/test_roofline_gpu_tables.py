"""The published GPU tables: units, counts, origin, and what the fit makes of them.

The package is pinned, so numbers read from its tables are exact.
"""

import importlib.util

import numpy as np
import pandas as pd
import pytest

from syslab import facts
from syslab.roofline import gpu_tables, kernels

H100 = facts.hardware("H100 SXM")


@pytest.fixture(scope="module")
def vllm():
    return gpu_tables.gemm("h100_sxm", "bf16", "vllm")


@pytest.fixture(scope="module")
def sglang():
    return gpu_tables.gemm("h100_sxm", "bf16")


def synthetic(peak, bandwidth, overhead_s=3e-6, noise=0.0, rows=4000, seed=1):
    """Return a table made from known ceilings, with efficiencies below them."""
    generator = np.random.default_rng(seed)
    m, n, k = (2 ** generator.uniform(3, 15, rows) for _ in range(3))
    flop, moved = 2 * m * n * k, 2 * (m * k + k * n + m * n)
    slack = 1 + noise * generator.exponential(size=rows)
    seconds = np.maximum(flop / peak, moved / bandwidth) * slack + overhead_s
    frame = pd.DataFrame({"flop": flop, "bytes": moved, "seconds": seconds})
    frame["intensity"], frame["flops"] = flop / moved, flop / seconds
    frame["bytes_per_s"] = moved / seconds
    return frame


def test_systems_that_were_measured():
    there = gpu_tables.systems()
    assert {"a100_sxm", "h100_sxm", "h200_sxm", "b200_sxm", "l40s"} <= set(there)
    assert "l4" not in there  # only its datasheet is in the package


def test_gemm_work_is_the_closed_form(sglang):
    for row in sglang.sample(20, random_state=0).itertuples():
        work = kernels.gemm(row.m, row.n, row.k, 2)
        assert (row.flop, row.bytes) == (work.flop, work.bytes)
    fp8 = gpu_tables.gemm("h100_sxm", "fp8").iloc[-1]
    work = kernels.gemm(int(fp8.m), int(fp8.n), int(fp8.k), 1, out_value_bytes=2)
    assert (fp8.flop, fp8.bytes) == (work.flop, work.bytes)


def test_attention_work_is_the_closed_form():
    context = gpu_tables.attention_context()
    for row in context.sample(20, random_state=0).itertuples():
        work = kernels.attention_prefill(row.batch, row.heads, row.kv_heads, row.tokens, 128)
        assert (row.flop, row.bytes) == (work.flop, work.bytes)
    for kv_dtype, width in (("bf16", 2), ("fp8", 1)):
        decode = gpu_tables.attention_generation(kv_dtype=kv_dtype)
        for row in decode.sample(20, random_state=0).itertuples():
            work = kernels.attention_decode(
                row.batch, row.heads, row.kv_heads, row.context, 128, kv_value_bytes=width
            )
            assert (row.flop, row.bytes) == (work.flop, work.bytes)


def test_latency_is_in_milliseconds(sglang):
    # In any other unit the best product would be 1000 times off the tensor cores' peak.
    assert 0.5 < sglang["flops"].max() / H100.peak("bf16") < 1
    decode = gpu_tables.attention_generation()
    assert 0.5 < decode["bytes_per_s"].max() / H100.bandwidth < 1


def test_each_shape_stands_once(sglang):
    assert not sglang.duplicated(["m", "n", "k"]).any()
    decode = gpu_tables.attention_generation()
    assert not decode.duplicated(["batch", "context", "heads", "kv_heads"]).any()
    assert set(decode["context"]) == {2**i for i in range(1, 18)}


def test_origin_names_package_version_and_file(sglang):
    said = str(sglang.attrs["origin"])
    assert "NVIDIA H100 80GB HBM3, sglang 0.5.14" in said
    assert "aiconfigurator-core 0.12.0, data/h100_sxm/gemm/sglang/0.5.14/gemm_perf.parquet" in said


def test_of_several_versions_the_newest_is_read():
    versions = ["0.5.6.post2", "0.5.14", "1.3.0rc20", "1.3.0rc23", "0.24.0"]
    ordered = sorted(versions, key=gpu_tables._version_key)
    assert ordered == ["0.5.6.post2", "0.5.14", "0.24.0", "1.3.0rc20", "1.3.0rc23"]


def test_the_fit_finds_ceilings_it_was_not_told():
    fit = gpu_tables.fit_ceilings(synthetic(9e14, 3e12), cache_bytes=50e6)
    assert fit.peak == pytest.approx(9e14, rel=0.01)
    assert fit.bandwidth == pytest.approx(3e12, rel=0.01)
    assert fit.ridge == pytest.approx(300, rel=0.02)
    noisy = gpu_tables.fit_ceilings(synthetic(9e14, 3e12, noise=0.3), cache_bytes=50e6)
    assert noisy.peak == pytest.approx(9e14, rel=0.05)
    assert noisy.bandwidth == pytest.approx(3e12, rel=0.05)


def test_the_fit_withstands_a_few_wrong_rows():
    frame = synthetic(9e14, 3e12)
    wrong = frame.nlargest(4, "flop").index
    for column in ("flops", "bytes_per_s"):
        frame.loc[wrong, column] *= 100
    fit = gpu_tables.fit_ceilings(frame, cache_bytes=50e6)
    assert fit.peak == pytest.approx(9e14, rel=0.01)
    assert fit.bandwidth == pytest.approx(3e12, rel=0.01)


def test_the_fit_is_not_fooled_by_operands_in_the_cache():
    frame = synthetic(9e14, 3e12)
    small = frame["bytes"] <= 50e6
    frame.loc[small, "bytes_per_s"] *= 5
    fit = gpu_tables.fit_ceilings(frame, cache_bytes=50e6)
    assert fit.bandwidth == pytest.approx(3e12, rel=0.01)


@pytest.mark.parametrize(
    ("system", "dtype"), [("a100_sxm", "bf16"), ("h100_sxm", "bf16"), ("h100_sxm", "fp8"),
                          ("h200_sxm", "bf16"), ("b200_sxm", "bf16"), ("l40s", "bf16")]
)  # fmt: skip
def test_fitted_ceilings_stay_under_the_datasheet(system, dtype):
    frame = gpu_tables.gemm(system, dtype)
    table = gpu_tables.compare(gpu_tables.fit_ceilings(frame), system, dtype)
    shares = table["share"][["peak, FLOP/s", "bandwidth, B/s"]]
    assert ((shares > 0.4) & (shares < 1)).all()


def test_no_product_beats_the_peak_and_those_that_beat_memory_lie_in_the_cache(vllm, sglang):
    peak, bandwidth = H100.peak("bf16"), H100.bandwidth
    assert (vllm["flops"] < peak).all()
    over = gpu_tables.above_roof(vllm, peak, bandwidth)
    assert len(over) == 49
    assert over["fits_cache"].all()
    assert over["share"].is_monotonic_decreasing
    # Where every launch has operands of its own, none is left.
    assert gpu_tables.above_roof(sglang, peak, bandwidth).empty


def test_decode_at_head_dim_192_gives_its_byte_count_away():
    frame = gpu_tables.attention_generation(framework="sglang", head_dim=192)
    over = gpu_tables.above_roof(frame, H100.peak("bf16"), H100.bandwidth)
    assert len(over) == 23
    assert not over["fits_cache"].any()
    # Values of 128 beside keys of 192 would bring them all back under the roof.
    assert over["share"].max() * (192 + 128) / (192 + 192) < 1
    usual = gpu_tables.attention_generation(framework="sglang")
    assert gpu_tables.above_roof(usual, H100.peak("bf16"), H100.bandwidth).empty


def test_the_fitted_roof_can_be_drawn(sglang):
    fit = gpu_tables.fit_ceilings(sglang)
    roof = fit.roof("H100, fitted")
    assert (roof.peak, roof.bandwidth) == (fit.peak, fit.bandwidth)
    assert fit.rows + fit.rows_left_out == len(sglang)
    assert 1e-6 < fit.overhead_s < 1e-5


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: gpu_tables.gemm("h100"), "system='h100': measured systems are a100_sxm"),
        (lambda: gpu_tables.gemm("a100_sxm", "fp8"), "dtype='fp8': this table has bf16"),
        (lambda: gpu_tables.gemm("b60", framework="trtllm"), r"framework='trtllm': .*\['vllm'\]"),
        (lambda: gpu_tables.attention_context(head_dim=80), r"head_dim=80: this table has \[64"),
        (lambda: gpu_tables.fit_ceilings(synthetic(1e15, 3e12)), "cache_bytes=None"),
        (lambda: gpu_tables.fit_ceilings(synthetic(1e15, 3e12, rows=5), 5e7), "best=10: only"),
        (lambda: gpu_tables.fit_ceilings(synthetic(1e15, 3e12), 5e7, best=0), "best=0"),
        (lambda: gpu_tables.fit_ceilings(gpu_tables.gemm("b60")), "system='b60': datasheet"),
    ],
)
def test_errors_say_what_there_is(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    gpu_tables._data.cache_clear()
    try:
        with pytest.raises(
            ModuleNotFoundError, match="pip install --no-deps aiconfigurator-core=="
        ):
            gpu_tables.systems()
    finally:
        gpu_tables._data.cache_clear()
