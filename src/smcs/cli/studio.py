"""`smcs studio`: the web pages, served and opened in a browser."""

from __future__ import annotations

import threading
import time
import urllib.request
import webbrowser
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Final

import typer

__all__ = ("HELP", "studio")

HELP = "Open the studio, the web pages of the gateway, in a browser; the gateway is started if it does not run yet."

_PATIENCE: Final = 60.0


def studio(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Config file.")] = None,
    bank: Annotated[str | None, typer.Option("--bank", help="Question bank; else the config's.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the gateway; else the config's.")] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
) -> None:
    """Serve the studio on this machine and open it; or open the one that runs already."""
    from smcs.cli.serve import has_studio, run
    from smcs.gateway.serving import Serving

    has_studio(required=True)
    serving = Serving(config=None if config is None else str(config), bank=bank, port=port)
    found = serving.found()
    gateway = found.config.gateway
    url = f"http://{'localhost' if gateway.host == '127.0.0.1' else gateway.host}:{gateway.port}/"
    if gateway.port and _is_up(url):
        typer.echo(f"The gateway runs already: {url}")
        if browser:
            webbrowser.open(url)
        return
    if browser and gateway.port:
        threading.Thread(target=_open_when_up, args=(url,), name="open the studio", daemon=True).start()
    run(serving, found, studio=True)


def _is_up(url: str) -> bool:
    """Return whether a gateway answers there."""
    try:
        with urllib.request.urlopen(f"{url}health", timeout=2) as answer:  # noqa: S310 our own address
            return b'"version"' in answer.read(1_000)
    except (OSError, HTTPException):
        return False


def _open_when_up(url: str) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if _is_up(url):
            webbrowser.open(url)
            return
        time.sleep(0.3)
