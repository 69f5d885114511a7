from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from helpers_bank import outcome, question
from smcs.bank import QuestionBank
from smcs.embedders import HashingEmbedder, Vectors
from smcs.errors import EmbedderError

Smcs = Callable[..., Any]


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """A bank that keeps five texts of two LLMs, and none of a third."""
    path = tmp_path / "bank.db"
    with QuestionBank.create(path) as made:
        made.add_questions(question(i) for i in range(3))
        for llm, texts in {"a": "xy", "b": "xyz", "mute": ["", "", ""]}.items():
            made.add_llm(llm)
            made.record(outcome(i, llm, 1.0, response=text) for i, text in enumerate(texts))
    return path


def test_recorded_answers_are_embedded_with_the_embedder_of_the_config(
    smcs: Smcs, bank: Path, config: Callable[..., Path]
) -> None:
    done = smcs("bank", "embed", bank, "--answers", "--batch", 2, "--config", config())
    assert done.code == 0
    assert done.out.strip() == f"{bank}: 5 new vectors of hashing/256, 5 of 5 answers in all"
    assert done.err.splitlines() == [
        "hashing/256: 5 of 5 recorded answers are left to embed",
        *(f"hashing/256: {count} of 5" for count in (2, 4, 5)),
    ]
    assert json.loads(smcs("bank", "info", bank, "--json").out)["answers"] == {"hashing/256": 5}


def test_it_goes_on_where_it_was_stopped_until_nothing_is_left(
    smcs: Smcs, bank: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[Sequence[str]] = []

    async def embed(self: HashingEmbedder, texts: Sequence[str]) -> Vectors:
        batches.append(texts)
        if len(batches) == 2:
            raise EmbedderError("power cut")
        return await whole(self, texts)

    whole = HashingEmbedder.embed
    monkeypatch.setattr(HashingEmbedder, "embed", embed)
    wanted = ("bank", "embed", bank, "--answers", "--embedder", "hashing", "--batch", 2, "--json")
    stopped = smcs(*wanted)
    assert (stopped.code, "power cut" in stopped.err) == (1, True)
    resumed = smcs(*wanted)
    assert resumed.err.startswith("hashing/256: 3 of 5 recorded answers are left to embed")
    report = {"bank": str(bank), "embedder": "hashing/256", "answers": 5, "new": 3, "embedded": 5, "left": 0}
    assert json.loads(resumed.out) == report
    made = len(batches)
    assert json.loads(smcs(*wanted).out) == {**report, "new": 0}
    assert len(batches) == made


def test_answers_of_some_llms(smcs: Smcs, bank: Path) -> None:
    done = smcs("bank", "embed", bank, "--answers", "--llms", "a, mute", "--embedder", "hashing", "--json")
    assert (json.loads(done.out)["new"], json.loads(done.out)["answers"]) == (2, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--answers", "--llms", "mute"], "keeps no texts of answers of mute, so there is nothing to embed"),
        (["--answers", "--llms", "bb"], "LLM 'bb' is not in this bank"),
        (["--llms", "a"], "--llms goes with --answers"),
        (["--answers", "--default"], "--default with the vectors of questions"),
    ],
)
def test_what_cannot_be_embedded(smcs: Smcs, bank: Path, options: list[str], message: str) -> None:
    done = smcs("bank", "embed", bank, "--embedder", "hashing", *options)
    assert done.code == 2
    assert message in done.err
