"""How many questions an LLM new to a bank must be asked until its prior ranks it right.

    python benchmarks/newcomer.py [--data PLACE] [--splits N] [--seeds N] [--json PATH]

On the recorded MMLU-Pro answers every LLM without gaps is the newcomer in turn; all others are fully graded. Counted
are the (correct LLM, wrong LLM) pairs of the pairwise ranking score (Eq. 8) that involve the newcomer, ties as wrong;
printed is the share of the score that a fully graded newcomer has. The first split is the published one (bank =
validation, routed = test), further ones are drawn at random, with the same sizes. What is chosen and predicted rests
on the others' bank outcomes, embeddings, and the newcomer's outcomes on the chosen questions, and has no parameter
that was set per LLM.

Methods: `random` is Eq. 4 on random questions, a missing outcome counting as the observed mean of the support set; `+
shrinkage` draws that mean towards the newcomer's overall one (weight of 20 outcomes); `stratified` spreads the
questions over subjects in proportion, with shrinkage; `random + model` predicts the outcomes that are missing;
`chosen + model` is what `smcs bank add-llm` does. Intervals are 95% bootstrap intervals of the mean over newcomers
(all splits and seeds of a newcomer drawn together).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from smcs._paths import cache_dir
from smcs.embedders import CachedEmbedder, MiniLMEmbedder
from smcs.llms import find_model
from smcs.prior import support_set
from smcs.prior.growth import Survey, choose_questions, estimate_accuracy, infer, predict, survey

FRACTIONS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
METHODS = ("random", "random + shrinkage", "stratified + shrinkage", "random + model", "chosen + model")
SHRINKAGE = 20.0
RESAMPLES = 10_000
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Recorded:
    """Outcomes (Q, R) without gaps, embeddings, subjects, and the published split."""

    correct: Array
    embeddings: NDArray[np.float32]
    subjects: NDArray[np.str_]
    is_test: NDArray[np.bool_]
    llms: tuple[str, ...]


class Split:
    """A bank, the questions routed by it, and the score of every fully graded LLM."""

    def __init__(self, data: Recorded, is_test: NDArray[np.bool_]) -> None:
        self.bank, self.routed = data.correct[~is_test], data.correct[is_test]
        self.embeddings, self.subjects = data.embeddings[~is_test], data.subjects[~is_test]
        similarities = data.embeddings[is_test] @ self.embeddings.T
        self.weights = np.zeros(similarities.shape, dtype=np.float32)
        for row, values in enumerate(similarities):
            support = support_set(values)
            self.weights[row, support.indices] = support.similarities
        self.total = self.weights.sum(axis=1, dtype=np.float64)
        self.priors = (self.weights @ self.bank.astype(np.float32)).astype(np.float64)
        self.full = np.array([self.score(llm, self.priors[:, llm]) for llm in range(self.bank.shape[1])])

    def score(self, llm: int, prior: Array) -> float:
        """Return the share of pairs with this LLM that its prior puts in the right order (Eq. 8)."""
        others = np.arange(self.bank.shape[1]) != llm
        own, rivals = self.routed[:, [llm]], self.routed[:, others]
        above, below = prior[:, None] > self.priors[:, others], prior[:, None] < self.priors[:, others]
        ordered = ((own > rivals) & above) | ((own < rivals) & below)
        return float(ordered.sum() / (own != rivals).sum())

    def observed(self, rows: NDArray[np.intp], scores: Array, shrinkage: float) -> Array:
        """Return Eq. 4 with the mean over what is observed in a support set, drawn towards the overall mean."""
        part = self.weights[:, rows].astype(np.float64)
        typical = shrinkage * float(self.total.sum() / np.count_nonzero(self.weights))
        evidence = part.sum(axis=1) + typical
        mean = np.full(len(part), scores.mean())
        np.divide(part @ scores + typical * scores.mean(), evidence, out=mean, where=evidence > 0)
        prior: Array = mean * self.total
        return prior

    def filled(self, outcomes: Array) -> Array:
        """Return Eq. 4 for an LLM without gaps."""
        return (self.weights @ outcomes.astype(np.float32)).astype(np.float64)


@dataclass(frozen=True)
class Newcomer:
    """One LLM in one split, and what the others say."""

    split: Split
    llm: int
    known: Survey

    @property
    def outcomes(self) -> Array:
        """All its outcomes; a method may only read those it asked for."""
        return self.split.bank[:, self.llm]

    def by_model(self, rows: NDArray[np.intp]) -> tuple[Array, Any]:
        """Return its prior per routed question, and its estimated accuracy, from the outcomes on some rows."""
        seen = np.full(len(self.outcomes), np.nan)
        seen[rows] = self.outcomes[rows]
        ability = infer(self.known, rows, seen[rows])
        chances = predict(self.known, ability)
        accuracy = estimate_accuracy(self.known, ability, seen)
        return self.split.filled(np.where(np.isnan(seen), chances, seen)), accuracy


def load(folder: Path) -> Recorded:
    """Read the recorded answers, and their embeddings from the cache where they are in it."""
    from pyarrow import parquet

    questions = parquet.read_table(folder / "questions.parquet").to_pydict()
    outcomes = parquet.read_table(folder / "outcomes.parquet").to_pydict()
    row_of = {id_: row for row, id_ in enumerate(questions["id"])}
    llms = sorted(set(outcomes["llm"]))
    column_of = {llm: column for column, llm in enumerate(llms)}
    correct = np.full((len(row_of), len(llms)), np.nan)
    for id_, llm, verdict in zip(outcomes["id"], outcomes["llm"], outcomes["correct"], strict=True):
        correct[row_of[id_], column_of[llm]] = verdict
    whole = ~np.isnan(correct).any(axis=0)
    return Recorded(
        correct[:, whole],
        embedded(questions["question"]),
        np.array(questions["subject"]),
        np.array([split == "test" for split in questions["split"]]),
        tuple(llm for llm, keep in zip(llms, whole, strict=True) if keep),
    )


def load_arc(file: Path) -> Recorded:
    """Read the RouterBench outcomes on ARC-Challenge; what is embedded is the last question of the one-shot prompt."""
    from pyarrow import parquet

    rows = parquet.read_table(file, columns=["split", "sample_id", "prompt", "model", "score"]).to_pylist()
    first = {row["sample_id"]: row for row in rows}
    row_of = {id_: place for place, id_ in enumerate(sorted(first))}
    llms = sorted({row["model"] for row in rows})
    correct = np.full((len(row_of), len(llms)), np.nan)
    for row in rows:
        correct[row_of[row["sample_id"]], llms.index(row["model"])] = row["score"]
    texts = [first[id_]["prompt"].split("\n\n")[-1] for id_ in row_of]
    is_test = np.array([first[id_]["split"] == "test" for id_ in row_of])
    return Recorded(correct, embedded(texts), np.full(len(row_of), "arc"), is_test, tuple(llms))


def embedded(texts: list[str]) -> NDArray[np.float32]:
    """Embed texts; the cache keeps them for the next time."""
    model = MiniLMEmbedder(find_model("all-minilm-l6-v2").require(), long_texts="truncate")
    return asyncio.run(CachedEmbedder(model, cache_dir() / "embeddings.sqlite").embed(texts))


def splits_of(data: Recorded, count: int) -> list[Split]:
    """Return the published split and random ones of the same sizes."""
    made = [Split(data, data.is_test)]
    for seed in range(1, count):
        is_test = np.zeros(len(data.is_test), dtype=np.bool_)
        drawn = np.random.default_rng(seed).choice(len(is_test), int(data.is_test.sum()), replace=False)
        is_test[drawn] = True
        made.append(Split(data, is_test))
    return made


def stratified(subjects: NDArray[np.str_], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return all rows in an order of which every beginning holds each subject in about its share."""
    place = np.empty(len(subjects))
    for subject in np.unique(subjects):
        rows = np.flatnonzero(subjects == subject)
        place[rng.permutation(rows)] = (np.arange(len(rows)) + rng.random()) / len(rows)
    return np.argsort(place, kind="stable")


def run(split: Split, newcomer: int, seeds: int) -> dict[str, list[list[float]]]:
    """Return, per method and per figure on accuracy, one row per seed of the values at each fraction."""
    others = np.delete(np.arange(split.bank.shape[1]), newcomer)
    known = survey(split.bank[:, others], split.embeddings, np.random.default_rng(0))
    who = Newcomer(split, newcomer, known)
    counts = [round(fraction * len(split.bank)) for fraction in FRACTIONS]
    found: dict[str, list[list[float]]] = {}

    def kept(prior: Array) -> float:
        return split.score(newcomer, prior) / float(split.full[newcomer])

    def along(name: str, order: NDArray[np.intp], value: Callable[[NDArray[np.intp]], float]) -> None:
        found.setdefault(name, []).append([value(order[:count]) for count in counts])

    for seed in range(seeds):
        rng = np.random.default_rng(1000 * seed + newcomer)
        order, spread = rng.permutation(len(split.bank)), stratified(split.subjects, rng)
        along("random", order, lambda rows: kept(split.observed(rows, who.outcomes[rows], 0.0)))
        along("random + shrinkage", order, lambda rows: kept(split.observed(rows, who.outcomes[rows], SHRINKAGE)))
        along("stratified + shrinkage", spread, lambda rows: kept(split.observed(rows, who.outcomes[rows], SHRINKAGE)))
        along("random + model", order, lambda rows: kept(who.by_model(rows)[0]))
    nobody = np.zeros(len(split.bank), dtype=np.bool_)
    chosen = choose_questions(known, infer(known, (), ()), nobody, max(counts), np.random.default_rng(0))
    along("chosen + model", chosen, lambda rows: kept(who.by_model(rows)[0]))
    for name, orders in (("random", order), ("chosen", chosen)):
        truth, guesses = float(who.outcomes.mean()), [who.by_model(orders[:count])[1] for count in counts]
        found[f"accuracy error, {name}"] = [[guess.value - truth for guess in guesses]]
        found[f"accuracy covered, {name}"] = [[float(guess.low <= truth <= guess.high) for guess in guesses]]
        found[f"accuracy width, {name}"] = [[guess.high - guess.low for guess in guesses]]
    return found


def summary(values: Array) -> dict[str, float]:
    """Summarise (newcomers, repeats) values: mean, 95% bootstrap interval over newcomers, worst newcomer's mean."""
    each = values.mean(axis=1)
    rng = np.random.default_rng(0)
    means = each[rng.integers(len(each), size=(RESAMPLES, len(each)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return {"mean": float(each.mean()), "low": float(low), "high": float(high), "worst": float(each.min())}


def report(found: list[list[dict[str, list[list[float]]]]]) -> dict[str, Any]:
    """Turn results per split and newcomer into figures per name and fraction."""
    figures: dict[str, Any] = {}
    for name in found[0][0]:
        rows = np.array([np.concatenate([np.array(split[j][name]) for split in found]) for j in range(len(found[0]))])
        per_fraction = [rows[:, :, column] for column in range(len(FRACTIONS))]
        if name.startswith("accuracy error"):
            figures[name] = [float(np.sqrt(np.mean(values**2))) for values in per_fraction]
        elif name.startswith("accuracy"):
            figures[name] = [float(values.mean()) for values in per_fraction]
        else:
            figures[name] = [summary(values) for values in per_fraction]
    return figures


def show(figures: dict[str, Any], title: str) -> None:
    """Print the tables."""
    print(f"\n{title}\nShare of the full bank's score that is kept, %: mean [95% interval], worst newcomer")
    print(f"{'':24}" + "".join(f"{100 * fraction:>27g}%" for fraction in FRACTIONS))
    for name in METHODS:
        cells = (
            f"{100 * c['mean']:.2f} [{100 * c['low']:.2f}, {100 * c['high']:.2f}] {100 * c['worst']:.1f}"
            for c in figures[name]
        )
        print(f"{name:24}" + "".join(f"{cell:>28}" for cell in cells))
    print("\nEstimated accuracy: root mean square error / mean width of the 95% interval (points), its coverage (%)")
    for name in ("random", "chosen"):
        parts = zip(*(figures[f"accuracy {what}, {name}"] for what in ("error", "width", "covered")), strict=True)
        cells = (f"{100 * e:.2f} / {100 * w:.1f}, {100 * c:.0f}" for e, w, c in parts)
        print(f"{name + ' + model':24}" + "".join(f"{cell:>28}" for cell in cells))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = Path(os.environ.get("SMCS_DATA", "../shared/data"))
    parser.add_argument(
        "--data",
        type=Path,
        default=shared / "mmlu_pro_recorded",
        help="that folder, or the file routerbench/arc_challenge.parquet",
    )
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3, help="of the random methods")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    data = load_arc(options.data) if options.data.is_file() else load(options.data)
    found = []
    for number, split in enumerate(splits_of(data, options.splits)):
        found.append([run(split, newcomer, options.seeds) for newcomer in range(len(data.llms))])
        if number == 0:
            published = report(found)
            show(published, f"Published split: bank of {len(split.bank):,}, {len(data.llms)} newcomers")
    everything = report(found)
    show(everything, f"All {len(found)} splits")
    if options.json:
        figures = {"fractions": FRACTIONS, "llms": data.llms, "published": published, "all_splits": everything}
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
