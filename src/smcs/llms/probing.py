"""Find out what an endpoint really does, by asking it.

Servers accept fields they ignore, so nothing is believed until its effect is seen. What could not be decided stays
`None`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path

import msgspec

from smcs._paths import cache_dir
from smcs.errors import LLMError
from smcs.llms.protocol import LLM
from smcs.types import Capabilities, Completion, Message, Request, Sampling

__all__ = ("CapabilityCache", "ProbeReport", "check", "probe")

_log = logging.getLogger(__name__)

_REFUSALS = frozenset({400, 404, 405, 413, 422, 501})
_GREETING = Request((Message("user", "Reply with the single word: ready"),), sampling=Sampling(max_tokens=64))
_CREATIVE = Request(
    (Message("user", "Invent a sentence of about fifteen words on any subject. Be original."),),
    sampling=Sampling(max_tokens=24, temperature=1.0),
)
_WEEK_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """One row of a table about a pool."""

    llm: str
    reachable: bool
    _: KW_ONLY
    latency_s: float | None = None
    """Seconds of one short call."""
    capabilities: Capabilities = Capabilities()
    error: str | None = None
    """Why it is not reachable."""


async def probe(llm: LLM, *, max_n: int = 8, prefix_words: int = 1_200) -> Capabilities:
    """Test what an LLM supports; about ten short calls, one after another unless that is what is tested.

    Args:
        llm: Whom to test; without retries, ideally.
        max_n: Largest number of choices to try for.
        prefix_words: Length of the prompt that tests the prefix cache (hosted caches begin at 1,024 tokens); 0 leaves
            the test out, which matters where reading that much is slow.

    Returns:
        What was seen. A single test that fails for another reason than a refusal leaves its field `None`.

    Raises:
        LLMError: Not even a plain request succeeds.
    """
    found = (await _first_contact(llm))[1]
    found = replace(found, max_n=await _max_n(llm, max_n), seed=await _seed(llm))
    return await _prefix(llm, found, prefix_words) if prefix_words else found


async def check(
    name: str, llm: LLM, *, seconds: float = 120.0, clock: Callable[[], float] = time.monotonic, max_n: int = 2
) -> ProbeReport:
    """Ask an LLM one short question and whether it gives log-probabilities and `n` choices; never raises an `LLMError`.

    Args:
        name: Name for the report.
        llm: Whom to ask.
        seconds: Most seconds the check may take.
        clock: Seconds.
        max_n: Largest number of choices to try for.
    """
    started = clock()
    try:
        async with asyncio.timeout(seconds):
            latency, found = await _first_contact(llm, clock)
            found = replace(found, max_n=await _max_n(llm, max_n))
    except TimeoutError:
        return ProbeReport(name, False, latency_s=clock() - started, error=f"no answer within {seconds:g} s")
    except LLMError as error:
        return ProbeReport(name, False, latency_s=clock() - started, error=str(error))
    return ProbeReport(name, True, latency_s=latency, capabilities=found)


class CapabilityCache:
    """Capabilities on disk, so that an endpoint is probed once."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        max_age_seconds: float = _WEEK_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Name the file; it is made when the first result is kept.

        Args:
            path: JSON file, `capabilities.json` in the cache folder if not given.
            max_age_seconds: Older results are found out anew.
            clock: Unix time in seconds.
        """
        self._path = path or cache_dir() / "capabilities.json"
        self._max_age = max_age_seconds
        self._clock = clock
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def probed(self, endpoint: str, llm: LLM, *, max_n: int = 8, prefix_words: int = 1_200) -> Capabilities:
        """Return what is known about an endpoint, probing it if nothing is; a failed probe is not kept.

        Args:
            endpoint: What the result belongs to, such as `OpenAICompatibleLLM.endpoint`.
            llm: As for `probe`.
            max_n: As for `probe`.
            prefix_words: As for `probe`.

        Raises:
            LLMError: As for `probe`.
        """
        async with self._locks[endpoint]:
            known = await asyncio.to_thread(self.get, endpoint)
            if known is not None:
                return known
            found = await probe(llm, max_n=max_n, prefix_words=prefix_words)
            await asyncio.to_thread(self.put, endpoint, found)
            return found

    def get(self, endpoint: str) -> Capabilities | None:
        """Return what is known and not too old."""
        entry = self._read().get(endpoint)
        if entry is None or not 0 <= self._clock() - entry.probed_at < self._max_age:
            return None
        return entry.capabilities

    def put(self, endpoint: str, capabilities: Capabilities) -> None:
        """Keep a result; the file is replaced as a whole, so that it is never seen half written."""
        entries = {**self._read(), endpoint: _Entry(self._clock(), capabilities)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._path.parent, prefix=".capabilities-", delete=False) as file:
            file.write(msgspec.json.format(msgspec.json.encode(entries)))
        Path(file.name).replace(self._path)

    def _read(self) -> dict[str, _Entry]:
        try:
            return _entries_decoder.decode(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.warning("%s is not readable and will be written anew: %s", self._path, error)
            return {}


class _Entry(msgspec.Struct):
    probed_at: float
    capabilities: Capabilities


_entries_decoder = msgspec.json.Decoder(dict[str, _Entry])


async def _first_contact(llm: LLM, clock: Callable[[], float] = time.monotonic) -> tuple[float, Capabilities]:
    """Return the seconds of a plain call that succeeds, and whether it brought log-probabilities."""
    plain, asked = _GREETING, True
    while True:
        started = clock()
        try:
            completion = await llm.complete(replace(plain, logprobs=asked))
        except LLMError as error:
            if error.kind == "empty" and plain is _GREETING:  # a reasoning model needs room to think first
                plain = replace(_GREETING, sampling=Sampling(max_tokens=2_048))
            elif _refused(error) and asked:
                asked = False
            else:
                raise
        else:
            return clock() - started, Capabilities(logprobs=completion.choices[0].logprobs is not None)


async def _max_n(llm: LLM, wanted: int) -> int | None:
    n = wanted
    while n > 1:
        try:
            completion = await llm.complete(replace(_CREATIVE, n=n))
        except LLMError as error:
            if not _refused(error):
                return None
            n //= 2
        else:
            return len(completion.choices)
    return 1


async def _seed(llm: LLM) -> bool | None:
    first, again, other = [await _try(llm, _seeded(seed)) for seed in (1, 1, 2)]
    if first is None or again is None or other is None:
        return None
    texts = [completion.choices[0].text for completion in (first, again, other)]
    if texts[0] != texts[1]:
        return False
    return True if texts[0] != texts[2] else None  # the same text for every seed proves nothing


async def _prefix(llm: LLM, found: Capabilities, words: int) -> Capabilities:
    nonce = secrets.token_hex(8)
    prefix = f"List {nonce}: " + " ".join(f"item {i}" for i in range(words // 2))
    request = Request(
        (Message("user", f"{prefix}\nReply with the single word: ready"),), sampling=Sampling(max_tokens=8)
    )
    await _try(llm, request)
    repeated = _was_cached(await _try(llm, request))
    if not repeated:
        return replace(found, prefix_cache=repeated)
    # Two tails over a new prefix: only a cache that works across concurrent calls serves both.
    prefix = prefix.replace(nonce, secrets.token_hex(8))
    await _try(llm, replace(request, messages=(Message("user", prefix),)))
    async with asyncio.TaskGroup() as group:
        tails = [replace(request, messages=(Message("user", f"{prefix}\nReply: {word}"),)) for word in ("yes", "no")]
        tasks = [group.create_task(_try(llm, tail)) for tail in tails]
    shared = [_was_cached(task.result()) for task in tasks]
    concurrent = None if None in shared else all(shared)
    return replace(found, prefix_cache=True, concurrent_prefix=concurrent)


def _seeded(seed: int) -> Request:
    return replace(_CREATIVE, sampling=replace(_CREATIVE.sampling, seed=seed))


async def _try(llm: LLM, request: Request) -> Completion | None:
    try:
        return await llm.complete(request)
    except LLMError as error:
        _log.debug("a probe could not be decided: %s", error)
        return None


def _was_cached(completion: Completion | None) -> bool | None:
    """Return whether most of a prompt came from a cache; `None` if the server does not say."""
    if completion is None or completion.usage.cached_tokens is None or not completion.usage.prompt_tokens:
        return None
    return completion.usage.cached_tokens >= completion.usage.prompt_tokens / 2


def _refused(error: LLMError) -> bool:
    return error.http_status in _REFUSALS
