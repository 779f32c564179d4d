"""Handing in through nbgrader's exchange, the same way JupyterLab's Submit button does."""

from __future__ import annotations

import filecmp
import re
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from syslab.course import assignments, nbgrader_apps
from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError


@dataclass(frozen=True)
class Submission:
    """What was handed in: when (UTC), where a copy lies, and how many there were before."""

    time: datetime
    path: Path
    earlier: int


def submit(assignment: Assignment) -> Submission:
    """Put the learner's folder into the exchange; earlier submissions stay there.

    Raises
    ------
    CourseError
        When the exchange cannot be used or nbgrader refuses.
    """
    if sys.platform == "win32":
        raise CourseError(
            "nbgrader's exchange does not work on Windows.",
            f"Zip {assignment.shown(assignment.work)} and hand it in as your instructor says; "
            f"`syslab grade --mine {assignment.name}` works here.",
        )
    config = nbgrader_apps.configuration(assignment.root)
    course = config.CourseDirectory.course_id
    try:
        ensure_released(assignment)
    except CourseError:  # a class's exchange belongs to the instructor
        if not (Path(config.Exchange.root) / course / "outbound" / assignment.name).is_dir():
            raise
    cache = Path(config.Exchange.cache) / course
    before = _mine(cache, assignment)
    # strict: a submission without its notebook is refused
    nbgrader_apps.step("exchange.Submit", config, assignment.name, strict=True)
    new = sorted(set(_mine(cache, assignment)) - set(before))
    if not new:
        raise CourseError(
            f"nbgrader reported success, but nothing new lies in {cache}.",
            "Run `syslab doctor` and report both outputs.",
        )
    return Submission(_time(new[-1]), new[-1], len(before))


def ensure_released(assignment: Assignment) -> bool:
    """Put the released assignment into the exchange where it is missing or out of date.

    Returns
    -------
    bool
        Whether anything was put there.
    """
    config = nbgrader_apps.configuration(assignment.root)
    there = Path(config.Exchange.root) / config.CourseDirectory.course_id / "outbound"
    if _same(assignment.release, there / assignment.name):
        return False
    nbgrader_apps.step("exchange.ReleaseAssignment", config, assignment.name, force=True)
    return True


def _same(release: Path, outbound: Path) -> bool:
    wanted, found = list(assignments.files(release)), list(assignments.files(outbound))
    return wanted == found and all(
        filecmp.cmp(release / name, outbound / name, shallow=False) for name in wanted
    )


def _mine(cache: Path, assignment: Assignment) -> list[Path]:
    """Own copies of what was handed in: the exchange itself may not be readable."""
    from nbgrader.utils import get_username

    return sorted(cache.glob(f"{get_username()}+{assignment.name}+*"))


def _time(path: Path) -> datetime:
    stamp = path.name.split("+")[2]
    whole = re.sub(r" UTC$", "+0000", stamp)
    return datetime.strptime(whole, "%Y-%m-%d %H:%M:%S.%f%z")
