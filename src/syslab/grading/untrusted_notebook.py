"""A notebook from anywhere, made anew from the little of it that grading needs.

Nothing of the submitted structure is handed on: a fresh notebook is built from the text of the
cells, the grade ids and pasted pictures. Outputs, tags and other metadata stay behind.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from syslab.course.scores import is_answered
from syslab.grading.untrusted_files import Refused, shown
from syslab.grading.verdicts import Verdict

_MERGE = re.compile(r"^(<{7}|>{7})(?: |$)", re.MULTILINE)
_CELL_ID = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
_LONGEST_INTEGER = 20  # digits; nothing in a notebook counts further
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
# What makes a page act when a marker opens it: elements, handlers, addresses that run.
_ACTIVE = re.compile(
    r"<(script|iframe|object|embed|form|meta|base|link|style|svg|math|input|button)\b"
    r"|<[a-z][^<>]{0,2000}[\s/\"']on[a-z]{3,30}\s{0,9}=|(javascript|vbscript)\s{0,9}:|data:text/html",
    re.IGNORECASE,
)
_AGAIN = "save it again in JupyterLab and hand it in again"


@dataclass
class Read:
    """A notebook read: the fresh `notebook` and what was noted about the submitted one."""

    notebook: Any
    notes: list[Verdict] = field(default_factory=list)

    @property
    def marked(self) -> list[Any]:
        """The cells that carry nbgrader's marks."""
        return [cell for cell in self.notebook.cells if "nbgrader" in cell.metadata]

    @property
    def grade_ids(self) -> set[str]:
        """The grade ids of those cells."""
        return {
            c.metadata.nbgrader.grade_id for c in self.notebook.cells if "nbgrader" in c.metadata
        }

    @property
    def answers(self) -> dict[str, str]:
        """Grade id -> text of every answer that differs from its stub."""
        return {
            cell.metadata.nbgrader.grade_id: cell.source
            for cell in self.marked
            if cell.metadata.nbgrader.solution and is_answered(cell)
        }


def parse(data: bytes, name: str, cells: int) -> Read:
    """The notebook in `data`, called `name` in messages, of at most `cells` cells.

    Raises
    ------
    Refused
        When there is no notebook in it.
    """
    name, odd = shown(name), set()
    raw = _json(_text(data, name, odd), name, odd)
    if not isinstance(raw, dict) or "nbformat" not in raw:
        raise Refused("not-a-notebook", f"{name} is not a notebook: hand in the .ipynb file.")
    raw = _upgraded(raw, odd)
    if type(raw["nbformat"]) is not int or raw["nbformat"] != 4:
        raise Refused(
            "notebook-format", f"{name} was saved in an unknown notebook format: {_AGAIN}."
        )
    if not isinstance(raw.get("cells"), list):
        raise Refused(
            "not-a-notebook",
            f"{name} has no list of cells: take a fresh copy with `syslab start`, carry your "
            "answers over and hand it in again.",
        )
    if len(raw["cells"]) > cells:
        raise Refused(
            "too-many-cells",
            f"{name} has {len(raw['cells'])} cells, more than {cells}: delete those that are not "
            "part of the assignment and hand it in again.",
        )
    read = Read(_fresh(raw, odd))
    read.notes = _notes(read, raw, name, odd)
    return read


# --------------------------------------------------------------------------------------- text


def _text(data: bytes, name: str, odd: set[str]) -> str:
    if not data.strip(b"\0 \t\r\n\xef\xbb\xbf"):
        raise Refused(
            "notebook-empty",
            f"{name} is empty: get your last version back (Revert to Checkpoint in JupyterLab's "
            "File menu) and hand it in again.",
        )
    codec = "utf-8"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        codec = "utf-16"
    elif data.startswith(b"\xef\xbb\xbf"):
        codec = "utf-8-sig"
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        raise Refused(
            "notebook-not-text",
            f"{name} is damaged, byte {error.start} is not UTF-8 text: {_AGAIN}.",
        ) from None
    if codec != "utf-8":
        odd.add("encoding-mended")
    return text


def _json(text: str, name: str, odd: set[str]) -> Any:
    def constant(_: str) -> None:
        odd.add("json-mended")

    def integer(digits: str) -> int | None:
        if len(digits) <= _LONGEST_INTEGER:
            return int(digits)
        odd.add("json-mended")
        return None

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            odd.add("json-mended")
        return found

    try:
        return json.loads(text, parse_constant=constant, parse_int=integer, object_pairs_hook=pairs)
    except RecursionError:
        raise Refused(
            "notebook-too-deep", f"{name} is nested too deeply to be a notebook: {_AGAIN}."
        ) from None
    except ValueError as error:
        marker = _MERGE.search(text)
        if marker:
            line = text.count("\n", 0, marker.start()) + 1
            raise Refused(
                "notebook-half-merged",
                f"{name} holds an unfinished merge at line {line}: keep one side (`git checkout "
                "--ours` or `--theirs`) and hand it in again.",
            ) from None
        line = getattr(error, "lineno", 1)
        raise Refused(
            "notebook-not-json",
            f"{name} is damaged or cut short at line {line}: get your last version back ("
            "Revert to Checkpoint in JupyterLab's File menu) and hand it in again.",
        ) from None


def _upgraded(raw: dict[str, Any], odd: set[str]) -> dict[str, Any]:
    """Format 3 as format 4: cells lie in worksheets, and code is called input."""
    if raw["nbformat"] != 3 or not isinstance(raw.get("worksheets"), list):
        return raw
    odd.add("format-upgraded")
    cells: list[Any] = []
    for sheet in raw["worksheets"]:
        found = sheet.get("cells") if isinstance(sheet, dict) else None
        cells += found if isinstance(found, list) else []
    for cell in cells:
        if isinstance(cell, dict) and "input" in cell:
            cell.setdefault("source", cell["input"])
        if isinstance(cell, dict) and cell.get("cell_type") == "heading":
            cell["cell_type"] = "markdown"
    return {**raw, "nbformat": 4, "cells": cells}


# -------------------------------------------------------------------------------------- cells


def _fresh(raw: dict[str, Any], odd: set[str]) -> Any:
    import nbformat

    cells = []
    for number, cell in enumerate(raw["cells"]):
        made = _cell(cell, odd) if isinstance(cell, dict) else None
        if made is None:
            odd.add("cells-damaged")
            continue
        made["id"] = cell.get("id") if _good_id(cell.get("id")) else f"cell-{number}"
        cells.append(made)
    _separate_ids(cells, odd)
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    return nbformat.from_dict(
        {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    )


def _cell(raw: dict[str, Any], odd: set[str]) -> dict[str, Any] | None:
    kind, source = raw.get("cell_type"), raw.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if kind not in ("code", "markdown", "raw") or not isinstance(source, str):
        return None
    cell: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": _encodable(source, odd)}
    if kind == "code":
        cell.update(execution_count=None, outputs=[])
    elif pictures := _attachments(raw.get("attachments")):
        cell["attachments"] = pictures
    metadata = raw.get("metadata", {})
    if not isinstance(metadata, dict):
        odd.add("marks-mended")
        return cell
    tags = metadata.get("tags")
    if isinstance(tags, list) and any(tag in _ACTING_TAGS for tag in tags):
        odd.add("metadata-dropped")
    if (marks := _marks(metadata.get("nbgrader"), odd)) is not None:
        cell["metadata"]["nbgrader"] = {**marks, "cell_type": kind}
    return cell


# What nbclient obeys; the release has tags of its own, which say nothing to it.
_ACTING_TAGS = ("skip-execution", "raises-exception")


def _encodable(text: str, odd: set[str]) -> str:
    """`text` without halves of surrogate pairs and NUL: neither can be stored."""
    whole = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    if whole != text:
        odd.add("encoding-mended")
    return whole


def _attachments(raw: Any) -> dict[str, dict[str, str]]:
    """Pictures pasted into a Markdown cell."""
    if not isinstance(raw, dict):
        return {}
    found = {}
    for name, bundle in raw.items():
        kept = {
            mime: content
            for mime, content in (bundle.items() if isinstance(bundle, dict) else ())
            if mime in _PICTURES and isinstance(content, str) and content.isascii()
        }
        if kept:
            found[_encodable(name, set())] = kept
    return found


def _marks(raw: Any, odd: set[str]) -> dict[str, Any] | None:
    """nbgrader's marks with the types they must have; None where there are none to speak of.

    Points and flags come from the gradebook afterwards; here they only have to be well formed.
    """
    if raw is None or raw == {}:
        return None
    grade_id = raw.get("grade_id") if isinstance(raw, dict) else None
    if not isinstance(grade_id, str) or not grade_id:
        odd.add("marks-mended")
        return None
    marks: dict[str, Any] = {"schema_version": 3, "grade_id": _encodable(grade_id, odd)}
    for flag in ("grade", "solution", "locked", "task"):
        value = raw.get(flag, False)
        if not isinstance(value, bool):
            odd.add("marks-mended")
        marks[flag] = value is True
    if marks["grade"] or marks["task"]:
        points = raw.get("points")
        sound = type(points) in (int, float) and math.isfinite(points) and points >= 0
        if not sound:
            odd.add("marks-mended")
        marks["points"] = points if sound else 0
    if isinstance(raw.get("checksum"), str) and raw["checksum"].isalnum():
        marks["checksum"] = raw["checksum"][:64]
    return marks


def _marked_for_something(cell: Any) -> bool:
    return any(cell.metadata.nbgrader[flag] for flag in ("grade", "solution", "locked", "task"))


def _good_id(value: Any) -> bool:
    return isinstance(value, str) and bool(_CELL_ID.match(value))


def _separate_ids(cells: list[dict[str, Any]], odd: set[str]) -> None:
    taken: set[str] = set()
    for number, cell in enumerate(cells):
        if cell["id"] in taken:
            odd.add("ids-mended")
            wanted, copy = f"{cell['id'][:40]}-{number}", 0
            while wanted in taken:
                copy += 1
                wanted = f"{cell['id'][:40]}-{number}-{copy}"
            cell["id"] = wanted
        taken.add(cell["id"])


# -------------------------------------------------------------------------------------- notes


def _notes(read: Read, raw: dict[str, Any], name: str, odd: set[str]) -> list[Verdict]:
    ids = [cell.get("id") for cell in raw["cells"] if isinstance(cell, dict)]
    if any(not _good_id(i) for i in ids if i is not None):
        odd.add("ids-mended")
    said = {
        "encoding-mended": f"{name} held bytes that are no plain UTF-8 text, which were mended: "
        "check your answers for missing characters.",
        "json-mended": f"{name} held doubled keys or impossible numbers, which were dropped: "
        "saving it in JupyterLab mends that.",
        "format-upgraded": f"{name} was saved in notebook format 3 and was read as format 4: save "
        "it again in JupyterLab.",
        "ids-mended": f"{name} held doubled or ill-formed cell ids, which were renewed: saving it "
        "in JupyterLab mends that.",
        "marks-mended": f"{name} held damaged nbgrader marks, which were put right: take a fresh "
        "copy next time.",
        "metadata-dropped": f"{name} held cell tags, which grading ignores: every cell was run.",
        "cells-damaged": f"{name} held cells that are not cells, which were dropped: take a fresh "
        "copy with `syslab start` if an answer is missing.",
    }
    notes = [Verdict(code, said[code]) for code in said if code in odd]
    if language := _language(raw.get("metadata")):
        notes.append(
            Verdict(
                "other-language",
                f"{name} says it is written in {shown(language)} and was run as Python 3: choose "
                "the kernel Python 3 in JupyterLab.",
            )
        )
    if _acts(read):
        notes.append(
            Verdict(
                "active-content",
                f"A text cell of {name} holds HTML that could act on the page that shows it: "
                "write answers as plain Markdown.",
            )
        )
    return notes


def _acts(read: Read) -> bool:
    texts = (c.source for c in read.notebook.cells if c.cell_type != "code")
    return any(_ACTIVE.search(text) for text in texts)


def _language(metadata: Any) -> str:
    """The language a notebook names, where that is not Python."""
    if not isinstance(metadata, dict):
        return ""
    for key, inside in (("kernelspec", "language"), ("language_info", "name")):
        part = metadata.get(key)
        value = part.get(inside) if isinstance(part, dict) else None
        if isinstance(value, str) and value and not value.lower().startswith(("python", "ipython")):
            return value
    return ""


def settle(read: Read, expected: Collection[str], name: str) -> list[Verdict]:
    """Hold the marks of `read` against the grade ids `expected`, in place; what was noted.

    Of cells with the same grade id the last one counts, as in nbgrader, and the others become
    ordinary cells; marks that the assignment does not know are removed.
    """
    name = shown(name)
    marked = read.marked
    counts = Counter(c.metadata.nbgrader.grade_id for c in marked)
    doubled = [i for i in expected if counts[i] > 1]
    missing = [i for i in expected if not counts[i]]
    unknown = counts.keys() - set(expected)
    # The release itself names cells that are neither graded, nor answers, nor locked.
    strange = {c.metadata.nbgrader.grade_id for c in marked if _marked_for_something(c)} & unknown
    seen: set[str] = set()
    for cell in reversed(marked):
        grade_id = cell.metadata.nbgrader.grade_id
        if grade_id in unknown or grade_id in seen:
            del cell.metadata["nbgrader"]
        seen.add(grade_id)
    notes = []
    if doubled:
        notes.append(
            Verdict(
                "cells-doubled",
                f"{name} holds {_names(doubled)} more than once and the last one counts: delete "
                "the copies you do not want graded.",
            )
        )
    if strange:
        notes.append(
            Verdict(
                "cells-unknown",
                f"{name} holds cells marked for another assignment ({_names(strange)}), which "
                "were run but not graded: hand each assignment in on its own.",
            )
        )
    if missing and len(missing) == len(set(expected)):
        notes.append(
            Verdict(
                "marks-lost",
                f"{name} has lost nbgrader's marks, so no cell is recognised as an exercise: take "
                "a fresh copy with `syslab start`, paste your answers into it and hand it in.",
            )
        )
    elif missing:
        notes.append(
            Verdict(
                "cells-missing",
                f"{name} lacks {_names(missing)}: test cells are put back, an answer cell you "
                "deleted has to come from a fresh copy.",
            )
        )
    return notes


def _names(ids: Collection[str]) -> str:
    first = sorted(ids)[:5]
    more = len(ids) - len(first)
    return ", ".join(shown(i) for i in first) + (f" and {more} more" if more else "")
