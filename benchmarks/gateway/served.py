"""Our server as `smcs serve` runs it, with a probe on its event loop that is read over standard input and output.

    python benchmarks/gateway/served.py CONFIG

Each line of input is answered with one of JSON: CPU seconds, resident bytes, open files, tasks, and every lag of the
event loop since the last line. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path

import uvicorn

from smcs.gateway.serve import serve
from smcs.gateway.serving import Serving

_PROBE_SECONDS = 0.02


class Probe:
    """Tells how a server is, from the moment on when it listens."""

    def __init__(self) -> None:
        self._lags: list[float] = []

    def begin(self, listening: socket.socket) -> None:
        """Tell the port and begin to probe."""
        print(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", flush=True)
        self._probing = asyncio.create_task(self._probe(), name="probe")
        self._telling = asyncio.create_task(self._tell(), name="tell")

    async def _probe(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _PROBE_SECONDS
            await asyncio.sleep(_PROBE_SECONDS)
            self._lags.append(max(0.0, loop.time() - due))

    async def _tell(self) -> None:
        while line := await asyncio.to_thread(sys.stdin.readline):
            if line.strip() == "collect":
                gc.collect()
            lags, self._lags = self._lags, []
            told = {**_sizes(), "cpu": time.process_time(), "tasks": len(asyncio.all_tasks()), "lags": lags}
            print(json.dumps(told), flush=True)
        os.kill(os.getpid(), signal.SIGTERM)


def _sizes() -> dict[str, int]:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"resident": pages * resource.getpagesize(), "files": len(list(Path("/proc/self/fd").iterdir()))}


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    probe, start = Probe(), uvicorn.Server.startup

    async def started(server: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
        await start(server, sockets)
        assert sockets is not None
        probe.begin(sockets[0])

    uvicorn.Server.startup = started  # type: ignore[assignment, method-assign]
    how = Serving(config=sys.argv[1], port=0)
    serve(how, how.found())


if __name__ == "__main__":
    main()
