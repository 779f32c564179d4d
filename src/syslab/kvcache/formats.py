"""How a cached key or value is stored: its data type, and the scales of a quantised one."""

from __future__ import annotations

from dataclasses import dataclass

from syslab import facts


@dataclass(frozen=True)
class CacheFormat:
    """Storage of the values of a KV cache.

    Attributes
    ----------
    name : str
        What to call it.
    bits : int
        Bits of one value.
    group_values : int or None
        Neighbouring values of a head that share one scale; None when nothing is scaled.
    scale_bytes : int
        Bytes stored per group: 2 for an fp16 scale, 4 for a scale and a zero point.

    Examples
    --------
    >>> CacheFormat("bf16", 16).vector_bytes(128)
    256
    >>> CacheFormat("int4, groups of 64", 4, 64, 4).vector_bytes(128)  # 64 + 2 groups of 4
    72
    """

    name: str
    bits: int
    group_values: int | None = None
    scale_bytes: int = 0

    def __post_init__(self):
        if not (isinstance(self.bits, int) and 1 <= self.bits <= 64):
            raise ValueError(f"bits={self.bits!r}: must be a whole number from 1 to 64")
        if self.group_values is not None and self.group_values < 1:
            raise ValueError(f"group_values={self.group_values!r}: must be 1 or more, or None")
        if self.scale_bytes < 0 or (self.scale_bytes and self.group_values is None):
            raise ValueError(
                f"scale_bytes={self.scale_bytes!r}: must be 0 or more, and group_values must say "
                "how many values share a scale"
            )

    def vector_bytes(self, values: int) -> int:
        """Return the bytes of one cached vector (a head's key, or an MLA latent), scales included.

        Values are packed within a vector and the vector ends on a whole byte.
        """
        if values < 1:
            raise ValueError(f"values={values!r}: a cached vector has 1 value or more")
        groups = -(-values // self.group_values) if self.group_values else 0
        return -(-values * self.bits // 8) + groups * self.scale_bytes


def cache_format(name: str | CacheFormat) -> CacheFormat:
    """Return a format by name.

    Any data type of the registry, stored without scales (``"bf16"``, ``"fp8"``, ``"int8"``), or a
    quantised one with scales: ``"int8_head"`` (an fp16 scale for every 128 values of a vector, so
    one per vector of a usual head), ``"int4_64"`` and ``"int4_32"`` (an fp16 scale and zero point
    for every 64 or 32 values).
    """
    if isinstance(name, CacheFormat):
        return name
    if name in _SCALED:
        return _SCALED[name]
    try:
        width = facts.dtype_bytes(name)
    except facts.UnknownName as unknown:
        raise facts.UnknownName(f"{unknown} Quantised formats: {', '.join(_SCALED)}.") from None
    return CacheFormat(name, int(width * 8))


_SCALED = {
    "int8_head": CacheFormat("int8_head", 8, 128, 2),
    "int4_64": CacheFormat("int4_64", 4, 64, 4),
    "int4_32": CacheFormat("int4_32", 4, 32, 4),
}
