"""The facts registry: provenance, values against independent routes, lookup by name."""

import dataclasses
import importlib.util
import json
import os
import pickle
import platform
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from syslab import facts
from syslab.facts import registry

DEVICES = [facts.hardware(name) for name in facts.hardware_names()]
MODELS = [facts.model(name) for name in facts.model_names()]
ALL_FACTS = [
    *((f"{thing.name} {name}", fact) for thing in DEVICES + MODELS for name, fact in thing.facts()),
    *((name, facts.constant_fact(name)) for name in facts.constant_names()),
]


# ------------------------------------------------------------------ what must be there


REQUIRED_DEVICES = """
    A100 80GB, H100 SXM, H200, B200, MI300X, L4, L40S, T4, V100, RTX 4090, TPU v4, TPU v5e,
    TPU v5p, TPU v6e, Xeon Platinum 8480+, EPYC 9654, Jetson AGX Orin 64GB"""
REQUIRED_MODELS = """
    GPT-2, GPT-3 175B, OPT-13B, Llama-2 7B, Llama-2 13B, Llama-2 70B, Llama-3 8B, Llama-3 70B,
    Llama-3.1 405B, Mistral 7B, Mixtral 8x7B, Qwen2.5 7B, Qwen2.5 72B, DeepSeek-V2, DeepSeek-V3,
    Gemma-2 9B, Gemma-2 27B, SmolLM2-135M"""


def test_required_devices_and_models_are_there():
    for name in REQUIRED_DEVICES.split(","):
        facts.hardware(name)
    for name in REQUIRED_MODELS.split(","):
        facts.model(name)


@pytest.mark.parametrize("device", DEVICES, ids=lambda d: d.name)
def test_every_device_has_what_a_roofline_needs(device):
    assert device.bandwidth > 0
    assert device.cores > 0
    assert device.dtypes()
    assert device.category in {"gpu", "tpu", "soc", "cpu"}
    if device.category != "cpu":
        assert device.capacity > 0


def _faults(where, fact):
    """Name everything that is wrong with one fact's provenance."""
    may_be_zero = where.endswith(("shared_experts", "dense_layers"))
    checks = {
        "value is no number": isinstance(fact.value, int | float),
        "value is not positive": fact.value > 0 or (may_be_zero and fact.value == 0),
        "no unit": bool(fact.unit),
        "no source": len(fact.source) > 8,
        "no section": bool(fact.section),
        "date is not YYYY-MM": re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", fact.date),
        "kind is not legal": fact.kind in facts.KINDS,
        "derived without its arithmetic": fact.kind != "derived" or bool(fact.note),
        "a price that is no estimate": not where.endswith(" price") or fact.kind == "estimate",
    }
    return [f"{where}: {fault}" for fault, right in checks.items() if not right]


def test_every_fact_has_unit_source_date_kind():
    assert len(ALL_FACTS) > 500
    assert [fault for where, fact in ALL_FACTS for fault in _faults(where, fact)] == []


def test_the_provenance_check_can_fail():
    good = facts.hardware("H100").fact("bandwidth")
    assert _faults("H100 bandwidth", good) == []
    for change in (
        {"value": 0},
        {"unit": ""},
        {"source": ""},
        {"section": ""},
        {"date": "2023"},
        {"kind": "rumour"},
        {"kind": "derived", "note": ""},
    ):
        assert _faults("H100 bandwidth", dataclasses.replace(good, **change)), change


def test_units_are_base_units():
    units = {fact.unit for _, fact in ALL_FACTS}
    assert units <= {
        *("B", "B/s", "FLOP/s", "OP/s", "W", "Hz", "USD/h", "1", "s", "token", "parameter"),
        *("SM", "CU", "core", "TensorCore", "thread", "slot/cycle"),
    }
    assert facts.hardware("H100").fact("peak.int8").unit == "OP/s"
    assert facts.hardware("H100").fact("peak.bf16").unit == "FLOP/s"


# ------------------------------------------------------------------ hardware values


def test_ridge_points_of_the_literature():
    assert round(facts.hardware("A100 80GB").ridge("bf16")) == 153
    assert round(facts.hardware("H100 SXM").ridge("bf16")) == 295


def test_ridge_is_peak_over_bandwidth_not_its_inverse():
    v5e = facts.hardware("TPU v5e")
    assert v5e.ridge("bf16") == pytest.approx(240, rel=0.01)  # 197 TFLOP/s over 819 GB/s
    assert v5e.ridge("int8") == pytest.approx(2 * v5e.ridge("bf16"), rel=0.01)
    h100 = facts.hardware("H100")
    assert h100.ridge("fp16", sparse=True) == pytest.approx(2 * h100.ridge("fp16"), rel=0.001)


@pytest.mark.parametrize("device", DEVICES, ids=lambda d: d.name)
def test_sparse_peaks_are_twice_the_dense_ones(device):
    for dtype in device.dtypes(sparse=True):
        dense, sparse = device.peak(dtype), device.peak(dtype, sparse=True)
        assert dense <= sparse
        assert sparse == pytest.approx(2 * dense, rel=0.02), dtype  # L40S prints 362.05 and 733


def test_sparse_only_sheets_are_not_taken_for_dense():
    # The figures in big print, all with sparsity: they must not come out as dense.
    for name, dtype, printed in [
        ("H100 SXM", "int8", 3958e12),
        ("H100 SXM", "bf16", 1979e12),
        ("H200", "fp8", 3958e12),
        ("B200", "fp4", 18e15),
        ("L4", "fp8", 485e12),
        ("L40S", "fp8", 1466e12),
        ("Jetson AGX Orin", "int8", 170e12),
    ]:
        device = facts.hardware(name)
        assert device.peak(dtype) == pytest.approx(printed / 2, rel=0.01)
        assert device.peak(dtype, sparse=True) == pytest.approx(printed, rel=0.01)


# Matrix FLOP per cycle and SM or CU for fp16 with FP32 accumulation (white papers' block
# diagrams: tensor cores per SM x FMA per core x 2), and vector FP32 lanes x 2.
PER_CYCLE = {
    "V100 SXM2 32GB": (1024, 128),
    "T4": (1024, 128),
    "A100 80GB": (2048, 128),
    "H100 SXM": (4096, 256),
    "H200": (4096, 256),
    "L4": (1024, 256),
    "L40S": (1024, 256),
    "RTX 4090": (512, 256),
    "MI300X": (2048, 256),
    "Jetson AGX Orin 64GB": (2048, 256),
}


@pytest.mark.parametrize("name", PER_CYCLE)
def test_gpu_peaks_follow_from_units_and_clock(name):
    gpu = facts.hardware(name)
    matrix, vector = PER_CYCLE[name]
    has_own_clock = "tensor_clock" in dict(gpu.facts())
    matrix_clock = gpu.tensor_clock if has_own_clock else gpu.boost_clock
    assert gpu.peak("fp16") == pytest.approx(gpu.cores * matrix * matrix_clock, rel=0.015)
    assert gpu.peak("fp32") == pytest.approx(gpu.cores * vector * gpu.boost_clock, rel=0.02)
    if gpu.has_peak("int8"):
        # INT8 runs at twice FP16, four times on the 4090, whose FP16 is halved by FP32 sums
        times = 4 if name == "RTX 4090" else 2
        assert gpu.peak("int8") == pytest.approx(times * gpu.peak("fp16"), rel=0.015)


@pytest.mark.parametrize(
    ("name", "arrays", "side"), [("TPU v4", 8, 128), ("TPU v5e", 4, 128), ("TPU v5p", 8, 128)]
)
def test_tpu_peaks_follow_from_systolic_arrays_and_clock(name, arrays, side):
    tpu = facts.hardware(name)
    assert tpu.peak("bf16") == pytest.approx(arrays * side**2 * 2 * tpu.boost_clock, rel=0.005)
    assert not tpu.dtypes(sparse=True)


@pytest.mark.parametrize(
    ("name", "bits", "gigabit_per_pin"),
    [
        ("V100", 4096, 1.752),
        ("A100", 5120, 3.186),
        ("H100", 5120, 5.23),
        ("H200", 6144, 6.25),
        ("T4", 256, 10),
        ("L4", 192, 12.5),
        ("L40S", 384, 18),
        ("RTX 4090", 384, 21),
        ("MI300X", 8192, 5.2),
        ("Orin", 256, 6.4),
        ("8480+", 8 * 64, 4.8),
        ("6980P", 12 * 64, 6.4),
        ("9654", 12 * 64, 4.8),
        ("9755", 12 * 64, 6.4),
    ],
)
def test_bandwidth_follows_from_bus_width_and_pin_rate(name, bits, gigabit_per_pin):
    expected = bits / 8 * gigabit_per_pin * 1e9
    assert facts.hardware(name).bandwidth == pytest.approx(expected, rel=0.006)


# 512-bit registers hold 16 FP32 lanes; an FMA is two operations; two FMA units per core, half
# as wide on Zen 4. AMX: 16x16 tiles, 32 BF16 multiply-adds per output in 16 cycles.
CPU_PER_CYCLE = {
    "Xeon Platinum 8480+": {"fp32": 16 * 2 * 2, "fp64": 8 * 2 * 2, "bf16": 16 * 16 * 32 * 2 / 16},
    "Xeon 6980P": {"fp32": 16 * 2 * 2, "fp64": 8 * 2 * 2, "bf16": 16 * 16 * 32 * 2 / 16},
    "EPYC 9654": {"fp32": 8 * 2 * 2, "fp64": 4 * 2 * 2, "bf16": 16 * 2 * 2},
    "EPYC 9755": {"fp32": 16 * 2 * 2, "fp64": 8 * 2 * 2, "bf16": 32 * 2 * 2},
}


@pytest.mark.parametrize("name", CPU_PER_CYCLE)
def test_cpu_peaks_follow_from_cores_clock_and_vector_width(name):
    cpu = facts.hardware(name)
    for dtype, per_cycle in CPU_PER_CYCLE[name].items():
        assert cpu.peak(dtype) == pytest.approx(cpu.cores * cpu.base_clock * per_cycle)
    assert cpu.peak("int8") == pytest.approx(2 * cpu.peak("bf16"))
    for dtype in cpu.dtypes():
        assert cpu.fact(f"peak.{dtype}").kind == "derived"


@pytest.mark.parametrize("device", DEVICES, ids=lambda d: d.name)
def test_printed_and_visible_capacity_agree_within_gb_and_gib(device):
    if "capacity_visible" in dict(device.facts()):
        assert device.capacity_visible == pytest.approx(device.capacity, rel=0.08)
        assert device.fact("capacity_visible").kind == "measured"


def _aiconfigurator() -> Path:
    """Return the folder of the package aiconfigurator_core, or skip (in CI: fail)."""
    spec = importlib.util.find_spec("aiconfigurator_core")
    if spec is not None:
        return Path(spec.submodule_search_locations[0])
    said = (
        "not proven here: aiconfigurator-core is missing (independent figures of GPUs and models); "
        "pip install --no-deps aiconfigurator-core"
    )
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(said, pytrace=False)
    pytest.skip(said)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("A100 80GB", "a100_sxm"),
        ("H100 SXM", "h100_sxm"),
        ("H200", "h200_sxm"),
        ("B200", "b200_sxm"),
        ("L4", "l4"),
        ("L40S", "l40s"),
    ],
)
def test_gpus_agree_with_an_independent_table(name, file):
    text = (_aiconfigurator() / "systems" / f"{file}.yaml").read_text()
    other = {k: float(v) for k, v in re.findall(r"^ +(\w+): ([\d.]+)", text, re.MULTILINE)}
    gpu = facts.hardware(name)
    assert gpu.bandwidth == pytest.approx(other["mem_bw"], rel=0.001)
    assert gpu.tdp == other["power"]
    assert gpu.interconnect / 2 == pytest.approx(other["intra_node_bw"])  # theirs is one way
    compared = 0
    for dtype, key in {"bf16": "bfloat16", "int8": "int8", "fp8": "fp8", "fp4": "fp4"}.items():
        if f"{key}_tc_flops" in other:
            assert gpu.peak(dtype) == pytest.approx(other[f"{key}_tc_flops"], rel=0.003), dtype
            compared += 1
    assert compared >= 2


def test_a_missing_peak_names_the_legal_types():
    with pytest.raises(facts.UnknownName, match=r"A100 80GB has no dense peak for 'fp8'.*bf16"):
        facts.hardware("A100").peak("fp8")
    with pytest.raises(facts.UnknownName, match=r"no sparse peak for 'bf16'.*none"):
        facts.hardware("TPU v4").peak("bf16", sparse=True)
    with pytest.raises(facts.UnknownName, match="T4 has no dense peak for 'bf16'"):
        facts.hardware("T4").ridge("bf16")
    assert not facts.hardware("A100").has_peak("fp8")
    assert facts.hardware("H100").has_peak("fp8")
    assert not facts.hardware("H100").has_peak("fp64", sparse=True)
    with pytest.raises(TypeError, match="dtype must be a str"):
        facts.hardware("A100").peak(16)


def test_other_spellings_of_data_types():
    h100 = facts.hardware("H100")
    assert h100.peak("bfloat16") == h100.peak("BF16") == h100.peak("bf16")
    assert h100.peak("float32") == h100.peak("fp32")


def test_an_unpublished_figure_is_absent_not_invented():
    with pytest.raises(facts.UnknownName, match="TPU v5e has no published 'tdp'"):
        _ = facts.hardware("TPU v5e").tdp
    with pytest.raises(facts.UnknownName, match="has no published 'bandwith'"):
        facts.hardware("H100").fact("bandwith")


def test_hardware_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        facts.hardware("H100").name = "H101"
    with pytest.raises(dataclasses.FrozenInstanceError):
        facts.hardware("H100").fact("bandwidth").value = 1


# ------------------------------------------------------------------ model values


@pytest.mark.parametrize(
    ("name", "bytes_per_token"),
    [
        ("OPT-13B", 819_200),  # the vLLM paper's 800 KB
        ("Llama-2 7B", 524_288),
        ("Llama-3 70B", 327_680),
        ("GPT-3 175B", 4_718_592),
        ("SmolLM2-135M", 23_040),
        ("DeepSeek-V3", 70_272),  # these three: "Insights into DeepSeek-V3", table 1
        ("Qwen2.5 72B", 327_680),
        ("Llama-3.1 405B", 516_096),
    ],
)
def test_kv_bytes_per_token_as_published(name, bytes_per_token):
    size = facts.model(name).kv_bytes_per_token()
    assert size == bytes_per_token
    assert isinstance(size, int)


def test_kv_bytes_scale_with_the_value_size():
    llama = facts.model("Llama-3 8B")
    assert llama.kv_bytes_per_token(1) == llama.kv_bytes_per_token() // 2
    assert llama.kv_bytes_per_token(facts.dtype_bytes("int4")) == 32_768
    assert facts.model("DeepSeek-V3").kv_bytes_per_token(0.5) == 61 * 576 / 2
    for wrong in (0, -2, float("nan")):
        with pytest.raises(ValueError, match="bytes_per_value must be above 0"):
            llama.kv_bytes_per_token(wrong)


def count_parameters(m, experts_counted=None):
    """Count a decoder's parameters matrix by matrix, as a checkpoint lists its tensors."""
    classic = m.positions == "learned"  # GPT and OPT: biases everywhere, LayerNorm with bias
    q_width, kv_width = m.heads * m.head_dim, m.kv_heads * m.head_dim

    if m.attention == "mla":
        attention = m.hidden * m.q_lora_rank + m.q_lora_rank  # down, norm
        attention += m.q_lora_rank * m.heads * (m.head_dim + m.rope_head_dim)  # up
        attention += m.hidden * (m.kv_lora_rank + m.rope_head_dim) + m.kv_lora_rank
        attention += m.kv_lora_rank * m.heads * 2 * m.head_dim  # keys and values
        attention += q_width * m.hidden
    else:
        attention = m.hidden * (q_width + 2 * kv_width) + q_width * m.hidden
        if classic:
            attention += q_width + 2 * kv_width + m.hidden
        if m.name.startswith("Qwen2.5"):
            attention += q_width + 2 * kv_width  # biases on q, k, v only

    def mlp(width):
        matrices = (3 if m.gated_mlp else 2) * m.hidden * width
        return matrices + (width + m.hidden if classic else 0)

    norms = (4 if m.name.startswith("Gemma-2") else 2) * m.hidden * (2 if classic else 1)
    dense_layers = m.dense_layers if m.is_moe else m.layers
    total = m.layers * (attention + norms) + dense_layers * mlp(m.ffn)
    if m.is_moe:
        routed = m.experts if experts_counted is None else experts_counted
        expert_layer = (routed + m.shared_experts) * mlp(m.expert_ffn) + m.hidden * m.experts
        total += (m.layers - m.dense_layers) * expert_layer

    total += m.vocab * m.hidden * (1 if m.tied_embeddings else 2)
    total += m.max_context * m.hidden if classic else 0
    return total + m.hidden * (2 if classic else 1)  # last norm


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_parameters_follow_from_the_shape(model):
    tolerance = 0.001 if model.fact("params").kind == "measured" else 0.01
    assert count_parameters(model) == pytest.approx(model.params, rel=tolerance)


def test_opt_13b_is_near_its_nominal_size():
    # Its total is counted from the shape, so hold it against the paper's name as well.
    assert facts.model("OPT-13B").params == pytest.approx(13e9, rel=0.015)


@pytest.mark.parametrize(
    ("name", "field", "typo"),
    [
        ("Llama-3 70B", "ffn", 26872),
        ("Llama-2 7B", "layers", 33),
        ("Qwen2.5 7B", "vocab", 125064),
        ("Gemma-2 9B", "head_dim", 128),
        ("Mixtral 8x7B", "experts", 9),
    ],
)
def test_the_parameter_count_catches_typing_errors(name, field, typo):
    model = facts.model(name)
    wrong = dataclasses.replace(model, **{field: typo})
    assert count_parameters(wrong) != pytest.approx(model.params, rel=0.01)


@pytest.mark.parametrize("model", [m for m in MODELS if m.is_moe], ids=lambda m: m.name)
def test_active_parameters_follow_from_the_experts_visited(model):
    active = count_parameters(model, experts_counted=model.experts_per_token)
    assert model.active_params == pytest.approx(active, rel=0.03)
    assert model.active_params < model.params / 3


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_shapes_are_consistent(model):
    assert model.heads % model.kv_heads == 0
    expected = {"mha": model.kv_heads == model.heads, "gqa": 1 < model.kv_heads < model.heads}
    assert expected.get(model.attention, model.attention == "mla")
    if not model.is_moe:
        assert model.active_params == model.params
    assert (model.sliding_window is None) == (model.window_layers is None)
    assert (model.attention == "mla") == (model.kv_lora_rank is not None)


def test_sliding_windows():
    mistral, gemma = facts.model("Mistral 7B"), facts.model("Gemma-2 27B")
    assert (mistral.sliding_window, mistral.window_layers) == (4096, mistral.layers)
    assert (gemma.sliding_window, 2 * gemma.window_layers) == (4096, gemma.layers)
    assert gemma.alternation
    assert facts.model("Llama-3 8B").sliding_window is None
    with pytest.raises(facts.UnknownName, match="Llama-3 8B has no 'sliding_window'"):
        facts.model("Llama-3 8B").fact("sliding_window")


def test_shapes_agree_with_published_configurations():
    folder = _aiconfigurator() / "model_configs"
    compared = []
    for model in MODELS:
        file = folder / f"{model.repo.replace('/', '--')}_config.json"
        if not model.repo or not file.exists():
            continue
        config = json.loads(file.read_text())
        pairs = {
            "layers": "num_hidden_layers",
            "hidden": "hidden_size",
            "heads": "num_attention_heads",
            "kv_heads": "num_key_value_heads",
            "ffn": "intermediate_size",
            "vocab": "vocab_size",
            "max_context": "max_position_embeddings",
            "tied_embeddings": "tie_word_embeddings",
            "experts_per_token": "num_experts_per_tok",
            "shared_experts": "n_shared_experts",
            "expert_ffn": "moe_intermediate_size",
            "dense_layers": "first_k_dense_replace",
            "kv_lora_rank": "kv_lora_rank",
            "q_lora_rank": "q_lora_rank",
            "rope_head_dim": "qk_rope_head_dim",
        }
        for ours, theirs in pairs.items():
            if theirs in config:
                assert getattr(model, ours) == config[theirs], f"{model.name} {ours}"
        experts = config.get("num_local_experts", config.get("n_routed_experts"))
        assert model.experts == experts
        compared.append(model.name)
    assert len(compared) >= 5, compared


# ------------------------------------------------------------------ constants


def test_constants():
    assert facts.constant("cache_line") == 64
    widths = {"skylake": 4, "ice_lake": 5, "golden_cove": 6, "zen4": 6, "zen5": 8}
    for core, width in widths.items():
        assert facts.constant(f"topdown_slots.{core}") == width
    assert facts.constant_fact("cache_line").unit == "B"
    with pytest.raises(facts.UnknownName, match=r"Nearest: cache_line"):
        facts.constant("cacheline_size")


def test_dtype_sizes_agree_with_numpy():
    for ours, theirs in {
        "fp64": np.float64,
        "fp32": np.float32,
        "fp16": np.float16,
        "int32": np.int32,
        "int8": np.int8,
    }.items():
        assert facts.dtype_bytes(ours) == np.dtype(theirs).itemsize
    assert facts.dtype_bytes("bfloat16") == 2
    assert facts.dtype_bytes("fp8") == 1
    assert facts.dtype_bytes("fp4") == 0.5
    with pytest.raises(facts.UnknownName, match=r"No data type called 'fp7'.*bf16"):
        facts.dtype_bytes("fp7")


@pytest.mark.skipif(
    not (platform.machine() == "x86_64" and Path("/proc/cpuinfo").exists()),
    reason=f"{platform.machine()} {platform.system()} is not x86-64 Linux: other constants apply",
)
def test_x86_constants_agree_with_this_machine():
    line = re.search(r"cache_alignment\s*:\s*(\d+)", Path("/proc/cpuinfo").read_text())
    assert facts.constant("cache_line") == int(line[1])
    assert facts.constant("page") == os.sysconf("SC_PAGE_SIZE")


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("h100", "H100 SXM"),
        ("H100", "H100 SXM"),
        ("H100 SXM5", "H100 SXM"),
        ("nvidia-h100-sxm", "H100 SXM"),
        ("A100", "A100 80GB"),
        ("  rtx4090 ", "RTX 4090"),
        ("Trillium", "TPU v6e"),
        ("amd instinct mi300x", "MI300X"),
        ("orin", "Jetson AGX Orin 64GB"),
    ],
)
def test_hardware_aliases(asked, found):
    assert facts.hardware(asked).name == found


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("llama 3 70b", "Llama-3 70B"),
        ("meta-llama/Meta-Llama-3-70B", "Llama-3 70B"),
        ("Mixtral 8×7B", "Mixtral 8x7B"),
        ("gpt2", "GPT-2"),
        ("deepseek-v3", "DeepSeek-V3"),
        ("SmolLM2-135M-Instruct", "SmolLM2-135M"),
    ],
)
def test_model_aliases(asked, found):
    assert facts.model(asked).name == found


def test_case_spaces_and_punctuation_do_not_matter():
    dice = random.Random(2)
    for find, names in [
        (facts.hardware, facts.hardware_names()),
        (facts.model, facts.model_names()),
    ]:
        for name in names:
            assert find(name).name == name
            letters = [dice.choice((str.upper, str.lower))(c) for c in name if c.isalnum()]
            mangled = "".join(c + dice.choice(("", "", " ", "-", "_", ".")) for c in letters)
            assert find(mangled).name == name


@pytest.mark.parametrize(
    ("find", "asked", "hint"),
    [
        (facts.hardware, "H1000", "H100 SXM"),
        (facts.hardware, "H100 PCIe", "H100 SXM"),
        (facts.hardware, "MI300", "MI300X"),
        (facts.hardware, "RTX 4900", "RTX 4090"),
        (facts.model, "Lama-3 70B", "Llama-3 70B"),
        (facts.model, "DeepSek V3", "DeepSeek-V3"),
        (facts.model, "gpt3-175", "GPT-3 175B"),
    ],
)
def test_unknown_names_suggest_the_nearest(find, asked, hint):
    with pytest.raises(facts.UnknownName) as caught:
        find(asked)
    message = str(caught.value)
    assert asked in message
    assert hint in message.split("Nearest:")[1]
    assert "_names() lists all" in message
    assert not message.startswith(("'", '"'))  # a bare KeyError would quote it
    assert isinstance(caught.value, KeyError)


def test_a_real_but_absent_device_is_not_taken_for_another():
    for absent in ("H20", "H100 PCIe", "A10", "A100 40GB", "L40", "B300"):
        with pytest.raises(facts.UnknownName):
            facts.hardware(absent)


@pytest.mark.parametrize(
    ("find", "asked", "candidates"),
    [
        (facts.model, "Llama 70B", ["Llama-2 70B", "Llama-3 70B", "Llama-3.1 70B"]),
        (facts.model, "gemma-2", ["Gemma-2 9B", "Gemma-2 27B"]),
        (facts.hardware, "TPU v5", ["TPU v5e", "TPU v5p"]),
        (facts.hardware, "Xeon", ["Xeon Platinum 8480+", "Xeon 6980P"]),
    ],
)
def test_ambiguous_names_list_the_candidates(find, asked, candidates):
    with pytest.raises(facts.UnknownName, match="ambiguous") as caught:
        find(asked)
    assert all(name in str(caught.value) for name in candidates)


def test_nonsense_and_wrong_types():
    with pytest.raises(facts.UnknownName, match=r"No hardware called ''.*hardware_names"):
        facts.hardware("")
    with pytest.raises(facts.UnknownName, match="No model called 'zzz'"):
        facts.model("zzz")
    with pytest.raises(TypeError, match="must be a str such as 'A100 80GB', not NoneType"):
        facts.hardware(None)


# ------------------------------------------------------------------ facts as text, tables


def test_a_fact_reads_as_a_sentence():
    assert (
        str(facts.hardware("H100 SXM").fact("bandwidth"))
        == "3.35e12 B/s (datasheet: NVIDIA H100 Tensor Core GPU datasheet, 2023-03)"
    )
    assert str(facts.hardware("L4").fact("tdp")).startswith("72 W (datasheet: NVIDIA L4")


@pytest.mark.parametrize("value", [0.5, 72, 999_999, 1_000_000, 3.35e12, 85_520_809_984, 1.125e15])
def test_numbers_are_written_without_loss(value):
    assert float(registry.number(value)) == pytest.approx(value, rel=1e-6)


def test_table_rows():
    rows = facts.table(["h100", "T4"], ["peak.bf16", "bandwidth", "ridge.bf16"])
    assert rows[0] == ["name", "peak.bf16", "bandwidth", "ridge.bf16"]
    assert rows[1] == ["H100 SXM", 989.4e12, 3.35e12, pytest.approx(295, abs=1)]
    assert rows[2] == ["T4", None, 320e9, None]
    models = facts.table(["llama-3 8b"], ["layers", "kv_bytes_per_token", "sliding_window"])
    assert models[1] == ["Llama-3 8B", 32, 131_072, None]


def test_markdown_table():
    text = facts.markdown_table(["A100", "TPU v4"], ["peak.bf16", "bandwidth", "capacity", "l2"])
    assert text.splitlines() == [
        "| name | peak.bf16 | bandwidth | capacity | l2 |",
        "|---|---:|---:|---:|---:|",
        "| A100 80GB | 312 TFLOP/s | 2.039 TB/s | 80 GB | 40 MiB |",
        "| TPU v4 | 275 TFLOP/s | 1.2 TB/s | 32 GiB | – |",
    ]
    models = facts.markdown_table(["GPT-2", "Mixtral 8x7B"], ["params", "gated_mlp", "attention"])
    assert "| GPT-2 | 124.4 M | no | mha |" in models
    assert "| Mixtral 8x7B | 46.7 B | yes | gqa |" in models


def test_table_rejects_unknown_names_and_fields():
    with pytest.raises(facts.UnknownName, match=r"No hardware called 'H10'.*No model called 'H10'"):
        facts.table(["H10"], ["bandwidth"])
    with pytest.raises(facts.UnknownName, match="No field called 'bandwith' for hardware"):
        facts.table(["H100"], ["bandwith"])
    with pytest.raises(facts.UnknownName, match="No field called 'depth' for models"):
        facts.markdown_table(["GPT-2"], ["depth"])


# ------------------------------------------------------------------ the files and the import


def test_entries_without_provenance_are_refused():
    with pytest.raises(ValueError, match="spot: no date, kind; add"):
        registry.make_fact(1, "B", {"source": "a sheet", "section": "x"}, {}, "spot")
    good = {"source": "a sheet", "section": "x", "date": "2024-01", "kind": "datasheet"}
    assert registry.make_fact(1, "B", good, {}, "spot").value == 1
    with pytest.raises(ValueError, match="kind 'rumour' is not one of datasheet"):
        registry.make_fact({"value": 1, "kind": "rumour"}, "B", good, {}, "spot")
    with pytest.raises(ValueError, match="spot: no section"):  # another source, another place
        registry.make_fact({"value": 1, "source": "a book"}, "B", good, {}, "spot")


def test_every_listed_document_is_used():
    for filename in ("hardware.toml", "constants.toml"):
        titles = {source["title"] for source in registry.read_toml(filename)["sources"].values()}
        assert titles <= {fact.source for _, fact in ALL_FACTS}


def test_devices_and_models_can_be_sent_to_other_processes():
    for thing in (facts.hardware("H100"), facts.model("DeepSeek-V3")):
        copy = pickle.loads(pickle.dumps(thing))
        assert copy == thing
        assert dict(copy.facts()) == dict(thing.facts())
    error = pickle.loads(pickle.dumps(facts.UnknownName("say this")))
    assert str(error) == "say this"


def test_importing_facts_pulls_in_nothing_heavy():
    code = (
        "import sys; from syslab import facts; facts.hardware('H100'); facts.model('GPT-2');"
        "facts.constant('page'); facts.markdown_table(['T4'], ['tdp']);"
        "heavy = {'numpy', 'torch', 'pandas', 'matplotlib', 'numba', 'nbgrader', 'syslab.course'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    source = str(Path(facts.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": source}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[]"
