"""LLMs that llama.cpp runs on this machine, each model in a child process of its own.

A crash or kill of a server fails the calls in flight and nothing else; a server never outlives its owner. A server
listens on loopback only, on a free port, behind a random key.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from smcs.errors import ConfigError, InputError, LLMError, MissingExtraError
from smcs.llms.download import verify_file
from smcs.llms.limits import Limiter
from smcs.llms.openai_compatible import OpenAICompatibleLLM
from smcs.llms.protocol import DeltaSink
from smcs.llms.session import HttpSession, Timeouts
from smcs.types import Capabilities, Completion, Request

__all__ = ("LocalLLM", "LocalServer", "LocalServers", "ServerOptions", "available_cores")

_SCRIPT = Path(__file__).with_name("_llama_server.py")
_STOP_SECONDS = 5.0
_DEATH_NOTICE_SECONDS = 1.0
_TAIL_BYTES = 2000
_SPINS = "2000"
"""Spins of an OpenMP barrier before a thread sleeps. The default spins on: with a busy neighbour, SmolLM2 on 2 threads
of 2 cores then fell to 2.3 tokens/s, against 27.7 with this value."""

_TIMEOUTS = Timeouts(first_byte=1800.0, between_bytes=600.0, total=3600.0)
"""A server that does not stream sends its headers when the last of n answers is done: minutes on a small machine."""


def available_cores() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only some systems can bind a process to cores
        return os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a local server runs; servers of the same file and options are shared."""

    _: KW_ONLY
    threads: int | None = None
    """Threads that compute; `None` is every core this process may use. More than the cores is slower by far."""
    parallel: int = 8
    """Slots: the most choices of one call, or calls at once."""
    context: int = 8192
    """Tokens one call may use, prompt and answer together. All slots share a memory of twice that."""
    prompt_cache_mib: int = 256
    """Memory for the states of earlier prompts, in MiB; 0 keeps only those in the slots."""
    start_seconds: float = 300.0
    """Longest wait for a server to load its model."""
    exact: bool = False
    """Whether a text depends on nothing but its request: one slot, and no state of an earlier prompt is used. Batching
    with other requests and reused prompts change the order of sums, which tips close calls between two tokens."""

    def __post_init__(self) -> None:
        for name, least in (("parallel", 1), ("context", 256), ("prompt_cache_mib", 0)):
            if getattr(self, name) < least:
                raise InputError(f"`{name}` must be at least {least}, got {getattr(self, name)!r}.")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"`threads` must be at least 1 (or left out for all cores), got {self.threads!r}.")
        if not 0 < self.start_seconds < float("inf"):
            raise InputError(f"`start_seconds` must be a positive number of seconds, got {self.start_seconds!r}.")

    @property
    def slots(self) -> int:
        """Calls, or choices of one call, that are computed together."""
        return 1 if self.exact else self.parallel


class LocalServer:
    """One llama.cpp server in a child process, from `start` to `stop`.

    Args:
        path: The GGUF file.
        options: How to run it.
        sha256: Expected hash of the file (hex), checked before every start; `None` checks nothing.
    """

    def __init__(self, path: Path, *, options: ServerOptions | None = None, sha256: str | None = None) -> None:
        self.path = path
        self.options = options or ServerOptions()
        self._sha256 = sha256
        self._process: asyncio.subprocess.Process | None = None
        self._stderr: IO[bytes] | None = None
        self.url = ""
        """Base URL of its OpenAI-compatible API while it runs, as in "http://127.0.0.1:34567/v1"."""
        self.api_key = ""
        """Key of the present start."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """Process id, or `None` when it was not started."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the process and wait until it answers.

        Raises:
            ConfigError: The file is missing.
            LLMError: It did not get ready; the message ends with the last lines it printed.
            MissingExtraError: xllamacpp is not installed.
            ModelFileError: The file has another hash than expected.
        """
        if self.running:
            return
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingExtraError("Running local LLMs", "local")
        if not self.path.is_file():
            raise ConfigError(
                f"There is no model file {self.path}. Fetch one with `smcs models pull`, or correct `path`."
            )
        if self._sha256:
            await asyncio.to_thread(verify_file, self.path, self._sha256)
        await self.stop()
        try:
            async with asyncio.timeout(self.options.start_seconds):
                await self._launch()
        except TimeoutError:
            seconds = self.options.start_seconds
            raise self._failure(f"llama.cpp was not ready within {seconds:g} seconds") from None
        finally:
            if not self.url:
                await self.stop()

    async def _launch(self) -> None:
        self.api_key = secrets.token_urlsafe(32)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            str(_SCRIPT),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._stderr,
            env={"GOMP_SPINCOUNT": _SPINS, **os.environ},
        )
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both were asked to be pipes")
        try:
            process.stdin.write(json.dumps(self._settings()).encode() + b"\n")
            await process.stdin.drain()
        except ConnectionError:
            raise self._failure("llama.cpp ended while starting") from None
        line = await process.stdout.readline()
        if not line:
            await process.wait()
            raise self._failure(f"llama.cpp could not load {self.path.name} ({self.exit_reason()})")
        self.url = json.loads(line)["url"] + "/v1"

    def _settings(self) -> dict[str, object]:
        options = self.options
        return {
            "model": str(self.path),
            "alias": self.path.stem,
            "api_key": self.api_key,
            "parallel": options.slots,
            "context": options.context * (2 if options.slots > 1 else 1),
            "prompt_cache_mib": 0 if options.exact else options.prompt_cache_mib,
            "threads": options.threads or available_cores(),
        }

    async def ended_within(self, seconds: float) -> bool:
        """Wait for the process to end; the loss of a connection is noticed before the death behind it."""
        if self._process is None:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            return False
        return True

    def exit_reason(self) -> str:
        """Say how the process ended, as in "signal SIGKILL" or "exit status 1"."""
        code = self._process.returncode if self._process else None
        if code is None:
            return "not ended"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    def last_lines(self) -> str:
        """Return the end of what the process printed, or an empty text."""
        if self._stderr is None or self._stderr.closed:
            return ""
        size = os.fstat(self._stderr.fileno()).st_size
        self._stderr.seek(max(0, size - _TAIL_BYTES))
        return "\n".join(self._stderr.read().decode(errors="replace").strip().splitlines()[-8:])

    def _failure(self, message: str) -> LLMError:
        lines = self.last_lines()
        return LLMError(f"{message}. It printed:\n{lines}" if lines else f"{message}.", llm=self.path.stem)

    async def stop(self) -> None:
        """End the process and wait until it is gone; harmless when it does not run."""
        process, self._process, self.url = self._process, None, ""
        try:
            if process is not None:
                await _end(process)
        finally:
            if self._stderr is not None:
                self._stderr.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class _Lease:
    """A server, how often it was started, and the lock around starting it."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server
        self.starts = 0
        self.starting = asyncio.Lock()


class LocalServers:
    """The local servers of a run: each started at first use, shared by its users, all stopped by `close`.

    Args:
        max_concurrent: Calls that compute at once, over all servers. One call with every core is faster than several
            that share them; more pays off only where `ServerOptions.threads` leaves cores free.
        max_starts: How often one server is started before it is given up, at least 1; `None`: as often as it dies, for
            a process that serves for long.
    """

    def __init__(self, *, max_concurrent: int = 1, max_starts: int | None = 2) -> None:
        self._max_starts = max_starts
        self.gate = Limiter(max_concurrent=max_concurrent)
        """What every local call passes through."""
        # llama.cpp drops a connection now and then after it has streamed on it, which costs the next call its answer.
        self.session = HttpSession(reuse=False)
        self._leases: dict[tuple[Path, ServerOptions, str | None], _Lease] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def running(self, path: Path, options: ServerOptions, sha256: str | None = None) -> LocalServer:
        """Return the running server of a file, started if need be, and started again once if it died.

        Raises:
            LLMError: It cannot be started, or died again after the restart.
            ConfigError, MissingExtraError, ModelFileError: See `LocalServer.start`.
        """
        key = (path, options, sha256)
        lease = self._leases.get(key)
        if lease is None:
            lease = self._leases[key] = _Lease(LocalServer(key[0], options=options, sha256=sha256))
        async with lease.starting:
            if not lease.server.running:
                if self._max_starts is not None and lease.starts >= self._max_starts:
                    raise LLMError("llama.cpp died twice and is not started again in this run.", llm=path.stem)
                lease.starts += 1
                await lease.server.start()
        return lease.server

    async def close(self) -> None:
        """Stop every server and close the connections to them; the object can be used again."""
        leases, self._leases = list(self._leases.values()), {}
        try:
            async with asyncio.TaskGroup() as group:
                for lease in leases:
                    group.create_task(lease.server.stop())
        finally:
            await self.session.close()


class LocalLLM:
    """A GGUF model behind a local server, which is started by the first call.

    Args:
        name: Pool name, used in messages.
        path: The GGUF file: of the catalogue (`CatalogueEntry.gguf`) or any other.
        servers: Owner of the server, usually shared by all local LLMs of a pool; without it the LLM makes its own and
            `close` stops it.
        options: How the server runs.
        sha256: Expected hash of the file (hex); catalogue files were checked when they were fetched.
    """

    def __init__(
        self,
        name: str,
        path: Path | str,
        *,
        servers: LocalServers | None = None,
        options: ServerOptions | None = None,
        sha256: str | None = None,
    ) -> None:
        self.name = name
        self.path = Path(path).expanduser().absolute()
        self.options = options or ServerOptions()
        self._own_servers = servers is None
        self._servers = servers or LocalServers()
        self._sha256 = sha256

    def __repr__(self) -> str:
        return f"LocalLLM({self.name!r}, {str(self.path)!r})"

    @property
    def endpoint(self) -> str:
        """What capabilities belong to: the model file."""
        return f"local {self.path}"

    @property
    def capabilities(self) -> Capabilities:
        """What llama.cpp does, as measured: one call for n answers reads a prefix once, calls at once each read it."""
        return Capabilities(
            logprobs=True,
            max_n=self.options.slots,
            seed=True,
            prefix_cache=not self.options.exact,
            concurrent_prefix=False,
        )

    def on(self, servers: LocalServers, options: ServerOptions) -> LocalLLM:
        """Return the same model, run by other servers in another way."""
        return LocalLLM(self.name, self.path, servers=servers, options=options, sha256=self._sha256)

    async def close(self) -> None:
        """Stop the server, unless its owner is shared."""
        if self._own_servers:
            await self._servers.close()

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        """Answer a request; see `LLM.complete`.

        Raises:
            LLMError: The call failed, or the server died; the next call starts it again, once.
            ConfigError, MissingExtraError, ModelFileError: See `LocalServer.start`.
        """
        async with self._client() as client:
            return await client.complete(request, on_delta=on_delta)

    async def forward(self, body: Mapping[str, Any]) -> bytes:
        """Pass a request through; see `Forwarding.forward`.

        Raises:
            As `complete`.
        """
        async with self._client() as client:
            return await client.forward(body)

    async def forward_stream(self, body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """Pass a request through, streamed; see `Forwarding.forward_stream`.

        Raises:
            As `complete`.
        """
        async with self._client() as client, aclosing(client.forward_stream(body)) as events:
            async for event in events:
                yield event

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[OpenAICompatibleLLM]:
        """Hold the gate and a client of the running server."""
        async with self._servers.gate.slot():
            server = await self._servers.running(self.path, self.options, self._sha256)
            client = OpenAICompatibleLLM(
                self.name,
                base_url=server.url,
                model=self.path.stem,
                api_key=server.api_key,
                session=self._servers.session,
                timeouts=_TIMEOUTS,
                extra_body={"cache_prompt": False} if self.options.exact else None,
            )
            try:
                yield client
            except LLMError as error:
                connection_lost = error.http_status is None and error.kind == "error"
                if not connection_lost or not await server.ended_within(_DEATH_NOTICE_SECONDS):
                    raise
                message = f"llama.cpp died during the call ({server.exit_reason()}). {server.last_lines()}".rstrip()
                raise LLMError(message, llm=self.name, retryable=True) from error
