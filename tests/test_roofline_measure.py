"""What the instruments return, and that what they time is the work they claim.

No test here compares speeds: shapes, units, settings put back, results saved and refused.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from syslab.roofline import bandwidth, kernels, machine, measure, timing, traps
from syslab.roofline.results import Peak, Point, Results, Rung

TINY = {"budget_s": 0.05, "scale": 1e-4}


@pytest.fixture(scope="module")
def described():
    return machine.machine(date="2026-01-02")


@pytest.fixture
def results():
    point = Point("gemm", "fp32", {"m": 2, "n": 3, "k": 4}, 48, 104, 2e-6, 3e-6, 5, 2)
    return Results(
        {"cpu": "Test CPU", "gpu": None, "date": "2026-01-02"},
        [Rung("L1", "read", 1, 2**14, 9e10), Rung("DRAM", "read", 1, 2**28, 1e10),
         Rung("DRAM", "triad", 2, 2**28, 1.5e10), Rung("DRAM", "read", 2, 2**28, 2e10),
         Rung("L1", "triad", 2, 2**14, 1.6e11)],
        [Peak("fp32", 1, 5e10, "torch", 512), Peak("fp32", 2, 1e11, "numpy", 1024),
         Peak("fp64", 2, 5e10, "numpy", 1024)],
        [point],
    )  # fmt: skip


# --- the loops that are timed ---


def test_the_triad_loop_computes_the_triad():
    b, c = np.arange(50.0), np.ones(50)
    a = np.zeros(50)
    bandwidth._compiled()["triad"](a, b, c, 3.0, 2)
    assert np.array_equal(a, b + 3.0 * c)


def test_the_read_loop_reads_every_element_in_every_pass():
    b, c = np.arange(50.0), np.full(50, 2.0)
    total = bandwidth._compiled()["read"](b, c, 3.0, 4)
    assert total == pytest.approx((b @ c) * (3 + 4 + 5 + 6))


@pytest.mark.parametrize("kernel", ["triad", "read"])
def test_bandwidth_of_each_kernel_and_thread_count(kernel):
    for threads in (1, machine.usable_cores()):
        assert bandwidth.cpu_bandwidth(2**16, threads, kernel, budget_s=0.01) > 0


def test_bandwidth_leaves_the_calling_thread_on_all_its_cores():
    before = machine.usable_cores()
    bandwidth.cpu_bandwidth(2**16, 1, budget_s=0.01)
    assert machine.usable_cores() == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((2**16, 1, "copy"), "kernel='copy'"),
        ((2**16, 0), "threads=0"),
        ((8, 1), "working_set_bytes=8: must be 24"),
    ],
)
def test_bandwidth_errors(arguments, named):
    with pytest.raises(ValueError, match=named):
        bandwidth.cpu_bandwidth(*arguments)


def test_a_failing_worker_raises_instead_of_hanging(monkeypatch):
    def no_memory(count, elements):
        raise MemoryError("no room")

    monkeypatch.setattr(bandwidth, "_own_arrays", no_memory)
    with pytest.raises(MemoryError, match="no room"):
        bandwidth.cpu_bandwidth(2**16, 2)


def test_loops_compile_where_no_cache_folder_can_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    code = (
        "from syslab.roofline.bandwidth import cpu_bandwidth;"
        "print(cpu_bandwidth(2**16, 1, budget_s=0.01) > 0)"
    )
    environ = os.environ | {"NUMBA_CACHE_DIR": str(blocked / "x"), "HOME": str(blocked)}
    environ["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=False
    )
    assert done.stdout.strip() == "True", done.stderr


@pytest.mark.parametrize("case", list(measure._cases(2**16, 1e-4, "cpu")), ids=lambda case: case[0])
def test_each_timed_kernel_moves_what_its_closed_form_says(case):
    name, dtype, shape, work, prepare = case
    closed_form = {
        "gemm": kernels.gemm, "gemv": kernels.gemv, "softmax": kernels.softmax,
        "layernorm": kernels.layernorm, "attention prefill": kernels.attention_prefill,
        "attention decode": kernels.attention_decode, "triad": kernels.triad,
    }[name]  # fmt: skip
    width = torch.empty(0, dtype=getattr(torch, DTYPE_NAMES[dtype])).element_size()
    assert work == closed_form(**shape, value_bytes=width)
    out = prepare()()
    assert torch.isfinite(out).all()


DTYPE_NAMES = {"fp64": "float64", "fp32": "float32", "bf16": "bfloat16"}


def test_the_decode_that_is_timed_is_attention_with_shared_heads():
    *_, prepare = measure._decode_case(2, 8, 2, 16, 4, "fp32", "cpu")
    q = measure._random((2, 2, 4, 4), "fp32", "cpu").view(2, 8, 1, 4)
    k, v = (measure._random((2, 2, 16, 4), "fp32", "cpu") for _ in range(2))
    every = [t.repeat_interleave(4, 1) for t in (k, v)]
    expected = torch.softmax(q @ every[0].transpose(-1, -2) / 2, -1) @ every[1]
    assert torch.allclose(prepare()().view(2, 8, 1, 4), expected, atol=1e-6)


# --- timing ---


def test_time_call_warms_up_and_repeats():
    calls = []
    timed = timing.time_call(lambda: calls.append(1), 0.02)
    assert timed.best_s <= timed.median_s
    assert len(calls) > timed.samples >= 1


def test_without_time_left_a_call_is_still_warmed_up_and_sampled(monkeypatch):
    monkeypatch.setattr(timing, "SHORTEST_SAMPLE_S", 0)
    calls = []
    timed = timing.time_call(lambda: calls.append(1), 0.0)
    assert timed.samples == 3
    assert len(calls) == 4


def test_a_long_call_beyond_the_budget_is_made_once(monkeypatch):
    monkeypatch.setattr(timing, "LONG_CALL_S", 0)
    calls = []
    timed = timing.time_call(lambda: calls.append(1), 0.0)
    assert (len(calls), timed.samples) == (1, 1)


def test_spread_hands_out_no_more_than_there_is():
    shares = [share for _, share in timing.spread("abcd", 4.0)]
    assert shares[0] == pytest.approx(1.0, abs=0.01)
    assert all(0 < share <= 4.0 for share in shares)
    assert [share for _, share in timing.spread("ab", 0.0)] == [0, 0]


# --- measuring ---


def test_ladder_has_a_rung_per_size_kernel_and_thread_count(described):
    rungs = measure.memory_ladder([2**14, 2**16], threads=[1], budget_s=0.1, described=described)
    assert [(r.kernel, r.working_set_bytes) for r in rungs] == [
        ("triad", 2**14), ("triad", 2**16), ("read", 2**14), ("read", 2**16),
    ]  # fmt: skip
    assert all(r.bytes_per_s > 0 and r.threads == 1 for r in rungs)


def test_levels_of_a_known_machine():
    caches = [
        {"level": 1, "bytes": 2**15, "instances": 4, "shared_by": 1},
        {"level": 3, "bytes": 2**23, "instances": 2, "shared_by": 2},
    ]
    known = {"caches": caches}
    level = lambda size, threads: measure._level(size, threads, known, "cpu")  # noqa: E731
    assert level(2**15, 1) == "L1"
    assert level(2**15 + 1, 1) == "L3"
    assert level(2**17, 4) == "L1"  # four cores, four caches
    assert level(2**23, 2) == "L3"  # two cores, one shared cache
    assert level(2**23 + 1, 2) == "DRAM"
    assert level(2**24, 4) == "L3"  # the other two cores bring theirs
    assert measure._level(2**20, 1, {"caches": []}, "cpu") == "DRAM"


def test_peaks_by_dtype_and_threads():
    found = measure.peaks(["fp64", "fp32"], threads=[1], budget_s=0.2)
    assert [(p.dtype, p.threads) for p in found] == [("fp64", 1), ("fp32", 1)]
    assert all(p.flops > 0 and p.engine in ("torch", "numpy") for p in found)


def test_a_dtype_that_cannot_be_multiplied_here_is_left_out(monkeypatch):
    def refuse(n, dtype, device):
        raise RuntimeError("not implemented for 'Char'")

    monkeypatch.setattr(measure, "_torch_gemm", refuse)
    assert measure.peaks(["int8"], threads=[1], budget_s=0.05) == []


def test_points_can_be_picked_and_settings_are_put_back(described):
    before = torch.get_num_threads()
    found = measure.points(["softmax", "gemv"], threads=1, described=described, **TINY)
    assert {p.kernel for p in found} == {"softmax", "gemv"}
    assert all(p.seconds <= p.median_s and p.intensity > 0 for p in found)
    assert torch.get_num_threads() == before
    assert not torch.is_inference_mode_enabled()


def test_a_kernel_far_beyond_the_budget_is_left_out(described, monkeypatch):
    slow = {"fp32": 1e12, "bf16": 1.0}  # bf16 at 1 FLOP/s
    monkeypatch.setattr(measure, "_quick_rate", lambda dtype, device: slow[dtype])
    found = measure.points(["gemv"], threads=1, described=described, **TINY)
    assert [p.dtype for p in found] == ["fp32"]


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, syslab.plotting, syslab.roofline, syslab.roofline.measure,"
        "syslab.roofline.plot, syslab.roofline.gpu_tables, syslab.roofline.traps;"
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'numba') if m in sys.modules])"
    )
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: measure.points(["conv"], **TINY), "'conv'"),
        (lambda: measure.peaks(["fp9"]), "dtype='fp9'"),
        (lambda: measure.peaks(["fp32"], threads=[10_000]), "threads=10000"),
        (lambda: measure.memory_ladder(device="tpu"), "device='tpu'"),
    ],
)
def test_measuring_errors(call, named):
    with pytest.raises(ValueError, match=named):
        call()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA GPU")
def test_asking_for_a_gpu_that_is_not_there():
    with pytest.raises(ValueError, match="no CUDA GPU"):
        measure.points(device="cuda", **TINY)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU; none here")
def test_a_gpu_is_measured_the_same_way():
    found = measure.everything(budget_s=5, device="cuda")
    assert {p.device for p in [*found.ladder, *found.peaks, *found.points]} == {"cuda"}
    assert found.roof("bf16").name == found.machine["gpu"]["name"]


def test_traps_return_both_ways_of_measuring():
    for trap in (
        traps.fresh_memory(2**18, budget_s=0.02),
        traps.cold_cache(2**16, rounds=2),
        traps.denormals(256, budget_s=0.02),
    ):
        assert trap.careless_s > 0
        assert trap.careful_s > 0
        assert trap.name in str(trap)
    with pytest.raises(ValueError, match="array_bytes=1"):
        traps.fresh_memory(1)


def test_the_denormal_trap_multiplies_denormals():
    tiny, out = np.full(4, traps.DENORMAL), np.empty(4)
    traps._scaling_loop()(tiny, out)
    assert (out > 0).all()
    assert (out < np.finfo(float).tiny).all()


# --- the machine ---


def test_machine_is_json_and_names_nobody(described):
    text = json.dumps(described)
    assert described["date"] == "2026-01-02"
    assert described["cores"] >= 1
    assert described["cpu"]
    assert os.uname().nodename not in text or len(os.uname().nodename) < 4


def test_caches_are_read_from_sysfs(tmp_path):
    layout = [  # cpu, index, level, type, size, shared list
        (0, 0, 1, "Data", "48K", "0"), (0, 1, 1, "Instruction", "32K", "0"),
        (0, 2, 2, "Unified", "2048K", "0"), (0, 3, 3, "Unified", "105M", "0-1"),
        (1, 0, 1, "Data", "48K", "1"), (1, 1, 1, "Instruction", "32K", "1"),
        (1, 2, 2, "Unified", "2048K", "1"), (1, 3, 3, "Unified", "105M", "0-1"),
    ]  # fmt: skip
    for cpu, index, level, kind, size, shared in layout:
        folder = tmp_path / f"cpu{cpu}" / "cache" / f"index{index}"
        folder.mkdir(parents=True)
        values = {"level": level, "type": kind, "size": size, "shared_cpu_list": shared}
        for name, value in values.items():
            (folder / name).write_text(f"{value}\n")
    assert machine.caches(tmp_path) == [
        {"level": 1, "bytes": 48 * 2**10, "instances": 2, "shared_by": 1},
        {"level": 2, "bytes": 2 * 2**20, "instances": 2, "shared_by": 1},
        {"level": 3, "bytes": 105 * 2**20, "instances": 1, "shared_by": 2},
    ]
    assert machine.caches(tmp_path / "nothing") == []


# --- results ---


def test_results_come_back_as_saved(results, tmp_path):
    path = results.save(tmp_path / "mine.json")
    assert Results.load(path) == results
    assert [p.name for p in tmp_path.iterdir()] == ["mine.json"]  # no draft left behind


def test_the_roof_is_the_best_of_the_most_threads(results):
    roof = results.roof("fp32")
    assert (roof.peak, roof.bandwidth) == (1e11, 2e10)
    assert [c.name for c in roof.compute] == ["fp32", "fp64"]
    assert [(c.name, c.value) for c in roof.memory] == [("DRAM", 2e10), ("L1", 1.6e11)]
    assert results.peak("fp32", threads=1) == 5e10
    assert results.bandwidth("DRAM", threads=1) == 1e10


def test_asking_for_what_was_not_measured(results):
    with pytest.raises(ValueError, match="dtype='bf16' was not measured; measured: fp32, fp64"):
        results.roof("bf16")
    with pytest.raises(ValueError, match="threads=8"):
        results.peak("fp32", threads=8)
    with pytest.raises(ValueError, match="part='rungs'"):
        results.table("rungs")


def test_table_of_points(results):
    table = results.table()
    assert table.loc[0, "flops"] == pytest.approx(48 / 2e-6)
    assert table.loc[0, "intensity"] == pytest.approx(48 / 104)
    assert len(results.table("ladder")) == 5


def test_saving_where_there_is_no_folder(results, tmp_path):
    with pytest.raises(FileNotFoundError, match="create it first"):
        results.save(tmp_path / "missing" / "mine.json")


def test_a_failed_save_keeps_the_older_file(results, tmp_path, monkeypatch):
    path = results.save(tmp_path / "mine.json")
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        results.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["mine.json"]


def test_loading_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="run the roofline bench"):
        Results.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: "", "damaged"),
        (lambda text: "[1, 2]", "schema None"),
        (lambda text: text.replace("syslab.roofline/1", "other/7"), "schema 'other/7'"),
        (lambda text: text.replace('"seconds"', '"secs"'), "incomplete"),
        (lambda text: text.replace('"peaks"', '"tops"'), "incomplete"),
        (lambda text: text.replace("2e-06", '"fast"'), "Point.seconds='fast'"),
        (lambda text: text.replace("2e-06", "-1"), "Point.seconds=-1"),
    ],
)
def test_damaged_files_are_refused_with_what_to_do(results, tmp_path, spoil, said):
    path = results.save(tmp_path / "mine.json")
    text = path.read_text()
    assert spoil(text) != text
    path.write_text(spoil(text))
    with pytest.raises(ValueError, match=said) as caught:
        Results.load(path)
    assert "run the roofline bench again" in str(caught.value)
