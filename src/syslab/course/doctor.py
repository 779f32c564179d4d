"""``syslab doctor``: a line per requirement, with what was found and what to do.

    [ OK ] numpy 2.4.6
    [FAIL] nbgrader: not installed; wanted 0.9.6            -> make lab
    [ -- ] valgrind: not on the PATH (cache misses ...)     -> sudo apt-get install valgrind

``FAIL`` lines stop a learner and make the exit status 1; ``--`` lines only take something away.
The probes use the standard library and read files, so the command answers in a fraction of a
second and also where half of the packages are missing. ``--deep`` imports what the course imports
and runs a cell in a real kernel.
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from syslab.course import paths, programs
from syslab.course.errors import CourseError

OLDEST_PYTHON = (3, 11)
FREE_DISK_GB = 1.0  # what a term of work, graded copies and feedback take, generously
KERNEL = "python3"
SERVER_EXTENSIONS = {
    "nbgrader.server_extensions.validate_assignment": "Validate button",
    "nbgrader.server_extensions.assignment_list": "Assignment list",
    "nbgrader.server_extensions.formgrader": "Formgrader",
}
LAB_EXTENSIONS = {
    "@jupyter/nbgrader": "nbgrader's panels",
    "@jupyter-widgets/jupyterlab-manager": "sliders",
}
IMPORT_NAMES = {"aiconfigurator-core": "aiconfigurator_core", "pytest-xdist": "xdist"}

OK, FAIL, NOTE = " OK ", "FAIL", " -- "


@dataclass(frozen=True)
class Line:
    """One line of the report: its status, what it is about, what was found, what to do."""

    status: str
    name: str
    found: str = ""
    fix: str = ""

    def __str__(self) -> str:
        text = f"[{self.status}] {self.name}"
        if self.found:
            text += f" {self.found}" if self.status == OK else f": {self.found}"
        return f"{text:<72} -> {self.fix}" if self.fix else text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill the parser of ``syslab doctor``."""
    parser.add_argument(
        "--deep", action="store_true", help="also import every package and run a cell in a kernel"
    )


def run(args: argparse.Namespace) -> int:
    """Print the report; 1 if something required is missing."""
    lines = examine(deep=args.deep)
    for line in lines:
        print(line)
    failed = sum(line.status == FAIL for line in lines)
    without = sum(line.status == NOTE for line in lines)
    print(f"\n{len(lines)} looked at, {failed} to mend, {without} the course can do without.")
    return 1 if failed else 0


def examine(deep: bool = False) -> list[Line]:
    """Return the whole report; a probe that breaks becomes a line, never a traceback."""
    probes: list[tuple[str, Callable[[], Iterable[Line]]]] = [
        ("Python", python_lines),
        ("course folder", course_lines),
        ("packages", package_lines),
        ("JupyterLab", jupyter_lines),
        ("kernel", kernel_lines),
        ("system programs", program_lines),
        ("GPU", gpu_lines),
        ("hardware counters", counter_lines),
    ]
    if deep:
        probes.append(("deep check", deep_lines))
    lines: list[Line] = []
    for name, probe in probes:
        try:
            lines.extend(probe())
        except CourseError as error:
            lines.append(Line(FAIL, name, error.message, error.fix))
        except Exception as error:
            lines.append(Line(NOTE, name, f"could not be examined ({error})"))
    return lines


# ------------------------------------------------------------------------- Python and packages


def python_lines(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> list[Line]:
    """Return whether this Python is new enough and the course's own."""
    text = ".".join(map(str, version))
    if tuple(version[:2]) < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        fix = "install a newer Python, then: make lab PYTHON=/path/to/it"
        return [Line(FAIL, "Python", f"{text}; wanted {wanted} or newer", fix)]
    lines = [Line(OK, "Python", f"{text} on {platform.system()} {platform.machine()}")]
    if sys.prefix == sys.base_prefix and not os.environ.get("CONDA_PREFIX"):
        lines.append(
            Line(NOTE, "environment", f"{sys.prefix}, shared with other programs", "make lab")
        )
    return lines


def package_lines() -> list[Line]:
    """Return a line per package that lessons, benches and proofs import."""
    pins = locked_versions(paths.root() / "requirements.lock")
    required, extra = direct_packages(paths.root() / "pyproject.toml")
    lines = [package_line(name, pins.get(name), "make lab", FAIL) for name in required]
    lines += [package_line(name, pins.get(name), "make test", NOTE) for name in extra]
    return lines


def package_line(name: str, wanted: str | None, fix: str, if_missing: str) -> Line:
    """Compare the installed version of ``name`` with the locked one."""
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Line(if_missing, name, f"not installed; wanted {wanted or 'any version'}", fix)
    # The local part, as in 2.13.0+cpu, says how the wheel was built, not which version it is.
    if wanted and found.partition("+")[0] != wanted:
        return Line(NOTE, name, f"{found}; stored outputs were made with {wanted}", fix)
    return Line(OK, name, found)


def locked_versions(lock: Path) -> dict[str, str]:
    """Return {name: version} of the lock file."""
    pairs = re.findall(r"^([a-z0-9-]+)==(\S+)$", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(pairs)


def direct_packages(pyproject: Path) -> tuple[list[str], list[str]]:
    """Return what pyproject.toml asks for by name: (everybody's, for the proofs only)."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    alone = project["tool"]["syslab"]["no-deps"]
    tests = project["project"]["optional-dependencies"]["test"]
    return (
        sorted(map(_name, [*project["project"]["dependencies"], *alone])),
        sorted(map(_name, tests)),
    )


def _name(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


# ------------------------------------------------------------------------- course and JupyterLab


def course_lines() -> list[Line]:
    """Return whether the course folder can be worked in."""
    course = paths.root()
    lines = [Line(OK, "course folder", str(course))]
    exchange = course / "exchange"
    holder = exchange if exchange.exists() else course
    if exchange.exists() and not exchange.is_dir():
        lines.append(Line(FAIL, "exchange folder", "a file is in its place", f"mv {exchange} away"))
    elif os.access(holder, os.R_OK | os.W_OK | os.X_OK):
        lines.append(Line(OK, "exchange folder", "can be written"))
    else:
        fix = f'chmod u+rwx "{holder}"'
        lines.append(Line(FAIL, "exchange folder", f"{holder} cannot be written", fix))
    free_gb = shutil.disk_usage(course).free / 1e9
    if free_gb < FREE_DISK_GB:
        found = f"{free_gb:.1f} GB free; wanted {FREE_DISK_GB:.0f} GB"
        lines.append(Line(FAIL, "disk", found, "make room: notebooks could not be saved"))
    else:
        lines.append(Line(OK, "disk", f"{free_gb:.0f} GB free"))
    return lines


def jupyter_lines(prefix: Path = Path(sys.prefix)) -> list[Line]:
    """Return whether nbgrader's parts of JupyterLab are there and switched on."""
    switched = _merged(sorted((prefix / "etc/jupyter/jupyter_server_config.d").glob("*.json")))
    on = switched.get("ServerApp", {}).get("jpserver_extensions", {})
    lines = []
    for module, what in SERVER_EXTENSIONS.items():
        if on.get(module):
            lines.append(Line(OK, what, "on"))
        else:
            fix = f"jupyter server extension enable --sys-prefix {module}"
            lines.append(Line(FAIL, what, "its server part is off", fix))
    page = _merged([prefix / "etc/jupyter/labconfig/page_config.json"])
    off = page.get("disabledExtensions", {})
    for name, what in LAB_EXTENSIONS.items():
        there = (prefix / "share/jupyter/labextensions" / name / "package.json").is_file()
        if there and not (name in off and (isinstance(off, list) or off[name])):
            lines.append(Line(OK, what, "on"))
        else:
            found, fix = "its browser part is missing", "make clean lab"
            if there:
                found, fix = "its browser part is off", f"jupyter labextension enable {name}"
            lines.append(Line(FAIL, what, found, fix))
    return lines


def kernel_lines(prefix: Path = Path(sys.prefix)) -> list[Line]:
    """Return whether notebooks find a kernel of this environment."""
    spec = prefix / "share/jupyter/kernels" / KERNEL / "kernel.json"
    fix = "python -m ipykernel install --sys-prefix"
    if not spec.is_file():
        return [Line(FAIL, "kernel", f"no kernel {KERNEL!r} in {prefix}", fix)]
    command = json.loads(spec.read_text(encoding="utf-8"))["argv"][0]
    # Jupyter replaces a bare "python" by the interpreter that runs the server.
    if re.fullmatch(r"python[0-9.]*", command) or Path(command).exists():
        return [Line(OK, "kernel", KERNEL)]
    return [Line(FAIL, "kernel", f"{KERNEL!r} starts {command}, which is gone", fix)]


def _merged(files: Iterable[Path]) -> dict:
    """Return the two-level merge of Jupyter's JSON configuration files."""
    merged: dict = {}
    for file in files:
        if not file.is_file():
            continue
        for section, values in json.loads(file.read_text(encoding="utf-8")).items():
            if isinstance(values, dict):
                for key, value in values.items():
                    old = merged.setdefault(section, {}).get(key)
                    both = isinstance(old, dict) and isinstance(value, dict)
                    merged[section][key] = {**old, **value} if both else value
            else:
                merged[section] = values
    return merged


# ------------------------------------------------------------------------- machine


def program_lines() -> list[Line]:
    """Return a line per system program of the table."""
    lines = []
    for entry in programs.PROGRAMS:
        path = entry.path()
        if path:
            lines.append(Line(OK, entry.name, path))
        else:
            fix = programs.install_line([entry])
            lines.append(Line(NOTE, entry.name, f"not on the PATH ({entry.proves})", fix))
    return lines


def gpu_lines() -> list[Line]:
    """Return the GPUs that the driver reports; no line of the course requires one."""
    tool = shutil.which("nvidia-smi")
    without = "the benches use recorded measurements of one"
    if tool is None:
        return [Line(NOTE, "GPU", f"none found; {without}")]
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [Line(NOTE, "GPU", f"nvidia-smi does not answer ({error}); {without}")]
    names = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode or not names:
        return [Line(NOTE, "GPU", f"nvidia-smi sees none; {without}")]
    return [Line(OK, "GPU", name) for name in names]


def counter_lines() -> list[Line]:
    """Return whether hardware performance counters can be read here."""
    name = "hardware counters"
    try:
        live = importlib.import_module("syslab.counters.live")
    except ImportError as error:
        return [Line(NOTE, name, f"not examined ({error})", "make lab")]
    state = live.available()
    return [
        Line(OK, name, "can be read") if state else Line(NOTE, name, state.reason, state.action)
    ]


# ------------------------------------------------------------------------- on demand


def deep_lines() -> list[Line]:
    """Import what the course imports, and run a cell in a kernel."""
    required, _ = direct_packages(paths.root() / "pyproject.toml")
    return [*map(import_line, required), torch_line(), kernel_runs_line()]


def import_line(name: str) -> Line:
    """Return whether ``name`` can be imported."""
    module = IMPORT_NAMES.get(name, name.replace("-", "_"))
    try:
        importlib.import_module(module)
    except Exception as error:  # a broken native library raises all kinds
        found = f"{type(error).__name__}: {error}".splitlines()[0]
        return Line(FAIL, f"import {module}", found, "make clean lab")
    return Line(OK, f"import {module}")


def torch_line() -> Line:
    """Return whether torch computes, and on what."""
    import torch

    total = float(torch.ones(8, 8).matmul(torch.ones(8, 8)).sum())
    if total != 512.0:
        return Line(FAIL, "torch", f"8x8 ones squared sum to {total}, not 512", "make clean lab")
    where = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "the CPU"
    return Line(OK, "torch", f"computes on {where}")


def kernel_runs_line() -> Line:
    """Return whether a notebook cell runs in the course's kernel."""
    import nbclient
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(6 * 7)")])
    try:
        nbclient.NotebookClient(notebook, kernel_name=KERNEL, timeout=60).execute()
        answer = notebook.cells[0].outputs[0]["text"].strip()
    except Exception as error:
        found = f"a cell does not run ({type(error).__name__}: {error})".splitlines()[0]
        return Line(FAIL, "kernel", found, "make clean lab")
    if answer != "42":
        return Line(FAIL, "kernel", f"print(6 * 7) says {answer!r}", "make clean lab")
    return Line(OK, "kernel", "runs a cell")
