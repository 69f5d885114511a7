"""LLMs behind one method: `complete(request) -> Completion`, or an `LLMError`; a failed call is never an answer.

`OpenAICompatibleLLM` speaks to any OpenAI-compatible endpoint, `ScriptedLLM` to none at all. Wrappers add one thing
each: `RetryingLLM`, `LimitedLLM`, `BreakerLLM`, and `StoredLLM`, which takes what it can from an `AnswerStore`. A
`Pool` holds the members of a collaboration, and `attempt` calls one of them and records how it went. `probe` finds out
what an endpoint really supports. `LocalLLM` runs a GGUF file on this machine; `find_model` and `pull` bring those of
the catalogue here. All but `StoredLLM` are `Forwarding` too: a client's own request can pass through them untouched.

Importing this room loads none of the clients; each is loaded when its name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from smcs._network import allow_requests
from smcs.llms.pool import Closeable, Member, Pool, attempt, member_body, member_request
from smcs.llms.protocol import LLM, DeltaSink, Forwarding, forwarding

if TYPE_CHECKING:
    from smcs.llms.breaker import Breaker, BreakerLLM, BreakerState
    from smcs.llms.catalogue import CatalogueEntry, find_model, load_catalogue
    from smcs.llms.download import PullProgress, pull, remove
    from smcs.llms.limits import LimitedLLM, Limiter
    from smcs.llms.local import LocalLLM, LocalServer, LocalServers, ServerOptions
    from smcs.llms.openai_compatible import OpenAICompatibleLLM
    from smcs.llms.passthrough import forwarded_usage
    from smcs.llms.probing import CapabilityCache, ProbeReport, check, probe
    from smcs.llms.reasoning import ReasoningSplitter, split_reasoning
    from smcs.llms.retry import RetryingLLM, RetryPolicy
    from smcs.llms.scripted import Failure, Latency, Replies, ScriptedLLM, ScriptedReply
    from smcs.llms.session import HttpSession, Timeouts
    from smcs.llms.store import AnswerStore, StoredAnswer, StoredLLM, StoreMode, StoreScope, answer_key

__all__ = (
    "LLM",
    "AnswerStore",
    "Breaker",
    "BreakerLLM",
    "BreakerState",
    "CapabilityCache",
    "CatalogueEntry",
    "Closeable",
    "DeltaSink",
    "Failure",
    "Forwarding",
    "HttpSession",
    "Latency",
    "LimitedLLM",
    "Limiter",
    "LocalLLM",
    "LocalServer",
    "LocalServers",
    "Member",
    "OpenAICompatibleLLM",
    "Pool",
    "ProbeReport",
    "PullProgress",
    "ReasoningSplitter",
    "Replies",
    "RetryPolicy",
    "RetryingLLM",
    "ScriptedLLM",
    "ScriptedReply",
    "ServerOptions",
    "StoreMode",
    "StoreScope",
    "StoredAnswer",
    "StoredLLM",
    "Timeouts",
    "allow_requests",
    "answer_key",
    "attempt",
    "check",
    "find_model",
    "forwarded_usage",
    "forwarding",
    "load_catalogue",
    "member_body",
    "member_request",
    "probe",
    "pull",
    "remove",
    "split_reasoning",
)

_LAZY = {
    "AnswerStore": "store",
    "Breaker": "breaker",
    "BreakerLLM": "breaker",
    "BreakerState": "breaker",
    "CapabilityCache": "probing",
    "CatalogueEntry": "catalogue",
    "Failure": "scripted",
    "HttpSession": "session",
    "Latency": "scripted",
    "LimitedLLM": "limits",
    "Limiter": "limits",
    "LocalLLM": "local",
    "LocalServer": "local",
    "LocalServers": "local",
    "OpenAICompatibleLLM": "openai_compatible",
    "ProbeReport": "probing",
    "PullProgress": "download",
    "ReasoningSplitter": "reasoning",
    "Replies": "scripted",
    "RetryPolicy": "retry",
    "RetryingLLM": "retry",
    "ScriptedLLM": "scripted",
    "ScriptedReply": "scripted",
    "ServerOptions": "local",
    "StoreMode": "store",
    "StoreScope": "store",
    "StoredAnswer": "store",
    "StoredLLM": "store",
    "Timeouts": "session",
    "answer_key": "store",
    "check": "probing",
    "find_model": "catalogue",
    "forwarded_usage": "passthrough",
    "load_catalogue": "catalogue",
    "probe": "probing",
    "pull": "download",
    "remove": "download",
    "split_reasoning": "reasoning",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
