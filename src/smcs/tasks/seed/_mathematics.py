"""Mathematics: twelve families whose answer is one number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from random import Random

from smcs.tasks.seed._family import Draft, Maker
from smcs.tasks.seed._geometry import geometry, probability
from smcs.tasks.seed._words import ITEMS, NAMES, PLACES

__all__ = ("FAMILIES",)


def arithmetic(rng: Random, level: int) -> Draft:
    """Sums, differences, products and exact quotients."""
    name, items = rng.choice(NAMES), rng.choice(ITEMS)
    if level == 1 and rng.random() < 0.5:
        a, b = rng.randint(12, 79), rng.randint(5, 60)
        texts: tuple[str, ...] = (
            f"What is {a} + {b}?",
            f"{name} has {a} {items} and is given {b} more. How many {items} does {name} have now?",
            f"Find the sum of {a} and {b}.",
        )
        return Draft(rng.choice(texts), gold=str(a + b))
    if level == 1:
        a, b = rng.randint(50, 99), rng.randint(8, 49)
        texts = (
            f"What is {a} - {b}?",
            f"There were {a} {items} in a box and {name} took {b} of them out. How many {items} are left in the box?",
            f"Subtract {b} from {a}.",
        )
        return Draft(rng.choice(texts), gold=str(a - b))
    if level == 2 and rng.random() < 0.5:
        a, b, c = (rng.randint(110, 480) for _ in range(3))
        texts = (
            f"Add the three numbers {a}, {b} and {c}.",
            (
                f"A shop sold {a} {items} in May, {b} in June and {c} in July. How many {items} did it sell in the"
                " three months together?"
            ),
        )
        return Draft(rng.choice(texts), gold=str(a + b + c))
    if level == 2:
        a, b = rng.randint(23, 98), rng.randint(6, 9)
        texts = (
            f"Work out {a} times {b}.",
            f"{name} packs {b} {items} into each of {a} bags. How many {items} does {name} need?",
        )
        return Draft(rng.choice(texts), gold=str(a * b))
    a, b = rng.randint(34, 97), rng.randint(23, 89)
    if rng.random() < 0.5:
        return Draft(
            rng.choice((f"Calculate the product of {a} and {b}.", f"How much is {a} multiplied by {b}?")),
            gold=str(a * b),
        )
    texts = (
        f"Divide {a * b} by {b}.",
        f"{a * b} {items} are shared equally among {b} people. How many {items} does each person get?",
    )
    return Draft(rng.choice(texts), gold=str(a))


def operations(rng: Random, level: int) -> Draft:
    """Expressions in which the order of operations matters."""
    a, b, c, d, e = (rng.randint(2, 12) for _ in range(5))
    if level == 1:
        expression, value = rng.choice(((f"{a} + {b} * {c}", a + b * c), (f"{a + b * c} - {b} * {c}", a)))
    elif level == 2:
        expression, value = rng.choice(
            ((f"({a} + {b}) * {c} - {d}", (a + b) * c - d), (f"{a} * {b} + {c} * ({d} + {e})", a * b + c * (d + e)))
        )
    else:
        expression, value = rng.choice(
            (
                (f"({a + 5} - {b}) * ({c} + {d}) - {e} * {e}", (a + 5 - b) * (c + d) - e * e),
                (f"{c * d} / {c} + {a} * ({b} - {e}) * 2", d + a * (b - e) * 2),
                (f"2 * ({a} + 3 * ({b} - {c})) + {d} * {e}", 2 * (a + 3 * (b - c)) + d * e),
            )
        )
    texts = (
        f"Evaluate the expression {expression}.",
        f"What does {expression} come to? Mind the order of operations.",
        f"Give the value of: {expression}",
    )
    return Draft(rng.choice(texts), gold=str(value))


def percent(rng: Random, level: int) -> Draft:
    """Shares, discounts, and changes one after another."""
    name = rng.choice(NAMES)
    if level == 1:
        part, whole = rng.choice((10, 20, 25, 50)), 20 * rng.randint(2, 40)
        texts = (
            f"What is {part}% of {whole}?",
            f"{part} percent of the {whole} pupils at a school walk to class. How many pupils is that?",
        )
        return Draft(rng.choice(texts), gold=str(whole * part // 100))
    if level == 2:
        off, price = rng.choice((5, 15, 30, 35, 40, 45)), 20 * rng.randint(2, 30)
        thing = rng.choice(("coat", "lamp", "tent", "radio", "suitcase", "kettle"))
        texts = (
            (
                f"A {thing} costs {price} dollars. In the sale it is {off}% cheaper. How many dollars does it cost in"
                " the sale?"
            ),
            f"{name} buys a {thing} priced at {price} euros with a discount of {off}%. How many euros does {name} pay?",
        )
        return Draft(rng.choice(texts), gold=str(price * (100 - off) // 100))
    if rng.random() < 0.5:
        base, up, down = 100 * rng.randint(2, 30), rng.choice((10, 20, 30, 50)), rng.choice((10, 20, 30, 40))
        texts = (
            (
                f"The rent of {base} dollars rises by {up}% and a year later falls by {down}%. How many dollars is it"
                " then?"
            ),
            (
                f"A town of {base} people grows by {up}% and then shrinks by {down}%. How many people live there in the"
                " end?"
            ),
        )
        return Draft(rng.choice(texts), gold=str(base * (100 + up) * (100 - down) // 10_000))
    off, price = rng.choice((10, 20, 25, 40, 60)), 20 * rng.randint(3, 30)
    after = price * (100 - off) // 100
    texts = (
        f"After a discount of {off}% a jacket costs {after} dollars. How many dollars did it cost before?",
        (
            f"{name} paid {after} euros for a chair that was reduced by {off}%. What was the price in euros before the"
            " reduction?"
        ),
    )
    return Draft(rng.choice(texts), gold=str(price))


def equation(rng: Random, level: int) -> Draft:
    """Linear equations in one or two unknowns."""
    x, letter = rng.randint(2, 15), rng.choice("nxyz")
    if level == 1:
        b = rng.randint(4, 40)
        left, right = rng.choice(((f"{letter} + {b}", x + b), (f"{letter} - {b}", x)))
        gold = x if "+" in left else x + b
        texts = (f"Solve {left} = {right} for {letter}.", f"For which number {letter} is {left} equal to {right}?")
        return Draft(rng.choice(texts), gold=str(gold))
    a, b = rng.randint(2, 9), rng.randint(3, 30)
    if level == 2:
        texts = (
            f"Find {letter} if {a}{letter} + {b} = {a * x + b}.",
            f"I think of a number, multiply it by {a} and add {b}. The result is {a * x + b}. What is my number?",
        )
        return Draft(rng.choice(texts), gold=str(x))
    if rng.random() < 0.5:
        c = a + rng.randint(1, 6)
        texts = (
            f"Solve {c}{letter} - {b} = {a}{letter} + {(c - a) * x - b} for {letter}.",
            f"Which value of {letter} makes {c}{letter} - {b} and {a}{letter} + {(c - a) * x - b} equal?",
        )
        return Draft(rng.choice(texts).replace("+ -", "- "), gold=str(x))
    gap = rng.randint(3, 25)
    first, second = rng.sample(NAMES, 2)
    texts = (
        f"Two numbers add up to {2 * x + gap}, and one is {gap} larger than the other. What is the larger number?",
        (
            f"{first} and {second} own {2 * x + gap} cards together. {first} owns {gap} cards more than {second}. How"
            f" many cards does {first} own?"
        ),
    )
    return Draft(rng.choice(texts), gold=str(x + gap))


def travel(rng: Random, level: int) -> Draft:
    """Speed, distance and time."""
    name, place = rng.choice(NAMES), rng.choice(PLACES)
    speed = 10 * rng.randint(3, 12)
    if level == 1:
        hours = rng.randint(2, 8)
        texts = (
            f"A train drives at {speed} km per hour for {hours} hours. How many kilometres does it cover?",
            f"At {speed} kilometres an hour, how many kilometres does a car travel in {hours} hours?",
        )
        return Draft(rng.choice(texts), gold=str(speed * hours))
    if level == 2:
        minutes = 6 * rng.randint(3, 30)
        distance = speed * minutes // 60
        texts = (
            f"A bus goes {distance} km at a steady {speed} km per hour. How many minutes does the trip take?",
            (
                f"{name} lives {distance} km from {place} and drives there at {speed} km per hour. How many minutes is"
                f" {name} on the road?"
            ),
        )
        return Draft(rng.choice(texts), gold=str(minutes))
    other, hours = 10 * rng.randint(3, 12), rng.randint(2, 6)
    if rng.random() < 0.5:
        distance = (speed + other) * hours
        texts = (
            (
                f"Two trains start {distance} km apart and drive towards each other, one at {speed} km per hour and the"
                f" other at {other} km per hour. After how many hours do they meet?"
            ),
            (
                f"Two cars leave towns that are {distance} km apart at the same time and approach each other at {speed}"
                f" and {other} km per hour. How many hours pass until they meet?"
            ),
        )
        return Draft(rng.choice(texts), gold=str(hours))
    first = 2 * hours
    second = 3 * first
    texts = (
        (
            f"{name} drives for {first} hours at {speed} km per hour and then for {second} hours at {other} km per"
            " hour. What is the average speed of the whole trip in km per hour?"
        ),
        (
            f"A lorry spends {first} hours at {speed} km per hour and {second} hours at {other} km per hour. "
            "Find its average speed over all these hours, in km per hour."
        ),
    )
    return Draft(rng.choice(texts), gold=_decimal(Fraction(first * speed + second * other, first + second)))


def conversion(rng: Random, level: int) -> Draft:
    """Units of length, mass, volume and time."""
    n = rng.randint(2, 60)
    if level == 1:
        small, large, factor = rng.choice(
            (
                ("centimetres", "metres", 100),
                ("minutes", "hours", 60),
                ("grams", "kilograms", 1000),
                ("seconds", "minutes", 60),
            )
        )
        return Draft(
            rng.choice((f"How many {small} are there in {n} {large}?", f"Convert {n} {large} to {small}.")),
            gold=str(n * factor),
        )
    if level == 2:
        rest = rng.randint(5, 55)
        hours = rng.randint(2, 9)
        if rng.random() < 0.5:
            texts = (
                f"A film lasts {hours} hours and {rest} minutes. How many minutes is that?",
                f"Express {hours} hours {rest} minutes in minutes.",
            )
            return Draft(rng.choice(texts), gold=str(hours * 60 + rest))
        texts = (
            f"A rope is {hours} metres and {rest} centimetres long. How long is it in centimetres?",
            f"Express {hours} metres {rest} centimetres in centimetres.",
        )
        return Draft(rng.choice(texts), gold=str(hours * 100 + rest))
    if rng.random() < 0.5:
        speed = rng.randint(2, 30)
        texts = (
            f"A runner moves at {speed} metres per second. What is this speed in kilometres per hour?",
            f"Change {speed} m/s into km/h.",
        )
        return Draft(rng.choice(texts), gold=_decimal(Fraction(speed * 18, 5)))
    glass = rng.choice((150, 200, 250, 300, 400))
    glasses = rng.randint(8, 45)
    texts = (
        f"Each glass holds {glass} millilitres. How many litres of water fill {glasses} glasses?",
        (
            f"A kitchen pours {glass} millilitres of juice into each of {glasses} cups. How many litres of juice is"
            " that in total?"
        ),
    )
    return Draft(rng.choice(texts), gold=_decimal(Fraction(glass * glasses, 1000)))


def divisors(rng: Random, level: int) -> Draft:
    """Remainders, common divisors and common multiples."""
    if level == 1:
        a, b = rng.randint(20, 99), rng.randint(3, 9)
        texts = (
            f"What is the remainder when {a} is divided by {b}?",
            f"{a} {rng.choice(ITEMS)} are put into full boxes of {b}. How many do not fit into a full box?",
        )
        return Draft(rng.choice(texts), gold=str(a % b))
    if level == 2:
        g = rng.randint(3, 15)
        a, b = (g * factor for factor in rng.sample(range(2, 10), 2))
        if rng.random() < 0.5:
            texts = (
                f"Find the greatest common divisor of {a} and {b}.",
                f"Which is the largest number that divides both {a} and {b}?",
            )
            return Draft(rng.choice(texts), gold=str(math.gcd(a, b)))
        texts = (
            f"Find the least common multiple of {a} and {b}.",
            f"Which is the smallest positive multiple of both {a} and {b}?",
        )
        return Draft(rng.choice(texts), gold=str(math.lcm(a, b)))
    if rng.random() < 0.5:
        a, b, c = rng.sample((4, 6, 8, 9, 10, 12, 14, 15, 18, 20), 3)
        texts = (
            (
                f"Three bells ring together at noon. They ring every {a}, {b} and {c} minutes. After how many minutes"
                " do all three ring together again?"
            ),
            (
                f"One lamp blinks every {a} seconds, another every {b} seconds and a third every {c} seconds. They just"
                " blinked together. In how many seconds will they do so next?"
            ),
        )
        return Draft(rng.choice(texts), gold=str(math.lcm(a, b, c)))
    base, exponent, modulus = rng.randint(2, 9), rng.randint(5, 12), rng.choice((5, 7, 10, 11, 13))
    texts = (
        f"What remainder does {base}^{exponent} leave when divided by {modulus}?",
        f"Compute {base} to the power {exponent} modulo {modulus}.",
    )
    return Draft(rng.choice(texts), gold=str(pow(base, exponent, modulus)))


def sequence(rng: Random, level: int) -> Draft:
    """The next or a later term of a sequence."""
    start, step = rng.randint(1, 30), rng.randint(2, 12)
    if level == 1:
        terms = [start + step * i for i in range(6)]
    elif level == 2 and rng.random() < 0.5:
        first, ratio = rng.randint(1, 9), rng.randint(2, 4)
        terms = [first * ratio**i for i in range(6)]
    elif level == 2:
        terms = [start + 150 - step * i for i in range(6)]
    elif rng.random() < 0.4:
        terms = [start, start + step]
        for _ in range(4):
            terms.append(terms[-1] + terms[-2])
    elif rng.random() < 0.5:
        terms = [start + step * i + i * (i - 1) for i in range(6)]
    else:
        place = rng.randint(15, 60)
        text = (
            f"A sequence starts {start}, {start + step}, {start + 2 * step}, {start + 3 * step} and goes on like this."
            f" What is term number {place}?"
        )
        return Draft(text, gold=str(start + step * (place - 1)))
    shown = ", ".join(map(str, terms[:5]))
    texts = (
        f"Which number comes next: {shown}?",
        f"Continue the sequence {shown} with one more number.",
        f"The numbers {shown} follow a rule. What is the next number?",
    )
    return Draft(rng.choice(texts), gold=str(terms[5]))


def average(rng: Random, level: int) -> Draft:
    """Means, missing values and medians."""
    name = rng.choice(NAMES)
    if level == 1:
        mean, gap = rng.randint(8, 40), rng.randint(1, 7)
        values = [mean - gap, mean, mean + gap]
        rng.shuffle(values)
        a, b, c = values
        texts = (
            f"What is the mean of {a}, {b} and {c}?",
            f"{name} scored {a}, {b} and {c} points in three games. What was the average score?",
        )
        return Draft(rng.choice(texts), gold=str(mean))
    values = [rng.randint(5, 60) for _ in range(4)]
    if level == 2 and rng.random() < 0.5:
        mean = sum(values) // 5 + rng.randint(3, 9)
        a, b, c, d = values
        missing = 5 * mean - sum(values)
        texts = (
            f"The average of five numbers is {mean}. Four of them are {a}, {b}, {c} and {d}. What is the fifth number?",
            (
                f"To reach an average of {mean} in five tests, how many points does {name} need in the fifth after {a},"
                f" {b}, {c} and {d}?"
            ),
        )
        return Draft(rng.choice(texts), gold=str(missing))
    if level == 2:
        values = rng.sample(range(5, 99), 5)
        shown = ", ".join(map(str, values))
        texts = (f"Find the median of {shown}.", f"Which value is in the middle when {shown} are sorted?")
        return Draft(rng.choice(texts), gold=str(sorted(values)[2]))
    girls, boys = rng.randint(4, 18), rng.randint(4, 18)
    low, high = rng.randint(40, 60), rng.randint(61, 90)
    total = Fraction(girls * high + boys * low, girls + boys)
    while total.denominator not in (1, 2):
        boys += 1
        total = Fraction(girls * high + boys * low, girls + boys)
    texts = (
        (
            f"In a class, {girls} girls have an average of {high} points and {boys} boys an average of {low} points."
            " What is the average of the class?"
        ),
        (
            f"{girls} parcels weigh {high} kg each on average and {boys} other parcels {low} kg each. What is the"
            " average weight of all parcels in kg?"
        ),
    )
    return Draft(rng.choice(texts), gold=_decimal(total))


def bases(rng: Random, level: int) -> Draft:
    """Numbers written in other bases."""
    if level == 1:
        n = rng.randint(4, 31)
        texts = (f"Write the binary number {n:b} in decimal.", f"Which decimal number is {n:b} in base 2?")
        return Draft(rng.choice(texts), gold=str(n))
    if level == 2:
        n = rng.randint(17, 120)
        texts = (f"Write the decimal number {n} in binary.", f"What is {n} in base 2?")
        return Draft(rng.choice(texts), gold=f"{n:b}")
    if rng.random() < 0.5:
        n = rng.choice([value for value in range(160, 1000) if any(digit in "abcdef" for digit in f"{value:x}")])
        texts = (f"Convert the hexadecimal number {n:X} to decimal.", f"Which decimal number is {n:X} in base 16?")
        return Draft(rng.choice(texts), gold=str(n))
    base = rng.choice((3, 4, 5, 6, 7, 8, 9))
    digits = [rng.randint(1, base - 1), rng.randrange(base), rng.randrange(base)]
    written = "".join(map(str, digits))
    texts = (
        f"The number {written} is written in base {base}. What is it in decimal?",
        f"Give the decimal value of {written} read in base {base}.",
    )
    return Draft(rng.choice(texts), gold=str((digits[0] * base + digits[1]) * base + digits[2]))


def _decimal(value: Fraction) -> str:
    """Write a fraction that ends in decimal without rounding it."""
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.10g}"


FAMILIES: Mapping[str, Maker] = {
    "arithmetic": arithmetic,
    "operations": operations,
    "percent": percent,
    "equation": equation,
    "travel": travel,
    "conversion": conversion,
    "divisors": divisors,
    "sequence": sequence,
    "average": average,
    "geometry": geometry,
    "probability": probability,
    "bases": bases,
}
