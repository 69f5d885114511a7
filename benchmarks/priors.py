"""What each idea for a better prior is worth, before any answer is seen.

    python benchmarks/priors.py [--data FOLDER] [--json PATH]

On the recorded MMLU-Pro outcomes: pairwise ranking score (Eq. 8) and top-1, by five-fold cross-validation inside the
5,512 bank questions (what choices were made on) and on the 1,196 test questions (looked at afterwards), with the 95%
bootstrap interval of the difference to RPS there. "question" embeds the text alone, "options" the text with its
options, "both" the two side by side. Needs the embeddings that `smcs bench recorded --priors`, with and without
`--choices`, has cached.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from smcs._paths import cache_dir
from smcs.bench import embed_texts
from smcs.bench.recordings import Recording, load_recording
from smcs.bench.replay_arrays import Replay
from smcs.bench.replay_figures import arm_figures
from smcs.bench.statistics import ranking_pairs
from smcs.embedders import CachedEmbedder, MiniLMEmbedder, Vectors
from smcs.llms import find_model
from smcs.prior import PriorModel
from smcs.prior.models import (
    Blend,
    ClusterMeans,
    Factors,
    GlobalMeans,
    Graded,
    GroupMeans,
    KernelRidge,
    Logistic,
    NearestNeighbours,
    Rps,
    ShrunkRps,
    Stacked,
)

FOLDS = 5

IDEAS: tuple[tuple[str, PriorModel, str, bool], ...] = (
    ("RPS", Rps(), "question", False),
    ("RPS, options embedded", Rps(), "options", False),
    ("global accuracy", GlobalMeans(), "question", False),
    ("per subject", GroupMeans(), "question", False),
    ("per subject, shrunk by 20", GroupMeans(20.0), "question", False),
    ("nearest neighbours, 100", NearestNeighbours(100), "question", False),
    ("nearest neighbours, 400", NearestNeighbours(400), "question", False),
    ("clusters, 16", ClusterMeans(16), "question", False),
    ("clusters, 64", ClusterMeans(64), "question", False),
    ("logistic regression", Logistic(), "question", False),
    ("matrix factorisation, rank 4", Factors(), "question", False),
    ("shrinkage of RPS: 20", ShrunkRps(shrink=20.0), "question", False),
    ("shrinkage of RPS: 100", ShrunkRps(shrink=100.0), "question", False),
    ("graded weights, sharpness 8", Graded(8.0, 0.0), "question", False),
    ("graded weights, sharpness 16", Graded(16.0, 0.0), "question", False),
    ("graded weights, subject bonus", Graded(), "question", False),
    ("graded weights, subject bonus", Graded(), "options", False),
    ("graded weights, subject bonus", Graded(), "both", False),
    ("kernel ridge, embedding alone", KernelRidge(group_scale=0.0), "question", False),
    ("kernel ridge, and subject", KernelRidge(), "question", False),
    ("kernel ridge, and features", KernelRidge(group_scale=0.0), "question", True),
    ("kernel ridge, subject and features", KernelRidge(), "question", True),
    ("kernel ridge, subject and features", KernelRidge(), "options", True),
    ("kernel ridge, subject and features", KernelRidge(), "both", True),
    ("mean of graded and kernel", Blend(), "question", True),
    ("mean of graded and kernel", Blend(), "options", True),
    ("stacked by cross-validation", Stacked(), "question", True),
    ("stacked by cross-validation", Stacked(), "options", True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SMCS_SHARED_DATA", "../shared/data")))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    recording = load_recording("mmlu_pro", arguments.data)
    vectors = asyncio.run(embed(recording))
    features = recording.features()
    over = Replay(recording, vectors["question"])
    rps = over.prior_arm("rps")
    results = []
    print(
        f"{'idea':36} {'embedded':9} {'bank: rank':>10} {'top-1':>6}   {'test: rank':>10} {'to RPS':>22} {'top-1':>6}"
    )
    for name, model, embedded, uses_features in IDEAS:
        known = features if uses_features else None
        chosen_on = cross_validated(recording, model, vectors[embedded], known)
        values = predict(recording, model, vectors[embedded], known, recording.bank, recording.asked)
        arm = over.prior_arm("idea", values)
        figures = arm_figures([rps, arm])[1]
        difference = figures.ranking_difference
        assert difference is not None
        results.append(
            {
                "idea": name,
                "embedded": embedded,
                "bank": chosen_on,
                "test": {
                    "ranking": figures.ranking.value,
                    "difference": [difference.value, difference.low, difference.high],
                    "top1": figures.score.value,
                    "top1_difference": figures.score_difference and figures.score_difference.difference,
                },
            }
        )
        interval = f"{100 * difference.value:+.2f} [{100 * difference.low:+.2f}, {100 * difference.high:+.2f}]"
        print(
            f"{name:36} {embedded:9} {100 * chosen_on['ranking']:10.2f} {100 * chosen_on['top1']:6.2f}   "
            f"{100 * figures.ranking.value:10.2f} {interval:>22} {100 * figures.score.value:6.2f}",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


async def embed(recording: Recording) -> dict[str, Vectors]:
    """Return the three kinds of embeddings."""
    minilm = MiniLMEmbedder(find_model("all-minilm-l6-v2").require(), long_texts="truncate")
    cached = CachedEmbedder(minilm, cache_dir() / "embeddings.sqlite")
    question, options = [
        await embed_texts(recording.embedded_texts(with_choices=choices), cached) for choices in (False, True)
    ]
    both: Vectors = (np.concatenate([question, options], axis=1) / np.sqrt(2)).astype(np.float32)
    return {"question": question, "options": options, "both": both}


def predict(
    recording: Recording,
    model: PriorModel,
    vectors: Vectors,
    features: np.ndarray[Any, np.dtype[np.float64]] | None,
    known: np.ndarray[Any, np.dtype[np.intp]],
    asked: np.ndarray[Any, np.dtype[np.intp]],
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Fit on some questions and predict for others."""
    groups = recording.groups
    fitted = model.fit(
        vectors[known], recording.scores[known], groups[known], None if features is None else features[known]
    )
    return fitted.predict(vectors[asked], groups[asked], None if features is None else features[asked])


def cross_validated(
    recording: Recording,
    model: PriorModel,
    vectors: Vectors,
    features: np.ndarray[Any, np.dtype[np.float64]] | None,
) -> dict[str, float]:
    """Return ranking score and top-1 inside the bank; outcomes that are missing there are left out of both."""
    bank = recording.bank
    place = np.random.default_rng(0).permutation(len(bank)) % FOLDS
    values = np.empty((len(bank), len(recording.llms)))
    for fold in range(FOLDS):
        inside, outside = bank[place != fold], bank[place == fold]
        values[place == fold] = predict(recording, model, vectors, features, inside, outside)
    correct = recording.scores[bank]
    pairs = ranking_pairs(values, correct).sum(axis=0)
    top = correct[np.arange(len(bank)), values.argmax(axis=1)]
    return {"ranking": float(pairs[0] / pairs[1]), "top1": float(np.nanmean(top))}


if __name__ == "__main__":
    main()
