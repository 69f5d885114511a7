"""Reasoning, second part: families, sets and who tells the truth."""

from __future__ import annotations

from random import Random

from smcs.tasks.seed._family import Draft
from smcs.tasks.seed._words import CREATURES, FEMALE, MALE, NAMES

__all__ = ("kinship", "syllogism", "truth_teller")

_WORDS = {
    "parent": ("mother", "father"),
    "child": ("daughter", "son"),
    "sibling": ("sister", "brother"),
    "spouse": ("wife", "husband"),
    "grandparent": ("grandmother", "grandfather"),
    "grandchild": ("granddaughter", "grandson"),
    "parent's sibling": ("aunt", "uncle"),
    "sibling's child": ("niece", "nephew"),
    "cousin": ("cousin", "cousin"),
    "parent-in-law": ("mother-in-law", "father-in-law"),
    "child-in-law": ("daughter-in-law", "son-in-law"),
    "great-grandparent": ("great-grandmother", "great-grandfather"),
    "great-grandchild": ("great-granddaughter", "great-grandson"),
    "great-aunt": ("great-aunt", "great-uncle"),
}
"""Relation -> (word for a woman, word for a man)."""

_CHAINS: tuple[tuple[tuple[tuple[str, ...], str], ...], ...] = (
    (
        (("parent", "parent"), "grandparent"),
        (("child", "child"), "grandchild"),
        (("sibling", "parent"), "parent's sibling"),
    ),
    (
        (("child", "sibling"), "sibling's child"),
        (("child", "sibling", "parent"), "cousin"),
        (("parent", "spouse"), "parent-in-law"),
        (("spouse", "child"), "child-in-law"),
    ),
    (
        (("parent", "parent", "parent"), "great-grandparent"),
        (("child", "child", "child"), "great-grandchild"),
        (("sibling", "parent", "parent"), "great-aunt"),
    ),
)
"""By level: a chain "X is the r1 of Y, Y is the r2 of Z" and what X is to Z."""


def kinship(rng: Random, level: int) -> Draft:
    """What one relative is to another."""
    chain, result = rng.choice(_CHAINS[level - 1])
    women = [rng.random() < 0.5 for _ in range(len(chain) + 1)]
    if "spouse" in chain:
        at = chain.index("spouse")
        women[at + 1] = not women[at]
    names = _people(rng, women)
    clues = [
        f"{names[i]} is the {_WORDS[relation][not women[i]]} of {names[i + 1]}." for i, relation in enumerate(chain)
    ]
    if level == 3:
        rng.shuffle(clues)
    told = " ".join(clues)
    gold = _WORDS[result][not women[0]]
    sex = not women[0]
    wrong = rng.sample([words[sex] for words in _WORDS.values() if words[sex] != gold], 3)
    texts = (
        f"{told} What is {names[0]} to {names[-1]}?",
        f"{told} How is {names[0]} related to {names[-1]}?",
        f"{told} {names[-1]} calls {names[0]} by which word of kinship?",
    )
    return Draft(rng.choice(texts), gold=gold, distractors=tuple(wrong))


def syllogism(rng: Random, level: int) -> Draft:
    """What follows from statements about made-up creatures."""
    a, b, c = rng.sample(CREATURES, 3)
    name = rng.choice(NAMES)
    if level == 1:
        premises = f"All {a} are {b}. {name} keeps only {a} as pets."
        gold = f"All of {name}'s pets are {b}."
        wrong = [f"None of {name}'s pets are {b}.", f"All {b} are {a}.", f"{name} has pets that are not {a}."]
        if rng.random() < 0.5:
            premises = f"All {a} are {b}. All {b} are {c}."
            gold, wrong = f"All {a} are {c}.", [f"No {a} are {c}.", f"All {c} are {a}.", f"Some {a} are not {b}."]
    elif level == 2:
        premises = f"All {a} are {b}. No {b} are {c}."
        gold, wrong = f"No {a} are {c}.", [f"Some {a} are {c}.", f"All {c} are {a}.", f"All {b} are {a}."]
        if rng.random() < 0.5:
            premises = f"Some {a} are {b}. All {b} are {c}."
            gold, wrong = f"Some {a} are {c}.", [f"All {a} are {c}.", f"No {c} are {a}.", f"All {c} are {b}."]
    else:
        premises = f"Some {a} are {b}. No {b} are {c}."
        gold, wrong = f"Some {a} are not {c}.", [f"No {a} are {c}.", f"Some {a} are {c}.", f"All {a} are {b}."]
        if rng.random() < 0.5:
            premises = f"All {a} are {b}. Some {c} are not {b}."
            gold, wrong = f"Some {c} are not {a}.", [f"No {c} are {a}.", f"Some {c} are {a}.", f"All {b} are {a}."]
    texts = (
        f"{premises} Which statement must be true?",
        f"Suppose this holds: {premises} What follows for certain?",
        f"{premises} Only one of these conclusions is always valid. Which one?",
    )
    return Draft(rng.choice(texts), gold=gold, distractors=tuple(wrong))


def truth_teller(rng: Random, level: int) -> Draft:
    """One did it; it is known how many of the statements are true."""
    count = (3, 4, 5)[level - 1]
    true_count = 1 if level < 3 else 2
    people = rng.sample(NAMES, count)
    while True:
        claims = [
            (rng.choice([j for j in range(count) if j != i] if yes else range(count)), yes)
            for i, yes in enumerate(_flags(rng, count))
        ]
        culprits = [who for who in range(count) if sum((who == target) is yes for target, yes in claims) == true_count]
        if len(culprits) == 1:
            break
    deed = rng.choice(
        ("ate the cake", "broke the vase", "hid the key", "left the door open", "wrote the secret letter")
    )
    told = [
        f'{people[i]} says: "{"It was" if yes else "It was not"} {"me" if target == i else people[target]}."'
        for i, (target, yes) in enumerate(claims)
    ]
    known = "Exactly one of these statements is true" if true_count == 1 else "Exactly two of these statements are true"
    listed = ", ".join(people[:-1]) + f" and {people[-1]}"
    texts = (
        f"One of {listed} {deed}. {' '.join(told)} {known}. Who {deed}?",
        f"It is certain that {listed} include the one person who {deed}. {' '.join(told)} {known}. Who was it?",
    )
    gold = people[culprits[0]]
    return Draft(rng.choice(texts), gold=gold, distractors=tuple(person for person in people if person != gold))


def _people(rng: Random, women: list[bool]) -> list[str]:
    """Draw different names that fit."""
    female, male = iter(rng.sample(FEMALE, len(women))), iter(rng.sample(MALE, len(women)))
    return [next(female) if woman else next(male) for woman in women]


def _flags(rng: Random, count: int) -> list[bool]:
    return [rng.random() < 0.5 for _ in range(count)]
