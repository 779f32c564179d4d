"""The file tree that sandboxed code sees: its own, put together from pieces of the machine's.

Everything starts from an empty tmpfs that becomes the root, so what is not named here does not
exist inside: no home, no gradebook, no unix socket of a service. System folders and the policy's
readable ones appear read-only at their usual paths. The scratch folder, ``/run/tmp`` for temporary
files and ``/dev/shm`` are folders of one tmpfs, whose size is the quota.

Temporary files are not in ``/tmp``: scratch folders and sockets often lie there, and Landlock,
which only ever adds rights on the way down, would let the folder of the sockets inherit those of
``/tmp``. Where nothing lies there, ``/tmp`` is a link.
"""

import errno
import os
import shutil
import sys
import sysconfig
from functools import cache
from glob import glob
from pathlib import Path

from syslab.warm import _linux

SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store",
    "/run/current-system", "/sys/devices/system/cpu", "/sys/devices/system/node",
)  # fmt: skip
ETC = (
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "timezone", "alternatives", "fonts",
    "nsswitch.conf", "mime.types", "protocols", "services", "host.conf", "gai.conf", "os-release",
    "debian_version", "ssl/certs", "ssl/openssl.cnf", "python3*", "matplotlibrc",
)  # fmt: skip
DEVICES = ("null", "zero", "full", "random", "urandom")
HOST_NAME = "sandbox"
TEMPORARY, SHARED_MEMORY = "/run/tmp", "/dev/shm"
HOME = f"{TEMPORARY}/home"
INODES_PER_MIB, INODES_LEAST = 64, 4096


@cache
def system_paths() -> tuple[str, ...]:
    """Return the paths that Python and its libraries read: the system, Python, this folder."""
    found = [path for path in SYSTEM if os.path.lexists(path)]
    for pattern in ETC:
        found += sorted(glob(f"/etc/{pattern}"))
    for prefix in (sys.base_prefix, sys.base_exec_prefix, sys.prefix, sys.exec_prefix):
        found.append(os.path.abspath(prefix))
    found += (sysconfig.get_path("stdlib"), os.path.realpath(sys.executable))
    found.append(str(Path(__file__).resolve().parent))
    return without_nested(found)


def without_nested(paths) -> tuple[str, ...]:
    """Return ``paths`` as absolute paths, less those that lie in another of them.

    A path that is a symbolic link, or leads through one, comes with the path it stands for.
    """
    wanted = {os.path.abspath(p) for p in paths if os.path.lexists(p)}
    wanted |= {os.path.realpath(p) for p in wanted}
    return tuple(
        path
        for path in sorted(wanted)
        if not any(inside(path, other) for other in wanted if other != path)
    )


def beyond_system(paths) -> tuple[str, ...]:
    """Return those of ``paths`` that `system_paths` does not hold already."""
    known = system_paths()
    wanted = without_nested(paths)
    return tuple(p for p in wanted if not any(inside(p, other) for other in known))


def inside(path, folder) -> bool:
    """Return whether ``path`` is ``folder`` or lies in it, by name alone."""
    path, folder = os.fspath(path), os.fspath(folder)
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def build(policy, uid: int, gid: int) -> None:
    """Make the tree for ``policy`` the root of this process, in a mount namespace of its own.

    What lies in the scratch folder is copied in, owned by ``uid`` and ``gid``. Raises OSError; the
    namespace is of no further use then.
    """
    scratch, sockets = os.fspath(policy.scratch), os.fspath(policy.sockets)
    _linux.unshare(_linux.CLONE_NEWNS)
    _linux.mount("", "/", "", _linux.MS_REC | _linux.MS_PRIVATE)
    original = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY)
    door = os.open(sockets, os.O_PATH | os.O_DIRECTORY)
    # The new tree is put together on top of the scratch folder: no source lies there.
    root = scratch
    _linux.mount("tmpfs", root, "tmpfs", _linux.MS_NOSUID | _linux.MS_NODEV, "size=4m,mode=755")

    own = f"{root}/run"  # what is written goes here, by whichever of its paths
    os.mkdir(own)
    size = policy.limits.disk_bytes
    inodes = max(INODES_LEAST, size // 2**20 * INODES_PER_MIB)
    options = f"size={size},nr_inodes={inodes},mode=755"
    _linux.mount("tmpfs", own, "tmpfs", _linux.MS_NOSUID | _linux.MS_NODEV, options)
    for name in ("shm", "scratch", "tmp", "tmp/home"):
        os.mkdir(f"{own}/{name}", 0o700)
        os.chown(f"{own}/{name}", uid, gid)
    _copy(original, f"{own}/scratch", uid, gid)

    _proc_and_devices(root)
    os.mkdir(root + SHARED_MEMORY)
    _linux.bind(f"{own}/shm", root + SHARED_MEMORY, writable=True)
    for path in (*system_paths(), *beyond_system(policy.readable)):
        _show(path, root)
    _written_files(root, uid, gid)
    os.makedirs(root + scratch, exist_ok=True)
    _linux.bind(f"{own}/scratch", root + scratch, writable=True)
    os.makedirs(root + sockets, exist_ok=True)
    _linux.bind(f"/proc/self/fd/{door}", root + sockets, writable=True)
    if uid != os.getuid():
        for path in (root + sockets, *(e.path for e in os.scandir(root + sockets))):
            os.chown(path, uid, gid, follow_symlinks=False)
    if not os.path.lexists(f"{root}/tmp"):
        os.symlink(TEMPORARY, f"{root}/tmp")

    os.close(original)
    os.close(door)
    flags = _linux.MS_REMOUNT | _linux.MS_BIND | _linux.MS_RDONLY
    _linux.mount("", root, "", flags | _linux.MS_NOSUID | _linux.MS_NODEV)
    _linux.pivot_root(root)


def _show(path: str, root: str) -> None:
    """Show the machine's ``path`` below ``root``, read-only; a symbolic link as such."""
    target = root + path
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    _linux.bind(path, target)


def _proc_and_devices(root: str) -> None:
    os.mkdir(f"{root}/proc")
    locked = _linux.MS_NOSUID | _linux.MS_NODEV | _linux.MS_NOEXEC
    _linux.mount("proc", f"{root}/proc", "proc", locked | _linux.MS_RDONLY)
    os.makedirs(f"{root}/dev/pts")
    for name in DEVICES:
        os.close(os.open(f"{root}/dev/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        _linux.bind(f"/dev/{name}", f"{root}/dev/{name}", writable=True, devices=True)
    # Terminals of its own, which "!command" in a notebook cell asks for.
    options = "newinstance,ptmxmode=0666,mode=600"
    _linux.mount("devpts", f"{root}/dev/pts", "devpts", _linux.MS_NOSUID, options)
    os.symlink("pts/ptmx", f"{root}/dev/ptmx")
    os.symlink("/proc/self/fd", f"{root}/dev/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"{root}/dev/{name}")


def _written_files(root: str, uid: int, gid: int) -> None:
    """Write the few files whose real content would tell of the machine and its users."""
    files = {
        "passwd": f"learner:x:{uid}:{gid}:learner:{HOME}:/bin/sh\n",
        "group": f"learner:x:{gid}:\n",
        "hosts": f"127.0.0.1 localhost {HOST_NAME}\n::1 localhost\n",
    }
    os.makedirs(f"{root}/etc", exist_ok=True)
    for name, text in files.items():
        with open(f"{root}/etc/{name}", "w") as file:
            file.write(text)


def _copy(original: int, target: str, uid: int, gid: int) -> None:
    """Copy files, folders and links from the open folder ``original``; nothing else is wanted."""

    def special(folder: str, names: list[str]) -> list[str]:
        paths = [(name, os.path.join(folder, name)) for name in names]
        kept = (os.path.isfile, os.path.isdir, os.path.islink)
        return [name for name, path in paths if not any(is_it(path) for is_it in kept)]

    source = f"/proc/self/fd/{original}"
    try:
        shutil.copytree(source, target, symlinks=True, ignore=special, dirs_exist_ok=True)
    except shutil.Error as error:
        full = any(os.strerror(errno.ENOSPC) in str(e[2]) for e in error.args[0])
        number = errno.ENOSPC if full else errno.EIO
        raise OSError(number, f"copying into the scratch folder: {error.args[0][0][2]}") from error
    os.chmod(target, 0o700)
    if uid != os.getuid():
        for folder, folders, files in os.walk(target):
            for name in (*folders, *files):
                os.chown(os.path.join(folder, name), uid, gid, follow_symlinks=False)
