"""The posterior: which candidate wins (section 3.4 of the paper, Eq. 7), and what is left out when it must be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smcs.embedders import Embedder
from smcs.errors import EmbedderError, InputError
from smcs.posterior import hybrid_score, mean_pairwise_similarity, perplexity
from smcs.run import Candidate
from smcs.types import Ablation, Choice

__all__ = ("Posterior", "Scored", "choice_perplexity")

_SAME = 0.99
"""Cosine similarity from which two candidates are taken to say the same."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Candidates with their scores."""

    candidates: tuple[Candidate, ...]
    """In the order of their draws."""
    chosen: int
    """Index of the best total; the earlier draw wins a tie."""
    lead: float
    """How far the best total is ahead of the best candidate that says something else; infinite if all agree."""
    left_out: tuple[str, ...]
    """Terms of Eq. 7 that could not be computed, and why."""


class Posterior:
    """Scores candidates; embeds each distinct text once.

    Args:
        embedder: Embeds the candidates.
        balance: lambda of Eq. 7.
        without: Parts of the method to leave out; "similarity" and "perplexity" are its terms.
    """

    def __init__(self, embedder: Embedder, *, balance: float, without: Sequence[Ablation] = ()) -> None:
        self._embedder = embedder
        self._balance = 0.0 if "perplexity" in without else balance
        self._similar = "similarity" not in without
        self._vectors: dict[str, NDArray[np.float32]] = {}

    async def score(self, candidates: Sequence[Candidate]) -> Scored:
        """Score what is there.

        The perplexity term is left out for all when one candidate has none or when they come from different
        aggregators: it would compare what cannot be compared. Without embeddings the similarity term is left out.

        Args:
            candidates: At least one.

        Returns:
            The candidates with similarity and total filled in where they could be computed.
        """
        ordered = sorted(candidates, key=lambda candidate: candidate.draw)
        left_out: list[str] = []
        perplexities = self._perplexities(ordered, left_out)
        try:
            embeddings = await self._embed([candidate.text for candidate in ordered])
        except EmbedderError as error:
            left_out.append(f"similarity left out of the score: {error}")
            return self._by_perplexity(ordered, perplexities, tuple(left_out))
        similarity = mean_pairwise_similarity(embeddings)
        counted = similarity if self._similar else np.zeros_like(similarity)
        total = hybrid_score(counted, perplexities, balance=self._balance)
        best = int(np.argmax(total))
        same = embeddings @ embeddings[best] >= _SAME
        others = total[~same]
        return Scored(
            tuple(
                replace(candidate, similarity=float(s), score=float(t))
                for candidate, s, t in zip(ordered, similarity, total, strict=True)
            ),
            best,
            float(total[best] - others.max()) if others.size else float("inf"),
            tuple(left_out),
        )

    def _perplexities(self, candidates: Sequence[Candidate], left_out: list[str]) -> NDArray[np.float64] | None:
        """Return every candidate's perplexity, or say why the term is left out."""
        if self._balance == 0 or len(candidates) == 1:
            return None
        known = [candidate.perplexity for candidate in candidates if candidate.perplexity is not None]
        if len(known) < len(candidates):
            without = sorted({candidate.llm for candidate in candidates if candidate.perplexity is None})
            left_out.append(f"perplexity left out of the score: no usable log-probabilities from {', '.join(without)}")
            return None
        if len({candidate.llm for candidate in candidates}) > 1:
            left_out.append("perplexity left out of the score: those of different aggregators do not compare")
            return None
        return np.asarray(known, dtype=np.float64)

    async def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new:
            self._vectors.update(zip(new, await self._embedder.embed(new), strict=True))
        return np.stack([self._vectors[text] for text in texts])

    def _by_perplexity(
        self, candidates: Sequence[Candidate], perplexities: NDArray[np.float64] | None, left_out: tuple[str, ...]
    ) -> Scored:
        if perplexities is None:
            return Scored(tuple(candidates), 0, 0.0, left_out)
        total = hybrid_score(np.zeros(len(candidates)), perplexities, balance=self._balance)
        scored = tuple(replace(candidate, score=float(t)) for candidate, t in zip(candidates, total, strict=True))
        return Scored(scored, int(np.argmax(total)), 0.0, left_out)


def choice_perplexity(choice: Choice) -> float | None:
    """Return a choice's perplexity; `None` if it has no log-probabilities, or an LLM gave some that cannot be."""
    try:
        return perplexity(choice.logprobs) if choice.logprobs else None
    except InputError:
        return None
