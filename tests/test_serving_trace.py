"""Traces: moments of the made-up ones, formats of the public ones."""

import numpy as np
import pytest

from syslab.serving import (
    CODE,
    CONVERSATION,
    Shape,
    Trace,
    find_data,
    read_azure,
    read_burstgpt,
    read_mooncake,
    synthetic_trace,
)


def data(filename, proves, origin):
    path = find_data(filename)
    if path is None:
        pytest.skip(
            f"not proven here: {filename} is missing ({proves}); download it from {origin} and "
            "set SYSLAB_DATA to its folder"
        )
    return path


@pytest.mark.parametrize("shape", [CONVERSATION, CODE], ids=lambda shape: shape.name)
def test_synthetic_traces_have_the_published_moments(shape):
    # Standard errors at n = 400,000: rate CV/sqrt(n), 2 % for code's CV of 13; CVs a few %.
    got = synthetic_trace(400_000, shape, seed=3).moments()
    assert got.requests_per_s == pytest.approx(shape.requests_per_s, rel=0.06)
    assert got.gap_cv == pytest.approx(shape.gap_cv, rel=0.06)
    assert got.prompt_mean == pytest.approx(shape.prompt_mean, rel=0.01)
    assert got.prompt_cv == pytest.approx(shape.prompt_cv, rel=0.01)
    assert got.output_mean == pytest.approx(shape.output_mean, rel=0.03)
    assert got.output_cv == pytest.approx(shape.output_cv, rel=0.06)


def test_smooth_poisson_and_bursty_gaps():
    for cv in (0.2, 1.0, 3.0):
        shape = Shape("x", 10, cv, 100, 0.5, 10, 0.5)
        assert synthetic_trace(200_000, shape).moments().gap_cv == pytest.approx(cv, rel=0.03)
    # CV 1 is exponential: the median is ln 2 of the mean.
    gaps = np.diff(synthetic_trace(200_000, Shape("x", 1, 1.0, 9, 1, 9, 1)).arrival_s)
    assert np.median(gaps) == pytest.approx(np.log(2), rel=0.02)


def test_seeds():
    a, b, c = (synthetic_trace(50, seed=seed) for seed in (1, 1, 2))
    assert (a.arrival_s == b.arrival_s).all()
    assert (a.prompt_tokens == b.prompt_tokens).all()
    assert (a.prompt_tokens != c.prompt_tokens).any()


@pytest.mark.parametrize(
    ("filename", "requests", "rate", "cv", "prompt", "output"),
    [  # figures published with the trace
        ("AzureLLMInferenceTrace_conv.csv", 19_366, 5.53, 1.09, 1154.7, 211.1),
        ("AzureLLMInferenceTrace_code.csv", 8_819, 2.57, 13.2, 2047.8, 27.9),
    ],
)
def test_azure_files(filename, requests, rate, cv, prompt, output):
    got = read_azure(data(filename, "published moments", "Azure/AzurePublicDataset")).moments()
    assert got.requests == requests
    assert round(got.requests_per_s, 2) == rate
    assert got.gap_cv == pytest.approx(cv, abs=0.05)
    assert round(got.prompt_mean, 1) == prompt
    assert round(got.output_mean, 1) == output
    shape = CONVERSATION if "conv" in filename else CODE
    assert got.prompt_cv == pytest.approx(shape.prompt_cv, abs=0.001)
    assert got.output_cv == pytest.approx(shape.output_cv, abs=0.001)


def test_azure_format(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:15:46.5000000,374,44\n2023-11-16 18:15:50.7500000,396,109\n"
    )
    trace = read_azure(file)
    assert trace.arrival_s.tolist() == [0, 4.25]
    assert trace.prompt_tokens.tolist() == [374, 396]
    assert trace.output_tokens.tolist() == [44, 109]
    file.write_text("TIME,ContextTokens,GeneratedTokens\n")
    with pytest.raises(ValueError, match="no column TIMESTAMP"):
        read_azure(file)


def test_burstgpt_format(tmp_path):
    file = tmp_path / "b.csv"
    file.write_text(
        "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,"
        "Log Type\n"
        "5,1,2.5,ChatGPT,472,18,490,Conversation log\n"
        "45,,,ChatGPT,1087,0,1087,API log\n"
        "118,,,GPT-4,417,276,693,Conversation log\n"
        "117,2,1.0,ChatGPT,1360,647,2007,Conversation log\n"
    )
    trace = read_burstgpt(file)
    assert trace.arrival_s.tolist() == [0, 112, 113]  # failed ones dropped, sorted
    assert trace.output_tokens.tolist() == [18, 647, 276]
    assert len(read_burstgpt(file, "GPT-4")) == 1
    with pytest.raises(ValueError, match="ChatGPT, GPT-4"):
        read_burstgpt(file, "GPT-5")


def test_mooncake_format(tmp_path):
    file = tmp_path / "m.jsonl"
    file.write_text(
        '{"timestamp": 0, "input_length": 1000, "output_length": 5, "hash_ids": [1, 2]}\n'
        '{"timestamp": 3000, "input_length": 512, "output_length": 7, "hash_ids": [1]}\n'
        '{"timestamp": 3500, "input_length": 1300, "output_length": 7, "hash_ids": [1, 2, 9]}\n'
    )
    log = read_mooncake(file)
    assert log.trace.arrival_s.tolist() == [0, 3, 3.5]
    assert log.with_prefix_cache().cached_tokens.tolist() == [0, 511, 1024]
    file.write_text('{"timestamp": 0}\n')
    with pytest.raises(ValueError, match="hash_ids"):
        read_mooncake(file)


def test_find_data_says_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYSLAB_DATA", raising=False)
    assert find_data("no-such-trace.csv") is None
    (tmp_path / "t.csv").write_text("")
    monkeypatch.setenv("SYSLAB_DATA", str(tmp_path))
    assert find_data("t.csv") == tmp_path / "t.csv"
    assert find_data("t.csv", tmp_path / "elsewhere") is None


def test_rate_and_shares():
    trace = synthetic_trace(1000)
    faster = trace.at_rate(20)
    assert faster.requests_per_s == pytest.approx(20)
    assert faster.moments().gap_cv == pytest.approx(trace.moments().gap_cv)
    parts = [trace.share(i, 3) for i in range(3)]
    assert sorted(np.concatenate([p.arrival_s for p in parts])) == trace.arrival_s.tolist()
    assert trace.first(7).prompt_tokens.tolist() == trace.prompt_tokens[:7].tolist()


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (([0, 1], [1], [1, 1]), "one number per request"),
        (([1, 0], [1, 1], [1, 1]), "back in time"),
        (([0, 1], [1, 0], [1, 1]), "prompt_tokens holds 0"),
        (([0, 1], [1, 1.5], [1, 1]), "fractions"),
        (([0, float("nan")], [1, 1], [1, 1]), "finite"),
        (([0, 1], [2, 2], [1, 1], [2, 0]), "cached_tokens must be below"),
    ],
)
def test_errors(columns, says):
    with pytest.raises(ValueError, match=says):
        Trace(*columns)
