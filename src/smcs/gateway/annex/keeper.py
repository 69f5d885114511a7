"""The studio's process, started, watched over and ended by the one that was told to serve."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import msgspec

from smcs.config import FoundConfig
from smcs.errors import ConfigError
from smcs.gateway.annex.sockets import listen
from smcs.gateway.serving import Packed

__all__ = ("Keeper", "Task")

_log = logging.getLogger(__name__)

_NOT_INHERITED: Final = ("PROMETHEUS_MULTIPROC_DIR",)
"""Variables that are for processes which answer the API."""

_SHORT: Final = 60
"""Bytes that the path of a folder for temporary files may have, since those of sockets are limited (unix(7))."""

_ELSE: Final = "/tmp"  # noqa: S108 a folder is made there that this user alone may enter

_SOON: Final = 10.0
"""Seconds of life that a process must have had for its death not to count as one of a series."""

_TRIES: Final = 5
_PAUSE: Final = 1.0
_REST: Final = 60.0
"""Seconds without pages after a series of deaths."""

_GRACE: Final = 5.0
"""Seconds that the process gets to end beside those of `gateway.stop_seconds`."""


@dataclass(frozen=True, slots=True)
class Task:
    """What the studio's process is to do: the first line of its standard input."""

    folder: str
    """Where the processes have their sockets."""
    listening: int
    """File descriptor of the socket on which it takes connections."""
    config: Packed
    database: str | None
    """See `Serving.database`."""
    log_level: str

    @classmethod
    def read(cls) -> Self:
        """Return what this process is to do."""
        return msgspec.json.decode(sys.stdin.buffer.readline(), type=cls)


class Keeper:
    """Keeps one process alive while its block runs; connections that come before that process is ready wait.

    Its standard input stays open as long as this process lives: by its end it knows that this one has died.

    Args:
        module: What it runs, as with `python -m`.
        found: The config.
        database: See `Serving.database`.
        log_level: See `Serving.log_level`.

    Raises:
        ConfigError: There is no folder for temporary files.
    """

    def __init__(
        self, module: str, found: FoundConfig, *, database: str | None = None, log_level: str = "info"
    ) -> None:
        try:
            where = tempfile.gettempdir()
            within = where if len(os.fsencode(where)) <= _SHORT else _ELSE
            self.folder = Path(tempfile.mkdtemp(prefix="smcs-studio-", dir=within))
            self.there = self.folder / "studio.sock"
            """Socket on which the process takes connections."""
            self._listening = listen(self.there)
        except OSError as error:
            raise ConfigError(
                f"The studio needs a folder for temporary files: {error}. Name one in TMPDIR, or use --no-studio."
            ) from error
        self._module = module
        self._config = Packed.of(found)
        self._database = database
        self._log_level = log_level
        self._patience = found.config.gateway.stop_seconds + _GRACE
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline: float | None = None
        self._thread = threading.Thread(target=self._keep, name="keep the studio", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def begin_stop(self) -> None:
        """Tell the process to end, and start it no more; may be called from a signal's handler."""
        self._stopping.set()
        if self._deadline is None:
            self._deadline = time.monotonic() + self._patience
        process = self._process
        if process is not None:
            process.terminate()

    def stop(self) -> None:
        """End the process, and let go of everything; a second time it does nothing."""
        with self._lock:  # nobody is about to start it
            self.begin_stop()
        process, deadline = self._process, self._deadline or 0.0
        if process is not None:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _log.warning("the studio's process did not end in %g s and is killed", self._patience)
                process.kill()
        self._thread.join()
        self._listening.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self) -> None:
        deaths = 0
        while not self._stopping.is_set():
            begun = time.monotonic()
            why = self._live()
            if self._stopping.is_set():
                return
            deaths = deaths + 1 if time.monotonic() - begun < _SOON else 1
            if deaths < _TRIES:
                _log.error("the studio's process ended (%s) and is started again", why)
                self._stopping.wait(_PAUSE * deaths)
                continue
            _log.error("the studio's process ended %d times in a row (%s): no pages for %g s", deaths, why, _REST)
            self._listening.close()  # who asks for a page is told so, instead of waiting
            self._stopping.wait(_REST)
            if not self._stopping.is_set():
                self._listening = listen(self.there)

    def _live(self) -> str:
        """Start the process, and return how it ended."""
        try:
            with self._lock:
                if self._stopping.is_set():
                    return "stopping"
                process = self._process = self._begin()
        except OSError as error:
            return str(error)
        task = Task(str(self.folder), self._listening.fileno(), self._config, self._database, self._log_level)
        if process.stdin is None:
            raise RuntimeError("a process without its pipe")  # pragma: no cover
        try:
            with suppress(BrokenPipeError):
                process.stdin.write(msgspec.json.encode(task) + b"\n")
                process.stdin.flush()
            return f"status {process.wait()}"
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()

    def _begin(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 our own interpreter and module
            [sys.executable, "-P", "-m", self._module],
            stdin=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name not in _NOT_INHERITED},
            pass_fds=(self._listening.fileno(),),
            start_new_session=True,
        )
