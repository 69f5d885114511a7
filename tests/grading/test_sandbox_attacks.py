"""Programs that cheat, hoard, hide or hit back, in every style: none passes, none leaves anything behind.

`test_sandbox.py` holds the attacks on the sandbox's own interface; these go through `grade`, as answers do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers_sandbox import nothing_may_be_left
from smcs.grading import _session
from smcs.grading.code import grade_code
from smcs.grading.limits import Limits
from smcs.grading.sandbox import check_function, isolation_report, run_program
from smcs.types import Grade, Question

QUICK = Limits(wall_seconds=4.0, case_seconds=2.0, cpu_seconds=1)
ASSERTS = {"entry_point": "solve", "tests": "assert solve(2) == 4\nassert solve(7) == 49\nassert solve(-3) == 9"}
CLASS = {
    "style": "class",
    "entry_point": "Solution",
    "setup": "class Node:\n    def __init__(self, val):\n        self.val = val",
    "tests": "s = Solution()\nassert s.solve(2) == 4\nassert s.solve(7) == 49\nassert s.wrap(Node(3)).val == 9",
}
CALL = {"style": "call", "entry_point": "solve", "cases": [{"input": [n], "output": n * n} for n in (2, 7, -3)]}
STDIN = {"style": "stdin", "cases": [{"input": f"{n}\n", "output": f"{n * n}\n"} for n in (2, 7, -3)]}
HEAD = "import atexit, ctypes, gc, json, os, resource, signal, struct, subprocess, sys, threading, time\n"


@pytest.fixture(autouse=True)
def folder() -> Iterator[str]:
    with nothing_may_be_left() as made:
        yield made


def graded(check: dict[str, Any], program: str, limits: Limits = QUICK) -> Grade:
    return grade_code(Question("q", "", grader="code", check=check), f"```python\n{program}\n```", limits=limits)


def in_style(style: str, top: str, body: str) -> tuple[dict[str, Any], str]:
    """Return a check, and a program that runs `top` at its start and `body` when it is asked for the square of x."""

    def indented(text: str, depth: int) -> str:
        return "\n".join(" " * depth + line for line in text.splitlines())

    head = f"{HEAD}{top}\n"
    function = f"def solve(x):\n{indented(body, 4)}\n"
    if style == "stdin":
        return STDIN, f"{head}{function}print(solve(int(input())))\n"
    if style == "class":
        methods = f"class Solution:\n    def solve(self, x):\n{indented(body, 8)}\n    def wrap(self, node):\n"
        return CLASS, f"{head}{methods}        x = node.val\n{indented(body, 8)}\n"
    return (CALL if style == "call" else ASSERTS), head + function


# name -> (code at the program's start, code in the function); each would pass if it got its way, and must not
CHEATS = {
    "endless loop": ("", "while True: pass"),
    "endless loop at import": ("while True: pass", "return x * x"),
    "endless sleep": ("", "time.sleep(99)"),
    "loop that ignores all signals": (
        "for n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError): pass",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    ),
    "fork bomb": ("", "while True:\n    try: os.fork()\n    except OSError: pass"),
    "20 GB of memory": ("", "return len(bytearray(20 * 2**30))"),
    "sys.exit(0)": ("", "sys.exit(0)"),
    "os._exit(0)": ("", "os._exit(0)"),
    "os._exit(0) at import": ("os._exit(0)", "return x * x"),
    "segfault": ("", "ctypes.string_at(0)"),
    "gigabytes of output": ("", "while True: os.write(1, b'x' * 2**20)"),
    "exec of another interpreter": ("", "os.execv(sys.executable, [sys.executable, '-c', 'print(4)'])"),
    "exec of true": ("", "os.execv('/bin/true', ['true'])"),
    "exit in atexit": ("atexit.register(os._exit, 0)", "sys.exit(0)"),
    "exit in __del__": ("class D:\n    def __del__(self): os._exit(0)", "D(); return 4"),
    "exit in a thread": ("", "threading.Thread(target=os._exit, args=(0,)).start(); time.sleep(9)"),
    "huge recursion": ("sys.setrecursionlimit(10**9)", "return (lambda f: f(f))(lambda f: [f(f)])"),
    "deep nesting of the result": ("", "a = []\nfor _ in range(10**6): a = [a]\nreturn a"),
    "huge whole number": ("", "return 1 << (10 ** 9)"),
    "lone surrogates": ("", "return '\\ud800' * 10"),
    "bytes that are not UTF-8": ("", "os.write(1, b'\\xff\\xfe4\\n'); return b'\\xff'"),
    "killing the process group": ("", "os.killpg(0, signal.SIGKILL)"),
    "killing every process": ("", "os.kill(-1, signal.SIGKILL); return 4"),
    "killing the parent": ("", "os.kill(os.getppid(), signal.SIGKILL); time.sleep(9)"),
    "closing every descriptor": ("", "os.closerange(0, 64); return x * x"),
    "raising the limits": ("resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40))", "return x * x"),
    "filling a pipe of the protocol": (
        "",
        "for fd in range(3, 64):\n    try: os.write(fd, b'x' * 2**20)\n    except OSError: pass",
    ),
    "pickle and marshal bombs on the wire": (
        "",
        (
            "import pickle, marshal\n"
            "class B:\n    def __reduce__(self): return os._exit, (0,)\n"
            "for fd in range(3, 64):\n    for bomb in (pickle.dumps(B()), marshal.dumps([0] * 99)):\n"
            "        try: os.write(fd, struct.pack('>I', len(bomb)) + bomb)\n        except OSError: pass\nreturn 4"
        ),
    ),
    "the protocol's own messages": (
        "",
        (
            "for text in ({'status': 'passed', 'token': ''}, {'ended': 0}, {'value': 4, 'args': []}):\n"
            "    body = json.dumps(text).encode()\n    print(text, flush=True)\n"
            "    for fd in range(3, 64):\n        try: os.write(fd, struct.pack('>I', len(body)) + body)\n"
            "        except OSError: pass\nreturn 4"
        ),
    ),
    "reopened descriptors of the protocol": (
        "",
        "for fd in range(3, 64):\n    try: os.dup2(os.pipe()[1], fd)\n    except OSError: pass\nreturn 4",
    ),
    "replaced builtins and checker": (
        ("import builtins\nbuiltins.AssertionError = ZeroDivisionError\nbuiltins.isinstance = lambda *a: True\n"
        "for name, module in list(sys.modules.items()):\n    if name.startswith('jail'):\n"
        "        for a in [a for a in vars(module) if not a.startswith('__')]:\n"
        "            setattr(module, a, lambda *p, **k: {'status': 'passed', 'loaded': True, 'value': 4, 'args': []})"),
        "return 4",
    ),
    "object equal to everything": (
        ("class E:\n    __eq__ = lambda s, o: True\n    __ne__ = lambda s, o: False\n    __hash__ = lambda s: 4\n"
        "    __str__ = __repr__ = lambda s: '4'\n    val = property(lambda s: s)"),
        "return E()",
    ),
    "int equal to everything": ("class I(int):\n    __eq__ = lambda s, o: True\n    __hash__ = None", "return I(5)"),
    "float equal to everything": ("class F(float):\n    __eq__ = lambda s, o: True", "return F(5.5)"),
    "str equal to everything": ("class S(str):\n    __eq__ = lambda s, o: True", "return S('5')"),
    "list equal to everything": ("class L(list):\n    __eq__ = lambda s, o: True", "return L()"),
    "lazy object whose comparison raises": (
        "class Z:\n    def __getattribute__(s, n): raise SystemExit(0)\n    def __eq__(s, o): raise SystemExit(0)",
        "return Z()",
    ),
    "exception that exits when printed": (
        "class X(Exception):\n    def __str__(s): os._exit(0)",
        "raise X()",
    ),
}  # fmt: skip


# What depends on how a program is called; the rest is the same code in every style.
ELSEWHERE = {
    "class": [
        "endless loop",
        "sys.exit(0)",
        "segfault",
        "exit in __del__",
        "deep nesting of the result",
        "the protocol's own messages",
        "replaced builtins and checker",
        "object equal to everything",
        "int equal to everything",
    ],
    "call": [
        "endless loop",
        "os._exit(0)",
        "huge whole number",
        "list equal to everything",
        "float equal to everything",
        "lazy object whose comparison raises",
        "exception that exits when printed",
        "the protocol's own messages",
    ],
    "stdin": [
        "endless loop",
        "loop that ignores all signals",
        "fork bomb",
        "sys.exit(0)",
        "gigabytes of output",
        "bytes that are not UTF-8",
        "exec of another interpreter",
        "killing the parent",
        "the protocol's own messages",
    ],
}


@pytest.mark.parametrize(
    ("style", "name"),
    [("asserts", name) for name in CHEATS] + [(style, name) for style, names in ELSEWHERE.items() for name in names],
)
def test_attack(style: str, name: str) -> None:
    started = time.monotonic()
    grade = graded(*in_style(style, *CHEATS[name]))
    assert grade.score == 0.0, grade.reason
    assert grade.reason
    assert "SyntaxError" not in grade.reason
    assert "NameError" not in grade.reason
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("style", ["asserts", "class", "call", "stdin"])
def test_the_right_program_passes_in_each_style(style: str) -> None:
    check, program = in_style(style, "", "return x * x")
    if style == "class":
        program = program.replace("x = node.val\n        return x * x", "return Node(node.val ** 2)")
    assert graded(check, program).reason in ("all tests passed", "all cases passed")


# attacks whose harm would show elsewhere: the program says what it could do, and may say nothing


SPIES = {
    "memory of other processes": "for p in range(1, 400):\n    open(f'/proc/{p}/mem', 'rb')\n    took('memory')",
    "environment of other processes": "import glob\nfor p in glob.glob('/proc/*/environ'): took(open(p).read())",
    "descriptors of other processes": "for p in range(1, 400): took(os.listdir(f'/proc/{p}/fd'))",
    "ptrace": "for p in (os.getppid(), 1): ctypes.CDLL(None).ptrace(16, p, 0, 0) == 0 and took('ptrace')",
    "process_vm_readv": "b = ctypes.create_string_buffer(99)\nlibc = ctypes.CDLL(None)\n"
    "libc.syscall(310, os.getppid(), b, 1, b, 1, 0) >= 0 and took('memory')",
    "a socket": "import socket\nsocket.socket()\ntook('socket')",
    "a raw socket by number": "ctypes.CDLL(None).syscall(41, 2, 1, 0) >= 0 and took('socket')",
    "io_uring": "p = ctypes.create_string_buffer(200)\nctypes.CDLL(None).syscall(425, 4, p) >= 0 and took('ring')",
    "a namespace of its own": "ctypes.CDLL(None).unshare(0x10000000) == 0 and took('namespace')",
    "becoming root": "os.setuid(0); took('root')",
    "files of the machine": "took(open('/etc/passwd').read())",
    "files through a symlink out of the folder": "os.symlink('/etc/passwd', 'link'); took(open('link').read())",
    "writing through a symlink": "os.symlink('/var/tmp/smcs-out', 'out'); open('out', 'w').write('x'); took('wrote')",
    "a hard link": "os.link('/etc/passwd', 'hard'); took(open('hard').read())",
    "writing to the interpreter": "open(os.__file__, 'a').write('x'); took('wrote')",
    "deleting files": "import shutil\nshutil.rmtree(os.path.dirname(os.__file__), ignore_errors=True)\n"
    "os.path.exists(os.__file__) or took('deleted')",
    "priority over others": "os.nice(-5); took('nice')",
    "more memory": "resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40)); took('limit')",
    "a real-time clock": "time.clock_settime(time.CLOCK_REALTIME, 0); took('clock')",
    "a huge file": "f = open('big', 'wb')\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    "for _ in range(64): f.write(b'x' * 2**20)\ntook('file')",
    "a full disk": "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    "for n in range(40): open(f'f{n}', 'wb').write(b'x' * 8 * 2**20)\ntook('disk')",
}  # fmt: skip


@pytest.mark.parametrize("name", SPIES)
def test_attack_on_the_machine(name: str) -> None:
    report = isolation_report()
    if report.missing:
        pytest.skip(str(report))
    source = f"{HEAD}def took(what): print('TOOK', repr(what)[:300], flush=True)\n"
    body = "\n".join(f"    {line}" for line in SPIES[name].splitlines())
    result = run_program(
        f"{source}try:\n{body}\nexcept (OSError, ValueError, MemoryError) as error: print('stopped', error)"
    )
    assert "TOOK" not in result.stdout
    assert result.status == "ok", result.stderr


def test_attack_daemonised_grandchild(folder: str) -> None:
    source = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 64)
        for n in range(1, 65):
            try: signal.signal(n, signal.SIG_IGN)
            except (OSError, ValueError): pass
        os.chdir("/")
        os.execv("/bin/sleep", ["sleep", "60"])
    os._exit(0)
def solve(x): return x * x
"""
    # The answer itself is right; what counts is that the fixture finds nothing running.
    assert check_function(source, entry_point="solve", tests=ASSERTS["tests"]).passed is True


def test_attack_thousands_of_files_and_locked_folders() -> None:
    source = """
import os
for n in range(3_000):
    try: os.makedirs(f"d{n}/" + "x/" * 20); os.chmod(f"d{n}", 0)
    except OSError: break
"""
    assert run_program(source).status in ("ok", "error", "killed")


def test_attack_watching_for_files() -> None:
    source = (
        "import ctypes\nlibc = ctypes.CDLL(None)\nprint(sum(libc.inotify_init() >= 0 for _ in range(10_000)) < 1_000)"
    )
    assert run_program(source).stdout == "True\n"


def test_attack_text_bomb() -> None:
    assert "MemoryError" in run_program("'x' * 2**33").stderr


def test_attack_by_the_tests_themselves(tmp_path: Path) -> None:
    """Tests come with imported banks: they reach no files, no network, no other process and no privilege."""
    tmp_path.chmod(0o777)
    tests = f"""
import os
took = []
def attempt(name, attack):
    try: attack(); took.append(name)
    except OSError: pass
def connect():
    import socket
    socket.socket()
attempt("passwd", lambda: open("/etc/passwd"))
attempt("write", lambda: open({str(tmp_path / "new")!r}, "w"))
attempt("socket", connect)
attempt("root", lambda: os.setuid(0))
attempt("kill", lambda: open("/proc/1/environ"))
assert solve(2) == 4
assert took == [] and os.getuid() != 0, took
"""
    if os.getuid() != 0 or isolation_report().missing:
        pytest.skip("complete only as root")
    result = check_function("def solve(x): return x * x", entry_point="solve", tests=tests)
    assert result.reason == "all tests passed"
    assert list(tmp_path.iterdir()) == []


def test_tests_that_eat_memory_or_time_are_stopped() -> None:
    for tests in ("solve(1)\nx = bytearray(2**36)", "solve(1)\nwhile True: pass"):
        result = check_function("def solve(x): return x * x", entry_point="solve", tests=tests, limits=QUICK)
        assert result.passed is False


# systems that give less


@pytest.fixture
def no_namespaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_session, "_NAMESPACES", False)
    result = run_program("")
    if result.isolation is None:
        pytest.skip(result.reason)
    isolation_report.cache_clear()
    yield
    isolation_report.cache_clear()


@pytest.mark.usefixtures("no_namespaces")
def test_without_namespaces_the_filters_hold() -> None:
    report = isolation_report()
    assert report.isolation is not None
    assert report.isolation.processes == "group"
    assert "a process table of its own" in str(report)
    if report.isolation.calls == "filtered":
        assert report.isolation.network == "blocked"
        assert "PermissionError" in run_program("import socket\nsocket.socket()").stderr
    if report.isolation.reading == "limited":
        assert "PermissionError" in run_program("open('/etc/passwd')").stderr
        assert "PermissionError" in run_program(f"open('/proc/{os.getpid()}/environ')").stderr
    check, program = in_style("asserts", "", "return x * x")
    assert graded(check, program).score == 1.0


@pytest.mark.usefixtures("no_namespaces")
@pytest.mark.parametrize("name", ["fork bomb", "killing the parent", "killing every process", "sys.exit(0)"])
def test_attack_without_namespaces(name: str) -> None:
    assert graded(*in_style("asserts", *CHEATS[name])).score == 0.0


def test_the_report_says_what_is_missing() -> None:
    report = isolation_report()
    assert report.isolation == run_program("").isolation
    assert str(report).startswith("Sandbox: " if report.isolation else "Programs cannot be run here")
    assert isolation_report() is report


def test_the_report_of_a_broken_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_session, "_BOOT", "raise SystemExit('no such luck')")
    isolation_report.cache_clear()
    assert str(isolation_report()) == "Programs cannot be run here: the sandbox did not start: no such luck"
    isolation_report.cache_clear()
