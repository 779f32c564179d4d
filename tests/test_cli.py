"""The `syslab` command: every subcommand resolves, starts light and fails readably."""

import importlib
import os
import subprocess
import sys
import types

import pytest

from syslab import __version__, cli
from syslab.course.errors import CourseError

HEAVY = ("torch", "pandas", "matplotlib", "numba", "nbgrader", "scipy", "IPython")


@pytest.fixture
def register(monkeypatch):
    """Return ``register(run)``: a subcommand ``probe`` whose run function is ``run``."""

    def add(run, add_arguments=lambda parser: parser.add_argument("--n", type=int, default=1)):
        module = types.ModuleType("probe_module")
        module.add_arguments, module.run = add_arguments, run
        monkeypatch.setitem(sys.modules, "probe_module", module)
        monkeypatch.setitem(cli.COMMANDS, "probe", cli.Command("probe_module", "a probe"))

    return add


def raising(error):
    def run(args):
        raise error

    return run


def test_help_names_every_command_with_its_purpose(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    for name, command in cli.COMMANDS.items():
        assert any(
            line.split()[:1] == [name] and command.help in line for line in out.splitlines()
        ), name


def test_no_command_prints_help_and_is_a_usage_error(capsys):
    assert cli.main([]) == cli.USAGE_ERROR
    assert "usage: syslab COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_version(flag, capsys):
    assert cli.main([flag]) == 0
    assert capsys.readouterr().out.strip() == f"syslab {__version__}"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("docter", "doctor"), ("progess", "progress"), ("chek", "check"), ("realease", "release")],
)
def test_unknown_command_suggests_the_nearest(typed, meant, capsys):
    assert cli.main([typed]) == cli.USAGE_ERROR
    assert f"Did you mean `syslab {meant}`?" in capsys.readouterr().err


def test_unknown_command_with_no_neighbour_points_to_help(capsys):
    assert cli.main(["xyzzy"]) == cli.USAGE_ERROR
    err = capsys.readouterr().err
    assert "'xyzzy'" in err
    assert "syslab --help" in err


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_subcommand_explains_itself(name, capsys):
    assert cli.main([name, "--help"]) == 0
    assert f"usage: syslab {name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_subcommand_has_its_two_functions(name):
    command = cli.COMMANDS[name]
    module = importlib.import_module(command.module)
    assert callable(getattr(module, command.add_arguments))
    assert callable(getattr(module, command.run))


def test_no_subcommand_imports_a_heavy_package_before_it_is_needed():
    modules = sorted({command.module for command in cli.COMMANDS.values()})
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_return_value_is_the_exit_status(register):
    register(lambda args: args.n)
    assert cli.main(["probe", "--n", "7"]) == 7


def test_none_from_run_means_success(register):
    register(lambda args: None)
    assert cli.main(["probe"]) == 0


def test_bad_option_is_explained_without_leaving_python(register, capsys):
    register(lambda args: 0)
    assert cli.main(["probe", "--n", "many"]) == cli.USAGE_ERROR
    assert "invalid int value: 'many'" in capsys.readouterr().err


def test_a_course_error_is_one_message_with_its_fix(register, capsys):
    register(raising(CourseError("no assignment 'arch-2'.", "Did you mean arch-02?")))
    assert cli.main(["probe"]) == cli.USAGE_ERROR
    err = capsys.readouterr().err
    assert err == "syslab probe: no assignment 'arch-2'.\n  Did you mean arch-02?\n"


def test_an_unexpected_error_says_how_to_report_it(register, capsys):
    register(raising(ZeroDivisionError("division by zero")))
    assert cli.main(["probe"]) == cli.INTERNAL_ERROR
    err = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in err
    assert "SYSLAB_DEBUG=1" in err
    assert "Traceback" not in err


def test_debugging_shows_the_traceback(register, monkeypatch):
    register(raising(ZeroDivisionError("division by zero")))
    monkeypatch.setenv("SYSLAB_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main(["probe"])


def test_interrupting_is_not_an_error_report(register, capsys):
    register(raising(KeyboardInterrupt()))
    assert cli.main(["probe"]) == cli.INTERRUPTED
    assert capsys.readouterr().err == "syslab probe: stopped\n"


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch, tmp_path, capsys
):
    (tmp_path / "wants_more.py").write_text("import a_package_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(cli.COMMANDS, "probe", cli.Command("wants_more", "a probe"))
    assert cli.main(["probe"]) == cli.USAGE_ERROR
    err = capsys.readouterr().err
    assert "'a_package_nobody_has'" in err
    assert "make lab" in err


def test_a_reader_that_leaves_early_gets_no_traceback():
    done = subprocess.run(
        f"'{sys.executable}' -u -m syslab doctor | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )
    assert done.stdout.startswith("[ OK ] Python")
    assert done.stderr == ""
