"""Where an assignment's files are, and copying them without overwriting anything."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from syslab.course import manifest, paths
from syslab.course.errors import CourseError

SKIPPED = (".ipynb_checkpoints", "__pycache__", ".DS_Store")


@dataclass(frozen=True)
class Assignment:
    """A graded assignment of the course at `root`.

    `points` are what the manifest gives it, `gate_points` what its certificate asks for
    (None where no gate names modules).
    """

    name: str
    title: str
    minutes: int
    points: float
    gate_points: float | None
    root: Path

    @property
    def source(self) -> Path:
        return self.root / "source" / self.name

    @property
    def release(self) -> Path:
        return self.root / "release" / self.name

    @property
    def work(self) -> Path:
        return self.root / "work" / self.name

    def shown(self, path: Path) -> str:
        """`path` as a learner types it: relative to the course folder."""
        inside = path.is_relative_to(self.root)
        return path.relative_to(self.root).as_posix() if inside else str(path)

    def notebooks(self) -> list[str]:
        """Names of the released notebooks, sorted."""
        return sorted(p.name for p in self.release.glob("[!.]*.ipynb"))


@dataclass(frozen=True)
class Copied:
    """What `copy_missing` did: paths relative to the target folder."""

    added: tuple[str, ...]
    kept: tuple[str, ...]


def find(name: str, root: Path | None = None) -> Assignment:
    """The assignment called `name`.

    Raises
    ------
    CourseError
        When the manifest does not know it (the nearest name is suggested) or calls it planned.
    """
    root = root or paths.root()
    course = manifest.load(root / paths.MANIFEST, check_folders=False)
    part = course.graded_part(Path(name).name)  # a path such as work/arch-02/ will do
    if not part.ready:
        ready = ", ".join(p.id for p in course.ready_parts) or "none yet"
        raise CourseError(
            f"{part.id} ({part.title}) is planned: there is nothing to open yet.",
            f"Ready now: {ready}.",
        )
    kinds = ("each-module",) if isinstance(part, manifest.Module) else ()
    gates = [g.threshold for g in course.gates_of(part.track) if g.kind in kinds]
    work = part.assignment
    return Assignment(
        name=part.id,
        title=work.title if work else part.title,
        minutes=work.minutes if work else part.minutes,
        points=part.points,
        gate_points=max((g for g in gates if g is not None), default=None),
        root=root,
    )


def find_started(name: str | None, root: Path | None = None) -> Assignment:
    """The assignment called `name`, or the one that is meant when no name is given.

    Without a name: the assignment whose folder in ``work/`` this runs in, else the only one
    started, else the only one that is ready.
    """
    root = root or paths.root()
    if name:
        return find(name, root)
    here = Path.cwd().resolve()
    work = (root / "work").resolve()
    if here != work and here.is_relative_to(work):
        return find(here.relative_to(work).parts[0], root)
    course = manifest.load(root / paths.MANIFEST, check_folders=False)
    ready = [p.id for p in course.ready_parts]
    started = [id for id in ready if (work / id).is_dir()] or ready
    if len(started) == 1:
        return find(started[0], root)
    raise CourseError(
        "which assignment?", f"Name one: {', '.join(started) or 'none is ready yet'}."
    )


def require_work(assignment: Assignment) -> Path:
    """The learner's folder of `assignment`; CourseError when it was not started."""
    if not assignment.work.is_dir():
        raise CourseError(
            f"there is no {assignment.shown(assignment.work)}/ yet.",
            f"Run `syslab start {assignment.name}` first.",
        )
    return assignment.work


def files(folder: Path) -> Iterator[Path]:
    """All files below `folder` as relative paths, sorted; caches and checkpoints are left out."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part in SKIPPED for part in relative.parts):
            yield relative


def copy_missing(source: Path, target: Path) -> Copied:
    """Copy what `target` lacks from `source`; what is there stays as it is, byte for byte.

    A copy that fails half-way is taken back: files and folders made by this call are removed.

    Raises
    ------
    CourseError
        Naming the file and the reason (disk full, no permission, a file where a folder belongs).
    """
    added: list[str] = []
    kept: list[str] = []
    made: list[Path] = []
    current = target
    try:
        _make_folder(target, made)
        for relative in files(source):
            current = target / relative
            if os.path.lexists(current):
                kept.append(relative.as_posix())
                continue
            _make_folder(current.parent, made)
            _place(source / relative, current, made)
            added.append(relative.as_posix())
    except BaseException as error:
        for path in reversed(made):
            _remove(path)
        if isinstance(error, OSError):
            raise CourseError(_why(error, current), _mend(error, target)) from error
        raise
    return Copied(tuple(added), tuple(kept))


def _make_folder(folder: Path, made: list[Path]) -> None:
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir()
        made.append(path)


def _place(source: Path, target: Path, made: list[Path]) -> None:
    """Copy under a passing name first, so that `target` is whole or absent."""
    passing = target.with_name(f".{target.name}.part-{os.getpid()}")
    made.append(passing)
    shutil.copyfile(source, passing)
    os.chmod(passing, 0o644)
    try:
        os.link(passing, target)  # refuses, unlike rename, where a file has appeared meanwhile
    except FileExistsError:
        passing.unlink()
        made.pop()
    except OSError:  # a file system without hard links
        passing.rename(target)
        made[-1] = target
    else:
        passing.unlink()
        made[-1] = target


def _remove(path: Path) -> None:
    # What cannot go: a folder that meanwhile holds someone's file, a disk gone read-only.
    with contextlib.suppress(OSError):
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


def _why(error: OSError, path: Path) -> str:
    reasons = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "your disk quota is used up",
        errno.EACCES: "no permission to write there",
        errno.EPERM: "no permission to write there",
        errno.EROFS: "the disk is read-only",
        errno.ENOTDIR: "a file stands where a folder is needed",
        errno.EEXIST: "a file stands where a folder is needed",
    }
    return f"could not write {path}: {reasons.get(error.errno or 0, error.strerror or error)}."


def _mend(error: OSError, target: Path) -> str:
    undone = "Nothing was left behind and nothing of yours was touched."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{undone} Free some space (`df -h {_existing(target)}`) and run it again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{undone} Give yourself write permission on {_existing(target)} and run it again."
    return f"{undone} Move the file away and run it again."


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
