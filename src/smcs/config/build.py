"""From a validated config to live objects: pool, embedder, bank. Nothing is called and no server is started here."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from smcs._paths import cache_dir
from smcs.bank import QuestionBank
from smcs.config.load import load_config
from smcs.config.schema import (
    Config,
    EmbedderConfig,
    HashingEmbedderConfig,
    LLMConfig,
    LocalLLMConfig,
    MiniLMConfig,
    OpenAIEmbedderConfig,
    OpenAILLMConfig,
    ReplayLLMConfig,
    ScriptedLLMConfig,
)
from smcs.embedders import (
    Embedder,
    HashingEmbedder,
    MiniLMEmbedder,
    OpenAICompatibleEmbedder,
    SentenceTransformersEmbedder,
)
from smcs.errors import ConfigError, LLMError
from smcs.llms import (
    LLM,
    AnswerStore,
    Breaker,
    BreakerLLM,
    CapabilityCache,
    Closeable,
    HttpSession,
    LimitedLLM,
    Limiter,
    LocalLLM,
    LocalServers,
    Member,
    OpenAICompatibleLLM,
    Pool,
    RetryingLLM,
    RetryPolicy,
    ScriptedLLM,
    ServerOptions,
    StoredLLM,
    StoreScope,
    Timeouts,
    find_model,
)
from smcs.strategies import Prompts, Resources
from smcs.types import Capabilities, Price, Sampling

__all__ = ("FoundConfig", "Live", "build_embedder", "build_pool", "embedded_config", "find_config", "open_bank")

_log = logging.getLogger(__name__)

_PROBE_SECONDS = 120.0
"""Longest wait for what an endpoint supports; a run goes on without knowing."""


@dataclass(frozen=True, slots=True)
class FoundConfig:
    """A config and the folder its relative paths are relative to."""

    config: Config
    folder: Path
    source: str
    """Where it came from, for messages."""
    is_file: bool = True
    """Whether somebody wrote it, or it is the embedded local pool."""

    def with_bank(self, bank: str | Path | None) -> FoundConfig:
        """Return it with another bank: a path (from the working folder), a URL or "seed"; `None` changes nothing."""
        if bank is None:
            return self
        name = str(bank)
        place = name if name == "seed" or "://" in name else str(Path(name).expanduser().absolute())
        return replace(self, config=self.config.model_copy(update={"bank": place}))

    def with_gateway(self, **changes: Any) -> FoundConfig:
        """Return it with other settings of the gateway; they must be valid."""
        gateway = type(self.config.gateway).model_validate({**self.config.gateway.model_dump(), **changes})
        return replace(self, config=self.config.model_copy(update={"gateway": gateway}))


def find_config(path: str | Path | None = None) -> FoundConfig:
    """Load the config that applies.

    Args:
        path: A file; `None` takes the one `SMCS_CONFIG` names, else `smcs.yaml` in the working folder, else the
            embedded local pool.

    Raises:
        ConfigError: A named file is missing, or the file is wrong.
    """
    named = path or os.environ.get("SMCS_CONFIG") or None
    if named is None and Path("smcs.yaml").is_file():
        named = "smcs.yaml"
    if named is None:
        return FoundConfig(embedded_config(), Path(), "the embedded local pool", is_file=False)
    file = Path(named).expanduser()
    return FoundConfig(load_config(file), file.absolute().parent, str(file))


def embedded_config() -> Config:
    """Return the config that needs no file: three local instruct models, local embeddings and the seed bank."""
    with as_file(files("smcs") / "data" / "embedded.yaml") as file:
        return load_config(file)


class Live:
    """What a config describes, ready to be used by a `Collaboration`.

    Raises:
        ConfigError: The config names a model, file, bank or variable that does not exist.

    Args:
        found: The config.
        breaker: Makes the circuit breaker of an LLM, by its name, for a process that serves for long; `None` lets every
            call through.
    """

    def __init__(self, found: FoundConfig, *, breaker: Callable[[str], Breaker] | None = None) -> None:
        config, folder = found.config, found.folder
        # Before anything is opened, which would stay open if this file is wrong.
        prompts = Prompts() if config.prompts is None else Prompts.load(folder / config.prompts)
        self._pool = build_pool(config, folder, breaker=breaker)
        embedder = build_embedder(config.embedder, folder)
        self._closeable = [part for part in (embedder,) if isinstance(part, Closeable)]
        self._bank = None if config.bank is None else open_bank(config.bank, folder)
        mergers = {llm.name for llm in config.pool if llm.aggregates_only}
        self.resources = Resources(
            pool={name: member for name, member in self._pool.items() if name not in mergers},
            mergers={name: self._pool[name] for name in mergers},
            aggregators=config.aggregators,
            embedder=embedder,
            bank=self._bank,
            prompts=prompts,
            query_prefix=config.embedder.query_prefix,
        )

    async def prepare(self, resources: Resources) -> Resources:
        """Probe aggregators whose endpoint is not known yet, and embed bank questions that have no vector."""
        bank, embedder = resources.bank, resources.embedder
        if bank is not None:
            missing = len(bank.missing_embeddings(embedder.name))
            if missing:
                _log.info("embedding %d questions of the bank with %s (once)", missing, embedder.name)
                await bank.embed(embedder)
        probed = {name: await _probed(resources.member(name)) for name in resources.aggregators}
        return replace(
            resources,
            pool={name: probed.get(name, member) for name, member in resources.pool.items()},
            mergers={name: probed.get(name, member) for name, member in resources.mergers.items()},
        )

    async def close(self) -> None:
        """Stop local servers, close connections and the bank."""
        try:
            await self._pool.close()
        finally:
            for part in self._closeable:
                await part.close()
            if self._bank is not None:
                self._bank.close()


def build_pool(config: Config, folder: Path, *, breaker: Callable[[str], Breaker] | None = None) -> Pool:
    """Turn the pool of a config into members that share connections, limits and local servers.

    Args:
        config: The config.
        folder: What its paths are relative to.
        breaker: See `Live`.
    """
    session, servers = HttpSession(), LocalServers(max_starts=2 if breaker is None else None)
    limiters: dict[str, Limiter] = {}
    stores: dict[Path, StoreScope] = {}
    members = [_guarded(_member(llm, folder, session, servers, limiters, stores), breaker) for llm in config.pool]
    return Pool(members, resources=[servers, session])


def _guarded(member: Member, breaker: Callable[[str], Breaker] | None) -> Member:
    return member if breaker is None else replace(member, llm=BreakerLLM(member.llm, breaker(member.name)))


def _member(
    config: LLMConfig,
    folder: Path,
    session: HttpSession,
    servers: LocalServers,
    limiters: dict[str, Limiter],
    stores: dict[Path, StoreScope],
) -> Member:
    price = None if config.price is None else Price(config.price.input, config.price.output)
    window, known = config.context_window, Capabilities()
    match config:
        case OpenAILLMConfig():
            llm: LLM = _openai(config, session, limiters)
        case LocalLLMConfig():
            local, window = _local(config, folder, servers)
            llm, known, price = local, local.capabilities, price or Price(0.0, 0.0)
        case ScriptedLLMConfig():
            script = ScriptedLLM.from_config(config.name, config.script)
            llm, known = script, Capabilities(logprobs=script.logprob is not None, max_n=script.max_n, seed=True)
        case ReplayLLMConfig():
            path = folder / config.path.expanduser()
            if path not in stores:
                stores[path] = StoreScope(AnswerStore(path, create=False), "replay")
            llm = StoredLLM(config.name, stores[path], repeats=True)
    declared = config.capabilities.model_dump(exclude_none=True)
    return Member(
        config.name,
        llm,
        sampling=Sampling(**config.sampling.model_dump(exclude_unset=True)),
        system_prompt=config.system_prompt,
        price=price,
        context_window=window,
        capabilities=replace(known, **declared),
        tags=config.tags,
    )


def _openai(config: OpenAILLMConfig, session: HttpSession, limiters: dict[str, Limiter]) -> LLM:
    limiter = limiters.setdefault(
        config.base_url.rstrip("/"),
        Limiter(max_concurrent=config.max_concurrent, requests_per_minute=config.requests_per_minute),
    )
    client = OpenAICompatibleLLM(
        config.name,
        base_url=config.base_url,
        model=config.model,
        api_key_env=config.api_key_env,
        session=session,
        timeouts=Timeouts(**config.timeouts.model_dump()),
        extra_body=config.extra_body,
    )
    return RetryingLLM(LimitedLLM(client, limiter), RetryPolicy(max_tries=config.tries))


def _local(config: LocalLLMConfig, folder: Path, servers: LocalServers) -> tuple[LocalLLM, int]:
    """Return a local LLM and its context window in tokens."""
    if config.model is not None:
        entry = find_model(config.model)
        path, trained = entry.require(), entry.context
    else:
        path, trained = folder / (config.path or Path()).expanduser(), ServerOptions().context
        if not path.is_file():
            raise ConfigError(f"{config.name}: there is no model file {str(path)!r}. Correct `path`.")
    context = min(config.context or ServerOptions().context, trained)
    options = ServerOptions(threads=config.threads, parallel=config.parallel, context=context)
    return LocalLLM(config.name, path, servers=servers, options=options), config.context_window or context


def build_embedder(config: EmbedderConfig, folder: Path = Path()) -> Embedder:
    """Turn the embedder of a config, with paths relative to a folder, into a live one.

    Raises:
        ConfigError: Its model was not fetched.
    """
    match config:
        case MiniLMConfig():
            path = find_model("all-minilm-l6-v2").require() if config.path is None else folder / config.path
            return MiniLMEmbedder(path, long_texts=config.long_texts)
        case OpenAIEmbedderConfig():
            return OpenAICompatibleEmbedder(
                config.base_url, config.model, api_key_env=config.api_key_env, dimensions=config.dimensions
            )
        case HashingEmbedderConfig():
            return HashingEmbedder(config.dimensions)
        case _:
            return SentenceTransformersEmbedder(config.model)


def open_bank(name: str, folder: Path = Path()) -> QuestionBank:
    """Open a bank by path (relative to a folder), database URL, or as `seed`, the one that ships with smcs.

    Raises:
        BankError: There is none, or it cannot be used.
    """
    if name == "seed":
        return _seed_bank()
    return QuestionBank.open(name if "://" in name else folder / Path(name).expanduser())


def _seed_bank() -> QuestionBank:
    """Open the bank that ships with smcs, unpacked once into the cache folder."""
    with as_file(files("smcs") / "data" / "seed_bank.jsonl.gz") as shipped:
        digest = hashlib.sha256(shipped.read_bytes()).hexdigest()[:16]
        path = cache_dir() / "banks" / f"seed-{digest}.db"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
                fresh = Path(scratch) / "seed.db"
                with QuestionBank.create(fresh) as bank:
                    bank.import_from(shipped)
                fresh.replace(path)
    return QuestionBank.open(path)


async def _probed(member: Member) -> Member:
    """Return an aggregator with its capabilities filled in; what is declared is not overruled."""
    known, endpoint = member.capabilities, _endpoint(member.llm)
    if endpoint is None or (known.logprobs is not None and known.max_n is not None):
        return member
    _log.info("probing what the endpoint of %s supports (once a week)", member.name)
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            found = await CapabilityCache().probed(endpoint, member.llm)
    except (LLMError, TimeoutError) as error:
        _log.warning("%s could not be probed: %s", member.name, str(error) or f"no answer within {_PROBE_SECONDS:g} s")
        return member
    declared = {name: value for name, value in asdict(known).items() if value is not None}
    return replace(member, capabilities=replace(found, **declared))


def _endpoint(llm: Any) -> str | None:
    """Return what capabilities belong to, looking through wrappers; `None` for an LLM that is no endpoint."""
    while llm is not None:
        if isinstance(llm, OpenAICompatibleLLM):
            return llm.endpoint
        llm = getattr(llm, "inner", None)
    return None
