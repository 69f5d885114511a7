from __future__ import annotations

import os
import re
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from helpers_bank import Place
from smcs.bank import QuestionBank
from smcs.bank.migrations import MIGRATIONS, backup_path
from smcs.bank.schema import SCHEMA_VERSION
from smcs.embedders import HashingEmbedder
from smcs.errors import BankError
from smcs.types import Outcome, Question, Usage

# Written by the smcs of schema version 1, with the content hash that it printed.
VERSION_1 = """
CREATE TABLE bank_embedders (
    name TEXT NOT NULL, dimensions INTEGER NOT NULL, vector_sum VARCHAR(64) NOT NULL, PRIMARY KEY (name)
);
CREATE TABLE bank_llms (name TEXT NOT NULL, created FLOAT NOT NULL, PRIMARY KEY (name));
CREATE TABLE bank_manifest (
    id INTEGER NOT NULL CHECK (id = 1), schema_version INTEGER NOT NULL, created FLOAT NOT NULL,
    default_embedder TEXT, content_sum VARCHAR(64) NOT NULL, PRIMARY KEY (id)
);
CREATE TABLE bank_questions (
    id TEXT NOT NULL, text TEXT NOT NULL, task TEXT NOT NULL, subject TEXT NOT NULL, choices TEXT NOT NULL, gold TEXT,
    grader TEXT, check_json TEXT NOT NULL, text_hash VARCHAR(64) NOT NULL, digest BLOB NOT NULL, created FLOAT NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE bank_embeddings (
    embedder TEXT NOT NULL, question_id TEXT NOT NULL, text_hash VARCHAR(64) NOT NULL, vector BLOB NOT NULL,
    digest BLOB NOT NULL, PRIMARY KEY (embedder, question_id),
    FOREIGN KEY(embedder) REFERENCES bank_embedders (name) ON DELETE CASCADE,
    FOREIGN KEY(question_id) REFERENCES bank_questions (id) ON DELETE CASCADE
);
CREATE TABLE bank_outcomes (
    question_id TEXT NOT NULL, llm TEXT NOT NULL, score FLOAT CHECK (score >= 0 AND score <= 1), response TEXT NOT NULL,
    extracted TEXT, reason TEXT NOT NULL, grader TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER,
    cached_tokens INTEGER, cost_usd FLOAT, seconds FLOAT, digest BLOB NOT NULL, created FLOAT NOT NULL,
    PRIMARY KEY (question_id, llm),
    FOREIGN KEY(question_id) REFERENCES bank_questions (id) ON DELETE CASCADE,
    FOREIGN KEY(llm) REFERENCES bank_llms (name) ON DELETE CASCADE
);
CREATE INDEX bank_outcomes_by_llm ON bank_outcomes (llm, question_id, score);
INSERT INTO bank_embedders VALUES('e', 2, '415443b6d2c39db53c755526ed581198a80875eb2651f4ee44f96363e025b1c1');
INSERT INTO bank_llms VALUES('a', 1795314510.5);
INSERT INTO bank_llms VALUES('b', 1795314510.5);
INSERT INTO bank_manifest VALUES(1, 1, 1795314510.5, 'e',
    '09bcf4cab1857b48944c8c7ddfb8a35bdccdf454cf37415ac414435721b617d0');
INSERT INTO bank_questions VALUES('q1', 'Is 4 even?', 't', 's', '["yes","no"]', 'A', 'choice', '{}',
    '66987cfc60a26f90390fc3c05cb499e8632a0dde727eccfba7858d80a258b722',
    X'B20FB0093B2BE2C4BEFA09AFD1D26AF87B8CDCF55FD63997E63E08ED725B2691', 1795314510.5);
INSERT INTO bank_questions VALUES('q2', '2 + 2?', 't', '', '[]', '4', 'number', '{"tolerance":0.5}',
    '70b499c547e0a11fc693677f477746c45a8133b4dadeb0a2090a1c44cf783b20',
    X'4524C935A17367AA98A557C6259BE5D03699C439B0F213DF994DA5EB2A315B8F', 1795314510.5);
INSERT INTO bank_outcomes VALUES('q1', 'a', 1.0, 'A', 'A', 'matches', 'choice', 10, 2, NULL, NULL, 0.25,
    X'F5B6164172B07FBAA4167821CEA8FAD9307322CF90E523F8AEA074B00CAA45C2', 1795314510.5);
INSERT INTO bank_outcomes VALUES('q2', 'a', 0.0, '5 ä', NULL, '', 'number', NULL, NULL, NULL, NULL, NULL,
    X'3856A5BDF9EBE407FBB992B7DDBADCA2740E7BE40BF938F21F848BA804D5E90D', 1795314510.5);
INSERT INTO bank_outcomes VALUES('q1', 'b', NULL, '?', NULL, '', '', NULL, NULL, NULL, 0.125, NULL,
    X'9B465A32D2AE748B79FBC770EDC513ACC8084FD728F93529B243399B787F73F7', 1795314510.5);
INSERT INTO bank_embeddings VALUES('e', 'q1', '66987cfc60a26f90390fc3c05cb499e8632a0dde727eccfba7858d80a258b722',
    X'9A99193FCDCC4C3F', X'415443B6D2C39DB53C755526ED581198A80875EB2651F4EE44F96363E025B1C1');
"""
HASH_1 = "f51fcbdb6bc49abbf0df953e85f6b5a9cba6d52421bd882351def82a01ce0af1"
QUESTIONS = (
    Question("q1", "Is 4 even?", task="t", subject="s", choices=("yes", "no"), gold="A", grader="choice"),
    Question("q2", "2 + 2?", task="t", gold="4", grader="number", check={"tolerance": 0.5}),
)
OUTCOME = Outcome(
    *("q1", "a", 1.0),
    response="A",
    extracted="A",
    reason="matches",
    grader="choice",
    usage=Usage(10, 2, None),
    seconds=0.25,
)


@pytest.fixture
def old(place: Place) -> str:
    """A bank of version 1, as it was made then."""
    script = VERSION_1
    if place.kind == "postgresql":
        script = re.sub(r"X'([0-9A-F]+)'", r"decode('\1', 'hex')", script.replace("BLOB", "BYTEA"))
    place.execute("bank", *(part.replace(":", r"\:") for part in script.strip().rstrip(";").split(";\n")))
    return place.url()


def test_a_bank_of_version_1_is_brought_up_with_its_content(old: str) -> None:
    with QuestionBank.open(old) as bank:
        assert bank.info().schema_version == SCHEMA_VERSION
        assert bank.content_hash == HASH_1
        assert bank.verify().problems == ()
        assert bank.questions() == QUESTIONS
        assert bank.recorded("a")[0] == OUTCOME
        assert bank.search([0.6, 0.8]).question_ids == ("q1",)
        assert bank.history() == ()
        bank.record([Outcome("q2", "b", 0.5, samples=4)])
        bank.remove_llm("b")
        (removed,) = bank.history()
        bank.undo(removed.id)
        assert bank.recorded("b")[1].samples == 4
    with QuestionBank.open(old) as again:
        assert len(again.history()) == 2


def test_the_same_content_made_today_has_the_same_hash(place: Place) -> None:
    bank = place.create("new")
    bank.add_questions(QUESTIONS)
    bank.add_llm("a")
    bank.add_llm("b")
    bank.record([OUTCOME, Outcome("q2", "a", 0.0, response="5 ä", grader="number")])
    bank.record([Outcome("q1", "b", None, response="?", cost_usd=0.125)])
    assert bank.content_hash == HASH_1
    bank.record([Outcome("q1", "b", None, response="?", cost_usd=0.125, samples=2)])
    assert bank.content_hash != HASH_1


def test_a_migrated_bank_has_the_tables_of_a_new_one(old: str, place: Place) -> None:
    QuestionBank.open(old).close()
    place.create("new").close()
    layouts = []
    for name in ("bank", "new"):
        engine = create_engine(f"sqlite:///{place.url(name)}" if place.kind == "sqlite" else place.url(name))
        found = inspect(engine)
        layouts.append(
            {
                table: (
                    sorted(
                        (column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(table)
                    ),
                    found.get_pk_constraint(table)["constrained_columns"],
                    sorted(str(key["referred_table"]) for key in found.get_foreign_keys(table)),
                    sorted(str(index["column_names"]) for index in found.get_indexes(table)),
                )
                for table in found.get_table_names()
            }
        )
        engine.dispose()
    assert layouts[0] == layouts[1]
    assert set(MIGRATIONS) == set(range(1, SCHEMA_VERSION))


async def test_a_bank_of_version_2_gets_a_place_for_vectors_of_answers(old: str, place: Place) -> None:
    engine = create_engine(f"sqlite:///{old}" if place.kind == "sqlite" else old)
    with engine.begin() as connection:
        MIGRATIONS[1](connection)
        connection.execute(text("UPDATE bank_manifest SET schema_version = 2"))
    engine.dispose()
    with QuestionBank.open(old) as bank:
        assert (bank.content_hash, bank.info().schema_version) == (HASH_1, SCHEMA_VERSION)
        assert await bank.embed_answers(HashingEmbedder()) == 3
        assert bank.verify().problems == ()
    if place.kind == "sqlite":
        assert backup_path(Path(old), 2).is_file()


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_the_old_file_is_kept_beside_the_new_one(old: str) -> None:
    path = Path(old)
    before = list(sqlite3.connect(path).iterdump())
    QuestionBank.open(old).close()
    QuestionBank.open(old).close()
    copy = backup_path(path, 1)
    assert list(sqlite3.connect(copy).iterdump()) == before
    assert sorted(entry.name for entry in path.parent.glob(f"*{path.name}*backup*")) == [copy.name]
    shutil.copy(copy, path)
    copy.write_text("mine")
    with QuestionBank.open(old) as bank:
        assert bank.content_hash == HASH_1
    assert copy.read_text() == "mine", "no earlier copy is overwritten"
    assert list(sqlite3.connect(backup_path(path, 1, 2)).iterdump()) == before


def test_a_failed_migration_changes_nothing(old: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(connection: object) -> None:
        MIGRATION_1(connection)  # type: ignore[arg-type]
        raise RuntimeError("power cut")

    MIGRATION_1 = MIGRATIONS[1]  # noqa: N806
    monkeypatch.setitem(MIGRATIONS, 1, broken)
    with pytest.raises(RuntimeError, match="power cut"):
        QuestionBank.open(old)
    monkeypatch.undo()
    with QuestionBank.open(old) as bank:
        assert (bank.content_hash, bank.info().schema_version) == (HASH_1, SCHEMA_VERSION)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user's place, which only root can")
@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_read_only_file_is_refused_in_one_line(old: str) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        file = Path(shutil.copy(old, folder / "bank.db"))
        file.chmod(0o444)
        os.seteuid(65534)
        try:
            with pytest.raises(
                BankError, match=r"schema version 1 and must be brought to version .*writable"
            ) as caught:
                QuestionBank.open(file)
        finally:
            os.seteuid(0)
        assert "\n" not in str(caught.value)
        assert [entry.name for entry in folder.iterdir()] == ["bank.db"]
    finally:
        shutil.rmtree(folder)


def test_a_newer_bank_is_refused(place: Place) -> None:
    place.create().close()
    place.execute("bank", "UPDATE bank_manifest SET schema_version = 99")
    with pytest.raises(BankError, match=f"version 99, made by a newer smcs.*up to {SCHEMA_VERSION}.*Upgrade smcs"):
        QuestionBank.open(place.url())
