"""Measured serving points of data-centre GPUs: what engines really reached.

``silicon_sample.csv`` inside the Python package ``aiconfigurator-core`` (NVIDIA, Apache-2.0) has
5,221 runs of TensorRT-LLM, SGLang and vLLM: model, GPU, precision, prompt and output length,
concurrency, parallelism, and the TTFT and TPOT seen by the client. Models that the registry does
not hold are described by the configuration files of the same package. Nothing of it is run.

The runs are closed loops: a fixed number of clients, each sending its next request when the last
is answered. Their files do not say whether the times are means or medians.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

from syslab import facts

PACKAGE, WANTED_VERSION = "aiconfigurator-core", "0.12.0"
# The file's names of GPUs and those of syslab.facts. Of the others the package has the figures.
DEVICES = {"h100_sxm": "H100 SXM", "h200_sxm": "H200", "b200_sxm": "B200"}
# Models whose attention the cost model does not describe.
LEFT_OUT = {
    "Qwen/Qwen3.5-397B-A17B": "three of four layers have linear attention",
    "zhipuai/GLM-5": "sparse attention reads a selection of the cache",
}
_REGISTRY = {
    "meta-llama/Llama-3.1-70B": "Llama-3.1 70B",
    "meta-llama/Llama-3.1-8B-Instruct": "Llama-3.1 8B",
    "nvidia/Llama-3.1-8B-Instruct-FP8": "Llama-3.1 8B",
    "deepseek-ai/DeepSeek-R1": "DeepSeek-V3",
    "deepseek-ai/DeepSeek-V3": "DeepSeek-V3",
    "nvidia/DeepSeek-R1-NVFP4": "DeepSeek-V3",
    "nvidia/DeepSeek-V3.1-NVFP4": "DeepSeek-V3",
}
_CONFIGS = {"nvidia/Qwen3-32B-NVFP4": "Qwen/Qwen3-32B"}


def measured_points():
    """Return the measured points as a table, one row per run.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``system``, ``backend``, ``mode`` (``"agg"`` or ``"disagg"``), ``precision``
        (``"bf16"``, ``"fp8"``, ``"fp4"``, ``"int4"``; where the file is silent, from the model's
        name), ``prompt_tokens``, ``output_tokens``, ``concurrency`` (clients; nan if unknown),
        ``prefill_gpus``, ``decode_gpus`` (of one replica; the same GPUs when aggregated),
        ``decode_engines`` (disaggregated; nan if unknown), ``ttft_s``, ``tpot_s``.

    Notes
    -----
    Parallelism is written in several ways in the file. The GPUs of a replica are taken as the
    larger of ``tp x pp x attention_dp`` and ``moe_tp x moe_ep``: too many rather than too few, so
    that a bound computed from them stays a bound.
    """
    import pandas as pd

    raw = pd.read_csv(_folder() / "systems" / "silicon_sample.csv")
    split = raw["mode"] == "disagg"
    prefill = _gpus(raw, "").where(~split, _gpus(raw, "prefill_"))
    decode = _gpus(raw, "").where(~split, _gpus(raw, "decode_"))
    clients = raw["silicon_data_source"].str.extract(r"silicon_concurrency=(\d+)")[0]
    ranks = raw["attention_dp_size"].fillna(1).clip(lower=1)
    clients = clients.astype(float).fillna(raw["batch_size"] * ranks)
    return pd.DataFrame(
        {
            "model": raw["model_path"],
            "system": raw["system"],
            "backend": raw["backend"],
            "mode": raw["mode"],
            "precision": raw["precision"].fillna(raw["model_path"].map(_precision)),
            "prompt_tokens": raw["isl"],
            "output_tokens": raw["osl"],
            "concurrency": clients,
            "prefill_gpus": prefill,
            "decode_gpus": decode,
            "decode_engines": raw["decode_num_workers"],
            "ttft_s": raw["silicon_ttft_ms"] / 1e3,
            "tpot_s": raw["silicon_tpot_ms"] / 1e3,
        }
    )


@cache
def point_model(name: str) -> facts.Model:
    """Return the shape of a model of the points: from the registry, or from its configuration."""
    if name in LEFT_OUT:
        raise ValueError(f"name={name!r}: not described by this cost model, {LEFT_OUT[name]}")
    if name in _REGISTRY:
        return facts.model(_REGISTRY[name])
    import json

    file = f"{_CONFIGS.get(name, name).replace('/', '--')}_config.json"
    path = _folder() / "model_configs" / file
    if not path.is_file():
        raise ValueError(f"name={name!r}: neither the registry nor {PACKAGE} has its shape")
    return model_from_config(name, json.loads(path.read_text(encoding="utf-8")))


def model_from_config(name: str, config: dict) -> facts.Model:
    """Return the shape that a published ``config.json`` describes (gated MLP, rotary positions).

    Parameters are counted from the shape, biases and small extras left out.
    """
    from dataclasses import replace

    from syslab.kvcache import parameters

    c = config.get("text_config", config)
    experts = c.get("n_routed_experts") or c.get("num_local_experts") or c.get("num_experts")
    mla = "kv_lora_rank" in c
    heads, kv_heads = c["num_attention_heads"], c["num_key_value_heads"]
    windowed = c.get("sliding_window") and c.get("use_sliding_window", True)
    kinds = c.get("layer_types", [])
    shape = facts.Model(
        name=name,
        vendor=name.split("/")[0],
        repo=name,
        attention="mla" if mla else "mha" if kv_heads == heads else "gqa",
        layers=c["num_hidden_layers"],
        hidden=c["hidden_size"],
        heads=heads,
        kv_heads=kv_heads,
        head_dim=c.get("qk_nope_head_dim") or c.get("head_dim") or c["hidden_size"] // heads,
        ffn=c["intermediate_size"],
        vocab=c["vocab_size"],
        max_context=c["max_position_embeddings"],
        params=1,
        active_params=1,
        gated_mlp=True,
        tied_embeddings=bool(c.get("tie_word_embeddings")),
        positions="rope",
        experts=experts,
        experts_per_token=c.get("num_experts_per_tok"),
        shared_experts=c.get("n_shared_experts") or 0,
        expert_ffn=c.get("moe_intermediate_size") or (c["intermediate_size"] if experts else None),
        dense_layers=c.get("first_k_dense_replace") or 0,
        kv_lora_rank=c.get("kv_lora_rank"),
        q_lora_rank=c.get("q_lora_rank"),
        rope_head_dim=c.get("qk_rope_head_dim"),
        sliding_window=c["sliding_window"] if windowed else None,
        window_layers=kinds.count("sliding_attention") if windowed else None,
    )
    counted = parameters(shape)
    active = counted.active + counted.head + counted.norms
    return replace(shape, params=counted.total, active_params=active)


@cache
def point_device(system: str) -> facts.Hardware:
    """Return the GPU of a system: from the registry, or as the package describes it."""
    if system in DEVICES:
        return facts.hardware(DEVICES[system])
    path = _folder() / "systems" / f"{system}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise ValueError(f"system={system!r}: {PACKAGE} describes {known}")
    figures = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, colon, value = line.split("#")[0].partition(":")
        if colon and value.strip().isdigit():
            figures[name.strip()] = int(value)

    def fact(value, unit):
        return facts.Fact(value, unit, f"{PACKAGE} {WANTED_VERSION}", "2026-07", "datasheet",
                          section=f"systems/{system}.yaml")  # fmt: skip

    known = {
        "bandwidth": fact(figures["mem_bw"], "B/s"),
        "capacity": fact(figures["mem_capacity"], "B"),
        "interconnect": fact(2 * figures["intra_node_bw"], "B/s"),
    }
    for dtype in ("bf16", "fp8", "fp4"):
        key = f"{'bfloat16' if dtype == 'bf16' else dtype}_tc_flops"
        if key in figures:
            known[f"peak.{dtype}"] = fact(figures[key], "FLOP/s")
    return facts.Hardware(system, "NVIDIA", "gpu", system, known)


def _gpus(raw, prefix: str):
    """Return the GPUs of one engine; columns that are empty or 0 count as 1."""
    names = ("tp_size", "pp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size")
    tp, pp, dp, moe_tp, moe_ep = (raw[prefix + name].fillna(1).clip(lower=1) for name in names)
    attention, experts = tp * pp * dp, moe_tp * moe_ep
    return attention.where(attention > experts, experts)


def _precision(model: str) -> str:
    return "fp4" if "NVFP4" in model else "fp8" if model.endswith("FP8") else "bf16"


@cache
def _folder() -> Path:
    spec = importlib.util.find_spec("aiconfigurator_core")
    if spec is None:
        raise ModuleNotFoundError(
            f"the measured points are in the package {PACKAGE}, which is not installed: "
            f"pip install --no-deps {PACKAGE}=={WANTED_VERSION}"
        )
    return Path(spec.origin).parent
