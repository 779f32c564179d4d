"""Small C kernels whose work is known, and how to build them.

Each ``name.c`` stands beside ``name.s``, the assembly that gcc made of it.  Programs are linked
from the assembly, so that instruction counts do not depend on the compiler installed.
"""

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


class ToolMissing(RuntimeError):
    """A program is not installed; the message says how to install it."""


@dataclass(frozen=True)
class Kernel:
    """A C file: its functions, compiler flags and what its arguments are."""

    name: str
    functions: tuple[str, ...]
    flags: tuple[str, ...]
    usage: str

    @property
    def c_file(self) -> Path:
        """The C source."""
        return FOLDER / f"{self.name}.c"

    @property
    def assembly_file(self) -> Path:
        """The assembly that programs are linked from."""
        return FOLDER / f"{self.name}.s"


# No unwind tables, no position-independent code: the assembly stays readable, and the arrays lie
# at the same addresses in every run.
_COMMON = (
    "-march=x86-64-v3",
    "-fno-pie",
    "-fno-asynchronous-unwind-tables",
    "-fcf-protection=none",
)
# One instruction for each operation in the source, and a real branch for each `if`.
_PLAIN = ("-O2", "-fno-tree-vectorize", "-fno-if-conversion", "-fno-if-conversion2", *_COMMON)
_VECTOR = ("-O3", *_COMMON)

KERNELS = {
    kernel.name: kernel
    for kernel in (
        Kernel("triad", ("triad",), _VECTOR, "N"),
        Kernel("dot", ("dot_one_sum", "dot_four_sums"), _VECTOR, "1|4 N"),
        Kernel(
            "matmul",
            ("matmul_ijk", "matmul_ikj", "matmul_blocked"),
            _PLAIN,
            "ijk|ikj|blocked N [BLOCK]",
        ),
        Kernel("chase", ("chase",), _PLAIN, "sequential|random NODES STEPS"),
        Kernel("branchy", ("branchy",), _PLAIN, "random|sorted N PASSES"),
        Kernel(
            "gather", ("gather_hashed", "gather_sequential"), _PLAIN, "hashed|sequential LOG2 N"
        ),
    )
}


def kernel(name: str) -> Kernel:
    """Look a kernel up by name."""
    if name not in KERNELS:
        raise KeyError(f"no kernel {name!r}; kernels: {', '.join(KERNELS)}")
    return KERNELS[name]


def need(program: str, install: str) -> str:
    """Path of ``program``, or `ToolMissing` with the line that installs it."""
    path = shutil.which(program)
    if path is None:
        raise ToolMissing(
            f"{program} is not installed. On Debian or Ubuntu: {install}. "
            "Without it, use syslab.counters.recorded(...)"
        )
    return path


def link(name: str, folder: Path) -> Path:
    """Link the program of a kernel from its assembly into ``folder``.

    Raises
    ------
    ToolMissing
        gcc is missing, or this is not x86-64 Linux.
    """
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "AMD64"):
        raise ToolMissing(
            f"the kernels are x86-64 Linux assembly; this is {platform.system()} "
            f"{platform.machine()}. Use syslab.counters.recorded(...)"
        )
    program = Path(folder) / name
    gcc = need("gcc", "apt-get install gcc libc6-dev")
    run([gcc, "-no-pie", str(kernel(name).assembly_file), "-o", str(program)])
    return program


def assemble(name: str) -> str:
    """Assembly text of a kernel, made afresh from its C source by the gcc installed here."""
    gcc = need("gcc", "apt-get install gcc libc6-dev")
    source = kernel(name)
    return run([gcc, *source.flags, "-S", source.c_file.name, "-o", "-"], cwd=FOLDER).stdout


def compiler(name: str) -> str:
    """Which compiler made the assembly of a kernel, as it signed it."""
    found = re.search(r'\.ident\s+"(.*)"', kernel(name).assembly_file.read_text())
    return found.group(1) if found else "unknown"


def run(command: list[str], **options) -> subprocess.CompletedProcess:
    """Run a program; on failure raise with its last words."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-600:]
        raise RuntimeError(f"{' '.join(map(str, command))} failed ({done.returncode}): {said}")
    return done


def version(program: str) -> str:
    """First line of ``program --version`` that holds a digit."""
    out = run([program, "--version"]).stdout.splitlines()
    return next(line.strip() for line in out if any(ch.isdigit() for ch in line))
