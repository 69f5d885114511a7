"""`smcs serve`: the pool as one model behind the OpenAI API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from smcs.gateway.serve import Extension

__all__ = ("HELP", "find_studio", "serve")

HELP = "Serve the pool as one model behind the OpenAI API. Without a config file the embedded local pool is served."

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
    from smcs.errors import InputError, MissingExtraError

    levels = ("debug", "info", "warning", "error")
    if log_level.lower() not in levels:
        raise InputError(f"--log-level must be one of {', '.join(levels)}, got {log_level!r}.")
    try:
        from smcs.gateway.serve import Serving
        from smcs.gateway.serve import serve as run
    except ImportError as error:
        raise MissingExtraError("Serving", "gateway") from error
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
    pages = find_studio(required=bool(studio)) if wanted else None
    run(serving, found, pages, note=_NOT_INSTALLED if wanted and pages is None else "")


def find_studio(*, required: bool) -> Extension | None:
    """Return what adds the studio to a server; `None` where it is not installed.

    Raises:
        MissingExtraError: It is not installed, and `required`.
    """
    from smcs.errors import MissingExtraError

    try:
        from smcs.studio.mounting import add_studio
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "smcs":
            raise
        if required:
            raise MissingExtraError("The studio", "studio") from error
        return None
    return add_studio
