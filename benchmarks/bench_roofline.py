"""Check the roofline instrument against independent contestants, side by side in one run.

    python benchmarks/bench_roofline.py

1. Triad bandwidth against a C program (``stream.c``, gcc -O3 -march=native -fopenmp).
2. GEMM peak against torch, NumPy and SciPy's BLAS, each called directly.
3. Redraw of the roofline after a slider move, 95th percentile of 100 moves.

Contestants take turns, round by round, so that other load on the machine meets both; the best
round of each counts. Exits with 1 if a target is missed.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 8
WANTED_RATIO, WANTED_REDRAW_S = 0.9, 0.1


def main() -> int:
    """Run the three comparisons and print them."""
    lines = [*triad(), *gemm(), *redraw()]
    print(f"{'':28}{'syslab':>14}{'other':>14}{'ratio':>9}   target")
    for name, ours, other, ratio, target, kept in lines:
        print(f"{name:28}{ours:>14}{other:>14}{ratio:>9}   {target} {'ok' if kept else 'MISSED'}")
    return 0 if all(line[-1] for line in lines) else 1


def triad():
    """Yield our triad beside the C program's, on one core and on all."""
    from syslab.plotting import si
    from syslab.roofline.bandwidth import cpu_bandwidth
    from syslab.roofline.machine import last_level_bytes, machine, usable_cores

    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        sys.exit("bench_roofline: no C compiler; apt-get install gcc, then run this again")
    described = machine()
    size_bytes = 4 * (last_level_bytes(described) or 2**26)
    elements = size_bytes // 24
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "stream"
        source = Path(__file__).with_name("stream.c")
        flags = ["-O3", "-march=native", "-fopenmp"]
        subprocess.run([compiler, *flags, str(source), "-o", str(program), "-lm"], check=True)
        for threads in sorted({1, usable_cores()}):
            ours, other = [], []
            environ = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_PROC_BIND": "true"}
            for _ in range(ROUNDS):
                ours.append(cpu_bandwidth(size_bytes, threads, "triad", budget_s=0.4))
                done = subprocess.run(
                    [program, str(elements), "40"],
                    env=environ, capture_output=True, text=True, check=True,
                )  # fmt: skip
                other.append(24 * elements / min(map(float, done.stdout.split()[1:])))
            yield _ratio(f"triad, {threads} threads, C", max(ours), max(other), "B/s", si)


def gemm():
    """Yield our peaks beside the best of the libraries called by hand, per data type."""
    import numpy as np
    import torch
    from scipy.linalg import blas

    from syslab.plotting import si
    from syslab.roofline import measure
    from syslab.roofline.machine import usable_cores

    def torch_call(a):
        a = torch.from_numpy(a)
        return lambda: a @ a

    def bf16_call(a):
        a = torch.from_numpy(a).bfloat16()
        return lambda: a @ a

    def numpy_call(a):
        return lambda: a @ a

    def scipy_call(a):
        a = np.asfortranarray(a)
        routine = blas.sgemm if a.dtype == np.float32 else blas.dgemm
        return lambda: routine(1.0, a, a)

    cores, sizes = usable_cores(), (512, 1024, 2048)
    libraries = {"torch": torch_call, "numpy": numpy_call, "scipy": scipy_call}
    for dtype, kind, makers in (
        ("bf16", np.float32, {"torch": bf16_call}),
        ("fp32", np.float32, libraries),
        ("fp64", np.float64, libraries),
    ):
        ours, other = [], dict.fromkeys(makers, 0.0)
        squares = [np.random.default_rng(0).standard_normal((n, n)).astype(kind) for n in sizes]
        calls = [(name, len(a), make(a)) for name, make in makers.items() for a in squares]
        for _ in range(ROUNDS):
            ours.append(measure.peaks([dtype], [cores], budget_s=0.8)[0].flops)
            for name, n, call in calls:
                other[name] = max(other[name], 2 * n**3 / _best_s(call, 0.8 / len(calls)))
        name = max(other, key=other.get)
        yield _ratio(f"gemm {dtype}, {cores} threads, {name}", max(ours), other[name], "FLOP/s", si)


def redraw():
    """Yield the 95th percentile of 100 slider moves."""
    from syslab.roofline import datasheet_roof, kernels, plot

    width = {"bf16": 2, "fp8": 1, "fp32": 4}
    shown = plot.view(
        datasheet_roof("H100 SXM", *width),
        lambda b, dtype: kernels.gemm(b, 8192, 8192, width[dtype]),
    )
    assert shown.widget  # with its sliders and image, as in a notebook
    chooser = random.Random(0)
    seconds = []
    for _ in range(100):
        name = chooser.choice(list(shown.controls))
        value = chooser.choice([v for v in shown.controls[name].values if v != shown.values[name]])
        start = time.perf_counter()
        shown._inputs[name].value = value  # the event that a moved slider sends
        seconds.append(time.perf_counter() - start)
    p95 = sorted(seconds)[94]
    kept = p95 < WANTED_REDRAW_S
    yield "redraw, p95 of 100 moves", f"{1e3 * p95:.1f} ms", "", "", "< 100 ms", kept


def _ratio(name, ours, other, unit, si):
    ratio = ours / other
    kept = ratio >= WANTED_RATIO
    return name, si(ours, unit), si(other, unit), f"{ratio:.2f}", f">= {WANTED_RATIO}", kept


def _best_s(call, budget_s):
    call()
    best, end = float("inf"), time.perf_counter() + budget_s
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


if __name__ == "__main__":
    sys.exit(main())
