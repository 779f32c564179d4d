"""The code-review assessment: which changes a learner gets, and what was planted in them.

Every change has three planted defects on file and two in each of the four variants; the third is
repaired in the text that the learner reads. A variant is one packed file, not a folder of text:
two variants side by side would show each other's defects, and packing keeps that from happening
by accident. It is no encryption.
"""

from __future__ import annotations

import base64
import json
import textwrap
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from syslab import review
from syslab.course.checks import Check
from syslab.course.oracles import mod_605
from syslab.review.form import read_pull
from syslab.review.truths import SEALED

VARIANTS = (1, 2, 3, 4)
COLUMNS = 96
_shown: list[int] = []  # the variant that `whose` told of last


def variant_of(name: str) -> int:
    """The variant that falls to `name`: its CRC-32 modulo 4, plus 1; case and outer blanks aside.

    Raises
    ------
    ValueError
        When the name is empty.
    """
    plain = " ".join(name.split()).casefold()
    if not plain:
        raise ValueError("name is empty: give the name under which you hand in")
    return zlib.crc32(plain.encode()) % len(VARIANTS) + 1


def assigned(login: Any) -> int:
    """The variant that a learner reviews: that of the login, or the first where there is none."""
    return variant_of(login) if isinstance(login, str) and login.strip() else VARIANTS[0]


def whose(login: Any, folder: str | Path = ".") -> str:
    """One line for the learner and for whoever marks: which variant, and whose it is.

    nbgrader grades in ``autograded/<login>/code-review``: there the line also says when the work
    came in under a name that stands for another variant. It costs nothing by itself, for the two
    names may differ for good reasons; a person decides.
    """
    _shown[:] = [assigned(login)]
    if isinstance(login, str) and login.strip():
        said = f"variant {assigned(login)}, for the login {login.strip()!r}"
    elif login is None:
        said = "login is not set: this is the first variant"
    else:
        said = f"login is {login!r}, not a name in quotes: this is the first variant"
    parts = Path(folder).resolve().parts
    sender = parts[-2] if parts[-3:-2] == ("autograded",) else None
    if sender and assigned(sender) != assigned(login):
        said += (
            f"\nTo whoever marks: it came in from {sender!r}, whose variant is {assigned(sender)}"
        )
    return said


def changes(variant: int | None, folder: str | Path = ".") -> dict[str, review.Pull]:
    """The twelve changes of `variant`, by name; None stands for the first variant.

    Raises
    ------
    ValueError
        When the variant is not one of 1 to 4, or its file is damaged.
    FileNotFoundError
        When ``variant-<number>.txt`` is not in `folder`.
    """
    if variant is None:
        variant = VARIANTS[0]
    if variant not in VARIANTS:
        raise ValueError(f"variant is {variant!r}; it is one of {', '.join(map(str, VARIANTS))}")
    path = Path(folder) / f"variant-{int(variant)}.txt"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: it lies beside the notebook; fetch the assignment again, "
            "or ask for the variant that you were given"
        )
    return {
        name: read_pull(name, text)
        for name, text in unpack(path.read_text(encoding="utf-8"), path.name).items()
    }


def pack(texts: Mapping[str, str]) -> str:
    """One block of text from the TOML texts of several changes, by name."""
    packed = zlib.compress(json.dumps(dict(texts), sort_keys=True).encode(), 9)
    return "\n".join(textwrap.wrap(base64.b85encode(packed).decode(), COLUMNS)) + "\n"


def unpack(block: str, where: str = "the block") -> dict[str, str]:
    """What :func:`pack` was given.

    Raises
    ------
    ValueError
        When the block is not one that :func:`pack` made.
    """
    try:
        return json.loads(zlib.decompress(base64.b85decode("".join(block.split()))))
    except (ValueError, zlib.error) as error:
        raise ValueError(f"{where} is damaged: {error}; fetch the assignment again") from None


def without(sealed: str, defect: str) -> str:
    """The sealed truth `sealed` with one defect left out.

    Raises
    ------
    ValueError
        When there is no defect of that id.
    """
    data = json.loads(zlib.decompress(base64.b85decode(sealed.removeprefix(SEALED))))
    kept = [each for each in data["defect"] if each["id"] != defect]
    if len(kept) == len(data["defect"]):
        raise ValueError(f"defect is {defect!r}; this truth has none of that id")
    packed = zlib.compress(json.dumps({**data, "defect": kept}).encode(), 9)
    return SEALED + base64.b85encode(packed).decode()


def form(check: Check, name: str, login: Any, comments: Callable[[], Any]) -> None:
    """Public checks of the review of `name`: it can be read, and it is not empty."""
    mod_605.form(check, changes(assigned(login))[name], comments)


def mark(
    check: Check,
    name: str,
    login: Any,
    comments: Callable[[], Any],
    sealed: str,
    left_out: Sequence[str],
) -> None:
    """Hidden checks: the review earns its share as `syslab.review` counts.

    Parameters
    ----------
    check, name, login, comments : as in :func:`form`
    sealed : str
        All that may be planted in the change.
    left_out : 4 str
        The id of the defect that is not there, for each variant.
    """
    number = assigned(login)
    if _shown and number not in _shown:
        print(f"To whoever marks: login stands for variant {number} here, and {_shown[0]} above")
    truth = without(sealed, left_out[number - 1])
    mod_605.mark(check, changes(number)[name], comments, truth)
