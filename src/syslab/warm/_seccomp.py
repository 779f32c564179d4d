"""The system calls that sandboxed code is refused, as a seccomp filter.

``pyseccomp`` (libseccomp) translates names into a filter for the architecture at hand, so that no
table of numbers is kept here. The filter is compiled once and its bytes are installed in each child
by one prctl. Denied calls answer EPERM. ``clone3``, whose flags a filter cannot see, answers
ENOSYS, whereupon glibc uses ``clone``.
"""

import ctypes
import errno
import tempfile
from functools import cache

from syslab.warm import _linux

# Names are resolved by libseccomp. Calls from 424 upwards carry their number, which is the same on
# every architecture, because an older libseccomp does not know their names.
_DENIED = (
    # other processes' memory and descriptors
    "ptrace process_vm_readv process_vm_writev kcmp",
    "pidfd_getfd:438 process_madvise:440",
    # large or rarely used kernel interfaces, where holes are found
    "bpf perf_event_open userfaultfd io_uring_setup:425 io_uring_enter:426 io_uring_register:427",
    "keyctl add_key request_key personality modify_ldt vm86 vm86old uselib lookup_dcookie",
    "fanotify_init name_to_handle_at open_by_handle_at remap_file_pages migrate_pages move_pages",
    "memfd_secret:447 quotactl quotactl_fd:443",
    # new namespaces and mounts
    "unshare setns mount umount umount2 pivot_root chroot open_tree:428 move_mount:429 fsopen:430",
    "fsconfig:431 fsmount:432 fspick:433 mount_setattr:442 open_tree_attr:467 statmount:457",
    "listmount:458",
    # the machine
    "kexec_load kexec_file_load reboot swapon swapoff init_module finit_module delete_module acct",
    "iopl ioperm settimeofday clock_settime clock_adjtime adjtimex stime sethostname setdomainname",
    "syslog vhangup sysfs _sysctl",
    # memory that neither RLIMIT_AS nor the quota of the scratch folder counts
    "memfd_create shmget shmat msgget semget mq_open",
)
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_NETLINK_ROUTE, _PR_SET_PDEATHSIG = 0, 1
_SOCK_RAW, _SOCK_PACKET, _SOCK_TYPE_MASK = 3, 10, 0xF
_TERMINAL_REQUESTS = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: type into somebody's terminal
_NAMESPACES = (
    _linux.CLONE_NEWNS, _linux.CLONE_NEWCGROUP, _linux.CLONE_NEWUTS, _linux.CLONE_NEWIPC,
    _linux.CLONE_NEWUSER, _linux.CLONE_NEWPID, _linux.CLONE_NEWNET,
)  # fmt: skip


@cache
def program(networks: bool) -> bytes:
    """Return the compiled filter.

    Parameters
    ----------
    networks : bool
        Whether Internet sockets may be made. Safe in a network namespace of one's own; without one
        they are refused altogether.

    Raises
    ------
    ImportError
        If pyseccomp or libseccomp is not installed.
    """
    try:
        import pyseccomp as library
    except RuntimeError as error:  # what it raises where libseccomp.so is missing
        raise ImportError(str(error)) from error

    refuse, absent = library.ERRNO(errno.EPERM), library.ERRNO(errno.ENOSYS)
    rules = library.SyscallFilter(library.ALLOW)
    rules.set_attr(library.Attr.ACT_BADARCH, library.KILL_PROCESS)  # 32-bit calls

    def deny(call, *conditions):
        rules.add_rule(refuse, call, *(library.Arg(*condition) for condition in conditions))

    for entry in " ".join(_DENIED).split():
        name, _, number = entry.partition(":")
        if not number and library.resolve_syscall(library.Arch.NATIVE, name) < 0:
            continue  # this architecture never had it
        deny(int(number) if number else name)
    for flag in _NAMESPACES:
        deny("clone", (0, library.MASKED_EQ, flag, flag))
    rules.add_rule(absent, 435)  # clone3

    families = (_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK) if networks else (_AF_UNIX,)
    for family in range(max(families)):
        if family not in families:
            deny("socket", (0, library.EQ, family))
    deny("socket", (0, library.GT, max(families)))
    if networks:
        # Listing one's interfaces is netlink as well, and torch's gloo wants that list.
        deny("socket", (0, library.EQ, _AF_NETLINK), (2, library.NE, _NETLINK_ROUTE))
        for family in (_AF_INET, _AF_INET6):
            for kind in (_SOCK_RAW, _SOCK_PACKET):
                deny(
                    "socket",
                    (0, library.EQ, family),
                    (1, library.MASKED_EQ, _SOCK_TYPE_MASK, kind),
                )
    # Whoever is process 1 must go on ending with its parent. Answered 0, but not done: torch asks
    # for it in the processes it spawns, which end with process 1 anyway.
    rules.add_rule(library.ERRNO(0), "prctl", library.Arg(0, library.EQ, _PR_SET_PDEATHSIG))
    for request in _TERMINAL_REQUESTS:
        deny("ioctl", (1, library.MASKED_EQ, 0xFFFFFFFF, request))

    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def install(compiled: bytes) -> None:
    """Put the filter in force for this process and all its children. Needs no_new_privs."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    wanted = Program(len(compiled) // 8, compiled)
    address = ctypes.addressof(wanted)
    _linux.prctl(_linux.PR_SET_SECCOMP, _linux.SECCOMP_MODE_FILTER, address)
