"""What limits an inner loop, according to llvm-mca's model of a core's pipeline.

llvm-mca replays a block of assembly through the scheduling model that LLVM holds for a CPU: issue
width, ports, latencies.  Every load hits L1 and every branch is predicted.  It is a model, not a
measurement.
"""

import re
import shutil
from dataclasses import dataclass

from syslab.counters.kernels import ToolMissing, kernel, run

LABEL = "modelled by llvm-mca, not measured by hardware"
CPUS = ("skylake-avx512", "icelake-server", "znver3")
INSTALL = "apt-get install llvm"


@dataclass(frozen=True)
class PipelineReport:
    """llvm-mca's summary of one loop.

    Parameters
    ----------
    iterations, instructions, uops, cycles : int
        Of the whole simulated run.
    dispatch_width : int
        Micro-operations that can be dispatched per cycle.
    block_throughput : float
        Cycles per iteration if nothing but the ports and the width limited the loop.
    port_pressure : dict of str to float
        Cycles of use per iteration, by execution resource.
    resource_pressure, dependency_pressure : float
        Share of all cycles with rising back-pressure from ports, and from data dependencies.
    """

    label: str
    function: str
    cpu: str
    tool: str
    assembly: str
    iterations: int
    instructions: int
    uops: int
    cycles: int
    dispatch_width: int
    ipc: float
    block_throughput: float
    port_pressure: dict[str, float]
    resource_pressure: float
    dependency_pressure: float

    @property
    def cycles_per_iteration(self) -> float:
        """Cycles of one trip round the loop."""
        return self.cycles / self.iterations

    @property
    def busiest_port(self) -> str:
        """The execution resource with the highest pressure."""
        return max(self.port_pressure, key=self.port_pressure.get)

    @property
    def limited_by(self) -> str:
        """``"dependencies"`` or ``"ports"``.

        Dependencies, when an iteration takes more than 1.5 times the cycles that its busiest
        port and the dispatch width would allow.
        """
        allowed = max(self.block_throughput, self.port_pressure[self.busiest_port])
        return "dependencies" if self.cycles_per_iteration > 1.5 * allowed else "ports"


def inner_loop(assembly: str, function: str) -> str:
    """Cut the innermost loop out of a function's assembly (the first one, if several).

    The loop runs from a label to the first backward jump to it that no shorter loop lies within.
    """
    body = re.search(
        rf"^{re.escape(function)}:\n(.*?)^\s+\.size\s+{re.escape(function)},",
        assembly,
        re.MULTILINE | re.DOTALL,
    )
    if body is None:
        raise ValueError(f"no function {function!r} in this assembly")
    kept = [line for line in body.group(1).splitlines() if re.match(r"\.\w+:|\s+[a-z]", line)]
    labels = {line[:-1]: at for at, line in enumerate(kept) if line.endswith(":")}
    loops = []
    for at, line in enumerate(kept):
        jump = re.match(r"\s+j\w+\s+(\.\w+)$", line)
        if jump and labels.get(jump.group(1), at) < at:
            loops.append((labels[jump.group(1)], at))
    innermost = [
        (start, end)
        for start, end in loops
        if not any(start <= s and e <= end and (s, e) != (start, end) for s, e in loops)
    ]
    if not innermost:
        raise ValueError(f"{function!r} has no loop")
    start, end = innermost[0]
    return "\n".join(kept[start : end + 1]) + "\n"


def analyse(
    function: str, cpu: str = "skylake-avx512", name: str | None = None, iterations: int = 200
) -> PipelineReport:
    """Model the inner loop of a kernel's function on ``cpu``.

    Parameters
    ----------
    function : str
        ``"triad"``, ``"dot_one_sum"``, ``"matmul_ijk"``, ...
    cpu : str
        An ``-mcpu`` name; `CPUS` are the ones recorded.
    name : str, optional
        Kernel file, when it cannot be found from the function's name.
    """
    name = name or function.split("_")[0]
    loop = inner_loop(kernel(name).assembly_file.read_text(), function)
    return analyse_assembly(loop, cpu, function, iterations)


def analyse_assembly(
    assembly: str, cpu: str = "skylake-avx512", function: str = "", iterations: int = 200
) -> PipelineReport:
    """Model a block of AT&T assembly, repeated ``iterations`` times."""
    program = find_llvm_mca()
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}; it must be 1 or more")
    text = run(
        [
            program,
            "-mtriple=x86_64-unknown-linux-gnu",
            f"-mcpu={cpu}",
            f"-iterations={iterations}",
            "-bottleneck-analysis",
            "-instruction-info=0",
        ],
        input=assembly,
    ).stdout
    tool = re.search(r"LLVM version \S+", run([program, "--version"]).stdout).group(0)
    return PipelineReport(
        label=LABEL,
        function=function,
        cpu=cpu,
        tool=f"llvm-mca, {tool}",
        assembly=assembly,
        **parse(text),
    )


def find_llvm_mca() -> str:
    """Path of llvm-mca under its plain or a versioned name."""
    for name in ("llvm-mca", *(f"llvm-mca-{major}" for major in range(22, 12, -1))):
        path = shutil.which(name)
        if path:
            return path
    raise ToolMissing(
        f"llvm-mca is not installed. On Debian or Ubuntu: {INSTALL}. "
        "Without it, use syslab.counters.recorded(...)"
    )


def parse(text: str) -> dict:
    """Fields of `PipelineReport` from llvm-mca's text report."""

    def number(pattern: str, default: float | None = None) -> float:
        found = re.search(pattern, text)
        if found is None:
            if default is None:
                raise ValueError(f"llvm-mca's report has no line like {pattern!r}")
            return default
        return float(found.group(1))

    names = re.findall(r"^\[([\d.]+)\]\s+- (\w+)", text, re.MULTILINE)
    table = re.search(r"Resource pressure per iteration:\n(.*)\n(.*)\n", text)
    if table is None:
        raise ValueError("llvm-mca's report has no resource pressure table")
    columns = re.findall(r"\[([\d.]+)\]", table.group(1))
    cells = table.group(2).split()
    ports = dict(names)
    pressure = {}
    for column, cell in zip(columns, cells, strict=True):
        if cell != "-":
            # Zen models list each copy of a resource as [8.0], [8.1]: name them apart.
            copies = sum(other.split(".")[0] == column.split(".")[0] for other in columns)
            suffix = column.split(".")[1] if copies > 1 else ""
            pressure[ports[column] + suffix] = float(cell)
    return {
        "iterations": int(number(r"Iterations:\s+(\d+)")),
        "instructions": int(number(r"Instructions:\s+(\d+)")),
        "cycles": int(number(r"Total Cycles:\s+(\d+)")),
        "uops": int(number(r"Total uOps:\s+(\d+)")),
        "dispatch_width": int(number(r"Dispatch Width:\s+(\d+)")),
        "ipc": number(r"IPC:\s+([\d.]+)"),
        "block_throughput": number(r"Block RThroughput:\s+([\d.]+)"),
        "port_pressure": pressure,
        "resource_pressure": number(r"Resource Pressure\s+\[ ([\d.]+)% \]", 0.0) / 100,
        "dependency_pressure": number(r"Data Dependencies:\s+\[ ([\d.]+)% \]", 0.0) / 100,
    }
