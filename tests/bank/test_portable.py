from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from helpers_bank import EMBEDDER, Place, outcome, question, small_bank
from smcs.bank import Imported, QuestionBank
from smcs.errors import BankError, RunError


@pytest.fixture
def full(tmp_path: Path) -> Iterator[QuestionBank]:
    with small_bank(tmp_path / "full.db", count=30) as bank:
        bank.record([outcome(0, "llm000", None, "déjà vu\n\u2028"), outcome(1, "llm001", 0.125)])
        bank.record([dataclasses.replace(outcome(2, "llm001", 0.25), samples=4)])
        yield bank


@pytest.fixture
def empty(place: Place) -> QuestionBank:
    return place.create("empty")


@pytest.mark.parametrize("name", ["bank.jsonl", "bank.jsonl.gz"])
def test_there_and_back(full: QuestionBank, empty: QuestionBank, tmp_path: Path, name: str) -> None:
    full.export_to(tmp_path / name, embedders=[EMBEDDER], command="smcs bank seed")
    brought = empty.import_from(tmp_path / name)
    assert brought == Imported(30, 3, full.info().outcomes, 30, "smcs bank seed")
    assert empty.content_hash == full.content_hash
    assert empty.questions() == full.questions()
    assert all(empty.recorded(llm) == full.recorded(llm) for llm in full.llms)
    query = np.ones(16)
    assert empty.search(query, base=4).question_ids == full.search(query, base=4).question_ids
    assert empty.import_from(tmp_path / name) == Imported(0, 0, 0, 0, "smcs bank seed")
    empty.export_to(tmp_path / f"again-{name}", embedders=[EMBEDDER], command="smcs bank seed")
    assert (tmp_path / f"again-{name}").read_bytes() == (tmp_path / name).read_bytes()


def test_one_sample_is_written_as_before_there_were_several(full: QuestionBank, tmp_path: Path) -> None:
    full.export_to(tmp_path / "bank.jsonl")
    outcomes = [
        json.loads(line)["outcome"] for line in (tmp_path / "bank.jsonl").read_text().split("\n") if '"outcome"' in line
    ]
    assert [found["samples"] for found in outcomes if "samples" in found] == [4]


def test_vectors_stay_home_unless_asked_for(full: QuestionBank, empty: QuestionBank, tmp_path: Path) -> None:
    full.export_to(tmp_path / "bank.jsonl")
    assert empty.import_from(tmp_path / "bank.jsonl").embeddings == 0
    assert empty.content_hash == full.content_hash
    with pytest.raises(BankError, match="no embeddings of 'other'"):
        full.export_to(tmp_path / "bank.jsonl", embedders=["other"])
    with pytest.raises(RunError, match="could not be exported"):
        full.export_to(tmp_path / "nowhere" / "bank.jsonl")
    assert sorted(path.name for path in tmp_path.glob("*.jsonl*")) == ["bank.jsonl"]


def test_import_adds_to_what_is_there(full: QuestionBank, empty: QuestionBank, tmp_path: Path) -> None:
    empty.add_questions([question(0), question(99)])
    empty.add_llm("llm000")
    empty.record([outcome(0, "llm000", 1.0), outcome(99, "llm000", 1.0)])
    full.export_to(tmp_path / "bank.jsonl")
    brought = empty.import_from(tmp_path / "bank.jsonl")
    assert (brought.questions, brought.llms) == (29, 2)
    assert len(empty) == 31
    assert empty.recorded("llm000")[0].score is None, "the file's outcome replaced ours"


def edit(line: int, **changes: object) -> Callable[[list[str]], list[str]]:
    """Return a change of one field of one line; `None` deletes the field."""

    def apply(lines: list[str]) -> list[str]:
        record = json.loads(lines[line])
        part = record if line == 0 else next(iter(record.values()))
        for name, value in changes.items():
            part[name] = value
            if value is None:
                del part[name]
        return [*lines[:line], json.dumps(record), *lines[line + 1 :]]

    return apply


MALFORMED = [
    (lambda lines: [], r"bank\.jsonl: "),
    (lambda lines: ["hello"], r"bank\.jsonl: "),
    (lambda lines: lines[1:], r"bank\.jsonl: .*no known format"),
    (edit(0, version=2), r"bank\.jsonl:1: .*version 2, this smcs reads version 1"),
    (edit(0, llms="all"), r"bank\.jsonl:1: .*array.*llms"),
    (edit(0, llmz=[]), r"bank\.jsonl:1: .*llmz"),
    (edit(4, id=None), r"bank\.jsonl:5: .*id"),
    (edit(4, id=""), r"bank\.jsonl:5: .*non-empty"),
    (edit(4, id="q0001"), r"bank\.jsonl:\d+: .*'q0001'"),
    (edit(35, vector="***"), r"bank\.jsonl:36: "),
    (edit(35, vector="AAAA"), r"bank\.jsonl:36: "),
    (edit(35, vector="AAAAAA=="), r"bank\.jsonl:36: "),
    (edit(70, score=2), r"bank\.jsonl:71: .*from 0 to 1"),
    (edit(70, question_id="q7777"), r"bank\.jsonl:71: .*'q7777' is not in this bank"),
    (edit(70, llm="nobody"), r"bank\.jsonl:71: .*'nobody' is not in this bank"),
    (edit(70, score=0.625), "altered"),
    (edit(70, response="other"), "altered"),
    (lambda lines: lines[:-1], "not whole: its header promises .* outcome lines"),
    (lambda lines: [*lines[:3], *lines[4:]], r"bank\.jsonl:|not whole"),
    (lambda lines: [*lines, lines[-1]], "not whole"),
    (lambda lines: [*lines[:9], "{}", *lines[9:]], r"bank\.jsonl:10: a line must hold"),
    (lambda lines: [*lines[:9], '{"quest', *lines[9:]], r"bank\.jsonl:10: "),
    (lambda lines: [*lines[:9], '{"answer": 1}', *lines[9:]], r"bank\.jsonl:10: .*answer"),
]


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("change", "message"), MALFORMED)
def test_malformed_files_change_nothing(
    full: QuestionBank,
    empty: QuestionBank,
    tmp_path: Path,
    change: Callable[[list[str]], list[str]],
    message: str,
) -> None:
    empty.add_questions([question(500)])
    before = empty.content_hash
    path = tmp_path / "bank.jsonl"
    full.export_to(path, embedders=[EMBEDDER])
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().split("\n")[:-1])))
    with pytest.raises(BankError, match=message) as caught:
        empty.import_from(path)
    assert "\n" not in str(caught.value)
    assert empty.content_hash == before
    assert (empty.llms, len(empty), empty.info().embedders) == ((), 1, ())


def test_a_question_that_contradicts_the_bank(full: QuestionBank, empty: QuestionBank, tmp_path: Path) -> None:
    empty.add_questions([question(3, gold="B")])
    full.export_to(tmp_path / "bank.jsonl")
    with pytest.raises(BankError, match=r"bank\.jsonl:5: Question 'q0003' is already in the bank with another content"):
        empty.import_from(tmp_path / "bank.jsonl")
    assert len(empty) == 1


def test_broken_files(full: QuestionBank, empty: QuestionBank, tmp_path: Path) -> None:
    with pytest.raises(BankError, match="no such file"):
        empty.import_from(tmp_path / "none.jsonl")
    path = tmp_path / "bank.jsonl.gz"
    full.export_to(path)
    whole = path.read_bytes()
    for broken in (b"no gzip", whole[:-300], whole[:400] + b"\0" * 50 + whole[450:], gzip.compress(b"\xff\xfe")):
        path.write_bytes(broken)
        with pytest.raises(BankError, match=r"bank\.jsonl\.gz"):
            empty.import_from(path)
    assert len(empty) == 0
