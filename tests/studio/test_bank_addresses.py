from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from smcs.studio.bank.addresses import (
    VIEWS,
    View,
    address,
    heat_address,
    page_number,
    question_address,
    questions_address,
    read_heat,
    read_view,
    read_wanted,
)
from smcs.studio.bank.heat import HeatChoice
from smcs.studio.bank.questions import Wanted

HOSTILE = "a&b=c#d?e/../f\"'<script>%00 é العدد\n"


def parameters(path: str) -> dict[str, str]:
    parts = urlsplit(path)
    assert (parts.scheme, parts.netloc, parts.path, parts.fragment) == ("", "", "/bank", "")
    return dict(parse_qsl(parts.query, keep_blank_values=True))


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(text=HOSTILE, meaning=True, page=7),
        Wanted(task=HOSTILE, subject=HOSTILE, llm=HOSTILE, was="alone"),
        Wanted(task="", subject=""),
        Wanted(task="t", was="all_wrong"),
    ],
)
def test_questions_looked_for_survive_the_address(wanted: Wanted) -> None:
    found = parameters(questions_address(wanted))
    assert read_wanted(found) == wanted
    assert read_view(found) == "questions"


@pytest.mark.parametrize("choice", [HeatChoice(), HeatChoice(HOSTILE, HOSTILE, True, 3)])
def test_part_of_the_heat_map_survives_the_address(choice: HeatChoice) -> None:
    assert read_heat(parameters(heat_address(choice))) == choice


def test_question_id_survives_the_address() -> None:
    assert parameters(question_address(HOSTILE))["id"] == HOSTILE


@pytest.mark.parametrize("view", VIEWS)
def test_views_have_addresses(view: View) -> None:
    assert read_view({"view": view}) == view
    assert parameters(address(view)) == {"view": view}


def test_nonsense_is_left_out() -> None:
    assert read_view({}) == read_view({"view": "<script>"}) == "overview"
    assert read_wanted({"was": "x", "by": "y", "page": "-3"}) == Wanted()
    assert len(read_wanted({"q": "x" * 100_000}).text) == 2_000
    for said, number in {"": 1, "0": 1, "٣": 1, "1e9": 1, "9" * 5_000: 1, "12": 12, "99999999": 1_000_000}.items():
        assert page_number({"page": said}) == number
