"""Roofline: how fast a kernel can run on a machine, from work and two measured numbers.

- ``model``: ridge point, attainable FLOP/s, ceilings, which one binds;
- ``kernels``: FLOP and bytes of real kernels in closed form;
- ``measure``: bandwidth ladder, compute peaks and kernels of the machine you sit at;
- ``traps``: the same work measured carelessly and with care;
- ``gpu_tables``: the same for data-centre GPUs, from published kernel timings;
- ``plot``: the picture, still or with sliders.
"""

from .kernels import Work
from .model import (
    Bound,
    Ceiling,
    Roof,
    attainable,
    bound_by,
    datasheet_roof,
    ridge_point,
    time_bounds,
)

__all__ = [
    "Bound",
    "Ceiling",
    "Roof",
    "Work",
    "attainable",
    "bound_by",
    "datasheet_roof",
    "ridge_point",
    "time_bounds",
]
