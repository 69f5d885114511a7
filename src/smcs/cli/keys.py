"""`smcs keys`: who may use the gateway, and how much."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smcs.cli._ledgers import AsJson, Config, Where, with_ledger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smcs.gateway.ledger import KeyLimits, KeyRecord, KeyUse, Ledger

__all__ = ("app",)

app = typer.Typer(help="Create, list and revoke the API keys of the gateway.", no_args_is_help=True)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is; shown in lists and reports.")],
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models", help="Models it may ask for, such as 'smcs*'; repeat it, or part by commas. Else all."
        ),
    ] = None,
    requests_per_minute: Annotated[int | None, typer.Option("--rpm", help="Most requests per minute.")] = None,
    tokens_per_minute: Annotated[
        int | None, typer.Option("--tpm", help="Most tokens per minute, read or written.")
    ] = None,
    usd_per_day: Annotated[float | None, typer.Option("--usd-day", help="Most USD per day (UTC).")] = None,
    usd_per_month: Annotated[float | None, typer.Option("--usd-month", help="Most USD per month (UTC).")] = None,
    max_concurrent: Annotated[int | None, typer.Option("--concurrent", help="Most requests at the same time.")] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="It sees the runs and the spending of all keys, and may switch LLMs off.")
    ] = False,
    config: Config = None,
    database: Where = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and print it. It is shown this once: the database keeps a hash of it."""
    from smcs.cli._console import stderr
    from smcs.gateway.ledger import KeyLimits

    limits = KeyLimits(
        tuple(part.strip() for each in models or () for part in each.split(",")),
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        usd_per_day=usd_per_day,
        usd_per_month=usd_per_month,
        max_concurrent=max_concurrent,
        admin=admin,
    )
    text, record = with_ledger(config, database, lambda ledger: ledger.create_key(name, limits), create=True)
    if as_json:
        typer.echo(json.dumps({"key": text, **asdict(record)}))
        return
    typer.echo(text)
    stderr().print(f"key {record.id} of {record.name}: {_words(limits)}. Keep it now, it cannot be shown again.")


@app.command("list")
def list_keys(
    config: Config = None,
    database: Where = None,
    everything: Annotated[bool, typer.Option("--all", help="Revoked keys too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List keys with their limits and what they have used of them."""

    async def look(ledger: Ledger) -> tuple[tuple[KeyRecord, ...], Mapping[str, KeyUse]]:
        return await ledger.list_keys(), await ledger.key_use()

    records, use = with_ledger(config, database, look)
    shown = [record for record in records if everything or record.revoked is None]
    if as_json:
        rows = [{**asdict(each), "use": asdict(use[each.id]) if each.limits.counted else None} for each in shown]
        typer.echo(json.dumps(rows, indent=2))
        return
    _print(shown, use)


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Name or id of the key.")],
    config: Config = None,
    database: Where = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key for good. Running servers refuse it within two seconds; requests that run go on."""
    record = with_ledger(config, database, lambda ledger: ledger.revoke_key(key))
    if as_json:
        typer.echo(json.dumps(asdict(record)))
        return
    typer.echo(f"revoked key {record.id} of {record.name}")


def _print(records: list[KeyRecord], use: Mapping[str, KeyUse]) -> None:
    from rich.table import Table

    from smcs.cli._console import stderr, stdout

    if not records:
        stderr().print("There are no keys. Make one with: smcs keys create NAME")
        return
    table = Table("id", "name", "created", "limits", "used", box=None, pad_edge=False)
    for record in records:
        words = _words(record.limits) if record.revoked is None else f"revoked {record.revoked[:16]}"
        used = _used(use[record.id]) if record.limits.counted else "-"
        table.add_row(record.id, record.name, record.created[:16], words, used)
    stdout().print(table)


def _words(limits: KeyLimits) -> str:
    """Return limits as they are written on the command line."""
    given: dict[str, Any] = {
        "rpm": limits.requests_per_minute,
        "tpm": limits.tokens_per_minute,
        "usd-day": limits.usd_per_day,
        "usd-month": limits.usd_per_month,
        "concurrent": limits.max_concurrent,
    }
    words = [f"{name} {value:,}" for name, value in given.items() if value is not None]
    if limits.models:
        words.insert(0, f"models {','.join(limits.models)}")
    return ", ".join([*(["admin"] if limits.admin else []), *(words or ["no limits"])])


def _used(use: KeyUse) -> str:
    held = f" + ${use.usd_held:.4f} held" if use.usd_held else ""
    running = f", {use.running} running" if use.running else ""
    return f"${use.usd_today:.4f} today, ${use.usd_this_month:.4f} this month{held}{running}"
