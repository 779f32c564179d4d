"""Recorded data say where they come from, and every copy is the same."""

import json

from syslab.roofline.results import Results


def test_the_assignment_releases_the_benchs_recording(course_root):
    bench = course_root / "labs/roofline/recorded.json"
    for copy in ("source/arch-02/recorded_roofline.json", "release/arch-02/recorded_roofline.json"):
        assert (course_root / copy).read_bytes() == bench.read_bytes()


def test_the_recording_names_its_machine_and_date(course_root):
    machine = Results.load(course_root / "labs/roofline/recorded.json").machine
    assert machine["cpu"]
    assert machine["date"]
    assert machine["packages"]["torch"]
    assert machine["date"] in (course_root / "labs/roofline/README.md").read_text(encoding="utf-8")


def test_the_machines_report_has_the_planted_slips_and_no_others(course_root):
    from syslab import facts
    from syslab.roofline import kernels

    with (course_root / "source/arch-02/machine_report.json").open(encoding="utf-8") as file:
        claims = {claim["id"]: claim["value"] for claim in json.load(file)["claims"]}
    h100, llama = facts.hardware("H100 SXM"), facts.model("Llama-3 70B")
    truth = {
        "a": h100.ridge("bf16"),
        "b": facts.hardware("A100 80GB").ridge("bf16"),
        "c": kernels.gemm(4096, 4096, 4096).flop,
        "d": facts.hardware("H200").capacity / 2**30,
        "e": kernels.triad(10**8, write_allocate=True).bytes / 1e9,
        "f": llama.kv_bytes_per_token(2),
        "g": kernels.attention_decode(1, 64, 8, 10**6, 128).intensity,
    }
    slips = {
        "a": h100.peak("bf16", sparse=True) / h100.peak("bf16"),  # sparse for dense
        "c": 1 / 2,  # multiply-accumulates for FLOP
        "d": 2**30 / 1e9,  # GB for GiB
        "f": llama.heads / llama.kv_heads,  # query heads for KV heads
    }
    for letter, value in claims.items():
        expected = truth[letter] * slips.get(letter, 1)
        assert abs(value / expected - 1) < 1e-3, letter
