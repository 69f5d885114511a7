"""The studio as people meet it: a real `smcs serve` over scripted LLMs, and Chromium in front of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from playwright.sync_api import Browser, Page, sync_playwright

from helpers_serving import wait_until_ready
from helpers_strategies import make_bank
from smcs.gateway.ledger import KeyLimits, Ledger

__all__ = ("ATTACK", "QUESTION", "StudioServer", "chromium", "open_page", "serve_studio", "studio_server")

QUESTION = "add the numbers 3 and 4"
SLOW = "SLOW"
"""A question with this in it keeps every LLM busy for a minute."""

ATTACK = (
    "# Hello <script>window.hacked = 1</script>\n\n"
    "<img src=x onerror=\"window.hacked = 2\"> <svg onload='window.hacked = 3'></svg>\n\n"
    "[click](javascript:window.hacked=4) ![pixel](http://attacker.example/pixel.png)\n\n"
    "<iframe srcdoc='<script>parent.hacked=5</script>'></iframe> <form action=http://attacker.example></form>\n\n"
    "{{ constructor.constructor('window.hacked = 6')() }} <style>body { display: none }</style>\n\n"
    '$\\href{javascript:window.hacked=7}{x}$ <base href="http://attacker.example/">\n\n'
    "```html\n<script>window.hacked = 8</script>\n```\n"
)
"""What a hostile model might answer."""

_PATIENCE = 30.0
_RANKS: Mapping[str, Mapping[str, float]] = {
    "alpha": {"sums": 0.9, "cities": 0.3},
    "beta": {"sums": 0.6, "cities": 0.8},
    "gamma": {"sums": 0.3, "cities": 0.5},
}


@dataclass(frozen=True)
class StudioServer:
    """A running server."""

    url: str
    admin_key: str
    key: str
    """One without the rights of an administrator."""
    leaving_key: str
    """One that a test may revoke."""
    folder: Path
    log: Path


def _script(name: str, seed: int, latency: float) -> dict[str, Any]:
    replies = {
        "ATTACK": {"text": ATTACK},
        "ARABIC": {"text": "الجواب هو سبعة، لأن ثلاثة وأربعة سبعة."},
        "LONG": {"text": "A long answer of many words. " * 3_500},
        "": {"text": f"Three and four are **7**, says {name}: $3 + 4 = 7$."},
    }
    return {"replies": replies, "latency": latency, "spread": 0.1, "seed": seed}


def write_config(folder: Path, *, keys: str = "off", latency: float = 0.3, extra: Sequence[str] = ()) -> Path:
    """Write a config of three LLMs that answer, of which `alpha` is best at sums, and one that merges.

    Args:
        folder: Where it is written, and where bank and ledger are.
        keys: See `GatewayConfig.keys`.
        latency: Seconds of every call.
        extra: More LLMs, which merge too and answer at once.
    """
    pool: list[dict[str, Any]] = [
        {
            "name": name,
            "kind": "scripted",
            "script": _script(name, seed, latency),
            "price": {"input": 1.0, "output": 2.0},
            "sampling": {"max_tokens": 4_096},
        }
        for seed, name in enumerate(_RANKS)
    ]
    pool.append({**pool[0], "name": "merger", "script": _script("merger", 9, latency), "aggregates_only": True})
    pool += [{**pool[-1], "name": name, "script": _script(name, 10, 0.0)} for name in extra]
    config = {
        "pool": pool,
        "aggregators": ["merger"],
        "embedder": {"kind": "hashing"},
        "bank": "bank.db",
        "parameters": {"k": 3, "n": 3, "drop": 0, "support_base": 10},
        "gateway": {"port": 0, "database": "ledger.db", "keys": keys, "stop_seconds": 3},
    }
    file = folder / "smcs.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return file


async def _prepare(folder: Path) -> tuple[str, str, str]:
    bank = await make_bank(folder / "bank.db", _RANKS)
    bank.close()
    async with Ledger.open(str(folder / "ledger.db"), create=True) as ledger:
        admin, _ = await ledger.create_key("admin", KeyLimits(admin=True))
        plain, _ = await ledger.create_key("ann", KeyLimits(usd_per_day=1.0))
        leaving, _ = await ledger.create_key("leo", KeyLimits())
    return admin, plain, leaving


@contextmanager
def serve_studio(config: Path) -> Iterator[tuple[str, Path]]:
    """Serve a config until the block ends; yield where, and the log."""
    folder = config.parent
    log = folder / "log.jsonl"
    environment = {**os.environ, "SMCS_CACHE_DIR": str(folder / "cache"), "SMCS_NO_NETWORK": "1"}
    command = [sys.executable, "-c", "from smcs.cli import main; main()", "serve", "-c", str(config)]
    with log.open("wb") as lines:
        process = subprocess.Popen(command, stderr=lines, env=environment)
    try:
        yield wait_until_ready(process, log), log
        process.send_signal(signal.SIGTERM)
        assert process.wait(_PATIENCE) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@contextmanager
def studio_server(folder: Path, *, keys: str = "off", latency: float = 0.3) -> Iterator[StudioServer]:
    """Serve from a folder until the block ends, and check what the server logged."""
    config = write_config(folder, keys=keys, latency=latency)
    with ThreadPoolExecutor(1) as thread:  # Playwright runs a loop of its own in this one
        keys_made = thread.submit(asyncio.run, _prepare(folder)).result()
    with serve_studio(config) as (url, log):
        yield StudioServer(url, *keys_made, folder, log)
    said = log.read_text()
    assert "Traceback" not in said, said
    assert '"traceback"' not in said, said
    assert not any(key in said for key in keys_made)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium, else the one that `make browser` has Playwright fetch."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(browser: Browser, *, width: int = 1280, dark: bool = False, errors: Sequence[str] = ()) -> Iterator[Page]:
    """Open a tab without cookies; what it asks of another host, and every error in it, fails the test.

    Args:
        browser: The browser.
        width: Of the window, in pixels.
        dark: Whether the system asks for dark colours.
        errors: Words of errors that belong to the test.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(_PATIENCE * 1000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("console", lambda said: wrong.append(f"console: {said.text}") if said.type == "error" else None)
    page.on("request", lambda asked: None if _is_own(asked.url) else wrong.append(f"outside: {asked.url}"))
    try:
        yield page
        assert [each for each in wrong if not any(word in each for word in errors)] == []
    finally:
        context.close()


def _is_own(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))
