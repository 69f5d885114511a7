"""Prior selection checked on answers that were recorded once: 17 real LLMs on MMLU-Pro, no LLM called.

The validation split is the question bank, the test split is routed. Every figure has a counterpart computed
independently from the same data, so a difference beyond rounding is a fault of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from smcs.bench.tables import read_columns
from smcs.embedders import Embedder, Vectors
from smcs.errors import ConfigError, InputError
from smcs.posterior import drop_distribution, plurality
from smcs.prior import pairwise_ranking_score, prior_vector, recruit, support_set

__all__ = (
    "RECORDED_SOURCE",
    "Figure",
    "RecordedBank",
    "Setting",
    "embed_questions",
    "embed_texts",
    "load_recorded",
    "recorded_figures",
)

RECORDED_SOURCE = (
    "README of the recorded data: all-MiniLM-L6-v2 embeddings of the question without its choices, cut at 256 tokens; "
    "17 LLMs; missing outcomes counted as wrong; N_sup_base = 400, gamma = 0.95"
)
"""Where the recorded figures come from, and what they hold for."""

_RECORDED: Mapping[str, float] = {
    "best single LLM": 62.79,
    "best LLM per subject": 65.22,
    "RPS top-1": 64.88,
    "majority vote of all": 61.12,
    "majority vote of the RPS top K": 66.72,
    "prior-weighted vote of the RPS top K": 66.89,
    "oracle": 91.81,
    "pairwise ranking score": 71.30,
    "pairwise ranking score, one global ranking": 70.63,
    "mean support set": 466.0,
}

_EMBEDDING_BATCH = 256


@dataclass(frozen=True, slots=True)
class Setting:
    """Parameters of prior selection."""

    _: KW_ONLY
    base: int = 400
    """N_sup_base."""
    tolerance: float = 0.95
    """gamma."""
    k: int = 7
    """LLMs recruited, at most the number there are."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of ours beside the recorded one."""

    name: str
    value: float
    recorded: float
    unit: Literal["%", "questions"]

    @property
    def difference(self) -> float:
        """Ours minus recorded, in the figure's unit."""
        return self.value - self.recorded


@dataclass(frozen=True, slots=True)
class RecordedBank:
    """Recorded answers to multiple-choice questions: Q questions, R LLMs."""

    ids: tuple[str, ...]
    """(Q,)"""
    questions: tuple[str, ...]
    """(Q,) texts without choices: what is embedded."""
    subjects: NDArray[np.str_]
    """(Q,)"""
    is_test: NDArray[np.bool_]
    """(Q,) whether the question is routed; the others are the bank."""
    llms: tuple[str, ...]
    """(R,) in the order in which their responses are recorded."""
    gold: NDArray[np.int8]
    """(Q,) the right option: 0 for A."""
    predicted: NDArray[np.int8]
    """(Q, R) the option chosen, -1 where no letter was found or nothing was recorded."""
    correct: NDArray[np.float64]
    """(Q, R) 1 or 0, NaN where nothing was recorded."""


def load_recorded(folder: Path | str) -> RecordedBank:
    """Read `questions.parquet`, `outcomes.parquet` and the LLM names of `responses.parquet`.

    LLMs without recorded responses are left out.

    Raises:
        ConfigError: A file or column is missing, or an outcome names an unknown question.
        MissingExtraError: pyarrow is not installed.
    """
    questions = read_columns(Path(folder) / "questions.parquet", ("id", "subject", "question", "answer", "split"))
    outcomes = read_columns(Path(folder) / "outcomes.parquet", ("id", "llm", "predicted", "correct"))
    responses = read_columns(Path(folder) / "responses.parquet", ("llm",))
    llms = tuple(dict.fromkeys(responses["llm"]))
    row_of = {id_: row for row, id_ in enumerate(questions["id"])}
    column_of = {llm: column for column, llm in enumerate(llms)}
    correct = np.full((len(row_of), len(llms)), np.nan)
    predicted = np.full((len(row_of), len(llms)), -1, dtype=np.int8)
    for id_, llm, letter, verdict in zip(*outcomes.values(), strict=True):
        column = column_of.get(llm)
        if column is None:
            continue
        if id_ not in row_of:
            raise ConfigError(f"{folder}: an outcome names the question {id_!r}, which questions.parquet lacks.")
        correct[row_of[id_], column] = verdict
        predicted[row_of[id_], column] = _option(letter)
    return RecordedBank(
        ids=tuple(questions["id"]),
        questions=tuple(questions["question"]),
        subjects=np.array(questions["subject"], dtype=np.str_),
        is_test=np.array([split == "test" for split in questions["split"]], dtype=np.bool_),
        llms=llms,
        gold=np.array([_option(letter) for letter in questions["answer"]], dtype=np.int8),
        predicted=predicted,
        correct=correct,
    )


async def embed_questions(
    bank: RecordedBank, embedder: Embedder, *, on_progress: Callable[[int], None] | None = None
) -> Vectors:
    """Embed every question, without its choices; otherwise as `embed_texts`."""
    return await embed_texts(bank.questions, embedder, on_progress=on_progress)


async def embed_texts(
    texts: Sequence[str], embedder: Embedder, *, on_progress: Callable[[int], None] | None = None
) -> Vectors:
    """Embed many texts, a batch at a time.

    Args:
        texts: At least one.
        embedder: Makes the vectors; wrap it in a `CachedEmbedder` to make them once.
        on_progress: Called with the number of texts that are done, now and then.

    Returns:
        float32 of shape (len(texts), dimensions).

    Raises:
        EmbedderError: The embedder failed.
    """
    parts = []
    for start in range(0, len(texts), _EMBEDDING_BATCH):
        parts.append(await embedder.embed(texts[start : start + _EMBEDDING_BATCH]))
        if on_progress is not None:
            on_progress(min(start + _EMBEDDING_BATCH, len(texts)))
    return np.concatenate(parts)


def recorded_figures(bank: RecordedBank, embeddings: Vectors, setting: Setting | None = None) -> tuple[Figure, ...]:
    """Route every test question by the bank, and compare with the recorded figures.

    Missing outcomes count as wrong, as in the recorded figures. Votes leave out LLMs without a letter; ties go to the
    LLM that stands first: in pool order for the vote of all, best prior first for the recruited. Vote weights are the
    softmax of the z-scores over the priors of the whole pool.

    Args:
        bank: The recorded answers.
        embeddings: One unit-norm row per question of the bank, shape (Q, dimensions).
        setting: Parameters; those of the recorded figures unless given.

    Raises:
        InputError: A split is empty, shapes do not match or a parameter is out of range.
    """
    setting = setting or Setting()
    _check(bank, embeddings)
    correct = np.nan_to_num(bank.correct, nan=0.0)
    known, asked = correct[~bank.is_test], correct[bank.is_test]
    predicted, gold = bank.predicted[bank.is_test], bank.gold[bank.is_test]
    everyone = np.arange(len(gold))
    priors, sizes = _priors(embeddings[~bank.is_test], embeddings[bank.is_test], known, setting)
    chosen = np.stack([recruit(prior, min(setting.k, len(bank.llms))) for prior in priors])
    weights = np.stack([drop_distribution(prior)[best] for prior, best in zip(priors, chosen, strict=True)])
    ballots = np.take_along_axis(predicted, chosen, axis=1)
    accuracy = known.mean(axis=0)
    specialists = _best_per_subject(bank.subjects[~bank.is_test], known, bank.subjects[bank.is_test])
    shares: dict[str, float] = {
        "best single LLM": asked[:, accuracy.argmax()].mean(),
        "best LLM per subject": asked[everyone, specialists].mean(),
        "RPS top-1": asked[everyone, chosen[:, 0]].mean(),
        "majority vote of all": (plurality(predicted) == gold).mean(),
        "majority vote of the RPS top K": (plurality(ballots) == gold).mean(),
        "prior-weighted vote of the RPS top K": (plurality(ballots, weights) == gold).mean(),
        "oracle": asked.max(axis=1).mean(),
        "pairwise ranking score": pairwise_ranking_score(priors, asked),
        "pairwise ranking score, one global ranking": pairwise_ranking_score(
            np.broadcast_to(accuracy, asked.shape), asked
        ),
    }
    figures = [Figure(name, 100 * float(share), _RECORDED[name], "%") for name, share in shares.items()]
    name = "mean support set"
    return (*figures, Figure(name, float(sizes.mean()), _RECORDED[name], "questions"))


def _priors(
    bank_vectors: Vectors, asked_vectors: Vectors, known: NDArray[np.float64], setting: Setting
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the prior of every LLM, (test questions, R), and the size of each support set, (test questions,)."""
    similarities = asked_vectors @ bank_vectors.T
    supports = [support_set(row, base=setting.base, tolerance=setting.tolerance) for row in similarities]
    priors = np.stack([prior_vector(known, support) for support in supports])
    return priors, np.array([len(support) for support in supports], dtype=np.intp)


def _best_per_subject(
    bank_subjects: NDArray[np.str_], known: NDArray[np.float64], asked_subjects: NDArray[np.str_]
) -> NDArray[np.intp]:
    """Return for each test question the LLM that is best on its subject in the bank; overall, for an unseen one."""
    best = np.full(len(asked_subjects), known.mean(axis=0).argmax())
    for subject in np.unique(asked_subjects):
        rows = known[bank_subjects == subject]
        if len(rows):
            best[asked_subjects == subject] = rows.mean(axis=0).argmax()
    return best


def _check(bank: RecordedBank, embeddings: Vectors) -> None:
    if embeddings.ndim != 2 or len(embeddings) != len(bank.ids):
        raise InputError(
            f"`embeddings` must have one row for each of {len(bank.ids)} questions, got shape {embeddings.shape}."
        )
    if bank.is_test.all() or not bank.is_test.any():
        raise InputError("The recorded data must hold both a test split and questions outside it (the bank).")


def _option(letter: str | None) -> int:
    """Return 0 for "A", 1 for "B", ...; -1 for no letter."""
    return ord(letter) - ord("A") if letter else -1
