"""Addresses of the Bank pages: what is looked at stands in the address, so that it can be shared and gone back to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args
from urllib.parse import urlencode

from smcs.studio.bank.heat import HeatChoice
from smcs.studio.bank.questions import WAS, Wanted

__all__ = (
    "VIEWS",
    "View",
    "address",
    "heat_address",
    "page_number",
    "question_address",
    "questions_address",
    "read_heat",
    "read_view",
    "read_wanted",
)

View = Literal["overview", "questions", "map", "llm", "gaps", "growth"]

VIEWS: Final[Mapping[View, str]] = {
    "overview": "Overview",
    "questions": "Questions",
    "map": "Map",
    "llm": "One LLM",
    "gaps": "Gaps",
    "growth": "Growth",
}
"""Each view with its name."""

_PATH: Final = "/bank"
_MOST_CHARACTERS: Final = 2_000
_MOST_PAGES: Final = 1_000_000


def address(view: View, **parameters: str | int | None) -> str:
    """Return the address of a view; what is `None` or empty is left out."""
    given = {name: value for name, value in parameters.items() if value not in (None, "")}
    return f"{_PATH}?{urlencode({'view': view, **given})}"


def question_address(question_id: str) -> str:
    """Return the address of one question."""
    return address("questions", id=question_id)


def questions_address(wanted: Wanted) -> str:
    """Return the address of a list of questions. A task or subject without a name is one all the same."""
    labels = {name: value for name, value in (("task", wanted.task), ("subject", wanted.subject)) if value is not None}
    base = address(
        "questions",
        q=wanted.text,
        by="meaning" if wanted.meaning else None,
        llm=wanted.llm,
        was=None if wanted.was == "any" else wanted.was,
        page=None if wanted.page == 1 else wanted.page,
    )
    return f"{base}&{urlencode(labels)}" if labels else base


def heat_address(choice: HeatChoice) -> str:
    """Return the address of a part of the heat map."""
    return address(
        "overview",
        llm=choice.llm,
        subject=choice.subject,
        all="1" if choice.everything else None,
        page=None if choice.page == 1 else choice.page,
    )


def read_view(parameters: Mapping[str, str]) -> View:
    """Return the view that an address names, the first one if none."""
    named = parameters.get("view", "")
    return next((view for view in get_args(View) if view == named), "overview")


def read_wanted(parameters: Mapping[str, str]) -> Wanted:
    """Return what an address of questions looks for; what makes no sense is left out."""
    return Wanted(
        text=_text(parameters, "q") or "",
        meaning=parameters.get("by") == "meaning",
        task=_text(parameters, "task"),
        subject=_text(parameters, "subject"),
        llm=_text(parameters, "llm") or None,
        was=next((was for was in WAS if was == parameters.get("was")), "any"),
        page=page_number(parameters),
    )


def read_heat(parameters: Mapping[str, str]) -> HeatChoice:
    """Return the part of the heat map that an address names."""
    return HeatChoice(
        llm=_text(parameters, "llm") or "",
        subject=_text(parameters, "subject") or "",
        everything=parameters.get("all") == "1",
        page=page_number(parameters),
    )


def page_number(parameters: Mapping[str, str]) -> int:
    """Return the page that an address names, counted from 1."""
    said = parameters.get("page", "")
    return min(max(1, int(said)), _MOST_PAGES) if said.isascii() and said.isdigit() and len(said) < 9 else 1


def _text(parameters: Mapping[str, str], name: str) -> str | None:
    said = parameters.get(name)
    return None if said is None else said[:_MOST_CHARACTERS]
