"""A test call through the running gateway, and what the page reads of the pool afterwards."""

from __future__ import annotations

from pathlib import Path

from helpers_gateway import gateway
from smcs.gateway.access import switch_llm
from smcs.gateway.desk import OwnDesk
from smcs.studio.frame import Studio
from smcs.studio.pool.authors import count_authors
from smcs.studio.pool.page import read_facts
from smcs.studio.pool.trial import QUESTION, try_llm
from smcs.studio.pool.view import pool_rows
from smcs.studio.viewer import Viewer


async def test_a_test_call_is_a_request_like_any_other(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        studio = Studio(served.gateway, Viewer(None), OwnDesk(served.gateway))
        name = next(iter((await read_facts(studio)).members))
        trial = await try_llm(OwnDesk(served.gateway), name, None)
        assert trial.ok
        assert trial.text
        assert "cost" in trial.figures
        stored = await served.gateway.ledger.run(trial.run_id)
        assert stored is not None
        assert (stored.row.endpoint, stored.row.model, stored.row.question) == ("studio", name, QUESTION)
        row = next(row for row in pool_rows(await read_facts(studio)) if row.name == name)
        assert (row.calls, row.errors, row.status) == ("1", "none", "ready")

        await switch_llm(served.gateway, name, off=True, why="a rest", key=None)
        refused = await try_llm(OwnDesk(served.gateway), name, None)
        assert (refused.ok, refused.run_id) == (False, "")
        assert "switched off" in refused.text
        row = next(row for row in pool_rows(await read_facts(studio)) if row.name == name)
        assert (row.is_off, row.kind) == (True, "off")
        assert row.why.endswith("a rest")


async def test_answers_of_collaborations_have_an_author(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        name = next(iter(served.gateway.service.resources.pool))
        await try_llm(OwnDesk(served.gateway), name, None)
        assert (await served.chat()).status == 200
        authors = await count_authors(served.gateway.ledger)
        assert authors.answers == 1, "an LLM that was handed through was not chosen"
        assert sum(authors.by_llm.values()) == 1
        assert set(authors.by_llm) <= set(served.gateway.service.breakers)
        assert await count_authors(served.gateway.ledger) is authors
