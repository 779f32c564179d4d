"""What is planted in a pull request: defects, and decoys that only look like defects."""

from __future__ import annotations

import base64
import json
import tomllib
import zlib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from syslab.review.comments import WEIGHTS, Comment
from syslab.review.form import Pull, allowed
from syslab.review.wording import catalogue, check_pattern

SEALED = "sealed:"
_FOR_AUTHORS = ("paraphrases", "near_misses", "test")
_DEFECT = {"id", "cause", "severity", "at", "claim", "suggestion", "explanation", "words"}


@dataclass(frozen=True)
class Repair:
    """A piece of text of the new file that occurs once, and what stands there once repaired."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Defect:
    """One planted defect; see the package for the meaning of the fields."""

    id: str
    cause: str
    severity: str
    file: str
    places: tuple[tuple[int, int], ...]
    claim: str
    suggestion: str
    explanation: str
    words: tuple[str, ...]
    paraphrases: tuple[str, ...] = ()
    near_misses: tuple[str, ...] = ()
    test: str = ""
    repair: tuple[Repair, ...] = ()

    @property
    def weight(self) -> int:
        """Weight of its severity."""
        return WEIGHTS[self.severity]

    @property
    def comment(self) -> Comment:
        """The comment a good reviewer writes."""
        return Comment(self.file, self.places[0], self.severity, self.claim, self.suggestion)


@dataclass(frozen=True)
class Decoy:
    """A clean piece of the change that only looks wrong."""

    id: str
    file: str
    lines: tuple[int, int]
    looks_like: str
    why: str
    test: str = ""


@dataclass(frozen=True)
class Truth:
    """What is planted in `pull`. Prints no more than that."""

    pull: str
    defects: tuple[Defect, ...] = field(repr=False)
    decoys: tuple[Decoy, ...] = field(repr=False)

    @property
    def weight(self) -> int:
        """Weight of all defects together."""
        return sum(defect.weight for defect in self.defects)


def load_truth(source: str | Path, pull: Pull) -> Truth:
    """Read what is planted in `pull`.

    Parameters
    ----------
    source : str or Path
        The name of a pull request of the package, a folder that holds ``truths/<name>.toml``, one
        TOML file, or the string that :func:`seal` made.
    pull : Pull
        The pull request itself, in which quoted lines are found.

    Raises
    ------
    ValueError
        When the truth does not have the documented form or quotes lines that are not there once.
    """
    if isinstance(source, str) and source.startswith(SEALED):
        try:
            data = json.loads(zlib.decompress(base64.b85decode(source[len(SEALED) :])))
        except (ValueError, zlib.error) as error:
            raise ValueError(f"the sealed truth of {pull.name} is damaged: {error}") from None
        return _truth(data, pull)
    inside = resources.files("syslab.review") / "data" / "truths" / f"{source}.toml"
    if isinstance(source, str) and inside.is_file():
        return _truth(tomllib.loads(inside.read_text(encoding="utf-8")), pull)
    path = Path(source)
    if path.is_dir():
        path = path / "truths" / f"{pull.name}.toml"
    if not path.is_file():
        raise ValueError(
            f"there is no truth {str(source)!r}: give the name of a pull request of the package, "
            "a folder with truths/, a TOML file or a sealed string"
        )
    return _truth(tomllib.loads(path.read_text(encoding="utf-8")), pull)


def seal(text: str) -> str:
    """Make one string of a truth's TOML `text`, without tests and test sentences.

    It keeps a truth from being read by accident in a notebook that must hold it; it is no
    encryption, so graded truths belong into hidden tests all the same.
    """
    data = tomllib.loads(text)
    for entry in [*data.get("defect", []), *data.get("decoy", [])]:
        for key in (*_FOR_AUTHORS, "repair"):
            entry.pop(key, None)
    packed = zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 9)
    return SEALED + base64.b85encode(packed).decode()


def lines_of(quote: str, text: str, where: str) -> tuple[int, int]:
    """First and last line of `text` that `quote` repeats, indentation aside.

    Raises
    ------
    ValueError
        Unless it occurs exactly once.
    """
    wanted = [line.strip() for line in quote.strip().splitlines()]
    lines = [line.strip() for line in text.splitlines()]
    found = [
        at for at in range(len(lines)) if wanted and lines[at : at + len(wanted)] == wanted
    ]  # fmt: skip
    if len(found) != 1:
        raise ValueError(
            f"{where}: the quoted lines occur {len(found)} times in the new file, not once: "
            f"{wanted[:1]}"
        )
    return found[0] + 1, found[0] + len(wanted)


def _truth(data: dict, pull: Pull) -> Truth:
    where = f"truth of {pull.name}"
    allowed(data, {"pull", "defect"}, {"decoy"}, where)
    if data["pull"] != pull.name:
        raise ValueError(f"{where}: this is the truth of {data['pull']!r}")
    defects = tuple(_defect(entry, pull, where) for entry in data["defect"])
    decoys = tuple(_decoy(entry, pull, where) for entry in data.get("decoy", ()))
    ids = [each.id for each in (*defects, *decoys)]
    if len(set(ids)) < len(ids):
        raise ValueError(f"{where}: an id occurs twice in {ids}")
    return Truth(pull.name, defects, decoys)


def _defect(entry: dict, pull: Pull, where: str) -> Defect:
    where = f"{where}, defect {entry.get('id', '?')}"
    allowed(entry, _DEFECT, {"file", "also", "repair", *_FOR_AUTHORS}, where)
    if entry["severity"] not in WEIGHTS:
        raise ValueError(f"{where}: severity is {entry['severity']!r}, not one of {list(WEIGHTS)}")
    if entry["cause"] not in catalogue():
        raise ValueError(f"{where}: cause {entry['cause']!r} is not in causes.toml")
    for pattern in entry["words"]:
        check_pattern(pattern)
    file = _file(entry, pull, where)
    places = tuple(
        lines_of(quote, pull.file(file).after, where)
        for quote in (entry["at"], *entry.get("also", ()))
    )
    repairs = []
    for edit in entry.get("repair", ()):
        allowed(edit, {"old", "new"}, {"file"}, f"{where}, repair")
        repairs.append(Repair(edit.get("file", file), edit["old"], edit["new"]))
    return Defect(
        entry["id"], entry["cause"], entry["severity"], file, places,
        entry["claim"].strip(), entry["suggestion"].strip(), entry["explanation"].strip(),
        tuple(entry["words"]), tuple(entry.get("paraphrases", ())),
        tuple(entry.get("near_misses", ())), entry.get("test", ""), tuple(repairs),
    )  # fmt: skip


def _decoy(entry: dict, pull: Pull, where: str) -> Decoy:
    where = f"{where}, decoy {entry.get('id', '?')}"
    allowed(entry, {"id", "at", "looks_like", "why"}, {"file", "test"}, where)
    file = _file(entry, pull, where)
    lines = lines_of(entry["at"], pull.file(file).after, where)
    return Decoy(
        entry["id"], file, lines, entry["looks_like"].strip(), entry["why"].strip(),
        entry.get("test", ""),
    )  # fmt: skip


def _file(entry: dict, pull: Pull, where: str) -> str:
    paths = [each.path for each in pull.files]
    if "file" not in entry and len(paths) == 1:
        return paths[0]
    if entry.get("file") not in paths:
        raise ValueError(f"{where}: file is {entry.get('file')!r}, not one of {paths}")
    return entry["file"]
