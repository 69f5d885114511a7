"""The child process of `LocalServer`: one llama.cpp server, gone as soon as its owner is.

Run as a plain script, so that it starts without importing the rest of the package. It reads one line of JSON settings
from standard input, writes one line of JSON with its URL to standard output when it is ready, and then only waits for
standard input to end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import Any

_OWNER_CHECK_SECONDS = 1.0


def _leave_when_input_ends() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)


def _ask_kernel_to_end_us() -> None:
    """Let the end of standard input raise SIGIO, which ends us even while loading a model holds the interpreter."""
    if sys.platform != "linux":
        return
    import fcntl

    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


def _serve(settings: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["model"]
    params.model_alias = {settings["alias"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings["api_key"]]
    params.cors_origins = params.cors_methods = params.cors_headers = ""
    params.cors_credentials = False
    params.ui = params.endpoint_slots = params.endpoint_props = False
    params.offline = True
    params.n_parallel = settings["parallel"]
    params.n_ctx = settings["context"]
    params.kv_unified = True
    params.cache_ram_mib = settings["prompt_cache_mib"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    params.fit_params = False
    params.warmup = False
    params.verbosity = 1
    return xllamacpp.Server(params)


def _main() -> None:
    owner = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = json.loads(sys.stdin.buffer.readline())
    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _ask_kernel_to_end_us()
    threading.Thread(target=_leave_when_input_ends, daemon=True).start()
    try:
        server = _serve(settings)
    except RuntimeError as error:  # llama.cpp has printed why
        sys.exit(f"xllamacpp: {error}")
    reply.write(json.dumps({"url": server.listening_address}) + "\n")
    reply.close()
    # A process the owner forked may keep our input open after the owner died.
    while os.getppid() == owner:
        time.sleep(_OWNER_CHECK_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    _main()
