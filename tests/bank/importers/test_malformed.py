"""Whatever is wrong with a file: one line that names the place, and nothing has changed."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from helpers_importing import (
    LLMS,
    MAKERS,
    csv_file,
    json_file,
    mmlu_pro,
    parquet_file,
    published,
    released,
    released_entry,
    routerbench_long_rows,
    routerbench_rows,
    routerdc_entries,
    routerdc_long_rows,
    routerdc_rows,
    run_file,
)
from smcs.bank import ImportFormat, QuestionBank
from smcs.errors import BankError
from smcs.types import Question

TRUTH = published(missing=False)

Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Case:
    name: str
    make: Make
    message: str
    format: ImportFormat | None = None


def entries(**changes: Any) -> Make:
    """Return what writes a released bank whose entry 3 differs; `None` deletes a key."""

    def make(folder: Path) -> Path:
        whole = {str(row): released_entry(TRUTH, row) for row in range(6)}
        whole["3"] = {key: value for key, value in {**whole["3"], **changes}.items() if value is not None}
        return json_file(folder / "bank.json", whole)

    return make


def edited(make: Make, edit: Callable[[bytes], bytes]) -> Make:
    """Return what writes a file and then edits its bytes."""

    def apply(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(edit(path.read_bytes()))
        return path

    return apply


def cut(make: Make) -> Make:
    return edited(make, lambda raw: raw[: len(raw) * 2 // 3])


def text(content: str, name: str = "bank.json") -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_text(content)
        return folder / name

    return make


def rows(rows_of: Callable[..., list[dict[str, Any]]], row: int, **changes: Any) -> Callable[[], list[dict[str, Any]]]:
    """Return what gives the rows of a table, one of them changed."""

    def make() -> list[dict[str, Any]]:
        found = rows_of(TRUTH)
        found[row] = {**found[row], **changes}
        return found

    return make


def as_csv(make: Callable[[], list[dict[str, Any]]]) -> Make:
    return lambda folder: csv_file(folder / "table.csv", make())


def as_parquet(make: Callable[[], list[dict[str, Any]]]) -> Make:
    return lambda folder: parquet_file(folder / "table.parquet", make())


def run(**changes: Any) -> Make:
    """Return what writes a folder of two LLMRouterBench runs, with record 5 of the second changed."""

    def make(folder: Path) -> Path:
        run_file(folder / "bench", TRUTH, 1)
        path = run_file(folder / "bench", TRUTH, 2)
        whole = json.loads(path.read_text())
        changed = {**whole["records"][4], **changes}
        whole["records"][4] = {key: value for key, value in changed.items() if value != "absent"}
        json_file(path, whole)
        return folder / "bench"

    return make


def recorded(file: str, row: int, **changes: Any) -> Make:
    """Return what writes recorded MMLU-Pro outputs with one row changed."""

    def make(folder: Path) -> Path:
        from pyarrow.parquet import read_table

        path = mmlu_pro(folder / "recorded", TRUTH)
        found = read_table(path / f"{file}.parquet").to_pylist()
        found[row] = {**found[row], **changes}
        parquet_file(path / f"{file}.parquet", found)
        return path

    return make


def without(file: str, *columns: str) -> Make:
    def make(folder: Path) -> Path:
        from pyarrow.parquet import read_table

        path = mmlu_pro(folder / "recorded", TRUTH)
        kept = [{k: v for k, v in row.items() if k not in columns} for row in read_table(path / file).to_pylist()]
        parquet_file(path / file, kept)
        return path

    return make


def twin_runs(folder: Path) -> Path:
    """Write two runs of one LLM whose names tell no time."""
    for name in ("a.json", "b.json"):
        run_file(folder / "bench", TRUTH, 1).rename(folder / "bench" / name)
    return folder / "bench"


def pickled(folder: Path) -> Path:
    (folder / "bank.json").write_bytes(pickle.dumps({"0": {}}))
    return folder / "bank.json"


def zipped(folder: Path) -> Path:
    path = folder / "bank.json.gz"
    path.write_bytes(gzip.compress(released(folder / "bank.json", TRUTH).read_bytes())[:-200])
    return path


def plain(folder: Path) -> Path:
    return released(folder / "bank.json", TRUTH)


def scores(entry: int, **changes: Any) -> Make:
    def make(folder: Path) -> Path:
        whole: list[Any] = routerdc_entries(TRUTH)
        whole[entry] = {key: value for key, value in {**whole[entry], **changes}.items() if value is not None}
        return json_file(folder / "gsm8k-train.json", whole)

    return make


BROKEN = b"\xff\xfe\xc3"
RB_WIDE, RB_LONG = as_csv(lambda: routerbench_rows(TRUTH)), as_parquet(lambda: routerbench_long_rows(TRUTH))
DC_WIDE, DC_JSON = as_csv(lambda: routerdc_rows(TRUTH)), scores(0)

CASES = [
    # Of any format.
    Case("empty", text(""), r"bank\.json: it is empty"),
    Case("blank", text(" \n\n "), r"bank\.json: it is empty"),
    Case("no table, no JSON", text("hello\nworld"), r"bank\.json: it is neither JSON nor"),
    Case("unknown object", text('{"a": 1, "b": {"c": 2}}'), "no known format"),
    Case("unknown list", text("[1, 2]"), "no known kind of entries"),
    Case("empty list", text("[]"), "empty list"),
    Case("empty object", text("{}"), "no known format"),
    Case("empty object, told", text("{}"), "there is no question in it", "released"),
    Case("unknown columns", text("a,b,c\n1,2,3\n"), "columns .'a', 'b', 'c'. are of no known format"),
    Case("a pickle", pickled, "it is a pickle, .* convert it: python -c"),
    Case("a pickle by name", text("x", "bank.pkl"), "it is a pickle"),
    Case("a pickle, told", pickled, "it is a pickle", "released"),
    Case("a bank", lambda folder: copied_bank(folder), "it is a question bank itself"),
    Case("nothing there", lambda folder: folder / "none", "there is no such file or folder"),
    Case("an empty folder", lambda folder: folder, "no file in this folder"),
    # The released bank.
    Case("released: cut off", cut(plain), r"bank\.json: entry '8': .*cut off"),
    Case("released: cut off between entries", edited(plain, lambda raw: raw[:-1]), r"entry '11': .*cut off"),
    Case("released: cut off in gzip", zipped, r"bank\.json\.gz: it is not a whole gzip file"),
    Case("released: more behind", edited(plain, lambda raw: raw + b" {}"), "nothing may follow"),
    Case("released: no comma", edited(plain, lambda raw: raw.replace(b', "5": ', b' "5": ')), "',' or '}' must stand"),
    Case("released: not UTF-8", edited(plain, lambda raw: raw.replace(b"is 4", BROKEN)), "entry '4': .*not UTF-8"),
    Case("released: NUL", entries(question="a\0b"), "entry '3': .*NUL"),
    Case("released: too deep", text('{"0": {"question": ' + "[" * 50_000 + "]" * 50_000 + "}}"), "entry '0': .*deep"),
    Case("released: a key twice", edited(plain, lambda raw: raw.replace(b'"4": ', b'"3": ')), "the key '3' twice"),
    Case("released: an entry that is a list", text('{"0": []}'), "entry '0': an entry must", "released"),
    Case("released: no question", entries(question=None), "entry '3': question must be text, got None"),
    Case("released: a question that is a number", entries(question=7), "entry '3': question must be text, got 7"),
    Case("released: an empty question", entries(question=" "), "entry '3': question is empty"),
    Case("released: src of a wrong type", entries(src=[1]), "entry '3': src must be text"),
    Case("released: results of a wrong type", entries(model_res=[1]), "entry '3': model_res must be an object"),
    Case("released: score", entries(model_res={"a": {"is_correct": 1.5}}), "entry '3': is_correct of 'a' .* from 0 to"),
    Case("released: verdict", entries(model_res={"a": {"is_correct": "maybe"}}), "entry '3': .* number, got 'maybe'"),
    Case("released: verdict of a wrong type", entries(model_res={"a": {"is_correct": []}}), "entry '3': .* number"),
    Case("released: a nameless LLM", entries(model_res={" ": {"is_correct": 1}}), "entry '3': an LLM's name must be"),
    Case("released: dimension", entries(embedding=[1.0, 2.0]), "entry '3': the embedding has 2 dimensions, .* have 8"),
    Case("released: NaN", entries(embedding=[float("nan")] * 8), "entry '3': it holds NaN"),
    Case("released: infinity", entries(embedding=[float("-inf")] * 8), "entry '3': it holds Infinity"),
    Case("released: too large", entries(embedding=[1e300] * 8), "entry '3': the embedding holds NaN or infinity"),
    Case("released: zero", entries(embedding=[0] * 8), "entry '3': the embedding is zero"),
    Case("released: nested", entries(embedding=[[1.0] * 8]), "entry '3': the embedding must be a flat list"),
    Case("released: words", entries(embedding=["a"] * 8), "entry '3': the embedding must be a flat list"),
    Case("released: embedding of a wrong type", entries(embedding={"a": 1}), "entry '3': the embedding must be a list"),
    Case("released: embedding as bad text", entries(embedding="[1, oops]"), "entry '3': the embedding is text that"),
    Case("released: no embedding at all", entries(embedding=[]), "entry '3': the embedding must be a list"),
    # LLMRouterBench.
    Case(
        "runs: cut off", lambda f: cut(lambda g: run_file(g, TRUTH, 0))(f), r"120000\.json: .*cut off", "llmrouterbench"
    ),
    Case("runs: no records", text('{"model_name": "a"}'), "no list of records", "llmrouterbench"),
    Case("runs: no LLM", text('{"records": []}'), "no question in it", "llmrouterbench"),
    Case("runs: a list", text("[]"), "'{' must stand here", "llmrouterbench"),
    Case(
        "runs: not UTF-8",
        lambda f: edited(lambda g: run_file(g, TRUTH, 0), lambda raw: raw.replace(b"is 4", BROKEN))(f),
        "record 5: .*UTF-8",
    ),
    Case("runs: no score", run(score="absent"), r"gamma.*\.json: record 5: it lacks 'score'"),
    Case("runs: score", run(score=-0.1), "record 5: score must be from 0 to 1"),
    Case("runs: score of a wrong type", run(score={}), "record 5: score must be a number"),
    Case("runs: no question", run(origin_query=None, prompt=""), "record 5: it has no question"),
    Case("runs: a question of a wrong type", run(origin_query=["a"]), "record 5: the question must be text"),
    Case("runs: another question", run(origin_query="Who?"), "record 5: .* has another text than at .*beta.*record 5"),
    Case("runs: an index twice", run(index=1), r"record 5: question 'llmrouterbench/arcc/test/1' is a duplicate"),
    Case("runs: an index of a wrong type", run(index=[1]), "record 5: index must be"),
    Case("runs: tokens", run(prompt_tokens=-5), "record 5: prompt_tokens must be a whole number"),
    Case("runs: cost", run(cost="much"), "record 5: cost must be a number, got 'much'"),
    Case("runs: a negative cost", run(cost=-1), "record 5: `cost_usd` .* >= 0"),
    Case("runs: twins", twin_runs, r"b\.json: .* a duplicate run"),
    # RouterBench.
    Case("table: header only", edited(RB_WIDE, lambda raw: raw.split(b"\n")[0] + b"\n"), "there is no question in it"),
    Case(
        "table: cut off", edited(RB_WIDE, lambda raw: raw[:-70]), r"table\.csv: row 12: .*cut off|row 12: it is no CSV"
    ),
    Case(
        "table: not UTF-8", edited(RB_WIDE, lambda raw: raw.replace(b"is 4", BROKEN)), "row 5: it holds bytes that are"
    ),
    Case(
        "table: no sample_id",
        edited(RB_WIDE, lambda raw: raw.replace(b"sample_id", b"sample", 1)),
        "lacks the column 'sample_id'",
    ),
    Case(
        "table: a column twice",
        edited(RB_WIDE, lambda raw: raw.replace(b"eval_name", b"prompt", 1)),
        "column 'prompt' more than once",
    ),
    Case(
        "table: score",
        as_csv(rows(routerbench_rows, 4, **{LLMS[1]: 1.5})),
        "row 5: score of 'beta' must be from 0 to 1",
    ),
    Case(
        "table: a word",
        as_csv(rows(routerbench_rows, 4, **{LLMS[1]: "good"})),
        "row 5: score of 'beta' must be a number",
    ),
    Case(
        "table: infinity",
        as_csv(rows(routerbench_rows, 4, **{LLMS[1]: "inf"})),
        "row 5: score of 'beta' must be finite",
    ),
    Case(
        "table: cost",
        as_csv(rows(routerbench_rows, 4, **{"beta|total_cost": "x"})),
        "row 5: cost of 'beta' must be a number",
    ),
    Case("table: no prompt", as_csv(rows(routerbench_rows, 4, prompt="")), "row 5: prompt is empty"),
    Case(
        "table: a row twice",
        as_csv(rows(routerbench_rows, 4, **routerbench_rows(TRUTH)[3])),
        r"row 5: .* is a duplicate",
    ),
    Case(
        "table: another prompt",
        as_csv(rows(routerbench_rows, 4, sample_id="arc.val.3")),
        "row 5: .* another text than at .*row 4",
    ),
    Case("table: one without scores", text("sample_id,prompt\na,b\n", "t.csv"), "no column of scores"),
    Case("table: Parquet cut off", cut(RB_LONG), r"table\.parquet: it is damaged or cut off"),
    Case(
        "table: long, score", as_parquet(rows(routerbench_long_rows, 4, score=7.0)), "row 5: score must be from 0 to 1"
    ),
    Case(
        "table: long, an outcome twice",
        as_parquet(rows(routerbench_long_rows, 4, model=LLMS[0])),
        "row 5: the outcome of .* is a duplicate",
    ),
    Case("table: long, no LLM", as_parquet(rows(routerbench_long_rows, 4, model=None)), "row 5: model must be text"),
    # RouterDC.
    Case("scores: cut off", cut(DC_JSON), r"gsm8k-train\.json: entry \d: .*cut off"),
    Case("scores: not UTF-8", edited(DC_JSON, lambda raw: raw.replace(b"is 4", BROKEN)), "entry 4: .*UTF-8"),
    Case("scores: not an object", scores(4, scores=[1]), "entry 4: scores must be an object"),
    Case("scores: score", scores(4, scores={"a": 2}), "entry 4: score of 'a' must be from 0 to 1"),
    Case("scores: score of a wrong type", scores(4, scores={"a": "x"}), "entry 4: score of 'a' must be a number"),
    Case("scores: none", scores(4, scores=None), "entry 4: it has no 'scores'"),
    Case("scores: no question", scores(4, question=None), "entry 4: question must be text"),
    Case("scores: an index twice", scores(4, index=3), "entry 4: .* is a duplicate: it already stands at .*entry 3"),
    Case("scores: an entry that is text", text('[{"question": "a", "scores": {}}, "x"]'), "entry 1: an entry must be"),
    Case("scores: wide, cut off", edited(DC_WIDE, lambda raw: raw[:-6]), "row 12: .*cut off"),
    Case("scores: wide, score", as_csv(rows(routerdc_rows, 4, beta=3)), "row 5: score of 'beta' must be from 0 to 1"),
    Case("scores: wide, no LLM", text("question,task\na,b\n", "t.csv"), "no column of scores"),
    Case(
        "scores: long, an outcome twice",
        as_parquet(rows(routerdc_long_rows, 4, model=LLMS[0])),
        "row 5: the outcome of .* is a duplicate",
    ),
    Case(
        "scores: long, another question",
        as_parquet(rows(routerdc_long_rows, 4, question="Who?")),
        "row 5: .* another text than at",
    ),
    Case("scores: long, no index", text("question,model,score\na,b,1\n", "t.csv"), "lacks the column 'index'"),
    Case(
        "scores: long, an empty index", text("question,model,score,index\na,b,1,\n", "t.csv"), "row 1: index is empty"
    ),
    # Recorded MMLU-Pro outputs.
    Case(
        "recorded: no outcomes",
        lambda f: parquet_file(f / "questions.parquet", [{"id": "a"}]).parent,
        "lacks outcomes",
        "mmlu_pro_recorded",
    ),
    Case(
        "recorded: no column",
        without("questions.parquet", "answer"),
        r"questions\.parquet: it lacks the column 'answer'",
    ),
    Case("recorded: outcomes without a column", without("outcomes.parquet", "correct"), r"outcomes\.parquet: it lacks"),
    Case("recorded: gold", recorded("questions", 3, answer="D"), r"questions\.parquet: row 4: answer must be a letter"),
    Case("recorded: choices", recorded("questions", 3, choices=["a"]), "row 4: choices must be a list"),
    Case("recorded: a question twice", recorded("questions", 3, id="mmlu_pro/0"), "row 4: .* is a duplicate"),
    Case(
        "recorded: an unknown question",
        recorded("outcomes", 3, id="mmlu_pro/99"),
        r"outcomes\.parquet: row 4: .* is not in",
    ),
    Case(
        "recorded: an outcome twice",
        recorded("outcomes", 4, llm=LLMS[0]),
        r"outcomes\.parquet: row 5: .* is a duplicate",
    ),
    Case(
        "recorded: cut off",
        lambda f: cut(lambda g: mmlu_pro(g / "r", TRUTH) / "outcomes.parquet")(f).parent,
        r"outcomes\.parquet: it is damaged",
    ),
]


def copied_bank(folder: Path) -> Path:
    QuestionBank.create(folder / "copy.db").close()
    return folder / "copy.db"


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuestionBank]:
    with QuestionBank.create(tmp_path_factory.mktemp("malformed") / "bank.db") as opened:
        opened.add_questions([Question("q", "What?")])
        yield opened


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_line_and_nothing_changed(bank: QuestionBank, tmp_path: Path, case: Case) -> None:
    before = (bank.content_hash, bank.history(), bank.info().embedders)
    path = case.make(tmp_path)
    with pytest.raises(BankError, match=case.message) as caught:
        bank.import_from(path, format=case.format)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith("Nothing was imported.")
    assert str(tmp_path) in message
    assert (bank.content_hash, bank.history(), bank.info().embedders) == before


@pytest.mark.parametrize("layout", MAKERS)
def test_a_file_that_contradicts_the_bank(tmp_path: Path, layout: str) -> None:
    path = MAKERS[layout](tmp_path, TRUTH)
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        bank.import_from(path)
        taken = bank.questions()[7]
        bank.add_questions([Question(taken.id, "Something else?")], replace=True)
        before = (bank.content_hash, bank.history())
        with pytest.raises(BankError, match=f"'{taken.id}' is already in the bank with another content") as caught:
            bank.import_from(path)
        assert any(place in str(caught.value) for place in ("row ", "entry ", "record "))
        assert (bank.content_hash, bank.history()) == before


def test_bytes_that_are_not_utf8_in_parquet(bank: QuestionBank, tmp_path: Path) -> None:
    path = as_parquet(rows(routerbench_long_rows, 4, response="VERY SPECIAL TEXT"))(tmp_path)
    import pyarrow as pa
    from pyarrow.parquet import read_table, write_table

    table = read_table(path)
    broken = [value.as_py().encode() for value in table["response"]]
    broken[4] = BROKEN
    column = pa.array(broken, type=pa.binary())
    # Arrow does not look whether what is called text is UTF-8.
    unchecked = pa.StringArray.from_buffers(len(column), column.buffers()[1], column.buffers()[2])
    index = table.schema.get_field_index("response")
    write_table(table.set_column(index, "response", unchecked), path)
    with pytest.raises(BankError, match=r"table\.parquet: row 5: response holds bytes that are not UTF-8"):
        bank.import_from(path)
    assert len(bank) == 1
