"""Landlock: a list of what this process may do with which files, enforced by the kernel.

Three system calls with the same numbers on every architecture, made here directly: the ``landlock``
package on PyPI is a pre-release without the rights of ABI 5 to 7, ``sandlock`` gives a folder all
rights or none and insists on ABI 6, while here the folder of the sockets must admit sockets only.
Rights and structures: https://docs.kernel.org/userspace-api/landlock.html
"""

import ctypes
import os

from syslab.warm import _linux

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << i for i in range(6))
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = (
    1 << i for i in range(6, 13)
)
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15

READ = EXECUTE | READ_FILE | READ_DIR
DEVICE = READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV
WRITE = (
    READ | WRITE_FILE | TRUNCATE | REFER | REMOVE_DIR | REMOVE_FILE
    | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_SYM
)  # fmt: skip
SOCKETS = READ_FILE | READ_DIR | WRITE_FILE | REMOVE_FILE | MAKE_SOCK

_FOR_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
_RIGHTS_OF_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many bits are known
_SCOPE_ABI, _SCOPES = 6, 0b11  # abstract unix sockets, signals
_CREATE, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def abi() -> int:
    """Return the version of Landlock in this kernel, 0 where there is none."""
    try:
        return _linux.syscall(_CREATE, "landlock", None, 0, 1)
    except OSError:
        return 0


def restrict(rules: list[tuple[str, int]]) -> None:
    """Allow this process the rights in ``rules`` (path, rights) and nothing else, for good.

    A path that does not exist is left out. Needs no_new_privs. Raises OSError where refused.
    """
    version = abi()
    handled = (1 << _RIGHTS_OF_ABI.get(version, 16)) - 1
    attributes = (ctypes.c_uint64 * 3)(handled, 0, _SCOPES)
    size = 24 if version >= _SCOPE_ABI else 16 if version >= 4 else 8
    ruleset = _linux.syscall(_CREATE, "landlock", ctypes.byref(attributes), size, 0)
    try:
        for path, rights in rules:
            try:
                parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                rights &= handled if os.path.isdir(path) else handled & _FOR_FILES
                rule = _PathBeneath(rights, parent)
                what = f"landlock rule for {path}"
                _linux.syscall(_ADD_RULE, what, ruleset, 1, ctypes.byref(rule), 0)
            finally:
                os.close(parent)
        _linux.syscall(_RESTRICT_SELF, "landlock", ruleset, 0)
    finally:
        os.close(ruleset)
