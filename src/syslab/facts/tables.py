"""Facts side by side, as rows or as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence

from syslab.facts.devices import Hardware, hardware, hardware_names
from syslab.facts.networks import UNITS as MODEL_UNITS
from syslab.facts.networks import Model, model
from syslab.facts.registry import UnknownName

_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BINARY = ((2**40, "Ti"), (2**30, "Gi"), (2**20, "Mi"))


def table(names: Sequence[str], fields: Sequence[str]) -> list[list[object]]:
    """Return rows of plain numbers, the header first.

    Parameters
    ----------
    names : sequence of str
        Devices or models.
    fields : sequence of str
        Devices: attributes, ``"peak.bf16"``, ``"sparse_peak.bf16"``, ``"ridge.bf16"``.
        Models: attributes and ``"kv_bytes_per_token"``.

    Returns
    -------
    list of list
        ``[["name", *fields], [name, value, ...], ...]`` in base units; ``None`` where the thing
        has no such figure.
    """
    things = [_thing(name) for name in names]
    return [["name", *fields], *([t.name, *(_cell(t, f)[0] for f in fields)] for t in things)]


def markdown_table(names: Sequence[str], fields: Sequence[str]) -> str:
    """Return the same table as Markdown text, with readable units and a dash for no figure."""
    lines = ["| " + " | ".join(["name", *fields]) + " |", "|---" + "|---:" * len(fields) + "|"]
    for thing in map(_thing, names):
        cells = []
        for name in fields:
            value, unit = _cell(thing, name)
            cells.append(readable(value, unit))
        lines.append("| " + " | ".join([thing.name, *cells]) + " |")
    return "\n".join(lines)


def readable(value: object, unit: str) -> str:
    """Write a quantity for reading: ``readable(3.35e12, "B/s")`` is ``"3.35 TB/s"``.

    Parameters
    ----------
    value : number, str, bool or None
    unit : str
        ``"1"`` and ``""`` print no unit. Prefixes count in thousands (kB, MB, GB), except for
        a size in ``"B"`` that is a whole number of MiB: that was counted in 1024s, and is
        written so (``readable(52_428_800, "B")`` is ``"50 MiB"``).
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if unit in ("1", ""):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    if unit in ("parameter", "token", "USD/h", "W", "FLOP/B", "OP/B", "B/token"):
        return _plain(value, unit)
    if unit in ("SM", "CU", "core", "TensorCore"):
        return f"{value:,} {unit}"
    counted_in_1024s = unit == "B" and value % 2**20 == 0
    for size, prefix in _BINARY if counted_in_1024s else _PREFIXES:
        if abs(value) >= size:
            return f"{value / size:.4g} {prefix}{unit}"
    return f"{value:.4g} {unit}"


def _plain(value: int | float, unit: str) -> str:
    if unit == "parameter":
        size, word = (1e9, "B") if value >= 1e9 else (1e6, "M")
        return f"{value / size:.4g} {word}"
    if unit == "USD/h":
        return f"{value:.2f} USD/h"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    return text if unit == "token" else f"{text} {unit}"


def _thing(name: str) -> Hardware | Model:
    try:
        return hardware(name)
    except UnknownName as not_hardware:
        try:
            return model(name)
        except UnknownName as not_model:
            raise UnknownName(f"{not_hardware} {not_model}") from None


def _cell(thing: Hardware | Model, name: str) -> tuple[object, str]:
    """Return value and unit of one field; ``(None, "")`` where this thing has none."""
    if isinstance(thing, Model):
        return _model_cell(thing, name)
    if name.startswith("ridge."):
        dtype = name.removeprefix("ridge.")
        unit = "OP/B" if dtype.startswith("int") else "FLOP/B"
        return (thing.ridge(dtype), unit) if thing.has_peak(dtype) else (None, "")
    if name in ("vendor", "category", "architecture"):
        return getattr(thing, name), ""
    if name in _device_fields():
        known = dict(thing.facts())
        return (known[name].value, known[name].unit) if name in known else (None, "")
    raise UnknownName(
        f"No field called {name!r} for hardware. Fields: {', '.join(sorted(_device_fields()))}, "
        "and ridge.<data type>."
    )


def _model_cell(thing: Model, name: str) -> tuple[object, str]:
    if name == "kv_bytes_per_token":
        return thing.kv_bytes_per_token(), "B/token"
    known = Model.__dataclass_fields__
    if name.startswith("_") or name not in known:
        public = [field for field in known if not field.startswith("_")]
        raise UnknownName(
            f"No field called {name!r} for models. Fields: {', '.join(public)}, kv_bytes_per_token."
        )
    return getattr(thing, name), MODEL_UNITS.get(name, "")


def _device_fields() -> set[str]:
    return {name for device in hardware_names() for name, _ in hardware(device).facts()}
