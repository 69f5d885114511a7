"""The ledger: reservations, settlements, reports; several processes at once; processes that are killed."""

from __future__ import annotations

import asyncio
import io
import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from helpers_ledger import SECRETS, Ledgers, all_runs, entry, full_run, run_script
from smcs.errors import ConfigError, InputError, RunError
from smcs.gateway import schema
from smcs.gateway.ledger import (
    Entry,
    Hold,
    KeyLimits,
    Ledger,
    LimitReached,
    NoSuchRunError,
    Redaction,
    Retention,
    RunFilter,
)
from smcs.types import Attempt, Usage

MINUTE, DAY = 60.0, 86_400.0


async def request(ledger: Ledger, key: Any = None, *, usd: float | None = 0.5, **changes: Any) -> Entry:
    """Reserve and settle one request."""
    reservation = await ledger.reserve(key, Hold(usd, 100))
    made = entry(key_id=reservation.key_id, **changes)
    await ledger.settle(reservation, made)
    return made


def contents(folder: str | Path) -> dict[str, bytes]:
    """Return every file of a folder."""
    return {file.name: file.read_bytes() for file in Path(folder).iterdir() if file.is_file()}


def mode(path: str) -> int:
    """Return who may do what with a file."""
    return stat.S_IMODE(Path(path).stat().st_mode)


async def count(ledger: Ledger, name: str) -> int:
    table = schema.metadata.tables[name]

    def query(connection: Connection) -> int:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()

    return await ledger._read(query)


async def test_a_budget_holds_and_is_given_back(ledgers: Ledgers) -> None:
    ledger = ledgers.open()
    _, key = await ledger.create_key("team", KeyLimits(usd_per_day=1.0, max_concurrent=5))
    first, second = [await ledger.reserve(key, Hold(0.5, 100)) for _ in range(2)]
    with pytest.raises(LimitReached, match=r"\$0\.0000 are spent, \$1\.0000 held"):
        await ledger.reserve(key, Hold(0.001, 100))
    await ledger.settle(first, entry(key_id=key.id))
    await ledger.release(second)
    use = (await ledger.key_use())[key.id]
    assert (use.usd_today, use.usd_this_month, use.usd_held, use.running) == (0.25, 0.25, 0.0, 0)
    assert (use.requests_this_minute, use.tokens_this_minute) == (2, 30)
    await ledger.reserve(key, Hold(0.75, 100))
    assert (await ledger.totals()).running == 1


async def test_without_limits_nothing_is_written_to_reserve(sqlite: Ledgers) -> None:
    ledger = sqlite.open()
    _, key = await ledger.create_key("team", KeyLimits(("smcs*",)))
    for each in (None, key):
        reservation = await ledger.reserve(each, Hold(None, 10))
        assert not reservation.stored
        await ledger.settle(reservation, entry(key_id=reservation.key_id))
    assert await count(ledger, "gateway_reservations") == 0
    assert await count(ledger, "gateway_runs") == 2


async def test_an_unknown_cost_is_charged_as_it_was_held(ledgers: Ledgers) -> None:
    ledger = ledgers.open()
    _, key = await ledger.create_key("team", KeyLimits(usd_per_day=10.0, tokens_per_minute=1000))
    unknown = {"cost_usd": None, "known_cost_usd": 0.125, "prompt_tokens": None}
    await request(ledger, key, **unknown)
    use = (await ledger.key_use())[key.id]
    assert (use.usd_today, use.tokens_this_minute) == (0.5, 100)
    await request(ledger, key, **{**unknown, "known_cost_usd": 0.75})
    (latest, earlier) = await ledger.runs()
    assert {latest.charged_usd, earlier.charged_usd} == {0.5, 0.75}
    assert latest.cost_usd is earlier.cost_usd is None
    assert (await ledger.key_use())[key.id].usd_today == 1.25


async def test_an_unknown_price_is_refused_where_money_is_limited(sqlite: Ledgers) -> None:
    ledger = sqlite.open()
    _, key = await ledger.create_key("team", KeyLimits(usd_per_month=10.0))
    with pytest.raises(LimitReached, match="has no price") as caught:
        await ledger.reserve(key, Hold(None, 10))
    assert caught.value.limit == "usd_per_month"


async def test_a_killed_servers_requests_are_settled_at_their_full_amount(ledgers: Ledgers) -> None:
    dead, alive = ledgers.open(), ledgers.open()
    _, key = await alive.create_key("team", KeyLimits(usd_per_day=1.0))
    lost = await dead.reserve(key, Hold(0.5, 100, endpoint="/v1/chat/completions", model="smcs"))
    kept = await alive.reserve(key, Hold(0.25, 100))
    ledgers.clock.now += 40
    assert await alive.maintain() == 0
    ledgers.clock.now += 30
    assert await alive.maintain() == 1
    (row,) = await alive.runs(status="lost")
    assert (row.id, row.model, row.cost_usd, row.charged_usd) == (lost.id, "smcs", None, 0.5)
    assert row.error == "the server that ran it died"
    use = (await alive.key_use())[key.id]
    assert (use.usd_today, use.usd_held, use.running) == (0.5, 0.25, 1)
    assert (await alive.totals()).unknown == 1
    await alive.settle(kept, entry(key_id=key.id))
    # It was not dead, only slow: what it really took replaces what it was charged.
    await dead.settle(lost, entry(key_id=key.id, cost_usd=0.125, known_cost_usd=0.125))
    use = (await alive.key_use())[key.id]
    assert (use.usd_today, use.usd_this_month, use.usd_held, use.running) == (0.375, 0.375, 0.0, 0)
    totals = await alive.totals()
    assert (totals.runs, totals.failed, totals.unknown, totals.cost_usd) == (2, 0, 0, 0.375)
    assert await alive.runs(status="lost") == []


async def test_a_cancelled_reservation_holds_nothing(ledgers: Ledgers) -> None:
    ledger = ledgers.open()
    _, key = await ledger.create_key("team", KeyLimits(max_concurrent=100))
    tasks = [asyncio.create_task(ledger.reserve(key, Hold(0.0, 0))) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await ledger.reserve(key, Hold(0.0, 0))
    await asyncio.sleep(0)
    while ledger._settling:
        await asyncio.wait(ledger._settling)
    assert (await ledger.key_use())[key.id].running == 1


async def test_a_settlement_is_carried_out_when_its_request_is_cancelled(ledgers: Ledgers) -> None:
    ledger = ledgers.open()
    _, key = await ledger.create_key("team", KeyLimits(max_concurrent=1))
    reservation = await ledger.reserve(key, Hold(0.0, 0))
    task = asyncio.create_task(ledger.settle(reservation, Entry.of_run(full_run(), endpoint="/", model="smcs")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ledger.close()
    (row,) = await ledgers.open().runs()
    assert row.status == "degraded"


async def test_a_run_is_settled_once(sqlite: Ledgers) -> None:
    ledger = sqlite.open()
    made = await request(ledger)
    with pytest.raises(RunError, match="UNIQUE"):
        await ledger.settle(await ledger.reserve(None, Hold(0.0, 0)), made)
    assert (await ledger.totals()).runs == 1


@pytest.mark.parametrize("logprobs", [False, True])
async def test_the_record_comes_back_as_it_was(ledgers: Ledgers, logprobs: bool) -> None:
    ledger, run = ledgers.open(logprobs=logprobs), full_run()
    made = Entry.of_run(run, endpoint="/v1/responses", model="smcs", user="u\x00\ud800", metadata={"team": "a"})
    await ledger.settle(await ledger.reserve(None, Hold(None, 0)), made)
    stored = await ledger.run(run.id)
    assert stored is not None
    assert stored.record is not None
    assert stored.record.attempts[0].choices[0].logprobs == ((-0.5, -0.25) if logprobs else None)
    assert (stored.record.answer, stored.record.query) == (run.answer, run.query)
    row = stored.row
    assert (row.status, row.calls, row.cost_usd, row.known_cost_usd) == ("degraded", 2, None, 0.125)
    assert (row.question, row.user, row.degraded) == (SECRETS[0], "u?", run.degraded)
    assert (stored.metadata, dict(stored.stage_seconds)) == ({"team": "a"}, {"references": 0.5})
    assert [(each.llm, each.status, each.cost_usd) for each in stored.attempts] == [
        ("adder", "ok", 0.125),
        ("half", "error", None),
    ]


@pytest.mark.parametrize(("redaction", "has_record"), [("texts", True), ("all", False)])
async def test_redaction_leaves_no_word(sqlite: Ledgers, redaction: Redaction, has_record: bool) -> None:
    ledger, run = sqlite.open(redaction=redaction), full_run()
    made = Entry.of_run(run, endpoint="/v1/chat/completions", model="smcs", user="u1")
    await ledger.settle(await ledger.reserve(None, Hold(None, 0)), made)
    stored = await ledger.run(run.id)
    assert stored is not None
    assert (stored.record is not None) == has_record
    shown = repr(stored) + (stored.record.to_json() if stored.record else "")
    assert [words for words in SECRETS if words in shown] == []
    assert (stored.row.user, stored.row.calls, stored.row.known_cost_usd) == ("u1", 2, 0.125)
    assert stored.row.degraded == ("reference lost: half (error)",)
    if stored.record:
        assert stored.record.priors == run.priors
        assert stored.record.candidates[0].score == 0.5
        assert stored.record.notes["vote_weights"] == {"adder": 0.5}
        assert stored.record.attempts[1].error == "HTTP 400"
    await ledger.close()
    for name, data in contents(sqlite.place.root).items():
        assert not any(words.encode() in data for words in SECRETS), name


async def test_what_failed_is_counted_too(sqlite: Ledgers) -> None:
    ledger = sqlite.open()
    attempts = (
        Attempt("a", "reference", "ok", usage=Usage(10, 5), cost_usd=0.5),
        Attempt("b", "reference", "timeout", error="late"),
        Attempt("c", "aggregation", "skipped", tries=0, cost_usd=0.0),
    )
    made = Entry.of_attempts(
        "a" * 32, "2025-11-22T13:00:00Z", attempts, endpoint="/", model="smcs", error="No LLM returned an answer"
    )
    assert (made.calls, made.cost_usd, made.known_cost_usd, made.prompt_tokens) == (2, None, 0.5, None)
    await ledger.settle(await ledger.reserve(None, Hold(None, 0)), made)
    (row,) = await ledger.runs(text="llm RETURNED")
    assert (row.status, row.created) == ("failed", "2025-11-22T13:00:00.000+00:00")
    spent = {each.name: each for each in await ledger.spend(by="llm")}
    assert set(spent) == {"a", "b"}
    assert (spent["a"].cost_usd, spent["b"].cost_usd, spent["b"].failed) == (0.5, None, 1)


@pytest.mark.parametrize("run_id", ["", "a" * 31, "A" * 32, "../../etc/passwd", "' OR 1=1 --", "a" * 33])
async def test_an_id_is_an_id(sqlite: Ledgers, run_id: str) -> None:
    ledger = sqlite.open()
    assert await ledger.run(run_id) is None
    with pytest.raises(NoSuchRunError):
        await ledger.feedback(run_id, "good")
    with pytest.raises(InputError, match="32 hexadecimal"):
        Entry(run_id, "2025-11-22", endpoint="/", model="m")


async def test_lists_go_on_where_they_ended_and_choose(ledgers: Ledgers) -> None:
    ledger = ledgers.open()
    _, key = await ledger.create_key("team", KeyLimits(requests_per_minute=1000))
    kinds: tuple[dict[str, Any], ...] = (
        {"model": "m1"},
        {"status": "failed", "error": "100% broken_"},
        {"strategy": "moa", "question": "Why Me?"},
    )
    made = [await request(ledger, key if i % 2 else None, number=i // 2, **kinds[i % 3]) for i in range(12)]
    newest = sorted(made, key=lambda each: (each.created, each.id), reverse=True)
    seen: list[str] = []
    before = None
    while page := await ledger.runs(limit=5, before=before):
        seen += [row.id for row in page]
        before = page[-1].cursor
    assert seen == [each.id for each in newest]
    for i, run in enumerate(newest):
        newer = await ledger.runs(limit=5, after=(run.created, run.id))
        assert [row.id for row in newer] == [each.id for each in newest[max(i - 5, 0) : i]]
    between = await ledger.runs(before=(newest[2].created, newest[2].id), after=(newest[6].created, newest[6].id))
    assert [row.id for row in between] == [each.id for each in newest[3:6]]
    last = (newest[-1].created, newest[-1].id)
    assert [row.id for row in await ledger.runs(after=last, model="m1")] == [
        each.id for each in newest[:-1] if each.model == "m1"
    ]

    async def found(**where: Any) -> set[str]:
        return {row.id for row in await ledger.runs(**where)}

    assert await found(key_id=key.id) == {each.id for each in made[1::2]}
    assert await found(key_id="") == {each.id for each in made[0::2]}
    assert await found(model="m1") == {each.id for each in made[0::3]}
    assert await found(status="failed") == await found(text="100% BROKEN_") == {each.id for each in made[1::3]}
    assert await found(text="why me") == await found(strategy="moa") == {each.id for each in made[2::3]}
    assert await found(text="%") == {each.id for each in made[1::3]}
    moment = "2025-11-22T12:00:00.003+00:00"
    assert await found(since=moment) == {each.id for each in made[6:]}
    assert await found(until="2025-11-22T13:00:00.003+01:00") == {each.id for each in made[:6]}
    wrongs: tuple[dict[str, Any], ...] = ({"limit": 0}, {"limit": 1001}, {"since": "yesterday"})
    for wrong in wrongs:
        with pytest.raises(InputError):
            await ledger.runs(**wrong)


async def test_an_export_has_every_run_once_the_oldest_first(
    ledgers: Ledgers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smcs.gateway.history._PAGE", 4)
    ledger = ledgers.open()
    made = [await request(ledger, number=i, record=full_run() if i == 3 else None) for i in range(9)]
    await ledger.feedback(made[3].id, "bad", "42", "no", key_id="")
    stream = io.BytesIO()
    assert await ledger.export(stream) == 9
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["row"]["id"] for line in lines] == [each.id for each in made]
    assert lines[3]["record"]["answer"] == SECRETS[1]
    assert lines[3]["feedback"][0]["answer"] == "42"
    file = tmp_path / "out.jsonl"
    assert await ledger.export(file, RunFilter(since="2025-11-22T12:00:00.002+00:00"), records=False) == 7
    assert SECRETS[1].encode() not in file.read_bytes()
    with pytest.raises(InputError, match="cannot be written"):
        await ledger.export(tmp_path / "nowhere" / "out.jsonl")
    assert [name for name in contents(tmp_path) if "out" in name] == ["out.jsonl"]


async def test_spending_is_exact_and_outlives_the_rows(ledgers: Ledgers) -> None:
    ledger = ledgers.open()
    _, key = await ledger.create_key("team", KeyLimits(requests_per_minute=1000))
    for i in range(30):
        cost = {"cost_usd": 0.1, "known_cost_usd": 0.1}
        await request(ledger, key if i % 3 else None, created=f"2025-11-{20 + i % 2}T23:59:59+00:00", **cost)
    by_key = {each.label: each for each in await ledger.spend(by="key")}
    assert (by_key["team"].cost_usd, by_key["no key"].cost_usd) == (2.0, 1.0)
    days = await ledger.spend(by="day")
    assert [(each.name, each.runs, each.cost_usd) for each in days] == [
        ("2025-11-21", 15, 1.5),
        ("2025-11-20", 15, 1.5),
    ]
    assert [each.name for each in await ledger.spend(by="day", until="2025-11-21")] == ["2025-11-20"]
    assert [each.name for each in await ledger.spend(by="day", since="2025-11-21", until="2025-11-21T01:00:00")] == [
        "2025-11-21"
    ]
    assert await ledger.prune(timedelta(hours=1)) == 30
    (whole,) = await ledger.spend(by="model")
    assert (whole.name, whole.runs, whole.cost_usd, whole.prompt_tokens) == ("smcs", 30, 3.0, 600)
    assert (await ledger.totals()).runs == 30
    assert await ledger.runs() == []


async def test_what_is_old_enough_is_forgotten(ledgers: Ledgers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smcs.gateway.ledger._AT_ONCE", 2)
    ledger = ledgers.open(retention=Retention(runs_days=30, records_days=7))
    for i in range(5):
        made = Entry.of_run(full_run(created=f"2025-11-{10 + i}T00:00:00.000+00:00"), endpoint="/", model="smcs")
        await ledger.settle(await ledger.reserve(None, Hold(None, 0)), made)
    await ledger.feedback(made.id, "good")
    ledgers.clock.now += 0.5 * DAY
    await ledger.maintain()
    assert await count(ledger, "gateway_runs") == 5
    assert await count(ledger, "gateway_records") == 0
    ledgers.clock.now += 18.5 * DAY
    await ledger.maintain()
    assert [row.created[:10] for row in await ledger.runs()] == ["2025-11-14", "2025-11-13", "2025-11-12"]
    ledgers.clock.now += DAY * 10
    await ledger.maintain()
    assert await count(ledger, "gateway_runs") == await count(ledger, "gateway_feedback") == 0
    for days in (0, -1, 40_000):
        with pytest.raises(InputError, match="runs_days"):
            Retention(runs_days=days)


async def test_the_last_word_of_each_key_counts(ledgers: Ledgers) -> None:
    ledger = ledgers.open()
    made = await request(ledger)
    await ledger.feedback(made.id, "good", key_id="a")
    await ledger.feedback(made.id, "bad", "42", "wrong \x00sum", key_id="a")
    await ledger.feedback(made.id, None, None, "fine", key_id="b")
    stored = await ledger.run(made.id)
    assert stored is not None
    words = sorted((said.key_id, said.verdict, said.answer, said.comment) for said in stored.feedback)
    assert words == [("a", "bad", "42", "wrong sum"), ("b", None, None, "fine")]
    with pytest.raises(NoSuchRunError):
        await ledger.feedback("0" * 32, "good")
    with pytest.raises(InputError, match="needs a verdict"):
        await ledger.feedback(made.id)


async def test_it_lives_beside_a_bank(ledgers: Ledgers) -> None:
    bank = ledgers.place.create("ledger")
    ledger = ledgers.open()
    await request(ledger)
    assert len(bank) == 0
    assert (await ledger.totals()).cost_usd == 0.25


def test_what_is_no_ledger_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no keys and no ledger at"):
        Ledger.open(tmp_path / "none.db", create=False)
    assert not (tmp_path / "none.db").exists()
    for url, why in {
        "mysql://h/d": "SQLite or PostgreSQL",
        "sqlite://": "needs a file",
        "://": "neither a path",
    }.items():
        with pytest.raises(ConfigError, match=why):
            Ledger.open(url)


async def test_a_new_file_is_for_its_owner_and_a_newer_one_is_refused(sqlite: Ledgers) -> None:
    ledger = sqlite.open()
    assert mode(sqlite.place.url("ledger")) == 0o600
    await ledger.close()
    sqlite.place.execute("ledger", "UPDATE gateway_meta SET schema_version = 99")
    with pytest.raises(ConfigError, match="schema version 99"):
        sqlite.open()


RACE = """
import asyncio, os, sys
from helpers_ledger import entry
from smcs.gateway.ledger import Hold, Ledger, LimitReached, LedgerUnavailableError

async def work():
    async with Ledger.open(sys.argv[1], clock=lambda: float(sys.argv[3])) as ledger:
        key = await ledger.authenticate(sys.argv[2])
        async def one():
            try:
                reservation = await ledger.reserve(key, Hold(0.02, 10))
            except LimitReached as error:
                assert error.limit == "usd_per_day", error.limit
                return
            await asyncio.sleep(0.001)
            await ledger.settle(reservation, entry(key_id=key.id, cost_usd=0.01, known_cost_usd=0.01))
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                for _ in range(5):
                    group.create_task(one())
                await asyncio.sleep(0.005)

children = []
for _ in range(8):
    child = os.fork()
    if not child:
        asyncio.run(work())
        os._exit(0)
    children.append(child)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


async def test_eight_processes_never_pass_one_budget(ledgers: Ledgers) -> None:
    ledger = ledgers.open()
    text, key = await ledger.create_key("team", KeyLimits(usd_per_day=0.25))
    with run_script(RACE, ledgers.place.url("ledger"), text, str(ledgers.clock.now)) as race:
        assert await asyncio.to_thread(race.wait, 100) == 0
    rows = await ledger.runs(limit=1000)
    totals = await ledger.totals()
    assert 12 <= len(rows) <= 25
    assert totals.cost_usd == round(0.01 * len(rows), 9)
    assert totals.running == 0
    assert (await ledger.key_use())[key.id].usd_held == 0.0


KILLED = """
import asyncio, os, signal, sys
from helpers_ledger import entry
from smcs.gateway.ledger import Hold, Ledger

async def work(out):
    ledger = Ledger.open(sys.argv[1], clock=lambda: float(sys.argv[3]))
    key = await ledger.authenticate(sys.argv[2])
    async def settle():
        while True:
            reservation = await ledger.reserve(key, Hold(0.02, 10))
            each = entry(key_id=key.id, cost_usd=0.01, known_cost_usd=0.01)
            await ledger.settle(reservation, each)
            os.write(out, each.id.encode() + b"\\n")
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(settle())

for _ in range(3):
    inside, out = os.pipe()
    child = os.fork()
    if not child:
        asyncio.run(work(out))
    os.close(out)
    with open(inside) as acknowledged:
        for _ in range(15):
            sys.stdout.write(acknowledged.readline())
        os.kill(child, signal.SIGKILL)
        sys.stdout.write(acknowledged.read())
    os.waitpid(child, 0)
"""


async def test_killed_writers_lose_nothing_they_acknowledged(ledgers: Ledgers) -> None:
    ledger = ledgers.open()
    text, key = await ledger.create_key("team", KeyLimits(usd_per_day=1000.0))
    with run_script(KILLED, ledgers.place.url("ledger"), text, str(ledgers.clock.now)) as script:
        written, _ = await asyncio.to_thread(script.communicate, None, 100)
    assert script.returncode == 0
    acknowledged = written.split()
    assert len(acknowledged) >= 45
    # The database may still end what the dead had sent: this waits for their last hold of the key's row.
    await ledger.release(await ledger.reserve(key, Hold(0.0, 0)))
    rows = {row.id: row for row in await all_runs(ledger)}
    assert set(acknowledged) <= set(rows)
    # What they held is settled as lost once their leases are over, and the sums fit.
    ledgers.clock.now += 2 * MINUTE
    lost = await ledger.maintain()
    totals = await ledger.totals()
    assert (totals.running, totals.unknown, totals.runs) == (0, lost, len(rows) + lost)
    use = (await ledger.key_use())[key.id]
    assert (use.usd_held, use.running) == (0.0, 0)
    assert use.usd_this_month == pytest.approx(0.01 * len(rows) + 0.02 * lost)
