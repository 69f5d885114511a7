"""Embedding requests and responses."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from openai.types import CreateEmbeddingResponse

from helpers_protocol import encoded
from smcs.gateway.errors import GatewayError
from smcs.gateway.protocol import check_dimensions, embeddings_response, parse_embeddings

VECTORS = np.array([[0.6, 0.8], [1.0, 0.0]], dtype=np.float32)


def asked(**fields: Any) -> bytes:
    return encoded({"model": "embedder", "input": ["a", "b"], **fields})


def test_numbers_and_packed_numbers_are_the_same() -> None:
    plain = CreateEmbeddingResponse.model_validate_json(
        embeddings_response(parse_embeddings(asked()), VECTORS, tokens=7)
    )
    assert [each.index for each in plain.data] == [0, 1]
    assert plain.usage.prompt_tokens == plain.usage.total_tokens == 7
    packed = json.loads(embeddings_response(parse_embeddings(asked(encoding_format="base64")), VECTORS))
    for row, each in zip(VECTORS, packed["data"], strict=True):
        assert np.array_equal(np.frombuffer(base64.b64decode(each["embedding"]), "<f4"), row)
    assert np.array_equal(np.array([each.embedding for each in plain.data], dtype=np.float32), VECTORS)


def test_unknown_tokens_are_said_to_be_unknown() -> None:
    request = parse_embeddings(asked())
    assert json.loads(embeddings_response(request, VECTORS))["smcs"] == {"usage_known": False}
    assert json.loads(embeddings_response(request, VECTORS, tokens=0))["smcs"] == {"usage_known": True}
    guessed = json.loads(embeddings_response(request, VECTORS, tokens=4, estimated=True, about={"run_id": "x"}))
    assert guessed["usage"]["prompt_tokens"] == 4
    assert guessed["smcs"] == {"run_id": "x", "usage_known": False}


def test_one_text_is_a_list_of_one() -> None:
    assert parse_embeddings(asked(input="a")).texts == ["a"]
    assert parse_embeddings(asked()).texts == ["a", "b"]


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"input": [1, 2]}, "input", "token numbers"),
        ({"input": [[1, 2], [3]]}, "input", "token numbers"),
        ({"input": ""}, "input", "characters"),
        ({"input": []}, "input", "items"),
        ({"input": ["a", ""]}, "input[1]", "characters"),
        ({"input": ["a"] * 2_049}, "input", "2,048"),
        ({"input": [True]}, "input[0]", "a boolean"),
        ({"input": 5}, "input", "a string or an array"),
        ({"encoding_format": "int8"}, "encoding_format", "'float' or 'base64'"),
        ({"dimensions": 0}, "dimensions", "at least 1"),
        ({"zzz": 0}, "zzz", "Unknown parameter"),
    ],
)
def test_mistakes(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(GatewayError) as caught:
        parse_embeddings(asked(**fields))
    assert (caught.value.status, caught.value.param) == (400, param)
    assert words in caught.value.message


def test_a_body_that_is_no_json() -> None:
    with pytest.raises(GatewayError, match="not valid JSON"):
        parse_embeddings(b"{")
    with pytest.raises(GatewayError, match="mistakes"):
        parse_embeddings(asked(**{f"field{i}": i for i in range(200)}))


def test_too_much_text_is_413(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smcs.gateway.protocol.embeddings.MAX_TEXT", 10)
    with pytest.raises(GatewayError) as caught:
        parse_embeddings(asked(input=["x" * 6, "y" * 6]))
    assert caught.value.status == 413


def test_dimensions_are_those_of_the_embedder() -> None:
    check_dimensions(parse_embeddings(asked()), 384)
    check_dimensions(parse_embeddings(asked(dimensions=384)), 384)
    with pytest.raises(GatewayError, match="384 dimensions") as caught:
        check_dimensions(parse_embeddings(asked(dimensions=256)), 384)
    assert caught.value.param == "dimensions"
