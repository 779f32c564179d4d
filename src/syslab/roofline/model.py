"""The roofline model: how fast a kernel can run, from two numbers about the machine.

A kernel does ``flop`` operations on ``bytes`` moved; their ratio is its arithmetic intensity.
It can run no faster than the arithmetic units (``peak``) and no faster than memory delivers
operands (``intensity * bandwidth``). Source: Williams, Waterman and Patterson, "Roofline: an
insightful visual performance model for multicore architectures", CACM 52(4), 2009.

Units everywhere: FLOP (a fused multiply-add is 2), bytes, seconds, FLOP/s, B/s, FLOP/B.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

COMPUTE_UNIT = "FLOP/s"
MEMORY_UNIT = "B/s"


def ridge_point(peak: float, bandwidth: float) -> float:
    """Return the intensity, FLOP/B, from which ``peak`` rather than ``bandwidth`` limits.

    Parameters
    ----------
    peak : float
        FLOP/s, more than 0.
    bandwidth : float
        B/s, more than 0.
    """
    _positive(peak=peak, bandwidth=bandwidth)
    return peak / bandwidth


def attainable(intensity, peak: float, bandwidth: float):
    """Return the FLOP/s a kernel of that ``intensity`` can reach: the lower of the two roofs.

    Parameters
    ----------
    intensity : float or array
        FLOP/B, 0 or more.
    peak, bandwidth : float
        FLOP/s and B/s, more than 0.

    Returns
    -------
    float, or an array of the shape of ``intensity``.
    """
    _positive(peak=peak, bandwidth=bandwidth)
    values = _not_negative("intensity", intensity)
    flops = np.minimum(peak, bandwidth * values)
    return float(flops) if flops.ndim == 0 else flops


def time_bounds(flop: float, bytes: float, peak: float, bandwidth: float) -> tuple[float, float]:
    """Return the least and the most seconds the model allows: ``(lower, upper)``.

    ``lower`` is the larger of compute and transfer time (they overlap perfectly: this is the
    roofline); ``upper`` is their sum (they do not overlap at all). They never differ by more
    than a factor of 2.
    """
    _positive(peak=peak, bandwidth=bandwidth)
    compute_s = float(_not_negative("flop", flop)) / peak
    transfer_s = float(_not_negative("bytes", bytes)) / bandwidth
    return max(compute_s, transfer_s), compute_s + transfer_s


@dataclass(frozen=True)
class Ceiling:
    """One limit of a machine: a compute rate (unit ``FLOP/s``) or a memory rate (``B/s``).

    Examples
    --------
    >>> Ceiling("DRAM", 3.35e12, "B/s").attainable(10)
    33500000000000.0
    """

    name: str
    value: float
    unit: str

    def __post_init__(self):
        if self.unit not in (COMPUTE_UNIT, MEMORY_UNIT):
            raise ValueError(
                f"unit={self.unit!r} of ceiling {self.name!r}: use 'FLOP/s' for a compute ceiling "
                "or 'B/s' for a memory ceiling"
            )
        _positive(value=self.value)

    @property
    def is_memory(self) -> bool:
        """Whether this ceiling limits bytes (a slanted line) rather than FLOP (a flat one)."""
        return self.unit == MEMORY_UNIT

    def attainable(self, intensity):
        """Return the FLOP/s this ceiling alone allows at ``intensity`` (FLOP/B; or an array)."""
        values = _not_negative("intensity", intensity)
        flops = self.value * (values if self.is_memory else np.ones_like(values))
        return float(flops) if flops.ndim == 0 else flops


@dataclass(frozen=True)
class Roof:
    """A machine: its compute ceilings and its memory ceilings.

    The first of each is *the* roof; the others are drawn inside it, or above it for the caches
    of a cache-aware roofline. ``Roof("H100 SXM", compute=[bf16, fp32], memory=[hbm])``.
    """

    name: str
    compute: tuple[Ceiling, ...]
    memory: tuple[Ceiling, ...]

    def __post_init__(self):
        for field, wants_memory in (("compute", False), ("memory", True)):
            ceilings = getattr(self, field)
            ceilings = (ceilings,) if isinstance(ceilings, Ceiling) else tuple(ceilings)
            object.__setattr__(self, field, ceilings)
            if not ceilings:
                raise ValueError(f"{field}=() of roof {self.name!r}: give at least one Ceiling")
            for ceiling in ceilings:
                if ceiling.is_memory != wants_memory:
                    raise ValueError(
                        f"{field} of roof {self.name!r} holds {ceiling.name!r} in {ceiling.unit}: "
                        f"it takes ceilings in {MEMORY_UNIT if wants_memory else COMPUTE_UNIT}"
                    )

    @property
    def peak(self) -> float:
        """FLOP/s of the first compute ceiling."""
        return self.compute[0].value

    @property
    def bandwidth(self) -> float:
        """B/s of the first memory ceiling."""
        return self.memory[0].value

    @property
    def ridge(self) -> float:
        """Ridge point of the first two ceilings, FLOP/B."""
        return ridge_point(self.peak, self.bandwidth)

    @property
    def ceilings(self) -> tuple[Ceiling, ...]:
        """All ceilings, compute first."""
        return self.compute + self.memory

    def attainable(self, intensity):
        """Return the FLOP/s under the first two ceilings at ``intensity`` (FLOP/B; or array)."""
        return attainable(intensity, self.peak, self.bandwidth)


def datasheet_roof(name: str, *dtypes: str) -> Roof:
    """Return the roof of a device in ``syslab.facts``: dense peaks over its main memory.

    ``datasheet_roof("H100 SXM", "bf16", "fp8")`` has the bf16 peak first and fp8 after it.
    """
    from syslab import facts

    device = facts.hardware(name)
    compute = [Ceiling(dtype, device.peak(dtype), COMPUTE_UNIT) for dtype in dtypes or ("bf16",)]
    return Roof(device.name, compute, Ceiling("DRAM", device.bandwidth, MEMORY_UNIT))


@dataclass(frozen=True)
class Bound:
    """What limits a kernel: see ``bound_by``."""

    ceiling: Ceiling
    attainable: float
    headroom: float
    efficiency: float | None = None

    def __str__(self) -> str:
        said = f"bound by {self.ceiling.name}: at most {self.attainable:.3g} FLOP/s"
        if np.isfinite(self.headroom):
            said += f"; lifting it alone gains at most {self.headroom:.3g}x"
        if self.efficiency is not None:
            said += f"; {self.efficiency:.0%} of that is reached"
        return said


def bound_by(intensity: float, ceilings: Roof | Sequence[Ceiling], flops: float | None = None):
    """Return which ceiling binds at ``intensity`` and what lifting it could gain.

    Parameters
    ----------
    intensity : float
        FLOP/B, more than 0.
    ceilings : Roof or sequence of Ceiling
        All limits that apply to this kernel at once. Of a ``Roof`` its first compute and first
        memory ceiling are taken.
    flops : float, optional
        Measured FLOP/s of the kernel.

    Returns
    -------
    Bound
        ``ceiling`` (the lowest at this intensity), ``attainable`` (FLOP/s under it),
        ``headroom`` (how many times faster until the next ceiling binds, if this one alone is
        lifted; infinite if there is no other) and ``efficiency`` (``flops / attainable``, or
        None). An efficiency above 1 means that the intensity or the ceiling is wrong.
    """
    _positive(intensity=intensity)
    if isinstance(ceilings, Roof):
        ceilings = (ceilings.compute[0], ceilings.memory[0])
    if not ceilings:
        raise ValueError("ceilings=[]: give at least one Ceiling")
    limits = sorted(((c.attainable(intensity), i) for i, c in enumerate(ceilings)))
    lowest, index = limits[0]
    headroom = limits[1][0] / lowest if len(limits) > 1 else float("inf")
    if flops is not None:
        _positive(flops=flops)
    return Bound(ceilings[index], lowest, headroom, None if flops is None else flops / lowest)


def _positive(**named) -> None:
    for name, value in named.items():
        if isinstance(value, bool) or not np.isscalar(value) or isinstance(value, str):
            raise TypeError(f"{name}={value!r}: give one number, more than 0")
        if not (value > 0 and np.isfinite(value)):
            raise ValueError(f"{name}={value!r}: must be finite and more than 0")


def _not_negative(name: str, value) -> np.ndarray:
    values = np.asarray(value, dtype=float)
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        shown = values[bad].flat[0] if values.ndim else values
        raise ValueError(f"{name}={shown}: must be finite and 0 or more")
    return values
