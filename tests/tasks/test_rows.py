from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from smcs.errors import ConfigError, InputError
from smcs.tasks._rows import read_rows


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_rows_are_numbered_as_in_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b'{"a": 1}\n\n{"a": 2}')
    assert list(read_rows(path)) == [(1, {"a": 1}), (3, {"a": 2})]
    path = write(tmp_path / "a.csv", '\ufeffa,b\n1,"x\ny"\n2,z\n'.encode())
    assert list(read_rows(path)) == [(1, {"a": "1", "b": "x\ny"}), (2, {"a": "2", "b": "z"})]


@pytest.mark.parametrize(
    ("name", "data", "error", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n[1]\n', InputError, "row 2: not a JSON object"),
        ("a.jsonl", b'{"a": 1}\n{"a": \n', InputError, "row 2: not a JSON object"),
        ("a.jsonl", b'{"a": "\xff"}\n', InputError, "row 1: not a JSON object"),
        ("a.jsonl", b'{"a": ' + b"[" * 100_000, InputError, "row 1: not a JSON object"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 9, mtime=0)[:-9], ConfigError, "cannot be read"),
        ("a.jsonl.gz", b"no gzip", ConfigError, "cannot be read"),
        ("a.parquet", b"no parquet", ConfigError, "cannot be read as Parquet"),
        ("a.csv", b"a,b\n1\n", InputError, "row 1: has not as many cells"),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", InputError, "row 2: has not as many cells"),
        ("a.csv", b'a,b\n1,"2\n', InputError, "row 1"),
        ("a.csv", b"a\n\xff\xfe\n", InputError, "not UTF-8"),
        ("a.xlsx", b"", ConfigError, "unknown kind of data file"),
    ],
)
def test_a_broken_file_is_one_line(
    tmp_path: Path, name: str, data: bytes, error: type[Exception], message: str
) -> None:
    path = write(tmp_path / name, data)
    with pytest.raises(error, match=message) as caught:
        list(read_rows(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
