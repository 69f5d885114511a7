"""Shut a process off from the machine: namespaces, mounts, limits, user. Each step says whether it held.

Linux gives the most: as root, or where unprivileged user namespaces are allowed, the program gets a network, process
table and file system view of its own (`namespaces(7)`, `mount_setattr(2)`); where they are refused, the filters of
`filters` keep it from sockets, foreign files and foreign processes. Elsewhere only the POSIX limits hold.
"""

# ruff: noqa: PTH103, PTH112, PTH116, PTH123, PTH208

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

from . import filters

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would double the start-up time, pathlib add a third
    from typing import Any

__all__ = ("confine", "isolate", "protect_supervisor", "settle", "sweep", "tasks_of_user")

_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWUSER = 0x00020000, 0x08000000, 0x10000000
_CLONE_NEWPID, _CLONE_NEWNET = 0x20000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
_PR_SET_KEEPCAPS, _CAP_KILL = 8, 1 << 5
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
_SYSTEM_FOLDERS = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/localtime")
_CHECKER_BYTES = 2 * 2**30
_LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: Any) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def protect_supervisor() -> None:
    """Let the supervisor die with its parent, adopt orphans, and be closed to inspection by the same user."""
    if _LINUX:
        _call("prctl", _PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        _call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)


def isolate(
    root: str, *, home: str, uid: int | None, disk_bytes: int, packages: tuple[str, ...] = (), namespaces: bool = True
) -> dict[str, str]:
    """Enter new namespaces as far as the system lets us; call before `protect_supervisor` and before forking.

    Args:
        root: The empty folder the program will work in; gets a memory file system of its own where mounts are allowed.
        home: The user's home folder, hidden from the program where mounts are allowed.
        uid: User the program will run as, when started as root.
        disk_bytes: Size of that file system.
        packages: Folders that stay visible inside a hidden one.
        namespaces: Whether to ask for namespaces at all.

    Returns:
        `network`: "blocked" or "open"; `filesystem`: "read-only" or "open" (only permissions protect it);
        `processes`: "namespace" or "group".

    Raises:
        OSError: The interpreter's own files cannot be made readable for `uid`.
    """
    state = {"network": "open", "filesystem": "open", "processes": "group"}
    if _LINUX and namespaces and _unshare(uid is None):
        state.update(network="blocked", processes="namespace")
        if _remount(root, home, uid, disk_bytes, packages):
            state["filesystem"] = "read-only"
            return state
    if uid is not None:
        blocked = _blocking(sys.base_prefix)
        if blocked is not None:
            raise PermissionError(f"{blocked} is closed to other users, so Python cannot run there without privileges")
        os.chown(root, uid, uid)
    return state


def _unshare(new_user: bool) -> bool:
    flags = _CLONE_NEWNET | _CLONE_NEWPID | _CLONE_NEWNS | _CLONE_NEWIPC
    ids = (os.getuid(), os.getgid())
    try:
        _call("unshare", flags | (_CLONE_NEWUSER if new_user else 0))
        if new_user:
            maps = {"setgroups": "deny", "uid_map": f"65534 {ids[0]} 1", "gid_map": f"65534 {ids[1]} 1"}
            for name, content in maps.items():
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(content)
    except OSError:
        return False
    return True


def _remount(root: str, home: str, uid: int | None, disk_bytes: int, packages: tuple[str, ...]) -> bool:
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    size = ctypes.sizeof(attributes)
    blocked = _blocking(sys.base_prefix) if uid is not None else None
    hidden = sorted({folder for folder in (home, blocked) if folder and folder != "/" and os.path.isdir(folder)})
    try:
        _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
        for folder in hidden:
            _hide(folder, keep=(sys.base_prefix, root, *packages))
        _call("syscall", _SYS_MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, ctypes.byref(attributes), size)
        options = f"size={disk_bytes},mode=777".encode()
        _call("mount", b"tmpfs", root.encode(), b"tmpfs", _MS_NOSUID | _MS_NODEV, options)
        _call("mount", b"tmpfs", b"/proc", b"tmpfs", _MS_NOSUID | _MS_NODEV, b"size=4096,mode=755")
    except OSError:
        return False
    return True


def _hide(folder: str, keep: tuple[str, ...]) -> None:
    """Cover a folder with an empty one, and show what is kept at its old path again."""
    kept = [(path, os.open(path, os.O_RDONLY)) for path in keep if path.startswith(f"{folder}/")]
    _call("mount", b"tmpfs", folder.encode(), b"tmpfs", _MS_NOSUID | _MS_NODEV, b"size=1m,mode=755")
    for path, fd in kept:
        os.makedirs(path, exist_ok=True)
        _call("mount", f"/proc/self/fd/{fd}".encode(), path.encode(), None, _MS_BIND | _MS_REC, None)
        os.close(fd)


def _blocking(path: str) -> str | None:
    """Return the first folder on the way to `path` that other users cannot pass."""
    parts = path.split("/")
    ways = ["/".join(parts[: end + 1]) or "/" for end in range(len(parts))]
    return next((way for way in ways if not os.stat(way).st_mode & 0o001), None)


def confine(limits: dict[str, int], *, root: str, uid: int | None, readable: tuple[str, ...], group: bool) -> list[str]:
    """Give up privileges and set limits for good; call in the forked child, right before untrusted code.

    Args:
        limits: `cpu_seconds`, `memory_bytes`, `file_bytes`, `processes`, `open_files`.
        root: Becomes working folder, `HOME` and `TMPDIR`; the rest of the environment is emptied.
        uid: User and group to become; `None` keeps the user.
        readable: Folders with code that the program may import, beside Python's own.
        group: Whether the program shares the process table with others.

    Returns:
        Which filters are in force: "calls", "files".
    """
    os.setsid()
    os.chdir(root)
    os.umask(0o077)
    os.environ.clear()
    os.environ.update(HOME=root, TMPDIR=root, PATH="/usr/bin:/bin", LANG="C.UTF-8")
    cpu = limits["cpu_seconds"]
    _limit(resource.RLIMIT_CPU, cpu, cpu + 1)
    _limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
    _limit(resource.RLIMIT_NOFILE, limits["open_files"])
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, limits["memory_bytes"])
    if _LINUX:
        _limit(resource.RLIMIT_NPROC, limits["processes"])
    if uid is not None:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    if not _LINUX:
        return []
    _drop_capabilities(0)
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return _filter(writable=root, readable=readable, signals=not (group and uid is None))


def settle(*, uid: int | None, readable: tuple[str, ...], killing: bool) -> None:
    """Leave the supervisor what judging takes; call when the program was forked off, before a question's tests run.

    Tests come with imported banks, so they are kept from the machine too: no files, no network, two gigabytes, a user
    other than the program's and no privilege but ending the program.

    Args:
        uid: User and group to become; `None` keeps the user.
        readable: Folders with code that the tests may import, beside Python's own.
        killing: Whether the right to signal any process is needed.
    """
    _limit(resource.RLIMIT_AS, _CHECKER_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    if not _LINUX:
        return
    if uid is not None:
        _call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    _drop_capabilities(_CAP_KILL if killing else 0)
    protect_supervisor()
    _filter(writable=None, readable=readable, signals=True)


def _drop_capabilities(kept: int) -> None:
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _call("capset", header, (ctypes.c_uint32 * 6)(kept, kept))
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _filter(*, writable: str | None, readable: tuple[str, ...], signals: bool) -> list[str]:
    folders = (*_SYSTEM_FOLDERS, sys.base_prefix, *readable)
    files = filters.filter_files(writable=writable, readable=folders, signals=signals)
    calls = filters.filter_calls(signals=signals)
    return [name for name, held in (("files", files), ("calls", calls)) if held]


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    try:
        resource.setrlimit(kind, (soft, soft if hard is None else hard))
    except (ValueError, OSError):
        # macOS refuses an address-space limit, and nobody may raise a hard limit; the wall clock still holds.
        if _LINUX:
            ceiling = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (min(soft, ceiling), ceiling))


def sweep(uid: int | None) -> None:
    """Kill what the program left running where there was no process namespace to end it.

    With a user of its own, that user's processes are killed in one call, which a fork bomb cannot outrun. Otherwise
    orphans arrive here one generation at a time (we are their subreaper) and are killed until none comes.
    """
    if uid is not None:
        pid = os.fork()
        if pid == 0:
            try:
                os.setgid(uid)
                os.setuid(uid)
                os.kill(-1, signal.SIGKILL)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        return
    while _LINUX and (children := _children()):
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)


def tasks_of_user() -> int:
    """Return how many processes and threads our user has now: the kernel counts them against our process limit."""
    if not _LINUX:
        return 0
    mine = (pid for pid in _processes() if _owner(pid) == os.getuid())
    return sum(int(_stat(pid)[17]) for pid in mine)


def _children() -> list[int]:
    return [pid for pid in _processes() if int(_stat(pid)[1]) == os.getpid()]


def _processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _stat(pid: int) -> list[str]:
    """Return the fields of `/proc/<pid>/stat` after the name (state, parent, ...), all "0" when it has ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return ["0"] * 50


def _owner(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
