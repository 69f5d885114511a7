"""`smcs runs`: the ledger from the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers_ledger import SECRETS, entry, full_run
from smcs.gateway.ledger import Entry, Hold, KeyLimits, Ledger

Smcs = Callable[..., Any]

HOSTILE = "\x1b[31mred\x1b[0m [bold]"


@pytest.fixture
def ledger(tmp_path: Path) -> tuple[Path, list[Entry]]:
    """A ledger of a full run, a failed request of a key, and a cheap one from long ago."""
    place = tmp_path / "runs.db"
    made = [
        entry(1, created="2001-01-01T00:00:00.000+00:00", model="old"),
        Entry.of_run(full_run(), endpoint="/v1/chat/completions", model="smcs", streamed=True, metadata={"team": "a"}),
        entry(2, status="failed", http_status=502, cost_usd=None, known_cost_usd=0.0, error=f"No answer {HOSTILE}"),
    ]

    async def fill() -> None:
        async with Ledger.open(place) as opened:
            _, key = await opened.create_key("team", KeyLimits(requests_per_minute=10))
            for i, each in enumerate(made):
                await opened.settle(await opened.reserve(key if i == 2 else None, Hold(None, 0)), each)
            await opened.feedback(made[1].id, "bad", "42", "wrong city")

    asyncio.run(fill())
    return place, made


def test_lists_are_the_newest_first(smcs: Smcs, ledger: tuple[Path, list[Entry]]) -> None:
    place, made = ledger
    result = smcs("runs", "list", "--database", place)
    assert result.code == 0
    assert [line.split()[0] for line in result.out.splitlines()[1:]] == [made[2].id, made[1].id, made[0].id]
    assert "unknown (at least $0.1250)" in result.out
    assert "No answer [31mred[0m [bold]" in result.out
    assert "\x1b" not in result.out
    rows = json.loads(smcs("runs", "list", "--database", place, "--json", "--since", "2025-01-01", "-n", 1).out)
    assert [row["id"] for row in rows] == [made[2].id]
    (failed,) = json.loads(smcs("runs", "list", "--database", place, "--json", "--status", "failed").out)
    assert failed["cost_usd"] is None
    assert (
        json.loads(smcs("runs", "list", "--database", place, "--json", "--text", "CAPITAL").out)[0]["id"] == made[1].id
    )
    assert smcs("runs", "list", "--database", place, "--since", "1h", "--until", "2030-01-01").err.strip() == "no runs"


def test_runs_are_chosen_by_the_name_of_a_key(smcs: Smcs, ledger: tuple[Path, list[Entry]]) -> None:
    place, made = ledger
    (row,) = json.loads(smcs("runs", "list", "--database", place, "--json", "--key", "team").out)
    assert row["id"] == made[2].id
    assert len(json.loads(smcs("runs", "list", "--database", place, "--json", "--key", "").out)) == 2
    result = smcs("runs", "list", "--database", place, "--key", "taem")
    assert (result.code, "Did you mean 'team'?" in result.err) == (2, True)


def test_a_run_is_shown_with_its_evidence(smcs: Smcs, ledger: tuple[Path, list[Entry]]) -> None:
    place, made = ledger
    result = smcs("runs", "show", made[1].id, "--database", place)
    assert result.code == 0
    for shown in (
        SECRETS[0],
        SECRETS[1],
        "why this answer",
        "streamed",
        "correct answer: 42",
        '{"team": "a"}',
        "1.250",
    ):
        assert shown in result.out
    stored = json.loads(smcs("runs", "show", made[1].id, "--database", place, "--json").out)
    assert (stored["record"]["answer"], stored["row"]["status"]) == (SECRETS[1], "degraded")


def test_a_failed_run_is_shown_without_a_record(smcs: Smcs, ledger: tuple[Path, list[Entry]]) -> None:
    place, made = ledger
    result = smcs("runs", "show", made[2].id, "--database", place)
    assert result.code == 0
    assert "error: No answer [31mred" in result.out
    assert "no record: none was kept" in result.out
    missing = smcs("runs", "show", "../x", "--database", place)
    assert (missing.code, missing.err) == (2, "smcs: The ledger has no run '../x'. `smcs runs list` shows their ids.\n")


def test_exports_are_json_lines(smcs: Smcs, ledger: tuple[Path, list[Entry]], tmp_path: Path) -> None:
    place, made = ledger
    file = tmp_path / "out.jsonl"
    assert smcs("runs", "export", file, "--no-records", "--database", place).err == "3 runs\n"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["row"]["id"] for line in lines] == [each.id for each in made]
    assert SECRETS[1] not in file.read_text()


def test_spending_names_what_is_unknown(smcs: Smcs, ledger: tuple[Path, list[Entry]]) -> None:
    place, _ = ledger
    rows = {row["name"]: row for row in json.loads(smcs("runs", "spend", "--database", place, "--json").out)}
    assert (rows["old"]["cost_usd"], rows["smcs"]["cost_usd"], rows["smcs"]["unknown"]) == (0.25, None, 2)
    assert "unknown (at least $0.1250)" in smcs("runs", "spend", "--by", "model", "--database", place).out
    assert smcs("runs", "spend", "--by", "colour", "--database", place).code == 2


def test_old_runs_are_forgotten(smcs: Smcs, ledger: tuple[Path, list[Entry]]) -> None:
    place, made = ledger
    assert smcs("runs", "prune", "--older-than", "1000w", "--database", place).out == "1 runs forgotten\n"
    assert smcs("runs", "show", made[0].id, "--database", place).code == 2
    wrong = smcs("runs", "prune", "--older-than", "30", "--database", place)
    assert (wrong.code, "30d, got '30'" in wrong.err) == (2, True)
    assert smcs("runs", "prune", "--database", place).code == 2
