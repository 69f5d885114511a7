"""Mathematics, second part: geometry and probability."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from smcs.tasks.seed._family import Draft
from smcs.tasks.seed._words import NAMES

__all__ = ("geometry", "probability")

_TRIPLES = ((3, 4, 5), (5, 12, 13), (8, 15, 17), (7, 24, 25), (20, 21, 29))
_COLOURS = ("black", "blue", "brown", "green", "red", "white", "yellow")


def geometry(rng: Random, level: int) -> Draft:
    """Areas, perimeters and volumes."""
    a, b, c = rng.randint(3, 15), rng.randint(3, 15), rng.randint(2, 9)
    if level == 1:
        if rng.random() < 0.5:
            texts = (
                f"A rectangle is {a} cm long and {b} cm wide. What is its area in square centimetres?",
                f"How many square metres does a floor of {a} m by {b} m measure?",
            )
            return Draft(rng.choice(texts), gold=str(a * b))
        texts = (
            f"What is the perimeter in cm of a rectangle with sides of {a} cm and {b} cm?",
            f"A garden of {a} m by {b} m gets a fence all around it. How many metres of fence are needed?",
        )
        return Draft(rng.choice(texts), gold=str(2 * (a + b)))
    if level == 2:
        if rng.random() < 0.5:
            texts = (
                f"A box is {a} cm long, {b} cm wide and {c} cm high. What is its volume in cubic centimetres?",
                f"How many cubes with edges of one centimetre fit into a crate of {a} cm by {b} cm by {c} cm?",
            )
            return Draft(rng.choice(texts), gold=str(a * b * c))
        base = 2 * a
        texts = (
            f"A triangle has a base of {base} cm and a height of {b} cm. What is its area in square centimetres?",
            f"Find the area in square metres of a triangular sail with base {base} m and height {b} m.",
        )
        return Draft(rng.choice(texts), gold=str(a * b))
    if rng.random() < 0.5:
        x, y, z = rng.choice(_TRIPLES)
        k = rng.randint(1, 4)
        texts = (
            (
                f"The two shorter sides of a right triangle measure {k * x} cm and {k * y} cm. What is its perimeter"
                " in cm?"
            ),
            (
                f"{rng.choice(NAMES)} walks {k * x} m north, then {k * y} m east, and returns to the start in a"
                " straight line. How many metres is the whole walk?"
            ),
        )
        return Draft(rng.choice(texts), gold=str(k * (x + y + z)))
    texts = (
        (
            f"A lawn of {a + 4} m by {b + 4} m is surrounded by a path that is {c} m wide on every side. What is the"
            " area of the path in square metres?"
        ),
        (
            f"A picture of {a + 4} cm by {b + 4} cm has a frame {c} cm wide all around it. How many square centimetres"
            " does the frame cover?"
        ),
    )
    return Draft(rng.choice(texts), gold=str((a + 4 + 2 * c) * (b + 4 + 2 * c) - (a + 4) * (b + 4)))


def probability(rng: Random, level: int) -> Draft:
    """Chances as fractions."""
    one, two = rng.sample(_COLOURS, 2)
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    if level == 1:
        texts = (
            (
                f"A bag holds {a} {one} and {b} {two} balls. One ball is drawn blindly. What is the probability that it"
                f" is {one}? Give a fraction."
            ),
            (
                f"{rng.choice(NAMES)} has {a} {one} and {b} {two} socks in a drawer and takes one without looking. "
                f"As a fraction, how likely is it to be {one}?"
            ),
        )
        return _fraction(rng.choice(texts), Fraction(a, a + b))
    if level == 2:
        total = rng.randint(3, 11)
        if rng.random() < 0.5:
            texts = (
                (
                    "Two fair dice with six sides are thrown. What is the probability, as a fraction, that they show"
                    f" {total} in total?"
                ),
                (
                    f"You roll two ordinary six-sided dice and add them. Give the chance of a sum of {total} as a"
                    " fraction."
                ),
            )
            return _fraction(rng.choice(texts), Fraction(6 - abs(total - 7), 36))
        heads = rng.randint(0, 3)
        texts = (
            f"A fair coin is tossed three times. What is the probability, as a fraction, of exactly {heads} heads?",
            f"Three fair coins are thrown. As a fraction, how likely is it that exactly {heads} of them show heads?",
        )
        return _fraction(rng.choice(texts), Fraction((1, 3, 3, 1)[heads], 8))
    texts = (
        (
            f"From a box with {a} {one} and {b} {two} pens, two pens are taken at random without putting the first"
            f" back. What is the probability, as a fraction, that both are {one}?"
        ),
        (
            f"{a} {one} and {b} {two} cards are shuffled and two are dealt. As a fraction, what is the chance that both"
            f" cards are {one}?"
        ),
    )
    return _fraction(rng.choice(texts), Fraction(a * (a - 1), (a + b) * (a + b - 1)))


def _fraction(text: str, value: Fraction) -> Draft:
    """A decimal with three digits is taken for the fraction too."""
    return Draft(text, gold=str(value), check={"relative_tolerance": 0.005})
