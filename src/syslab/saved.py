"""Measurements kept in a JSON file: written whole or not at all, read with a schema."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path


def write_whole(path: str | os.PathLike, text: str) -> Path:
    """Write `text` and a newline to `path`, whole or not at all, replacing an older file.

    Raises
    ------
    FileNotFoundError
        The folder is missing.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"path={str(path)!r}: folder {str(path.parent)!r} is missing; create it first"
        )
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return path


def read_json(path: str | os.PathLike, schema: str, absent: str, again: str) -> dict:
    """Return the mapping in `path`, whose ``schema`` must be `schema`.

    `absent` says what to do when there is no such file (FileNotFoundError), `again` when it is
    damaged or of another kind (ValueError).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path={str(path)!r}: {absent}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}); {again}") from error
    found = data.get("schema") if isinstance(data, dict) else None
    if found != schema:
        raise ValueError(f"{path} has schema {found!r} instead of {schema!r}; {again}")
    return data
