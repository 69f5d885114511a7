"""`smcs keys`: made, listed and revoked from the command line."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smcs.gateway.ledger import KeyRecord, Ledger

Smcs = Callable[..., Any]
Config = Callable[..., Path]


async def opens(path: Path, text: str) -> KeyRecord | None:
    async with Ledger.open(path) as ledger:
        return await ledger.authenticate(text)


def test_a_key_is_shown_once_and_opens(smcs: Smcs, tmp_path: Path) -> None:
    place = tmp_path / "keys.db"
    result = smcs(
        "keys", "create", "team", "--usd-day", "1.5", "--rpm", 60, "--models", "smcs*, qwen", "--database", place
    )
    assert result.code == 0
    text = result.out.strip()
    assert re.fullmatch(r"sk-smcs-[0-9a-f]{12}-[A-Za-z0-9_-]{43}", text)
    assert "models smcs*,qwen, rpm 60, usd-day 1.5" in result.err
    assert text not in result.err
    record = asyncio.run(opens(place, text))
    assert record is not None
    assert (record.limits.models, record.limits.usd_per_day, record.limits.tokens_per_minute) == (
        ("smcs*", "qwen"),
        1.5,
        None,
    )
    listed = smcs("keys", "list", "--database", place)
    assert "team" in listed.out
    assert "$0.0000 today" in listed.out
    assert text.split("-", 3)[3] not in listed.out


def test_an_administrators_key_is_made_and_shown_as_one(smcs: Smcs, tmp_path: Path) -> None:
    place = tmp_path / "keys.db"
    result = smcs("keys", "create", "boss", "--admin", "--rpm", 9, "--database", place)
    assert "key" in result.err
    assert ": admin, rpm 9." in " ".join(result.err.split())
    smcs("keys", "create", "chief", "--admin", "--database", place)
    record = asyncio.run(opens(place, result.out.strip()))
    assert record is not None
    assert record.limits.admin
    rows = json.loads(smcs("keys", "list", "--database", place, "--json").out)
    assert [row["limits"]["admin"] for row in rows] == [True, True]
    listed = smcs("keys", "list", "--database", place).out
    assert "admin, rpm 9" in listed
    assert "admin, no limits" in listed


def test_a_revoked_key_opens_no_more(smcs: Smcs, tmp_path: Path) -> None:
    place = tmp_path / "keys.db"
    made = json.loads(smcs("keys", "create", "team", "--database", place, "--json").out)
    assert asyncio.run(opens(place, made["key"])) is not None
    result = smcs("keys", "revoke", "team", "--database", place)
    assert (result.code, result.out) == (0, f"revoked key {made['id']} of team\n")
    assert asyncio.run(opens(place, made["key"])) is None
    assert json.loads(smcs("keys", "list", "--database", place, "--json").out) == []
    (row,) = json.loads(smcs("keys", "list", "--database", place, "--json", "--all").out)
    assert (row["id"], row["use"]) == (made["id"], None)
    assert row["revoked"] is not None


def test_the_database_is_the_configs_or_beside_it(smcs: Smcs, config: Config, tmp_path: Path) -> None:
    assert smcs("keys", "create", "team", "-c", config()).code == 0
    assert (tmp_path / "smcs-gateway.db").is_file()
    assert smcs("keys", "list", "-c", config()).out.count("team") == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["list"], "There are no keys and no ledger at"),
        (["revoke", "x"], "There are no keys and no ledger at"),
        (["create", "te\tam"], "A key's name is"),
        (["create", "team", "--usd-day", "0"], "`usd_per_day` must be above 0"),
        (["create", "team", "--models", ""], "`models` must hold"),
    ],
)
def test_mistakes_are_one_line_and_make_nothing(smcs: Smcs, tmp_path: Path, arguments: list[str], line: str) -> None:
    result = smcs("keys", *arguments, "--database", tmp_path / "none.db")
    assert (result.code, result.out) == (2, "")
    assert line in result.err
    assert result.err.count("\n") == 1


def test_no_keys_says_how_to_make_one(smcs: Smcs, tmp_path: Path) -> None:
    place = tmp_path / "keys.db"
    Ledger.open(place)
    result = smcs("keys", "list", "--database", place)
    assert (result.code, result.out) == (0, "")
    assert "smcs keys create NAME" in result.err
