"""What was said before, and a conversation that is taken up again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from helpers_ledger import full_run
from smcs.gateway.entries import StoredRun, asked_last
from smcs.run import Query, Run
from smcs.studio.ask.past import Past, past_of
from smcs.types import Message


def stored(*messages: tuple[str, str], record: bool = True, **changes: Any) -> StoredRun:
    turns = tuple(Message(cast("Any", role), text) for role, text in messages)
    run: Run | None = full_run(query=Query("what was looked up", turns), **changes) if record else None
    row = cast("Any", type("Row", (), {"model": "smcs", "question": "kept beginning"}))
    return StoredRun(row, (), {}, {}, (), run, None)


def said(past: Past, model: str) -> list[tuple[str, str]]:
    return [(each.role, each.content) for each in past.messages(model, "next")]


def test_each_model_goes_on_from_what_it_said_itself() -> None:
    past = Past().with_answers("one", {"a": "A1", "b": "B1"}).with_answers("two", {}).with_answers("three", {"b": "B3"})
    assert said(past, "a") == [
        *(("user", "one"), ("assistant", "A1"), ("user", "three"), ("assistant", "B3"), ("user", "next")),
    ]
    assert said(past, "b")[1] == ("assistant", "B1")
    assert said(past, "c")[1] == ("assistant", "A1")


def test_a_conversation_is_taken_up_from_its_last_run() -> None:
    turns = (("system", "be brief"), ("user", "one"), ("assistant", "A1"), ("user", "two"))
    past, question = past_of(stored(*turns, answer="A2", answered_by="a"))
    assert question == "two"
    assert said(past, "smcs") == [*turns, ("assistant", "A2"), ("user", "next")]


def test_what_was_not_answered_is_not_gone_on_from() -> None:
    past, question = past_of(stored(("user", "one"), ("assistant", "A1"), ("user", "two"), answer="", answered_by=""))
    assert (question, len(past.exchanges)) == ("two", 1)
    joined, both = past_of(stored(("user", "one"), ("user", "two"), answer="yes", answered_by="a"))
    assert both == joined.exchanges[0].question == "one\n\ntwo"
    kept_no_texts = stored(("user", ""), answer="", answered_by="a")
    assert kept_no_texts.record is not None
    bare = replace(kept_no_texts.record, query=replace(kept_no_texts.record.query, text=""))
    assert past_of(replace(kept_no_texts, record=bare)) == (Past(), "kept beginning")
    assert past_of(replace(stored(("user", "one")), record=None)) == (Past(), "kept beginning")


def test_what_was_asked_last_is_what_the_user_said() -> None:
    run = full_run(query=Query("one\ntwo", (Message("user", "one"), Message("assistant", "A"), Message("user", "two"))))
    assert asked_last(run) == "two"
    pictures = replace(run, query=Query("(no text)", (Message("user", ""),)))
    assert asked_last(pictures) == "(no text)"
