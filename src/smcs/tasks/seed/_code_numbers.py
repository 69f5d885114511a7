"""Code, second part: functions about numbers and dictionaries."""

from __future__ import annotations

from collections import Counter
from random import Random

from smcs.tasks.seed._assertions import integers, task
from smcs.tasks.seed._family import Draft
from smcs.tasks.seed._words import KEYWORDS

__all__ = ("aggregate", "dictionary", "digits", "predicate", "recurrence")


def aggregate(rng: Random, level: int) -> Draft:
    """One number from a list of numbers."""
    k = rng.randint(2, 9)
    lists = [integers(rng, rng.randint(5, 8), 1, 30) for _ in range(4)]
    if level == 1:
        ask = (
            f"takes a list of integers and returns their sum plus {k}",
            f"adds up all numbers of a list, adds {k} to the total and returns it",
        )
        return task(rng, ("total_plus", "sum_and_more"), ask, lambda values: sum(values) + k, [*lists, []])
    if level == 2:
        ask = (
            f"returns the sum of the squares of those integers in a list that are not divisible by {k}",
            f"takes a list of integers, leaves out the multiples of {k} and returns the sum of the squares of the rest",
        )
        return task(
            rng,
            ("sum_of_squares", "square_total"),
            ask,
            lambda values: sum(v * v for v in values if v % k),
            [*lists, []],
        )
    size = rng.randint(2, 4)
    ask = (
        f"returns the largest sum of {size} neighbouring elements of a list of integers, minus {k}",
        f"finds {size} consecutive list elements with the greatest sum and returns this sum reduced by {k}",
    )

    def best(values: list[int]) -> int:
        return max(sum(values[i : i + size]) for i in range(len(values) - size + 1)) - k

    return task(rng, ("best_window", "largest_run"), ask, best, [*lists, list(range(size))])


def digits(rng: Random, level: int) -> Draft:
    """Decimal and other digits of an integer."""
    numbers = [*integers(rng, 3, 10, 9999), rng.randint(10**5, 10**7)]
    if level == 1:
        k = rng.randint(2, 20)
        ask = (
            f"takes a non-negative integer and returns the sum of its decimal digits plus {k}",
            f"adds the digits of a non-negative integer together, adds {k} and returns the result",
        )
        return task(rng, ("digit_total", "add_digits"), ask, lambda n: sum(map(int, str(n))) + k, [*numbers, 0])
    if level == 2:
        digit, factor = rng.randint(1, 9), rng.randint(2, 5)
        ask = (
            f"returns {factor} times the number of digits {digit} in a positive integer",
            f"counts how often the digit {digit} occurs in a positive integer and returns {factor} times that count",
        )
        numbers = [int(f"{n}{digit}{n % 10}") for n in numbers]
        return task(
            rng, ("count_digit", "digit_score"), ask, lambda n: factor * str(n).count(str(digit)), [*numbers, 10]
        )
    base, minimum = rng.randint(3, 9), rng.randint(2, 6)
    ask = (
        (
            f"returns the digits of a positive integer in base {base} as a string, with zeros in front if it is shorter"
            f" than {minimum} digits"
        ),
        (
            f"writes a positive integer in base {base} and returns the string, filled up with leading zeros to a length"
            f" of at least {minimum}"
        ),
    )

    def convert(n: int) -> str:
        written = ""
        while n:
            n, digit = divmod(n, base)
            written = str(digit) + written
        return written.zfill(minimum)

    return task(rng, ("to_base", "in_base"), ask, convert, [*numbers, 1])


def predicate(rng: Random, level: int) -> Draft:
    """Yes-or-no questions about a value."""
    if level == 1:
        a, b = rng.sample(range(2, 10), 2)
        ask = (
            f"returns True if an integer is divisible by {a} or by {b}, and False otherwise",
            f"tells with True or False whether a given integer is a multiple of {a} or of {b}",
        )
        numbers = [a * rng.randint(2, 9), b * rng.randint(2, 9), a * b * 3 + 1, a * b, 1]
        return task(rng, ("is_multiple", "divides"), ask, lambda n: n % a == 0 or n % b == 0, numbers)
    if level == 2:
        k = rng.randint(2, 7)
        ask = (
            (
                f"returns True if a string has at least {k} characters and reads the same backwards when case is"
                " ignored, else False"
            ),
            (
                f"decides (True or False) whether a string is a palindrome, upper and lower case being the same, of {k}"
                " or more characters"
            ),
        )
        halves = ["".join(rng.choice("abcdefg") for _ in range(size)) for size in (2, 3, 4)]
        words = [
            *(half.capitalize() + half[::-1] for half in halves),
            rng.choice(KEYWORDS),
            "a" * k,
            "a" * (k - 1),
            "ab" * k,
        ]
        return task(
            rng, ("is_mirror", "long_palindrome"), ask, lambda s: len(s) >= k and s.lower() == s.lower()[::-1], words
        )
    k = rng.randint(2, 8)
    ask = (
        (
            f"returns True if a positive integer has exactly {k} positive divisors (1 and itself included), otherwise"
            " False"
        ),
        (
            f"checks whether exactly {k} positive integers divide a positive integer, counting 1 and the number itself,"
            " and returns True or False"
        ),
    )

    def has(n: int) -> bool:
        return sum(n % i == 0 for i in range(1, n + 1)) == k

    right = [n for n in range(1, 200) if has(n)]
    numbers = [right[1] if len(right) > 1 else right[0], right[0], *integers(rng, 3, 10, 120), 1]
    return task(rng, ("has_divisors", "divisor_check"), ask, has, numbers)


def dictionary(rng: Random, level: int) -> Draft:
    """Build and read dictionaries."""
    k = rng.randint(2, 12)
    if level == 1:
        ask = (
            (
                "takes a dictionary from names to numbers and returns the sorted list of the names whose number is"
                f" greater than {k}"
            ),
            f"returns, in alphabetical order, a list of the keys of a dictionary whose values are above {k}",
        )
        dicts = [dict(zip(rng.sample(KEYWORDS, 5), integers(rng, 5, 1, 15), strict=True)) for _ in range(4)]
        return task(
            rng, ("keys_above", "names_over"), ask, lambda d: sorted(key for key, v in d.items() if v > k), [*dicts, {}]
        )
    if level == 2:
        times = rng.randint(2, 4)
        ask = (
            (
                "returns a dictionary with the number of occurrences of each element of a list, leaving out those that"
                f" occur fewer than {times} times"
            ),
            (
                "counts the elements of a list and returns a dictionary from element to count for all that appear at"
                f" least {times} times"
            ),
        )
        lists = [integers(rng, 12, 1, 4) for _ in range(4)]
        return task(
            rng,
            ("frequent", "common_items"),
            ask,
            lambda v: {i: n for i, n in sorted(Counter(v).items()) if n >= times},
            [*lists, []],
        )
    return _grouping(rng)


def recurrence(rng: Random, level: int) -> Draft:
    """Sequences that are built step by step."""
    a, b, k = rng.randint(1, 6), rng.randint(1, 9), rng.randint(2, 9)
    if level == 1:
        ask = (
            f"takes an integer n and returns a list of the first n positive multiples of {k}",
            f"returns the list of the n smallest positive numbers that are divisible by {k}, for a given n",
        )
        return task(
            rng, ("multiples", "first_multiples"), ask, lambda n: [k * i for i in range(1, n + 1)], [4, 1, 7, 0]
        )
    if level == 2:
        ask = (
            (
                f"returns term number n (counting from 0) of the sequence that starts with {a}, {b} and where each"
                " further term is the sum of the two before"
            ),
            (
                f"takes n and returns element n, counted from 0, of the sequence {a}, {b}, ... in which every later"
                " element is the two previous ones added"
            ),
        )

        def term(n: int) -> int:
            x, y = a, b
            for _ in range(n):
                x, y = y, x + y
            return x

        return task(rng, ("term", "nth_term"), ask, term, [5, 0, 1, 12, 30])
    limit = rng.randint(50, 900)
    ask = (
        (
            f"starts with a positive integer n and repeatedly replaces it by {k} times n plus {a} until it exceeds"
            f" {limit}, and returns how many replacements were needed"
        ),
        (
            f"counts how many times a positive integer must be multiplied by {k} and then increased by {a} until it is"
            f" greater than {limit}, and returns that count (0 if it is greater already)"
        ),
    )

    def steps(n: int) -> int:
        count = 0
        while n <= limit:
            n, count = k * n + a, count + 1
        return count

    return task(rng, ("steps_to_limit", "growth_steps"), ask, steps, [1, 5, 49, limit, limit + 1])


def _grouping(rng: Random) -> Draft:
    """The hardest level of `dictionary`."""
    size = rng.randint(1, 2)
    first = "letter" if size == 1 else f"{size} letters"
    shortest = rng.randint(3, 6)
    ask = (
        (
            f"groups the words of a list that have at least {shortest} letters by their first {first}: it returns a"
            " dictionary from what the words begin with to the list of these words in their original order"
        ),
        (
            f"returns a dictionary whose keys are the first {first} of words and whose values are the lists of those"
            f" words, in order, skipping words with fewer than {shortest} letters"
        ),
    )

    def group(items: list[str]) -> dict[str, list[str]]:
        groups: dict[str, list[str]] = {}
        for item in items:
            if len(item) >= shortest:
                groups.setdefault(item[:size], []).append(item)
        return groups

    return task(
        rng,
        ("group_words", "index_words"),
        ask,
        group,
        [*(rng.sample((*KEYWORDS, "sun", "mat", "wind"), 6) for _ in range(4)), []],
    )
