"""A pull request: files before and after, read from TOML."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path

from syslab.review import diffs


@dataclass(frozen=True)
class File:
    """One changed file: path and its whole text before (empty: a new file) and after."""

    path: str
    before: str = field(repr=False)
    after: str = field(repr=False)

    @cached_property
    def changed(self) -> frozenset[int]:
        """Lines of the new file that are new, or that stand beside something removed."""
        return diffs.changed(self.before, self.after)


@dataclass(frozen=True)
class Pull:
    """A change that somebody asks you to review."""

    name: str
    title: str
    description: str = field(repr=False)
    files: tuple[File, ...] = field(repr=False)

    def file(self, path: str) -> File:
        """The file at `path`.

        Raises
        ------
        KeyError
            When the pull request does not change it.
        """
        for each in self.files:
            if each.path == path:
                return each
        raise KeyError(f"{self.name} has no file {path!r}; it has {[f.path for f in self.files]}")

    @property
    def diff(self) -> str:
        """All files as text: line number of the new file, a mark (+, - or none), the line."""
        return self.show().text

    @property
    def size_lines(self) -> int:
        """Lines added plus lines removed."""
        return sum(diffs.size(each.before, each.after) for each in self.files)

    def show(self, context: int | None = 8) -> diffs.Diff:
        """What to read in a notebook: title, description and difference.

        Parameters
        ----------
        context : int, optional
            Unchanged lines around each change; None: whole files.
        """
        return diffs.render(self, context)

    def write(self, folder: str | Path, before: bool = False) -> Path:
        """Write the files below `folder`, to run or to open in an editor; returns the folder."""
        return write_tree(
            {each.path: each.before if before else each.after for each in self.files}, folder
        )


def write_tree(tree: dict[str, str], folder: str | Path) -> Path:
    """Write `tree` (path -> text; empty text: no such file) below `folder`."""
    for path, text in tree.items():
        if text:
            target = Path(folder) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    return Path(folder)


def pulls(folder: str | Path | None = None) -> tuple[str, ...]:
    """Names of the pull requests of the package, or of another `folder` with ``pulls/`` in it."""
    found = _place(folder, "pulls").iterdir()
    return tuple(sorted(each.name[:-5] for each in found if each.name.endswith(".toml")))


def pull(name: str, folder: str | Path | None = None) -> Pull:
    """Read the pull request `name`.

    Raises
    ------
    KeyError
        When there is none of that name.
    ValueError
        When its file does not have the documented form.
    """
    known = pulls(folder)
    if name not in known:
        raise KeyError(f"there is no pull request {name!r}; there are {', '.join(known)}")
    place = _place(folder, "pulls") / f"{name}.toml"
    return read_pull(name, place.read_text(encoding="utf-8"))


def read_pull(name: str, text: str) -> Pull:
    """Read a pull request from the `text` of its TOML file."""
    data = tomllib.loads(text)
    allowed(data, {"title", "description", "file"}, set(), f"pull request {name}")
    files = []
    for number, entry in enumerate(data["file"], 1):
        allowed(entry, {"path", "before", "after"}, set(), f"pull request {name}, file {number}")
        files.append(File(entry["path"], entry["before"], entry["after"]))
    return Pull(name, data["title"], data["description"].strip(), tuple(files))


def allowed(data: dict, needed: set[str], optional: set[str], where: str) -> None:
    """Raise ValueError where keys of `data` are missing or unknown."""
    for key in sorted(needed - set(data)):
        raise ValueError(f"{where}: {key!r} is missing")
    for key in sorted(set(data) - needed - optional):
        legal = ", ".join(sorted(needed | optional))
        raise ValueError(f"{where}: {key!r} is unknown; the keys are {legal}")


def _place(folder: str | Path | None, kind: str):
    if folder is None:
        return resources.files("syslab.review") / "data" / kind
    return Path(folder) / kind
