"""What all processes of one sandbox use together, read from ``/proc`` by the process above them."""

import contextlib
import os

GRACE_CPU_S = 1  # between the warning signal and the end
MOST_SOCKETS = 256


class Meter:
    """What all processes of one sandbox use together, read from process A.

    setrlimit counts each process alone; this adds them up. Reading takes about a millisecond.

    Parameters
    ----------
    child : int
        Process id of B.
    policy : Policy
        The one B was confined to.
    """

    def __init__(self, child: int, policy):
        self._child, self._policy = child, policy
        # A has the template's memory and nothing more: what B shares with it was not B's doing.
        self._template_bytes = sum(_resident(os.getpid()))

    def exceeded(self) -> str | None:
        """Return the limit that is exceeded now (``"memory_bytes"``, ...), or None."""
        limits = self._policy.limits
        cpu_s, processes = _family(self._child)
        if cpu_s > limits.cpu_s + GRACE_CPU_S:
            return "cpu_s"
        allowed = limits.memory_bytes + limits.disk_bytes + self._template_bytes
        # Resident pages count once for each process that shares them: dear, but quickly read.
        if (
            sum(sum(_resident(p)) for p in processes) > allowed
            and sum(_proportional_bytes(p) for p in processes) > allowed
        ):
            return "memory_bytes"
        try:
            if len(os.listdir(self._policy.sockets)) > MOST_SOCKETS:
                return "sockets"
        except FileNotFoundError:
            pass
        return None


def _family(first: int) -> tuple[float, list[int]]:
    """Return the CPU seconds used by process ``first`` and its descendants, and their ids."""
    children: dict[int, list[int]] = {}
    ticks = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(name))
                ticks[int(name)] = sum(map(int, fields[11:15]))  # own, and of waited-for children
    found, todo = [], [first]
    while todo:
        process = todo.pop()
        if process in ticks:
            found.append(process)
            todo += children.get(process, [])
    return sum(ticks[p] for p in found) / os.sysconf("SC_CLK_TCK"), found


def _resident(process: int) -> tuple[int, int]:
    """Return the bytes of anonymous and of shared memory that ``process`` has in memory."""
    return _kib(f"/proc/{process}/status", (b"RssAnon", b"RssShmem"))


def _proportional_bytes(process: int) -> int:
    """Return the same with each page divided by the number of processes that share it."""
    return sum(_kib(f"/proc/{process}/smaps_rollup", (b"Pss_Anon", b"Pss_Shmem")))


def _kib(path: str, names: tuple[bytes, ...]) -> tuple[int, ...]:
    found = dict.fromkeys(names, 0)
    with contextlib.suppress(OSError), open(path, "rb") as file:
        for line in file:
            name, _, value = line.partition(b":")
            if name in found:
                found[name] = 1024 * int(value.split()[0])
    return tuple(found.values())
