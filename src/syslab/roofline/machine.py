"""What machine a measurement was made on: written into every recorded file."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

# Instruction sets that decide a CPU's peak. A subset of /proc/cpuinfo flags or sysctl names.
VECTOR_FLAGS = (
    *("sse2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "avx512_fp16"),
    *("amx_tile", "amx_bf16", "amx_int8", "asimd", "bf16", "i8mm", "sve", "sve2"),
)


def machine(date: str | None = None) -> dict:
    """Describe this machine: CPU, cores, caches, memory, library versions, GPU if there is one.

    Parameters
    ----------
    date : str, optional
        The day of the measurement, as you want it recorded, such as ``"2026-03-01"``.

    Returns
    -------
    dict
        JSON-ready. Sizes are in bytes; an unknown value is None. No host or user name.
    """
    import psutil

    return {
        "date": date,
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "vector_flags": vector_flags(),
        "virtual": "hypervisor" in _linux_flags() if sys.platform == "linux" else None,
        "caches": caches(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in ("numpy", "numba", "torch")},
        "gpu": gpu(),
    }


def usable_cores() -> int:
    """Return how many logical CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model() -> str:
    """Return the CPU's name as the system reports it."""
    if sys.platform == "darwin":
        return _sysctl("machdep.cpu.brand_string") or platform.processor()
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def vector_flags() -> list[str]:
    """Return which of the instruction sets in ``VECTOR_FLAGS`` this CPU has."""
    if sys.platform == "darwin":
        named = {"asimd": "AdvSIMD", "bf16": "FEAT_BF16", "i8mm": "FEAT_I8MM"}
        found = [f for f, key in named.items() if _sysctl(f"hw.optional.arm.{key}") == "1"]
        intel = (_sysctl("machdep.cpu.features") or "").lower().split()
        return found + [f for f in VECTOR_FLAGS if f in intel]
    flags = _linux_flags()
    return [f for f in VECTOR_FLAGS if f in flags]


def caches(root: str | Path = "/sys/devices/system/cpu") -> list[dict]:
    """Return the data caches, smallest level first, as far as the system tells.

    Each entry has ``level`` (1, 2, ...), ``bytes`` of one instance, ``instances`` and
    ``shared_by`` (logical CPUs per instance). Empty if the system says nothing.
    """
    if sys.platform == "darwin":
        return _caches_from_sysctl()
    found = {}
    for index in sorted(Path(root).glob("cpu[0-9]*/cache/index[0-9]*")):
        kind, level = _read(index / "type"), _read(index / "level")
        size, shared = _read(index / "size"), _read(index / "shared_cpu_list")
        if kind not in ("Data", "Unified") or not size or not level:
            continue
        found.setdefault((int(level), _bytes(size)), set()).add(shared or str(index))
    return [
        {"level": level, "bytes": size, "instances": len(lists), "shared_by": _count(lists)}
        for (level, size), lists in sorted(found.items())
    ]


def gpu() -> dict | None:
    """Return name, memory and cache of the CUDA device, or None without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    device = torch.cuda.get_device_properties(0)
    return {
        "name": device.name,
        "memory_bytes": device.total_memory,
        "l2_bytes": getattr(device, "L2_cache_size", None),
        "multiprocessors": device.multi_processor_count,
        "cuda": torch.version.cuda,
    }


def cache_capacity_bytes(described: Mapping, level: int, threads: int) -> int | None:
    """Return how much of cache ``level`` is open to ``threads`` on as many cores, or None.

    A private cache counts once per thread; a shared one once per group of cores that share it.
    """
    for cache in described["caches"]:
        if cache["level"] == level:
            groups = -(-threads // max(1, cache["shared_by"]))
            return cache["bytes"] * max(1, min(groups, cache["instances"]))
    return None


def last_level_bytes(described: Mapping) -> int | None:
    """Return the capacity of the whole last cache level, all instances together, or None."""
    if not described["caches"]:
        return None
    last = max(described["caches"], key=lambda cache: cache["level"])
    return last["bytes"] * last["instances"]


def _caches_from_sysctl() -> list[dict]:
    # Apple's CPUs describe the fast cores as perflevel0; older Macs have only the plain names.
    found = []
    cores = usable_cores()
    for level, key in ((1, "l1dcachesize"), (2, "l2cachesize"), (3, "l3cachesize")):
        size = _sysctl(f"hw.perflevel0.{key}") or _sysctl(f"hw.{key}")
        if not size or int(size) <= 0:
            continue
        shared = int(_sysctl("hw.perflevel0.cpusperl2") or 1) if level == 2 else 1
        shared = cores if level == 3 else shared
        found.append(
            {
                "level": level,
                "bytes": int(size),
                "instances": max(1, cores // shared),
                "shared_by": shared,
            }
        )
    return found


def _count(shared_cpu_lists: set[str]) -> int:
    """Count the CPUs in one sysfs list such as ``0-3,8``."""
    total = 0
    for part in sorted(shared_cpu_lists)[0].split(","):
        low, _, high = part.partition("-")
        if not low.isdigit():
            return 1
        total += int(high or low) - int(low) + 1
    return total


def _bytes(size: str) -> int:
    unit = {"K": 2**10, "M": 2**20, "G": 2**30}.get(size[-1])
    return int(size[:-1]) * unit if unit else int(size)


def _linux_flags() -> set[str]:
    for line in _read("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return set(value.split())
    return set()


def _sysctl(name: str) -> str | None:
    try:
        done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
