"""Fixtures that every proof shares.

``needs_program("valgrind")`` skips a test where a system program is missing and lists it at the
end of the run with the line that installs it. In CI it fails instead, so nothing goes unproven
there; ``SYSLAB_ALLOW_UNPROVEN=1`` lifts that for systems that do not package a program at all.
"""

import os
import socket
from pathlib import Path

import pytest

from syslab.course import programs

ROOT = Path(__file__).resolve().parent.parent
NOT_PROVEN = "not proven here"
LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")


def unproven_is_failure(environ=os.environ) -> bool:
    """Return whether a missing system program fails the run (it does in CI)."""
    in_ci = environ.get("CI", "").lower() not in ("", "0", "false")
    allowed = environ.get("SYSLAB_ALLOW_UNPROVEN", "") not in ("", "0")
    return in_ci and not allowed


@pytest.fixture(scope="session")
def course_root() -> Path:
    """Return the folder of this repository."""
    return ROOT


@pytest.fixture(scope="session")
def needs_program():
    """Return ``need(name, install=None) -> path`` of a system program, or skip (in CI: fail).

    ``name`` is looked up in ``syslab.course.programs``; a second argument is accepted for
    programs outside that table and is then the line that installs it.
    """

    def need(name: str, install: str | None = None) -> str:
        known = {p.name: p for p in programs.PROGRAMS}
        if name in known:
            entry = known[name]
            path, line, proves = entry.path(), programs.install_line([entry]), entry.proves
        else:
            import shutil

            path, line, proves = shutil.which(name), install or f"install {name}", "this test"
        if path:
            return path
        said = f"{NOT_PROVEN}: {name} is missing ({proves}); {line}"
        if unproven_is_failure():
            pytest.fail(said, pytrace=False)
        pytest.skip(said)

    return need


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory, monkeypatch):
    """Keep local state (progress, caches) of every test away from the learner's own."""
    monkeypatch.setenv("SYSLAB_STATE", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setenv("SYSLAB_WARM", "off")  # no template may outlive its test
    monkeypatch.delenv("SYSLAB_ROOT", raising=False)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """Let tests reach this machine only: anything else is refused at once."""
    real = socket.socket.connect

    def connect(self, address):
        if isinstance(address, tuple) and not str(address[0]).startswith(LOOPBACK):
            raise OSError(f"the tests must not use the network (tried {address[0]})")
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


def pytest_terminal_summary(terminalreporter):
    """End the run with what could not be proven here, and the line that installs it."""
    lines = set()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if NOT_PROVEN in reason:
            lines.add(reason.removeprefix("Skipped: ").removeprefix(f"{NOT_PROVEN}: "))
    if lines:
        terminalreporter.section(NOT_PROVEN, sep="-")
        for line in sorted(lines):
            terminalreporter.line(f"  {line}")
