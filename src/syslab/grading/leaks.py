"""The leak gate: nothing released may carry a solution, a hidden test or an author's output.

Every file of every type is looked into: text, every string of a notebook or other JSON, base64
(attachments, data URIs), zip and tar members, gzip, bzip2 and xz streams, a few levels deep.
Files that nobody listed are refused whatever they hold.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import gzip
import io
import json
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HELPERS = "helpers.txt"
MIN_LENGTH = 20  # of a secret line, blanks collapsed; shorter ones appear by chance
MIN_LETTERS = 8
MAX_DEPTH = 4
MAX_UNPACKED_BYTES = 200_000_000

_MARKERS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN", "END HIDDEN", "BEGIN MARK SCHEME")
_REGIONS = (
    ("solution", "BEGIN SOLUTION", "END SOLUTION"),
    ("hidden test", "BEGIN HIDDEN TESTS", "END HIDDEN TESTS"),
    ("mark scheme", "BEGIN MARK SCHEME", "END MARK SCHEME"),
)
_TWIN = re.compile(r"^#?\s*jupytext:|^# jupyter:\s*$|\"jupytext\"\s*:|^# %%", re.MULTILINE)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/_-]{4}\s*){10,}[A-Za-z0-9+/_-]{0,3}={0,2}")


@dataclass(frozen=True)
class Finding:
    """One leak: the released file (and cell or member in it), the kind, and what it is."""

    file: str
    where: str
    kind: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file} [{self.where}]" if self.where else self.file
        return f"{place}: {self.kind}: {self.message}"


@dataclass(frozen=True)
class Secret:
    """A line that must not be released, blanks collapsed, and where it comes from."""

    line: str
    kind: str
    cell: str


def scan(source_dir: Path | str, release_dir: Path | str) -> list[Finding]:
    """All leaks in `release_dir`, given the instructor's folder it was made from.

    Raises
    ------
    FileNotFoundError
        When one of the folders does not exist.
    """
    source_dir, release_dir = Path(source_dir), Path(release_dir)
    for folder in (source_dir, release_dir):
        if not folder.is_dir():
            raise FileNotFoundError(folder)
    secrets = secret_lines(source_dir)
    allowed = allowed_files(source_dir)
    findings: list[Finding] = []
    for path in sorted(release_dir.rglob("*")):
        name = path.relative_to(release_dir).as_posix()
        if path.is_symlink():
            findings.append(Finding(name, "", "link", "a symbolic link: copy the file"))
            continue
        if not path.is_file():
            continue
        if name not in allowed:
            findings.append(
                Finding(
                    name,
                    "",
                    "unlisted file",
                    f"only notebooks and files named in {HELPERS} are released: list it there or "
                    "keep it out of the source folder",
                )
            )
        content = path.read_bytes()
        if path.suffix == ".ipynb":
            findings.extend(_notebook(name, content))
        for where, text in _texts(content, name):
            findings.extend(_text(name, where, text, secrets))
    return sorted(set(findings), key=lambda f: (f.file, f.where, f.kind, f.message))


def allowed_files(source_dir: Path) -> set[str]:
    """Names that may be released: the source's notebooks and what its helper list names."""
    names = {p.relative_to(source_dir).as_posix() for p in source_dir.rglob("[!.]*.ipynb")}
    listing = source_dir / HELPERS
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8").splitlines():
            line = line.partition("#")[0].removeprefix("own:").strip()
            if line:
                names.add(line)
    return names


def secret_lines(source_dir: Path) -> list[Secret]:
    """Lines of solutions, hidden tests and mark schemes that are nowhere in the public text."""
    import nbformat

    secrets: list[Secret] = []
    public: list[str] = []
    for path in sorted(source_dir.rglob("[!.]*.ipynb")):
        for index, cell in enumerate(nbformat.read(path, as_version=4).cells):
            name = cell.metadata.get("nbgrader", {}).get("grade_id") or f"cell {index}"
            shown, hidden = _split(cell)
            public += shown
            secrets += [Secret(_plain(line), kind, name) for kind, line in hidden]
    for name in allowed_files(source_dir):
        helper = source_dir / name
        if helper.is_file() and helper.suffix != ".ipynb":
            public.append(helper.read_bytes().decode("utf-8", "replace"))
    shown_text = "\n".join(_plain(text) for text in public)
    return [
        secret
        for secret in secrets
        if len(secret.line) >= MIN_LENGTH
        and sum(map(str.isalnum, secret.line)) >= MIN_LETTERS
        and secret.line not in shown_text
    ]


def _split(cell: Any) -> tuple[list[str], list[tuple[str, str]]]:
    """The public lines of a source cell, and its secret ones with their kind."""
    shown: list[str] = []
    hidden: list[tuple[str, str]] = []
    inside = ""
    for line in cell.source.split("\n"):
        opened = next((kind for kind, begin, _ in _REGIONS if begin in line), "")
        closed = any(end in line for _, _, end in _REGIONS)
        if opened or closed:
            inside = opened
        elif inside:
            hidden.append((inside, line))
        else:
            shown.append(line)
    meta = cell.metadata.get("nbgrader", {})
    if meta.get("solution") and not any(kind == "solution" for kind, _ in hidden):
        # nbgrader blanks the whole cell when no region is marked
        return [], [("solution", line) for line in shown] + hidden
    return shown, hidden


def _plain(text: str) -> str:
    return " ".join(text.split())


# -------------------------------------------------------------------------------- what is looked at


def _notebook(name: str, content: bytes) -> Iterator[Finding]:
    try:
        notebook = json.loads(content)
        cells = notebook["cells"]
    except (ValueError, KeyError, TypeError):
        yield Finding(name, "", "unreadable", "not a version 4 notebook")
        return
    if "jupytext" in notebook.get("metadata", {}):
        yield Finding(name, "metadata", "paired text", "the jupytext key brings a twin file back")
    for index, cell in enumerate(cells):
        where = cell.get("metadata", {}).get("nbgrader", {}).get("grade_id") or f"cell {index}"
        if cell.get("outputs"):
            yield Finding(name, where, "output", "outputs of the author's run are released")
        if cell.get("execution_count") is not None:
            yield Finding(name, where, "output", "the author's execution count is released")
        if "execution" in cell.get("metadata", {}):
            yield Finding(name, where, "output", "the time of the author's run is released")


def _text(name: str, where: str, text: str, secrets: list[Secret]) -> Iterator[Finding]:
    for marker in _MARKERS:
        if marker in text:
            yield Finding(name, where, "marker", f"{marker!r} is released")
    if _TWIN.search(text):
        yield Finding(name, where, "paired text", "a jupytext header or cell marker is released")
    plain = _plain(text)
    for secret in secrets:
        if secret.line in plain:
            message = f"a line of `{secret.cell}`: {secret.line[:60]!r}"
            yield Finding(name, where, secret.kind, message)


def _texts(content: bytes, name: str) -> Iterator[tuple[str, str]]:
    """Every text in a file: (member or cell, text)."""
    yield from _unpack(content, "", 0)


def _unpack(content: bytes, where: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > MAX_DEPTH:
        return
    for member, inner in _members(content):
        yield from _unpack(inner, f"{where}{member}", depth + 1)
    text = _decode(content)
    yield where, text
    pieces = [("", text)]
    stripped = text.lstrip("\ufeff \n\t")
    if stripped[:1] in ("{", "["):
        try:
            pieces = [*_strings(json.loads(stripped), "")]
        except (ValueError, RecursionError):
            pass
        else:
            yield from ((f"{where}{place}", string) for place, string in pieces)
    for place, piece in pieces:
        for match in _BASE64.finditer(piece):
            inner = _from_base64(match.group())
            if inner is not None:
                yield from _unpack(inner, f"{where}{place} base64: ".lstrip(), depth + 1)


def _decode(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _strings(data: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every string of parsed JSON, keys too; lines of a list are also read joined."""
    if isinstance(data, str):
        yield place, data
    elif isinstance(data, list):
        if data and all(isinstance(item, str) for item in data):
            yield place, "".join(data)
        for index, item in enumerate(data):
            label = place
            if isinstance(item, dict) and "cell_type" in item:
                meta = item.get("metadata")
                mark = meta.get("nbgrader") if isinstance(meta, dict) else None
                label = (mark or {}).get("grade_id") or f"cell {index}"
            yield from _strings(item, label)
    elif isinstance(data, dict):
        for key, item in data.items():
            yield place, str(key)
            yield from _strings(item, place or str(key))


def _from_base64(text: str) -> bytes | None:
    compact = re.sub(r"\s", "", text)
    for decode in (base64.b64decode, base64.urlsafe_b64decode):
        try:
            return decode(compact + "=" * (-len(compact) % 4))
        except (binascii.Error, ValueError):
            continue
    return None


def _members(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Files packed in `content`, whatever the file was called."""
    left = MAX_UNPACKED_BYTES
    try:
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for info in archive.infolist():
                    left -= info.file_size
                    if left < 0:
                        break
                    yield f"{info.filename}: ", archive.read(info)
            return
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error):
        return
    unpackers = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open))
    for magic, unpack in unpackers:
        if content.startswith(magic):
            try:
                with unpack(io.BytesIO(content)) as stream:
                    yield "unpacked: ", stream.read(MAX_UNPACKED_BYTES)
            except (OSError, EOFError, lzma.LZMAError, zlib.error):
                pass
            return
    if content[257:262] == b"ustar":
        try:
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                for info in archive:
                    stream = archive.extractfile(info)
                    if stream is not None:
                        yield f"{info.name}: ", stream.read(MAX_UNPACKED_BYTES)
        except tarfile.TarError:
            return
    if content.startswith(b"\x89PNG"):
        yield from _png_texts(content)


def _png_texts(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Compressed text chunks of a PNG (zTXt, iTXt); plain ones are seen in the bytes."""
    at = 8
    while at + 8 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        if kind in (b"zTXt", b"iTXt"):
            packed = body.partition(b"\x00")[2].lstrip(b"\x00\x01")
            for start in range(min(len(packed), 80)):
                if packed[start : start + 1] == b"\x78":
                    try:
                        yield f"{kind.decode()} chunk: ", zlib.decompress(packed[start:])
                        break
                    except zlib.error:
                        continue
        at += 12 + size
