"""What the well graded LLMs of a bank tell about its questions and about how LLMs differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smcs._checks import finite_array, real_array
from smcs.errors import InputError
from smcs.prior.growth.features import FIXED, LINKED, OutcomeTable
from smcs.prior.growth.regression import posterior
from smcs.prior.support import support_set

__all__ = ("LEAST_REFERENCES", "Survey", "flat_survey", "survey")

LEAST_REFERENCES = 3
"""Fewer well graded LLMs say nothing about how LLMs differ."""

_FOLDS = 24
_FIT_ROWS = 20_000
_WEAK_PRECISION = 0.01
_PRIOR_LLMS = 3.0
"""How many LLMs the structure assumed beforehand counts as, against those that were graded."""

_LEAST_VARIANCE = 1e-4
_QUERIES = 200
_QUERY_BLOCK = 25
_LONGEST_SUPPORT = 2000


@dataclass(frozen=True, eq=False)
class Survey:
    """Features of N questions, and a normal prior of an unknown LLM's D weights on them."""

    features: NDArray[np.float32]
    """(N, D), the first column 1."""
    mean: NDArray[np.float64]
    """(D,)"""
    covariance: NDArray[np.float64]
    """(D, D)"""
    queries: tuple[tuple[NDArray[np.intp], NDArray[np.float64]], ...]
    """Supports (rows and weights that sum to 1) of bank questions that stand for future ones."""
    references: int
    """Well graded LLMs it rests on."""


def survey(outcomes: ArrayLike, embeddings: ArrayLike, rng: np.random.Generator) -> Survey:
    """Learn features of questions, and how LLMs differ, from LLMs that answered most of a bank.

    Each of them (at most 24, spread over their accuracies) is taken as the newcomer in turn: features are made from the
    others alone, and its weights fitted to its own outcomes. Mean and covariance of these weights, drawn towards a
    diagonal where LLMs are few, are the prior of the next newcomer. So what is trusted to a feature is what it was
    worth for an LLM that did not help to make it.

    Args:
        outcomes: (N, R) scores in [0, 1], NaN where missing.
        embeddings: (N, d) unit-norm rows.
        rng: Draws the questions that stand for future ones, and projections of long embeddings.

    Raises:
        InputError: R is below `LEAST_REFERENCES`, an LLM has no outcome, a score is out of range, or shapes differ.
    """
    scores, vectors = _checked(outcomes, embeddings)
    references = scores.shape[1]
    if references < LEAST_REFERENCES:
        raise InputError(f"A survey needs at least {LEAST_REFERENCES} well graded LLMs, got {references}.")
    table = OutcomeTable.of(scores, vectors, rng)
    features = table.features(np.arange(references))
    weights, variances = _weights_of_each(scores, table, features, rng)
    mean, covariance = _prior(weights, variances)
    queries = _queries(vectors if table.embeddings.shape[1] == vectors.shape[1] else _unit(table.embeddings), rng)
    return Survey(features, mean, covariance, queries, references)


def flat_survey(outcomes: ArrayLike) -> Survey:
    """Return the survey of a bank with too few well graded LLMs: questions are all alike.

    What it predicts everywhere is a newcomer's own mean, drawn towards that of the LLMs there are (or to one half) with
    about the weight of four outcomes.

    Args:
        outcomes: (N, R) scores with NaN where missing; R may be 0.
    """
    scores = np.asarray(outcomes, dtype=np.float64)
    there = ~np.isnan(scores)
    level = (float(scores[there].sum()) + 1.0) / (int(there.sum()) + 2.0)
    rows = np.arange(len(scores), dtype=np.intp)
    everything = (rows, np.full(len(rows), 1.0 / max(1, len(rows))))
    ones = np.ones((len(scores), 1), dtype=np.float32)
    return Survey(ones, np.array([np.log(level / (1 - level))]), np.eye(1), (everything,), 0)


def _checked(outcomes: ArrayLike, embeddings: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    scores = np.asarray(real_array("outcomes", outcomes, ndim=2), dtype=np.float32)
    vectors = np.asarray(finite_array("embeddings", embeddings, ndim=2), dtype=np.float32)
    if len(scores) != len(vectors):
        raise InputError(f"`embeddings` must have one row per question ({len(scores)}), got {len(vectors)}.")
    if np.fmin.reduce(scores, axis=None) < 0 or np.fmax.reduce(scores, axis=None) > 1:
        raise InputError("`outcomes` must be from 0 to 1, or NaN where missing.")
    if np.isnan(scores).all(axis=0).any():
        raise InputError("An LLM without any outcome says nothing. Leave it out of `outcomes`.")
    return scores, vectors


def _weights_of_each(
    scores: NDArray[np.float32], table: OutcomeTable, features: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights (F, D) of LLMs on features that the others gave, and the variance of each estimate, (F, D)."""
    count, width = len(table.means), features.shape[1]
    ranked = np.argsort(table.means, kind="stable")
    left_out = ranked[np.unique(np.linspace(0, count - 1, min(count, _FOLDS)).round().astype(np.intp))]
    weights, variances = (np.zeros((len(left_out), width)) for _ in range(2))
    nothing, weak = np.zeros(width), np.eye(width) / _WEAK_PRECISION
    for fold, llm in enumerate(left_out):
        rows = np.flatnonzero(~np.isnan(scores[:, llm]))
        if len(rows) > _FIT_ROWS:
            rows = rng.choice(rows, _FIT_ROWS, replace=False)
        others = _aligned(table.features(np.delete(np.arange(count), llm)), features)
        fitted = posterior(others[rows].astype(np.float64), scores[rows, llm].astype(np.float64), nothing, weak)
        weights[fold], variances[fold] = fitted.mean, np.diag(fitted.covariance)
    return weights, variances


def _aligned(features: NDArray[np.float32], like: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rotate the direction, and the topics, of some LLMs to those of all, which another order or sign may hide."""
    parts = [features[:, :FIXED]]
    for columns in (slice(FIXED, FIXED + 1), slice(FIXED + 1, None)):
        left, _, right = np.linalg.svd((features[:, columns].T @ like[:, columns]).astype(np.float64))
        parts.append(features[:, columns] @ (left @ right).astype(np.float32))
    return np.concatenate(parts, axis=1)


def _prior(
    weights: NDArray[np.float64], variances: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and covariance of an unknown LLM's weights, from those of F known ones.

    Directions and topics are deviations from what LLMs have in common: their weights have mean 0. Only the linked
    features, of which a few LLMs show it, have a covariance.
    """
    count, width = weights.shape
    mean = np.zeros(width)
    mean[:FIXED] = weights[:, :FIXED].mean(axis=0)
    spread = ((weights - mean) ** 2 - variances).mean(axis=0)
    covariance = np.diag(np.maximum(spread, _LEAST_VARIANCE))
    seen = np.atleast_2d(np.cov(weights[:, :LINKED].T)) * (1 + 1 / count)
    apart = np.diag(np.maximum(np.diag(seen), _LEAST_VARIANCE))
    covariance[:LINKED, :LINKED] = (count * seen + _PRIOR_LLMS * apart) / (count + _PRIOR_LLMS)
    return mean, covariance


def _queries(
    embeddings: NDArray[np.float32], rng: np.random.Generator
) -> tuple[tuple[NDArray[np.intp], NDArray[np.float64]], ...]:
    """Return the supports of bank questions drawn at random, longest ones cut."""
    drawn = rng.choice(len(embeddings), min(len(embeddings), _QUERIES), replace=False)
    supports = []
    for part in np.array_split(drawn, -(-len(drawn) // _QUERY_BLOCK)):
        for similarities in embeddings[part] @ embeddings.T:
            found = support_set(similarities)
            rows, weights = found.indices[:_LONGEST_SUPPORT], np.maximum(found.similarities[:_LONGEST_SUPPORT], 0.0)
            total = float(weights.sum())
            supports.append((rows, weights / total if total > 0 else np.full(len(rows), 1.0 / len(rows))))
    return tuple(supports)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(norms, np.float32(1e-12))
    return unit
