"""CSV files that a spreadsheet opens without running anything in them.

A text that begins with ``=``, ``+``, ``-`` or ``@`` is a formula to a spreadsheet, whoever wrote
it; it gets an apostrophe in front, which spreadsheets take for "this is text" (OWASP, CSV
injection). Numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from syslab import saved
from syslab.course.errors import CourseError

FORMULA = tuple("=+-@＝＋－＠")


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """`header` and `rows` as CSV (UTF-8, comma, RFC 4180 quoting), without a last newline."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([cell(name) for name in header])
    writer.writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().removesuffix("\n")


def cell(value: Any) -> str:
    """One cell: numbers plain, None empty, text harmless and on one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value)
    text = one_line(str(value))
    return f"'{text}" if is_formula(text) else text


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would run `text`. A lone ``-`` is a dash, and stands for "no grade"."""
    return text.startswith(FORMULA) and text != "-"


def number(value: float) -> str:
    """A number to four decimals, with a point, without a thousands separator or a bare ``-0``."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def one_line(text: str) -> str:
    """`text` without line breaks and control characters, which a terminal or a sheet obeys."""
    kept = (" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text)
    return " ".join("".join(kept).split())


def write(path: Path | str, text: str) -> Path:
    """Write `text` to `path` whole or not at all.

    Raises
    ------
    CourseError
        Where the place is no good, and where another table lies there: a list of students is
        quickly named by mistake.
    """
    if _is_another(Path(path), text):
        raise CourseError(
            f"{path} is there and holds something else: it was left alone.",
            "Name another file, or remove that one.",
        )
    try:
        return saved.write_whole(path, text)
    except FileNotFoundError as error:
        raise CourseError(
            f"{path} cannot be written: its folder is missing.", f"`mkdir -p {Path(path).parent}`"
        ) from error
    except OSError as error:
        raise CourseError(
            f"{path} cannot be written: {error.strerror or error}.", "Name another file."
        ) from error


def _is_another(path: Path, text: str) -> bool:
    """Whether a file of data lies at `path` that does not begin as `text` does."""
    begin = {".csv": 1, ".json": 2}.get(path.suffix.lower(), 0)
    try:
        there = path.read_text(encoding="utf-8").splitlines()[:begin]
    except (OSError, UnicodeDecodeError) as error:
        return isinstance(error, UnicodeDecodeError) and begin > 0
    return bool(there) and there != text.splitlines()[:begin]
