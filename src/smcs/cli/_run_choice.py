"""Which runs a command is about: options that are declared once, for every command that chooses runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from smcs.cli._ledgers import moment

if TYPE_CHECKING:
    from smcs.gateway.ledger import Ledger, RunFilter

__all__ = ("Chosen", "Since", "Until", "choosing")

Since = Annotated[str | None, typer.Option("--since", help="From then on: 2026-01-31, or 7d for that long ago.")]
Until = Annotated[str | None, typer.Option("--until", help="Before then, written likewise.")]

_Ended = Literal["ok", "degraded", "failed", "cancelled", "lost"]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The runs that are meant; every field is an option, and `None` does not choose."""

    key: Annotated[str | None, typer.Option("--key", help="Of this key: name or id; '' for requests without one.")] = (
        None
    )
    model: Annotated[str | None, typer.Option("--model", help="For this model, as clients asked for it.")] = None
    strategy: Annotated[str | None, typer.Option("--strategy", help="By this strategy.")] = None
    status: Annotated[_Ended | None, typer.Option("--status", help="That ended like this.")] = None
    since: Since = None
    until: Until = None
    text: Annotated[str | None, typer.Option("--text", help="With this in the question or the error.")] = None

    async def of(self, ledger: Ledger) -> RunFilter:
        """Return the choice as a ledger understands it.

        Raises:
            ConfigError: There is no such key.
            LedgerUnavailableError: The database failed.
        """
        from smcs.gateway.ledger import RunFilter

        return RunFilter(
            key_id=await _key_id(ledger, self.key),
            model=self.model,
            strategy=self.strategy,
            status=self.status,
            since=moment(self.since),
            until=moment(self.until),
            text=self.text,
        )


def choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `Chosen` in the place of its keyword-only parameter `chosen`."""
    hints = get_type_hints(Chosen, include_extras=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    options = [inspect.Parameter(each.name, kind, default=None, annotation=hints[each.name]) for each in fields(Chosen)]
    signature = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        parameters += options if name == "chosen" else [parameter]

    @wraps(command)
    def run(**given: Any) -> None:
        chosen = Chosen(**{option.name: given.pop(option.name) for option in options})
        command(**given, chosen=chosen)

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


async def _key_id(ledger: Ledger, key: str | None) -> str | None:
    """Return the id of a key given by id or name; of several of one name, the one that was made last."""
    from smcs.errors import ConfigError, suggest

    if not key:
        return key
    records = await ledger.list_keys()
    found = [record.id for record in records if key in (record.id, record.name)]
    if not found:
        raise ConfigError(f"There is no key {key!r:.80}.{suggest(key, (record.name for record in records))}")
    return found[-1]
