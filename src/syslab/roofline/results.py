"""Measured results: what they hold, and how they are saved and loaded."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from syslab.saved import read_json, write_whole

from .model import COMPUTE_UNIT, MEMORY_UNIT, Ceiling, Roof

SCHEMA = "syslab.roofline/1"


@dataclass(frozen=True)
class Rung:
    """Memory bandwidth at one working-set size.

    ``level`` is the smallest memory that holds ``working_set_bytes`` of all threads together:
    ``L1`` ... or ``DRAM``. ``kernel`` is ``read`` (a dot product: no stores at all) or
    ``triad`` (24 B counted per element; the line that an ordinary store first fetches is not).
    """

    level: str
    kernel: str
    threads: int
    working_set_bytes: int
    bytes_per_s: float
    device: str = "cpu"


@dataclass(frozen=True)
class Peak:
    """The best matrix product found for one data type and thread count."""

    dtype: str
    threads: int
    flops: float
    engine: str
    n: int
    device: str = "cpu"


@dataclass(frozen=True)
class Point:
    """One measured kernel. ``seconds`` is the best of ``samples``, ``median_s`` the typical one.

    ``flop`` and ``bytes`` are the closed forms of ``kernels``, not counters.
    """

    kernel: str
    dtype: str
    shape: dict
    flop: float
    bytes: float
    seconds: float
    median_s: float
    samples: int
    threads: int
    device: str = "cpu"

    @property
    def intensity(self) -> float:
        """FLOP/B."""
        return self.flop / self.bytes

    @property
    def flops(self) -> float:
        """FLOP/s reached."""
        return self.flop / self.seconds

    @property
    def bytes_per_s(self) -> float:
        """B/s reached, counting compulsory bytes."""
        return self.bytes / self.seconds

    @property
    def label(self) -> str:
        """The kernel with its shape, for a legend or a table."""
        return f"{self.kernel} {self.dtype} " + " ".join(f"{k}={v}" for k, v in self.shape.items())


@dataclass(frozen=True)
class Results:
    """Everything one run measured, and on which machine."""

    machine: dict
    ladder: list[Rung] = field(default_factory=list)
    peaks: list[Peak] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)

    def bandwidth(self, level: str = "DRAM", threads: int | None = None) -> float:
        """Return the best B/s measured at ``level``, by default with the most threads."""
        rungs = self._of("ladder", "level", level, threads)
        return max(rung.bytes_per_s for rung in rungs)

    def peak(self, dtype: str, threads: int | None = None) -> float:
        """Return the best FLOP/s measured for ``dtype``, by default with the most threads.

        A matrix product among the points counts too: no point may lie above its own peak.
        """
        found = self._of("peaks", "dtype", dtype, threads)
        products = [
            point.flops
            for point in self.points
            if (point.dtype, point.threads, point.device)
            == (dtype, found[0].threads, found[0].device)
        ]
        return max([peak.flops for peak in found] + products)

    def roof(self, dtype: str, threads: int | None = None) -> Roof:
        """Return the measured roof: ``dtype`` over DRAM first, the other ceilings after them."""
        self.peak(dtype, threads)
        dtypes = dict.fromkeys([dtype, *(peak.dtype for peak in self.peaks)])
        levels = dict.fromkeys(["DRAM", *(rung.level for rung in self.ladder)])
        return Roof(
            self.machine.get("cpu") if not self._on_gpu() else self.machine["gpu"]["name"],
            tuple(Ceiling(d, self.peak(d, threads), COMPUTE_UNIT) for d in dtypes),
            tuple(Ceiling(at, self.bandwidth(at, threads), MEMORY_UNIT) for at in levels),
        )

    def table(self, part: str = "points"):
        """Return ``ladder``, ``peaks`` or ``points`` as a pandas DataFrame."""
        import pandas as pd

        if part not in ("ladder", "peaks", "points"):
            raise ValueError(f"part={part!r}: use 'ladder', 'peaks' or 'points'")
        frame = pd.DataFrame([asdict(row) for row in getattr(self, part)])
        if part == "points" and len(frame):
            frame["intensity"] = frame["flop"] / frame["bytes"]
            frame["flops"] = frame["flop"] / frame["seconds"]
        return frame

    def save(self, path: str | os.PathLike) -> Path:
        """Write the results to ``path`` as JSON, whole or not at all, replacing an older file."""
        text = json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, allow_nan=False)
        return write_whole(path, text)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Results:
        """Read what ``save`` wrote.

        Raises
        ------
        FileNotFoundError
            No such file: run the bench first.
        ValueError
            The file is damaged, or is not a file of this kind.
        """
        again = "run the roofline bench again to write a new one"
        absent = "no results here yet; run the roofline bench, which saves them"
        data = read_json(path, SCHEMA, absent, again)
        try:
            return cls(
                dict(data["machine"]),
                *([_row(kind, row) for row in data[part]] for part, kind in _PARTS.items()),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is incomplete ({error}); {again}") from error

    def _on_gpu(self) -> bool:
        return any(peak.device == "cuda" for peak in self.peaks)

    def _of(self, part: str, key: str, value: str, threads: int | None) -> list:
        rows = getattr(self, part)
        named = [row for row in rows if getattr(row, key) == value]
        if not named:
            there = sorted({getattr(row, key) for row in rows})
            raise ValueError(f"{key}={value!r} was not measured; measured: {', '.join(there)}")
        wanted = max(row.threads for row in named) if threads is None else threads
        found = [row for row in named if row.threads == wanted]
        if not found:
            there = sorted({row.threads for row in named})
            raise ValueError(f"threads={threads!r} was not measured for {value}; measured: {there}")
        return found


_PARTS = {"ladder": Rung, "peaks": Peak, "points": Point}


def _row(kind, row: dict):
    """Rebuild one dataclass; every number in it must be a number, and positive."""
    made = kind(**row)
    for spec in fields(kind):
        value = getattr(made, spec.name)
        if spec.type in ("int", "float"):
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ValueError(f"{kind.__name__}.{spec.name}={value!r} is not a positive number")
        elif spec.type == "str" and not isinstance(value, str):
            raise ValueError(f"{kind.__name__}.{spec.name}={value!r} is not text")
        elif spec.type == "dict" and not isinstance(value, dict):
            raise ValueError(f"{kind.__name__}.{spec.name}={value!r} is not a mapping")
    return made
