"""A temporary course: the same configuration and sources, its own gradebook and folders.

Whatever is generated or graded in it leaves ``release/``, ``work/``, ``autograded/``, the
gradebook and the progress record of the real course alone.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syslab.course import assignments, nbgrader_apps
from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError


@dataclass(frozen=True)
class Workshop:
    """A temporary course for one assignment; `place` is its root."""

    assignment: Assignment
    place: Path
    config: Any

    @property
    def release(self) -> Path:
        return self.place / "release" / self.assignment.name

    def submitted(self, student: str) -> Path:
        return self.place / "submitted" / student / self.assignment.name

    def autograded(self, student: str) -> Path:
        return self.place / "autograded" / student / self.assignment.name

    def generate(self, database: bool = True) -> Path:
        """Make the released assignment; without `database` nothing can be graded after it."""
        config = self.config.copy()
        config.SaveCells.enabled = database
        nbgrader_apps.step(
            "converters.GenerateAssignment",
            config,
            self.assignment.name,
            force=True,
            no_database=not database,
        )
        return self.release

    def autograde(self, student: str) -> Path:
        """Run the submission of `student` with the hidden tests."""
        nbgrader_apps.step(
            "converters.Autograde", self.config, self.assignment.name, student, force=True
        )
        return self.autograded(student)


@contextlib.contextmanager
def workshop(assignment: Assignment) -> Iterator[Workshop]:
    """A `Workshop` for the ``with`` block, removed afterwards."""
    if not assignment.source.is_dir():
        raise CourseError(
            f"{assignment.shown(assignment.source)}/ is missing: the hidden tests are in there.",
            "Use a full copy of the course, or hand in with "
            f"`syslab submit {assignment.name}` and wait for feedback.",
        )
    with tempfile.TemporaryDirectory(prefix="syslab-course-", ignore_cleanup_errors=True) as place:
        root = Path(place).resolve()
        try:
            shutil.copytree(
                assignment.source,
                root / "source" / assignment.name,
                ignore=shutil.ignore_patterns(*assignments.SKIPPED),
            )
        except (OSError, shutil.Error) as error:
            raise CourseError(
                f"could not make a temporary course in {root}: {error}",
                "Free some space there, or set TMPDIR to a folder with room.",
            ) from error
        config = nbgrader_apps.configuration(
            assignment.root,
            root=str(root),
            db_url=f"sqlite:///{root / 'gradebook.db'}",
            student_id_exclude="",
        )
        with nbgrader_apps.environment(
            SYSLAB_ROOT=str(assignment.root),
            SYSLAB_STATE=str(root / ".syslab"),
            SYSLAB_NO_PROGRESS="1",
        ):
            yield Workshop(assignment, root, config)


def fill(target: Path, source: Path) -> None:
    """Copy a submission's files into a workshop, caches and earlier feedback left out."""
    ignored = shutil.ignore_patterns(*assignments.SKIPPED, "feedback")
    try:
        shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        raise CourseError(
            f"could not copy {source} to grade it: {error}",
            "Free some space (or set TMPDIR) and run it again; your files were not touched.",
        ) from error
