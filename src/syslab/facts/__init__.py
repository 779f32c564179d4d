"""Every hardware and model constant of the course, with unit, source, date and kind.

>>> from syslab import facts
>>> h100 = facts.hardware("H100 SXM")
>>> h100.peak("bf16")  # FLOP/s, dense
989400000000000.0
>>> str(h100.fact("bandwidth"))
'3.35e12 B/s (datasheet: NVIDIA H100 Tensor Core GPU datasheet, 2023-03)'
>>> facts.model("Llama-3 70B").kv_bytes_per_token()
327680

- :func:`hardware`, :func:`hardware_names`, :class:`Hardware`: devices;
- :func:`model`, :func:`model_names`, :class:`Model`: language models;
- :func:`constant`, :func:`constant_fact`, :func:`constant_names`, :func:`dtype_bytes`: the rest;
- :func:`table`, :func:`markdown_table`, :func:`readable`: several of them side by side;
- :class:`Fact`, :class:`UnknownName`, :data:`KINDS`.

The values live in ``hardware.toml``, ``models.toml`` and ``constants.toml`` beside this file.
"""

from syslab.facts.constants import constant, constant_fact, constant_names, dtype_bytes
from syslab.facts.devices import Hardware, hardware, hardware_names
from syslab.facts.networks import Model, model, model_names
from syslab.facts.registry import KINDS, Fact, UnknownName
from syslab.facts.tables import markdown_table, readable, table

__all__ = [
    "KINDS",
    "Fact",
    "Hardware",
    "Model",
    "UnknownName",
    "constant",
    "constant_fact",
    "constant_names",
    "dtype_bytes",
    "hardware",
    "hardware_names",
    "markdown_table",
    "model",
    "model_names",
    "readable",
    "table",
]
