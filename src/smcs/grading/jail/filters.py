"""Linux filters that need no privileges: of system calls (seccomp) and of the files that may be opened (Landlock).

They hold where namespaces are refused (containers, hardened desktops), and stand behind the namespaces where they are
granted. See `seccomp(2)` and `landlock(7)`. Both last until the process and all its children have ended.
"""

from __future__ import annotations

import ctypes
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would double the start-up time
    from collections.abc import Iterable

__all__ = ("filter_calls", "filter_files")

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_NEW_NAMESPACES = 0x7E020000
_X32 = 0x40000000

# Sockets, tracing, mounts and namespaces, kernel keys and programs, modules and machine state, and the interfaces that
# have been the way round such filters (io_uring, userfaultfd). The first column is x86-64, the second arm64.
_DENIED = (
    (41, 198),  # socket (pairs of sockets within the program stay allowed)
    (101, 117),  # ptrace
    (310, 270),  # process_vm_readv
    (311, 271),  # process_vm_writev
    (312, 272),  # kcmp
    (438, 438),  # pidfd_getfd
    (272, 97),  # unshare
    (308, 268),  # setns
    (165, 40),  # mount
    (166, 39),  # umount2
    (155, 41),  # pivot_root
    (161, 51),  # chroot
    *((number, number) for number in (428, 429, 430, 431, 432, 433, 442)),  # open_tree .. fspick, mount_setattr
    (303, 264),  # name_to_handle_at
    (304, 265),  # open_by_handle_at
    (321, 280),  # bpf
    (298, 241),  # perf_event_open
    (323, 282),  # userfaultfd
    (425, 425),  # io_uring_setup
    (426, 426),  # io_uring_enter
    (427, 427),  # io_uring_register
    (248, 217),  # add_key
    (249, 218),  # request_key
    (250, 219),  # keyctl
    (135, 92),  # personality
    (246, 104),  # kexec_load
    (320, 294),  # kexec_file_load
    (175, 105),  # init_module
    (313, 273),  # finit_module
    (176, 106),  # delete_module
    (169, 142),  # reboot
)
_SIGNALS_TO_SELF = ((62, 129), (234, 131))  # kill, tgkill
_SIGNALS = ((200, 130), (129, 138), (297, 240), (424, 424))  # tkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_...
_CLONE, _CLONE3 = (56, 220), (435, 435)
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_READ_EXECUTE, _OF_FILES = 0b1101, 0b1100000000000111
_ABI_ACCESS = {1: 13, 2: 14, 3: 15, 4: 15}
_SCOPES = 0b11
_libc = ctypes.CDLL(None, use_errno=True)


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction)))


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def filter_calls(*, signals: bool) -> bool:
    """Deny this process and its children what no program needs; call after "no new privileges" is set.

    Args:
        signals: Whether other processes of the same user may be signalled.

    Returns:
        Whether the filter is in force; `False` where the system has none.
    """
    machine = os.uname().machine if sys.platform == "linux" else ""
    if machine not in _ARCHITECTURES or sys.maxsize < 2**32:
        return False
    program = _instructions(*_ARCHITECTURES[machine], signals=signals)
    code = (_Instruction * len(program))(*(_Instruction(*fields) for fields in program))
    return bool(_libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(_Program(len(program), code)), 0, 0) == 0)


def _instructions(architecture: int, column: int, *, signals: bool) -> list[tuple[int, int, int, int]]:
    program = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
    ]
    for numbers in _DENIED + (() if signals else _SIGNALS):
        program += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    # The C library falls back to clone, whose flags can be looked at; those of clone3 lie in memory.
    program += [(_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    program += [
        (_EQUAL, 0, 4, _CLONE[column]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_ANY_BIT, 0, 1, _NEW_NAMESPACES),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    for numbers in () if signals else _SIGNALS_TO_SELF:
        program += [
            (_EQUAL, 0, 4, numbers[column]),
            (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
            (_EQUAL, 1, 0, os.getpid()),
            (_RETURN, 0, 0, _ERRNO | _EPERM),
            (_RETURN, 0, 0, _ALLOW),
        ]
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def filter_files(*, writable: str | None, readable: Iterable[str], signals: bool) -> bool:
    """Let this process and its children open files under the given folders only.

    Args:
        writable: Folder in which everything is allowed.
        readable: Folders and files that may be read and executed; those that do not exist are passed over.
        signals: Whether processes outside may be signalled (where the kernel knows how to forbid it).

    Returns:
        Whether the filter is in force; `False` where the system has none.
    """
    if sys.platform != "linux":
        return False
    abi = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if abi < 1:
        return False
    access = (1 << _ABI_ACCESS.get(abi, 16)) - 1
    rules = _Ruleset(access, 0, _SCOPES if abi >= 6 and not signals else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = _libc.syscall(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            _allow(ruleset, path, _READ_EXECUTE & access)
        for path in ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"):
            _allow(ruleset, path, _OF_FILES & access)
        if writable is not None:
            _allow(ruleset, writable, access)
        return bool(_libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what cannot be opened needs no permission
    try:
        if not os.path.isdir(path):  # noqa: PTH112
            access &= _OF_FILES
        _libc.syscall(_ADD_RULE, ruleset, 1, ctypes.byref(_Beneath(access, fd)), 0)
    finally:
        os.close(fd)
