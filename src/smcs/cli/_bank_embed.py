"""`smcs bank embed`: make the vectors that a bank lacks, of its questions or of the answers recorded on them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from smcs.cli._banks import open_named_bank

if TYPE_CHECKING:
    from smcs.bank import QuestionBank
    from smcs.embedders import Embedder

__all__ = ("embed",)


def embed(
    url: Annotated[
        str | None,
        typer.Argument(metavar="BANK", help="Path, database URL, or `seed`; the bank of the config if left out."),
    ] = None,
    embedder: Annotated[
        str | None,
        typer.Option(
            help="`minilm`, `hashing` (or `hashing:DIMENSIONS`), `sentence-transformers:NAME`, or the URL of an "
            "OpenAI-compatible API, with --model; the config's embedder if left out."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model behind the URL.")] = None,
    dimensions: Annotated[int | None, typer.Option(help="Shorter vectors from the URL.", min=1)] = None,
    api_key_env: Annotated[
        str | None, typer.Option("--api-key-env", help="Environment variable with the key for the URL.")
    ] = None,
    answers: Annotated[
        bool, typer.Option("--answers", help="Embed the recorded answers instead, which `jisi` compares.")
    ] = False,
    llms: Annotated[
        str | None, typer.Option(help="LLMs whose answers to embed, separated by commas; all if left out.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Questions or answers stored at a time.", min=1)] = 256,
    default: Annotated[bool, typer.Option("--default", help="Make them what searches use.")] = False,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Config file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Embed the questions that have no vector of an embedder, or one of a text that has changed since.

    With --answers, the recorded answers that have none. Vectors of other embedders stay. Stop it as you like: started
    again, it goes on with what is missing.
    """
    from smcs.errors import ConfigError

    if (llms is not None and not answers) or (default and answers):
        raise ConfigError("--llms goes with --answers, and --default with the vectors of questions.")
    made = _embedder(embedder, config, model=model, dimensions=dimensions, api_key_env=api_key_env)
    with open_named_bank(url, config) as bank:
        if answers:
            names = None if llms is None else [name.strip() for name in llms.split(",") if name.strip()]
            report, line = _answers(bank, made, batch, names)
        else:
            report, line = _questions(bank, made, batch, default=default)
    typer.echo(json.dumps(report) if as_json else line)


def _questions(bank: QuestionBank, made: Embedder, batch: int, *, default: bool) -> tuple[dict[str, Any], str]:
    """Embed questions; return the report, and the same in a line."""
    from smcs.errors import BankError

    count = asyncio.run(_embed(bank, made, batch))
    if default:
        bank.set_default_embedder(made.name)
    known = next((one for one in bank.info().embedders if one.name == made.name), None)
    if known is None:
        raise BankError(f"{bank.url} has no questions to embed.")
    report = {
        "bank": bank.url,
        "embedder": made.name,
        "dimensions": known.dimensions,
        "new": count,
        "embedded": known.embedded,
        "default": known.default,
    }
    line = f"{bank.url}: {count:,} new vectors of {made.name}, {known.embedded:,} in all"
    return report, line + (", the default" if known.default else "")


def _answers(bank: QuestionBank, made: Embedder, batch: int, llms: list[str] | None) -> tuple[dict[str, Any], str]:
    """Embed recorded answers; return the report, and the same in a line."""
    from smcs.errors import BankError

    before = bank.answer_counts(made.name, llms=llms)
    if not before.texts:
        whose = "" if llms is None else f" of {', '.join(llms)}"
        raise BankError(
            f"{bank.url} keeps no texts of answers{whose}, so there is nothing to embed. `smcs bank build` records "
            "them; many imports bring verdicts only."
        )
    typer.echo(f"{made.name}: {before.left:,} of {before.texts:,} recorded answers are left to embed", err=True)
    count = asyncio.run(_embed(bank, made, batch, answers=True, llms=llms))
    after = bank.answer_counts(made.name, llms=llms)
    report = {
        "bank": bank.url,
        "embedder": made.name,
        "answers": after.texts,
        "new": count,
        "embedded": after.embedded,
        "left": after.left,
    }
    line = f"{bank.url}: {count:,} new vectors of {made.name}, {after.embedded:,} of {after.texts:,} answers in all"
    return report, line


def _embedder(
    name: str | None, config: Path | None, *, model: str | None, dimensions: int | None, api_key_env: str | None
) -> Embedder:
    from smcs.config import build_embedder, find_config
    from smcs.config.schema import (
        EmbedderConfig,
        HashingEmbedderConfig,
        MiniLMConfig,
        OpenAIEmbedderConfig,
        SentenceTransformersConfig,
    )
    from smcs.errors import ConfigError, suggest

    is_url = name is not None and "://" in name
    if (model is None) == is_url or ((dimensions or api_key_env) and not is_url):
        raise ConfigError("--model, --dimensions and --api-key-env go with the URL of an API, which needs --model.")
    if name is None:
        found = find_config(config)
        return build_embedder(found.config.embedder, found.folder)
    kind, _, rest = name.partition(":")
    chosen: EmbedderConfig
    if is_url:
        chosen = OpenAIEmbedderConfig(
            kind="openai", base_url=name, model=model or "", api_key_env=api_key_env, dimensions=dimensions
        )
    elif kind == "sentence-transformers" and rest:
        chosen = SentenceTransformersConfig(kind="sentence-transformers", model=rest)
    elif kind == "hashing" and (not rest or (rest.isdecimal() and int(rest) >= 8)):
        chosen = HashingEmbedderConfig(kind="hashing", dimensions=int(rest or 256))
    elif name == "minilm":
        chosen = MiniLMConfig()
    else:
        allowed = ("minilm", "hashing", "hashing:512", "sentence-transformers:NAME", "http://HOST/v1")
        raise ConfigError(f"There is no embedder {name!r}.{suggest(name, allowed)}")
    return build_embedder(chosen)


async def _embed(
    bank: QuestionBank, embedder: Embedder, batch: int, *, answers: bool = False, llms: list[str] | None = None
) -> int:
    from smcs.llms import Closeable

    try:
        with _Bar(embedder.name) as bar:
            if answers:
                return await bank.embed_answers(embedder, llms=llms, batch=batch, on_progress=bar.show)
            return await bank.embed(embedder, batch=batch, on_progress=bar.show)
    finally:
        if isinstance(embedder, Closeable):
            await embedder.close()


class _Bar:
    """Shows how far it is on stderr: a bar on a terminal, a line a batch elsewhere."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> Self:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from smcs.cli._console import stderr

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        console = stderr()
        self._bars = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
        self._bars.start()
        self._task = self._bars.add_task(self._name, total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, done: int, total: int) -> None:
        """Take note of what is done."""
        self._bars.update(self._task, completed=done, total=total)
        if self._bars.disable:
            typer.echo(f"{self._name}: {done:,} of {total:,}", err=True)
