"""The pages as elements, without a browser: each view in each state says what it should, and no text becomes HTML."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from nicegui import Client
from nicegui.elements.mixins.text_element import TextElement
from nicegui.page import page
from numpy.typing import NDArray

from helpers_bank import outcome, question, small_bank
from smcs.bank import QuestionBank
from smcs.gateway.desk import Desk
from smcs.gateway.reception import Reception
from smcs.strategies import Settings
from smcs.studio.bank import PAGE
from smcs.studio.bank.addresses import address, question_address
from smcs.studio.frame import Studio
from smcs.studio.viewer import Viewer

HOSTILE = "<script>window.hacked=1</script><img src=x onerror=hacked()> {{ 1 }} data-testid=x onclick=y \u202e"


class OtherEmbedder:
    """One whose vectors the bank has none of."""

    name = "another-embedder"

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.ones((len(texts), 16), dtype=np.float32)


@dataclass
class FakeService:
    bank: QuestionBank | None
    named: str
    users: int = 0

    @property
    def resources(self) -> Any:
        return SimpleNamespace(bank=self.bank, embedder=OtherEmbedder(), query_prefix="")

    @property
    def config(self) -> Any:
        return SimpleNamespace(bank=self.named, settings=Settings)

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[FakeService]:
        self.users += 1
        yield self
        self.users -= 1


@dataclass(frozen=True)
class Shot:
    """What a page shows."""

    texts: tuple[str, ...]
    ids: frozenset[str]
    """Every `data-testid`, of rows of tables too."""
    props: tuple[Mapping[str, Any], ...]
    kinds: frozenset[str]
    """Tags and components."""

    def says(self, text: str) -> bool:
        return any(text in one for one in self.texts)


async def show(bank: QuestionBank | None, *, admin: bool = True, named: str = "bank.db", **parameters: str) -> Shot:
    service = FakeService(bank, named)
    viewer = Viewer(None) if admin else cast("Viewer", SimpleNamespace(is_admin=False, key=None))
    client = Client(page("/bank"), request=None)
    try:
        with client:
            gateway = cast("Reception", SimpleNamespace(service=service))
            await PAGE.build(Studio(gateway, viewer, cast("Desk", None)), parameters)
        assert service.users == 0
        elements = list(client.elements.values())
        return Shot(
            tuple(element.text for element in elements if isinstance(element, TextElement)),
            frozenset(
                str(element.props[name])
                for element in elements
                for name in ("data-testid", "marker")
                if name in element.props
            ),
            tuple(dict(element.props) for element in elements),
            frozenset(element.tag for element in elements),
        )
    finally:
        client.delete()


@pytest.fixture(autouse=True)
async def running_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let NiceGUI start its tasks on this loop, as it does when it serves."""
    monkeypatch.setattr("nicegui.core.loop", asyncio.get_running_loop())


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuestionBank]:
    """A bank that no test changes."""
    with small_bank(tmp_path_factory.mktemp("bank") / "bank.db", count=60) as made:
        yield made


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[QuestionBank]:
    with QuestionBank.create(tmp_path / "empty.db") as made:
        yield made


async def test_without_a_bank_it_says_how_to_get_one() -> None:
    shot = await show(None)
    assert "bank-none" in shot.ids
    assert shot.says("bank: seed")


async def test_an_empty_bank_says_how_to_fill_it(empty: QuestionBank) -> None:
    for view in ("overview", "questions", "map", "llm", "gaps"):
        shot = await show(empty, view=view)
        assert "bank-empty" in shot.ids
        assert shot.says(f"smcs bank build --tasks=mmlu_pro --bank={empty.url}")
    assert "bank-no-growth" in (await show(empty, view="growth")).ids


async def test_questions_without_llms_and_vectors_are_shown(empty: QuestionBank) -> None:
    empty.add_questions([question(1), question(2), replace(question(3), gold="Z")])
    assert "bank-no-llms" in (await show(empty)).ids
    assert "bank-no-llms" in (await show(empty, view="llm")).ids
    assert (await show(empty, view="questions")).says("found by words only")
    shot = await show(empty, view="map")
    assert "bank-map-empty" in shot.ids
    assert shot.says(f"smcs bank embed {empty.url}")
    shot = await show(empty, view="gaps")
    assert shot.says("near duplicates were not looked for")
    assert shot.says("smcs bank remove --question=q0003 ")
    assert "bank-finding" in shot.ids


async def test_tabs_lead_to_every_view(bank: QuestionBank) -> None:
    shot = await show(bank, view="map")
    links = {props["href"]: props.get("aria-current") for props in shot.props if "href" in props}
    views = {f"/bank?view={view}" for view in ("overview", "questions", "map", "llm", "gaps", "growth")}
    assert views <= links.keys()
    assert [path for path in sorted(views) if links[path] == "page"] == ["/bank?view=map"]


async def test_views_of_a_bank_show_their_parts(bank: QuestionBank) -> None:
    wanted = {
        "overview": {"bank-figures", "bank-heat-map"},
        "questions": {"bank-search", "bank-question-row"},
        "map": {"bank-map", "bank-map-by", "bank-map-words"},
        "llm": {"bank-llm", "bank-llm-figures", "bank-llm-differences", "bank-llm-effect"},
        "gaps": {"bank-gap-row", "bank-audit"},
        "growth": {"bank-growth", "bank-change-row"},
    }
    for view, ids in wanted.items():
        assert ids <= (await show(bank, view=view)).ids, view


async def test_lists_lead_to_what_they_list(bank: QuestionBank) -> None:
    wanted = {
        "questions": ("bank-question-row", question_address("q0000")),
        "gaps": ("bank-gap-row", address("llm", llm="llm000")),
    }
    for view, (marker, path) in wanted.items():
        shot = await show(bank, view=view)
        (rows,) = (props["rows"] for props in shot.props if props.get("marker") == marker)
        assert path in {cell["href"] for row in rows for cell in row}


async def test_points_of_a_map_are_not_watched_for_changes(bank: QuestionBank) -> None:
    (options,) = (props["options"] for props in (await show(bank, view="map")).props if "renderer" in props)
    drawn = [item for series in options["series"] for item in series["data"]]
    assert len(drawn) == 60
    assert {type(item) for item in drawn} == {dict}


async def test_what_was_not_asked_and_not_graded_has_a_command_each(empty: QuestionBank) -> None:
    empty.add_questions([question(number) for number in range(3)])
    empty.add_llm("one")
    empty.add_llm("two")
    empty.record([outcome(number, "one", None) for number in range(3)])
    shot = await show(empty, view="gaps")
    assert shot.says("For two, this asks what it was not asked")
    assert shot.says(f"smcs bank add-llm --bank={empty.url} --fraction=1 two")
    assert shot.says("For one, this grades what was not graded")
    assert shot.says("smcs bank regrade ")
    assert not (await show(empty, view="gaps", named="seed")).says("smcs bank regrade ")


async def test_figures_from_before_a_change_are_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_bank(tmp_path / "bank.db", count=60) as changing:
        assert "bank-outdated" not in (await show(changing)).ids
        monkeypatch.setattr("smcs.studio.bank.caching._SLOW", 0.0)
        monkeypatch.setattr("smcs.studio.bank.caching._REST", 1e9)
        changing.record([outcome(0, "llm000", 0.5)])
        assert "bank-outdated" in (await show(changing)).ids


async def test_one_question_shows_every_outcome(bank: QuestionBank) -> None:
    (asked,) = bank.questions(["q0007"])
    outcomes = bank.outcomes_on("q0007")
    shot = await show(bank, view="questions", id="q0007")
    assert {"bank-outcome", "bank-gold"} <= shot.ids
    assert shot.texts.count("Read the answer") == len(outcomes)
    assert shot.texts.count("right") == sum(one.score == 1 for one in outcomes)
    assert shot.says("✓ correct answer")
    assert "bank-question-gone" in (await show(bank, view="questions", id="nowhere")).ids
    assert asked.choices[0] in shot.texts


async def test_a_search_that_fails_says_why(bank: QuestionBank) -> None:
    shot = await show(bank, view="questions", q="sums", by="meaning")
    assert shot.says("The search failed.")
    assert shot.says("Search for the words instead")


async def test_choices_that_need_an_llm_ask_for_one(bank: QuestionBank) -> None:
    assert (await show(bank, view="questions", was="alone")).says("Choose the LLM")
    assert (await show(bank, view="llm", llm="nobody")).says("no outcomes of 'nobody'")


async def test_a_seed_bank_is_not_to_be_changed(bank: QuestionBank) -> None:
    for view in ("gaps", "growth"):
        shot = await show(bank, named="seed", view=view)
        assert "bank-seed" in shot.ids
        assert not any("merge" in text or "undo " in text or "add-llm --bank" in text for text in shot.texts)
    assert (await show(bank, view="growth")).says("smcs bank undo")


async def test_where_the_bank_is_only_administrators_see(bank: QuestionBank) -> None:
    for view in ("overview", "questions", "map", "llm", "gaps", "growth"):
        assert not (await show(bank, admin=False, view=view)).says(bank.url)
    assert (await show(bank, admin=False, view="growth")).says("smcs bank undo BANK ")
    assert (await show(bank, view="growth")).says(bank.url)


async def test_texts_of_a_bank_stay_texts(empty: QuestionBank) -> None:
    text = question(1)
    empty.add_questions(
        replace(text, id=f"{HOSTILE}{number}", text=HOSTILE, task=HOSTILE, choices=(HOSTILE, "b"))
        for number in range(3)
    )
    empty.add_llm(HOSTILE)
    empty.record([replace(outcome(1, HOSTILE, 1.0, HOSTILE), question_id=f"{HOSTILE}0", extracted=HOSTILE)])
    with empty.logged(HOSTILE, note=HOSTILE, author=HOSTILE):
        empty.add_llm("other")
    addresses: tuple[dict[str, Any], ...] = (
        {"view": "overview"},
        {"view": "overview", "llm": HOSTILE},
        {"view": "questions", "q": HOSTILE, "llm": HOSTILE, "was": "right"},
        {"view": "questions", "id": f"{HOSTILE}0"},
        {"view": "llm", "llm": HOSTILE},
        {"view": "gaps"},
        {"view": "growth"},
    )
    for parameters in addresses:
        shot = await show(empty, **parameters)
        assert not {"nicegui-html", "nicegui-markdown", "script", "img", "iframe"} & shot.kinds
        assert not any("onclick" in props or "innerHTML" in props for props in shot.props)
        cells = [cell for props in shot.props if "columns" in props for row in props["rows"] for cell in row]
        for link in (*shot.props, *(cell for cell in cells if cell["href"])):
            assert not str(link.get("href", "")).startswith(("javascript:", "http:", "//"))
