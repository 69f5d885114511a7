"""How often the guarded vote is right, by number of referencers and by aggregator, without calling any LLM.

    python benchmarks/guarded_vote.py [--data FOLDER] [--vectors FILE.npy] [--json PATH]

On the recorded MMLU-Pro answers of 17 LLMs. "folds": the bank (validation split) in 5 folds, each voted on with weights
learned from the other four: what defaults are chosen by. "test": the published split, for which nothing is chosen.

Second table, on folds: every LLM in turn is left out of the pool and stands in for an aggregator whose merged answers
are its own recorded ones, which is harder than life: no merged answer owes anything to the references. "vote" is the
guarded vote of the other LLMs' best K, "guarded" has the aggregator's say in it, "merged in" is the share of questions
on which `aggregate: auto` would have merged.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from smcs._paths import cache_dir
from smcs.bench import RecordedBank, embed_questions, load_recorded
from smcs.embedders import CachedEmbedder, MiniLMEmbedder, Vectors
from smcs.llms import find_model
from smcs.posterior import drop_distribution, fit_vote_worth, plurality, vote_probabilities
from smcs.prior import pairwise_ranking_score, prior_vector, support_set
from smcs.strategies import Guard
from smcs.strategies.electorate import assemble, stand

FOLDS, OPTIONS = 5, 10
Floats = NDArray[np.float64]


class Votes:
    """Answers to some questions, with priors and log-weights learned elsewhere."""

    def __init__(self, data: dict[str, Any], known: NDArray[np.intp], asked: NDArray[np.intp]) -> None:
        self.answers, self.gold = data["answers"][asked], data["gold"][asked]
        self.correct = data["correct"][asked]
        self.lengths, self.vectors = data["lengths"][asked], data["vectors"][asked]
        self.worth = fit_vote_worth(
            data["answers"][known], data["gold"][known], data["vectors"][known], data["lengths"][known]
        )
        priors = []
        for row in self.vectors @ data["vectors"][known].T:
            support = support_set(row)
            priors.append(prior_vector(data["correct"][known], support) / support.similarities.sum())
        self.priors: Floats = np.stack(priors)

    def best(self, k: int, *, without: int | None = None) -> NDArray[np.bool_]:
        """Return who is asked, (Q, R)."""
        priors = self.priors.copy()
        if without is not None:
            priors[:, without] = -1
        asked = np.zeros(priors.shape, dtype=np.bool_)
        np.put_along_axis(asked, np.argsort(-priors, axis=1, kind="stable")[:, :k], values=True, axis=1)
        return asked

    def weights(self, asked: NDArray[np.bool_]) -> Floats:
        """Return the log-weights of the votes, (Q, R)."""
        return self.worth.log_weights(self.vectors, np.where(asked, self.lengths, np.nan))

    def right(self, asked: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats, Floats]:
        """Return whether majority, prior-weighted and guarded vote are right, and the chance of each answer."""
        votes = np.where(asked, self.answers, -1)
        order = np.argsort(-np.where(asked, self.priors, -1.0), axis=1, kind="stable")
        ordered = np.take_along_axis(votes, order, axis=1)
        shares = np.stack([drop_distribution(row) for row in self.priors])
        chances = vote_probabilities(votes, self.weights(asked))
        guarded = np.take_along_axis(votes, chances.argmax(axis=1)[:, None], axis=1)[:, 0]
        return (
            (plurality(ordered) == self.gold).astype(float),
            (plurality(ordered, np.take_along_axis(shares, order, axis=1)) == self.gold).astype(float),
            (guarded == self.gold).astype(float),
            chances,
        )


def by_referencers(parts: list[Votes]) -> list[dict[str, float]]:
    """Return accuracies in percent by K."""
    rows = []
    size = parts[0].answers.shape[1]
    for k in (5, 7, 9, 11, 13, 15, size):
        found = [part.right(part.best(k)) for part in parts]
        majority, prior, guarded = (100 * np.concatenate([f[i] for f in found]).mean() for i in range(3))
        rows.append({"K": k, "majority": majority, "prior vote": prior, "guarded": guarded})
    chances = np.concatenate([part.right(part.best(size))[3] for part in parts])
    correct = np.concatenate([part.correct for part in parts])
    rows[-1]["ranking score"] = 100 * pairwise_ranking_score(chances, correct)
    return rows


def by_aggregator(parts: list[Votes], llms: tuple[str, ...], k: int = 7) -> list[dict[str, Any]]:
    """Return accuracies in percent by the LLM that stands in for an aggregator."""
    rows = []
    for column, llm in enumerate(llms):
        outcomes = np.concatenate([_with_aggregator(part, column, llms, k) for part in parts])
        vote, alone, guarded, merged = 100 * outcomes.mean(axis=0)
        rows.append({"aggregator": llm, "alone": alone, "vote": vote, "guarded": guarded, "merged in": merged})
    return sorted(rows, key=lambda row: row["alone"])


def _with_aggregator(part: Votes, column: int, llms: tuple[str, ...], k: int) -> Floats:
    """Return (Q, 4): vote right, aggregator right, guarded right, whether `auto` merges."""
    asked = part.best(k, without=column)
    weights, guard = part.weights(asked), Guard()
    rows = []
    for q in range(len(part.gold)):
        chosen = np.flatnonzero(asked[q])
        names = [llms[i] for i in chosen]
        electorate = assemble(
            names,
            [llms[column]],
            {llms[i]: float(weights[q, i]) for i in (*chosen, column)},
            {llms[i]: float(part.priors[q, i]) for i in (*chosen, column)},
            options=OPTIONS,
        )
        groups = part.answers[q, chosen].tolist()
        votes = [electorate.referencers[name] for name in names]
        standing = stand(groups, votes)
        say, own = electorate.aggregators[llms[column]], int(part.answers[q, column])
        merges = standing.group < 0 or (standing.margin < say and standing.probability < guard.certain)
        final = stand([*groups, own], [*votes, say]).group if merges else standing.group
        gold = part.gold[q]
        rows.append((standing.group == gold, own == gold, final == gold, merges))
    return np.array(rows, dtype=np.float64)


def _columns(bank: RecordedBank, folder: Path) -> Floats:
    """Return the characters of each answer, (Q, R)."""
    from pyarrow import parquet

    table = parquet.read_table(folder / "outcomes.parquet", columns=["id", "llm", "response_chars"]).to_pydict()
    row = {id_: number for number, id_ in enumerate(bank.ids)}
    column = {llm: number for number, llm in enumerate(bank.llms)}
    lengths = np.full(bank.correct.shape, np.nan)
    for id_, llm, characters in zip(*table.values(), strict=True):
        if llm in column and characters:
            lengths[row[id_], column[llm]] = characters
    return lengths


async def _vectors(bank: RecordedBank) -> Vectors:
    minilm = MiniLMEmbedder(find_model("all-minilm-l6-v2").require(), long_texts="truncate")
    return await embed_questions(bank, CachedEmbedder(minilm, cache_dir() / "embeddings.sqlite"))


def _print(title: str, rows: list[dict[str, Any]]) -> None:
    print(f"\n{title}")
    print("  ".join(f"{name:>28}" if name == "aggregator" else f"{name:>13}" for name in rows[-1]))
    for row in rows:
        print(
            "  ".join(
                f"{value:>28}"
                if isinstance(value, str)
                else f"{value:>13.2f}"
                if value != int(value)
                else f"{value:>13g}"
                for value in row.values()
            )
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = Path(os.environ.get("SMCS_SHARED_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=shared / "mmlu_pro_recorded")
    parser.add_argument("--vectors", type=Path, help="embeddings of the questions, in the file's order")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    bank = load_recorded(options.data)
    data = {
        "answers": bank.predicted.astype(np.intp),
        "gold": bank.gold.astype(np.intp),
        "correct": np.nan_to_num(bank.correct, nan=0.0),
        "lengths": _columns(bank, options.data),
        "vectors": np.load(options.vectors) if options.vectors else asyncio.run(_vectors(bank)),
    }
    known, asked = np.flatnonzero(~bank.is_test), np.flatnonzero(bank.is_test)
    fold = np.random.default_rng(0).permutation(len(known)) % FOLDS
    parts = [Votes(data, known[fold != number], known[fold == number]) for number in range(FOLDS)]
    tables = {
        "folds": by_referencers(parts),
        "test": by_referencers([Votes(data, known, asked)]),
        "aggregators (folds)": by_aggregator(parts, bank.llms),
    }
    for title, rows in tables.items():
        _print(title, rows)
    if options.json:
        options.json.write_text(json.dumps(tables, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
