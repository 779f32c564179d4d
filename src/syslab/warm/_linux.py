"""The system calls of the sandbox that Python's own library does not offer.

Numbers and structures are those of the kernel's user-space headers. Calls from 424 upwards have one
number on every architecture, and the older ones go through glibc, so nothing here depends on it.
"""

import ctypes
import errno
import os
import socket
import struct
import sys

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x00020000, 0x02000000, 0x04000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x08000000, 0x10000000, 0x20000000
CLONE_NEWNET, CLONE_NEWTIME = 0x40000000, 0x00000080

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_READ, PR_CAPBSET_DROP = 1, 4, 23, 24
PR_SET_SECCOMP, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 22, 28, 38, 47
SECCOMP_MODE_FILTER, PR_CAP_AMBIENT_CLEAR_ALL = 2, 4
# No privilege by being or becoming uid 0, no ambient capabilities, all of it locked.
SECUREBITS_NONE = 0b1110_1111

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}
_MOUNT_SETATTR = 442
_AT_RECURSIVE, _AT_FDCWD = 0x8000, -100
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4

if sys.platform == "linux":  # elsewhere the module can be imported, to say what is missing
    _libc = ctypes.CDLL(None, use_errno=True)
    _libc.syscall.restype = ctypes.c_long
    _libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
    _libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
    _libc.unshare.argtypes = [ctypes.c_int]
    _libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


def check(result: int, what: str) -> int:
    """Return ``result``; raise OSError with errno and ``what`` if it is -1."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(number: int, what: str, *arguments) -> int:
    """Make the system call ``number``; ints are passed 64 bits wide."""
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return check(_libc.syscall(ctypes.c_long(number), *wide), what)


def unshare(flags: int) -> None:
    """Leave the namespaces named by ``flags`` for new ones."""
    check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mount ``source`` on ``target``."""
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode() or None)
    check(_libc.mount(*arguments, flags, options.encode() or None), f"mount {kind} on {target}")


def bind(source: str, target: str, *, writable: bool = False, devices: bool = False) -> None:
    """Show ``source``, with what is mounted below it, at ``target`` as well."""
    mount(source, target, "", MS_BIND | MS_REC)
    attributes = _ATTR_NOSUID | (0 if writable else _ATTR_RDONLY) | (0 if devices else _ATTR_NODEV)
    asked = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    arguments = (_AT_FDCWD, os.fsencode(target), _AT_RECURSIVE, ctypes.byref(asked), 32)
    syscall(_MOUNT_SETATTR, f"mount_setattr on {target}", *arguments)


def unmount(target: str) -> None:
    """Take away the mount at ``target``; what still uses it keeps it alive."""
    check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount of {target}")


def pivot_root(new_root: str) -> None:
    """Make ``new_root`` the root and let go of the old one."""
    os.chdir(new_root)
    number = _PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, f"pivot_root: not known for {os.uname().machine}")
    syscall(number, "pivot_root", b".", b".")
    unmount(".")
    os.chdir("/")


def prctl(option: int, argument: int = 0, third: int = 0) -> int:
    """Call prctl."""
    return check(_libc.prctl(option, argument, third, 0, 0), f"prctl {option}")


def become(uid: int, gid: int) -> None:
    """Be user ``uid`` without any capability, also without those an executed file could bring."""
    capability = 0
    while _libc.prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0:
        prctl(PR_CAPBSET_DROP, capability)
        capability += 1
    prctl(PR_SET_SECUREBITS, SECUREBITS_NONE)
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    if os.getuid() != uid:
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    check(_libc.capset(ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)())), "capset")
    # Changing ids hid /proc/self from ourselves; other processes are kept out by the namespace.
    prctl(PR_SET_DUMPABLE, 1)


def loopback_up() -> None:
    """Switch on the loopback interface of this network namespace."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh22x", b"lo", 1)  # IFF_UP
        fcntl.ioctl(control, 0x8914, request)  # SIOCSIFFLAGS


def mapped_bytes() -> tuple[int, int]:
    """Return what this process maps: address space, and private writable memory (bytes)."""
    kib = {}
    with open("/proc/self/status", "rb") as status:
        for line in status:
            name, _, value = line.partition(b":")
            if name in (b"VmSize", b"VmData"):
                kib[name] = int(value.split()[0])
    return 1024 * kib[b"VmSize"], 1024 * kib[b"VmData"]
