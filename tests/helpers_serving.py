"""`smcs serve` as a process of its own, over scripted LLMs that answer, call tools and write JSON; and its clients.

Whatever is asked, the answer is known, so that a client's test can tell whether it came through whole.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from helpers_strategies import make_bank
from smcs.gateway.ledger import KeyLimits, Ledger

__all__ = ("ANSWER", "ARGUMENTS", "COUNT", "FORECAST", "QUESTION", "WEATHER", "Served", "serving")

QUESTION = "How many primes are below 30?"
ANSWER = "There are ten primes below 30."
WEATHER = "What is the weather in Paris?"
FORECAST = "It is 18 degrees in Paris."
ARGUMENTS = '{"city": "Paris"}'
COUNT = '{"primes": 10}'

REPLIES = {
    "18 degrees": {"text": FORECAST},
    "weather": {"text": "", "tool_calls": [["get_weather", ARGUMENTS]]},
    "JSON": {"text": COUNT},
    "": {"text": ANSWER},
}
"""What every LLM says, by what it is asked; the first that is found in its prompt."""

_START_SECONDS = 60.0
_PATIENCE = 30.0
_SERVE = [sys.executable, "-c", "from smcs.cli import main; main()", "serve"]


@dataclass(frozen=True)
class Served:
    """A running server."""

    url: str
    """With `/v1`."""
    key: str
    poor_key: str
    """One that may ask once a minute."""
    log: Path

    def run(self, arguments: list[str], folder: Path) -> str:
        """Run Python with these arguments against the server; return what it prints."""
        command = [sys.executable, *arguments]
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ}
        environment |= {
            "HOME": str(folder),
            "LLM_USER_PATH": str(folder / "llm"),
            "PYTHONIOENCODING": "utf-8",
            # nothing but the server is asked
            "ANONYMIZED_TELEMETRY": "False",
            "DO_NOT_TRACK": "1",
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "LANGSMITH_TRACING": "false",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_TELEMETRY": "False",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=150, check=False
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout


def write_config(folder: Path) -> Path:
    """Write a config with three scripted LLMs; `knows` is best at sums, all may call tools."""
    script = {"replies": REPLIES, "latency": 0.01, "spread": 0.05}
    pool = [
        {
            "name": name,
            "kind": "scripted",
            "script": {**script, "seed": seed},
            "price": {"input": 1.0, "output": 2.0},
            "sampling": {"max_tokens": 256},
        }
        for seed, name in enumerate(("knows", "guesses", "merges"))
    ]
    config = {
        "pool": pool,
        "aggregators": ["merges", "knows"],
        "embedder": {"kind": "hashing"},
        "bank": "bank.db",
        "parameters": {"k": 2, "n": 2, "drop": 0, "support_base": 10},
        "gateway": {"port": 0, "database": "ledger.db", "keys": "required", "stop_seconds": 5},
    }
    file = folder / "smcs.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return file


async def prepare(folder: Path) -> tuple[str, str]:
    """Make the bank and two keys; return the keys."""
    bank = await make_bank(folder / "bank.db", {"knows": {"sums": 0.9}, "guesses": {"sums": 0.4}})
    bank.close()
    async with Ledger.open(str(folder / "ledger.db"), create=True) as ledger:
        key, _ = await ledger.create_key("tester", KeyLimits(usd_per_day=100.0))
        poor, _ = await ledger.create_key("poor", KeyLimits(requests_per_minute=1))
    return key, poor


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Serve from a folder until the block ends; then check how the server stopped, and what it logged."""
    config = write_config(folder)
    key, poor = asyncio.run(prepare(folder))
    log = folder / "log.jsonl"
    environment = {**os.environ, "SMCS_CACHE_DIR": str(folder / "cache"), "SMCS_NO_NETWORK": "1"}
    with log.open("wb") as lines:
        process = subprocess.Popen([*_SERVE, "-c", str(config)], stderr=lines, env=environment)
    try:
        url = wait_until_ready(process, log)
        yield Served(f"{url}/v1", key, poor, log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(_PATIENCE) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    said = log.read_text()
    for line in said.splitlines():
        json.loads(line)
    assert "Traceback" not in said
    assert '"traceback"' not in said
    for secret in (key, poor, QUESTION, ANSWER, WEATHER):
        assert secret not in said


def wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return where the server listens, once a request would be answered at once."""
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        found = re.search(r"listening on (http://127\.0\.0\.1:\d+)", log.read_text())
        if found is not None:
            try:
                with urllib.request.urlopen(f"{found[1]}/ready", timeout=5) as answer:  # noqa: S310 our own server
                    assert json.load(answer)["status"] == "ready"
                    return found[1]
            except (OSError, http.client.HTTPException):
                pass
        time.sleep(0.05)
    raise AssertionError(f"the server is not ready: {log.read_text()}")
