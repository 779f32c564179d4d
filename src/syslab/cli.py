"""The ``syslab`` command.

Every subcommand lives in a module of its own and is imported only when it is called, so that
``syslab`` starts in a fraction of a second. To add one:

1. write two functions in a module: ``add_arguments(parser)``, which fills an
   ``argparse.ArgumentParser``, and ``run(args) -> int``, which returns the exit status;
2. add a line to ``COMMANDS``.

Where one module serves several subcommands, its functions carry the subcommand's name
(``add_start_arguments``, ``run_start``) and the line names them.

A ``CourseError`` becomes one readable message and exit status 2. Anything else unexpected becomes
one line that says how to report it, exit status 70, and a traceback when ``SYSLAB_DEBUG=1``.
"""

import argparse
import difflib
import importlib
import os
import sys
from dataclasses import dataclass

from syslab import __version__
from syslab.course.errors import CourseError

USAGE_ERROR = 2
INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED = 130


@dataclass(frozen=True)
class Command:
    """One subcommand: where its two functions are, and its line in ``syslab --help``."""

    module: str
    help: str
    add_arguments: str = "add_arguments"
    run: str = "run"


def _of(module: str, name: str, help: str) -> Command:
    return Command(module, help, f"add_{name}_arguments", f"run_{name}")


_LEARNER = "syslab.course.learner_commands"
_GRADING = "syslab.grading.commands"
_REPORTS = "syslab.grading.reports_commands"

COMMANDS: dict[str, Command] = {
    "doctor": Command("syslab.course.doctor", "what this machine has, and what is missing"),
    "lab": Command("syslab.course.lab", "open JupyterLab at START.ipynb"),
    "start": _of(_LEARNER, "start", "copy a released assignment into work/"),
    "check": _of(_LEARNER, "check", "run the public checks on your notebook"),
    "submit": _of(_LEARNER, "submit", "hand in your notebook"),
    "grade": _of(_GRADING, "grade", "grade your own work, or a class, with the hidden checks"),
    "reveal": _of(_LEARNER, "reveal", "show a reference answer after an attempt"),
    "progress": _of(_LEARNER, "progress", "points, gates and what is next"),
    "items": _of(_REPORTS, "items", "how each exercise behaved in the class"),
    "transcript": _of(_REPORTS, "transcript", "points and gates of a student, or of the class"),
    "export": _of(_REPORTS, "export", "grades as a CSV that Canvas or Moodle imports"),
    "nb": Command("syslab.course.notebooks.command", "view, apply, run, fmt or check notebooks"),
    "readme": Command("syslab.course.readme", "write the tables of README.md from course.toml"),
    "release": _of(_GRADING, "release", "make release/ from source/"),
    "demo": _of(_GRADING, "demo", "regenerate the demonstration submission in autograded/"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand and return its exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(_help())
        return 0 if argv else USAGE_ERROR
    if argv[0] in ("-V", "--version"):
        print(f"syslab {__version__}")
        return 0
    name, rest = argv[0], argv[1:]
    if name not in COMMANDS:
        print(_unknown(name), file=sys.stderr)
        return USAGE_ERROR
    try:
        return _run(name, COMMANDS[name], rest)
    except CourseError as error:
        print(f"syslab {name}: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print(f"syslab {name}: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has left; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("SYSLAB_DEBUG"):
            raise
        print(
            f"syslab {name}: unexpected {type(error).__name__}: {error}\n"
            "  Nothing of your work was removed. Run it again with SYSLAB_DEBUG=1 and report the\n"
            "  output, together with the output of `syslab doctor`, in an issue.",
            file=sys.stderr,
        )
        return INTERNAL_ERROR


def _run(name: str, command: Command, rest: list[str]) -> int:
    try:
        module = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "syslab":
            raise
        raise CourseError(
            f"the Python package {error.name!r} is not installed here.",
            "Run `make lab` (or `make test`) in the course folder; `syslab doctor` lists the rest.",
        ) from error
    parser = argparse.ArgumentParser(prog=f"syslab {name}", description=command.help)
    getattr(module, command.add_arguments)(parser)
    try:
        args = parser.parse_args(rest)
    except SystemExit as stop:  # --help, or a usage error argparse has explained already
        return int(stop.code or 0)
    return int(getattr(module, command.run)(args) or 0)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: syslab COMMAND [options]",
            "",
            *lines,
            "",
            "`syslab COMMAND --help` explains one of them.",
        ]
    )


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
    hint = f"Did you mean `syslab {near[0]}`?" if near else "`syslab --help` lists the commands."
    return f"syslab: there is no command {name!r}. {hint}"


if __name__ == "__main__":
    sys.exit(main())
