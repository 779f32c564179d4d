"""Run untrusted code in a forked process that can reach nothing but what it was given.

Three processes take part, and no root rights are needed. Process A, forked from wherever the warm
imports live, calls `isolate`; its next child B is process 1 of a process namespace and calls
`confine`; whatever B runs from then on is held, and so is everything B starts::

    if os.fork() == 0:                     # A
        sandbox.isolate()
        child = os.fork()
        if child == 0:                     # B
            sandbox.confine(policy)
            run_untrusted_code()
        os._exit(sandbox.wait(child, policy).status)

What holds inside, and what enforces it:

- No network: a network namespace with a loopback interface of its own. A server and its client may
  both run inside; services of the machine, abstract unix sockets among them, are not there.
- Files: a mount namespace whose root holds the system's programs and libraries, Python,
  ``policy.readable`` (all read-only) and the scratch folder. Landlock says the same a second time.
- Writing: scratch, TMPDIR and ``/dev/shm`` are one tmpfs of ``limits.disk_bytes``. What lay in the
  scratch folder is copied in; **what is written there ends with the process**. In
  ``policy.sockets``, which is the machine's own folder, sockets may be made and nothing else.
- Processes: a process namespace ends, with every daemon in it, when B ends, and B ends with A.
- Kernel interfaces: seccomp refuses what a notebook does not need (see `syslab.warm._seccomp`).
- Resources: limits per process by setrlimit, and over all processes by `wait`.

B has the caller's user id, without capabilities. Called as root it becomes an unprivileged user
instead, because the kernel exempts root from the limit on processes.

Not held: kernel memory such as socket buffers, which only a memory cgroup counts (what is inside is
the first to go when the machine runs short), and what timing tells. A secret in the memory or the
environment of the process that is forked is not a secret inside: start the template without any.
Process 1 ignores signals it sends to itself unless it has a handler, SIGKILL included, and nobody
waits there for orphans, so each counts as a process until the end.

Where the kernel offers less, `support` says what is missing and `confine` raises `SandboxError`,
unless the policy says ``allow_partial``.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from syslab.warm import _landlock, _linux, _seccomp, _tree
from syslab.warm._meter import GRACE_CPU_S, Meter

try:
    import resource
except ImportError:  # Windows, where `support` says the rest
    resource = None

GIB, MIB = 2**30, 2**20
# Who runs the code where the caller is root: uid 1000 inside, "nobody" outside.
_LEARNER, _NOBODY = 1000, 65534
# Thread stacks and allocator arenas reserve address space they do not use.
_ADDRESS_SLACK_BYTES = 1 * GIB

__all__ = (
    "Ended", "Limits", "Meter", "Policy", "SandboxError", "Support",
    "confine", "isolate", "support", "wait",
)  # fmt: skip


class SandboxError(RuntimeError):
    """Untrusted code cannot be held as promised; the message says what to do."""


@dataclass(frozen=True)
class Limits:
    """What the code in one sandbox may use.

    Attributes
    ----------
    memory_bytes : int
        Memory beyond what the template maps already: for each process (MemoryError above it), and
        for all processes together where the parent calls `wait`.
    cpu_s : int
        CPU seconds, for each process and, with `wait`, for all together.
    processes : int
        Processes and threads at one time. An IPython kernel needs about 12.
    file_bytes : int
        Size of one file.
    disk_bytes : int
        Size of all files in scratch, TMPDIR and ``/dev/shm`` together. They lie in memory.
    open_files : int
        Open descriptors of each process.
    """

    memory_bytes: int = 4 * GIB
    cpu_s: int = 600
    processes: int = 128
    file_bytes: int = 256 * MIB
    disk_bytes: int = 512 * MIB
    open_files: int = 256

    def __post_init__(self):
        """Refuse limits that nothing could run under."""
        least = {
            "memory_bytes": 16 * MIB, "cpu_s": 1, "processes": 1, "file_bytes": 4096,
            "disk_bytes": MIB, "open_files": 16,
        }  # fmt: skip
        for name, legal in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < legal:
                raise ValueError(f"{name} is {value!r}: give a whole number of at least {legal}")


@dataclass(frozen=True)
class Policy:
    """What the code in one sandbox may reach.

    Attributes
    ----------
    scratch : Path
        Existing folder that becomes the working folder. What lies in it is there inside; what is
        written inside is not there afterwards.
    readable : tuple of Path
        Files and folders to read besides the system, Python's environment and this package.
    sockets : Path
        Existing folder of unix sockets shared with the outside, as ``ipc://`` addresses; not
        inside ``scratch``. What else lies in it can be read, so keep nothing there.
    limits : Limits
        See there.
    allow_partial : bool
        Go on where the kernel cannot enforce all of it. Only for code that is trusted anyway.
    """

    scratch: Path
    readable: tuple[Path, ...]
    sockets: Path
    limits: Limits = field(default_factory=Limits)
    allow_partial: bool = False


@dataclass(frozen=True)
class Support:
    """What this machine offers for a sandbox.

    Attributes
    ----------
    user_namespaces, network_namespaces, process_namespaces, mounts, seccomp : bool
        Whether a process without rights may have them. ``mounts`` covers a root of its own.
    landlock_abi : int
        Version of Landlock, 0 for none.
    missing : tuple of str
        One sentence for each thing that is missing, with what to do.
    """

    user_namespaces: bool
    network_namespaces: bool
    process_namespaces: bool
    mounts: bool
    landlock_abi: int
    seccomp: bool
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Return whether `confine` can keep all it promises."""
        return not self.missing


@dataclass(frozen=True)
class Ended:
    """How a sandboxed process ended.

    Attributes
    ----------
    status : int
        Exit status; negative for the signal that ended it.
    exceeded : str or None
        The limit for which `wait` ended it: ``"memory_bytes"``, ``"cpu_s"``, ``"sockets"``.
    """

    status: int
    exceeded: str | None


@dataclass(frozen=True)
class _Isolated:
    """Left in process A by `isolate`, found in B by `confine`."""

    uid: int  # that B is to have
    gid: int
    alive: int  # read end of a pipe that breaks when A ends
    pledge: int  # its write end, which A alone is to hold


_isolated: _Isolated | None = None


# ------------------------------------------------------------------------------- isolating


def isolate() -> None:
    """Give this process new namespaces; its next child is process 1 in them.

    The calling process must have a single thread. Its own files, environment and process id stay
    as they are.

    Raises
    ------
    SandboxError
        If the kernel refuses.
    """
    try:
        _enter_namespaces()
    except OSError as error:
        advice = " ".join(support().missing) or _what_to_do()
        raise SandboxError(f"no namespaces for the sandbox ({error}). {advice}") from error


def _enter_namespaces() -> None:
    global _isolated
    ids = os.getuid(), os.getgid()
    root = os.geteuid() == 0
    wanted = (
        _linux.CLONE_NEWUSER | _linux.CLONE_NEWNET | _linux.CLONE_NEWPID | _linux.CLONE_NEWIPC
        | _linux.CLONE_NEWUTS | _linux.CLONE_NEWCGROUP
    )  # fmt: skip
    if root:
        os.setgroups([])
    with _mapped_by_a_helper() if root else contextlib.nullcontext():
        _linux.unshare(wanted)
    if not root:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{ids[0]} {ids[0]} 1")
        _write("/proc/self/gid_map", f"{ids[1]} {ids[1]} 1")
    _linux.loopback_up()
    socket.sethostname(_tree.HOST_NAME)
    uid, gid = (_LEARNER, _LEARNER) if root else ids
    _isolated = _Isolated(uid, gid, *os.pipe())


@contextlib.contextmanager
def _mapped_by_a_helper():
    """Have a child, which stays outside, map root and one unprivileged user into the namespace.

    Only root may map a second user, and only from outside. The child is a shell and not a fork: it
    starts in a millisecond, however much memory the template has.
    """
    ids = f"0 0 1\\n{_LEARNER} {_NOBODY} 1\\n"
    folder = f"/proc/{os.getpid()}"
    script = f"read go && printf '{ids}' >{folder}/uid_map && printf '{ids}' >{folder}/gid_map"
    helper = subprocess.Popen(
        ["/bin/sh", "-c", script], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        yield
        helper.communicate(b"go\n")
    finally:
        helper.stdin.close()
        helper.wait()
    if helper.returncode:
        raise PermissionError(1, "mapping user ids: Operation not permitted")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


# ------------------------------------------------------------------------------- confining


def confine(policy: Policy, keep: Iterable[int] = ()) -> None:
    """Hold this process, and all it will start, to ``policy``, for good.

    Standard input, output and error and the descriptors in ``keep`` stay open; all others are
    closed, so objects that own one must not be used or closed afterwards. The working folder
    becomes ``policy.scratch``, where nothing is added to what it holds; the variables that name
    folders for homes, caches and temporary files point to places that share its quota.

    Raises
    ------
    SandboxError
        If any part cannot be enforced and ``policy.allow_partial`` is not set. The process may be
        half confined then and should end.
    """
    namespaces = _isolated is not None and os.getpid() == 1
    lacking = (
        [] if namespaces else ["this is not the first child of a process that called isolate()"]
    )
    lacking += [] if _landlock.abi() else ["this kernel has no Landlock"]
    try:
        compiled = _seccomp.program(networks=namespaces)
    except ImportError as error:
        compiled = None
        lacking.append(f"no seccomp filter ({error})")
    if lacking and not policy.allow_partial:
        raise SandboxError(f"cannot confine: {'; '.join(lacking)}. {_what_to_do()}")
    if len(os.listdir("/proc/self/task")) > 1:
        raise SandboxError("cannot confine: this process has threads already, which would go free")
    policy = _checked(policy)
    used_bytes = _linux.mapped_bytes()
    try:
        _let_go([*keep, _isolated.alive] if namespaces else keep)
        if namespaces:
            _tree.build(policy, _isolated.uid, _isolated.gid)
            _linux.become(_isolated.uid, _isolated.gid)
            _refuse_unreadable(policy)
        _limit(policy.limits, *used_bytes, private=namespaces)
        _settle(policy, private=namespaces)
        _linux.prctl(_linux.PR_SET_NO_NEW_PRIVS, 1)
        _linux.prctl(_linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        if namespaces:
            if select.select([_isolated.alive], [], [], 0)[0]:
                os._exit(1)  # A ended before B could promise to end with it
            os.close(_isolated.alive)
        if _landlock.abi():
            _landlock.restrict(_rules(policy, private=namespaces))
        if compiled:
            _seccomp.install(compiled)
    except OSError as error:
        raise SandboxError(f"cannot confine: {error}. {_what_to_do()}") from error


def _checked(policy: Policy) -> Policy:
    """Return ``policy`` with real, absolute paths; refuse one that contradicts itself."""
    scratch, sockets = Path(policy.scratch).resolve(), Path(policy.sockets).resolve()
    for name, folder in (("scratch", scratch), ("sockets", sockets)):
        if not folder.is_dir():
            raise SandboxError(f"{name} is {folder}, which is no folder: make it first")
    for folder in (scratch, _tree.SHARED_MEMORY):
        if _tree.inside(sockets, folder) or _tree.inside(scratch, sockets):
            raise SandboxError(
                f"sockets {sockets} and {folder} lie in one another: regular files may be made in "
                "one and not in the other, so choose folders side by side"
            )
    readable = []
    for path in policy.readable:
        if not os.path.lexists(path):
            raise SandboxError(f"readable names {path}, which does not exist")
        readable.append(Path(os.path.abspath(path)))
        for name, folder in (("scratch", scratch), ("sockets", sockets)):
            if _tree.inside(folder, os.path.realpath(path)):
                raise SandboxError(
                    f"{name} {folder} lies in the readable folder {path}: "
                    "choose a scratch folder outside, /tmp for example"
                )
    for path in _tree.system_paths():
        if _tree.inside(scratch, path):
            raise SandboxError(f"scratch {scratch} lies in {path}, which must stay readable")
    readable = [p for p in readable if not _tree.inside(p, scratch)]
    return Policy(scratch, tuple(readable), sockets, policy.limits, policy.allow_partial)


def _refuse_unreadable(policy: Policy) -> None:
    for path in policy.readable:
        if not os.access(path, os.R_OK):
            raise SandboxError(
                f"readable names {path}, which user id {os.getuid()} may not read: untrusted code "
                "never runs as root; `chmod -R o+rX` it, or copy it into the scratch folder"
            )


def _let_go(keep: Iterable[int]) -> None:
    """Leave session, terminal and open files behind; be the first to go when memory is short."""
    with contextlib.suppress(PermissionError):  # already leads a group of its own
        os.setsid()
    os.umask(0o022)  # for the folders of the tree
    kept = {0, 1, 2, *keep}
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            with contextlib.suppress(OSError):  # the listing's own
                os.close(int(name))
    with contextlib.suppress(OSError):
        _write("/proc/self/oom_score_adj", "1000")


def _limit(limits: Limits, mapped_bytes: int, data_bytes: int, private: bool) -> None:
    """Set the limits of this process and its children; memory comes on top of what is mapped."""
    wanted = {
        # Private memory, used or not, and as a cap on shared memory all of the address space.
        resource.RLIMIT_DATA: data_bytes + limits.memory_bytes,
        resource.RLIMIT_AS: mapped_bytes + limits.memory_bytes + _ADDRESS_SLACK_BYTES,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_MEMLOCK: 8 * MIB,
        # Not 0: a limit of 1 also keeps the kernel from piping the dump to a program of the host.
        resource.RLIMIT_CORE: 1,
    }
    if private:  # elsewhere it would count what the user runs outside
        wanted[resource.RLIMIT_NPROC] = limits.processes
    for kind, value in wanted.items():
        _, most = resource.getrlimit(kind)
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + GRACE_CPU_S))


def _settle(policy: Policy, private: bool) -> None:
    """Move into the scratch folder; home, caches and temporary files have a place beside it."""
    scratch = os.fspath(policy.scratch)
    temporary = _tree.TEMPORARY if private else f"{scratch}/.tmp"
    home = f"{temporary}/home"
    os.makedirs(home, mode=0o700, exist_ok=True)
    os.environ.update(
        HOME=home,
        USER="learner",
        LOGNAME="learner",
        PWD=scratch,
        TMPDIR=temporary,
        XDG_CACHE_HOME=f"{home}/.cache",
        XDG_CONFIG_HOME=f"{home}/.config",
        XDG_DATA_HOME=f"{home}/.local/share",
        XDG_RUNTIME_DIR=temporary,
        MPLCONFIGDIR=f"{home}/.config/matplotlib",
        NUMBA_CACHE_DIR=f"{home}/.cache/numba",
        IPYTHONDIR=f"{home}/.ipython",
        JUPYTER_RUNTIME_DIR=f"{home}/.local/share/jupyter/runtime",
        JUPYTER_DATA_DIR=f"{home}/.local/share/jupyter",
        JUPYTER_CONFIG_DIR=f"{home}/.jupyter",
    )
    os.environ.pop("OLDPWD", None)
    os.chdir(scratch)
    os.umask(0o077)
    tempfile.tempdir = None  # forget the one it had chosen
    numba = sys.modules.get("numba")
    if numba is not None:
        numba.config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]


def _rules(policy: Policy, private: bool) -> list[tuple[str, int]]:
    rules = [(path, _landlock.READ) for path in _tree.system_paths()]
    rules += [(os.fspath(path), _landlock.READ) for path in policy.readable]
    rules += [(f"/dev/{name}", _landlock.DEVICE) for name in _tree.DEVICES]
    rules.append((os.fspath(policy.scratch), _landlock.WRITE))
    rules.append((os.fspath(policy.sockets), _landlock.SOCKETS))
    if private:
        rules += [(path, _landlock.WRITE) for path in (_tree.TEMPORARY, _tree.SHARED_MEMORY)]
        rules += [("/dev/pts", _landlock.DEVICE | _landlock.READ), ("/", _landlock.READ_DIR)]
        rules += [("/proc", _landlock.READ), ("/etc", _landlock.READ)]
    else:
        rules += [(f"/proc/{os.getpid()}", _landlock.READ)]
        rules += [(f"/proc/{name}", _landlock.READ) for name in ("cpuinfo", "meminfo", "stat")]
        rules += [(f"/etc/{name}", _landlock.READ) for name in ("passwd", "group", "hosts")]
    return rules


# --------------------------------------------------------------------------------- waiting


def wait(child: int, policy: Policy, poll_s: float = 0.25) -> Ended:
    """Wait in process A until ``child`` has ended; end it when a `Meter` says so."""
    meter = Meter(child, policy)
    exceeded = None
    ended = os.pidfd_open(child)
    try:
        while not select.select([ended], [], [], poll_s)[0]:
            exceeded = meter.exceeded()
            if exceeded:
                os.kill(child, signal.SIGKILL)
                break
        _, status = os.waitpid(child, 0)
    finally:
        os.close(ended)
    return Ended(os.waitstatus_to_exitcode(status), exceeded)


# --------------------------------------------------------------------------------- support


@cache
def support() -> Support:
    """Return what this machine offers. The first call takes about 0.1 s, later ones nothing.

    A template calls it before it forks: its children then find the compiled filter and the list of
    system folders ready, which saves each of them some 20 ms.
    """
    if sys.platform != "linux":
        sentence = (
            f"This is {sys.platform}, and the sandbox is made of parts of the Linux kernel: "
            "grade in a Linux machine, virtual machine or container, or pass --no-sandbox for "
            "submissions you trust."
        )
        return Support(False, False, False, False, 0, False, (sentence,))
    probe = "import sys; sys.path.insert(0, sys.argv[1])\n"
    probe += "from syslab.warm import sandbox; sandbox._probe()"
    package = os.fspath(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-I", "-S", "-c", probe, package]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = dict(line.partition("=")[::2] for line in said.stdout.splitlines())
    refused = {name: lines.get(name, said.stderr.strip()[-200:]) for name in _PROBED}
    missing = [_advice(name, why) for name, why in refused.items() if why]
    if refused["user"]:  # the others follow from it
        missing = [_advice("user", refused["user"])]
    _tree.system_paths()  # looked up once, here, and not in every child
    landlock = _landlock.abi()
    if not landlock:
        missing.append(
            "No Landlock: it needs Linux 5.13 or newer with `landlock` among the modules that the "
            "kernel's command line names after lsm= (cat /sys/kernel/security/lsm)."
        )
    try:
        _seccomp.program(networks=True)
        filters = True
    except (ImportError, OSError) as error:
        filters = False
        missing.append(
            f"No seccomp filter ({error}): `pip install pyseccomp` and, on Debian or Ubuntu, "
            "`apt-get install libseccomp2`."
        )
    works = {name: not why for name, why in refused.items()}
    return Support(
        works["user"], works["network"], works["process"], works["mounts"],
        landlock, filters, tuple(missing),
    )  # fmt: skip


_PROBED = {
    "user": _linux.CLONE_NEWUSER,
    "network": _linux.CLONE_NEWUSER | _linux.CLONE_NEWNET,
    "process": _linux.CLONE_NEWUSER | _linux.CLONE_NEWPID,
    "mounts": None,  # all of it
}


def _probe() -> None:
    """Print for each of `_PROBED` why it cannot be had; run in a process of its own."""
    for name, flags in _PROBED.items():
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                if flags is None:
                    _rehearse()
                else:
                    _linux.unshare(flags)
            except (OSError, SandboxError) as error:
                os.write(writing, str(error).replace("\n", " ").encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            print(f"{name}={pipe.read()}", flush=True)
        os.waitpid(child, 0)


def _rehearse() -> None:
    """Make the namespaces and the tree of an empty sandbox."""
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as sockets:
        _enter_namespaces()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.umask(0o022)
                policy = Policy(Path(scratch), (), Path(sockets))
                _tree.build(policy, _isolated.uid, _isolated.gid)
            except OSError as error:
                os.write(writing, str(error).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
        if said:
            raise SandboxError(said)


def _advice(name: str, why: str) -> str:
    """Return the sentence for what is missing, with what to do on this machine."""
    what = {
        "user": "No user namespaces",
        "network": "No network namespaces",
        "process": "No process namespaces",
        "mounts": "No file tree and user id of its own",
    }[name]
    switches = {
        "/proc/sys/kernel/unprivileged_userns_clone": ("0", "kernel.unprivileged_userns_clone=1"),
        "/proc/sys/user/max_user_namespaces": ("0", "user.max_user_namespaces=15000"),
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    }
    for path, (off, setting) in switches.items():
        with contextlib.suppress(OSError), open(path) as file:
            if file.read().strip() == off:
                return (
                    f"{what}: switched off on this machine; `sudo sysctl {setting}` switches them "
                    "on, and a line in /etc/sysctl.d keeps it so."
                )
    if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
        return (
            f"{what} ({why}): the container forbids them; start it with `--security-opt "
            "seccomp=unconfined --security-opt apparmor=unconfined --security-opt "
            "systempaths=unconfined`, or grade outside of it."
        )
    return f"{what} ({why}): grade on a machine with Linux 5.13 or newer and user namespaces."


def _what_to_do() -> str:
    return "`python -m syslab.warm.sandbox` names what is missing here, and what to do."


def main() -> int:
    """Print what this machine offers; return 1 if it is not enough."""
    found = support()
    for sentence in found.missing:
        print(sentence)
    if found.complete:
        print(f"The sandbox is complete here (Landlock ABI {found.landlock_abi}).")
    return 0 if found.complete else 1


if __name__ == "__main__":
    sys.exit(main())
