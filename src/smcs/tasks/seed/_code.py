"""Code: ten families of short Python functions, each checked by assertions on values computed here.

Strings and lists; `_code_numbers` holds the families about numbers and dictionaries.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from smcs.tasks.seed._assertions import integers, sentence, task
from smcs.tasks.seed._code_numbers import aggregate, dictionary, digits, predicate, recurrence
from smcs.tasks.seed._family import Draft, Maker
from smcs.tasks.seed._words import KEYWORDS

__all__ = ("FAMILIES",)


def count_text(rng: Random, level: int) -> Draft:
    """Count letters and words."""
    texts = [sentence(rng) for _ in range(4)]
    if level == 1:
        letter = rng.choice("aeiourstln")
        ask = (
            f"takes a string and returns how many times the letter '{letter}' occurs in it",
            f"counts the occurrences of the character '{letter}' in a string and returns the count",
        )
        return task(rng, ("count_letter", "letter_count"), ask, lambda text: text.count(letter), [*texts, ""])
    if level == 2:
        letters = "".join(sorted(rng.sample("aeioubcdrst", 3)))
        ask = (
            (
                f"returns how many characters of a string are one of the letters in '{letters}', upper and lower case"
                " alike"
            ),
            f"counts, ignoring case, the characters of a string that appear in '{letters}'",
        )
        inputs = [text.title() for text in texts]
        return task(
            rng, ("count_any", "how_many_of"), ask, lambda text: sum(c in letters for c in text.lower()), [*inputs, ""]
        )
    length, letter = rng.randint(3, 5), rng.choice("bcgmps")
    ask = (
        (
            f"returns how many words of a string, separated by spaces, have at least {length} letters and do not start"
            f" with '{letter}'"
        ),
        (
            f"counts the space-separated words that are {length} or more letters long and whose first letter is not"
            f" '{letter}'"
        ),
    )

    def count(text: str) -> int:
        return sum(len(item) >= length and item[0] != letter for item in text.split())

    return task(rng, ("count_words", "matching_words"), ask, count, [*texts, ""])


def filter_list(rng: Random, level: int) -> Draft:
    """Keep some numbers of a list, in order."""
    lists = [integers(rng, 7, 1, 60) for _ in range(4)]
    if level == 1:
        k = rng.randint(5, 40)
        ask = (
            f"takes a list of integers and returns a list of those greater than {k}, in the same order",
            f"returns the elements of a list that are larger than {k}, keeping their order",
        )
        return task(rng, ("keep_large", "above_limit"), ask, lambda values: [v for v in values if v > k], [*lists, []])
    if level == 2:
        k = rng.randint(2, 6)
        lists = [[*values, *values[:3]] for values in lists]
        ask = (
            (
                f"returns the multiples of {k} in a list of integers, each only once, in the order of their first"
                " appearance"
            ),
            (
                "takes a list of integers and returns, without repetitions and in order of first appearance, those"
                f" divisible by {k}"
            ),
        )
        return task(
            rng,
            ("unique_multiples", "distinct_multiples"),
            ask,
            lambda values: list(dict.fromkeys(v for v in values if v % k == 0)),
            [*lists, []],
        )
    k = rng.randint(3, 7)
    ask = (
        (
            f"returns a list of the integers in a list whose sum of decimal digits is divisible by {k}, sorted from"
            " largest to smallest"
        ),
        (
            f"takes a list of positive integers, keeps those whose digit sum is a multiple of {k}, and returns them in"
            " descending order"
        ),
    )
    lists = [integers(rng, 9, 10, 999) for _ in range(4)]
    return task(
        rng,
        ("by_digit_sum", "digit_sum_filter"),
        ask,
        lambda values: sorted((v for v in values if sum(map(int, str(v))) % k == 0), reverse=True),
        [*lists, []],
    )


def text_transform(rng: Random, level: int) -> Draft:
    """Rewrite a string."""
    texts = [sentence(rng) for _ in range(4)]
    if level == 1:
        ending = rng.choice(("!", "?", "...", " ok", "-x", "_end"))
        ask = (
            f"takes a string and returns it in upper case with '{ending}' added at the end",
            f"converts a string to capital letters, appends '{ending}' and returns the result",
        )
        return task(rng, ("shout", "loud"), ask, lambda text: text.upper() + ending, [*texts, ""])
    if level == 2:
        old, new = rng.sample("aeiou", 2)
        ask = (
            f"replaces every '{old}' in a string by '{new}' and then returns the string reversed",
            f"returns the reverse of a string in which each letter '{old}' has been changed to '{new}'",
        )
        return task(rng, ("swap_and_reverse", "mirror"), ask, lambda text: text.replace(old, new)[::-1], [*texts, ""])
    k = rng.randint(1, 12)
    ask = (
        (
            f"moves every lowercase letter of a string {k} places forward in the alphabet, going from z on to a, and"
            " leaves other characters as they are"
        ),
        (
            f"encodes a string by replacing each lowercase letter with the one {k} positions later (after z comes a);"
            " all else stays unchanged"
        ),
    )

    def encode(text: str) -> str:
        return "".join(chr((ord(c) - 97 + k) % 26 + 97) if "a" <= c <= "z" else c for c in text)

    return task(rng, ("shift_letters", "encode"), ask, encode, [*(f"{text.capitalize()} xyz" for text in texts), ""])


def list_transform(rng: Random, level: int) -> Draft:
    """Rearrange a list."""
    lists = [integers(rng, rng.randint(5, 8), 1, 30) for _ in range(4)]
    k = rng.randint(2, 9)
    if level == 1:
        ask = (
            f"takes a list of numbers and returns a new list in which every number is multiplied by {k}",
            f"returns a list with each element of the given list of integers times {k}",
        )
        return task(rng, ("scale", "multiply_all"), ask, lambda values: [v * k for v in values], [*lists, []])
    if level == 2:
        ask = (
            (
                f"rotates a list {k} places to the left, so that the first element moves to the end each time, and"
                " returns the new list"
            ),
            f"returns the given list after moving its first element to the end {k} times",
        )

        def rotate(values: list[int]) -> list[int]:
            return values[k % len(values) :] + values[: k % len(values)] if values else []

        return task(rng, ("rotate", "rotate_left"), ask, rotate, [*lists, []])
    size = rng.randint(2, 4)
    ask = (
        (
            f"splits a list into consecutive parts of {size} elements (the last may be shorter) and returns the list of"
            f" the sums of the parts, each multiplied by {k}"
        ),
        (
            f"adds up every {size} consecutive elements of a list, the last group being possibly shorter, and returns"
            f" these sums multiplied by {k}"
        ),
    )

    def sums(values: list[int]) -> list[int]:
        return [k * sum(values[i : i + size]) for i in range(0, len(values), size)]

    return task(rng, ("group_sums", "chunk_sums"), ask, sums, [*lists, []])


def formatting(rng: Random, level: int) -> Draft:
    """Turn values into text."""
    if level == 1:
        sign = rng.choice((", ", "-", " + ", "/", ";", " and "))
        ask = (
            f"takes a list of strings and returns them joined into one string with '{sign}' between them",
            f"returns one string made of the strings of a list with '{sign}' in between",
        )
        lists = [rng.sample(KEYWORDS, size) for size in (3, 2, 4, 1)]
        return task(rng, ("join_words", "glue"), ask, sign.join, [*lists, []])
    if level == 2:
        width, prefix = rng.randint(4, 8), rng.choice(("ID-", "No. ", "#", "file_"))
        ask = (
            (
                f"writes a non-negative integer with leading zeros so that it has at least {width} digits, puts"
                f" '{prefix}' in front and returns the string"
            ),
            (
                f"returns '{prefix}' followed by the given non-negative integer padded with zeros on the left to at"
                f" least {width} digits"
            ),
        )
        return task(
            rng, ("label", "make_code"), ask, lambda n: f"{prefix}{n:0{width}d}", [*integers(rng, 4, 1, 9999), 0]
        )
    hour, minute = rng.choice((("h", "m"), (" h", " min"), (" hours", " minutes")))
    extra = rng.randint(5, 55)
    ask = (
        (
            f"adds {extra} to a number of minutes and returns the result as hours and minutes in the form '2{hour}"
            f" 05{minute}' (minutes with two digits)"
        ),
        (
            f"takes minutes as an integer, adds {extra} of them, and returns a string such as '2{hour} 05{minute}':"
            " hours, then minutes as two digits"
        ),
    )

    def write(n: int) -> str:
        return f"{(n + extra) // 60}{hour} {(n + extra) % 60:02d}{minute}"

    return task(rng, ("duration", "as_time"), ask, write, [*integers(rng, 4, 1, 600), 0])


FAMILIES: Mapping[str, Maker] = {
    "count_text": count_text,
    "filter_list": filter_list,
    "aggregate": aggregate,
    "text_transform": text_transform,
    "list_transform": list_transform,
    "digits": digits,
    "predicate": predicate,
    "formatting": formatting,
    "dictionary": dictionary,
    "recurrence": recurrence,
}
