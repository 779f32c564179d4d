"""Compiled kernels under cachegrind and llvm-mca: stored runs, and the same runs made again."""

import pytest

from syslab.counters import KERNELS, Cache, ToolMissing, analyse, pipeline, recorded, simulate
from syslab.counters import recorded_loop as stored_loop
from syslab.counters import simulated as cachegrind
from syslab.counters.kernels import assemble
from syslab.counters.recordings import LOOPS, RUNS

# ---- what the stored counts say, from the sources alone


def test_labels_say_that_nothing_was_measured():
    for name in RUNS:
        run = recorded(name)
        assert run.label == "simulated by cachegrind, not measured by hardware"
        assert run.tool.startswith("valgrind-")
        assert "GCC" in run.compiler
        assert "--cache-sim=yes" in run.command
        assert run.date
    for function in LOOPS:
        for cpu in pipeline.CPUS:
            loop = stored_loop(function, cpu)
            assert loop.label == "modelled by llvm-mca, not measured by hardware"
            assert (loop.function, loop.cpu) == (function, cpu)


def test_triad_moves_three_arrays_and_allocates_on_write():
    counts = recorded("triad-65536")["triad"]
    lines = 65536 * 8 // 64
    assert counts["D1mr"] == pytest.approx(2 * lines, abs=4)
    assert counts["D1mw"] == pytest.approx(lines, abs=4)
    assert counts["Dw"] == 65536 / 4


def test_loop_order_changes_the_misses_and_not_the_work():
    runs = {
        order: recorded(f"matmul-{order}-96")[f"matmul_{order}"]
        for order in ("ijk", "ikj", "blocked")
    }
    assert runs["ijk"]["Dr"] == pytest.approx(2 * 96**3, rel=1e-4)
    assert runs["blocked"].l1_misses < runs["ijk"].l1_misses / 10
    # A power-of-two size makes the columns of B collide in a few sets.
    collided = recorded("matmul-ijk-128")["matmul_ijk"]
    assert collided.l1_miss_ratio > 7 * runs["ijk"].l1_miss_ratio
    assert collided.llc_misses == pytest.approx(3 * 128 * 128 * 8 / 64, rel=0.01)


def test_sorting_removes_the_mispredictions():
    shuffled, ordered = (recorded(f"branchy-{order}")["branchy"] for order in ("random", "sorted"))
    assert shuffled.instructions == ordered.instructions
    assert shuffled["Bc"] == 2 * 4 * 32768 + 4
    # Half of the data-dependent branches are a coin toss.
    assert shuffled["Bcm"] == pytest.approx(4 * 32768 / 2, rel=0.02)
    assert ordered.misprediction_ratio < 0.001
    assert shuffled.mpki("Bcm") > 1000 * ordered.mpki("Bcm")


def test_pointer_chasing_and_gathering():
    assert recorded("chase-random")["chase"].l1_miss_ratio > 0.99
    assert recorded("gather-sequential")["gather_sequential"].l1_miss_ratio == pytest.approx(
        1 / 16, rel=0.01
    )
    assert recorded("gather-hashed")["gather_hashed"].l1_miss_ratio > 0.9


def test_one_running_sum_waits_and_four_do_not():
    for cpu in pipeline.CPUS:
        one, four = stored_loop("dot_one_sum", cpu), stored_loop("dot_four_sums", cpu)
        # A fused multiply-add takes 4 cycles; each iteration needs the one before.
        assert one.cycles_per_iteration == pytest.approx(4, rel=0.03)
        assert one.limited_by == "dependencies"
        assert four.limited_by == "ports"
        assert one.cycles_per_iteration / (four.cycles_per_iteration / 4) > 3.5
        assert stored_loop("chase", cpu).limited_by == "dependencies"
        assert stored_loop("triad", cpu).limited_by == "ports"


def test_unknown_names_list_the_known_ones():
    with pytest.raises(KeyError, match="matmul-ijk-96"):
        recorded("matmul")
    with pytest.raises(KeyError, match="dot_one_sum"):
        stored_loop("dot")
    with pytest.raises(KeyError, match="triad"):
        simulate("stream")
    with pytest.raises(KeyError, match=r"functions: triad"):
        recorded("triad-8192")["main"]


# ---- the same runs made again


@pytest.mark.parametrize("name", RUNS)
def test_cachegrind_repeats_the_recording(name, needs_program):
    needs_program("valgrind")
    needs_program("gcc")
    stored, again = recorded(name), simulate(*RUNS[name])
    assert again.command == stored.command
    assert again.geometry == stored.geometry
    assert set(again.functions) == set(stored.functions)
    for function, counts in stored.functions.items():
        for event, count in counts.events.items():
            if event in ("Ir", "Dr", "Dw", "Bc", "Bi"):
                assert again[function][event] == count, event
            else:  # what libc did before decides a few lines and one predictor entry
                assert again[function][event] == pytest.approx(count, rel=0.002, abs=16), event


@pytest.mark.parametrize("cpu", pipeline.CPUS)
@pytest.mark.parametrize("function", LOOPS)
def test_llvm_mca_repeats_the_recording(function, cpu, needs_program):
    needs_program("llvm-mca")
    stored, again = stored_loop(function, cpu), analyse(function, cpu)
    assert again.assembly == stored.assembly
    assert again.instructions == stored.instructions
    if again.tool == stored.tool:
        assert again == stored
    else:  # later LLVM versions refine their scheduling models
        assert again.cycles_per_iteration == pytest.approx(stored.cycles_per_iteration, rel=0.35)


def test_geometry_matters_and_is_reported(needs_program):
    needs_program("valgrind")
    needs_program("gcc")
    small = simulate("matmul", "ikj", 64, l1d=Cache(4096, 4))
    large = simulate("matmul", "ikj", 64, l1d=Cache(256 * 1024, 8))
    assert small.geometry["l1d"] == "4096,4,64"
    # 64 x 64 doubles, three times: all of it fits the large cache, so only cold misses are left.
    assert large["matmul_ikj"].l1_misses == pytest.approx(3 * 64 * 64 * 8 / 64, abs=4)
    assert small["matmul_ikj"].l1_misses > 10 * large["matmul_ikj"].l1_misses
    assert small["matmul_ikj"].instructions == large["matmul_ikj"].instructions


@pytest.mark.parametrize("name", KERNELS)
def test_the_c_sources_compile_to_the_functions_named(name, needs_program):
    needs_program("gcc")
    import platform

    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the kernels are x86-64; this machine's gcc makes something else")
    text = assemble(name)
    for function in KERNELS[name].functions:
        assert pipeline.inner_loop(text, function).rstrip().splitlines()[-1].split()[0][0] == "j"


# ---- parsing, missing programs, bad input


def test_parsing_adds_up_the_lines_of_a_function():
    text = (
        "desc: I1 cache: x\ncmd: ./k\nevents: Ir Dr Dw\nfl=a.c\nfn=work\n10 5 2 1\n11 7 3\n"
        "fn=main\n3 1 0 0\nfl=b.c\nfn=work\n4 1 1 1\nsummary: 14 6 2\n"
    )
    assert cachegrind.parse(text)["work"].events == {"Ir": 13, "Dr": 6, "Dw": 2}
    assert set(cachegrind.parse(text, ("main",))) == {"main"}
    with pytest.raises(ValueError, match="not a cachegrind output file"):
        cachegrind.parse("nothing here")


def test_the_innermost_loop_is_cut_out():
    text = (
        "f:\n\tmovq\t%rdi, %rax\n.L1:\n\txorl\t%ecx, %ecx\n\t.p2align 4\n.L2:\n"
        "\taddl\t$1, %ecx\n\tjs\t.L3\n\tincq\t%rax\n.L3:\n\tjne\t.L2\n\tdecq\t%rdi\n"
        "\tjne\t.L1\n\tret\n\t.size\tf, .-f\n"
    )
    loop = pipeline.inner_loop(text, "f")
    assert [line.strip() for line in loop.splitlines()] == [
        ".L2:",
        "addl\t$1, %ecx",
        "js\t.L3",
        "incq\t%rax",
        ".L3:",
        "jne\t.L2",
    ]
    with pytest.raises(ValueError, match="no function 'g'"):
        pipeline.inner_loop(text, "g")
    with pytest.raises(ValueError, match="has no loop"):
        pipeline.inner_loop("f:\n\tret\n\t.size\tf, .-f\n", "f")


def test_a_report_that_is_not_one_is_refused():
    with pytest.raises(ValueError, match="resource pressure table"):
        pipeline.parse("Iterations: 3")


def test_missing_programs_say_how_to_install_them(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolMissing, match=r"apt-get install valgrind.*recorded"):
        simulate("triad", 4096)
    with pytest.raises(ToolMissing, match=r"apt-get install llvm.*recorded"):
        analyse("triad")


def test_other_machines_are_sent_to_the_recordings(monkeypatch, tmp_path):
    from syslab.counters import kernels

    monkeypatch.setattr(kernels.platform, "machine", lambda: "arm64")
    with pytest.raises(ToolMissing, match="x86-64 Linux assembly"):
        kernels.link("triad", tmp_path)


def test_bad_geometry_and_arguments_are_named(needs_program):
    with pytest.raises(ValueError, match="cache_bytes is 1000"):
        Cache(1000, 8)
    with pytest.raises(ValueError, match="power-of-two number of sets"):
        Cache(48 * 1024, 8)
    assert str(Cache(48 * 1024, 12)) == "49152,12,64"
    needs_program("llvm-mca")
    with pytest.raises(ValueError, match="iterations is 0"):
        analyse("triad", iterations=0)
