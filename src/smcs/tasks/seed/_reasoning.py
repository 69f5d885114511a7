"""Reasoning with choices: ten families whose answer is one of the options."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from itertools import pairwise
from random import Random

from smcs.tasks.seed._family import Draft, Maker
from smcs.tasks.seed._logic import kinship, syllogism, truth_teller
from smcs.tasks.seed._words import CAPITALS, GROUPS, ITEMS, NAMES, NEAR_GROUPS, SYMBOLS, WEEKDAYS

__all__ = ("FAMILIES",)

_SCALES = (("taller", "shorter"), ("older", "younger"), ("faster", "slower"), ("richer", "poorer"))
_COMPASS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
_MONTHS = ("March", "April", "May", "June", "July", "August", "September", "October", "November")
_CODED = (
    "bird", "boat", "cake", "desk", "door", "farm", "fish", "goat", "gold", "hand", "king", "lamp", "leaf", "milk",
    "moon", "nest", "rain", "ring", "road", "salt", "ship", "snow", "star", "tree",
)  # fmt: skip


def ordering(rng: Random, level: int) -> Draft:
    """A ranking told by comparisons of neighbours."""
    people = rng.sample(NAMES, 4 if level < 3 else 5)
    more, less = rng.choice(_SCALES)
    clues = [
        f"{upper} is {more} than {lower}" if level == 1 or rng.random() < 0.5 else f"{lower} is {less} than {upper}"
        for upper, lower in pairwise(people)
    ]
    if level > 1:
        rng.shuffle(clues)
    if level == 1:
        place = rng.choice((0, -1))
        ask = f"Who is the {more[:-1] if place == 0 else less[:-1]}st of them?"
    else:
        place = rng.choice((1, 2) if level == 2 else (1, 2, 3))
        ask = rng.choice(
            (
                f"Who comes in place {place + 1} when they are sorted with the {more[:-1]}st person first?",
                f"Exactly {place} of the {len(people)} people are {more} than one of them. Who is that one?",
            )
        )
    told = ". ".join(clues) + "."
    text = rng.choice(
        (f"{told} {ask}", f"{len(people)} friends compare themselves. {told} {ask}", f"Read the clues. {told} {ask}")
    )
    gold = people[place]
    return Draft(text, gold=gold, distractors=tuple(person for person in people if person != gold))


def calendar(rng: Random, level: int) -> Draft:
    """Days of the week."""
    today = rng.randrange(7)
    if level < 3:
        days = rng.randint(2, 6) if level == 1 else rng.randint(9, 60)
        ahead = rng.random() < 0.6
        when = f"in {days} days" if ahead else f"{days} days ago"
        texts = (
            f"Today is {WEEKDAYS[today]}. Which day of the week {'will it be' if ahead else 'was it'} {when}?",
            f"If it is {WEEKDAYS[today]} now, which weekday {'comes' if ahead else 'was it'} {when}?",
        )
        answer = (today + (days if ahead else -days)) % 7
    else:
        month = rng.randrange(3, 11)
        first = dt.date(2026, month, rng.randint(1, 27))
        second = first + dt.timedelta(days=rng.randint(16, 45))
        names = [f"{date.day} {_MONTHS[date.month - 3] if date.month < 12 else 'December'}" for date in (first, second)]
        texts = (
            f"In some year, {names[0]} is a {WEEKDAYS[today]}. On which day of the week is {names[1]} of that year?",
            (
                f"The calendar shows {WEEKDAYS[today]} for {names[0]}. Which weekday does it show for {names[1]} of the"
                " same year?"
            ),
        )
        answer = (today + (second - first).days) % 7
    others = [day for i, day in enumerate(WEEKDAYS) if i != answer]
    return Draft(rng.choice(texts), gold=WEEKDAYS[answer], distractors=tuple(rng.sample(others, 3)))


def directions(rng: Random, level: int) -> Draft:
    """Turns, and where a walk ends."""
    name = rng.choice(NAMES)
    if level < 3:
        start = rng.choice((0, 2, 4, 6))
        turns = [rng.choice((("right", 2), ("left", -2), ("back", 4))) for _ in range(level if level == 1 else 3)]
        facing = (start + sum(step for _, step in turns)) % 8
        words = ["turns around" if side == "back" else f"turns {side}" for side, _ in turns]
        texts = (
            f"{name} faces {_COMPASS[start]} and {', then '.join(words)}. Which way does {name} face now?",
            (
                f"Looking {_COMPASS[start]}, {name} {', then '.join(words)}. In which direction is {name} looking in"
                " the end?"
            ),
        )
        others = [_COMPASS[i] for i in (0, 2, 4, 6) if i != facing]
        return Draft(rng.choice(texts), gold=_COMPASS[facing], distractors=tuple(others))
    east = rng.choice((-4, -3, -2, 2, 3, 4))
    north = rng.choice((-east, 0, east))
    detour_north, detour_east = rng.randint(1, 5), rng.randint(1, 5)
    moves = [
        ("north", detour_north),
        ("east", detour_east),
        ("south", detour_north - north),
        ("west", detour_east - east),
    ]
    opposite = {"north": "south", "south": "north", "east": "west", "west": "east"}
    legs = [(way, length) if length > 0 else (opposite[way], -length) for way, length in moves if length]
    rng.shuffle(legs)
    told = ", then ".join(f"{length} km {way}" for way, length in legs)
    gold = "-".join(
        part for part in (("south", "", "north")[_sign(north) + 1], ("west", "", "east")[_sign(east) + 1]) if part
    )
    texts = (
        f"{name} walks {told}. In which direction from the starting point is {name} now?",
        f"A boat sails {told}. Seen from where it started, in which direction does the boat lie?",
    )
    others = rng.sample([way for way in _COMPASS if way != gold], 3)
    return Draft(rng.choice(texts), gold=gold, distractors=tuple(others))


def odd_one_out(rng: Random, level: int) -> Draft:
    """The thing that belongs to another group."""
    if level < 3:
        group, stranger = rng.sample(tuple(GROUPS), 2)
        members = rng.sample(GROUPS[group], 3 if level == 1 else 4)
        gold = rng.choice(GROUPS[stranger])
    else:
        near, strangers = rng.choice(NEAR_GROUPS)
        members, gold = rng.sample(near, 4), rng.choice(strangers)
    texts = (
        "Which of these does not belong with the others?",
        "Find the odd one out.",
        "All but one of these are of the same kind. Which one is different?",
        "One of the following is not like the rest. Which is it?",
    )
    return Draft(rng.choice(texts), gold=gold, distractors=tuple(members))


def letter_pattern(rng: Random, level: int) -> Draft:
    """Letter series, shifts and simple codes."""
    if level == 1:
        width, start, step = 2, rng.randint(0, 5), rng.randint(2, 4)
        groups = [_letters(start + step * i, width) for i in range(5)]
        texts: tuple[str, ...] = (
            f"Which letters come next: {', '.join(groups[:4])}, ...?",
            f"Continue the series {', '.join(groups[:4])} with one more group.",
        )
        base = start + 4 * step
        wrong = [_letters(base + delta, width) for delta in (-1, 1, 2)]
        return Draft(rng.choice(texts), gold=groups[4], distractors=tuple(wrong))
    example, word = rng.sample(_CODED, 2)
    shift = rng.choice((1, 2, 3, -1, -2))
    order = 1 if level == 2 else -1

    def encode(text: str) -> str:
        return _shift(text[::order], shift)

    wrong = [_shift(word[::order], shift + 1), _shift(word[::order], -shift), _shift(word[::-order], shift)]
    gold = encode(word)
    texts = (
        f"In a code, {example.upper()} is written as {encode(example)}. How is {word.upper()} written in this code?",
        f"If {example.upper()} becomes {encode(example)}, what does {word.upper()} become by the same rule?",
        f"{example.upper()} is to {encode(example)} as {word.upper()} is to what?",
    )
    return Draft(rng.choice(texts), gold=gold, distractors=tuple(wrong))


def table(rng: Random, level: int) -> Draft:
    """Reading a small table."""
    people, things = rng.sample(NAMES, 4), rng.sample(ITEMS, 2)
    rows = list(zip(people, rng.sample(range(3, 30), 4), rng.sample(range(3, 30), 4), strict=True))
    lines = [f"name | {things[0]} | {things[1]}", *(f"{name} | {a} | {b}" for name, a, b in rows)]
    column = rng.randrange(2)
    name, *counts = rng.choice(rows)
    if level == 1:
        ask = rng.choice(
            (f"How many {things[column]} does {name} have?", f"What is {name}'s number of {things[column]}?")
        )
        gold = str(counts[column])
        wrong = [str(row[1 + column]) for row in rows if row[0] != name]
    elif level == 2:
        most = rng.random() < 0.5
        ask = f"Who has the {'most' if most else 'fewest'} {things[column]}?"
        order = sorted(rows, key=lambda row: row[1 + column])
        gold = order[-1 if most else 0][0]
        wrong = [person for person in people if person != gold]
    elif rng.random() < 0.5:
        totals = {person: a + b for person, a, b in rows}
        gold = max(people, key=lambda person: totals[person])
        if list(totals.values()).count(totals[gold]) > 1:
            return table(rng, level)
        ask = f"Who has the most {things[0]} and {things[1]} added together?"
        wrong = [person for person in people if person != gold]
    else:
        total = sum((a, b)[column] for _, a, b in rows)
        ask = f"How many {things[column]} do the four have together?"
        gold = str(total)
        wrong = [str(total + delta) for delta in rng.sample((-11, -10, -3, -1, 1, 2, 10, 12), 3)]
    intro = rng.choice(("Look at this table.", "The table shows what four people own.", "Use the table to answer."))
    return Draft("\n".join([intro, *lines, ask]), gold=gold, distractors=tuple(wrong))


def facts(rng: Random, level: int) -> Draft:
    """Capitals and symbols of elements: short facts one knows or does not."""
    if rng.random() < 0.6:
        pairs = CAPITALS[level - 1]
        country, gold = rng.choice(pairs)
        wrong = rng.sample([city for _, city in pairs if city != gold], 3)
        texts = (
            f"Which city is the capital of {country}?",
            f"The government of {country} sits in its capital. Which city is that?",
        )
        return Draft(rng.choice(texts), gold=gold, distractors=tuple(wrong))
    pairs = SYMBOLS[level - 1]
    element, symbol = rng.choice(pairs)
    # A symbol of one letter would be taken for the letter of an option.
    if len(symbol) == 1 or rng.random() < 0.5:
        gold, others = element, [name for name, _ in pairs if name != element]
        texts = (f"Which chemical element has the symbol {symbol}?", f"In chemistry, what does {symbol} stand for?")
    else:
        gold, others = symbol, [sign for _, sign in pairs if sign != symbol and len(sign) > 1]
        texts = (f"What is the chemical symbol of {element}?", f"How do chemists abbreviate {element}?")
    return Draft(rng.choice(texts), gold=gold, distractors=tuple(rng.sample(others, 3)))


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _letters(start: int, width: int) -> str:
    """Return `width` letters of the alphabet from position `start` on, as one capital group."""
    return "".join(chr(ord("A") + (start + i) % 26) for i in range(width))


def _shift(text: str, by: int) -> str:
    return "".join(chr(ord("A") + (ord(letter) - ord("a") + by) % 26) for letter in text)


FAMILIES: Mapping[str, Maker] = {
    "ordering": ordering,
    "kinship": kinship,
    "calendar": calendar,
    "syllogism": syllogism,
    "truth_teller": truth_teller,
    "directions": directions,
    "odd_one_out": odd_one_out,
    "letter_pattern": letter_pattern,
    "table": table,
    "facts": facts,
}
