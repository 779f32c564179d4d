"""Take in what somebody handed in: a folder nobody vouches for becomes clean data or a verdict.

This is the only code that touches a submission's folder. It changes nothing there, follows no
link, and reads nothing whose size it has not bounded. Everything after it works with notebooks
built anew and with files in memory.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from syslab.grading import untrusted_files, untrusted_notebook
from syslab.grading.untrusted_files import Files, Refused, shown, size
from syslab.grading.untrusted_notebook import Read
from syslab.grading.verdicts import Verdict

__all__ = ["Intake", "IntakeLimits", "Refused", "Verdict", "read"]

TIMESTAMP = "timestamp.txt"
_NOTEBOOKS = (".ipynb", ".ipynb.txt", ".ipynb.json", ".ipynb.download")
_ARCHIVES = (".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_IMPORTABLE = (".py", ".pyw", ".pyc", ".pyo", ".so", ".pyd")
# Files that Python programs pick up from the working directory without being asked.
_PICKED_UP = ("matplotlibrc", "pytest.ini", "tox.ini", "setup.cfg", "pyproject.toml")
_PICKED_UP_ENDS = (".pth", ".egg-link", "_config.py", "_config.json")
_PICKED_UP_FOLDERS = (".dist-info", ".egg-info", ".egg")
# Formgrader serves what lies beside a notebook, in the marker's session.
_PAGES = (".html", ".htm", ".xhtml", ".xht", ".svg", ".svgz", ".xml", ".mhtml", ".js", ".mjs")
_NEVER_IMPORTED = frozenset({"syslab", "conftest", "sitecustomize", "usercustomize", "__main__"})
_SKEW_S = 600  # a clock may be off by this much
_MOST_CANDIDATES = 20
_ENOUGH_CELLS = 0.5  # share of an assignment's cells by which its notebook is recognised


@dataclass(frozen=True)
class IntakeLimits:
    """How much of a submission is read: bytes of one notebook, of one other file and in all,
    entries and levels of its folders, and cells of a notebook."""

    notebook_bytes: int = 64 * 2**20
    file_bytes: int = 32 * 2**20
    total_bytes: int = 160 * 2**20
    entries: int = 2000
    depth: int = 8
    cells: int = 2000


@dataclass(frozen=True)
class Intake:
    """A submission made safe to handle.

    Attributes
    ----------
    notebooks
        By the file name the assignment gives them; without outputs.
    files
        Relative POSIX path -> content: what else was handed in and may lie beside the notebook.
    notes
        Oddities that were mended, and those a person should look at.
    timestamp
        When it was handed in (UTC, without zone, as nbgrader stores it); None where unknown.
    """

    notebooks: dict[str, Any]
    files: dict[str, bytes]
    notes: tuple[Verdict, ...] = ()
    timestamp: datetime | None = None

    @property
    def flagged(self) -> bool:
        """Whether a person should look at it before its points are returned."""
        return any(note.flagged for note in self.notes)


def read(
    folder: Path,
    expected: Mapping[str, Collection[str]],
    limits: IntakeLimits | None = None,
    *,
    own: Collection[str] = (),
    provided: Collection[str] = (),
    now: datetime | None = None,
) -> Intake:
    """Read one submission.

    Parameters
    ----------
    folder
        Where the submission lies.
    expected
        File name of each notebook of the assignment -> all its grade ids.
    own
        Files the learner replaces with their own; taken even where there are too many others.
    provided
        The assignment's other files: the course's copies are used, so these are not read.
    now
        The present time (UTC); the clock's by default.

    Raises
    ------
    Refused
        When nothing can be graded; ``.verdict`` says why and what the learner does next.
    """
    return _Reading(expected, limits or IntakeLimits(), frozenset(own), frozenset(provided)).read(
        Path(folder), now or datetime.now(UTC)
    )


@dataclass
class _Reading:
    """One run of `read`: what it was asked, what it noted, and the bytes it may still read."""

    expected: Mapping[str, Collection[str]]
    limits: IntakeLimits
    own: frozenset[str]
    provided: frozenset[str]
    notes: list[Verdict] = field(default_factory=list)
    budget_bytes: int = 0

    def read(self, folder: Path, now: datetime) -> Intake:
        self.budget_bytes = self.limits.total_bytes
        wanted = {*self.expected, *self.own, TIMESTAMP}
        most, depth = self.limits.entries, self.limits.depth
        with untrusted_files.opened(folder, wanted, most, depth) as files:
            timestamp = self._timestamp(files, now)
            try:
                source = self._source(files)
                base = self._base(source)
                notebooks, taken = self._notebooks(source, base)
                others = self._others(source, base, taken)
            except Refused as refused:
                refused.timestamp = timestamp
                raise
        unique = list(dict.fromkeys(self.notes))
        return Intake(notebooks, others, tuple(unique), timestamp)

    def _note(self, code: str, message: str) -> None:
        self.notes.append(Verdict(code, message))

    # -- when ------------------------------------------------------------------------------

    def _timestamp(self, files: Files, now: datetime) -> datetime | None:
        """As nbgrader reads it; the file's own time where that is nonsense or yet to come."""
        from nbgrader.utils import parse_utc

        if TIMESTAMP not in files.entries:
            return None
        now = now.astimezone(UTC).replace(tzinfo=None)
        fallback = min(_moment(files.entries[TIMESTAMP].written_s), now)
        try:
            if files.entries[TIMESTAMP].fault:
                raise ValueError(TIMESTAMP)
            text = files.read(TIMESTAMP, 100).decode("ascii").strip()
            claimed = parse_utc(text)
            late_s = (claimed - now).total_seconds()
        except Exception:  # a link, a novel, or anything dateutil stumbles over
            self._note(
                "time-mended",
                "The time of handing in could not be read, so that of the file counts: hand in "
                "with `syslab submit`.",
            )
            return fallback
        if late_s > _SKEW_S:
            self._note(
                "time-future",
                "By its own account this was handed in in the future, so the time of the file "
                "counts: set your computer's clock.",
            )
            return fallback
        return claimed

    # -- where -----------------------------------------------------------------------------

    def _source(self, files: Files) -> Files:
        """The folder's files, or those of the zip that lies there in their place."""
        if any(_is_notebook(path) for path in files.entries):
            return files
        zips = sorted(p for p in files.entries if p.lower().endswith(".zip"))
        if not zips:
            packed = sorted(p for p in files.entries if p.lower().endswith(_ARCHIVES))
            if packed:
                raise Refused(
                    "archive-kind",
                    f"{shown(packed[0])} is not a zip: hand in the notebook itself.",
                )
            return files
        if len(zips) > 1:
            raise Refused(
                "several-archives",
                f"There are {len(zips)} zips and no notebook: hand in the notebook itself.",
            )
        name = shown(zips[0])
        data = self._bytes(files, zips[0], self.limits.file_bytes, "zip-too-large")
        inside = untrusted_files.unzipped(data, name, self.limits.entries, self.budget_bytes)
        if not any(_is_notebook(path) for path in inside.entries):
            nested = any(path.lower().endswith(".zip") for path in inside.entries)
            code = "zip-nested" if nested else "no-notebook"
            what = "another zip" if nested else "no notebook"
            raise Refused(code, f"{name} holds {what}: hand in the notebook itself.")
        self._note(
            "zip-opened",
            f"{name} was unpacked for grading: hand in the files themselves next time.",
        )
        return inside

    def _base(self, files: Files) -> str:
        """The folder the notebooks lie in, "" or with a slash at its end."""
        if any(name in files.entries for name in self.expected):
            return ""
        found = {path.rpartition("/")[0] for path in files.entries if _name(path) in self.expected}
        if not found:
            found = {path.rpartition("/")[0] for path in files.entries if _is_notebook(path)}
        if len(found) != 1 or found == {""}:
            return ""
        base = found.pop()
        self._note(
            "folder-nested",
            f"The files were taken from the folder {shown(base)}: hand in its contents next time.",
        )
        return f"{base}/"

    # -- notebooks -------------------------------------------------------------------------

    def _notebooks(self, files: Files, base: str) -> tuple[dict[str, Any], set[str]]:
        """The notebooks by their expected names, and the paths they were read from."""
        known = {base + name for name in self.expected}
        candidates = sorted(p for p in files.entries if _is_notebook(p) and p not in known)
        others: dict[str, Read | Refused] = {}
        for path in candidates[:_MOST_CANDIDATES]:
            try:
                others[path] = self._parse(files, path)
            except Refused as refused:
                others[path] = refused
        notebooks: dict[str, Any] = {}
        faults: list[Verdict] = []
        taken = set(known)
        for name in self.expected:
            try:
                path, found = self._find(files, base + name, others)
            except Refused as refused:
                faults.append(refused.verdict)
                continue
            taken.add(path)
            self.notes += found.notes
            self.notes += untrusted_notebook.settle(found, self.expected[name], _name(path))
            notebooks[name] = found.notebook
        if not notebooks:
            raise Refused(faults[0].code, faults[0].message)
        for fault in faults:
            self._note("notebook-missing", fault.message)
        return notebooks, taken

    def _find(
        self, files: Files, path: str, others: Mapping[str, Read | Refused]
    ) -> tuple[str, Read]:
        """The notebook that belongs at `path`, and where it was found."""
        name = _name(path)
        ids = set(self.expected[name])
        near = {
            other: found
            for other, found in others.items()
            if isinstance(found, Read) and len(found.grade_ids & ids) >= _ENOUGH_CELLS * len(ids)
        }
        if path in files.entries:
            found = self._parse(files, path)
            fuller = [other for other in near if _fuller(near[other], found, ids)]
            if fuller:
                self._note(
                    "several-notebooks",
                    f"{shown(name)} was graded, but {shown(_name(fuller[0]))} holds more "
                    f"answers: if that is your work, hand it in as {shown(name)}.",
                )
            return path, found
        if not near:
            self._refuse_without(files, name, others)
            near = self._only_alike(name, others)
        chosen = self._choose(name, ids, near)
        self._note(
            "notebook-renamed",
            f"{shown(_name(chosen))} was taken for {shown(name)} by its cells: keep the name "
            "next time.",
        )
        return chosen, near[chosen]

    def _choose(self, name: str, ids: set[str], near: Mapping[str, Read]) -> str:
        """Of several renamed versions the one with most answers; a draw is not decided here."""
        ranked = sorted(near, key=lambda path: (-_answered(near[path], ids), path))
        best = [p for p in ranked if _answered(near[p], ids) == _answered(near[ranked[0]], ids)]
        same = {tuple(sorted(near[p].answers.items())) for p in best}
        listed = ", ".join(shown(_name(path)) for path in ranked[:5])
        if len(same) > 1:
            raise Refused(
                "which-notebook",
                f"{shown(name)} is missing and there are several versions of it ({listed}): hand "
                f"in the right one as {shown(name)}.",
            )
        if len(near) > len(best):
            self._note(
                "several-notebooks",
                f"Of several versions ({listed}) {shown(_name(ranked[0]))} was graded, which has "
                f"most answers: hand in one, called {shown(name)}.",
            )
        return best[0]

    def _refuse_without(
        self, files: Files, name: str, others: Mapping[str, Read | Refused]
    ) -> None:
        """Say why there is no notebook, unless the only one merely lost its marks."""
        if files.crowded:
            raise Refused(
                "too-many-files",
                f"There are more than {self.limits.entries} files and no {shown(name)}: hand in "
                "the notebook and what it needs, nothing else.",
            )
        if len(others) == 1:
            (only,) = others.values()
            if isinstance(only, Refused):
                raise only
        if not self._only_alike(name, others):
            raise Refused(
                "no-notebook",
                f"{shown(name)} is missing and no other notebook has its cells: put it back and "
                "hand it in again.",
            )

    def _only_alike(self, name: str, others: Mapping[str, Read | Refused]) -> dict[str, Read]:
        """The only notebook there is, when its name begins alike and it has no marks at all."""
        stem = name.removesuffix(".ipynb").lower()
        alike = {
            path: found
            for path, found in others.items()
            if isinstance(found, Read)
            and not found.grade_ids
            and _name(path).lower().startswith(stem)
        }
        return alike if len(alike) == len(others) == len(self.expected) == 1 else {}

    def _parse(self, files: Files, path: str) -> Read:
        limit = self.limits.notebook_bytes
        data = self._bytes(files, path, limit, "notebook-too-large")
        return untrusted_notebook.parse(data, _name(path), self.limits.cells)

    def _bytes(self, files: Files, path: str, limit: int, too_large: str) -> bytes:
        """The content of a file that grading cannot do without."""
        name, fault = shown(_name(path)), files.entries[path].fault
        said = {
            "link": f"{name} is a link to another file: hand in the file itself.",
            "not-a-file": f"{name} is no ordinary file: remove it and hand in the notebook.",
            "unreadable": f"{name} may not be read: run `chmod u+r` on it and hand it in again.",
        }
        if fault:
            raise Refused(fault, said[fault])
        limit = min(limit, self.budget_bytes)
        data = b""
        if files.entries[path].size_bytes <= limit:
            try:
                data = files.read(path, limit)
            except OSError:
                raise Refused("unreadable", said["unreadable"]) from None
        if files.entries[path].size_bytes > limit or len(data) > limit:
            raise Refused(
                too_large,
                f"{name} is larger than {size(limit)}: clear its outputs (Clear Outputs of "
                "All Cells in the Edit menu), save it and hand it in again.",
            )
        self.budget_bytes -= len(data)
        return data

    # -- other files -----------------------------------------------------------------------

    def _others(self, files: Files, base: str, taken: set[str]) -> dict[str, bytes]:
        """What else may lie beside the notebooks, own files first; the rest is noted."""
        left: dict[str, list[str]] = {"deep-left-out": list(files.deep)} if files.deep else {}
        found: dict[str, bytes] = {}
        paths = sorted(p for p in files.entries if p.startswith(base) and p not in taken)
        for path in sorted(paths, key=lambda p: p[len(base) :] not in self.own):
            place = path[len(base) :]
            ours = place in self.provided and place not in self.own
            if path == TIMESTAMP or ours or _is_notebook(path):
                continue
            code = self._why_not(place, files.entries[path].fault)
            if not code:
                limit = min(self.limits.file_bytes, self.budget_bytes)
                code, data = self._side_file(files, path, limit)
                if not code:
                    self.budget_bytes -= len(data)
                    found[place] = data
                    continue
            left.setdefault(code, []).append(place)
        for code, places in left.items():
            self._note(code, _LEFT_OUT[code].format(_listed(places)))
        if files.crowded:
            self._note(
                "crowd-left-out",
                f"There are more than {self.limits.entries} files, so only the notebook was "
                "taken: hand in what it needs and nothing else.",
            )
        return found

    def _why_not(self, place: str, fault: str) -> str:
        parts = place.split("/")
        if fault:
            return "unreadable-left-out" if fault == "unreadable" else "special-left-out"
        if len(parts) > self.limits.depth:
            return "deep-left-out"
        if any(not _plain_name(part) for part in parts):
            return "name-left-out"
        if any(part.startswith(".") for part in parts):
            return "hidden-left-out"
        if place not in self.own and (self._in_the_way(place) or _shadows(parts)):
            return "shadow-left-out"
        if place not in self.own and parts[-1].lower().endswith(_PAGES):
            return "page-left-out"
        return ""

    def _in_the_way(self, place: str) -> bool:
        """Whether a folder would stand where the course puts a file, or the other way round."""
        ours = {*self.provided, *self.own, *self.expected, TIMESTAMP}
        above = {str(parent) for parent in PurePosixPath(place).parents}
        return bool(above & ours) or any(name.startswith(f"{place}/") for name in ours)

    def _side_file(self, files: Files, path: str, limit: int) -> tuple[str, bytes]:
        if files.entries[path].size_bytes > limit:
            return "large-left-out", b""
        try:
            data = files.read(path, limit)
        except OSError:
            return "unreadable-left-out", b""
        return ("large-left-out", b"") if len(data) > limit else ("", data)


_LEFT_OUT = {
    "special-left-out": "{} is no ordinary file and was left out: hand in the file itself.",
    "unreadable-left-out": "{} may not be read and was left out: run `chmod u+r` on it.",
    "hidden-left-out": "{} is a hidden file and was left out: give it a name without a dot.",
    "name-left-out": "{} has odd characters in its name and was left out: rename it.",
    "shadow-left-out": "{} would take the place of a module or its settings and was left out: "
    "rename it.",
    "page-left-out": "{} is a page that could act in the marker's browser and was left out: hand "
    "in a picture or a text.",
    "large-left-out": "{} is too large and was left out: hand in less.",
    "deep-left-out": "{} lies too deep and was left out: use fewer folders.",
}


def _listed(places: list[str]) -> str:
    more = len(places) - 3
    return ", ".join(shown(p) for p in places[:3]) + (f" and {more} more" if more > 0 else "")


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _is_notebook(path: str) -> bool:
    name = _name(path).lower()
    return name.endswith(_NOTEBOOKS) and not name.startswith(".")


def _plain_name(part: str) -> bool:
    return (
        part.isprintable()
        and part == part.strip()
        and "\\" not in part
        and len(os.fsencode(part)) <= 200
    )


def _shadows(parts: list[str]) -> bool:
    """Whether Python would take this file for a module it knows, or for its settings."""
    top, last = parts[0].lower(), parts[-1].lower()
    if len(parts) > 1 and top.endswith(_PICKED_UP_FOLDERS):
        return True
    if last in _PICKED_UP or last.endswith(_PICKED_UP_ENDS):
        return True
    return last.endswith(_IMPORTABLE) and parts[0].split(".")[0] in _modules()


@functools.cache
def _modules() -> frozenset[str]:
    """Top-level modules of Python and of the packages installed beside it."""
    import sysconfig

    found = set(sys.stdlib_module_names) | _NEVER_IMPORTED
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        found |= {name.split(".")[0] for name in os.listdir(place) if _importable(name)}
    return frozenset(found)


def _importable(name: str) -> bool:
    return "-" not in name and ("." not in name or name.endswith(_IMPORTABLE))


def _answered(found: Read, ids: set[str]) -> int:
    return len(found.answers.keys() & ids)


def _fuller(other: Read, graded: Read, ids: set[str]) -> bool:
    """Whether `other` answers something that `graded` leaves open."""
    return bool(other.answers.keys() & ids - graded.answers.keys())


def _moment(seconds: float) -> datetime:
    """UTC without zone; a file may claim to be from any time at all."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), 4e9), UTC).replace(tzinfo=None)
