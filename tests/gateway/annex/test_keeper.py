"""A process that is started again when it dies, ends when it is told to, and does not outlive who started it."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers_gateway import found_config
from smcs.errors import ConfigError
from smcs.gateway.annex import keeper as module
from smcs.gateway.annex.keeper import Keeper

LIVES = """
import json, os, signal, socket, sys
from smcs.gateway.annex.keeper import Task
task = Task.read()
listening = socket.socket(fileno=task.listening)
signal.signal(signal.SIGTERM, {on_term})
while True:
    line, _ = listening.accept()
    line.sendall(json.dumps([os.getpid(), task.config.found().config.aggregators, task.database]).encode())
    line.close()
"""
ENDS = "signal.SIG_DFL"
STAYS = "signal.SIG_IGN"


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def says_hello(path: Path) -> bool:
    try:
        return bool(hello(path))
    except OSError:
        return False


def is_refused(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(str(path))
        except OSError:
            return True
    return False


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Keeper]:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(module, "_PAUSE", 0.01)

    def make(code: str, *, stop_seconds: int = 20) -> Keeper:
        (tmp_path / "kept_process.py").write_text(textwrap.dedent(code))
        return Keeper(
            "kept_process", found_config(tmp_path, f"gateway: {{stop_seconds: {stop_seconds}}}"), database="other.db"
        )

    return make


@contextmanager
def running(keeper: Keeper) -> Iterator[Path]:
    with keeper:
        yield keeper.there


def hello(path: Path) -> list[object]:
    """Return what the process says, which may have to start first."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(20)
        line.connect(str(path))
        found: list[object] = json.loads(line.makefile("rb").read())
        return found


def test_it_is_told_what_to_do_and_ends_when_told_to(run: Callable[..., Keeper]) -> None:
    keeper = run(LIVES.format(on_term=ENDS))
    assert oct(keeper.folder.stat().st_mode & 0o777) == "0o700"
    with running(keeper) as path:
        pid, aggregators, database = hello(path)
        assert isinstance(pid, int)
        assert (aggregators, database) == (["alpha"], "other.db")
    assert not is_alive(pid)
    assert not keeper.folder.exists()


def test_one_that_dies_is_started_again(run: Callable[..., Keeper], caplog: pytest.LogCaptureFixture) -> None:
    with running(run(LIVES.format(on_term=ENDS))) as path:
        first = hello(path)[0]
        assert isinstance(first, int)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: not is_alive(first))
        second = hello(path)[0]
    assert second != first
    assert [one.message for one in caplog.records if one.levelno == logging.ERROR] == [
        "the studio's process ended (status -9) and is started again"
    ]


def test_one_that_cannot_start_is_left_alone_for_a_while(
    run: Callable[..., Keeper], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_REST", 5.0)
    with running(run("raise SystemExit(3)")) as path:
        wait_for(lambda: "5 times in a row (status 3): no pages for 5 s" in caplog.text)
        (tmp_path / "kept_process.py").write_text(LIVES.format(on_term=ENDS))
        wait_for(lambda: is_refused(path))
        wait_for(lambda: says_hello(path))
    assert len([one for one in caplog.records if one.levelno == logging.ERROR]) == 5


def test_one_that_does_not_end_is_killed(
    run: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_GRACE", -4.8)
    with running(run(LIVES.format(on_term=STAYS), stop_seconds=5)) as path:
        pid = hello(path)[0]
        assert isinstance(pid, int)
    assert not is_alive(pid)
    assert "is killed" in caplog.text


def test_its_standard_input_ends_with_who_started_it(tmp_path: Path) -> None:
    (tmp_path / "kept_process.py").write_text(
        "import os, sys\nprint(os.getpid(), flush=True)\nsys.stdin.readline(); os.read(0, 1)\n"
    )
    script = (
        "import time; from smcs.config import find_config; from smcs.gateway.annex.keeper import Keeper; "
        "Keeper('kept_process', find_config()).__enter__(); time.sleep(60)"
    )
    with tempfile.TemporaryDirectory(prefix="smcs-test-") as left:  # what a process that is killed cannot tidy up
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "TMPDIR": left},
        )
        assert process.stdout is not None
        kept = int(process.stdout.readline())
        process.kill()
        process.wait()
        process.stdout.close()
        wait_for(lambda: not is_alive(kept))


def test_one_that_cannot_even_begin_is_said(
    run: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("subprocess.Popen", full)
    with running(run("")) as path:
        wait_for(lambda: "5 times in a row ([Errno 12] Cannot allocate memory)" in caplog.text)
        wait_for(lambda: is_refused(path))


def test_without_a_folder_for_temporary_files_nothing_begins(
    run: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with pytest.raises(ConfigError, match=r"TMPDIR.*--no-studio"):
        run("")


def test_a_long_folder_for_temporary_files_is_left_alone(
    run: Callable[..., Keeper], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    keeper = run(LIVES.format(on_term=ENDS))
    with running(keeper) as path:
        assert hello(path)
    assert not list(long.iterdir())
