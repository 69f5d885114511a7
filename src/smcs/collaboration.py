"""The front door for programs: ask a pool of LLMs, get one answer and the record of how it came about."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from smcs.errors import InputError, suggest
from smcs.run import Event, Query, Run, RunFinished, Trace
from smcs.strategies import Resources, Settings, check_strategy, find_strategy, profile
from smcs.types import Message

__all__ = ("Collaboration",)

T = TypeVar("T")

Question = str | Sequence[Message] | Query
"""What can be asked: a text, a conversation that ends with a user turn, or a query that names its retrieval text."""


class Collaboration:
    """LLMs that answer together.

    Use it as `async with Collaboration.from_config(path) as team: run = await team.ask("...")`, or, where there is no
    async code, as `with ... as team: run = team.ask_sync("...")`, which also works inside a running event loop (a
    notebook). Any number of questions may be asked at once.

    Args:
        resources: Pool, aggregators, embedder, bank and prompts.
        settings: Parameters of every run unless `ask` is given others.
        strategy_name: How questions are answered; see `smcs.strategies.STRATEGIES`.
        prepare: Awaited once before the first question; may return other resources (probed, embedded).
        release: Awaited by `close`.
    """

    def __init__(
        self,
        resources: Resources,
        settings: Settings | None = None,
        *,
        strategy_name: str = "smcs",
        prepare: Callable[[Resources], Awaitable[Resources]] | None = None,
        release: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.resources = resources
        self.settings = settings or profile("balanced")
        self._strategy = find_strategy(strategy_name)
        self._prepare = prepare
        self._release = release
        self._preparing: asyncio.Task[None] | None = None
        self._thread: _LoopThread | None = None

    @classmethod
    def from_config(
        cls,
        path: str | Path | None = None,
        *,
        strategy_name: str = "smcs",
        profile_name: str | None = None,
        bank: str | Path | None = None,
        **changes: Any,
    ) -> Self:
        """Build from a config file.

        Args:
            path: An `smcs.yaml`; `None` takes `SMCS_CONFIG`, `./smcs.yaml`, or else the embedded local pool.
            strategy_name: How questions are answered.
            profile_name: Another profile than the file's.
            bank: Another question bank than the file's: a path (from the working folder), a URL, or "seed".
            changes: Fields of `Settings` that differ from the file's.

        Raises:
            BankError: The bank cannot be used.
            ConfigError: The file, or something it names, is wrong.
        """
        from smcs.config import Live, find_config

        found = find_config(path).with_bank(bank)
        settings = _changed(found.config.settings(profile_name), changes)
        find_strategy(strategy_name)
        live = Live(found)
        return cls(
            live.resources,
            settings,
            strategy_name=strategy_name,
            prepare=live.prepare,
            release=live.close,
        )

    async def start(self) -> None:
        """Prepare what the first question would otherwise wait for: probes and embeddings of bank questions."""
        preparing = self._preparing
        if preparing is None:
            preparing = self._preparing = asyncio.create_task(self._run_prepare())
        try:
            await asyncio.shield(preparing)
        except BaseException:
            if preparing.done() and self._preparing is preparing:
                self._preparing = None
            raise

    async def _run_prepare(self) -> None:
        if self._prepare is not None:
            self.resources = await self._prepare(self.resources)

    async def ask(
        self,
        question: Question,
        *,
        watch: Callable[[Event], None] | None = None,
        wants_text: bool = False,
        **changes: Any,
    ) -> Run:
        """Answer a question.

        Args:
            question: Text, conversation or query.
            watch: Called with every event as it happens; must not block.
            wants_text: Whether `watch` wants pieces of text too.
            changes: Fields of `Settings` for this question only.

        Returns:
            The record; `run.answer` is the answer and `run.degraded` says what it lacks.

        Raises:
            ConfigError: The strategy needs a bank or log-probabilities that are not there; no call was made.
            InputError: The question is empty or a changed setting is out of range.
            NoUsableAnswerError: No LLM returned anything; it lists every cause.
        """
        query, settings = _query(question), _changed(self.settings, changes)
        await self.start()
        check_strategy(self._strategy, self.resources, settings)
        return await self._strategy.run(query, self.resources, settings, Trace(watch, wants_text=wants_text))

    async def stream(self, question: Question, *, wants_text: bool = False, **changes: Any) -> AsyncIterator[Event]:
        """Answer a question and yield what happens; the last event is `RunFinished` with the record.

        Leaving the iteration early cancels every call that is still running.
        """
        events: asyncio.Queue[Event | None] = asyncio.Queue()

        async def answer() -> None:
            try:
                await self.ask(question, watch=events.put_nowait, wants_text=wants_text, **changes)
            finally:
                events.put_nowait(None)

        task = asyncio.create_task(answer())
        try:
            while (event := await events.get()) is not None:
                yield event
                if isinstance(event, RunFinished):
                    break
            await task
        finally:
            task.cancel()
            await asyncio.wait([task])

    def ask_sync(self, question: Question, **options: Any) -> Run:
        """Answer a question from code that is not async; takes what `ask` takes.

        The work runs on an event loop in a thread of its own, so it may be called from a notebook cell. Do not mix it
        with `ask` on one object: connections belong to one event loop.
        """
        if self._thread is None:
            self._thread = _LoopThread()
        return self._thread.run(self.ask(question, **options))

    async def close(self) -> None:
        """Close connections, stop local servers; harmless when called twice."""
        if self._preparing is not None and not self._preparing.done():
            self._preparing.cancel()
            await asyncio.wait([self._preparing])
        release, self._release = self._release, None
        if release is not None:
            await release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __enter__(self) -> Self:
        self._thread = self._thread or _LoopThread()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        thread, self._thread = self._thread or _LoopThread(), None
        try:
            thread.run(self.close())
        finally:
            thread.stop()


class _LoopThread:
    """An event loop on a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="smcs", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _query(question: Question) -> Query:
    if isinstance(question, Query):
        query = question
    elif isinstance(question, str):
        query = Query.of(question)
    else:
        messages = tuple(question)
        query = Query(messages[-1].content if messages else "", messages)
    if not query.text.strip():
        raise InputError("The question is empty. Ask something.")
    if not query.messages or query.messages[-1].role != "user":
        raise InputError("A conversation must end with a message of the user.")
    return query


def _changed(settings: Settings, changes: dict[str, Any]) -> Settings:
    for name in changes:
        if name not in Settings.__dataclass_fields__:
            raise InputError(f"Unknown setting {name!r}.{suggest(name, Settings.__dataclass_fields__)}")
    return replace(settings, **changes)
