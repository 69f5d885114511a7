"""The OpenAI protocol in and out, as pure functions: no input or output, no clock, no state of a server.

A body becomes a checked request (`parse_chat`, `parse_responses`, `parse_embeddings`) or one `GatewayError`; a request
becomes what a collaboration works with (`query_of`, `ChatRequest.sampling`, `ChatRequest.options`) or what an endpoint
is sent (`ChatRequest.body`); a `Run` becomes bytes (`completion`, `ChatStream`, `response`, `ResponseStream`). What the
protocol has and we do not honour is refused by name.
"""

from smcs.gateway.protocol.chat import ChatRequest, Need
from smcs.gateway.protocol.checks import (
    check_collaborative,
    check_pass_through,
    check_request,
    check_routed,
    parse_chat,
)
from smcs.gateway.protocol.completions import (
    ChatFinish,
    ChatStream,
    FinishedChoice,
    TokenLogprob,
    ToolInvocation,
    chat_finish,
    completion,
    completion_id,
    relabelled,
    system_fingerprint,
    usage_dict,
)
from smcs.gateway.protocol.content import conversation, query_of, retrieval_text, text_of
from smcs.gateway.protocol.embeddings import EmbeddingsRequest, check_dimensions, embeddings_response, parse_embeddings
from smcs.gateway.protocol.endpoint import Said, SaidCompletion, read_said
from smcs.gateway.protocol.forwarded import ChunkReader, read_completion
from smcs.gateway.protocol.info import SmcsInfo
from smcs.gateway.protocol.models import ModelCard, model_list
from smcs.gateway.protocol.options import SmcsOptions
from smcs.gateway.protocol.parsing import Body, check_shape, parse
from smcs.gateway.protocol.response_stream import ResponseStream, response, response_id
from smcs.gateway.protocol.responses import ResponsesRequest, parse_responses
from smcs.gateway.protocol.sse import DONE, KEEP_ALIVE, data_event, error_event, named_event
from smcs.gateway.protocol.stages import stage_line

__all__ = (
    "DONE",
    "KEEP_ALIVE",
    "Body",
    "ChatFinish",
    "ChatRequest",
    "ChatStream",
    "ChunkReader",
    "EmbeddingsRequest",
    "FinishedChoice",
    "ModelCard",
    "Need",
    "ResponseStream",
    "ResponsesRequest",
    "Said",
    "SaidCompletion",
    "SmcsInfo",
    "SmcsOptions",
    "TokenLogprob",
    "ToolInvocation",
    "chat_finish",
    "check_collaborative",
    "check_dimensions",
    "check_pass_through",
    "check_request",
    "check_routed",
    "check_shape",
    "completion",
    "completion_id",
    "conversation",
    "data_event",
    "embeddings_response",
    "error_event",
    "model_list",
    "named_event",
    "parse",
    "parse_chat",
    "parse_embeddings",
    "parse_responses",
    "query_of",
    "read_completion",
    "read_said",
    "relabelled",
    "response",
    "response_id",
    "retrieval_text",
    "stage_line",
    "system_fingerprint",
    "text_of",
    "usage_dict",
)
