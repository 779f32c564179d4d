"""Facts with provenance, and finding things by name.

A :class:`Fact` is a number that knows its unit and where it comes from. The TOML files beside
this module hold all of them; this module turns their entries into facts and answers a misspelt
name with the nearest ones.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

KINDS = ("datasheet", "paper", "measured", "estimate", "derived")
"""Legal kinds of a fact.

``datasheet`` the maker's own specification (sheet, white paper, published configuration);
``paper`` a paper or technical report; ``measured`` read or counted on the thing itself;
``estimate`` a price or a figure that moves; ``derived`` computed from other figures, with the
arithmetic in the note.
"""


class UnknownName(KeyError):
    """A name, field or data type that the registry does not hold; the text says what to do."""

    def __str__(self) -> str:  # KeyError would show the text in quotes, with escapes
        return str(self.args[0])


@dataclass(frozen=True)
class Fact:
    """One number with unit and provenance.

    Attributes
    ----------
    value : int or float
        In the base unit: B, B/s, FLOP/s, W, Hz; never GB or TFLOP/s.
    unit : str
        ``"1"`` for plain counts.
    source, section : str
        Document and place in it.
    date : str
        Date of the document, ``YYYY-MM``.
    kind : str
        One of :data:`KINDS`.
    note : str
        What to beware of: footnotes, disagreements, arithmetic of derived values.
    """

    value: int | float
    unit: str
    source: str
    date: str
    kind: str
    note: str = ""
    section: str = ""

    def __str__(self) -> str:
        return f"{number(self.value)} {self.unit} ({self.kind}: {self.source}, {self.date})"


def number(value: int | float) -> str:
    """Write a number so that it can be read and typed back: ``3.35e12``, ``0.5``, ``700``."""
    if abs(value) < 1e6:
        return f"{value:g}"
    mantissa, exponent = f"{value:.12e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def read_toml(filename: str) -> dict:
    """Read a TOML file that lies beside this module."""
    import tomllib  # not at import time: the command line only passes through here

    with open(os.path.join(os.path.dirname(__file__), filename), "rb") as file:
        return tomllib.load(file)


def make_fact(
    entry: object, unit: str | None, defaults: Mapping, sources: Mapping, where: str
) -> Fact:
    """Build a fact from a bare number or an inline table.

    Parameters
    ----------
    entry : number or dict
        ``700`` or ``{ value = 700, note = "..." }``; a dict overrides the defaults.
    unit : str or None
        Unit, unless the entry names its own; None where every entry must.
    defaults : dict
        ``source``, ``section``, ``date``, ``kind`` of the surrounding table. An entry with its
        own source does not inherit the section.
    sources : dict
        Named documents; a ``source`` found here brings its title, date and kind.
    where : str
        Place in the file, for error messages.

    Raises
    ------
    ValueError
        A key is missing or a kind is not legal; names the place in the file.
    """
    own = entry if isinstance(entry, dict) else {"value": entry}
    merged = {**defaults, **({"section": None} if "source" in own else {}), **own}
    document = sources.get(merged.get("source", ""), {})
    fields = {
        "value": merged.get("value"),
        "unit": merged.get("unit", unit),
        "source": document.get("title", merged.get("source")),
        "date": own.get("date", document.get("date", merged.get("date"))),
        "kind": own.get("kind", document.get("kind", merged.get("kind"))),
        "section": merged.get("section"),
        "note": own.get("note", ""),
    }
    missing = [key for key, value in fields.items() if value is None]
    if missing:
        raise ValueError(f"{where}: no {', '.join(missing)}; add it to the entry or to its table")
    if fields["kind"] not in KINDS:
        raise ValueError(f"{where}: kind {fields['kind']!r} is not one of {', '.join(KINDS)}")
    return Fact(**fields)


def key_of(name: str) -> str:
    """Reduce a name to what matters for finding it: ``"H100 SXM5"`` and ``"h100-sxm5"`` agree."""
    folded = name.casefold().replace("×", "x")
    return "".join(letter for letter in folded if letter.isalnum())


class NameIndex:
    """Finds an entry by name or alias, whatever the case, spaces and punctuation.

    Parameters
    ----------
    what : str
        What the names are of, for messages: ``"hardware"``.
    spellings : iterable of (name, iterable of str)
        Each name with all other spellings it answers to. A spelling may belong to several
        names: it is then ambiguous, and asking for it says so.
    list_all : str
        The call that lists every name, for messages.
    """

    def __init__(self, what: str, spellings: Iterable[tuple[str, Iterable[str]]], list_all: str):
        self.what = what
        self.list_all = list_all
        self.names: tuple[str, ...] = ()
        self._names_by_key: dict[str, list[str]] = {}
        for name, others in spellings:
            self.names += (name,)
            for spelling in (name, *others):
                owners = self._names_by_key.setdefault(key_of(spelling), [])
                if name not in owners:
                    owners.append(name)

    def find(self, name: str) -> str:
        """Return the full name that ``name`` stands for.

        Raises
        ------
        TypeError
            ``name`` is not a string.
        UnknownName
            Nothing or more than one thing is called so; suggests names.
        """
        if not isinstance(name, str):
            raise TypeError(
                f"name of {self.what} must be a str such as {self.names[0]!r}, "
                f"not {type(name).__name__} ({name!r})"
            )
        owners = self._names_by_key.get(key_of(name), [])
        if len(owners) == 1:
            return owners[0]
        if owners:
            raise UnknownName(
                f"{name!r} is ambiguous: it can mean {_either(owners)}. Use one of these names."
            )
        near = self.nearest(name)
        hint = f"Nearest: {', '.join(near)}. " if near else ""
        raise UnknownName(
            f"No {self.what} called {name!r}. {hint}"
            f"{self.list_all} lists all {len(self.names)} names."
        )

    def nearest(self, name: str, most: int = 3) -> list[str]:
        """Return up to ``most`` names that are spelt most like ``name``, nearest first."""
        import difflib  # only needed when something went wrong

        asked = key_of(name)
        near: list[str] = []
        candidates = difflib.get_close_matches(asked, self._names_by_key, n=8, cutoff=0.6)
        # A forgotten or surplus word ("H100 PCIe") scores low on letters: accept a common start.
        if len(asked) >= 2:
            candidates += [
                key
                for key in self._names_by_key
                if key.startswith(asked) or (len(key) >= 3 and asked.startswith(key))
            ]
        for key in candidates:
            near += [owner for owner in self._names_by_key[key] if owner not in near]
        return near[:most]


def _either(names: list[str]) -> str:
    """Join names for a sentence: ``"A, B or C"``."""
    return ", ".join(names[:-1]) + " or " + names[-1]
