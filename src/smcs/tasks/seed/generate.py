"""Draw the seed questions: every family in turn, each from its own random stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random

from smcs.errors import InputError
from smcs.tasks.seed import _code, _instructions, _mathematics, _reasoning
from smcs.tasks.seed._family import LEVELS, Draft, Maker
from smcs.types import GraderName, Question

__all__ = ("CATEGORIES", "DEFAULT_COUNT", "generate", "level")

DEFAULT_COUNT = 640
"""Questions of the shipped seed bank: 16 of each of the 40 families."""

CATEGORIES: Mapping[str, tuple[GraderName, Mapping[str, Maker]]] = {
    "mathematics": ("number", _mathematics.FAMILIES),
    "reasoning": ("choice", _reasoning.FAMILIES),
    "instructions": ("instructions", _instructions.FAMILIES),
    "code": ("code", _code.FAMILIES),
}
"""Category -> its grader, and its families by name."""

_REDRAWS = 200


def generate(seed: int = 0, count: int | None = None) -> tuple[Question, ...]:
    """Write verifiable questions in four categories.

    The same seed gives the same questions on every machine, and a smaller `count` a prefix of a larger one: families
    take turns, so that every prefix is mixed. A family's questions depend on nothing but the seed and its own code.

    Args:
        seed: Any integer.
        count: How many questions, at least 1; `DEFAULT_COUNT` unless given.

    Returns:
        Questions with unique ids and contents. `task` is "seed/<category>", `subject` the family.

    Raises:
        InputError: `count` is below 1, or larger than the families can fill without repeating themselves.
    """
    wanted = DEFAULT_COUNT if count is None else count
    if wanted < 1:
        raise InputError(f"`count` must be at least 1, got {wanted}.")
    streams = [
        _family_questions(seed, category, family, grader, make)
        for category, (grader, families) in CATEGORIES.items()
        for family, make in families.items()
    ]
    questions: list[Question] = []
    while len(questions) < wanted:
        questions += [next(stream) for stream in streams[: wanted - len(questions)]]
    return tuple(questions)


def level(question: Question) -> int:
    """Return the level of difficulty of a seed question, from 1 (easy) to 3 (hard)."""
    return int(question.id.rpartition("/")[2]) % LEVELS + 1


def _family_questions(seed: int, category: str, family: str, grader: GraderName, make: Maker) -> Iterator[Question]:
    """Yield one family's questions, levels in turn, none twice."""
    rng = Random(f"{seed}/{category}/{family}")  # noqa: S311 - questions, not secrets
    seen: set[str] = set()
    places: list[int] = []
    index = 0
    while True:
        for _ in range(_REDRAWS):
            draft = make(rng, index % LEVELS + 1)
            key = "\n".join((draft.text, *sorted((draft.gold or "", *draft.distractors))))
            if key not in seen:
                break
        else:
            raise InputError(
                f"Seed family {category}/{family} has no more than {index} different questions. Lower `count`."
            )
        seen.add(key)
        if len(places) <= len(draft.distractors):
            places += rng.sample(range(len(draft.distractors) + 1), len(draft.distractors) + 1)
        yield _question(f"seed/{category}/{family}/{index:04d}", draft, grader, rng, places)
        index += 1


def _question(name: str, draft: Draft, grader: GraderName, rng: Random, places: list[int]) -> Question:
    """Turn a draft into a question; right options take every place about equally often."""
    category, family = name.split("/")[1:3]
    choices: tuple[str, ...] = ()
    gold = draft.gold
    if draft.distractors and gold is not None:
        options = rng.sample(draft.distractors, len(draft.distractors))
        place = next(place for place in places if place <= len(options))
        places.remove(place)
        options.insert(place, gold)
        choices, gold = tuple(options), chr(ord("A") + place)
    return Question(
        name,
        draft.text,
        task=f"seed/{category}",
        subject=family,
        choices=choices,
        gold=gold,
        grader=grader,
        check=draft.check,
    )
