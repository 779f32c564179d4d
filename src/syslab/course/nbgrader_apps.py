"""nbgrader in this process: its configuration, its steps, and its log as one message.

The steps are nbgrader's own classes with the course's own ``nbgrader_config.py``, so a command
of ``syslab`` and the same step run by hand, from JupyterLab or in Formgrader agree.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from syslab.course.errors import CourseError

CONFIG = "nbgrader_config.py"


def configuration(root: Path, /, **course: Any) -> Any:
    """The traitlets configuration of the course at `root`.

    Parameters
    ----------
    root
        The folder that holds ``nbgrader_config.py``.
    **course
        Options of nbgrader's ``CourseDirectory`` that are set on top, for example ``root``.
    """
    from traitlets.config.loader import PyFileConfigLoader

    if not (root / CONFIG).is_file():
        raise CourseError(f"{root / CONFIG} is missing.", f"Restore it: `git checkout {CONFIG}`.")
    config = PyFileConfigLoader(CONFIG, path=str(root)).load_config()
    for option, value in course.items():
        config.CourseDirectory[option] = value
    return config


def step(name: str, config: Any, assignment: str, student: str = "*", **options: Any) -> str:
    """Run one nbgrader step and return its log.

    Parameters
    ----------
    name
        The class, for example ``"converters.Autograde"`` or ``"exchange.Submit"``.
    config
        From `configuration`.
    assignment, student
        What it runs on; every student by default.
    **options
        Attributes of the step, for example ``force=True``.

    Raises
    ------
    CourseError
        With nbgrader's own errors when the step fails.
    """
    from nbgrader.auth import Authenticator
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.exchange import ExchangeFactory
    from nbgrader.utils import capture_log

    coursedir = CourseDirectory(config=config)
    coursedir.assignment_id = assignment
    coursedir.student_id = student
    room, _, kind = name.partition(".")
    if room == "exchange":
        made = getattr(ExchangeFactory(config=config), kind)
        app = made(coursedir=coursedir, authenticator=Authenticator(config=config), config=config)
    else:
        from nbgrader import converters

        app = getattr(converters, kind)(coursedir=coursedir, config=config)
    for option, value in options.items():
        setattr(app, option, value)
    with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet):
        result = capture_log(app)
    log = result.get("log", "")
    if not result["success"]:
        reason = _reason(log, result.get("error", ""))
        raise CourseError(f"nbgrader could not {_said(kind)} {assignment}: {reason}")
    return log


def _said(kind: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()


def _reason(log: str, trace: str) -> str:
    """The last line that says what went wrong, out of a log full of tracebacks."""
    ansi = re.compile(r"\x1b\[[0-9;]*m")
    raised = re.findall(
        r"^\s*(?:[\w.]+\.)?(\w*(?:Error|Kernel|Entry|Exception)): (.+)$", log, re.MULTILINE
    )
    told = [f"{kind}: {text.strip()}" for kind, text in raised if kind != "NbGraderException"]
    if told:
        return ansi.sub("", told[-1])
    lines = [line for line in ansi.sub("", trace).strip().split("\n") if line.strip()]
    return lines[-1].partition(": ")[2] or lines[-1] if lines else "no reason given"


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables for kernels started inside the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
