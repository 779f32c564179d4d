"""The learner's own results: where a bench puts them, and where a graded notebook finds them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from syslab.course import paths


def own_results(name: str) -> Path:
    """Where a bench saves its results `name`: ``work/`` in the course, created if need be.

    An older file of that name is kept as ``<stem>.before<suffix>``. In runs that leave no
    record (``SYSLAB_NO_PROGRESS=1``: checks of the notebooks themselves) the place is the
    state folder, so that nobody's results are replaced.
    """
    scratch = os.environ.get("SYSLAB_NO_PROGRESS") == "1"
    folder = paths.state_dir() if scratch else paths.root() / "work"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name
    if target.exists():
        shutil.copy2(target, target.with_name(f"{target.stem}.before{target.suffix}"))
    return target


def own_file(name: str, recorded: str, folder: str | Path = ".") -> Path:
    """Path of the learner's file `name`, or of `recorded` where there is none.

    A bench saves its results one folder above the assignment (``work/``). The newest are
    copied in, so that they are handed in with the notebook.

    Raises
    ------
    FileNotFoundError
        When neither file exists.
    """
    folder = Path(folder)
    mine, outside, fallback = folder / name, folder.resolve().parent / name, folder / recorded
    if outside.exists() and (not mine.exists() or outside.stat().st_mtime > mine.stat().st_mtime):
        shutil.copy2(outside, mine)
    if mine.exists():
        print(f"using your own {name}")
        return mine
    if not fallback.exists():
        raise FileNotFoundError(
            f"neither {name} nor {recorded} is here: run `syslab start` again to restore it"
        )
    print(f"using {recorded}: run the bench to use your own machine's results")
    return fallback
