"""Every verdict a submission can get: what it means, whether its points stand, what to do.

One table for the whole of grading. A *refusal* keeps a submission from being run at all, a *note*
records a harmless oddity that was mended, an *incident* happened while the notebook ran, and a
*warning* asks a person to look before the points are returned.
"""

from __future__ import annotations

from dataclasses import dataclass

REFUSAL, NOTE, INCIDENT, WARNING = "refusal", "note", "incident", "warning"

STAND = "stand"
LOST_PARTLY = "those cells get none"
NONE = "none until handed in again"
AFTER_LOOK = "stand once a person agrees"
LOOKS = "a person looks before the points count"  # said to the learner
UNDECIDED = "none yet: grade it again"

_AGAIN = "Nothing; the learner's message says how to hand in again."
_NOTHING = "Nothing."
_LOOK = "Look at the submission, then let the points stand or set them in Formgrader."


@dataclass(frozen=True)
class Kind:
    """One row of the table: what `code` means and what follows from it."""

    code: str
    sort: str
    meaning: str
    points: str
    action: str

    @property
    def flagged(self) -> bool:
        """Whether a person should look at the submission before its points are returned."""
        return self.sort == WARNING


@dataclass(frozen=True)
class Verdict:
    """What is to be said about one submission.

    `message` is one sentence that the learner may read and that says what to do next; `code` is
    a row of `KINDS`.
    """

    code: str
    message: str

    def __post_init__(self) -> None:
        if self.code not in KINDS:
            raise ValueError(f"verdict code {self.code!r} is not in verdicts.KINDS")

    @property
    def kind(self) -> Kind:
        return KINDS[self.code]

    @property
    def flagged(self) -> bool:
        return self.kind.flagged


def _rows(sort: str, points: str, action: str, rows: dict[str, str]) -> list[Kind]:
    return [Kind(code, sort, meaning, points, action) for code, meaning in rows.items()]


_TABLE = [
    # ------------------------------------------------------------- the submission is not run
    *_rows(
        REFUSAL,
        NONE,
        _AGAIN,
        {
            "no-submission": "the folder is missing, or is not a folder",
            "no-notebook": "no notebook in it belongs to the assignment",
            "which-notebook": "several renamed notebooks with as many answers each",
            "link": "the notebook or the folder is a symbolic or a hard link",
            "not-a-file": "a folder, pipe, socket or device has the notebook's name",
            "unreadable": "the permissions of the notebook do not allow reading it",
            "notebook-too-large": "the notebook is larger than the limit",
            "notebook-empty": "the notebook is an empty file",
            "notebook-not-text": "the notebook is not UTF-8 text",
            "notebook-not-json": "the notebook is cut short or damaged",
            "notebook-half-merged": "the notebook holds an unfinished git merge",
            "notebook-too-deep": "the notebook's JSON is nested beyond any real notebook",
            "not-a-notebook": "the file is JSON but no notebook, or its cells are no list",
            "notebook-format": "the notebook was saved in a format other than 3 and 4",
            "too-many-cells": "the notebook has more cells than the limit",
            "too-many-files": "more files than the limit, and no notebook beside them",
            "zip-unsafe-path": "the zip holds an absolute path, one that climbs out, or one twice",
            "zip-link": "the zip holds a link or another special file",
            "zip-too-large": "the zip unpacks to more than the limit",
            "zip-encrypted": "the zip asks for a password",
            "zip-damaged": "the zip cannot be read",
            "zip-nested": "the zip holds another zip instead of the notebook",
            "several-archives": "several zips and no notebook",
            "archive-kind": "an archive that is not a zip, and no notebook",
        },
    ),
    # -------------------------------------------------------------- mended; the points stand
    *_rows(
        NOTE,
        STAND,
        _NOTHING,
        {
            "notebook-renamed": "recognised by its cells under another file name",
            "folder-nested": "the files lie in a folder within the submission",
            "zip-opened": "a harmless zip in place of the files",
            "encoding-mended": "a byte order mark, UTF-16, or characters that are no text",
            "json-mended": "doubled keys, NaN or endless numbers outside the answers",
            "format-upgraded": "saved in notebook format 3, read as format 4",
            "ids-mended": "cell ids were missing, doubled or ill-formed",
            "marks-mended": "nbgrader's marks on a cell had wrong types or a wrong place",
            "metadata-dropped": "cell tags, such as one that skips the cell, were dropped",
            "other-language": "the notebook names another language; it was run as Python 3",
            "cells-missing": "cells of the assignment are missing; test cells are put back",
            "cells-doubled": "a cell is there several times; the last one counts",
            "cells-unknown": "cells carry marks of another assignment, which were removed",
            "special-left-out": "links, pipes, sockets or devices were left out",
            "unreadable-left-out": "a file that may not be read was left out",
            "hidden-left-out": "files whose name begins with a dot were left out",
            "name-left-out": "file names with control characters were left out",
            "shadow-left-out": "files named like a module or its configuration were left out",
            "page-left-out": "pages that could act in the marker's browser were left out",
            "large-left-out": "files beyond the limits of size were left out",
            "deep-left-out": "folders nested beyond the limit were left out",
            "crowd-left-out": "more files than the limit: only the notebooks were taken",
            "time-mended": "the time of handing in was unreadable: the file's own time was used",
        },
    ),
    # ------------------------------------------------- a person looks before they are returned
    *_rows(
        WARNING,
        AFTER_LOOK,
        _LOOK,
        {
            "notebook-missing": "one of several notebooks is missing and counts nothing",
            "several-notebooks": "several versions of a notebook; one was graded",
            "marks-lost": "a program dropped nbgrader's marks from the notebook",
            "cells-damaged": "cells that are no cells were dropped",
            "time-future": "handed in, by its own account, in the future",
            "active-content": "a written answer holds HTML that could act on a page",
            "tampered": "the code under test changed the checks, the builtins or the kernel",
            "score-unproven": "a test cell's points do not agree with what its checks measured",
            "early-exit": "a test cell ended before its last check",
            "hidden-tests-read": "an answer reached for the text of the hidden tests",
            "left-running": "processes were left behind and ended with the sandbox",
        },
    ),
    # ----------------------------------------------------------------- while the notebook ran
    *_rows(
        INCIDENT,
        LOST_PARTLY,
        "Nothing; an answer that needs longer or more is a case for the limits.",
        {
            "cell-timeout": "a cell ran past its time and was interrupted",
            "kernel-hung": "a cell could not be interrupted: the cells after it did not run",
            "kernel-died": "the kernel ended: the cells after that did not run",
            "out-of-memory": "the notebook asked for more memory than the limit",
            "bad-output": "a cell sent what no notebook can hold: it counts as an error",
            "output-flood": "a cell wrote more than the limit; the rest was dropped",
            "disk-full": "the notebook wrote more than its scratch space holds",
            "processes-limit": "the notebook started more processes than the limit",
            "notebook-timeout": "the notebook as a whole ran past its time",
        },
    ),
    *_rows(
        INCIDENT,
        UNDECIDED,
        "Run `syslab grade` again with `--resume`; report it if it comes back.",
        {
            "grader-error": "our own fault: the worker failed, not the submission",
            "worker-lost": "the worker or its node went away in the middle",
        },
    ),
]

KINDS: dict[str, Kind] = {kind.code: kind for kind in _TABLE}
SORTS = {
    REFUSAL: "Refused: not run",
    WARNING: "Graded, and a person should look",
    INCIDENT: "Happened while it ran",
    NOTE: "Mended, for the record",
}


def table() -> str:
    """The verdicts as Markdown, for the documentation."""
    parts = []
    for sort, title in SORTS.items():
        rows = [kind for kind in KINDS.values() if kind.sort == sort]
        parts += [f"### {title}", "", "| verdict | means | points | you do |", "|---|---|---|---|"]
        parts += [f"| `{k.code}` | {k.meaning} | {k.points} | {k.action} |" for k in rows]
        parts.append("")
    return "\n".join(parts)
