"""Measured serving points: shapes of the models, the bounds, and rows that cannot be right.

The package is pinned, so counts over its file are exact.
"""

import types

import pytest

from syslab import facts
from syslab.serving.points import LEFT_OUT, measured_points, point_device, point_model
from syslab.serving.points_check import bounds, check_bounds
from syslab.serving.points_fit import Efficiency, halves, predict, predictable, prediction_error


@pytest.fixture(scope="module")
def points():
    return measured_points()


@pytest.fixture(scope="module")
def checked(points):
    return check_bounds(points)


def test_all_5221_points_are_read(points):
    assert len(points) == 5221
    assert points["mode"].value_counts().to_dict() == {"agg": 3619, "disagg": 1602}
    assert set(points["precision"]) == {"bf16", "fp8", "fp4", "int4"}
    assert points[["ttft_s", "tpot_s"]].min().min() > 0
    # In any other unit the median output token would be 1000 times off.
    assert 0.005 < points["tpot_s"].median() < 0.05


@pytest.mark.parametrize(
    ("name", "total", "active"),
    [  # makers' announcements, in 1e9 parameters
        ("Qwen/Qwen3-32B", 32.8, 32.8),
        ("Qwen/Qwen3-235B-A22B-FP8", 235, 22),
        ("openai/gpt-oss-120b", 117, 5.1),
        ("MiniMaxAI/MiniMax-M2.5", 230, 10),
        ("moonshotai/Kimi-K2.5", 1000, 32),
    ],
)
def test_shapes_read_from_configurations(name, total, active):
    model = point_model(name)
    assert model.params / 1e9 == pytest.approx(total, rel=0.03)
    assert model.active_params / 1e9 == pytest.approx(active, rel=0.05)


def test_configuration_and_registry_agree():
    import json

    from syslab.serving import points
    from syslab.serving.points import model_from_config

    folder = points._folder() / "model_configs"
    for file, name in (("deepseek-ai--DeepSeek-V3", "DeepSeek-V3"),
                       ("meta-llama--Meta-Llama-3.1-70B", "Llama-3.1 70B")):  # fmt: skip
        config = json.loads((folder / f"{file}_config.json").read_text())
        read, known = model_from_config("x/y", config), facts.model(name)
        assert read.kv_bytes_per_token() == known.kv_bytes_per_token()
        assert read.params == pytest.approx(known.params, rel=1e-6)
        assert (read.layers, read.heads, read.head_dim) == (
            known.layers, known.heads, known.head_dim,
        )  # fmt: skip


def test_devices_are_those_of_the_registry_where_it_has_them():
    assert point_device("h100_sxm") is facts.hardware("H100 SXM")
    assert point_device("gb200").bandwidth == 8e12
    assert point_device("b300_sxm").peak("fp4") == 14e15
    with pytest.raises(ValueError, match="h100_sxm"):
        point_device("h900")


def test_bounds_by_hand():
    point = types.SimpleNamespace(
        model="meta-llama/Llama-3.1-8B-Instruct", system="h100_sxm", precision="bf16", mode="agg",
        prompt_tokens=1000, output_tokens=201, concurrency=10.0, prefill_gpus=1, decode_gpus=1,
        decode_engines=float("nan"), ttft_s=0.5, tpot_s=0.01,
    )  # fmt: skip
    got = bounds(point)
    read = 2 * (8_030_261_248 - 128256 * 4096)  # all but the token table, within 0.01 %
    cache = 131_072 * (1000 + 101)
    assert got.alone_s == pytest.approx((read + cache) / 3.35e12, rel=1e-3)
    assert got.crowd_s == pytest.approx((read + 10 * cache) / 3.35e12, rel=1e-3)
    # decoding takes 2 s of 2.5 s, so 8 of 10 clients decode
    assert got.decoding_s == pytest.approx((read + 8 * cache) / 3.35e12, rel=1e-3)
    flop = 2 * (8_030_261_248 - 2 * 128256 * 4096) * 1000 + 4 * 32 * 32 * 128 * 500_500
    assert got.ttft_s == pytest.approx(flop / 989.4e12, rel=1e-3)


def test_no_measured_point_beats_the_roofline(checked):
    assert len(checked) == 5221 - 351 - 108
    assert set(LEFT_OUT) == {"Qwen/Qwen3.5-397B-A17B", "zhipuai/GLM-5"}
    assert checked["ttft_share"].max() < 0.6
    assert checked["alone_share"].max() < 0.8
    # and the bound is no empty one: the best runs come near it
    assert checked["alone_share"].max() > 0.7
    assert checked["decoding_share"].quantile(0.99) > 0.5


def test_the_five_points_faster_than_a_crowd(checked):
    # As if all clients decoded at once. Two queue: with the share of clients that Little's law
    # says are decoding, they are within bounds.
    crowd = checked[checked["crowd_share"] > 1]
    assert len(crowd) == 5
    queued = crowd[crowd["decoding_share"] <= 1]
    assert sorted(queued["model"]) == ["meta-llama/Llama-3.1-70B", "openai/gpt-oss-120b"]
    assert queued["ttft_s"].min() > 20
    # The other three cannot be right: 416 to 448 clients with prompts of 15,000 tokens on 2 GPUs
    # would need 3.6 times the GPUs' fp4 peak for the prompts alone.
    wrong = crowd[crowd["decoding_share"] > 1]
    assert set(wrong["model"]) == {"nvidia/Qwen3-32B-NVFP4"}
    assert set(wrong["prompt_tokens"]) == {15_000}
    assert set(wrong["decode_gpus"]) == {2}
    assert wrong["peak_share"].between(3.5, 3.8).all()
    assert (checked["peak_share"] > 1).sum() == 3


def test_data_sheet_ranks_the_runs(checked):
    usable = predictable(checked)
    assert len(usable) == 2875
    errors = prediction_error(usable)
    assert errors["tpot_s"].rank > 0.8
    assert errors["ttft_s"].rank > 0.7
    assert errors["tpot_s"].median_ratio < 1  # peaks are not reached
    half = prediction_error(usable, Efficiency(0.5, 0.5, 4e-3, 0.1))
    assert half["tpot_s"].median_error < 0.4
    assert half["ttft_s"].median_error < 0.6


def test_prediction_grows_with_clients_and_falls_with_gpus(checked):
    point = next(predictable(checked).query("concurrency >= 32 and decode_gpus == 4").itertuples())
    ttft, tpot = predict(point)
    more, fewer = (
        predict(point._replace(concurrency=2 * point.concurrency)),
        predict(point._replace(decode_gpus=2)),
    )
    assert more[0] > ttft
    assert more[1] > tpot
    assert fewer[1] > tpot


def test_halves_share_no_model_on_the_same_gpu(checked):
    usable = predictable(checked)
    one, other = halves(usable)
    assert len(one) + len(other) == len(usable)
    pairs = [set(zip(half["model"], half["system"], strict=True)) for half in (one, other)]
    assert not pairs[0] & pairs[1]


def test_models_left_out_say_why():
    with pytest.raises(ValueError, match="linear attention"):
        point_model("Qwen/Qwen3.5-397B-A17B")
    with pytest.raises(ValueError, match="neither the registry"):
        point_model("nobody/nothing")
