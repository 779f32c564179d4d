"""Reading a folder or a zip that somebody else filled, without being led anywhere else.

A folder is walked through directory descriptors: no symbolic link is ever followed, also when one
is put there between looking and reading. Every size is known to be small enough before a byte is
read. Nothing is ever written. A zip is read from memory and never unpacked to disk.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import zipfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

from syslab.course.assignments import SKIPPED
from syslab.course.errors import CourseError
from syslab.grading.verdicts import Verdict

# Left behind by programs, not handed in by anybody.
DROPPINGS = frozenset(
    {*SKIPPED, "__MACOSX", "Thumbs.db", "desktop.ini", ".git", ".idea", ".vscode", "feedback"}
    | {".virtual_documents", ".jupyter_ystore.db", ".gitignore"}
)
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)


class Refused(CourseError):
    """The submission cannot be graded; `verdict` says why and what its author does next.

    `timestamp` is when it was handed in (UTC), where that is known.
    """

    timestamp: datetime | None = None

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.verdict = Verdict(code, message)


@dataclass(frozen=True)
class Entry:
    """A file seen, not yet read. `fault` is the code of the verdict if it must not be read;
    `written_s` is when it was last written, in seconds since 1970."""

    size_bytes: int
    fault: str = ""
    written_s: float = 0.0


@dataclass
class Files:
    """The files of one submission by relative POSIX path; `read(path, limit)` gives the bytes.

    `deep` names folders that were not entered; `crowded` says that there were more entries than
    the limit, so that only the names asked for were looked up.
    """

    entries: dict[str, Entry]
    read: Callable[[str, int], bytes]
    deep: list[str] = field(default_factory=list)
    crowded: bool = False


# ------------------------------------------------------------------------------------- folder


@contextlib.contextmanager
def opened(folder: Path, wanted: Collection[str], most: int, depth: int) -> Iterator[Files]:
    """The files below `folder`.

    Parameters
    ----------
    wanted
        Names looked up even where the folder holds more than `most` entries.
    most, depth
        Entries looked at in all, and levels of folders.

    Raises
    ------
    Refused
        When `folder` is missing, a link or no folder.
    CourseError
        On a system without the calls that make this safe (Windows).
    """
    if os.open not in os.supports_dir_fd or not hasattr(os, "O_NOFOLLOW"):
        raise CourseError(
            "submissions cannot be read safely on this system.",
            "Grade on Linux or macOS; on Windows, inside WSL.",
        )
    try:
        root = os.open(folder, _FLAGS | os.O_DIRECTORY)
    except OSError as error:
        raise _folder_refused(folder, error) from None
    try:
        files = Files({}, lambda path, limit: _read(root, path, limit))
        _walk(root, files, most, depth)
        if files.crowded:
            files.entries = {name: e for name in sorted(wanted) if (e := _look(root, name))}
        yield files
    finally:
        os.close(root)


def _folder_refused(folder: Path, error: OSError) -> Refused:
    if folder.is_symlink():
        return Refused(
            "link", "Your submission is a link to another folder: hand in the folder itself."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return Refused(
            "unreadable",
            "Your submission's folder may not be opened: run `chmod -R u+rX` on your folder and "
            "hand it in again.",
        )
    return Refused(
        "no-submission", "Nothing was handed in under this name: run `syslab submit` again."
    )


def _walk(root: int, files: Files, most: int, depth: int) -> None:
    pending, seen = [""], 0
    while pending:
        below = pending.pop()
        with contextlib.ExitStack() as stack:
            try:
                here = _descend(root, below, stack)
                listing = stack.enter_context(os.scandir(here))
            except OSError:
                files.entries[below] = Entry(0, "unreadable")
                continue
            for item in listing:
                seen += 1
                if seen > most:
                    files.crowded = True
                    return
                if item.name in DROPPINGS or item.name.startswith("._"):
                    continue
                path = f"{below}/{item.name}" if below else item.name
                try:
                    found = item.stat(follow_symlinks=False)
                except OSError:
                    files.entries[path] = Entry(0, "unreadable")
                    continue
                if not stat.S_ISDIR(found.st_mode):
                    files.entries[path] = _entry(found)
                elif path.count("/") + 1 < depth:
                    pending.append(path)
                else:
                    files.deep.append(path)


def _look(root: int, name: str) -> Entry | None:
    try:
        return _entry(os.stat(name, dir_fd=root, follow_symlinks=False))
    except OSError:
        return None


def _entry(found: os.stat_result) -> Entry:
    if stat.S_ISLNK(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink > 1):
        return Entry(0, "link", found.st_mtime)
    if not stat.S_ISREG(found.st_mode):
        return Entry(0, "not-a-file", found.st_mtime)
    return Entry(found.st_size, "", found.st_mtime)


def _descend(root: int, path: str, stack: contextlib.ExitStack) -> int:
    """A descriptor of the folder `path` below `root`; none of its parts may be a link."""
    here = root
    for part in PurePosixPath(path).parts:
        here = os.open(part, _FLAGS | os.O_DIRECTORY, dir_fd=here)
        stack.callback(os.close, here)
    return here


def _read(root: int, path: str, limit: int) -> bytes:
    """The bytes of a plain file below `root`; never more than `limit` + 1 of them."""
    folder, _, name = path.rpartition("/")
    with contextlib.ExitStack() as stack:
        here = _descend(root, folder, stack)
        # Should a pipe have taken the file's place, opening it must not wait for a writer.
        descriptor = os.open(name, _FLAGS | os.O_NONBLOCK, dir_fd=here)
        file = stack.enter_context(open(descriptor, "rb"))
        if _entry(os.fstat(descriptor)).fault:
            raise OSError(errno.ELOOP, "was replaced while it was read")
        return file.read(limit + 1)


# ---------------------------------------------------------------------------------------- zip


def unzipped(data: bytes, shown: str, most: int, total_bytes: int) -> Files:
    """The files of the zip `data`, called `shown` in messages, held to the limits.

    Raises
    ------
    Refused
        When it is damaged, encrypted, too large unpacked, or holds links or unsafe paths.
    """
    repack = "pack the notebook and its files again with an ordinary zip program"
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = archive.infolist()
    except Exception:  # a damaged directory provokes many kinds of error
        raise Refused(
            "zip-damaged", f"{shown} cannot be read: hand in the notebook itself."
        ) from None
    if len(members) > most or sum(member.file_size for member in members) > total_bytes:
        raise Refused(
            "zip-too-large",
            f"{shown} unpacks to more than {most} files or {size(total_bytes)}: hand in the "
            "notebook itself.",
        )
    by_path: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        path = _safe_path(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if path is None or path in by_path:
            raise Refused(
                "zip-unsafe-path",
                f"{shown} holds a path that leads outside its folder or is there twice: {repack}.",
            )
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise Refused(
                "zip-link", f"{shown} holds a link instead of a file: {repack}, links left out."
            )
        if member.is_dir() or kind == stat.S_IFDIR or _dropped(path):
            continue
        if member.flag_bits & 0x1:
            raise Refused("zip-encrypted", f"{shown} asks for a password: {repack}, without one.")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refused("zip-damaged", f"{shown} uses an unusual compression: {repack}.")
        by_path[path] = member
    for path in by_path:
        if any(str(parent) in by_path for parent in PurePosixPath(path).parents):
            raise Refused(
                "zip-unsafe-path", f"{shown} holds a file and a folder of one name: {repack}."
            )

    def read(path: str, limit: int) -> bytes:
        try:
            with archive.open(by_path[path]) as file:
                return file.read(limit + 1)
        except Exception as error:  # a wrong checksum, a header that lies
            raise Refused("zip-damaged", f"{shown} is damaged: {repack}.") from error

    return Files({path: Entry(member.file_size) for path, member in by_path.items()}, read)


def _safe_path(name: str) -> str | None:
    """The path as POSIX, None when it is absolute or climbs out."""
    name = name.replace("\\", "/")  # some programs for Windows write it so
    parts = PurePosixPath(name).parts
    drive = bool(parts) and len(parts[0]) == 2 and parts[0][1] == ":"
    bad = not parts or drive or name.startswith("/") or ".." in parts or "\0" in name
    return None if bad else "/".join(parts)


def _dropped(path: str) -> bool:
    parts = path.split("/")
    return any(part in DROPPINGS for part in parts) or parts[-1].startswith("._")


# -------------------------------------------------------------------------------------- words


def shown(name: str) -> str:
    """A file name as it may stand in a message: letters, digits and a little more, not too long."""
    clean = "".join(c if c.isalnum() or c in " ._-()+,=@~/" else "?" for c in name)
    return clean if len(clean) <= 60 else clean[:45] + "…" + clean[-14:]


def size(count_bytes: int) -> str:
    """Bytes in words: ``32 MiB``."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count_bytes >= factor:
            return f"{count_bytes / factor:.3g} {unit}"
    return f"{count_bytes} bytes"
