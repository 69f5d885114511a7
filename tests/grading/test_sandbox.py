from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers_sandbox import LINUX, nothing_left, nothing_may_be_left, processes_with
from smcs.errors import InputError
from smcs.grading import _session
from smcs.grading.limits import Limits
from smcs.grading.sandbox import check_function, run_program

QUICK = Limits(wall_seconds=1.0, cpu_seconds=1)
ISOLATED = run_program("").isolation
needs_namespaces = pytest.mark.skipif(
    ISOLATED is None or ISOLATED.processes != "namespace", reason="the system grants no namespaces"
)
TESTS = "assert solve(2) == 4\nassert solve(7) == 49\nassert solve(-3) == 9"


def passes(source: str, *, limits: Limits | None = None, tests: str = TESTS) -> bool | None:
    return check_function(source, entry_point="solve", tests=tests, limits=limits).passed


@pytest.fixture(autouse=True)
def folder() -> Iterator[str]:
    """Where sandboxes put their folders; at the end of a test no process and no file may be left of them."""
    with nothing_may_be_left() as made:
        yield made


# what must work


def test_a_program_prints_reads_and_exits() -> None:
    result = run_program("import sys\nprint(input().upper())\nprint('no', file=sys.stderr)\nsys.exit(3)", stdin="abc\n")
    assert (result.status, result.stdout, result.stderr, result.exit_code) == ("error", "ABC\n", "no\n", 3)


def test_a_traceback_is_an_error_on_stderr() -> None:
    result = run_program("1/0")
    assert result.status == "error"
    assert "ZeroDivisionError" in result.stderr


def test_a_large_input_and_threads_that_are_waited_for() -> None:
    source = (
        "import sys, threading, time\ntext = sys.stdin.read()\n"
        "threading.Thread(target=lambda: (time.sleep(0.1), print(len(text)))).start()"
    )
    result = run_program(source, stdin="x" * 300_000)
    assert (result.status, result.stdout) == ("ok", "300000\n")


def test_the_standard_library_can_be_imported() -> None:
    source = "import bisect, collections, decimal, fractions, heapq, itertools, json, math, re, sqlite3, statistics\n"
    assert run_program(source + "import encodings.idna, concurrent.futures\nprint('ok')").stdout == "ok\n"


def test_programs_run_the_same_way_twice() -> None:
    source = "print(sorted({'alpha', 'beta', 'gamma', 'delta'}, key=hash))"
    assert run_program(source).stdout == run_program(source).stdout


def test_a_right_function_passes_and_a_wrong_one_fails() -> None:
    assert passes("def solve(x):\n    return x * x") is True
    assert passes("def solve(x):\n    return x + x") is False


def test_the_reason_names_the_failing_line() -> None:
    result = check_function("def solve(x):\n    return x + x", entry_point="solve", tests=TESTS)
    assert result.reason == "failed: assert solve(7) == 49"


def test_plain_data_crosses_unchanged() -> None:
    tests = """
import math
for value in [None, True, 3, -2**70, 10**5000, 1.5, float("inf"), "é\\n\\ud800", b"x\\0", bytearray(b"y"), (1, (2,)),
              {1, "a"}, frozenset({2}), {(1, 2): [3, {"k": ()}], "plain": None}, range(2, 9, 3), 1 + 2j, [], {}, [[]]]:
    back = solve(value)
    assert back == value and type(back) is type(value), (back, value)
assert math.isnan(solve(float("nan")))
assert list(solve(iter([1, 2]))) == [1, 2]
assert next(solve(map(str, [7]))) == "7"
"""
    assert check_function("def solve(x):\n    return x", entry_point="solve", tests=tests).reason == "all tests passed"


def test_changes_in_place_are_seen() -> None:
    source = "def solve(a, d, s, *, k):\n    a.sort(); d['n'] = k; s.clear()"
    tests = (
        "a, d, s = [2, 1], {}, {1}\nassert solve(a, d, s, k=5) is None\nassert (a, d, s) == ([1, 2], {'n': 5}, set())"
    )
    assert passes(source, tests=tests) is True


def test_exceptions_keep_their_builtin_type() -> None:
    source = "class Own(ValueError): pass\ndef solve(x):\n    raise {0: KeyError, 1: Own}[x]('no')"
    tests = "try:\n    solve(0)\nexcept KeyError:\n    pass\nelse:\n    assert False"
    assert passes(source, tests=tests) is True
    result = check_function(source, entry_point="solve", tests="solve(1)")
    assert result.passed is False
    assert "Own: no" in result.reason


def test_setup_runs_for_the_tests_and_for_the_program() -> None:
    result = check_function(
        "def solve(x):\n    return math.isqrt(helper(x))",
        entry_point="solve",
        tests="assert solve(8) == math.isqrt(helper(8)) == 3",
        setup="import math\ndef helper(x):\n    return x + 1",
    )
    assert result.passed is True


def test_a_broken_question_is_not_a_wrong_answer() -> None:
    assert passes("def solve(x):\n    return x", tests="assert (") is None
    assert passes("def solve(x):\n    return x", tests="solve(object())") is None


@pytest.mark.parametrize(
    "source",
    ["def other(x):\n    return x * x", "solve = 4", "def solve(x:\n", "raise RuntimeError('at import')", ""],
)
def test_a_program_that_does_not_load_fails(source: str) -> None:
    assert passes(source) is False


def test_limits_must_be_positive() -> None:
    with pytest.raises(InputError, match="memory_bytes"):
        Limits(memory_bytes=0)


# attacks: none may pass, none may leave anything behind


@pytest.mark.parametrize(
    "where", ["while True: pass", "def solve(x):\n    while True: pass", "import time; time.sleep(99)"]
)
def test_attack_endless_loop(where: str) -> None:
    started = time.monotonic()
    result = check_function(where, entry_point="solve", tests=TESTS, limits=QUICK)
    assert result.passed is False
    assert result.run.status in ("timeout", "killed")
    assert time.monotonic() - started < 5


def test_attack_endless_loop_that_catches_everything() -> None:
    source = (
        "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n    except Exception: pass\n"
    )
    source += "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    assert run_program(source, limits=QUICK).status in ("timeout", "killed")


def test_attack_fork_bomb() -> None:
    source = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    assert run_program(source, limits=QUICK).status in ("timeout", "killed")


def test_attack_thread_bomb() -> None:
    source = (
        "import threading, time\nfor _ in range(10_000):\n    threading.Thread(target=time.sleep, args=(60,)).start()"
    )
    assert run_program(source, limits=QUICK).status != "ok"


def test_attack_memory() -> None:
    result = run_program("x = bytearray(20 * 2**30)\nprint(len(x))")
    assert result.status == "error"
    assert "MemoryError" in result.stderr
    assert passes("def solve(x):\n    return [0] * 10**12") is False


@pytest.mark.parametrize(
    "leave", ["sys.exit(0)", "os._exit(0)", "raise SystemExit", "os.kill(os.getpid(), 9)", "quit()"]
)
@pytest.mark.parametrize("inside", [True, False])
def test_attack_leaving_early(leave: str, *, inside: bool) -> None:
    body = f"def solve(x):\n    {leave}" if inside else f"{leave}\ndef solve(x):\n    return x * x"
    assert passes(f"import os, sys\n{body}") is False


def test_attack_segfault() -> None:
    result = check_function("import ctypes\ndef solve(x):\n    ctypes.string_at(0)", entry_point="solve", tests=TESTS)
    assert result.passed is False
    assert result.run.exit_code == -11


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_attack_gigabytes_of_output(stream: str) -> None:
    result = run_program(f"import sys\nwhile True: sys.{stream}.write('x' * 2**20)")
    assert result.status == "output_limit"
    assert len(result.stdout) + len(result.stderr) <= Limits().output_bytes


def test_attack_gigantic_return_value() -> None:
    assert passes("def solve(x):\n    return 'x' * 2**26") is False
    assert passes("def solve(x):\n    a = []\n    for _ in range(10**5): a = [a]\n    return a") is False
    assert passes("import itertools\ndef solve(x):\n    return itertools.count()") is False


def test_attack_writing_outside(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    if os.getuid() == 0:
        tmp_path.chmod(0o777)
        victim.chmod(0o666)
    elif not (ISOLATED and ISOLATED.filesystem == "read-only"):
        pytest.skip("the system does not let us make the file system read-only")
    source = f"""
import os, shutil
for attack in (lambda: open({str(victim)!r}, "w"), lambda: os.remove({str(victim)!r}),
               lambda: open({str(tmp_path / "new")!r}, "w"),
               lambda: shutil.rmtree({str(tmp_path)!r}), lambda: os.rename({str(victim)!r}, "mine")):
    try: attack(); print("did it")
    except OSError as error: print("stopped")
open("inside", "w").write("fine")
"""
    result = run_program(source)
    assert result.status == "ok"
    if ISOLATED and ISOLATED.filesystem == "read-only":
        assert "did it" not in result.stdout
        assert victim.read_text() == "untouched"
        assert [path.name for path in tmp_path.iterdir()] == ["victim"]


def test_attack_filling_the_disk() -> None:
    source = "data = b'x' * 2**20\nwith open('big', 'wb') as f:\n    for _ in range(100): f.write(data)"
    result = run_program(source)
    assert result.status != "ok"


def test_attack_reading_the_environment_of_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMCS_TEST_SECRET", "hunter2-in-the-environment")
    source = """
import os, glob
print(dict(os.environ))
for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/cmdline"):
    try: print(open(path, "rb").read())
    except OSError: pass
"""
    for result in (run_program(source), run_program(source.replace("/proc/*/", f"/proc/{os.getpid()}/"))):
        assert "hunter2" not in result.stdout + result.stderr
        assert result.stdout


def test_attack_opening_sockets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        result = run_program(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=2)\nprint('in')")
        assert result.isolation is not None
        if result.isolation.network == "blocked":
            assert "in" not in result.stdout
            with pytest.raises(TimeoutError):
                server.accept()
        else:
            assert "in" in result.stdout  # then "open" was the truth


def test_attack_signalling_others() -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        source = f"""
import os, signal
for pid in (os.getppid(), {os.getpid()}, {bystander.pid}, -1):
    try: os.kill(pid, signal.SIGKILL)
    except OSError: pass
def solve(x): return 4
"""
        if os.getuid() != 0 and ISOLATED is not None and ISOLATED.processes == "group":
            pytest.skip("nothing keeps a program of the same user from signalling here")
        assert passes(source) is False
        assert bystander.poll() is None
    finally:
        bystander.communicate(b"\n")


def test_attack_daemonised_child() -> None:
    source = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in range(20):
            try: os.close(fd)
            except OSError: pass
        time.sleep(60)
    os._exit(0)
print("parent done")
"""
    started = time.monotonic()
    result = run_program(source)
    assert result.stdout == "parent done\n"
    assert time.monotonic() - started < 5


def test_attack_child_that_keeps_the_output_open() -> None:
    started = time.monotonic()
    run_program("import os, time\nif os.fork() == 0: time.sleep(60)", limits=Limits(wall_seconds=5))
    assert time.monotonic() - started < 9


def test_attack_hanging_threads() -> None:
    assert (
        run_program(
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()", limits=QUICK
        ).status
        == "timeout"
    )
    source = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\ndef solve(x): return x*x"
    assert passes(source, limits=Limits(wall_seconds=30, cpu_seconds=1)) is True


def test_attack_equal_to_everything() -> None:
    source = """
class Any:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 4
    def __bool__(self): return True
class Int(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
class List(list):
    def __eq__(self, other): return True
def solve(x): return {}
"""
    for value in ("Any()", "Int(5)", "List()", "[Any()]"):
        assert passes(source.replace("return {}", f"return {value}")) is False


def test_attack_patched_builtins_and_checker() -> None:
    source = """
import builtins, sys, json
builtins.AssertionError = ZeroDivisionError
builtins.isinstance = lambda *a: True
builtins.all = lambda *a: True
for name, module in list(sys.modules.items()):
    if name.startswith("jail"):
        for attribute in list(vars(module)):
            if not attribute.startswith("__"):
                setattr(module, attribute, lambda *a, **k: {"status": "passed", "loaded": True, "value": 4, "args": []})
def solve(x): return 4
"""
    assert passes(source) is False


def test_attack_forged_frames() -> None:
    source = """
import os, json, struct, time
body = json.dumps({"status": "passed", "reason": "", "token": "0" * 32, "wait": 0}).encode()
for _ in range(3):
    for fd in range(3, 64):
        try: os.write(fd, struct.pack(">I", len(body)) + body)
        except OSError: pass
def solve(x): return 4
"""
    assert passes(source) is False


def test_attack_finding_expected_values_or_token() -> None:
    source = """
import gc, os, sys
seen = []
def look(value, depth=0):
    seen.append(repr(value)[:100_000])
def solve(x):
    frame = sys._getframe()
    while frame:
        look(frame.f_locals); look(frame.f_globals)
        frame = frame.f_back
    for thing in gc.get_objects():
        try: look(thing)
        except Exception: pass
    for fd in range(64):
        try: look(os.pread(fd, 10**5, 0))
        except OSError: pass
    text = "".join(seen)
    return 4_444 if "kept" + chr(95) + "secret_value" in text else "nothing found"
"""
    tests = "kept_secret_value = 4_444\nassert solve(1) == kept_secret_value"
    result = check_function(source, entry_point="solve", tests=tests)
    assert result.passed is False
    assert result.reason == "failed: assert solve(1) == kept_secret_value"


@pytest.mark.parametrize("frame", [{"ended": 0}, {"ended": 0x7F}, {"ended": 10**30}, {"value": 4}, {"raised": "exit"}])
def test_attack_forged_replies(frame: dict[str, object]) -> None:
    source = f"""
import json, os, struct
body = json.dumps({frame!r}).encode()
def solve(x):
    for fd in range(3, 64):
        try: os.write(fd, struct.pack(">I", len(body)) + body)
        except OSError: pass
    return 4
"""
    assert passes(source) is False


@needs_namespaces
def test_attack_mounting_and_leaving_the_namespace() -> None:
    source = """
import ctypes, os
libc = ctypes.CDLL(None)
print(libc.umount2(b"/proc", 2), libc.mount(b"proc", b"/proc", b"proc", 0, None), libc.setuid(0), libc.chroot(b"/"))
try: print(os.listdir("/proc"))
except PermissionError: print([])
"""
    assert run_program(source).stdout.split() == ["-1", "-1", "-1", "-1", "[]"]


def test_attack_killing_the_supervisor_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_session, "_BOOT", "import os; os.kill(os.getpid(), 9)")
    result = check_function("def solve(x): return x * x", entry_point="solve", tests=TESTS)
    assert result.passed is None
    assert "did not start" in result.reason


def test_a_killed_grader_leaves_nothing_running(folder: str) -> None:
    script = (
        "from smcs.grading.limits import Limits\n"
        "from smcs.grading.sandbox import run_program\n"
        "run_program('import os, time\\nos.fork()\\ntime.sleep(60)', limits=Limits(wall_seconds=30))"
    )
    grader = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "TMPDIR": folder})
    deadline = time.monotonic() + 20
    while LINUX and len(processes_with(folder)) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)  # supervisor, its helper, the program and the program's child
    grader.kill()
    grader.wait()
    if LINUX:
        assert nothing_left(folder)
    for left in Path(folder).iterdir():
        left.rmdir()  # a killed grader cannot; it is empty
