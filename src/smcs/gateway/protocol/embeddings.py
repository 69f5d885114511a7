"""`POST /v1/embeddings`: the body and the response."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from pydantic import Field, ValidationError
from pydantic_core import from_json

from smcs.embedders import Vectors
from smcs.gateway.errors import invalid_request, too_large
from smcs.gateway.protocol.options import ModelName
from smcs.gateway.protocol.parsing import Body, check_shape, described

__all__ = ("MAX_EMBEDDED", "EmbeddingsRequest", "check_dimensions", "embeddings_response", "parse_embeddings")

MAX_EMBEDDED: Final = 2_048
"""Most texts of one request (OpenAI API)."""
MAX_TEXT: Final = 2_000_000
"""Most characters in all texts together."""

_MEMBERS: Final = 10
"""More mistakes than this come from no `input`, which stops at its first."""
_Text = Annotated[str, Field(min_length=1)]


class EmbeddingsRequest(Body):
    """An embeddings request."""

    model: ModelName
    input: _Text | Annotated[list[_Text], Field(min_length=1, max_length=MAX_EMBEDDED, fail_fast=True)]
    """Texts; arrays of tokens are refused, as the embedder's tokens are not the client's."""
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    user: Annotated[str, Field(max_length=512, pattern=r"^[^\x00-\x1f\x7f]*$")] | None = None

    @property
    def texts(self) -> list[str]:
        """The texts, in order."""
        return [self.input] if isinstance(self.input, str) else self.input


def parse_embeddings(body: bytes) -> EmbeddingsRequest:
    """Read the body of an embeddings request.

    Raises:
        GatewayError: 400; 413 for too much text.
    """
    check_shape(body)
    try:
        request = EmbeddingsRequest.model_validate_json(body)
    except ValidationError as error:
        if _is_tokens(error, body):
            raise invalid_request(
                "`input` holds token numbers, and the embedder has other tokens. Send texts.", "input", "invalid_type"
            ) from error
        raise described(error, body, fields=EmbeddingsRequest.model_fields) from error
    if (size := sum(len(text) for text in request.texts)) > MAX_TEXT:
        raise too_large(f"The texts hold {size:,} characters; at most {MAX_TEXT:,} are embedded at once.")
    return request


def check_dimensions(request: EmbeddingsRequest, dimensions: int) -> None:
    """Refuse another number of dimensions than the embedder has.

    Raises:
        GatewayError: 400.
    """
    if request.dimensions not in (None, dimensions):
        raise invalid_request(
            f"The embedder has {dimensions} dimensions and shortens none; got `dimensions` {request.dimensions}.",
            "dimensions",
            "unsupported_value",
        )


def embeddings_response(
    request: EmbeddingsRequest,
    vectors: Vectors,
    *,
    tokens: int | None = None,
    estimated: bool = False,
    about: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the JSON of an embeddings response.

    Args:
        request: What was asked; `base64` gives little-endian float32.
        vectors: One row per text.
        tokens: Tokens of all texts. The API has no word for unknown ones: `None` becomes 0 there, and
            `smcs.usage_known` says so.
        estimated: Whether the tokens are a guess: `smcs.usage_known` is false for them too.
        about: More of what is said under `smcs`.
    """
    data: list[dict[str, Any]] = []
    for index, row in enumerate(vectors):
        packed = request.encoding_format == "base64"
        shown = base64.b64encode(row.astype("<f4").tobytes()).decode() if packed else row.astype(np.float64).tolist()
        data.append({"object": "embedding", "index": index, "embedding": shown})
    return msgspec.json.encode(
        {
            "object": "list",
            "data": data,
            "model": request.model,
            "usage": {"prompt_tokens": tokens or 0, "total_tokens": tokens or 0},
            "smcs": {**(about or {}), "usage_known": tokens is not None and not estimated},
        }
    )


def _is_tokens(error: ValidationError, body: bytes) -> bool:
    if error.error_count() > _MEMBERS or any(each["type"] == "json_invalid" for each in error.errors()):
        return False
    data = from_json(body)
    given = data.get("input") if isinstance(data, dict) else None
    if not isinstance(given, list) or not given:
        return False
    first = given[0][0] if isinstance(given[0], list) and given[0] else given[0]
    return isinstance(first, int) and not isinstance(first, bool)
