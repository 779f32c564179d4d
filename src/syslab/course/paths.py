"""Where the course and its local state are."""

import os
from pathlib import Path

from syslab.course.errors import CourseError

MANIFEST = "course.toml"


def root(start: Path | str | None = None) -> Path:
    """Return the course folder: the nearest one upward that holds ``course.toml``.

    Parameters
    ----------
    start : path, optional
        Where to begin looking. Without it the environment variable ``SYSLAB_ROOT`` decides,
        then the current folder, then the folder this package was installed from.

    Raises
    ------
    CourseError
        If no folder upward of ``start`` holds ``course.toml``.
    """
    named = os.environ.get("SYSLAB_ROOT") if start is None else None
    if named:
        folder = Path(named).resolve()
        if not (folder / MANIFEST).is_file():
            raise CourseError(
                f"SYSLAB_ROOT is {named}, where there is no {MANIFEST}.",
                f"Set it to the folder that holds {MANIFEST}, or unset it.",
            )
        return folder
    begin = Path(start if start is not None else Path.cwd()).resolve()
    found = _upward(begin)
    if found is None and start is None:
        found = _upward(Path(__file__).resolve().parent)  # an editable install
    if found is None:
        raise CourseError(
            f"No {MANIFEST} in {begin} or any folder above it.",
            "Run this inside the course folder, or set SYSLAB_ROOT to it.",
        )
    return found


def state_dir(course: Path | None = None) -> Path:
    """Return the folder of local state (``<root>/.syslab`` or ``SYSLAB_STATE``), created.

    Progress, JupyterLab's own settings and caches live here; git ignores it.
    """
    named = os.environ.get("SYSLAB_STATE")
    folder = Path(named).resolve() if named else (course or root()) / ".syslab"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _upward(begin: Path) -> Path | None:
    for folder in (begin, *begin.parents):
        if (folder / MANIFEST).is_file():
            return folder
    return None
