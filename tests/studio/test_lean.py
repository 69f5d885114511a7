"""What NiceGUI is kept from doing again, without a difference in what is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from nicegui import Client, helpers
from nicegui.page import page

from smcs.studio.lean import Select, keep_signatures


class Listener:
    """Methods of both kinds."""

    def told(self) -> None:
        """Take nothing."""

    def told_what(self, what: str) -> None:
        """Take something."""

    @classmethod
    def of_all(cls, what: str) -> None:
        """Take something."""


def test_signatures_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    real = helpers.expects_arguments

    def look(func: Callable[..., Any]) -> bool:
        looked.append(func)
        return real(func)

    monkeypatch.setattr(helpers, "expects_arguments", look)
    keep_signatures()
    for _ in range(3):
        assert not helpers.expects_arguments(Listener().told)
        assert helpers.expects_arguments(Listener().told_what)
        assert helpers.expects_arguments(Listener.of_all)
    assert len(looked) == 3
    assert helpers.expects_arguments(lambda what: what)
    assert not helpers.expects_arguments(lambda: None)
    assert not helpers.expects_arguments(Listener)


def test_a_nicegui_that_looks_at_no_signatures_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(helpers, "expects_arguments")
    keep_signatures()
    assert not hasattr(helpers, "expects_arguments")


async def test_options_are_laid_out_when_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nicegui.core.loop", asyncio.get_running_loop())
    client = Client(page("/"), request=None)
    with client:
        choice = Select({"a": "first", "b": "second"}, value="b", label="Which", with_input=True)
    options = choice.props["options"]
    choice.props("dense").style("width: 3rem")
    assert choice.props["options"] is options
    assert [one["label"] for one in options] == ["first", "second"]
    assert (choice.value, choice.props["dense"]) == ("b", True)
    choice.set_value("a")
    assert choice.props["model-value"]["label"] == "first"
    choice.set_options({"c": "third"}, value="c")
    assert [one["label"] for one in choice.props["options"]] == ["third"]
    assert choice.value == "c"
    client.delete()
