from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers_bank import EMBEDDER, outcome, small_bank
from smcs.bank import Imported, ImportOptions, QuestionBank, detect_format
from smcs.errors import BankError, InputError
from smcs.types import Outcome

SECOND = "other/embedder: 3"


@pytest.fixture
def full(tmp_path: Path) -> Iterator[QuestionBank]:
    with small_bank(tmp_path / "full.db", count=30) as bank:
        bank.add_llm("without outcomes")
        bank.record([outcome(0, "llm000", None, "d\u00e9j\u00e0 vu\n\u2028"), outcome(1, "llm001", 0.125)])
        bank.record([Outcome("q0002", "llm001", 0.25, samples=4)])
        ids = [question.id for question in bank.questions()][:20]
        bank.store_embeddings(SECOND, ids, np.random.default_rng(1).standard_normal((20, 3)))
        yield bank


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[QuestionBank]:
    with QuestionBank.create(tmp_path / "empty.db") as bank:
        yield bank


def test_there_and_back(full: QuestionBank, empty: QuestionBank, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "bank"
    full.export_to(folder, format="parquet", embedders=[EMBEDDER, SECOND], command="make bank")
    assert detect_format(folder) == "parquet"
    assert empty.import_from(folder) == Imported(30, 4, full.info().outcomes, 50, "make bank")
    assert empty.content_hash == full.content_hash
    assert empty.questions() == full.questions()
    assert all(empty.recorded(llm) == full.recorded(llm) for llm in full.llms)
    for name, dimensions in ((EMBEDDER, 16), (SECOND, 3)):
        query = np.ones(dimensions)
        mine, theirs = (bank.search(query, embedder=name, base=4) for bank in (empty, full))
        assert mine.question_ids == theirs.question_ids
        np.testing.assert_array_equal(mine.support.similarities, theirs.support.similarities)
    assert empty.import_from(folder) == Imported(0, 0, 0, 0, "make bank")
    empty.export_to(tmp_path / "again", format="parquet", embedders=[SECOND, EMBEDDER], command="make bank")
    for file in folder.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name


def test_other_tools_can_read_it(full: QuestionBank, tmp_path: Path) -> None:
    from pyarrow.parquet import read_table

    full.export_to(tmp_path / "bank", format="parquet", embedders=[EMBEDDER])
    questions, outcomes, vectors = (
        read_table(tmp_path / "bank" / f"{name}.parquet") for name in ("questions", "outcomes", "embeddings-000")
    )
    assert questions["id"].to_pylist() == [question.id for question in full.questions()]
    assert questions["choices"].to_pylist() == [list(question.choices) for question in full.questions()]
    assert str(questions.schema.field("choices").type) == "list<element: string>"
    scores = {(row["question_id"], row["llm"]): row["score"] for row in outcomes.to_pylist()}
    matrix = full.outcomes()
    for row, question_id in enumerate(matrix.question_ids):
        for column, llm in enumerate(matrix.llms):
            score = scores.get((question_id, llm))
            assert (score is None) == bool(np.isnan(matrix.scores[row, column])), "a missing outcome has no row"
            assert score is None or score == matrix.scores[row, column]
    lengths = np.linalg.norm(np.array(vectors["vector"].to_pylist()), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)
    manifest = json.loads((tmp_path / "bank" / "bank.json").read_text())
    assert manifest["content_hash"] == full.content_hash
    assert manifest["embeddings"] == [
        {"embedder": EMBEDDER, "dimensions": 16, "file": "embeddings-000.parquet", "rows": 30}
    ]


def test_exports_that_cannot_be(full: QuestionBank, tmp_path: Path) -> None:
    with pytest.raises(BankError, match="no embeddings of 'other' to export"):
        full.export_to(tmp_path / "bank", format="parquet", embedders=["other"])
    with pytest.raises(InputError, match=r"cannot be exported as 'parket'\. Did you mean 'parquet'"):
        full.export_to(tmp_path / "bank", format="parket")  # type: ignore[arg-type]
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    with pytest.raises(InputError, match=r"something at .* already"):
        full.export_to(tmp_path / "taken", format="parquet")
    assert not list(tmp_path.glob(".tmp-*"))
    assert not (tmp_path / "bank").exists()


def test_an_export_is_imported_whole(full: QuestionBank, empty: QuestionBank, tmp_path: Path) -> None:
    full.export_to(tmp_path / "bank", format="parquet")
    with pytest.raises(InputError, match="imported whole: `llms` does not apply"):
        empty.import_from(tmp_path / "bank", options=ImportOptions(llms=("llm000",)))


def table(name: str, change: Callable[[list[dict[str, Any]]], None]) -> Callable[[Path], None]:
    """Return what changes the rows of a file of the export."""

    def apply(folder: Path) -> None:
        import pyarrow as pa
        from pyarrow.parquet import read_table, write_table

        found = read_table(folder / name)
        rows = found.to_pylist()
        change(rows)
        write_table(pa.Table.from_pylist(rows, schema=found.schema), folder / name)

    return apply


def put(name: str, row: int, **changes: Any) -> Callable[[Path], None]:
    return table(name, lambda rows: rows[row].update(changes))


def manifest(**changes: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        known = json.loads((folder / "bank.json").read_text())
        (folder / "bank.json").write_text(json.dumps({**known, **changes}))

    return apply


def drop(name: str, column: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        from pyarrow.parquet import read_table, write_table

        write_table(read_table(folder / name).drop_columns([column]), folder / name)

    return apply


def cut(name: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:-40])

    return apply


VECTORS = {"embedder": EMBEDDER, "dimensions": 16, "file": "embeddings-000.parquet", "rows": 30}

MALFORMED = [
    (lambda folder: (folder / "bank.json").write_text(""), r"bank\.json: it is no manifest"),
    (lambda folder: (folder / "bank.json").write_text("[" * 9000), r"bank\.json: it is no manifest"),
    (lambda folder: (folder / "bank.json").write_bytes(b"\xff"), r"bank\.json: it is no manifest"),
    (manifest(format="x"), r"bank\.json: it must be an object with the format"),
    (manifest(version=9), "version 9, this smcs reads version 1"),
    (manifest(llms="all"), r"bank\.json: it is no manifest .*array"),
    (manifest(llms=[""]), r"bank\.json: an LLM's name"),
    (manifest(extra=1), "extra"),
    (manifest(questions=31), r"questions\.parquet: it is not whole: .* promises 31 rows, it has 30"),
    (manifest(outcomes=1), r"outcomes\.parquet: it is not whole"),
    (manifest(content_hash="0" * 64), "altered"),
    (manifest(embeddings=[{**VECTORS, "file": "../embeddings-000.parquet"}]), "must be in a file beside it"),
    (manifest(embeddings=[{**VECTORS, "file": "/etc/passwd"}]), "must be in a file beside it"),
    (manifest(embeddings=[{**VECTORS, "dimensions": 8}]), r"000\.parquet: row 1: .* shape \(16,\), not \(8,\)"),
    (manifest(embeddings=[{**VECTORS, "rows": 3}]), r"embeddings-000\.parquet: it is not whole"),
    (lambda folder: (folder / "questions.parquet").unlink(), r"questions\.parquet: it is missing"),
    (cut("outcomes.parquet"), r"outcomes\.parquet: it is damaged or cut off"),
    (drop("outcomes.parquet", "score"), r"outcomes\.parquet: row 1: it lacks the column 'score'|not as exported"),
    (drop("questions.parquet", "gold"), r"questions\.parquet: row 1: it lacks the column 'gold'"),
    (put("questions.parquet", 4, text="Other?"), "altered"),
    (put("questions.parquet", 4, text=None), r"questions\.parquet: row 5: "),
    (put("questions.parquet", 4, check_json="{"), r"questions\.parquet: row 5: "),
    (put("questions.parquet", 4, grader="vibes"), r"questions\.parquet: row 5: .*vibes"),
    (put("questions.parquet", 4, id="q0003"), r"questions\.parquet: row \d: .*'q0003'"),
    (put("outcomes.parquet", 4, score=2.0), r"outcomes\.parquet: row 5: .*from 0 to 1"),
    (put("outcomes.parquet", 4, score=0.5), "altered"),
    (put("outcomes.parquet", 4, llm="nobody"), r"outcomes\.parquet: row 5: .*'nobody' is not in this bank"),
    (put("outcomes.parquet", 4, question_id="q7777"), r"outcomes\.parquet: row 5: .*'q7777' is not in this bank"),
    (put("outcomes.parquet", 4, prompt_tokens=-1), r"outcomes\.parquet: row 5: .*>= 0"),
    (put("outcomes.parquet", 4, samples=0), r"outcomes\.parquet: row 5: .*samples"),
    (put("embeddings-000.parquet", 4, vector=[float("nan")] * 16), r"row 5: .*the vector holds NaN"),
    (put("embeddings-000.parquet", 4, vector=[0.0] * 16), r"row 5: .*zero"),
    (put("embeddings-000.parquet", 4, question_id="q7777"), r"embeddings-000\.parquet: row 5: .*'q7777'"),
]  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    with small_bank(folder / "bank.db", count=30) as bank:
        bank.export_to(folder / "bank", format="parquet", embedders=[EMBEDDER])
    return folder / "bank"


@pytest.mark.parametrize(("change", "message"), MALFORMED)
def test_malformed_folders_change_nothing(
    exported: Path, empty: QuestionBank, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    folder = tmp_path / "bank"
    folder.mkdir()
    for file in exported.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    change(folder)
    before = empty.content_hash
    with pytest.raises(BankError, match=message) as caught:
        empty.import_from(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    assert (empty.content_hash, empty.history(), empty.info().embedders) == (before, (), ())
