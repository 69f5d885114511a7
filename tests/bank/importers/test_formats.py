from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers_importing import (
    LLMS,
    MAKERS,
    Published,
    csv_file,
    json_file,
    llmrouterbench,
    mmlu_pro,
    parquet_file,
    published,
    released,
    routerbench_long_rows,
    routerbench_rows,
    routerdc_entries,
    run_file,
    verdicts,
)
from smcs.bank import Imported, ImportOptions, QuestionBank, detect_format
from smcs.errors import BankError, InputError


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[QuestionBank]:
    with QuestionBank.create(tmp_path / "bank.db") as opened:
        yield opened


def by_text(bank: QuestionBank) -> dict[str, dict[str, float | None]]:
    """Return question text -> LLM -> score, read back from the bank."""
    texts = {question.id: question.text for question in bank.questions()}
    found: dict[str, dict[str, float | None]] = {text: {} for text in texts.values()}
    for llm in bank.llms:
        for outcome in bank.recorded(llm):
            found[texts[outcome.question_id]][llm] = outcome.score
    return found


@pytest.mark.parametrize("layout", MAKERS)
def test_every_format_brings_the_same_scores(bank: QuestionBank, tmp_path: Path, layout: str) -> None:
    truth = published()
    path = MAKERS[layout](tmp_path, truth)
    assert detect_format(path) == layout.split()[0]
    brought = bank.import_from(path)
    assert (brought.questions, brought.llms) == (12, 3)
    assert brought.outcomes == np.isfinite(truth.scores).sum(), "a missing outcome stays missing"
    assert by_text(bank) == {text: verdicts(truth, row) for row, text in enumerate(truth.texts)}
    assert bank.llms == tuple(sorted(LLMS))
    again = bank.import_from(path)
    assert again == Imported(0, 0, 0, 0, ""), "twice is once"


@pytest.mark.parametrize("layout", MAKERS)
def test_an_import_is_one_change_that_can_be_undone(bank: QuestionBank, tmp_path: Path, layout: str) -> None:
    before = bank.content_hash
    path = MAKERS[layout](tmp_path, published())
    tried = bank.import_from(path, dry_run=True)
    assert (bank.content_hash, bank.history(), len(bank)) == (before, (), 0)
    assert bank.import_from(path, author="me") == tried, "a dry run says what would come"
    (change,) = bank.history()
    assert (change.kind, change.note, change.author) == ("import", path.name, "me")
    bank.undo(change.id)
    assert bank.content_hash == before
    assert len(bank) == 0


@pytest.mark.parametrize("layout", MAKERS)
def test_options(bank: QuestionBank, tmp_path: Path, layout: str) -> None:
    truth = published(missing=False)
    path = MAKERS[layout](tmp_path, truth)
    options = ImportOptions(llms=LLMS[:2], rename={LLMS[0]: "alpha"}, task="mine", limit=5)
    brought = bank.import_from(path, options=options)
    assert (brought.questions, brought.llms, brought.outcomes) == (5, 2, 10)
    assert bank.llms == ("alpha", "beta")
    assert {question.task for question in bank.questions()} == {"mine"}
    kept = by_text(bank)
    for row in range(5):
        assert kept[truth.texts[row]] == {"alpha": truth.scores[row, 0], "beta": truth.scores[row, 1]}


@pytest.mark.parametrize("layout", MAKERS)
@pytest.mark.parametrize("options", [ImportOptions(llms=("bet",)), ImportOptions(rename={"bet": "x"})])
def test_an_llm_that_is_not_there(bank: QuestionBank, tmp_path: Path, layout: str, options: ImportOptions) -> None:
    path = MAKERS[layout](tmp_path, published())
    with pytest.raises(BankError, match=r"no outcome of an LLM 'bet'\. Did you mean 'beta'\?") as error:
        bank.import_from(path, options=options)
    assert str(path) in str(error.value)
    assert (len(bank), bank.llms, bank.history()) == (0, (), ())


@pytest.mark.parametrize(
    ("layout", "as_list", "zipped"),
    [
        ("model_res", False, True),
        ("model_res", True, False),
        ("models", False, False),
        ("results", True, True),
        ("outputs", False, False),
        ("flat", False, False),
        ("flat", True, False),
    ],
)
def test_released_layouts(bank: QuestionBank, tmp_path: Path, layout: str, as_list: bool, zipped: bool) -> None:
    truth = published()
    path = released(tmp_path / "bank.json", truth, layout=layout, as_list=as_list)
    if zipped:
        path = tmp_path / "bank.json.gz"
        path.write_bytes(gzip.compress((tmp_path / "bank.json").read_bytes()))
    assert detect_format(path) == "released"
    assert bank.import_from(path).embeddings == 12
    assert by_text(bank) == {text: verdicts(truth, row) for row, text in enumerate(truth.texts)}
    (embedder,) = bank.info().embedders
    assert (embedder.name, embedder.embedded, embedder.stale) == ("Linq-Embed-Mistral/native", 12, 0)
    nearest = bank.search(truth.vectors[3], base=1).question_ids[0]
    assert bank.questions([nearest])[0].text == truth.texts[3]


@pytest.mark.parametrize(
    ("verdict", "score"),
    [(True, 1.0), (False, 0.0), (1, 1.0), (0, 0.0), (0.25, 0.25), ("True", 1.0), ("0", 0.0), (None, None)],
)
def test_released_verdicts(bank: QuestionBank, tmp_path: Path, verdict: Any, score: float | None) -> None:
    results = {"a": {"is_correct": verdict, "extra": [1]}, "b": verdict, "c": {"response": "no verdict"}}
    entry = {"question": "Why?", "results": results, "unknown": {"deep": 1}, "embedding": "[1, 0.5]"}
    bank.import_from(json_file(tmp_path / "bank.json", {"7": entry}))
    found = by_text(bank)["Why?"]
    assert found == ({} if score is None else {"a": score, "b": score})
    assert [question.id for question in bank.questions()] == ["smcs/bank/7"]


def test_embeddings_stay_side_by_side(bank: QuestionBank, tmp_path: Path) -> None:
    first, second = published(), published(dimensions=3)
    bank.import_from(released(tmp_path / "first.json", first), options=ImportOptions(embedder="eight"))
    brought = bank.import_from(released(tmp_path / "second.json", second), options=ImportOptions(embedder="three"))
    assert (brought.questions, brought.embeddings) == (0, 12)
    found = {one.name: (one.dimensions, one.embedded, one.default) for one in bank.info().embedders}
    assert found == {"eight": (8, 12, True), "three": (3, 12, False)}
    with pytest.raises(BankError, match=r"entry '0': Vectors of 'eight' have 8 dimensions .*, got 3"):
        bank.import_from(tmp_path / "second.json", options=ImportOptions(embedder="eight"))
    bank.set_default_embedder("three")
    assert [one.name for one in bank.info().embedders if one.default] == ["three"]
    with pytest.raises(BankError, match=r"no embeddings of 'thre'\. Did you mean 'three'"):
        bank.set_default_embedder("thre")


def test_llmrouterbench_takes_the_latest_run_and_no_demo(bank: QuestionBank, tmp_path: Path) -> None:
    truth, later = published(missing=False), published(missing=False, seed=1)
    folder = llmrouterbench(tmp_path / "bench", truth)
    newer = run_file(tmp_path / "other", later, 0)
    newer.rename(next((folder / "arcc" / "test").glob("org*")) / "arcc-test-alpha-20250701_000000.json")
    demo = run_file(tmp_path / "demo", published(3), 1, demo=True)
    demo.rename(folder / "demo-20990101_000000.json")
    brought = bank.import_from(folder)
    assert (brought.questions, brought.outcomes) == (12, 36)
    assert [outcome.score for outcome in sorted_outcomes(bank, LLMS[0])] == list(later.scores[:, 0])
    assert [outcome.score for outcome in sorted_outcomes(bank, LLMS[1])] == list(truth.scores[:, 1])


def sorted_outcomes(bank: QuestionBank, llm: str) -> list[Any]:
    return sorted(bank.recorded(llm), key=lambda outcome: int(outcome.question_id.rsplit("/", 1)[1]))


def test_llmrouterbench_keeps_what_was_recorded(bank: QuestionBank, tmp_path: Path) -> None:
    truth = published(2, missing=False)
    path = run_file(tmp_path / "bench", truth, 1)
    whole = json.loads(path.read_text())
    whole["records"][1] |= {"score": None, "raw_output": {"text": "x"}, "prediction": ["B"]}
    del whole["model_name"]
    path.write_text(json.dumps(whole))
    bank.import_from(path)
    assert bank.llms == ("beta",), "the folder says it where the header does not"
    first, second = sorted_outcomes(bank, "beta")
    assert (first.response, first.extracted, first.cost_usd) == ("It is 0.", "0", 0.001)
    assert (first.usage.prompt_tokens, first.usage.completion_tokens) == (40, 5)
    assert (second.score, second.response, second.extracted) == (None, '{"text": "x"}', '["B"]')
    question = bank.questions([first.question_id])[0]
    assert (question.id, question.gold, question.task) == ("llmrouterbench/arcc/test/1", "1", "arcc")


def test_routerbench_prompts_that_stand_twice_count_once(bank: QuestionBank, tmp_path: Path) -> None:
    rows = routerbench_long_rows(published(missing=False))
    plain = published(missing=False).texts[0]
    rows[1]["prompt"] = repr([plain, plain])
    brought = bank.import_from(parquet_file(tmp_path / "rb.parquet", rows))
    assert (brought.questions, brought.outcomes) == (12, 36)
    assert bank.recorded(LLMS[1])[0].response == "It is 0."
    assert bank.recorded(LLMS[1])[0].cost_usd == 0.002


def test_splits(bank: QuestionBank, tmp_path: Path) -> None:
    path = parquet_file(tmp_path / "rb.parquet", routerbench_long_rows(published(missing=False)))
    assert bank.import_from(path, options=ImportOptions(split="train")).questions == 6
    assert bank.import_from(path, options=ImportOptions(split="all")).questions == 6
    with pytest.raises(BankError, match="no question in it"):
        bank.import_from(path, options=ImportOptions(split="dev"))
    with pytest.raises(InputError, match="`split` does not apply to the format 'released'"):
        bank.import_from(released(tmp_path / "bank.json", published()), options=ImportOptions(split="all"))
    with pytest.raises(InputError, match="`embedder` does not apply to the format 'routerbench'"):
        bank.import_from(path, options=ImportOptions(embedder="x"))


def test_a_folder_of_routerdc_files_is_read_as_one(bank: QuestionBank, tmp_path: Path) -> None:
    folder = tmp_path / "split2"
    folder.mkdir()
    truth = published(missing=False)
    json_file(folder / "gsm8k-train.json", routerdc_entries(truth))
    json_file(folder / "mmlu_test.json", routerdc_entries(published(4, seed=3, missing=False)))
    assert detect_format(folder) == "routerdc"
    assert bank.import_from(folder).questions == 16
    names = {(question.task, question.id.rsplit("/", 1)[0]) for question in bank.questions()}
    assert names == {("gsm8k", "routerdc/gsm8k/train"), ("mmlu", "routerdc/mmlu/test")}


def test_means_of_samples_stay_what_they_are(bank: QuestionBank, tmp_path: Path) -> None:
    truth = Published(np.array([[0.1, 0.6, 0.999]]), np.ones((1, 2), dtype=np.float32))
    bank.import_from(json_file(tmp_path / "gsm8k-train.json", routerdc_entries(truth)))
    assert by_text(bank)[truth.texts[0]] == {LLMS[0]: 0.1, LLMS[1]: 0.6, LLMS[2]: 0.999}


def test_recorded_mmlu_pro(bank: QuestionBank, tmp_path: Path) -> None:
    truth = published()
    folder = mmlu_pro(tmp_path / "recorded", truth)
    assert detect_format(folder) == "mmlu_pro_recorded"
    brought = bank.import_from(folder)
    kept = [row for row in range(12) if row % 3 != 2]
    assert brought.questions == 8, "test questions stay out unless asked for"
    assert brought.outcomes == np.isfinite(truth.scores[kept]).sum()
    assert by_text(bank) == {truth.texts[row]: verdicts(truth, row) for row in kept}
    assert bank.recorded(LLMS[0])[0].response == ""
    assert bank.recorded(LLMS[1])[0].response.startswith("I say")
    question = bank.questions(["mmlu_pro/0"])[0]
    assert (question.gold, question.grader, question.subject, len(question.choices)) == ("B", "choice", "law", 3)
    assert bank.import_from(folder, options=ImportOptions(split="test")).questions == 4
    assert bank.import_from(folder, options=ImportOptions(split="all", limit=2)).outcomes == 0


def test_tables_from_a_windows_machine(bank: QuestionBank, tmp_path: Path) -> None:
    rows = routerbench_rows(published(3, missing=False))
    path = csv_file(tmp_path / "rb.csv", rows)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert bank.import_from(path).questions == 3


def test_a_bank_of_two_sources_keeps_them_apart(bank: QuestionBank, tmp_path: Path) -> None:
    for layout in ("routerdc json", "routerbench long"):
        bank.import_from(MAKERS[layout](tmp_path, published(missing=False)))
    assert len(bank) == 24
    assert bank.info().missing == 0
    assert all(math.isfinite(score) for score in bank.outcomes().scores.ravel())


def test_formats_that_do_not_fit(bank: QuestionBank, tmp_path: Path) -> None:
    path = json_file(tmp_path / "gsm8k-train.json", routerdc_entries(published()))
    with pytest.raises(InputError, match=r"no format 'routerbank'\. Did you mean 'routerbench'"):
        bank.import_from(path, format="routerbank")  # type: ignore[arg-type]
    with pytest.raises(BankError, match=r"gsm8k-train\.json: '\{' must stand here, got '\['"):
        bank.import_from(path, format="llmrouterbench")
    with pytest.raises(BankError, match="there is no such file"):
        bank.import_from(tmp_path / "none.json", format="released")
    assert len(bank) == 0
