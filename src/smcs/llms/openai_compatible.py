"""Any endpoint that speaks the OpenAI chat-completion format, over aiohttp and msgspec."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

import aiohttp
import yarl

from smcs._network import check_request_allowed, is_loopback
from smcs.errors import ConfigError, LLMError
from smcs.llms.failures import MAX_ERROR_BYTES, http_failure, transport_failure
from smcs.llms.passthrough import StreamCheck, as_events, checked_body, forwarded_body
from smcs.llms.protocol import DeltaSink
from smcs.llms.session import VIA_HEADER, HttpSession, Timeouts, via
from smcs.llms.stream import EventParser, StreamAssembler
from smcs.llms.transport import BoundedBody, Deadline
from smcs.llms.wire import MaxTokensField, decode_completion, encode_request
from smcs.types import Completion, Delta, Request

__all__ = ("OpenAICompatibleLLM",)

_T = TypeVar("_T")

_OWN_FIELDS = frozenset({"model", "messages", "n", "stream", "stream_options", "logprobs"})
_EVENTS = "text/event-stream"


class OpenAICompatibleLLM:
    """One model behind `POST {base_url}/chat/completions`.

    Calls stream only if someone listens. Several LLMs share one `HttpSession`; without one it makes its own. Redirects
    are not followed, so that a key goes nowhere but to `base_url`.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        model: str,
        api_key_env: str | None = None,
        api_key: str | None = None,
        session: HttpSession | None = None,
        timeouts: Timeouts | None = None,
        max_body_bytes: int = 16 * 1024 * 1024,
        max_tokens_field: MaxTokensField = "max_tokens",
        headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        """Describe the endpoint; nothing is sent yet.

        Args:
            name: Pool name, used in messages.
            base_url: URL up to and without `/chat/completions`, usually ending in `/v1`.
            model: Model name the endpoint knows.
            api_key_env: Environment variable that holds the key. Neither this nor `api_key`: no key is sent.
            api_key: The key itself, where it does not come from the environment (a local server).
            session: Connections to share; closed by whoever made it.
            timeouts: Seconds per phase.
            max_body_bytes: Largest body accepted, decompressed.
            max_tokens_field: What the endpoint calls its token limit.
            headers: Further request headers.
            extra_body: Further fields of the request body, laid over ours, and under those of a forwarded one.

        Raises:
            ConfigError: The URL, key or `extra_body` cannot be used.
        """
        self.name = name
        self.model = model
        self._url = _completions_url(base_url)
        self._key = _resolve_key(name, api_key_env, api_key)
        self._own_session = session is None
        self._session = session or HttpSession()
        self._timeouts = timeouts or Timeouts()
        self._client_timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect)
        self._max_body_bytes = max_body_bytes
        self._max_tokens_field: MaxTokensField = max_tokens_field
        self._extra_body = dict(extra_body or {})
        taken = sorted(_OWN_FIELDS & self._extra_body.keys())
        if taken:
            raise ConfigError(f"{name}: `extra_body` may not set {', '.join(map(repr, taken))}: smcs sets them itself.")
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        if self._key:
            self._headers["Authorization"] = f"Bearer {self._key}"
        self._secrets = (self._key,) if self._key else ()
        self._proxy = _proxy_for(self._url)

    def __repr__(self) -> str:
        return f"OpenAICompatibleLLM({self.name!r}, model={self.model!r}, url={str(self._url)!r})"

    @property
    def endpoint(self) -> str:
        """What capabilities belong to: the URL and the model."""
        return f"{self._url} {self.model}"

    async def __aenter__(self) -> OpenAICompatibleLLM:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, unless the session is shared."""
        if self._own_session:
            await self._session.close()

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        """Answer a request; see `LLM.complete`.

        A choice that came back empty is left out, so there may be fewer than `request.n`.

        Raises:
            LLMError: `kind` is "timeout" if a phase took too long, "empty" if no text came back, else "error".
            ConfigError: Requests to other machines are switched off.
        """
        body = encode_request(
            self.model,
            request,
            stream=on_delta is not None,
            extra_body=self._extra_body,
            max_tokens_field=self._max_tokens_field,
        )

        async def read(response: aiohttp.ClientResponse, content: BoundedBody) -> Completion:
            if on_delta is not None and response.content_type == _EVENTS:
                return await self._read_stream(content, request, on_delta)
            completion = decode_completion(self.name, await content.read(), n=request.n, secrets=self._secrets)
            if on_delta is not None:
                for index, choice in enumerate(completion.choices):
                    on_delta(Delta(choice.text, choice.reasoning, index))
            return completion

        return await self._exchange(body, read)

    async def forward(self, body: Mapping[str, Any]) -> bytes:
        """Send a request as a client wrote it; see `Forwarding.forward`. `extra_body` is laid under it.

        Raises:
            LLMError: `kind` is "timeout" if a phase took too long, else "error".
            ConfigError: Requests to other machines are switched off.
            InputError: The body cannot be written as JSON.
        """

        async def read(response: aiohttp.ClientResponse, content: BoundedBody) -> bytes:
            return checked_body(self.name, await content.read(), secrets=self._secrets)

        return await self._exchange(self._forwarded(body, stream=False), read)

    async def forward_stream(self, body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """Send a request as a client wrote it, streamed; see `Forwarding.forward_stream`.

        The cap on the body holds for one event: all that is held at a time.

        Raises:
            As `forward`.
        """
        sent = self._forwarded(body, stream=True)
        deadline = Deadline(self._timeouts)
        response: aiohttp.ClientResponse | None = None
        try:
            async with deadline.timer:
                response = await self._post(sent)
                content = await self._accepted(response, deadline)
                whole = None if response.content_type == _EVENTS else await content.read()
            if whole is not None:
                for event in as_events(checked_body(self.name, whole, secrets=self._secrets)):
                    yield event
                return
            check, parser = StreamCheck(self.name, secrets=self._secrets), EventParser()
            while not check.done:
                chunk = await content.next_alone()
                for data in parser.feed(chunk) if chunk else parser.close():
                    content.handed_on()
                    if (passing := check.feed(data)) is not None:
                        yield passing
                if not chunk:
                    break
            check.finish()
            await content.skip_end()
        except (aiohttp.ClientError, OSError) as error:
            raise self._lost(error, deadline) from error
        finally:
            if response is not None:
                response.close()  # cuts the connection, unless all was read and it went back to the pool

    def _forwarded(self, body: Mapping[str, Any], *, stream: bool) -> bytes:
        return forwarded_body(
            self.model,
            body,
            stream=stream,
            defaults=self._extra_body,
            max_tokens_field=self._max_tokens_field,
        )

    async def _exchange(self, body: bytes, read: Callable[[aiohttp.ClientResponse, BoundedBody], Awaitable[_T]]) -> _T:
        deadline = Deadline(self._timeouts)
        try:
            async with deadline.timer, await self._post(body) as response:
                return await read(response, await self._accepted(response, deadline))
        except (aiohttp.ClientError, OSError) as error:
            raise self._lost(error, deadline) from error

    async def _post(self, body: bytes) -> aiohttp.ClientResponse:
        check_request_allowed(self._url.host or "")
        return await self._session.client().post(
            self._url,
            data=body,
            headers={**self._headers, VIA_HEADER: via()},
            allow_redirects=False,
            proxy=self._proxy,
            timeout=self._client_timeout,
        )

    async def _accepted(self, response: aiohttp.ClientResponse, deadline: Deadline) -> BoundedBody:
        """Return the body of a response with status 200."""
        content = BoundedBody(response, deadline, cap=self._max_body_bytes, llm=self.name)
        if response.status != 200:
            message = await content.read_up_to(MAX_ERROR_BYTES + 1)
            raise http_failure(self.name, response.status, response.headers, message, secrets=self._secrets)
        return content

    def _lost(self, error: Exception, deadline: Deadline) -> LLMError:
        """Return the error for an exchange that broke or took too long."""
        if deadline.passed:
            return LLMError(f"no answer in time: {deadline.describe()}", llm=self.name, kind="timeout")
        return transport_failure(self.name, error, f"{self._url.host}:{self._url.port}")

    async def _read_stream(self, body: BoundedBody, request: Request, on_delta: DeltaSink) -> Completion:
        assembler = StreamAssembler(self.name, on_delta, n=request.n, secrets=self._secrets)
        parser = EventParser()
        while not assembler.done and (chunk := await body.next()):
            for event in parser.feed(chunk):
                assembler.feed(event)
        for event in parser.close():
            assembler.feed(event)
        if assembler.done:
            await body.skip_end()
        return assembler.finish()


def _completions_url(base_url: str) -> yarl.URL:
    url = yarl.URL(base_url)
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError(f"`base_url` must be an http or https URL such as 'https://host/v1', got {base_url!r}.")
    if url.user is not None or url.password is not None:
        raise ConfigError("`base_url` holds a user name or password. Put the key in an environment variable instead.")
    return url.with_path(url.path.rstrip("/") + "/chat/completions", keep_query=True)


def _resolve_key(name: str, variable: str | None, key: str | None) -> str | None:
    if variable is not None:
        key = os.environ.get(variable, "").strip()
        if not key:
            raise ConfigError(
                f"{name}: the environment variable {variable} with its API key is not set. "
                f"Set it with: export {variable}=..."
            )
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        source = f"in {variable} " if variable else ""
        raise ConfigError(f"{name}: the API key {source}holds spaces or characters that a header cannot carry.")
    return key or None


def _proxy_for(url: yarl.URL) -> str | None:
    host = url.host or ""
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(url.scheme)
