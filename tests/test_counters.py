"""Provenance lint, calibration, multiplexing and the detection of live counters."""

import errno
import json
from dataclasses import replace

import numpy as np
import pytest

from syslab.counters import (
    CountersUnavailable,
    Formula,
    MetricDefinition,
    available,
    calibration,
    event_files,
    fit,
    lint,
    live,
    load_event_file,
    multiplex,
    phased_workload,
    provenance,
    recorded,
    synthetic_readings,
)

OLD, NEW = "coursecore_c1_v1.02", "coursecore_c1_v1.03"
MISSES, INSTRUCTIONS = "LONGEST_LAT_CACHE.MISS", "INST_RETIRED.ANY"


@pytest.fixture
def events():
    return load_event_file(OLD)


@pytest.fixture
def pinned(events):
    return MetricDefinition(
        name="llc_mpki",
        formula=f"1000 * {MISSES} / {INSTRUCTIONS}",
        unit="lines/instructions",
        events={MISSES: "lines", INSTRUCTIONS: "instructions"},
        document="CC-EVENTS-001",
        revision="2",
        cpu_model="CourseCore C1",
        stepping="4",
        event_file_version=events.version,
        checksum=events.checksum,
    )


def codes(findings):
    return {finding.code for finding in findings}


# ---- provenance


def test_a_pinned_definition_has_no_findings_and_a_value(pinned, events):
    assert lint(pinned, events) == []
    assert pinned.value({MISSES: 26, INSTRUCTIONS: 1000}) == 26


def test_the_event_files_say_that_they_are_made_up():
    assert set(event_files()) == {OLD, NEW}
    for name in event_files():
        assert load_event_file(name).note.startswith("SYNTHETIC")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"document": ""}, "missing-document"),
        ({"revision": ""}, "missing-revision"),
        ({"cpu_model": ""}, "unpinned-cpu"),
        ({"cpu_model": "CourseCore C2"}, "cpu-mismatch"),
        ({"stepping": ""}, "unpinned-stepping"),
        ({"stepping": "9"}, "stepping-mismatch"),
        ({"event_file_version": ""}, "missing-event-file-version"),
        ({"event_file_version": "1.01"}, "event-file-version-mismatch"),
        ({"checksum": ""}, "missing-checksum"),
        ({"checksum": "sha256:00"}, "checksum-mismatch"),
        ({"formula": f"{MISSES} / "}, "bad-formula"),
        ({"events": {MISSES: "lines"}}, "event-undeclared"),
        (
            {
                "events": {MISSES: "loads", INSTRUCTIONS: "instructions"},
                "unit": "loads/instructions",
            },
            "event-unit-mismatch",
        ),
        ({"unit": "1"}, "unit-mismatch"),
        (
            {"formula": f"{INSTRUCTIONS} / {MISSES}", "unit": "instructions/lines"},
            "unguarded-division",
        ),
        ({"formula": f"({MISSES} + {INSTRUCTIONS}) / {INSTRUCTIONS}"}, "incompatible-sum"),
        (
            {
                "formula": "A.TYPO / INST_RETIRED.ANY",
                "unit": "lines/instructions",
                "events": {"A.TYPO": "lines", INSTRUCTIONS: "instructions"},
            },
            "event-not-in-file",
        ),
        (
            {
                "formula": "MEM_LOAD_RETIRED.L3_MISS / INST_RETIRED.ANY",
                "unit": "loads/instructions",
                "events": {"MEM_LOAD_RETIRED.L3_MISS": "loads", INSTRUCTIONS: "instructions"},
            },
            "erratum-not-acknowledged",
        ),
    ],
)
def test_each_defect_is_found_alone_and_says_what_to_do(pinned, events, change, code):
    (finding,) = lint(replace(pinned, **change), events)
    assert finding.code == code
    assert finding.message
    assert finding.action
    assert str(finding).startswith(code)


def test_an_acknowledged_erratum_is_accepted(pinned, events):
    definition = replace(
        pinned,
        formula="MEM_LOAD_RETIRED.L3_MISS / INST_RETIRED.ANY",
        unit="loads/instructions",
        events={"MEM_LOAD_RETIRED.L3_MISS": "loads", INSTRUCTIONS: "instructions"},
        errata=("CC021",),
    )
    assert lint(definition, events) == []


def test_a_factor_with_a_unit_makes_a_sum_possible(events):
    issued, recovery = "UOPS_ISSUED.ANY", "INT_MISC.RECOVERY_CYCLES"
    clock = "CPU_CLK_UNHALTED.THREAD"
    bare = MetricDefinition(
        "wasted",
        f"({issued} + 4 * {recovery}) / (4 * {clock})",
        "1",
        {issued: "slots", recovery: "cycles", clock: "cycles"},
        "CC-EVENTS-001",
        "2",
        "CourseCore C1",
        "4",
        events.version,
        events.checksum,
    )
    assert codes(lint(bare, events)) == {"incompatible-sum"}
    named = replace(
        bare, formula=bare.formula.replace("4", "WIDTH"), factors={"WIDTH": (4, "slots/cycles")}
    )
    assert lint(named, events) == []
    readings = {issued: 60, recovery: 5, clock: 100}
    assert named.value(readings) == bare.value(readings) == 0.2
    assert codes(lint(replace(named, factors={"WIDTH": (0, "slots/cycles")}), events)) == {
        "unguarded-division"
    }
    with pytest.raises(ValueError, match="WIDTH is in events and in factors"):
        replace(named, events={**named.events, "WIDTH": "slots"})


def test_a_newer_event_file_breaks_the_pins_and_a_renamed_event(events):
    name = "CYCLE_ACTIVITY.STALLS_L3_MISS"
    definition = MetricDefinition(
        "l3_stall_share",
        f"{name} / CPU_CLK_UNHALTED.THREAD",
        "1",
        {name: "cycles", "CPU_CLK_UNHALTED.THREAD": "cycles"},
        "CC-EVENTS-001",
        "2",
        "CourseCore C1",
        "4",
        events.version,
        events.checksum,
    )
    assert lint(definition, events) == []
    assert codes(lint(definition, load_event_file(NEW))) == {
        "event-file-version-mismatch",
        "checksum-mismatch",
        "event-not-in-file",
    }


def test_a_changed_byte_changes_the_checksum(pinned, events, tmp_path):
    content = json.loads((provenance.FOLDER / f"{OLD}.json").read_text())
    content["Events"][0]["BriefDescription"] += " "
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps(content))
    assert codes(lint(pinned, load_event_file(copy))) == {"checksum-mismatch"}


def test_unreadable_event_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"coursecore_c1_v1\.02"):
        load_event_file("nothing")
    plain = tmp_path / "plain.json"
    plain.write_text("[]")
    with pytest.raises(ValueError, match="not an event file"):
        load_event_file(plain)


# ---- formulas


def never_zero(event):
    return event == "CLK"


@pytest.mark.parametrize(
    ("text", "unguarded"),
    [
        ("A.X / CLK", []),
        ("A.X / (4 * CLK)", []),
        ("A.X / B.Y", ["B.Y"]),
        ("A.X / (B.Y + CLK)", []),
        ("A.X / (CLK - B.Y)", ["B.Y"]),
        ("A.X / max(B.Y, 1)", []),
        ("A.X / max(B.Y, 0)", ["B.Y"]),
        ("A.X / min(B.Y, 1)", ["B.Y"]),
        ("A.X / B.Y if B.Y > 0 else 0", []),
        ("A.X / (B.Y + C.Z) if B.Y + C.Z else 0", []),
        ("A.X / B.Y if A.X else 0", ["B.Y"]),
        ("0 if B.Y else A.X / B.Y", ["B.Y"]),
        ("1 / (A.X / B.Y)", ["A.X", "B.Y"]),
    ],
)
def test_divisions_by_what_may_be_zero(text, unguarded):
    assert sorted(Formula(text).unguarded_divisors(never_zero)) == unguarded


def test_values_units_and_names_of_formulas():
    formula = Formula("(UOPS.A - UOPS.B + 4 * RECOVERY:cmask=1) / (4 * CLK)")
    assert formula.events == ("UOPS.A", "UOPS.B", "RECOVERY:cmask=1", "CLK")
    readings = {"UOPS.A": 12, "UOPS.B": 10, "RECOVERY:cmask=1": 1, "CLK": 3}
    assert formula.value(readings) == 0.5
    with pytest.raises(KeyError, match="CLK is in the formula but was not read"):
        formula.value({k: v for k, v in readings.items() if k != "CLK"})
    slots = {"UOPS.A": "slots", "UOPS.B": "slots", "RECOVERY:cmask=1": "cycles", "CLK": "cycles"}
    unit, clashes = formula.unit(slots)
    assert clashes == ["slots and cycles"]
    unit, clashes = formula.unit(slots | {"RECOVERY:cmask=1": "slots"})
    assert (dict(unit), clashes) == ({"slots": 1, "cycles": -1}, [])


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "A.B ** 9", "A[0]", "lambda: 1", "'text'", "A.B; 1", "abs(A.B)", ""],
)
def test_only_arithmetic_is_a_formula(text):
    with pytest.raises(ValueError, match="formula"):
        Formula(text)


# ---- calibration

TRUTH = np.array([1, 2, 4, 8, 16, 32]) * 1e6


@pytest.mark.parametrize(
    ("defect", "verdict"),
    [
        ("sound", "usable"),
        ("fma_counted_once", "usable after correction"),
        ("vector_counted_once", "usable after correction"),
        ("speculative_work_counted", "usable after correction"),
        ("start_up_counted", "usable after correction"),
    ],
)
def test_a_planted_defect_is_found_and_corrected(defect, verdict):
    gain, offset = calibration.DEFECTS[defect]
    readings = synthetic_readings(TRUTH, gain, offset, noise=0.003, seed=7)
    found = fit(TRUTH, readings)
    assert found.verdict == verdict
    assert found.gain == pytest.approx(gain, abs=4 * found.gain_error)
    assert found.offset == pytest.approx(offset, abs=4 * found.offset_error)
    assert found.residual < 0.01
    assert found.scale_error == found.gain - 1
    assert found.correct(readings) == pytest.approx(TRUTH, rel=0.02)
    assert found.reasons


def test_reasons_name_the_direction():
    over = fit(TRUTH, synthetic_readings(TRUTH, 1.18))
    under = fit(TRUTH, synthetic_readings(TRUTH, 0.5))
    assert over.reasons[0].startswith("overcounts: 1.180")
    assert under.reasons[0].startswith("undercounts: 0.500")


def test_a_noisy_or_deaf_counter_is_not_usable():
    noisy = fit(TRUTH, synthetic_readings(TRUTH, noise=0.3, seed=1))
    deaf = fit(TRUTH, np.full(TRUTH.size, 5e6))
    silent = fit(TRUTH, np.zeros(TRUTH.size))
    assert (noisy.verdict, deaf.verdict, silent.verdict) == ("not usable",) * 3
    assert "scatter" in noisy.reasons[0]
    assert "does not grow" in deaf.reasons[0]
    with pytest.raises(ValueError, match="cannot be corrected"):
        deaf.correct(1e6)


def test_standard_errors_cover_the_planted_gain():
    gains, errors = zip(
        *(
            (f.gain, f.gain_error)
            for f in (
                fit(TRUTH, synthetic_readings(TRUTH, 1.0, 0.0, 0.01, seed)) for seed in range(400)
            )
        ),
        strict=True,
    )
    # 6 sizes and 2 fitted numbers leave 4 degrees of freedom: t = 2.776 covers 95 %.
    covered = np.abs(np.array(gains) - 1) < 2.776 * np.array(errors)
    assert 0.92 < covered.mean() < 0.98


def test_readings_repeat_with_their_seed():
    assert np.array_equal(
        synthetic_readings(TRUTH, noise=0.1, seed=3), synthetic_readings(TRUTH, noise=0.1, seed=3)
    )
    assert not np.array_equal(
        synthetic_readings(TRUTH, noise=0.1, seed=3), synthetic_readings(TRUTH, noise=0.1, seed=4)
    )
    assert np.array_equal(synthetic_readings([10.0], 2, 5), [25])


def test_cachegrind_miscounts_the_loads_of_vector_fma():
    sizes = np.array([8192, 16384, 32768, 65536])
    runs = [recorded(f"triad-{n}")["triad"] for n in sizes]
    # Two 32-byte loads for every four elements; the FMA's own load is counted once per element.
    loads = fit(sizes / 2, [run["Dr"] for run in runs])
    assert loads.gain == pytest.approx((1 + 4) / 2, rel=1e-6)
    assert loads.offset == pytest.approx(2, abs=0.01)
    assert loads.verdict == "usable after correction"
    # The lines that miss are right: b and c, 8 doubles a line.
    misses = fit(sizes / 4, [run["D1mr"] for run in runs])
    assert (misses.verdict, round(misses.gain, 6)) == ("usable", 1)


def test_cachegrind_counts_the_loads_of_scalar_code_right():
    for n in (96, 128):
        assert recorded(f"matmul-ijk-{n}")["matmul_ijk"]["Dr"] - 2 * n**3 == 2


@pytest.mark.parametrize(
    ("truth", "readings", "message"),
    [
        ([1, 2, 3], [1, 2], "of one length"),
        ([1, 1, 2, 2], [1, 1, 2, 2], "use at least 3"),
        ([0, 1, 2], [0, 1, 2], "known counts are positive"),
    ],
)
def test_bad_calibrations_are_refused(truth, readings, message):
    with pytest.raises(ValueError, match=message):
        fit(truth, readings)


def test_known_work_of_triad_and_matmul():
    triad = calibration.KNOWN_WORK["triad"]
    assert (triad["flops"](10), triad["bytes"](10)) == (20, 240)
    assert triad["bytes_with_write_allocate"](10) == 320
    assert calibration.KNOWN_WORK["matmul"]["flops"](10) == 2000


# ---- multiplexing


def test_by_hand():
    # Groups 0 and 1 take turns: group 0 sees ticks 0, 2, 4, 6.
    seen = multiplex([10, 0, 12, 0, 10, 0, 12, 0], groups=2)
    assert (seen.count, seen.ticks_running, seen.ticks_enabled) == (44, 4, 8)
    assert seen.estimate == 88
    assert seen.truth == 44
    assert seen.relative_error == 1.0
    assert not seen.covered


def test_without_multiplexing_the_count_is_the_truth():
    alone = multiplex(phased_workload(100, 7, noise=0.1, seed=2), groups=1)
    assert alone.estimate == alone.truth
    assert alone.interval == pytest.approx((alone.truth, alone.truth))


def test_phases_that_keep_step_with_the_rotation_are_misread_with_confidence():
    work = phased_workload(4000, period_ticks=4, duty=0.5)
    by_group = [multiplex(work, 4, group) for group in range(4)]
    # Busy 1e6, quiet 1e5: a group that sees the busy phase alone is off by 1e6 / 5.5e5 - 1.
    assert by_group[0].relative_error == pytest.approx(1 / 0.55 - 1)
    assert by_group[3].relative_error == pytest.approx(0.1 / 0.55 - 1)
    assert not any(group.covered for group in by_group)
    fair = multiplex(work, 4, schedule="random", seed=1)
    assert abs(fair.relative_error) < 0.06
    assert sum(multiplex(work, 4, schedule="random", seed=s).covered for s in range(100)) >= 88


def test_the_interval_covers_as_often_as_it_says():
    inside = 0
    for seed in range(400):
        work = np.random.default_rng(seed).gamma(4.0, 1e5, size=400)
        inside += multiplex(work, 4, confidence=0.9).covered
    assert 0.86 < inside / 400 < 0.94


def test_phased_workloads():
    work = phased_workload(10, period_ticks=5, duty=0.4, high=3, low=1)
    assert work.tolist() == [3, 3, 1, 1, 1] * 2
    assert np.array_equal(
        phased_workload(50, 5, noise=0.2, seed=1), phased_workload(50, 5, noise=0.2, seed=1)
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: multiplex([1, 2, 3], 2), "give at least 4 ticks"),
        (lambda: multiplex(np.ones(10), 2, group=2), "group is 2 of 2"),
        (lambda: multiplex(np.ones(10), 2, schedule="fair"), "schedule is 'fair'"),
        (lambda: multiplex(np.ones(10), 2, confidence=1), "confidence is 1"),
        (lambda: phased_workload(10, 5, duty=2), "duty is 2"),
        (lambda: phased_workload(0, 5), "ticks is 0"),
    ],
)
def test_bad_multiplexing_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- live counters


def test_available_gives_a_reason_and_what_to_do():
    found = available()
    assert found.reason
    assert bool(found) == found.ok
    assert found.ok or found.action


@pytest.mark.parametrize(
    ("code", "paranoid", "said", "todo"),
    [
        (errno.ENOENT, 2, "no hardware counter for cycles", "bare metal"),
        (errno.EACCES, 3, "perf_event_paranoid is 3", "sysctl kernel.perf_event_paranoid=2"),
        (errno.EPERM, 1, "seccomp", "CAP_PERFMON"),
        (errno.ENOSYS, 2, "without perf events", "recorded"),
        (errno.EIO, 2, "failed: ", "recorded"),
    ],
)
def test_each_refusal_is_explained(code, paranoid, said, todo):
    found = live._explain("cycles", code, "", paranoid)
    assert not found
    assert said in found.reason
    assert todo in found.action


def test_other_systems_are_refused_without_an_attempt(monkeypatch):
    monkeypatch.setattr(live.platform, "system", lambda: "Darwin")
    found = available()
    assert "Darwin has no perf_event_open" in str(found)
    with pytest.raises(CountersUnavailable, match="Darwin"):
        live.read(["cycles"], lambda: None)


def test_reading_counts_what_the_function_did():
    if live._try_open("page-faults") != (None, ""):
        pytest.skip(f"not even software events here: {live._explain('page-faults', 1, '')}")
    pages = 2000
    faults = live.read(["page-faults", "task-clock"], lambda: bytearray(pages * 4096))
    assert faults["page-faults"] >= pages // 512  # huge pages: one fault for 512 pages
    assert faults["task-clock"] > 0
    idle = live.read(["page-faults"], lambda: None)
    assert idle["page-faults"] < faults["page-faults"]


def test_reading_hardware_events_or_saying_why_not():
    if available():
        counts = live.read(["instructions", "cycles"], lambda: sum(range(100_000)))
        assert counts["instructions"] > 100_000
        assert counts["cycles"] > 0
    else:
        with pytest.raises(CountersUnavailable, match="->"):
            live.read(["instructions"], lambda: None)


def test_unknown_events_are_refused():
    with pytest.raises(ValueError, match="unknown event 'flops'"):
        live.read(["flops"], lambda: None)
    with pytest.raises(ValueError, match="events is empty"):
        live.read([], lambda: None)
