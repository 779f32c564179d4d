"""`syslab doctor`: right lines for right and wrong machines, and never a traceback."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from syslab.course import doctor, paths, programs
from syslab.course.doctor import FAIL, NOTE, OK

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def course(tmp_path, monkeypatch, course_root):
    """A course folder with nothing in it but what doctor reads."""
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(course_root / name, tmp_path)
    (tmp_path / "course.toml").touch()
    monkeypatch.setenv("SYSLAB_ROOT", str(tmp_path))
    return tmp_path


def by_name(lines):
    return {line.name: line for line in lines}


def test_this_environment_passes(capsys):
    status = doctor.run(argparse.Namespace(deep=False))
    out = capsys.readouterr().out
    assert "[FAIL]" not in out
    assert status == 0
    for name in ("Python", "torch", "nbgrader", "Validate button", "Formgrader", "kernel", "GPU"):
        assert any(line[7:].startswith(name) for line in out.splitlines()), name


def test_every_direct_dependency_and_program_has_a_line():
    names = set(by_name(doctor.examine()))
    required, extra = doctor.direct_packages(paths.root() / "pyproject.toml")
    assert {"numpy", "nbgrader", "aiconfigurator-core"} <= set(required)
    assert "pytest" in extra
    assert names >= {*required, *extra, *(p.name for p in programs.PROGRAMS)}


@pytest.mark.parametrize(
    ("version", "status"), [((3, 10, 14), FAIL), ((3, 11, 0), OK), ((3, 13, 1), OK)]
)
def test_python_version(version, status):
    assert doctor.python_lines(version)[0].status == status


def test_a_missing_package_fails_and_says_what_to_do():
    line = doctor.package_line("no-such-package", "1.2.3", "make lab", FAIL)
    assert str(line).startswith("[FAIL] no-such-package: not installed; wanted 1.2.3")
    assert str(line).endswith("-> make lab")


def test_another_version_than_the_locked_one_is_noted(monkeypatch):
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: "2.0")
    line = doctor.package_line("numpy", "1.0", "make lab", FAIL)
    assert line.status == NOTE
    assert "2.0" in line.found
    assert "1.0" in line.found


def test_a_build_label_is_not_another_version(monkeypatch):
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: "2.13.0+cpu")
    assert doctor.package_line("torch", "2.13.0", "make lab", FAIL).status == OK


def test_without_any_installed_package_it_reports_instead_of_failing(course_root):
    done = subprocess.run(
        [sys.executable, "-S", "-m", "syslab", "doctor"],  # -S: no site-packages
        capture_output=True,
        text=True,
        cwd=course_root,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(course_root / "src")},
    )
    assert done.returncode == 1
    assert done.stderr == ""
    assert "[FAIL] jupyterlab: not installed" in done.stdout
    assert "[ -- ] pytest: not installed" in done.stdout


def test_outside_a_course_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("SYSLAB_ROOT", str(tmp_path))
    line = by_name(doctor.examine())["course folder"]
    assert line.status == FAIL
    assert str(tmp_path) in line.found
    assert "SYSLAB_ROOT" in line.found + line.fix


def test_a_probe_that_breaks_becomes_a_line(monkeypatch):
    def broken():
        raise RuntimeError("the driver is confused")

    monkeypatch.setattr(doctor, "gpu_lines", broken)
    line = by_name(doctor.examine())["GPU"]
    assert line.status == NOTE
    assert "the driver is confused" in line.found


def test_exchange_folder_will_do_before_it_exists(course):
    assert by_name(doctor.course_lines())["exchange folder"].status == OK


def test_a_file_in_place_of_the_exchange_folder(course):
    (course / "exchange").touch()
    assert by_name(doctor.course_lines())["exchange folder"].status == FAIL


def test_an_exchange_folder_that_cannot_be_written(course, monkeypatch):
    (course / "exchange").mkdir()
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    line = by_name(doctor.course_lines())["exchange folder"]
    assert line.status == FAIL
    assert "chmod" in line.fix


@pytest.mark.parametrize(("free_gb", "status"), [(0.2, FAIL), (40, OK)])
def test_disk_space(course, monkeypatch, free_gb, status):
    usage = Usage(100e9, 0, free_gb * 1e9)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage)
    assert by_name(doctor.course_lines())["disk"].status == status


def jupyter_prefix(folder, server=True, disabled=None, browser=True):
    """Write the files Jupyter keeps under an environment's prefix."""
    config = folder / "etc/jupyter/jupyter_server_config.d"
    config.mkdir(parents=True)
    extensions = dict.fromkeys(doctor.SERVER_EXTENSIONS, server)
    text = json.dumps({"ServerApp": {"jpserver_extensions": extensions}})
    (config / "nbgrader.json").write_text(text)
    (config / "another.json").write_text('{"ServerApp": {"jpserver_extensions": {"x": true}}}')
    if browser:
        for name in doctor.LAB_EXTENSIONS:
            home = folder / "share/jupyter/labextensions" / name
            home.mkdir(parents=True)
            (home / "package.json").write_text("{}")
    if disabled is not None:
        (folder / "etc/jupyter/labconfig").mkdir()
        page = folder / "etc/jupyter/labconfig/page_config.json"
        page.write_text(json.dumps({"disabledExtensions": disabled}))
    return folder


def test_jupyterlab_with_everything_on(tmp_path):
    lines = doctor.jupyter_lines(jupyter_prefix(tmp_path))
    assert {line.status for line in lines} == {OK}
    assert "Assignment list" in by_name(lines)


def test_nbgraders_server_part_switched_off(tmp_path):
    lines = by_name(doctor.jupyter_lines(jupyter_prefix(tmp_path, server=False)))
    assert lines["Formgrader"].status == FAIL
    assert "server extension enable" in lines["Formgrader"].fix
    assert lines["sliders"].status == OK


@pytest.mark.parametrize("disabled", [{"@jupyter/nbgrader": True}, ["@jupyter/nbgrader"]])
def test_nbgraders_browser_part_switched_off(tmp_path, disabled):
    lines = by_name(doctor.jupyter_lines(jupyter_prefix(tmp_path, disabled=disabled)))
    assert lines["nbgrader's panels"].status == FAIL
    assert lines["sliders"].status == OK


def test_an_extension_listed_as_not_disabled_counts_as_on(tmp_path):
    prefix = jupyter_prefix(tmp_path, disabled={"@jupyter/nbgrader": False})
    assert by_name(doctor.jupyter_lines(prefix))["nbgrader's panels"].status == OK


def test_nbgraders_browser_part_missing(tmp_path):
    lines = by_name(doctor.jupyter_lines(jupyter_prefix(tmp_path, browser=False)))
    assert lines["nbgrader's panels"].found == "its browser part is missing"


@pytest.mark.parametrize(
    ("argv0", "status"),
    [("python", OK), ("python3.11", OK), (sys.executable, OK), ("/gone/bin/python", FAIL)],
)
def test_kernel(tmp_path, argv0, status):
    spec = tmp_path / "share/jupyter/kernels/python3/kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": [argv0, "-m", "ipykernel_launcher"]}))
    assert doctor.kernel_lines(tmp_path)[0].status == status


def test_no_kernel_at_all(tmp_path):
    line = doctor.kernel_lines(tmp_path)[0]
    assert line.status == FAIL
    assert "ipykernel install" in line.fix


def test_a_missing_program_is_optional_and_comes_with_its_install_line(monkeypatch):
    monkeypatch.setattr(programs.shutil, "which", lambda name: None)
    monkeypatch.setattr(programs.sys, "platform", "linux")
    line = by_name(doctor.program_lines())["valgrind"]
    assert line.status == NOTE
    assert line.fix == "sudo apt-get install valgrind"


def fake_tool(folder: Path, text: str, status: int = 0) -> None:
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\nprintf '{text}'\nexit {status}\n")
    tool.chmod(0o755)


def test_gpus_are_listed_one_a_line(tmp_path, monkeypatch):
    fake_tool(tmp_path, "NVIDIA H100 80GB HBM3, 81559 MiB\\nNVIDIA L4, 23034 MiB\\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    lines = doctor.gpu_lines()
    assert [line.found for line in lines] == [
        "NVIDIA H100 80GB HBM3, 81559 MiB",
        "NVIDIA L4, 23034 MiB",
    ]


@pytest.mark.parametrize(("text", "status"), [("", 0), ("No devices were found\\n", 6)])
def test_a_driver_without_a_gpu_is_a_note(tmp_path, monkeypatch, text, status):
    fake_tool(tmp_path, text, status)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [line.status for line in doctor.gpu_lines()] == [NOTE]


def test_hardware_counters_are_there_or_the_reason_is(monkeypatch):
    from syslab.counters import live

    monkeypatch.setattr(live, "available", lambda: live.Availability(True, "yes"))
    assert doctor.counter_lines()[0].status == OK
    closed = live.Availability(False, "perf_event_paranoid is 4", "sudo sysctl x=2")
    monkeypatch.setattr(live, "available", lambda: closed)
    (line,) = doctor.counter_lines()
    assert line == doctor.Line(NOTE, "hardware counters", closed.reason, closed.action)


def test_exit_status_follows_the_failures(monkeypatch, capsys):
    lines = [doctor.Line(OK, "a", "1"), doctor.Line(NOTE, "b", "none")]
    monkeypatch.setattr(doctor, "examine", lambda deep: lines)
    assert doctor.run(argparse.Namespace(deep=False)) == 0
    lines.append(doctor.Line(FAIL, "c", "gone", "bring it back"))
    assert doctor.run(argparse.Namespace(deep=False)) == 1
    assert "3 looked at, 1 to mend, 1 the course can do without" in capsys.readouterr().out


def test_deep_runs_a_cell_in_a_real_kernel():
    assert doctor.kernel_runs_line() == doctor.Line(OK, "kernel", "runs a cell")


def test_deep_reports_a_package_that_cannot_be_imported(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("raise OSError('libgone.so: not found')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    line = doctor.import_line("half-installed")
    assert line.status == FAIL
    assert "libgone.so" in line.found
