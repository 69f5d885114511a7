"""The list of questions, found by words or meaning, and one question with every LLM's outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nicegui import ui

from smcs.errors import BankError, EmbedderError, InputError
from smcs.studio.bank import data
from smcs.studio.bank.addresses import address, question_address, questions_address, read_wanted
from smcs.studio.bank.catalogue import Label
from smcs.studio.bank.outcome_view import show_question
from smcs.studio.bank.parts import notice, turning
from smcs.studio.bank.questions import WAS, Found, FoundPage, Wanted, Was
from smcs.studio.bank.shown import Shown
from smcs.studio.cells import Cell, Column
from smcs.studio.frame import breathe, busy, empty_state, link_to, problem, section
from smcs.studio.lean import Select
from smcs.studio.tables import TextTable

__all__ = ("build",)

_FIELD = "flex: 1 1 13rem; min-width: min(100%, 11rem)"
_WIDE = "flex: 1 1 100%; min-width: 0"


async def build(shown: Shown) -> None:
    """Fill the view."""
    question_id = shown.parameters.get("id")
    if question_id is not None:
        await _one(shown, question_id)
        return
    wanted = read_wanted(shown.parameters)
    with busy("Reading the questions …"):
        labels = await data.labels(shown.bank)
    _Search(shown, wanted, labels).show()
    await breathe()
    if WAS[wanted.was][1] and wanted.llm is None:
        notice("Choose the LLM that this is about.")
        return
    with busy("Searching …"):
        found = await _find(shown, wanted)
    if found is not None:
        _results(found, wanted)


async def _one(shown: Shown, question_id: str) -> None:
    link_to("← All questions", address("questions")).props("data-testid=bank-all-questions")
    try:
        found = await data.one_question(shown.bank, question_id)
    except BankError:
        with ui.element("div").classes("smcs-card").props("data-testid=bank-question-gone"):
            empty_state("This question is not in the bank.", "It may have been removed or merged into another one.")
        return
    show_question(found)


async def _find(shown: Shown, wanted: Wanted) -> FoundPage | None:
    try:
        return await data.questions(shown.bank, wanted, shown.service.resources)
    except (BankError, EmbedderError, InputError) as error:
        problem(f"The search failed. {error}")
        if wanted.meaning:
            link_to("Search for the words instead", questions_address(replace(wanted, meaning=False, page=1)))
        return None


class _Search:
    """The form above the list; what it asks for becomes the address."""

    def __init__(self, shown: Shown, wanted: Wanted, labels: Sequence[Label]) -> None:
        self._shown = shown
        self._wanted = wanted
        self._places = _places(labels)

    def show(self) -> None:
        """Show the form."""
        wanted, llms = self._wanted, [row.llm for row in self._shown.info.llms]
        with section("Find questions"), ui.element("form").classes("smcs-row").on("submit.prevent", self._go):
            self._text = ui.input("Words, an id, or what the question is about", value=wanted.text)
            self._text.props("outlined dense clearable dir=auto data-testid=bank-search").style(_WIDE)
            ways = {False: "Words", True: "Meaning"}
            with ui.element("div").props("role=group aria-label='How to search'"):
                self._meaning = ui.toggle(ways, value=wanted.meaning).props("no-caps dense data-testid=bank-search-by")
                if not self._shown.is_embedded:
                    self._meaning.set_value(False)
                    self._meaning.disable()
            self._place = self._select("Task or subject", [label for label, _ in self._places], self._place_now())
            self._llm = self._select("LLM", ["any", *llms], 0 if wanted.llm not in llms else llms.index(wanted.llm) + 1)
            self._llm.props("data-testid=bank-search-llm")
            self._was = Select({was: words for was, (words, _) in WAS.items()}, value=wanted.was, label="Answers")
            self._was.props("outlined dense data-testid=bank-search-was").style(_FIELD)
            ui.button("Search", icon="search").props("type=submit no-caps data-testid=bank-search-go")
        if not self._shown.is_embedded:
            ui.label("This bank has no embeddings, so questions are found by words only.").classes("smcs-muted")

    def _select(self, label: str, names: Sequence[str], value: int) -> Select:
        options = dict(enumerate(names))
        chosen = Select(options, value=value, label=label, with_input=len(names) > 12)
        return chosen.props("outlined dense").style(_FIELD)

    def _place_now(self) -> int:
        here = (self._wanted.task, self._wanted.subject)
        return next((number for number, (_, place) in enumerate(self._places) if place == here), 0)

    def _go(self) -> None:
        llms = [row.llm for row in self._shown.info.llms]
        task, subject = self._places[self._place.value or 0][1]
        was: Was = self._was.value or "any"
        llm = llms[self._llm.value - 1] if self._llm.value else None
        text = (self._text.value or "").strip()
        ui.navigate.to(questions_address(Wanted(text, bool(self._meaning.value), task, subject, llm, was)))


def _places(labels: Sequence[Label]) -> list[tuple[str, tuple[str | None, str | None]]]:
    """Return what can be chosen as a task or subject: everything, each task, each subject."""
    places: list[tuple[str, tuple[str | None, str | None]]] = [("everything", (None, None))]
    for task in dict.fromkeys(label.task for label in labels):
        parts = [label for label in labels if label.task == task]
        if len(parts) > 1:
            places.append((f"{task or 'no task'}: all {len(parts)} subjects", (task, None)))
        places += [(label.name, (label.task, label.subject)) for label in parts]
    return places


def _results(found: FoundPage, wanted: Wanted) -> None:
    with section(f"{found.total:,} question{'s' * (found.total != 1)}", hint=_hint(wanted)):
        if not found.rows:
            empty_state("No question matches.", "Use fewer words, search by meaning, or take a filter away.")
            return
        columns = [Column("Question"), Column("Task or subject")]
        columns += [Column(name, numeric=True) for name in ("Right", "Wrong", "Unknown")]
        if wanted.meaning and wanted.text:
            columns.append(Column("Similarity", numeric=True))
        TextTable("Questions found", columns, [_row(row) for row in found.rows], marker="bank-question-row")
        before, after = (questions_address(replace(wanted, page=found.page + step)) for step in (-1, 1))
        turning(found.page, found.pages, before, after, "questions")


def _hint(wanted: Wanted) -> str:
    order = "Closest in meaning first; 1 is the same, 0 unrelated." if wanted.meaning and wanted.text else "By id."
    return f"{order} Right, wrong and unknown count LLMs; unknown is neither."


def _row(row: Found) -> list[Cell | str]:
    question = row.question
    cells: list[Cell | str] = [
        Cell(data.shortened(question.text) or question.id, href=question_address(question.id)),
        Label(question.task, question.subject).name,
        *(f"{count:,}" for count in (row.right, row.wrong, row.unknown)),
    ]
    return cells if row.similarity is None else [*cells, f"{row.similarity:.3f}"]
