"""Which files of the folder may be shown: plain names only, and nothing that lies elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smcs.config import FoundConfig, find_config
from smcs.errors import InputError
from smcs.studio.results.folder import find_file, list_files, results_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "experiments"
    made.mkdir()
    (tmp_path / "secret.jsonl").write_text("secret\n")
    return made


def _write(file: Path, age: int = 0) -> Path:
    file.write_text("{}\n")
    os.utime(file, ns=(10**18 - age * 10**9,) * 2)
    return file


def test_the_newest_file_comes_first_and_other_files_not_at_all(folder: Path) -> None:
    _write(folder / "old.jsonl", age=9)
    _write(folder / "new.jsonl.gz", age=1)
    for name in ("README.md", ".hidden.jsonl", "config.yaml", "half.jsonl.tmp"):
        _write(folder / name)
    (folder / "folder.jsonl").mkdir()
    (folder / "link.jsonl").symlink_to(folder.parent / "secret.jsonl")
    assert [file.name for file in list_files(folder)] == ["new.jsonl.gz", "old.jsonl"]
    assert list_files(folder)[0].stem == "new"


def test_of_a_plain_and_a_packed_file_the_newer_one_is_shown(folder: Path) -> None:
    _write(folder / "done.jsonl", age=5)
    _write(folder / "done.jsonl.gz", age=4)
    _write(folder / "again.jsonl", age=1)
    _write(folder / "again.jsonl.gz", age=3)
    assert [file.name for file in list_files(folder)] == ["again.jsonl", "done.jsonl.gz"]


def test_no_folder_is_no_files(tmp_path: Path) -> None:
    assert list_files(tmp_path / "absent") == ()
    assert list_files(_write(tmp_path / "file")) == ()


@pytest.mark.parametrize(
    "name",
    [
        "../secret.jsonl",
        "..",
        "",
        "/etc/passwd",
        "sub/x.jsonl",
        "sub\\x.jsonl",
        ".hidden.jsonl",
        "x.jsonl\x00.gz",
        "link.jsonl",
        "folder.jsonl",
        "absent.jsonl",
        "%2e%2e/secret.jsonl",
        "README.md",
        f"{'x' * 5000}.jsonl",
        "\ud800.jsonl",
    ],
)
def test_no_name_leads_out_of_the_folder(folder: Path, name: str) -> None:
    (folder / "link.jsonl").symlink_to(folder.parent / "secret.jsonl")
    (folder / "folder.jsonl").mkdir()
    _write(folder / ".hidden.jsonl")
    _write(folder / "README.md")
    with pytest.raises(InputError, match="no result file"):
        find_file(folder, name)


def test_a_plain_name_is_found(folder: Path) -> None:
    _write(folder / "a b <i>.jsonl")
    found = find_file(folder, "a b <i>.jsonl")
    assert (found.name, found.size, found.path.parent) == ("a b <i>.jsonl", 3, folder)


def test_the_folder_stands_beside_the_config(tmp_path: Path) -> None:
    file = tmp_path / "smcs.yaml"
    file.write_text("pool: [{name: a, kind: scripted, script: {replies: {'': {text: x}}}}]\naggregators: [a]\n")
    found: FoundConfig = find_config(file)
    assert results_folder(found) == tmp_path / "experiments"
