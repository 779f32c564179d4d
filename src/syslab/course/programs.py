"""System programs that some lessons and proofs need, and how they get here.

The table below is the only list of them: the set-up installs from it, ``syslab doctor`` and the
tests' ``needs_program`` read it. This module needs nothing but the standard library, because the
set-up runs it before the environment exists::

    PYTHONPATH=src python3 -m syslab.course.programs lab     # what the lessons use
    PYTHONPATH=src python3 -m syslab.course.programs test    # and what the proofs use

It installs with apt where that asks no question (root, or sudo without a password) and otherwise
prints the line that does.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from syslab.course.errors import CourseError


@dataclass(frozen=True)
class Program:
    """One system program.

    Attributes
    ----------
    name : str
        What the course calls it.
    commands : tuple of str
        Executables, any one of which will do; ``llvm-mca`` is ``llvm-mca-14`` on some systems.
    debian : tuple of str
        Packages, without the ones apt would only recommend.
    brew : str
        Package on macOS; an empty string where there is none.
    stage : str
        ``"lab"`` if lessons or benches use it, ``"test"`` if only proofs do.
    proves : str
        What cannot be shown without it.
    """

    name: str
    commands: tuple[str, ...]
    debian: tuple[str, ...]
    brew: str
    stage: str
    proves: str

    def path(self) -> str | None:
        """Return where the program is, or None."""
        for command in self.commands:
            found = shutil.which(command)
            if found:
                return found
        return None


_LLVM_VERSIONS = range(21, 12, -1)  # Debian calls the versioned program llvm-mca-14
# The server is on nobody's PATH: Debian keeps one folder for each version, Homebrew links none.
_POSTGRES = tuple(
    place.format(version=version)
    for version in range(19, 12, -1)
    for place in (
        "/usr/lib/postgresql/{version}/bin/postgres",
        "/opt/homebrew/opt/postgresql@{version}/bin/postgres",
        "/usr/local/opt/postgresql@{version}/bin/postgres",
    )
)

PROGRAMS: tuple[Program, ...] = (
    Program(
        "gcc",
        ("gcc",),
        ("gcc", "libc6-dev"),
        "gcc",
        "lab",
        "kernels compiled from C: STREAM, and the loops that the simulators below read",
    ),
    Program(
        "valgrind",
        ("valgrind",),
        ("valgrind",),
        "",
        "lab",
        "cache misses and branch mispredictions of real programs, simulated by cachegrind",
    ),
    Program(
        "llvm-mca",
        ("llvm-mca", *(f"llvm-mca-{v}" for v in _LLVM_VERSIONS)),
        ("llvm",),
        "llvm",
        "lab",
        "the pipeline model of compiled loops",
    ),
    Program(
        "chromium",
        (
            "chromium",
            "chromium-browser",
            "google-chrome",
            "google-chrome-stable",
            "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
            "/Applications/Chromium.app/Contents/MacOS/Chromium",
        ),
        ("chromium", "fonts-dejavu-core"),
        "chromium",
        "test",
        "the walk through the course in a real browser",
    ),
    Program(
        "promtool",
        ("promtool",),
        ("prometheus",),
        "prometheus",
        # "test", since Debian's package starts a server; the bench has an evaluator of its own.
        "test",
        "alert rules in the real Prometheus rule engine",
    ),
    Program(
        "postgresql",
        ("postgres", *_POSTGRES),
        ("postgresql",),
        "postgresql@17",
        "test",
        "grading into a PostgreSQL gradebook",
    ),
)

STAGES = ("lab", "test")


def program(name: str) -> Program:
    """Return the entry called ``name``; CourseError names the known ones otherwise."""
    for entry in PROGRAMS:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in PROGRAMS)
    raise CourseError(
        f"no system program {name!r} in the table; known: {known}.",
        "Add it to PROGRAMS in src/syslab/course/programs.py.",
    )


def for_stage(stage: str) -> tuple[Program, ...]:
    """Return what ``stage`` needs; ``test`` includes everything ``lab`` needs."""
    if stage not in STAGES:
        raise CourseError(f"stage is {stage!r}; it must be one of {', '.join(STAGES)}.")
    return tuple(p for p in PROGRAMS if STAGES.index(p.stage) <= STAGES.index(stage))


def missing(programs: Iterable[Program] = PROGRAMS) -> tuple[Program, ...]:
    """Return those of ``programs`` that are not on the PATH."""
    return tuple(p for p in programs if p.path() is None)


def install_line(programs: Iterable[Program]) -> str:
    """Return the command line that installs ``programs`` on this kind of system."""
    programs = tuple(programs)
    if sys.platform == "darwin":
        have = [p.brew for p in programs if p.brew]
        none = [p.name for p in programs if not p.brew]
        line = f"brew install {' '.join(have)}" if have else ""
        note = f"(no macOS package: {', '.join(none)})" if none else ""
        return " ".join(filter(None, (line, note)))
    return f"sudo apt-get install {' '.join(debian_packages(programs))}"


def debian_packages(programs: Iterable[Program]) -> list[str]:
    """Return the Debian packages of ``programs``, each once."""
    return list(dict.fromkeys(package for p in programs for package in p.debian))


def apt_prefix() -> list[str] | None:
    """Return ``[]`` for root, ``["sudo", "-n"]`` where sudo asks nothing, else None."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and _quiet(["sudo", "-n", "true"]):
        return ["sudo", "-n"]
    return None


def install(programs: Iterable[Program]) -> bool:
    """Install the Debian packages of ``programs``; True if apt said all went well.

    Never asks a question: returns False at once where apt or the right to use it is missing.
    """
    return install_packages(debian_packages(programs))


def install_packages(packages: list[str]) -> bool:
    """Install Debian ``packages`` without a question; False where that cannot be done."""
    prefix = apt_prefix()
    if prefix is None or not packages:
        return False
    quiet = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
    wanted = [*quiet, "install", "--no-install-recommends", *packages]
    # A machine that has never run `apt-get update` knows no packages; a fresh list may also
    # be needed where the stored one names a version that has since been replaced.
    return _loud(wanted, may_fail=True) or (_loud([*quiet, "update"]) and _loud(wanted))


def main(argv: list[str]) -> int:
    """Install what one stage needs; never fail, since most of the course works without."""
    lacking = missing(for_stage(argv[0] if argv else "lab"))
    if not lacking:
        return 0
    names = ", ".join(p.name for p in lacking)
    print(f"==> system programs: {names}", flush=True)
    install(lacking)
    still = missing(lacking)
    if still:
        print("    Not here, and not to be installed without a question:")
        for entry in still:
            print(f"      {entry.name:<10} {entry.proves}")
        print(f"    The rest works without. To add them:\n      {install_line(still)}")
    return 0


def _quiet(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0


def _loud(command: list[str], may_fail: bool = False) -> bool:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode and not may_fail:
        print(f"    {' '.join(command)} failed:\n{done.stderr or done.stdout}", file=sys.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
