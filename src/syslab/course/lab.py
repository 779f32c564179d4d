"""Open JupyterLab on the course, with nothing of the learner's own Jupyter set-up in the way.

Settings come from the committed folder ``.jupyter/`` (no news, no update check, no text twins of
notebooks); whatever JupyterLab writes goes to ``.syslab/jupyter/``. ``~/.jupyter`` and its like
are neither read nor written.
"""

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path

from syslab.course import paths
from syslab.course.errors import CourseError

HOME_NOTEBOOK = "START.ipynb"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill the parser of ``syslab lab``."""
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free one)")
    parser.add_argument("--no-browser", action="store_true", help="print the address only")
    parser.add_argument(
        "jupyter", nargs=argparse.REMAINDER, help="anything after -- goes to JupyterLab as it is"
    )


def run(args: argparse.Namespace) -> int:
    """Replace this process by JupyterLab."""
    course = paths.root()
    if not (course / HOME_NOTEBOOK).is_file():
        raise CourseError(
            f"{HOME_NOTEBOOK} is missing from {course}.",
            f"Bring it back with `git checkout {HOME_NOTEBOOK}`.",
        )
    exchange_dir(course)
    extra = [a for a in args.jupyter if a != "--"]
    command = lab_command(course, port=args.port, browser=not args.no_browser, extra=extra)
    print(f"==> JupyterLab at {HOME_NOTEBOOK}; stop it with Ctrl-C, twice", flush=True)
    os.chdir(course)
    os.execvpe(command[0], command, lab_environment(course))


def lab_command(
    course: Path, port: int | None = None, browser: bool = True, extra: list[str] | None = None
) -> list[str]:
    """Return the command line that serves ``course`` and opens START."""
    command = [sys.executable, "-m", "jupyterlab"]
    command.append(f"--ServerApp.root_dir={course}")
    # As the default address, so that it also stands in the line to copy where no browser opens.
    command.append(f"--LabApp.default_url=/lab/tree/{HOME_NOTEBOOK}")
    if port is not None:
        command.append(f"--ServerApp.port={port}")
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # in a container there may be no other user
    if os.name != "nt":
        # A server without a terminal of its own starts login shells, and /etc/profile then takes
        # this environment off the PATH: `syslab` would not be found in JupyterLab's terminals.
        shell = os.environ.get("SHELL") or shutil.which("bash") or "sh"
        command.append(f"--ServerApp.terminado_settings=shell_command={shlex.quote(shell)}")
    return command + (extra or [])


def lab_environment(course: Path, base: dict[str, str] | None = None) -> dict[str, str]:
    """Return the environment of the server: this course's Jupyter settings and no others."""
    local = paths.state_dir(course) / "jupyter"
    local.mkdir(exist_ok=True)
    environment = dict(os.environ if base is None else base)
    environment["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), environment.get("PATH", os.defpath)]
    )
    environment |= {
        "SYSLAB_ROOT": str(course),
        "JUPYTER_CONFIG_PATH": str(course / ".jupyter"),
        "JUPYTER_CONFIG_DIR": str(local / "config"),
        "JUPYTER_DATA_DIR": str(local / "data"),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    environment.pop("JUPYTER_PATH", None)
    return environment


def tidy_before_saving(model: dict, **_kwargs) -> None:
    """Keep a notebook's metadata as the course stores it, so that reading leaves no diff.

    JupyterLab calls this before it writes a file; it fills in the kernel's full language
    details otherwise. Cells and outputs are left alone.
    """
    if model.get("type") != "notebook" or not isinstance(model.get("content"), dict):
        return
    from syslab.course.notebooks.canonical import KERNELSPEC, LANGUAGE_INFO

    metadata = model["content"].get("metadata", {})
    if metadata.get("kernelspec", {}).get("name") == KERNELSPEC["name"]:
        metadata["kernelspec"] = dict(KERNELSPEC)
        metadata["language_info"] = dict(LANGUAGE_INFO)


def exchange_dir(course: Path) -> Path:
    """Return nbgrader's exchange folder inside the course, created."""
    folder = course / "exchange"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise CourseError(
            f"cannot create the exchange folder {folder}: {error.strerror}.",
            "Give yourself write permission on the course folder, or copy the course elsewhere.",
        ) from error
    return folder
