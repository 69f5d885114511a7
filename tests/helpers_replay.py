"""A small recording with gaps, answers and costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smcs.bench.recordings import Recording


def make_recording(seed: int = 0, *, bank: int = 60, asked: int = 25, llms: int = 5, costs: bool = True) -> Recording:
    """Return a recording of multiple-choice questions with four options; two LLMs are better on their own subject."""
    rng = np.random.default_rng(seed)
    count = bank + asked
    groups = np.array(["x", "y"])[rng.integers(2, size=count)]
    chances = np.tile(np.linspace(0.3, 0.6, llms), (count, 1))
    chances[:, 0] = np.where(groups == "x", 0.9, 0.2)
    chances[:, 1] = np.where(groups == "y", 0.9, 0.2)
    gold = rng.integers(4, size=count)
    right = rng.random((count, llms)) < chances
    answers = np.where(right, gold[:, None], (gold[:, None] + rng.integers(1, 4, size=right.shape)) % 4)
    answers[rng.random(right.shape) < 0.1] = -1
    scores = (answers == gold[:, None]).astype(np.float64)
    scores[: bank // 3, 2] = np.nan
    prices = np.linspace(1, 3, llms) * 1e-3
    return Recording(
        name="made",
        llms=tuple(f"llm{number}" for number in range(llms)),
        ids=tuple(f"q{number}" for number in range(count)),
        texts=tuple(f"{group} question {number}?" for number, group in enumerate(groups)),
        choices=(("one", "two", "three", "four"),) * count,
        tasks=("task",) * count,
        groups=groups,
        is_test=np.arange(count) >= bank,
        scores=scores,
        answers=answers.astype(np.int64),
        gold=gold.astype(np.int64),
        costs=prices * rng.uniform(0.5, 1.5, size=right.shape) if costs else None,
    )


def make_vectors(recording: Recording, seed: int = 0) -> NDArray[np.float32]:
    """Return unit vectors of which those of one subject are close."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((len(recording.ids), 8))
    points[:, 0] += np.where(recording.groups == "x", 3.0, -3.0)
    points[:, 1] += 3.0
    found: NDArray[np.float32] = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    return found
