"""Start a warm template and ask it for kernels."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# Imported before the first kernel: what the course's notebooks import, heaviest first.
MODULES = (
    "torch",
    "torch._dynamo",  # torch imports it on the first call of a decorated operator, 2.5 s
    "pandas",
    "pyarrow.parquet",
    "matplotlib.pyplot",
    "scipy.stats",
    "numba",
    "ipywidgets",
)
# No pools before the fork: a fork keeps one thread of a process, the others' locks stay shut.
_SINGLE = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
KEPT = (
    "PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH",
    "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES",
    "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME",
)  # fmt: skip
START_LIMIT_S = 120.0
_AVAILABLE = hasattr(os, "fork") and hasattr(socket, "AF_UNIX")
_NO_FORK = "warm kernels need os.fork: use Linux or macOS, or stock kernels"


class WarmError(RuntimeError):
    """A template or a kernel of it could not be had; the message says why and what to do."""


@dataclass
class Kernel:
    """A forked kernel: its process, and the connection that keeps it alive."""

    pid: int
    connection: socket.socket
    exit_code: int | None = None
    exceeded: str = ""  # the sandbox's limit that ended it
    _said: bytes = field(default=b"", repr=False)

    def poll(self, wait_s: float = 0.0) -> int | None:
        """The exit code once it has ended (negative: the signal), else None."""
        if self.exit_code is None:
            self.connection.settimeout(max(wait_s, 1e-6))
            try:
                part = self.connection.recv(4096)
            except TimeoutError:
                return None
            except OSError:
                part = b""
            self._said += part
            if b"\n" in self._said:
                last = json.loads(self._said.splitlines()[-1])
                self.exit_code = int(last.get("exit", 1))
                self.exceeded = str(last.get("exceeded", ""))
            elif not part:
                self.exit_code = -signal.SIGKILL
        return self.exit_code

    def signal(self, number: int) -> None:
        """Send a signal to the kernel; without effect when it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)

    def close(self) -> None:
        """End the kernel and everything it started."""
        self.connection.close()
        self.exit_code = -signal.SIGKILL if self.exit_code is None else self.exit_code


class Template:
    """A warm template process. Use as a context manager, or share one with `shared`.

    Parameters
    ----------
    modules
        What it imports before the first kernel; one that is not there is left out.
    environment
        Variables that its own process starts with, by default those of `KEPT` that are set here:
        a kernel can read them in ``/proc``, so no secret may be among them.

    Raises
    ------
    WarmError
        Where there is no ``os.fork``, or the process ends before it is ready.
    """

    def __init__(
        self, modules: Sequence[str] = MODULES, environment: Mapping[str, str] | None = None
    ) -> None:
        if not _AVAILABLE:
            raise WarmError(_NO_FORK)
        own = _kept() if environment is None else dict(environment)
        self.folder, self.address = _new_address()
        theirs, self._owner = os.pipe()
        try:
            self.process, self._starting = _start(self.address, modules, own, theirs, idle_s=0)
        finally:
            os.close(theirs)
        self._maker = os.getpid()
        atexit.register(self.close)

    def __enter__(self) -> Template:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self) -> None:
        """Wait until it has imported everything."""
        if self._starting < 0:
            return
        starting, self._starting = self._starting, -1
        if not _became_ready(starting):
            code = self.process.poll()
            self.close()
            raise WarmError(_NOT_STARTED.format(code=code))

    def close(self) -> None:
        """End the template. Kernels that were forked go on until their connection is closed."""
        if os.getpid() != self._maker:
            return  # a fork of the owner must not end it
        atexit.unregister(self.close)
        os.close(self._owner)
        if self._starting >= 0:
            os.close(self._starting)
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


def _kept() -> dict[str, str]:
    """What Python needs of this process's environment, and nothing that might be a secret."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


_NOT_STARTED = (
    "the warm template did not start (exit code {code}); run `python -m syslab.warm.template` by "
    "hand to see why, or use stock kernels"
)


def _new_address() -> tuple[Path, str]:
    """A folder that only this user may enter, and the template's socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="syslab-warm-"))
    return folder, str(folder / "template")


def _start(
    address: str, modules: Sequence[str], environment: Mapping[str, str], owner: int, idle_s: float
) -> tuple[subprocess.Popen, int]:
    """The template's process, and the pipe on which it says that it is ready."""
    own = {
        **environment,
        **dict.fromkeys(_SINGLE, "1"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    starting, ready = os.pipe()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(256)
        numbers = (listener.fileno(), ready, owner)
        command = [sys.executable, "-m", "syslab.warm.template", *map(str, numbers), f"{idle_s}"]
        try:
            process = subprocess.Popen(
                [*command, *modules],
                cwd="/",
                env=own,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # One that outlives us must not hold our terminal, or the pipe behind it.
                stderr=subprocess.DEVNULL if idle_s else None,
                pass_fds=[number for number in numbers if number >= 0],
                start_new_session=True,
            )
        finally:
            os.close(ready)
    return process, starting


def _became_ready(starting: int) -> bool:
    """Wait for the template's word on the pipe, and close it."""
    try:
        readable, _, _ = select.select([starting], [], [], START_LIMIT_S)
        return bool(readable and os.read(starting, 65536))
    finally:
        os.close(starting)


def _own_folder() -> Path:
    """This user's folder for the note; what others could have put there is not trusted."""
    folder = Path(tempfile.gettempdir()) / f"syslab-resident-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise WarmError(f"{folder} is not this user's alone: remove it")
    return folder


def resident(
    folder: Path | None = None, modules: Sequence[str] = MODULES, idle_s: float = 1200.0
) -> str:
    """The address of a template that outlives this process: found, or started now.

    It is noted in `folder`, by default one of this user's in the system's folder for temporary
    files, and ends by itself when nobody asked for a kernel for `idle_s` seconds.

    Raises
    ------
    WarmError
        As `Template` does, and when that folder belongs to somebody else.
    """
    if not _AVAILABLE:
        raise WarmError(_NO_FORK)
    folder = _own_folder() if folder is None else folder
    from syslab import saved

    python = hashlib.sha256(sys.executable.encode()).hexdigest()[:12]
    note = folder / f"warm-{python}"
    with contextlib.suppress(OSError):
        address = note.read_text(encoding="utf-8").strip()
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(address)
        return address
    place, address = _new_address()
    process, starting = _start(address, modules, _kept(), owner=-1, idle_s=idle_s)
    if not _became_ready(starting):
        shutil.rmtree(place, ignore_errors=True)
        raise WarmError(_NOT_STARTED.format(code=process.poll()))
    saved.write_whole(note, address)
    return address


def fork(
    address: str,
    connection: Mapping[str, Any],
    *,
    folder: str | Path,
    sockets: str | Path,
    environment: Mapping[str, str] | None = None,
    threads: int | None = None,
    policy: Any = None,
    witness: Mapping[str, Any] | None = None,
) -> Kernel:
    """A kernel of the template at `address`, its sockets bound.

    Parameters
    ----------
    address
        The template's.
    connection
        Jupyter's connection information (transport ``ipc``).
    folder
        Its working directory.
    sockets
        Where the connection's sockets and its file lie.
    environment
        All its variables; those of this process when not given.
    threads
        How many threads torch may use; by default all cores.
    policy
        A `syslab.warm.sandbox.Policy`, or None for a kernel with the caller's rights.
    witness
        What `integrity.start` is to be given: its ``pipe`` is a FIFO opened for reading.

    Raises
    ------
    WarmError
        When the template is gone or the kernel cannot be set up.
    """
    key = connection.get("key", b"")
    link, said = _ask(address, {
        "connection": {**connection, "key": key.decode() if isinstance(key, bytes) else key},
        "folder": str(folder),
        "sockets": str(sockets),
        "environment": dict(os.environ if environment is None else environment),
        "threads": threads or len(os.sched_getaffinity(0) if _HAS_AFFINITY else (1,)),
        "policy": None if policy is None else _plain(asdict(policy)),
        "witness": None if witness is None else dict(witness),
    })  # fmt: skip
    if "pid" not in said:
        link.close()
        raise WarmError(f"no kernel: {said.get('error', 'the template hung up')}")
    return Kernel(int(said["pid"]), link)


def teach(address: str, modules: Sequence[str], compiled: Sequence[Sequence[str]] = ()) -> None:
    """Make the template import `modules` and compile `compiled` for the kernels to come.

    Raises
    ------
    WarmError
        When the template is gone, or cannot.
    """
    link, said = _ask(address, {"modules": list(modules), "compiled": list(map(list, compiled))})
    link.close()
    if "ready" not in said:
        raise WarmError(f"not learnt: {said.get('error', 'the template hung up')}")


def _ask(address: str, request: Mapping[str, Any]) -> tuple[socket.socket, dict[str, Any]]:
    """Send a request to the template; the connection and its first answer."""
    link = socket.socket(socket.AF_UNIX)
    try:
        link.settimeout(START_LIMIT_S)
        link.connect(address)
        link.sendall(json.dumps(request).encode() + b"\n")
        return link, _line(link)
    except OSError as error:
        link.close()
        raise WarmError(f"the warm template does not answer ({error}); start it again") from None


_HAS_AFFINITY = hasattr(os, "sched_getaffinity")


def _line(link: socket.socket) -> dict[str, Any]:
    """One message; a second one in the same breath would be lost, so read byte by byte."""
    text = b""
    while not text.endswith(b"\n"):
        part = link.recv(1)
        if not part:
            return {}
        text += part
    return json.loads(text)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


_shared: Template | None = None


def shared() -> Template:
    """The one template of this process, ready: started on first use, ended with the process."""
    global _shared
    if _shared is None or _shared._maker != os.getpid() or _shared.process.poll() is not None:
        _shared = Template()
    _shared.wait()
    return _shared
