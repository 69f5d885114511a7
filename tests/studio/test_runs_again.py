from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers_gateway import QUESTION, gateway, pool
from helpers_ledger import full_run
from helpers_upstream import upstream
from smcs.errors import InputError
from smcs.gateway.desk import OwnDesk
from smcs.gateway.errors import GatewayError
from smcs.gateway.models import PassThrough, VirtualModel
from smcs.run import Query, Run
from smcs.strategies import Settings, find_strategy
from smcs.studio.runs.again import Again, cannot_be_asked, knobs, of_run, read_form, to_request
from smcs.studio.runs.comparing import setting_rows
from smcs.studio.runs.difference import compare
from smcs.studio.runs.rerun import Rerun
from smcs.types import Message

ABLATIONS = {"rps", "similarity", "perplexity", "prior_drop"}


def virtual(strategy: str = "smcs_guarded") -> VirtualModel:
    return VirtualModel("smcs", find_strategy(strategy), Settings(), "")


PASSED: Any = PassThrough("alpha", None)  # type: ignore[arg-type]


def recorded(**changes: Any) -> Run:
    sampling = {"temperature": 0.7, "max_tokens": 50, "presence_penalty": 1.05, "stop": ["END"], "top_p": None}
    run = full_run(settings={"k": 3, "n": 4, "seed": 2**60, "sampling": sampling})
    return replace(run, query=Query.of(QUESTION), **changes)


def test_settings_of_a_run_are_proposed() -> None:
    assert of_run(recorded(), "smcs") == Again("smcs", k=3, n=4, temperature=0.7, seed=2**60)
    drawn = replace(recorded(), settings={"seed": None, "subset_seed": 7})
    assert of_run(drawn, "smcs").seed == 7
    bare = recorded(settings={"without": ["perplexity", "nonsense", "rps"]})
    assert set(of_run(bare, "smcs").without) == {"rps", "perplexity"}
    damaged = full_run(settings={"k": True, "n": "x", "sampling": None, "without": 3})
    assert of_run(damaged, "smcs") == Again("smcs")


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (None, "not kept"),
        (full_run(query=Query("", (Message("user", ""),))), "not kept"),
        (full_run(query=Query("x", (Message("user", "x"), Message("assistant", "y")))), "end with a user"),
        (full_run(), ""),
    ],
)
def test_what_cannot_be_asked_again(run: Run | None, said: str) -> None:
    why = cannot_be_asked(run)
    assert said in why
    assert bool(why) == bool(said)


def test_what_can_be_set_depends_on_model_and_strategy() -> None:
    assert knobs(PASSED, "") == frozenset()
    assert knobs(None, "smcs") == frozenset()
    assert knobs(virtual(), "") == {"strategy", "k", "n", *ABLATIONS}
    assert knobs(virtual(), "majority_vote") == {"strategy"}
    assert knobs(virtual("moa"), "prior_vote") == {"strategy", "k", "rps"}
    assert knobs(virtual(), "best_of_n") == {"strategy", "similarity", "perplexity"}


def test_form_is_read() -> None:
    values = {"model": "smcs", "strategy": "smcs", "k": " 2 ", "n": "", "temperature": "0,5", "seed": "0"}
    assert read_form(values) == Again("smcs", "smcs", 2, None, 0.5, 0)
    assert read_form({}) == Again("")


@pytest.mark.parametrize("name", ["k", "n", "temperature", "seed"])
@pytest.mark.parametrize("text", ["x", "1e3x", "--1", "7; drop", "²", "0x10", "1_0_0x", "٣x"])
def test_what_is_no_number_is_said(name: str, text: str) -> None:
    with pytest.raises(InputError, match="number"):
        read_form({name: text})


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1e999"])
def test_temperature_is_finite(text: str) -> None:
    with pytest.raises(InputError, match="temperature"):
        read_form({"temperature": text})


@pytest.mark.parametrize(
    "again",
    [
        Again("smcs", k=0),
        Again("smcs", k=10**18),
        Again("smcs", n=-1),
        Again("smcs", temperature=9.0),
        Again("smcs", seed=10**19),
        Again("", k=1),
        Again("smcs", "No Such; Strategy"),
    ],
)
def test_bounds_are_those_of_the_api(again: Again) -> None:
    with pytest.raises(GatewayError) as caught:
        to_request(recorded(), again, virtual())
    assert caught.value.status == 400


def test_request_has_the_recorded_conversation_and_only_what_was_changed() -> None:
    request = to_request(recorded(), Again("smcs", "smcs", 2, 5, 0.0, 7), virtual())
    assert [message.content for message in request.messages] == [QUESTION]
    assert (request.options.strategy, request.options.k, request.options.n) == ("smcs", 2, 5)
    assert (request.temperature, request.seed, request.max_tokens) == (0.0, 7, 50)
    assert (request.presence_penalty, request.stops) == (1.05, ("END",))


def test_parts_that_the_strategy_has_are_left_out_and_only_those() -> None:
    wanted = Again("smcs", without=("rps", "perplexity"))
    assert to_request(recorded(), wanted, virtual()).options.without == ["rps", "perplexity"]
    assert to_request(recorded(), replace(wanted, strategy="best_of_n"), virtual()).options.without == ["perplexity"]
    assert to_request(recorded(), replace(wanted, strategy="moa"), virtual()).options.without is None
    # what the model is configured to leave out comes back where no box is ticked
    assert to_request(recorded(), Again("smcs"), virtual()).options.without == []


def test_llm_that_is_asked_by_name_gets_nothing_of_the_collaboration() -> None:
    request = to_request(recorded(), Again("alpha", "smcs", 2, 5, 0.25, None, ("rps",)), PASSED)
    assert request.smcs is None
    assert (request.model, request.temperature, request.seed) == ("alpha", 0.25, None)
    assert request.presence_penalty is None


async def test_rerun_is_a_new_run_in_the_ledger(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        await served.chat()
        first = (await served.rows(1))[0]
        stored = await served.gateway.ledger.run(first.id)
        assert stored is not None
        assert stored.record is not None
        models = served.gateway.service.models
        rerun = Rerun(OwnDesk(served.gateway), None)
        request = to_request(
            stored.record, replace(of_run(stored.record, "smcs"), k=1, without=("perplexity",)), models.get("smcs")
        )
        run_id = await rerun.run(request)
        rows = await served.rows(2)
        again = await served.gateway.ledger.run(str(run_id))
    assert rows[1].id == run_id != first.id
    assert again is not None
    assert again.record is not None
    assert again.record.query.messages == stored.record.query.messages
    assert again.record.settings["k"] == 1
    assert again.record.settings["without"] == ["perplexity"]
    assert [[cell.text for cell in row] for row in setting_rows(compare(stored.record, again.record))][-1] == [
        "without (parts of the method left out)",
        "none",
        '["perplexity"]',
    ]
    assert again.record.settings["subset_seed"] == stored.record.settings["subset_seed"]
    assert rerun.words.startswith(f"{again.row.calls} of {again.row.calls} calls are back")


async def test_rerun_can_be_stopped_and_refused(tmp_path: Path) -> None:
    async with upstream(script={"*": {"behaviour": "hang"}}) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        rerun = Rerun(OwnDesk(served.gateway), None)
        with pytest.raises(GatewayError):
            await rerun.run(to_request(recorded(), Again("nope"), None))
        running = asyncio.create_task(rerun.run(to_request(recorded(), Again("alpha"), PASSED)))
        await up.until(running=1)
        with pytest.raises(RuntimeError):
            await rerun.run(to_request(recorded(), Again("alpha"), PASSED))
        rerun.stop()
        assert await running is None
        assert not rerun.is_running
        rows = await served.rows()
    assert rows[-1].status == "cancelled"
