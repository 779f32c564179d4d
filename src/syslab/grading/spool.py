"""What a grading run keeps on disk, so that it can be cut short at any moment.

Under ``.syslab/grading/<assignment>/``: ``plan.json`` while a run is on its way, one file in
``executed/`` for each submission that was run, one in ``recorded/`` for each that is in the
gradebook. Files are written whole; each names the content it belongs to (`key`), so nothing stale
is ever taken for new.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from syslab import saved
from syslab.course import paths
from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError
from syslab.grading import book_lock
from syslab.grading.execute import Ended, Executed, Job
from syslab.grading.verdicts import Verdict

VERSION = "syslab-grading-1"


@dataclass(frozen=True)
class Recorded:
    """That a submission is in the gradebook: the key of what was run, and its verdicts."""

    key: str
    verdicts: tuple[Verdict, ...]


def key(job: Job) -> str:
    """A digest of everything that decides what running the job gives."""
    digest = hashlib.sha256(VERSION.encode())
    for name, text in sorted(job.notebooks.items()):
        digest.update(f"\0notebook {name}\0{text}".encode())
    for name, content in sorted(job.files.items()):
        digest.update(f"\0file {name}\0".encode() + hashlib.sha256(content).digest())
    return digest.hexdigest()


class Spool:
    """The folder of one assignment's grading runs."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.folder = paths.state_dir(assignment.root) / "grading" / assignment.name

    @contextlib.contextmanager
    def locked(self, gradebook: str = "", course: str = "") -> Iterator[None]:
        """Hold the course's grading for the ``with`` block.

        Parameters
        ----------
        gradebook, course
            The gradebook's URL and nbgrader's course id, to hold a gradebook that other folders
            and machines write to as well.

        Raises
        ------
        CourseError
            When another process holds it, or the gradebook cannot be reached.
        """
        import fcntl

        with self._lock_file() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                raise CourseError(
                    f"another `syslab grade` is at work in this course ({file.read().strip()}).",
                    "Wait until it has ended; nothing was changed.",
                ) from None
            file.truncate(0)
            file.write(f"process {os.getpid()}, {self.assignment.name}")
            file.flush()
            with book_lock.held(gradebook, course, self.assignment.name):
                yield
            file.truncate(0)

    def _lock_file(self) -> Any:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return open(self.folder.parent / "lock", "a+", encoding="utf-8")
        except OSError as error:
            raise CourseError(
                f"{self.folder} cannot be written ({error.strerror or error}): grading notes there "
                "what it has done.",
                "Give yourself write permission in the course folder, or name another place with "
                "SYSLAB_STATE.",
            ) from error

    # -- the plan ----------------------------------------------------------------------------

    def begin(self, students: list[str]) -> None:
        """Note who is to be graded, until `finish`."""
        self._write("plan.json", {"students": students})

    def plan(self) -> list[str]:
        """Who an interrupted run was to grade.

        Raises
        ------
        CourseError
            When no run was interrupted.
        """
        found = self._read("plan.json")
        if found is None:
            ran = (self.folder / "recorded").is_dir()
            why = "the last run was finished" if ran else "no run was begun yet"
            raise CourseError(
                f"there is nothing to resume of {self.assignment.name}: {why}.",
                f"Grade what was handed in with `syslab grade {self.assignment.name}`.",
            )
        return list(found["students"])

    def finish(self) -> None:
        """The run is complete: its plan and its executed submissions are no longer needed."""
        for path in (self.folder / "executed").glob("*.json"):
            path.unlink(missing_ok=True)
        (self.folder / "plan.json").unlink(missing_ok=True)

    # -- submissions -------------------------------------------------------------------------

    def keep(self, student: str, digest: str, done: Executed) -> None:
        """Keep what running a submission gave, until it is in the gradebook."""
        self._write(f"executed/{_file(student)}", {"key": digest, **asdict(done)})

    def executed(self, student: str, digest: str) -> Executed | None:
        """What running this very submission gave before, if it was kept."""
        found = self._read(f"executed/{_file(student)}")
        if found is None or found.pop("key", None) != digest:
            return None
        found.pop("schema", None)
        found["ended"] = {name: Ended(**ended) for name, ended in found["ended"].items()}
        return Executed(**found)

    def recorded(self, student: str, digest: str, verdicts: list[Verdict]) -> None:
        """Note that the submission is in the gradebook."""
        rows = [asdict(verdict) for verdict in verdicts]
        self._write(f"recorded/{_file(student)}", {"key": digest, "verdicts": rows})

    def record_of(self, student: str) -> Recorded | None:
        """What was noted by `recorded`, None for a student who was never graded by a run."""
        found = self._read(f"recorded/{_file(student)}")
        if found is None:
            return None
        return Recorded(found["key"], tuple(Verdict(**row) for row in found["verdicts"]))

    # -- files -------------------------------------------------------------------------------

    def _write(self, name: str, content: dict[str, Any]) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        saved.write_whole(path, json.dumps({"schema": VERSION, **content}))

    def _read(self, name: str) -> dict[str, Any] | None:
        """A file of the spool; a missing, damaged or older one is None."""
        try:
            found = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and found.get("schema") == VERSION else None


def _file(student: str) -> str:
    """A file name for a student id, whatever characters it has."""
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in student)[:60]
    return f"{plain}-{hashlib.sha256(student.encode()).hexdigest()[:12]}.json"
