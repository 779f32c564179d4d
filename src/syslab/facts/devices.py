"""Hardware: peaks by data type, memory, interconnect, power, price."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from syslab.facts.registry import Fact, NameIndex, UnknownName, make_fact, read_toml

UNITS = {
    "bandwidth": "B/s",
    "capacity": "B",
    "capacity_visible": "B",
    "l2": "B",
    "l3": "B",
    "tdp": "W",
    "interconnect": "B/s",
    "cores": "1",
    "base_clock": "Hz",
    "boost_clock": "Hz",
    "tensor_clock": "Hz",
    "price": "USD/h",
}
"""Fields of a device besides its peaks, with their units."""

_OTHER_DTYPE_SPELLINGS = {
    "float64": "fp64",
    "double": "fp64",
    "float32": "fp32",
    "float": "fp32",
    "float16": "fp16",
    "half": "fp16",
    "bfloat16": "bf16",
    "float8": "fp8",
    "float4": "fp4",
    "nvfp4": "fp4",
}


def dtype_name(dtype: str) -> str:
    """Return the registry's spelling of a data type: ``"bfloat16"`` is ``"bf16"``."""
    if not isinstance(dtype, str):
        raise TypeError(f"dtype must be a str such as 'bf16', not {type(dtype).__name__}")
    folded = dtype.strip().casefold()
    return _OTHER_DTYPE_SPELLINGS.get(folded, folded)


@dataclass(frozen=True)
class Hardware:
    """One device: a GPU, a TPU chip, a module or a CPU socket.

    Attributes are plain numbers in base units; :meth:`fact` gives the same number with unit and
    source. A figure that the maker does not publish is absent: asking for it raises
    :class:`UnknownName`.

    Attributes
    ----------
    name, vendor, architecture : str
    category : str
        ``"gpu"``, ``"tpu"``, ``"soc"`` or ``"cpu"``.
    bandwidth : float
        Memory bandwidth, B/s.
    capacity, capacity_visible : int
        Memory as printed by the maker and as a program sees it, B.
    l2, l3 : int
        On-chip caches, B, all cores together.
    tdp : int
        Board or socket power, W.
    interconnect : float
        Links to other devices, B/s, both directions together.
    cores : int
        SMs, CUs, TensorCores or CPU cores.
    base_clock, boost_clock, tensor_clock : float
        Hz.
    price : float
        Rental, USD per hour; an estimate with a date.
    """

    name: str
    vendor: str
    category: str
    architecture: str
    _facts: Mapping[str, Fact] = field(repr=False, compare=False)

    def fact(self, name: str) -> Fact:
        """Return a figure with unit and provenance.

        Parameters
        ----------
        name : str
            An attribute (``"bandwidth"``), ``"peak.bf16"`` (dense) or ``"sparse_peak.bf16"``.
        """
        try:
            return self._facts[name]
        except KeyError:
            raise UnknownName(
                f"{self.name} has no published {name!r}. It has: {', '.join(self._facts)}."
            ) from None

    def facts(self) -> Iterator[tuple[str, Fact]]:
        """Iterate over ``(name, fact)`` pairs."""
        return iter(self._facts.items())

    def dtypes(self, sparse: bool = False) -> tuple[str, ...]:
        """Return the data types that have a dense (or sparse) peak."""
        prefix = _peak_prefix(sparse)
        return tuple(name.removeprefix(prefix) for name in self._facts if name.startswith(prefix))

    def has_peak(self, dtype: str, sparse: bool = False) -> bool:
        """Tell whether the device has a peak for this data type."""
        return dtype_name(dtype) in self.dtypes(sparse)

    def peak(self, dtype: str, sparse: bool = False) -> float:
        """Return the peak rate, FLOP/s (OP/s for integer types).

        Parameters
        ----------
        dtype : str
            ``"bf16"``, ``"fp16"``, ``"fp32"``, ``"int8"``, ...; see :meth:`dtypes`.
        sparse : bool
            False: dense. True: with 2:4 structured sparsity, where half of the counted
            operations are multiplications by zero that nobody performs.

        Raises
        ------
        UnknownName
            The device has no such peak; names the types it has.
        """
        wanted = dtype_name(dtype)
        if not self.has_peak(wanted, sparse):
            word = "sparse" if sparse else "dense"
            legal = ", ".join(self.dtypes(sparse)) or "none"
            raise UnknownName(
                f"{self.name} has no {word} peak for {wanted!r}. Its {word} data types: {legal}."
            )
        return self._facts[_peak_prefix(sparse) + wanted].value

    def ridge(self, dtype: str = "bf16", sparse: bool = False) -> float:
        """Return the ridge point, FLOP/B: peak rate over memory bandwidth.

        Below this arithmetic intensity the memory limits, above it the arithmetic.
        """
        return self.peak(dtype, sparse) / self.bandwidth

    @property
    def bandwidth(self) -> float:
        return self.fact("bandwidth").value

    @property
    def capacity(self) -> int:
        return self.fact("capacity").value

    @property
    def capacity_visible(self) -> int:
        return self.fact("capacity_visible").value

    @property
    def l2(self) -> int:
        return self.fact("l2").value

    @property
    def l3(self) -> int:
        return self.fact("l3").value

    @property
    def tdp(self) -> int:
        return self.fact("tdp").value

    @property
    def interconnect(self) -> float:
        return self.fact("interconnect").value

    @property
    def cores(self) -> int:
        return self.fact("cores").value

    @property
    def base_clock(self) -> float:
        return self.fact("base_clock").value

    @property
    def boost_clock(self) -> float:
        return self.fact("boost_clock").value

    @property
    def tensor_clock(self) -> float:
        return self.fact("tensor_clock").value

    @property
    def price(self) -> float:
        return self.fact("price").value


def hardware(name: str) -> Hardware:
    """Return a device by name: ``hardware("H100 SXM")``.

    Case, spaces and punctuation do not matter, and common short names work (``"h100"``).

    Raises
    ------
    UnknownName
        No device, or more than one, is called so; suggests names.
    """
    devices, index = _load()
    return devices[index.find(name)]


def hardware_names() -> tuple[str, ...]:
    """Return the names of all devices, in the order of the file."""
    return _load()[1].names


def _peak_prefix(sparse: bool) -> str:
    return "sparse_peak." if sparse else "peak."


@cache
def _load() -> tuple[dict[str, Hardware], NameIndex]:
    document = read_toml("hardware.toml")
    devices = {}
    spellings = []
    for name, table in document["hardware"].items():
        devices[name] = _device(name, table, document["sources"])
        own = [name, *table["aliases"]]
        spellings.append((name, own + [f"{table['vendor']} {spelling}" for spelling in own]))
    return devices, NameIndex("hardware", spellings, "facts.hardware_names()")


def _device(name: str, table: dict, sources: dict) -> Hardware:
    where = f'hardware.toml, [hardware."{name}"]'
    defaults = {"source": table["source"], "section": table["section"]}
    facts = {
        key: make_fact(table[key], unit, defaults, sources, f"{where} {key}")
        for key, unit in UNITS.items()
        if key in table
    }
    for group in ("peak", "sparse_peak"):
        for dtype, entry in table.get(group, {}).items():
            unit = "OP/s" if dtype.startswith("int") else "FLOP/s"
            key = f"{group}.{dtype}"
            facts[key] = make_fact(entry, unit, defaults, sources, f"{where} {key}")
    described = {"vendor", "category", "architecture", "aliases", "source", "section"}
    unknown = set(table) - described - set(UNITS) - {"peak", "sparse_peak"}
    if unknown:
        raise ValueError(f"{where}: unknown key {', '.join(sorted(unknown))}")
    return Hardware(name, table["vendor"], table["category"], table["architecture"], facts)
