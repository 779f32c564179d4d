"""Hardware counters of this machine, where it lets a process read them (Linux, perf_event_open).

`available` says whether it does, and if not, precisely why and what to do.  Nothing is counted
on macOS, in most virtual machines and containers; simulated and recorded counts stand in there.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
_SYSCALL = {"x86_64": 298, "aarch64": 241}
_HARDWARE, _SOFTWARE = 0, 1
_ENABLE, _DISABLE, _RESET, _GROUP = 0x2400, 0x2401, 0x2403, 1

EVENTS = {
    "cycles": (_HARDWARE, 0),
    "instructions": (_HARDWARE, 1),
    "cache-references": (_HARDWARE, 2),
    "cache-misses": (_HARDWARE, 3),
    "branches": (_HARDWARE, 4),
    "branch-misses": (_HARDWARE, 5),
    "task-clock": (_SOFTWARE, 1),
    "page-faults": (_SOFTWARE, 2),
}
"""Event name to (type, config) of perf_event_open.  task-clock (ns) and page-faults are kept by
the kernel in software and work without hardware counters."""


@dataclass(frozen=True)
class Availability:
    """Whether hardware counters can be read; ``reason`` and ``action`` say what to do if not."""

    ok: bool
    reason: str
    action: str = ""

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return self.reason + (f" -> {self.action}" if self.action else "")


class CountersUnavailable(RuntimeError):
    """The counters asked for cannot be read here; the message says why and what to do."""


_INSTEAD = "use syslab.counters.simulate(...) or recorded(...)"


def available() -> Availability:
    """Try to open a cycle counter on this process, and explain a refusal."""
    return _explain("cycles", *_try_open("cycles"))


def _try_open(event: str) -> tuple[int | None, str]:
    """(errno or None when it opened, why the attempt was not even made)."""
    if platform.system() != "Linux":
        return -1, f"{platform.system()} has no perf_event_open"
    if platform.machine() not in _SYSCALL:
        return -1, f"no perf_event_open number known for {platform.machine()}"
    try:
        os.close(_open(event, -1))
    except OSError as error:
        return error.errno, ""
    return None, ""


def _explain(
    event: str, errno: int | None, not_tried: str, paranoid: int | None = None
) -> Availability:
    import errno as codes

    if errno is None:
        return Availability(True, f"{event} can be counted with perf_event_open")
    if not_tried:
        return Availability(False, not_tried, _INSTEAD)
    if paranoid is None and _PARANOID.exists():
        paranoid = int(_PARANOID.read_text())
    if errno in (codes.ENOENT, codes.EOPNOTSUPP, codes.ENODEV):
        return Availability(
            False,
            f"this machine exposes no hardware counter for {event} (usual in virtual machines)",
            f"run on bare metal or turn on a virtual PMU; or {_INSTEAD}",
        )
    if errno in (codes.EACCES, codes.EPERM):
        if paranoid is not None and paranoid > 2:
            return Availability(
                False,
                f"perf_event_paranoid is {paranoid}; counting a process of one's own "
                "needs 2 or less",
                f"sudo sysctl kernel.perf_event_paranoid=2; or {_INSTEAD}",
            )
        return Availability(
            False,
            "perf_event_open is forbidden, likely by the container's seccomp profile",
            f"start the container with CAP_PERFMON; or {_INSTEAD}",
        )
    if errno == codes.ENOSYS:
        return Availability(False, "this kernel was built without perf events", _INSTEAD)
    return Availability(False, f"perf_event_open failed: {os.strerror(errno)}", _INSTEAD)


def read(events: list[str], fn: Callable[[], object]) -> dict[str, int]:
    """Count ``events`` in user mode while ``fn()`` runs on this thread.

    Parameters
    ----------
    events : list of str
        Names in `EVENTS`.  They are counted as one group, at the same time, never multiplexed;
        hardware has about 4 to 8 counters.
    fn : callable
        Called once, without arguments.

    Returns
    -------
    dict of str to int

    Raises
    ------
    ValueError
        An unknown event name.
    CountersUnavailable
        The machine does not let us count; the message says why and what to do.
    """
    if not events:
        raise ValueError(f"events is empty; choose from {', '.join(EVENTS)}")
    for event in events:
        if event not in EVENTS:
            raise ValueError(f"unknown event {event!r}; events: {', '.join(EVENTS)}")
        refusal = _explain(event, *_try_open(event))
        if not refusal:
            raise CountersUnavailable(str(refusal))
    import fcntl

    opened: list[int] = []
    try:
        for event in events:
            opened.append(_open(event, opened[0] if opened else -1))
        fcntl.ioctl(opened[0], _RESET, _GROUP)
        fcntl.ioctl(opened[0], _ENABLE, _GROUP)
        try:
            fn()
        finally:
            fcntl.ioctl(opened[0], _DISABLE, _GROUP)
        counts = {}
        for event, descriptor in zip(events, opened, strict=True):
            value, enabled, running = struct.unpack("QQQ", os.read(descriptor, 24))
            if running < enabled:
                raise CountersUnavailable(
                    f"{len(events)} events do not fit the hardware at once "
                    f"(ran {running} of {enabled} ns); count fewer at a time"
                )
            counts[event] = value
        return counts
    except OSError as error:
        raise CountersUnavailable(
            f"reading {', '.join(events)} failed: {error}; count fewer events at a time"
        ) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _open(event: str, leader: int) -> int:
    """perf_event_open for this thread on any CPU; the group leader starts disabled."""
    kind, config = EVENTS[event]
    size = 64  # PERF_ATTR_SIZE_VER0
    read_format = 1 | 2  # time enabled, time running
    # Neither kernel nor hypervisor: all that perf_event_paranoid = 2 (the usual) allows.
    flags = (1 if leader < 0 else 0) | 1 << 5 | 1 << 6
    attr = struct.pack("IIQQQQQIIQ", kind, size, config, 0, 0, read_format, flags, 0, 0, 0)
    buffer = ctypes.create_string_buffer(attr, size)
    libc = ctypes.CDLL(None, use_errno=True)
    call = libc.syscall
    call.restype = ctypes.c_long
    descriptor = call(
        ctypes.c_long(_SYSCALL[platform.machine()]),
        buffer,
        ctypes.c_int(0),
        ctypes.c_int(-1),
        ctypes.c_int(leader),
        ctypes.c_ulong(0),
    )
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return descriptor
