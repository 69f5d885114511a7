"""Assertions for code questions, and the values they call a function with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from smcs.tasks.seed._family import Draft
from smcs.tasks.seed._words import KEYWORDS

__all__ = ("integers", "sentence", "task")


def task(
    rng: Random, names: Sequence[str], asks: Sequence[str], solve: Callable[[Any], Any], inputs: Sequence[Any]
) -> Draft:
    """Write a code question.

    Args:
        rng: Random source.
        names: Names the function may have.
        asks: Phrasings that go on after "a function f that".
        solve: Computes the right value for one input.
        inputs: Arguments to test; the first is shown as an example.
    """
    name, ask = rng.choice(names), rng.choice(asks)
    example = f"{name}({inputs[0]!r}) returns {solve(inputs[0])!r}"
    texts = (
        f"Write a Python function {name} that {ask}. For example, {example}.",
        f"Define {name} in Python: a function of one argument that {ask}. Example: {example}.",
        f"Implement a Python function called {name} which {ask}. For instance, {example}.",
    )
    tests = "\n".join(f"assert {name}({value!r}) == {solve(value)!r}" for value in inputs)
    return Draft(rng.choice(texts), check={"entry_point": name, "tests": tests})


def integers(rng: Random, count: int, low: int, high: int) -> list[int]:
    """Return `count` integers from `low` to `high`, both included."""
    return [rng.randint(low, high) for _ in range(count)]


def sentence(rng: Random) -> str:
    """Return three to six lowercase words with single spaces."""
    return " ".join(rng.sample(KEYWORDS, rng.randint(3, 6)))
