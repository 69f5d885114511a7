"""`smcs serve`: the pool as one model behind the OpenAI API."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from smcs.config import FoundConfig
    from smcs.gateway.serve import Extension
    from smcs.gateway.serving import Serving

__all__ = ("HELP", "has_studio", "run", "serve")

HELP = "Serve the pool as one model behind the OpenAI API. Without a config file the embedded local pool is served."

_NEEDED: Final = ("latex2mathml", "markdown_it", "nh3", "nicegui", "pygments")
"""What the extra `studio` installs."""

_NOT_INSTALLED: Final = "the studio's pages are not installed (pip install 'smcs[studio]'): serving the API alone"


def serve(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Config file.")] = None,
    bank: Annotated[str | None, typer.Option("--bank", help="Question bank; else the config's.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 127.0.0.1 unless the config says otherwise.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 8300 unless the config says otherwise.")] = None,
    database: Annotated[str | None, typer.Option(help="Path or URL of the database with keys and runs.")] = None,
    workers: Annotated[int, typer.Option(help="Server processes.")] = 1,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    studio: Annotated[
        bool | None, typer.Option("--studio/--no-studio", help="Serve the web pages too; else the config says.")
    ] = None,
) -> None:
    """Check, listen, serve until told to stop."""
    from smcs.errors import InputError
    from smcs.gateway.serving import Serving

    levels = ("debug", "info", "warning", "error")
    if log_level.lower() not in levels:
        raise InputError(f"--log-level must be one of {', '.join(levels)}, got {log_level!r}.")
    serving = Serving(
        config=None if config is None else str(config),
        bank=bank,
        host=host,
        port=port,
        database=database,
        workers=workers,
        log_level=log_level.lower(),
    )
    found = serving.found()
    wanted = found.config.gateway.studio if studio is None else studio
    there = wanted and has_studio(required=bool(studio))
    run(serving, found, studio=there, note=_NOT_INSTALLED if wanted and not there else "")


def has_studio(*, required: bool) -> bool:
    """Return whether the studio is installed.

    Raises:
        MissingExtraError: It is not, and `required`.
    """
    from smcs.errors import MissingExtraError

    found = all(find_spec(name) is not None for name in _NEEDED)
    if required and not found:
        raise MissingExtraError("The studio", "studio")
    return found


def run(serving: Serving, found: FoundConfig, *, studio: bool, note: str = "") -> None:
    """Serve until told to stop; see `smcs.gateway.serve.serve`.

    The studio's process is started before anything else, since both take seconds to begin.

    Args:
        serving: How.
        found: The config.
        studio: Whether to serve the studio's pages too.
        note: What there is to say in the server's log.

    Raises:
        MissingExtraError: The server is not installed.
        SmcsError: It cannot serve.
    """
    from smcs.errors import MissingExtraError
    from smcs.gateway.annex.keeper import Keeper

    with ExitStack() as stack:
        keeper = extension = None
        if studio and hasattr(socket, "send_fds"):
            keeper = stack.enter_context(
                Keeper("smcs.studio.process", found, database=serving.database, log_level=serving.log_level)
            )
        try:
            from smcs.gateway.serve import serve as serve_api
        except ImportError as error:
            raise MissingExtraError("Serving", "gateway") from error
        if studio and keeper is None:
            extension, note = _pages_within(serving, note)
        serve_api(serving, found, keeper=keeper, extension=extension, note=note)


def _pages_within(serving: Serving, note: str) -> tuple[Extension | None, str]:
    """Return what adds the pages to the API's own process, where connections cannot be handed over, and what to say."""
    if serving.workers > 1:
        return None, f"the studio is off: its pages live in one process here, and {serving.workers} are to serve"
    from smcs.studio.mounting import add_studio

    return add_studio, note
