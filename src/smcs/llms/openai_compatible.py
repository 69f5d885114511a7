"""Any endpoint that speaks the OpenAI chat-completion format, over aiohttp and msgspec."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import aiohttp
import yarl

from smcs._network import check_request_allowed, is_loopback
from smcs.errors import ConfigError, LLMError
from smcs.llms.failures import http_failure, transport_failure
from smcs.llms.protocol import DeltaSink
from smcs.llms.session import HttpSession, Timeouts
from smcs.llms.stream import EventParser, StreamAssembler
from smcs.llms.transport import BoundedBody, Deadline
from smcs.llms.wire import MaxTokensField, decode_completion, encode_request
from smcs.types import Completion, Delta, Request

__all__ = ("OpenAICompatibleLLM",)

_OWN_FIELDS = frozenset({"model", "messages", "n", "stream", "stream_options", "logprobs"})
_MAX_ERROR_BYTES = 64 * 1024


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
            extra_body: Further fields of the request body, laid over ours.

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
        check_request_allowed(self._url.host or "")
        body = encode_request(
            self.model,
            request,
            stream=on_delta is not None,
            extra_body=self._extra_body,
            max_tokens_field=self._max_tokens_field,
        )
        client = self._session.client()
        deadline = Deadline(self._timeouts)
        try:
            async with deadline.timer:
                deadline.first_byte()
                async with client.post(
                    self._url,
                    data=body,
                    headers=self._headers,
                    allow_redirects=False,
                    proxy=self._proxy,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect),
                ) as response:
                    return await self._read(response, request, on_delta, deadline)
        except (aiohttp.ClientError, OSError) as error:
            if deadline.timer.expired():
                raise LLMError(f"no answer in time: {deadline.describe()}", llm=self.name, kind="timeout") from error
            raise transport_failure(self.name, error, f"{self._url.host}:{self._url.port}") from error

    async def _read(
        self, response: aiohttp.ClientResponse, request: Request, on_delta: DeltaSink | None, deadline: Deadline
    ) -> Completion:
        body = BoundedBody(response, deadline, cap=self._max_body_bytes, llm=self.name)
        if response.status != 200:
            message = await body.read_up_to(_MAX_ERROR_BYTES)
            raise http_failure(self.name, response.status, response.headers, message, secrets=self._secrets)
        if on_delta is not None and response.content_type == "text/event-stream":
            return await self._read_stream(body, request, on_delta)
        completion = decode_completion(self.name, await body.read(), n=request.n, secrets=self._secrets)
        if on_delta is not None:
            for index, choice in enumerate(completion.choices):
                on_delta(Delta(choice.text, choice.reasoning, index))
        return completion

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
