"""Instruction following: eight families whose answers are checked by rules, whatever they say.

`check` is `{"rules": [...]}` in the language of `smcs.grading.instructions`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any

from smcs.tasks.seed._family import Draft, Maker
from smcs.tasks.seed._words import ITEMS, KEYWORDS, LISTABLE, NAMES, OPENINGS, TOPICS

__all__ = ("FAMILIES",)

Rule = dict[str, Any]

_SEPARATORS = ((" | ", "vertical bars"), ("; ", "semicolons"), (" / ", "slashes"), (" - ", "hyphens"))


def word_limit(rng: Random, level: int) -> Draft:
    """How many words to write."""
    topic = rng.choice(TOPICS)
    if level == 1:
        n = rng.randint(8, 25)
        texts: tuple[str, ...] = (
            f"Write something about {topic} with at most {n} words.",
            f"Describe {topic} in no more than {n} words.",
            f"Say something about {topic}. Do not use more than {n} words.",
        )
        return _draft(rng.choice(texts), _words("at most", n))
    n = rng.randint(4, 9)
    if level == 2:
        texts = (
            f"Write exactly {n} words about {topic}.",
            f"Describe {topic} in exactly {n} words, no more and no fewer.",
        )
        return _draft(rng.choice(texts), _words("exactly", n))
    word = rng.choice(KEYWORDS)
    texts = (
        f'Write exactly {n + 3} words about {topic}. One of them must be the word "{word}".',
        f'Tell me about {topic} in exactly {n + 3} words, one of which is "{word}".',
    )
    return _draft(rng.choice(texts), _words("exactly", n + 3), _include(word))


def bullets(rng: Random, level: int) -> Draft:
    """Lists with one entry a line."""
    kind, n = rng.choice(LISTABLE), rng.randint(3, 5)
    if level == 1:
        texts = (
            f'List exactly {n} {kind}, one per line. Start every line with "- " and write nothing else.',
            f'Give me {n} {kind} as bullet points. Each line must begin with "- ", and there must be no other text.',
        )
        return _draft(rng.choice(texts), _bullets(n))
    if level == 2:
        texts = (
            (
                f'Write a numbered list of exactly {n} {kind}. The lines start with "1. ", "2. " and so on, and there'
                " is no other text."
            ),
            f'Number {n} {kind} from 1 to {n}, one per line like "1. ...", with nothing before or after the list.',
        )
        return _draft(rng.choice(texts), {"kind": "numbered", "count": n})
    banned = rng.choice("abdglmnor")
    texts = (
        (
            f'List exactly {n} {kind}, one per line, each line starting with "- ". No line may contain the letter'
            f' "{banned}". No other text.'
        ),
        f'Give {n} {kind} that do not contain the letter "{banned}", as lines that begin with "- ", and nothing else.',
    )
    return _draft(rng.choice(texts), _bullets(n), _without(banned))


def keywords(rng: Random, level: int) -> Draft:
    """Words that must, and must not, appear."""
    topic = rng.choice(TOPICS)
    one, two, three = rng.sample(KEYWORDS, 3)
    if level == 1:
        texts = (
            f'Write one sentence about {topic} that contains the word "{one}".',
            f'Use the word "{one}" in a short sentence about {topic}.',
        )
        return _draft(rng.choice(texts), _include(one), _sentences(1))
    if level == 2:
        texts = (
            f'Write one sentence about {topic} with the words "{one}" and "{two}" in it, but without the word "the".',
            f'In a single sentence about {topic}, use both "{one}" and "{two}". Never use the word "the".',
        )
        return _draft(rng.choice(texts), _include(one, two), _exclude("the"), _sentences(1))
    n = rng.randint(10, 16)
    texts = (
        (
            f'Write one sentence of at most {n} words about {topic} that uses "{one}", "{two}" and "{three}" and has no'
            " commas."
        ),
        (
            f'Put the words "{one}", "{two}" and "{three}" into one sentence about {topic}. Use no commas and at most'
            f" {n} words."
        ),
    )
    return _draft(rng.choice(texts), _include(one, two, three), _without(","), _words("at most", n), _sentences(1))


def letter_case(rng: Random, level: int) -> Draft:
    """Small letters and capitals."""
    topic = rng.choice(TOPICS)
    if level == 1:
        texts = (
            f"Write a short text about {topic} in lowercase letters only, without a single capital letter.",
            f"Describe {topic} briefly. Do not use any capital letters.",
        )
        return _draft(rng.choice(texts), {"kind": "lowercase"})
    if level == 2:
        texts = (
            f"Write a short text about {topic} IN CAPITAL LETTERS ONLY.",
            f"Describe {topic} briefly, using capital letters only.",
        )
        return _draft(rng.choice(texts), {"kind": "uppercase"})
    n, upper = rng.randint(2, 3), rng.random() < 0.5
    texts = (
        (
            f"Write exactly {n} short sentences about {topic}, all in {'capital' if upper else 'lowercase'} letters and"
            " without commas."
        ),
        (
            f"Using {'capital' if upper else 'lowercase'} letters only and no commas, say something about {topic} in"
            f" exactly {n} short sentences."
        ),
    )
    return _draft(rng.choice(texts), {"kind": "uppercase" if upper else "lowercase"}, _sentences(n), _without(","))


def json_object(rng: Random, level: int) -> Draft:
    """JSON with given keys."""
    name, items, age = rng.choice(NAMES), rng.choice(ITEMS), rng.randint(6, 80)
    if level == 1:
        texts = (
            (
                f'Write a JSON object with the keys "name" (text) and "age" (a number) for {name}, who is {age} years'
                " old. Return only the JSON."
            ),
            (
                f'{name} is {age} years old. Put this into JSON with the keys "name" (text) and "age" (a number), and'
                " return nothing else."
            ),
        )
        return _draft(rng.choice(texts), _json({"name": name, "age": age}))
    keys = rng.sample(("title", "city", "year", "price", "colour", "size", "author", "rating"), 3)
    if level == 2:
        quoted = ", ".join(f'"{key}"' for key in keys[:2]) + f' and "{keys[2]}"'
        texts = (
            f"Return only a JSON object with exactly the keys {quoted}. You choose the values.",
            f"Invent something and describe it as JSON with the keys {quoted} and no others. No text around it.",
        )
        return _draft(rng.choice(texts), {"kind": "json", "keys": keys})
    count = rng.randint(2, 5)
    owned = [items, *rng.sample([item for item in ITEMS if item != items], count - 1)]
    values = {"owner": name, "items": owned, "total": count}
    listed = ", ".join(owned[:-1]) + f" and {owned[-1]}"
    texts = (
        (
            f'{name} owns {listed}. Return only a JSON object with the keys "owner" (the name), "items" (a list of'
            f' these {count} words, in this order) and "total" (how many there are, as a number).'
        ),
        (
            f'Describe this as JSON and write nothing else: {name} has {listed}. Keys: "owner" with the name, "items"'
            f' with the list of the {count} words in the given order, "total" with their number.'
        ),
    )
    return _draft(rng.choice(texts), _json(values))


def start_end(rng: Random, level: int) -> Draft:
    """How the answer begins and ends."""
    topic, opening = rng.choice(TOPICS), rng.choice(OPENINGS)
    closing = rng.choice(("That is all.", "Good night!", "Thanks for reading.", "What do you think?", "The end."))
    start, end = {"kind": "starts_with", "text": opening}, {"kind": "ends_with", "text": closing}
    if level == 1:
        texts = (
            f'Write something short about {topic}. It must start with the words "{opening}".',
            f'Begin your answer with "{opening}" and say one thing about {topic}.',
        )
        return _draft(rng.choice(texts), start)
    if level == 2:
        texts = (
            f"Write something short about {topic} and then finish with exactly this text: {closing}",
            f"Say something short about {topic}. The very last words of your answer must be: {closing}",
        )
        return _draft(rng.choice(texts), end)
    n = rng.randint(15, 25)
    texts = (
        f'Write about {topic}. Start with "{opening}", finish with "{closing}" and use at most {n} words in total.',
        f'In {n} words or fewer, write about {topic}, with "{opening}" as the first words and "{closing}" as the last.',
    )
    return _draft(rng.choice(texts), start, end, _words("at most", n))


def copying(rng: Random, level: int) -> Draft:
    """Output that is known to the letter."""
    words = rng.sample(KEYWORDS, rng.randint(4, 6))
    if level == 1:
        word, n = words[0], rng.randint(2, 6)
        texts = (
            f'Write the word "{word}" exactly {n} times, separated by single spaces, and nothing else.',
            f'Repeat "{word}" {n} times in one line with spaces in between. Output only that.',
        )
        return _draft(rng.choice(texts), _exact(" ".join([word] * n)))
    if level == 2:
        sign = rng.choice((", ", "-", "+", " "))
        texts = (
            f"Copy this line exactly as it is, with nothing before or after it: {sign.join(words)}",
            f"Output the following line unchanged and nothing else: {sign.join(words)}",
        )
        return _draft(rng.choice(texts), _exact(sign.join(words)))
    shown = ", ".join(words)
    if rng.random() < 0.5:
        texts = (
            f"Write these words in reverse order, separated by commas and spaces, and nothing else: {shown}",
            f"Turn the order of this list around, last word first, and return only the list: {shown}",
        )
        return _draft(rng.choice(texts), _exact(", ".join(reversed(words))))
    texts = (
        f"Sort these words alphabetically and write them with commas and spaces in between, nothing else: {shown}",
        f"Put this list into alphabetical order and return only the list: {shown}",
    )
    return _draft(rng.choice(texts), _exact(", ".join(sorted(words))))


def separated(rng: Random, level: int) -> Draft:
    """Lists in one line."""
    kind, n = rng.choice(LISTABLE), rng.randint(3, 6)
    if level == 1:
        texts = (
            f"Name exactly {n} {kind} in one line, separated by commas, and write nothing else.",
            f"Give {n} {kind} as a comma-separated list on a single line, with no other text.",
        )
        return _draft(rng.choice(texts), {"kind": "separated", "separator": ",", "count": n})
    sign, called = rng.choice(_SEPARATORS)
    mark = sign.strip()
    if level == 2:
        texts = (
            f'Name exactly {n} {kind} in one line. Separate them with {called} ("{mark}") and write nothing else.',
            f'On a single line, give {n} {kind} with "{mark}" between each two of them. No other text.',
        )
        return _draft(rng.choice(texts), {"kind": "separated", "separator": mark, "count": n})
    left, right, shape = rng.choice(
        (("[", "]", "square brackets"), ("(", ")", "round brackets"), ("<<", ">>", "<< and >>"))
    )
    inner: Rule = {"kind": "separated", "separator": ",", "count": n, "left": left, "right": right, "sorted": True}
    texts = (
        (
            f"Name exactly {n} {kind} in alphabetical order and lowercase, separated by commas, the whole list in"
            f" {shape}. Nothing else."
        ),
        (
            f"On a single line inside {shape}, give {n} {kind} in lowercase, separated by commas and sorted from a to"
            " z. No other text."
        ),
    )
    return _draft(rng.choice(texts), inner, {"kind": "lowercase"})


def _draft(text: str, *rules: Rule) -> Draft:
    return Draft(text, check={"rules": list(rules)})


def _words(relation: str, count: int) -> Rule:
    return {"kind": "words", "relation": relation, "count": count}


def _sentences(count: int) -> Rule:
    return {"kind": "sentences", "relation": "exactly", "count": count}


def _bullets(count: int) -> Rule:
    return {"kind": "bullets", "count": count}


def _include(*words: str) -> Rule:
    return {"kind": "include", "words": list(words)}


def _exclude(*words: str) -> Rule:
    return {"kind": "exclude", "words": list(words)}


def _without(characters: str) -> Rule:
    return {"kind": "without", "characters": characters}


def _exact(text: str) -> Rule:
    return {"kind": "exact", "text": text}


def _json(values: dict[str, Any]) -> Rule:
    return {"kind": "json", "keys": list(values), "values": json.loads(json.dumps(values))}


FAMILIES: Mapping[str, Maker] = {
    "word_limit": word_limit,
    "bullets": bullets,
    "keywords": keywords,
    "letter_case": letter_case,
    "json_object": json_object,
    "start_end": start_end,
    "copying": copying,
    "separated": separated,
}
