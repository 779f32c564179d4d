"""Constants that belong to no single device or model."""

from __future__ import annotations

from functools import cache

from syslab.facts.devices import dtype_name
from syslab.facts.registry import Fact, NameIndex, UnknownName, make_fact, read_toml


def constant(name: str) -> int | float:
    """Return a constant's value: ``constant("cache_line")`` is 64 (B).

    Grouped constants have a dot: ``constant("topdown_slots.golden_cove")`` is 6.
    """
    return constant_fact(name).value


def constant_fact(name: str) -> Fact:
    """Return a constant with unit and provenance."""
    facts, index = _load()
    return facts[index.find(name)]


def constant_names() -> tuple[str, ...]:
    """Return the names of all constants."""
    return _load()[1].names


def dtype_bytes(dtype: str) -> int | float:
    """Return the bytes that one value of a data type takes in memory: 2 for ``"bf16"``.

    Raises
    ------
    UnknownName
        No such data type; names the known ones.
    """
    wanted = dtype_name(dtype)
    facts, _ = _load()
    try:
        return facts[f"dtype_bytes.{wanted}"].value
    except KeyError:
        known = [n.removeprefix("dtype_bytes.") for n in facts if n.startswith("dtype_bytes.")]
        raise UnknownName(f"No data type called {dtype!r}. Known: {', '.join(known)}.") from None


@cache
def _load() -> tuple[dict[str, Fact], NameIndex]:
    document = read_toml("constants.toml")
    facts = {}
    for name, entry in document["constants"].items():
        members = {name: entry}
        if "value" not in entry:  # a group
            members = {f"{name}.{member}": inner for member, inner in entry.items()}
        for full, inner in members.items():
            where = f"constants.toml, {full}"
            facts[full] = make_fact(inner, None, {}, document["sources"], where)
    spellings = [(name, ()) for name in facts]
    return facts, NameIndex("constant", spellings, "facts.constant_names()")
