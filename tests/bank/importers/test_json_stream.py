from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcs.bank.importers import json_stream
from smcs.bank.importers.json_stream import JsonStream, MalformedJsonError, decode

TEXTS = st.text(alphabet='ab{}[]",:\\\n\u00e9\u2028 ', max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def walk_object(raw: bytes) -> dict[str, Any]:
    stream = JsonStream(io.BytesIO(raw))
    found = {key: decode(stream.value()) for key in stream.members()}
    stream.finish()
    return found


def walk_list(raw: bytes) -> list[Any]:
    stream = JsonStream(io.BytesIO(raw))
    found = [decode(stream.value()) for _ in stream.elements()]
    stream.finish()
    return found


@given(
    st.dictionaries(TEXTS, VALUES, max_size=6),
    st.integers(1, 40),
    st.sampled_from([None, 2]),
    st.booleans(),
)
def test_it_reads_what_json_writes(whole: dict[str, Any], chunk: int, indent: int | None, ascii_only: bool) -> None:
    raw = json.dumps(whole, indent=indent, ensure_ascii=ascii_only).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK", chunk)
        assert walk_object(raw) == whole
        assert walk_list(json.dumps(list(whole.values()), indent=indent).encode()) == list(whole.values())


@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4), st.data())
def test_whatever_is_cut_off_is_noticed(whole: dict[str, Any], data: st.DataObject) -> None:
    raw = json.dumps(whole).encode()
    end = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(MalformedJsonError):
        walk_object(raw[:end])


@given(st.binary(max_size=40))
def test_noise_is_read_as_json_reads_it_or_refused(raw: bytes) -> None:
    try:
        expected = json.loads(raw.decode())
    except (ValueError, RecursionError):
        expected = None
    try:
        found = walk_object(raw)
    except MalformedJsonError:
        return
    assert found == expected


def test_a_value_may_not_be_larger_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK", 64)
    monkeypatch.setattr(json_stream, "_LARGEST", 1024)
    assert walk_list(json.dumps(["x" * 500]).encode()) == ["x" * 500]
    with pytest.raises(MalformedJsonError, match="larger than"):
        walk_list(json.dumps(["x" * 5000]).encode())


def test_memory_is_that_of_the_largest_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK", 1000)
    raw = json.dumps({str(index): "y" * 300 for index in range(2000)}).encode()
    stream = JsonStream(io.BytesIO(raw))
    largest = 0
    for _ in stream.members():
        stream.value()
        largest = max(largest, len(stream._buffer))
    assert largest < 3000


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "must stand: it was cut off"),
        (b"7", "'{' must stand here, got '7'"),
        (b"{1: 2}", "a key in double quotes"),
        (b'{"a" 2}', "':' must stand here, got '2'"),
        (b'{"a": }', "a value must stand here"),
        (b'{"a": 1,}', "a key in double quotes"),
        (b'{"a": 1} x', "nothing may follow"),
        (b'{"a": nope}', "invalid"),
        (b'{"a": [1, }', "cut off"),
        (b'{"a": [NaN]}', "it holds NaN, which is not a number"),
        (b'{"a": -Infinity}', "it holds Infinity"),
        (b'{"a": "\xff"}', "not UTF-8"),
    ],
)
def test_faults_are_named(raw: bytes, message: str) -> None:
    with pytest.raises(MalformedJsonError, match=message):
        walk_object(raw)
