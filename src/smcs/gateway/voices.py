"""How an answer is said: as a chat completion or as a response, whole or piece by piece."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final, Protocol

import msgspec

from smcs.gateway.errors import GatewayError, upstream_failed
from smcs.gateway.exchange import Outcome
from smcs.gateway.plan import Plan
from smcs.gateway.protocol import (
    DONE,
    ChatRequest,
    ChatStream,
    ChunkReader,
    FinishedChoice,
    ResponsesRequest,
    ResponseStream,
    SmcsInfo,
    chat_finish,
    completion,
    data_event,
    error_event,
    read_completion,
    relabelled,
    response,
)
from smcs.run import Candidate, Run
from smcs.types import Choice, FinishReason

__all__ = ("ChatVoice", "ResponseVoice", "Voice", "choices_of", "info_of")

_FINISHED: Final = re.compile(rb'"finish_reason":\s*"')
_ONLY_USAGE: Final = re.compile(rb'"choices":\s*\[\s*\]')
_PIECE: Final = 1_000


class Voice(Protocol):
    """Says one answer; `whole`, or any number of `thought`, `piece` and `raw` and then `end` or `failed`."""

    def whole(self, outcome: Outcome, run: Run, info: SmcsInfo) -> bytes:
        """Return the body of a response that is not streamed."""
        ...

    def thought(self, line: str) -> bytes:
        """Show a line of what happens."""
        ...

    def piece(self, text: str) -> bytes:
        """Hand out a piece of the answer."""
        ...

    def raw(self, payload: bytes) -> bytes:
        """Hand out an event of an endpoint whose answer is handed through; may be kept until the end."""
        ...

    def end(self, outcome: Outcome, run: Run, info: SmcsInfo) -> bytes:
        """Hand out what is left, and end."""
        ...

    def failed(self, error: GatewayError) -> bytes:
        """Break off so that no client takes it for success."""
        ...


class ChatVoice:
    """Chat completions.

    Args:
        request: What was asked.
        run_id: Id of the run.
        created: Unix time in seconds.
        fingerprint: See `protocol.system_fingerprint`.
    """

    def __init__(self, request: ChatRequest, run_id: str, *, created: int, fingerprint: str) -> None:
        self._request = request
        self._run_id = run_id
        self._created = created
        self._fingerprint = fingerprint
        self._stream = ChatStream(
            run_id, request.model, created=created, fingerprint=fingerprint, include_usage=request.include_usage
        )
        self._begun = False
        self._said = False
        self._last: list[bytes] = []
        self._usage: bytes | None = None

    def whole(self, outcome: Outcome, run: Run, info: SmcsInfo) -> bytes:
        """See `Voice.whole`."""
        if outcome.response is not None:
            return _relabelled(outcome.response, self._run_id, self._request.model, info)
        return completion(
            self._run_id,
            self._request.model,
            choices_of(run, self._request.answers),
            run.usage,
            smcs=info,
            created=self._created,
            fingerprint=self._fingerprint,
        )

    def thought(self, line: str) -> bytes:
        """See `Voice.thought`."""
        return self._begin() + self._stream.reasoning(f"{line}\n")

    def piece(self, text: str) -> bytes:
        """See `Voice.piece`."""
        self._said = True
        return self._begin() + self._stream.content(text)

    def raw(self, payload: bytes) -> bytes:
        """See `Voice.raw`: what ends a choice waits, since the record of the run goes with it."""
        if _ONLY_USAGE.search(payload) is not None:
            self._usage = payload
            return b""
        if _FINISHED.search(payload) is not None:
            self._last.append(payload)
            return b""
        return data_event(_relabelled(payload, self._run_id, self._request.model))

    def end(self, outcome: Outcome, run: Run, info: SmcsInfo) -> bytes:
        """See `Voice.end`."""
        if outcome.handed:
            return self._end_handed(info)
        choices = choices_of(run, self._request.answers)
        events = [self._begin()]
        for index, choice in enumerate(choices):
            if index:
                events.append(self._stream.role(index))
            if index or not self._said:
                text = choice.text or ""
                events += [self._stream.content(text[i : i + _PIECE], index) for i in range(0, len(text), _PIECE)]
            last = index == len(choices) - 1
            events.append(self._stream.finish(choice.finish_reason, index, smcs=info if last else None))
        return b"".join(events) + self._stream.close(run.usage)

    def failed(self, error: GatewayError) -> bytes:
        """See `Voice.failed`."""
        return error_event(error)

    def _end_handed(self, info: SmcsInfo) -> bytes:
        model = self._request.model
        events = [data_event(_relabelled(payload, self._run_id, model)) for payload in self._last[:-1]]
        events += [data_event(_relabelled(payload, self._run_id, model, info)) for payload in self._last[-1:]]
        if self._request.include_usage and self._usage is not None:
            events.append(data_event(_relabelled(self._usage, self._run_id, model)))
        return b"".join(events) + DONE

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return self._stream.role()


class ResponseVoice:
    """Responses.

    Args:
        request: What was asked.
        run_id: Id of the run.
        created: Unix time in seconds.
    """

    def __init__(self, request: ResponsesRequest, run_id: str, *, created: int) -> None:
        self._request = request
        self._run_id = run_id
        self._created = created
        self._stream = ResponseStream(run_id, request, created=created)
        self._reader = ChunkReader(self._stream)
        self._begun = False
        self._said = False

    def whole(self, outcome: Outcome, run: Run, info: SmcsInfo) -> bytes:
        """See `Voice.whole`."""
        choice, usage = choices_of(run, 1)[0], run.usage
        if outcome.response is not None:
            try:
                choice, usage = read_completion(outcome.response)
            except msgspec.DecodeError as error:
                raise upstream_failed(f"The endpoint's answer cannot be read: {error}.") from error
        return response(
            self._run_id,
            self._request,
            choice,
            usage,
            smcs=info,
            created=self._created,
            completed=self._completed(run),
        )

    def thought(self, line: str) -> bytes:
        """See `Voice.thought`."""
        return self._begin() + self._stream.reasoning(f"{line}\n")

    def piece(self, text: str) -> bytes:
        """See `Voice.piece`."""
        self._said = True
        return self._begin() + self._stream.text(text)

    def raw(self, payload: bytes) -> bytes:
        """See `Voice.raw`."""
        try:
            return self._begin() + self._reader.feed(payload)
        except msgspec.DecodeError as error:
            raise upstream_failed(f"The endpoint's answer cannot be read: {error}.") from error

    def end(self, outcome: Outcome, run: Run, info: SmcsInfo) -> bytes:
        """See `Voice.end`."""
        events = self._begin()
        choice = choices_of(run, 1)[0]
        reason, usage = choice.finish_reason, run.usage
        if outcome.handed:
            reason, usage = self._reader.finish_reason, self._reader.usage
        elif not self._said:
            text = choice.text or ""
            for i in range(0, len(text), _PIECE):
                events += self._stream.text(text[i : i + _PIECE])
        return events + self._stream.finish(reason, usage, smcs=info, completed=self._completed(run))

    def failed(self, error: GatewayError) -> bytes:
        """See `Voice.failed`."""
        return self._begin() + self._stream.failed(error)

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return self._stream.start()

    def _completed(self, run: Run) -> int:
        return self._created + round(run.seconds)


def info_of(plan: Plan, run: Run, *, explain: bool, cached: bool) -> SmcsInfo:
    """Return what a response says of a run."""
    info = SmcsInfo.of_run(run, explain=explain, cached=cached)
    if plan.way == "pass-through":
        info = replace(info, strategy=plan.strategy)
    return replace(info, calls=0, cost_usd=0.0, known_cost_usd=0.0) if cached else info


def choices_of(run: Run, answers: int) -> list[FinishedChoice]:
    """Return the answer and, where more are wanted, the next best candidates that say something else.

    There are fewer than were asked for where the run has no more.
    """
    texts = [run.answer]
    ranked = sorted(run.candidates, key=_rank)
    for candidate in ranked:
        if len(texts) < answers and candidate.text not in texts:
            texts.append(candidate.text)
    ends = {choice.text: choice.finish_reason for choice in _choices(run)}
    return [FinishedChoice(text, finish_reason=chat_finish(_ending(ends, text))) for text in texts[:answers]]


def _rank(candidate: Candidate) -> float:
    return float("inf") if candidate.score is None else -candidate.score


def _choices(run: Run) -> list[Choice]:
    return [choice for attempt in run.attempts for choice in attempt.choices]


def _ending(ends: dict[str, FinishReason], text: str) -> FinishReason:
    return ends.get(text, "stop")


def _relabelled(payload: bytes, run_id: str, model: str, info: SmcsInfo | None = None) -> bytes:
    try:
        return relabelled(payload, run_id=run_id, model=model, smcs=info)
    except msgspec.DecodeError as error:
        raise upstream_failed(f"The endpoint's answer cannot be read: {error}.") from error
