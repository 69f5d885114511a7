"""What the pages of a bank show, worked out off the event loop and kept until the bank's content changes.

Every function takes the `QuestionBank` the server answers with. At 100,000 questions and 15 LLMs a first overview costs
1.2 to 1.6 s of one core, who is right another second, the first look at questions 3 s; each later one a millisecond
or some. After a change the earlier overview is shown while it is counted again in the background, which
takes a twentieth of a core at most, however often the bank changes.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from smcs.bank import WELL_GRADED, Audit, BankInfo, QuestionBank
from smcs.errors import BankError
from smcs.evaluate import NewcomerAccuracy, estimate_newcomer
from smcs.run import Query
from smcs.strategies import Resources
from smcs.strategies.retrieval import embed_query
from smcs.studio.bank.caching import once, version_of
from smcs.studio.bank.catalogue import Catalogue, Label, Shelf, load_catalogue, load_shelf
from smcs.studio.bank.effects import Oracle, Recruiting, Routing, oracle_of, routing_of
from smcs.studio.bank.growth import Growth, growth_of
from smcs.studio.bank.intervals import RIGHT
from smcs.studio.bank.profiles import Profile, profile_of
from smcs.studio.bank.projection import Projection, project
from smcs.studio.bank.questions import FoundPage, OneQuestion, Ordered, Wanted, by_meaning, by_words, find, look_up

__all__ = (
    "Effect",
    "Picture",
    "audited",
    "effect",
    "grown",
    "is_outdated",
    "labels",
    "one_question",
    "overview",
    "picture",
    "profile",
    "questions",
    "shortened",
    "verdicts",
)

_EMBEDDING_SECONDS = 10.0
"""How old figures may be of a bank that is being embedded: vectors are no part of its content."""

_SHORT = 160


@dataclass(frozen=True, eq=False)
class Picture:
    """The map of a bank."""

    projection: Projection
    ids: tuple[str, ...]
    """Of the m questions in it."""
    texts: tuple[str, ...]
    """Beginnings of their texts."""
    labels: tuple[Label, ...]
    """Where each belongs."""
    questions: int
    """In the bank, embedded or not."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What an LLM changes about a bank."""

    oracle: Oracle | None
    """`None` where no question has it and another LLM graded."""
    routing: Routing | None
    """`None` without embeddings or without another LLM."""
    estimate: NewcomerAccuracy | None
    """What it would score on every searched question, for an LLM that is graded on too few to know."""


async def overview(bank: QuestionBank) -> BankInfo:
    """Return the bank in figures; those of a large bank may be from before its last change, see `is_outdated`.

    Raises:
        RunError: The database cannot be read.
    """
    return await once(bank, await version_of(bank), "info", bank.info, seconds=_lasting, late=True)


async def is_outdated(bank: QuestionBank, figures: BankInfo) -> bool:
    """Return whether the content of a bank has changed since it was counted.

    Raises:
        RunError: The database cannot be read.
    """
    return figures.content_hash != await version_of(bank)


async def labels(bank: QuestionBank) -> tuple[Label, ...]:
    """Return the tasks and subjects that occur, sorted."""
    return (await _catalogue(bank, await version_of(bank))).labels


async def questions(bank: QuestionBank, wanted: Wanted, resources: Resources) -> FoundPage:
    """Return one page of the questions that fit.

    Args:
        bank: Where they are.
        wanted: What is looked for.
        resources: Whose embedder reads what is meant, as it reads a question to be answered.

    Raises:
        BankError: A search by meaning, and the bank has no vectors of the embedder.
        EmbedderError: The embedder failed.
    """
    version = await version_of(bank)
    shelf = await _shelf(bank, version)
    if not (wanted.meaning and wanted.text.strip()):
        return await asyncio.to_thread(lambda: find(shelf, by_words(shelf.catalogue, wanted.text), wanted, bank))
    vector = await embed_query(Query.of(wanted.text), resources)
    embedder = resources.embedder.name

    def work() -> FoundPage:
        ordered: Ordered = by_meaning(bank, shelf.catalogue, embedder, vector)
        return find(shelf, ordered, wanted, bank)

    return await asyncio.to_thread(work)


async def one_question(bank: QuestionBank, question_id: str) -> OneQuestion:
    """Return a question with every LLM's outcome.

    Raises:
        BankError: It is not in the bank.
    """
    return await asyncio.to_thread(look_up, bank, question_id)


async def picture(bank: QuestionBank) -> Picture:
    """Return the map of the embedded questions.

    Raises:
        BankError: The bank has no embeddings.
    """
    version = await version_of(bank)
    catalogue = await _catalogue(bank, version)
    index = await asyncio.to_thread(bank.index)

    def draw() -> Picture:
        projection = project(catalogue, index)
        rows = projection.rows.tolist()
        ids = tuple(catalogue.ids[row] for row in rows)
        texts = tuple(shortened(question.text) for question in bank.questions(ids))
        places = tuple(catalogue.labels[catalogue.label_of[row]] for row in rows)
        return Picture(projection, ids, texts, places, len(catalogue.ids))

    return await once(bank, version, ("picture", index.folder), draw)


async def verdicts(bank: QuestionBank, shown: Picture, llm: str) -> tuple[bool | None, ...]:
    """Return whether an LLM has each question of a map right; `None` where nothing is known.

    Raises:
        BankError: The LLM is not in the bank.
    """
    shelf = await _shelf(bank, await version_of(bank))
    column = _column(shelf, llm)

    def look() -> tuple[bool | None, ...]:
        row_of = {question_id: row for row, question_id in enumerate(shelf.catalogue.ids)}
        rows = [row_of.get(question_id) for question_id in shown.ids]
        scores = [math.nan if row is None else float(shelf.scores[row, column]) for row in rows]
        return tuple(None if math.isnan(score) else score >= RIGHT for score in scores)

    return await asyncio.to_thread(look)


async def profile(bank: QuestionBank, llm: str) -> Profile:
    """Return how an LLM compares with the others.

    Raises:
        BankError: The LLM is not in the bank.
    """
    version = await version_of(bank)
    shelf = await _shelf(bank, version)
    _column(shelf, llm)
    return await once(bank, version, ("profile", llm), lambda: profile_of(shelf, llm, bank))


async def effect(bank: QuestionBank, llm: str, recruiting: Recruiting) -> Effect:
    """Return what an LLM changes about the bank.

    Args:
        bank: Which has outcomes of it.
        llm: Its name.
        recruiting: How referencers are chosen.

    Raises:
        BankError: The LLM is not in the bank.
    """
    version = await version_of(bank)
    shelf = await _shelf(bank, version)
    column = _column(shelf, llm)
    figures = await overview(bank)
    searched = any(embedder.default and embedder.embedded for embedder in figures.embedders)

    def work() -> Effect:
        oracle = oracle_of(shelf, llm)
        index = bank.index() if searched else None
        if index is None or llm not in index.llms:
            return Effect(oracle, None, None)
        few = float(shelf.known[:, column].mean()) < WELL_GRADED
        return Effect(oracle, routing_of(index, llm, recruiting), estimate_newcomer(bank, llm) if few else None)

    return await once(bank, version, ("effect", llm, recruiting, searched), work)


async def audited(bank: QuestionBank) -> Audit:
    """Return what an audit finds; of a large bank it takes long."""
    return await once(bank, await version_of(bank), "audit", bank.audit)


async def grown(bank: QuestionBank) -> Growth:
    """Return how the bank has grown."""
    figures = await overview(bank)
    changes = await asyncio.to_thread(bank.history)
    return growth_of(changes, questions=figures.questions, outcomes=figures.outcomes)


def shortened(text: str, longest: int = _SHORT) -> str:
    """Return the beginning of a text on one line."""
    line = " ".join(text[: 4 * longest].split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


async def _catalogue(bank: QuestionBank, version: str) -> Catalogue:
    return await once(bank, version, "catalogue", lambda: load_catalogue(bank))


async def _shelf(bank: QuestionBank, version: str) -> Shelf:
    catalogue = await _catalogue(bank, version)
    return await once(bank, version, "shelf", lambda: load_shelf(bank, catalogue))


def _column(shelf: Shelf, llm: str) -> int:
    if llm not in shelf.llms:
        raise BankError(f"LLM {llm!r} is not in this bank.")
    return shelf.llms.index(llm)


def _lasting(info: BankInfo) -> float:
    complete = any(one.default and one.embedded == info.questions for one in info.embedders)
    return math.inf if complete else _EMBEDDING_SECONDS
