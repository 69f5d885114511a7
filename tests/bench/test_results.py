from __future__ import annotations

import gzip
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers_results import make_header, make_results, write_results
from smcs.bench import provenance
from smcs.bench.results import (
    RESULT_FORMAT,
    ResultWriter,
    Row,
    describe_commit,
    describe_machine,
    read_results,
)
from smcs.errors import ConfigError, InputError


def row(question: str = "q1", **changes: Any) -> Row:
    values: dict[str, Any] = {"score": 1.0, "status": "ok", **changes}
    return Row(question, "arithmetic", values.pop("arm", "smcs"), values.pop("seed", 0), **values)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    made = make_results(3)
    path = write_results(tmp_path, made)
    for file in (path, tmp_path / "results.jsonl"):
        read = read_results(file)
        assert read.header == made.header
        assert sorted(read.rows, key=repr) == sorted(made.rows, key=repr)
        assert read.resumed == ()


def test_equal_content_gives_equal_bytes_whatever_the_order(tmp_path: Path) -> None:
    made = make_results(3)
    first = write_results(tmp_path / "a", made)
    second = write_results(tmp_path / "b", replace(made, rows=made.rows[::-1]), "other")
    assert first.read_bytes() == second.read_bytes()


def test_every_row_is_on_disk_before_the_next(tmp_path: Path) -> None:
    writer = ResultWriter(tmp_path / "r.jsonl", make_header())
    for number in range(3):
        writer.append(row(f"q{number}"))
        assert len(read_results(writer.path).rows) == number + 1
    writer.close()


def test_a_run_resumes_what_has_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with ResultWriter(path, make_header()) as writer:
        writer.append(row("q1"))
        writer.append(row("q2", score=None, status="ungraded"))
        writer.append(row("q3", score=None, status="failed", error="time\n  out"))
        writer.append(row("q4", score=None, status="missing"))
    again = ResultWriter(path, replace(make_header(), created="later"))
    assert again.done == {("q1", "smcs", 0), ("q2", "smcs", 0)}
    assert [entry.error for entry in again.rows] == [None, None, "time out", None]
    again.append(row("q3"))
    read = read_results(again.finish())
    assert [entry.status for entry in read.rows] == ["ok", "ungraded", "ok", "missing"]
    assert read.resumed == ()


def test_a_torn_last_line_is_left_out_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with ResultWriter(path, make_header()) as writer:
        writer.append(row("q1"))
        writer.append(row("q2"))
    path.write_bytes(path.read_bytes()[:-20])
    assert [entry.question for entry in read_results(path).rows] == ["q1"]
    with ResultWriter(path, make_header()) as writer:
        assert writer.done == {("q1", "smcs", 0)}
        writer.append(row("q2"))
    assert [entry.question for entry in read_results(path).rows] == ["q1", "q2"]


@pytest.mark.parametrize("left", [b"", b'{"format":"smcs-res'])
def test_a_file_without_a_whole_header_is_begun_anew(tmp_path: Path, left: bytes) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(left)
    with ResultWriter(path, make_header()) as writer:
        writer.append(row())
    assert len(read_results(path).rows) == 1


def test_the_finished_file_alone_is_resumed(tmp_path: Path) -> None:
    finished = write_results(tmp_path, make_results(2))
    (tmp_path / "results.jsonl").unlink()
    writer = ResultWriter(tmp_path / "results.jsonl", make_header())
    assert len(writer.rows) == len(make_results(2).rows)
    before = finished.read_bytes()
    assert writer.finish().read_bytes() == before


def test_another_commit_or_machine_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    later = make_header(commit="f" * 40, dirty=True, created="later")
    for header in (make_header(), later, later):
        with ResultWriter(path, header) as writer:
            writer.append(row())
    read = read_results(writer.finish())
    assert read.header == make_header()
    assert read.resumed == (later,)


@pytest.mark.parametrize(
    "changes", [{"seeds": (0,)}, {"llms": ("x",)}, {"bank": {}}, {"config": {"k": 3}}, {"name": "x"}]
)
def test_another_experiment_is_refused_in_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "r.jsonl"
    ResultWriter(path, make_header()).close()
    with pytest.raises(ConfigError, match=rf"another experiment: its {next(iter(changes))} differs") as caught:
        ResultWriter(path, make_header(**changes))
    assert "\n" not in str(caught.value)


def test_long_answers_leave_their_digest_only(tmp_path: Path) -> None:
    with ResultWriter(tmp_path / "r.jsonl", make_header()) as writer:
        for question, text in (("q1", "C"), ("q2", "def f(): ..." * 20), ("q3", "def f(): ..." * 20)):
            writer.append(row(question, extracted=text))
    short, long, same = (entry.extracted for entry in read_results(writer.path).rows)
    assert short == "C"
    assert long == same
    assert long is not None
    assert long.startswith("sha256:")
    assert "def f" not in (tmp_path / "r.jsonl").read_text()


def test_unknown_priors_come_back_as_unknown(tmp_path: Path) -> None:
    with ResultWriter(tmp_path / "r.jsonl", make_header()) as writer:
        writer.append(row(priors={"a": math.nan, "b": 1.5, "c": None}))
    assert read_results(writer.path).rows[0].priors == {"a": None, "b": 1.5, "c": None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": None}, "if and only if"),
        ({"status": "failed"}, "if and only if"),
        ({"score": 1.5}, "from 0 to 1"),
        ({"score": math.nan}, "from 0 to 1"),
        ({"candidate_scores": (0.5, 2.0)}, "from 0 to 1"),
        ({"reference_scores": {"a": -1.0}}, "from 0 to 1"),
        ({"calls": -1}, "`calls` must be 0 or more"),
        ({"prompt_tokens": -1}, "`prompt_tokens`"),
        ({"cost_usd": math.inf}, "`cost_usd` must be a finite"),
        ({"question": ""}, "needs a question"),
    ],
)
def test_a_row_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        row(**changes)


def test_a_row_outside_the_header_is_refused(tmp_path: Path) -> None:
    with ResultWriter(tmp_path / "r.jsonl", make_header()) as writer:
        with pytest.raises(InputError, match=r"Unknown arm 'smc'.*Did you mean 'smcs'"):
            writer.append(row(arm="smc"))
        with pytest.raises(InputError, match="Unknown seed 7"):
            writer.append(row(seed=7))
        with pytest.raises(InputError, match="Unknown task 'x'"):
            writer.append(replace(row(), task="x"))
    with pytest.raises(RuntimeError, match="after close"):
        writer.append(row())


def test_a_header_names_each_arm_task_and_seed_once() -> None:
    with pytest.raises(InputError, match="The seed 1 is listed twice"):
        make_header(seeds=(1, 1))
    with pytest.raises(InputError, match="at least one arm"):
        make_header(arms=())


def test_a_file_must_be_named_jsonl(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in '\.jsonl'"):
        ResultWriter(tmp_path / "r.json", make_header())


def damaged(tmp_path: Path, line: str) -> Path:
    path = tmp_path / "r.jsonl"
    with ResultWriter(path, make_header()) as writer:
        writer.append(row())
    path.write_bytes(path.read_bytes() + line.encode() + b"\n")
    return path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "line 3 is damaged"),
        ('{"question": "q"}', "line 3 is damaged: .*missing required field"),
        ('{"question":"q","task":"arithmetic","arm":"smcs","seed":0,"score":2.0,"status":"ok"}', "line 3.*from 0 to 1"),
        ('{"question":"q","task":"arithmetic","arm":"smcs","seed":0,"score":1.0,"status":"fine"}', "line 3.*fine"),
        (
            '{"question":"q","task":"arithmetic","arm":"other","seed":0,"score":1.0,"status":"ok"}',
            "line 3.*arm 'other'",
        ),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_results(damaged(tmp_path, line))
    assert "\n" not in str(caught.value)


def test_what_is_no_result_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with pytest.raises(ConfigError, match="No such file"):
        read_results(path)
    for content, message in (
        (b"", "is empty"),
        (b"hello\n", "first line is no JSON"),
        (b"[1]\n", "does not begin with a header"),
        (b"\xff\xfe\n", "first line is no JSON"),
        (json.dumps({"format": "smcs-results/9"}).encode() + b"\n", f"'smcs-results/9'.*reads '{RESULT_FORMAT}'"),
    ):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=message):
            read_results(path)


def test_a_damaged_compressed_file_says_so(tmp_path: Path) -> None:
    path = write_results(tmp_path, make_results(5))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigError, match="is damaged"):
        read_results(path)
    path.write_bytes(whole[:200] + bytes(100) + whole[300:])
    with pytest.raises(ConfigError, match="is damaged"):
        read_results(path)
    path.write_bytes(gzip.compress(gzip.decompress(whole)[:-5]))
    with pytest.raises(ConfigError, match="last line is torn"):
        read_results(path)


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(bytes(20 << 20)))
    with pytest.raises(ConfigError, match="larger than any can be"):
        read_results(path)
    monkeypatch.setattr("smcs.bench.results._FILE_BYTES", 5_000)
    with pytest.raises(ConfigError, match="larger than any can be"):
        read_results(write_results(tmp_path, make_results(2)))


def test_the_machine_is_described_without_naming_it() -> None:
    versions, hardware = describe_machine()
    assert versions["numpy"]
    assert hardware["cores"] >= 1
    assert set(hardware) == {"system", "machine", "cpu", "cores", "memory_gb"}
    json.dumps(hardware)


def test_the_commit_is_that_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"ls-files": "__init__.py", "rev-parse": "a" * 40, "status": ""}
    monkeypatch.setattr(provenance, "_git", lambda _folder, command, *_rest: answers[command])
    assert describe_commit() == ("a" * 40, False)
    answers["status"] = " M src/smcs/run.py"
    assert describe_commit() == ("a" * 40, True)
    monkeypatch.setattr(provenance, "_git", lambda *_: None)
    assert describe_commit() == (None, None)


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert describe_commit() == (None, None)
