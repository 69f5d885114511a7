"""When the text of a call is the answer while it is being written, and what happens if it breaks off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from helpers_methods import NAMES, choice_query, requests, team
from helpers_strategies import SETTINGS
from smcs.bank import QuestionBank
from smcs.errors import LLMError, NoUsableAnswerError
from smcs.llms import DeltaSink, Member
from smcs.run import AnswerBegins, AttemptStarted, Event, Run, TextArrived, Trace
from smcs.strategies import STRATEGIES, Resources, Settings, strategy
from smcs.types import Choice, Completion, Delta, Request

ALL = (*NAMES, "merger", "second")
ROUTERS = ("single", "simple_router", "rps")
MERGERS = ("moa", "self_moa", "symbolic_moe")


def over(bank: QuestionBank, **llms: Broken) -> Resources:
    known = team(bank, names=ALL, aggregators=("merger", "second"))
    pool = {name: Member(name, llms[name]) if name in llms else member for name, member in known.pool.items()}
    return replace(known, pool=pool)


class Broken:
    """An LLM that hands out pieces and then fails, or gives another text than it handed out."""

    def __init__(self, *pieces: Delta, text: str | None = None) -> None:
        self.pieces = pieces
        self.text = text

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        for piece in self.pieces if on_delta is not None else ():
            on_delta(piece)  # type: ignore[misc]
        if self.text is None:
            raise LLMError("the connection broke", llm="broken")
        return Completion((Choice(self.text),))


async def watched(
    resources: Resources, name: str, values: Settings = SETTINGS, *, wants_text: bool = True
) -> tuple[Run, list[Event]]:
    events: list[Event] = []
    trace = Trace(events.append, wants_text=wants_text)
    return await strategy(name)(choice_query(task="sums"), resources, values, trace), events


def live(events: list[Event]) -> tuple[AnswerBegins, str]:
    """Return the one beginning of an answer, and the text from there on."""
    (at,) = [index for index, event in enumerate(events) if isinstance(event, AnswerBegins)]
    begins = events[at]
    assert isinstance(begins, AnswerBegins)
    assert isinstance(events[at + 1], TextArrived)
    texts = [event for event in events[at:] if isinstance(event, TextArrived)]
    return begins, "".join(e.text for e in texts if (e.llm, e.stage) == (begins.llm, begins.stage))


@pytest.mark.parametrize("name", [*ROUTERS, *MERGERS])
async def test_the_text_after_the_beginning_is_the_answer(known: QuestionBank, name: str) -> None:
    record, events = await watched(over(known), name)
    begins, text = live(events)
    assert (text, begins.llm) == (record.answer, record.answered_by)
    assert begins.stage == ("reference" if name in ROUTERS else "aggregation")


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - {*ROUTERS, *MERGERS, "jisi"}))
async def test_what_is_chosen_among_candidates_is_never_live(known: QuestionBank, name: str) -> None:
    _, events = await watched(over(known), name, replace(SETTINGS, samples=2))
    assert any(isinstance(event, TextArrived) for event in events)
    assert not any(isinstance(event, AnswerBegins) for event in events)


@pytest.mark.parametrize("name", [*ROUTERS, *MERGERS])
async def test_who_does_not_want_text_hears_of_no_beginning(known: QuestionBank, name: str) -> None:
    _, events = await watched(over(known), name, wants_text=False)
    assert not any(isinstance(event, (AnswerBegins, TextArrived)) for event in events)


@pytest.mark.parametrize("pieces", [(), (Delta("", "let me think"), Delta("  \n"))], ids=["nothing", "reasoning"])
async def test_before_the_first_piece_of_text_others_take_over(known: QuestionBank, pieces: tuple[Delta, ...]) -> None:
    resources = over(known, adder=Broken(*pieces))
    record, events = await watched(resources, "rps")
    begins, text = live(events)
    assert (record.answered_by, begins.llm, text) == ("half", "half", "answer of half")


@pytest.mark.parametrize("name", ["simple_router", "rps"])
async def test_after_the_first_piece_nobody_takes_over(known: QuestionBank, name: str) -> None:
    broken = Broken(Delta(" "), Delta("The answer"), Delta(" is"))
    resources = over(known, adder=broken)
    with pytest.raises(NoUsableAnswerError, match="broke off after its beginning was handed out") as error:
        await watched(resources, name)
    assert error.value.causes == ("reference by adder: error (the connection broke)",)
    assert not any(requests(resources, llm) for llm in ALL if llm != "adder")
    record, _ = await watched(over(known, adder=broken), name, wants_text=False)
    assert record.answered_by == "half"


@pytest.mark.parametrize("name", MERGERS)
async def test_an_aggregator_that_breaks_off_has_no_deputy_any_more(known: QuestionBank, name: str) -> None:
    resources = over(known, merger=Broken(Delta("All in all"), text=None))
    with pytest.raises(NoUsableAnswerError, match="broke off") as error:
        await watched(resources, name)
    assert error.value.causes[-1] == "aggregation by merger: error (the connection broke)"
    silent, events = await watched(over(known, merger=Broken()), name)
    begins, text = live(events)
    assert (begins.llm, text) == ("second", silent.answer)


async def test_a_merged_text_that_may_begin_with_a_tag_is_not_live(known: QuestionBank) -> None:
    wrapped = '<reference number="1">\nfour\n</reference>'
    resources = over(known, merger=Broken(Delta(wrapped[:5]), Delta(wrapped[5:]), text=wrapped))
    record, events = await watched(resources, "moa")
    assert record.answer == "four"
    assert not any(isinstance(event, AnswerBegins) for event in events)
    # Whoever answers alone has no tag taken off.
    record, events = await watched(over(known, adder=Broken(Delta("<b>4</b>"), text="<b>4</b>")), "rps")
    assert live(events)[1] == record.answer == "<b>4</b>"


async def test_text_that_turns_out_to_be_more_than_the_answer_is_told(known: QuestionBank) -> None:
    thinker = Broken(Delta("2 and 2... "), Delta("4"), text="4")
    record, events = await watched(over(known, adder=thinker), "rps")
    assert (record.answer, live(events)[1]) == ("4", "2 and 2... 4")
    assert record.degraded == ("what was handed out while adder wrote held reasoning too: its answer is shorter",)


async def test_only_the_last_aggregation_of_several_layers_is_live(known: QuestionBank) -> None:
    record, events = await watched(over(known), "moa", replace(SETTINGS, layers=2))
    begins, text = live(events)
    assert text == record.answer
    last = max(event.at for event in events if isinstance(event, AttemptStarted))
    assert begins.at >= last


@pytest.mark.parametrize("name", ["smcs", "smcs_guarded", "moa", "rps"])
async def test_the_shape_of_the_answer_is_asked_of_everyone(known: QuestionBank, name: str) -> None:
    shape: Mapping[str, object] = {"type": "json_object"}
    resources = over(known)
    values = replace(SETTINGS, sampling=replace(SETTINGS.sampling, response_format=shape))
    record, _ = await watched(resources, name, values)
    sent = [request for llm in ALL for request in requests(resources, llm)]
    assert len(sent) == record.calls
    assert all(request.sampling.response_format == shape for request in sent)
    assert record.settings["sampling"]["response_format"] == shape
