"""How fast recorded outcomes are replayed: all priors and votes, a sweep of 100 settings, and a plain loop beside them.

    python benchmarks/replay.py [--data FOLDER] [--json PATH] [--rounds N]

Takes the recorded MMLU-Pro outcomes (1,196 questions asked, 5,512 in the bank, 17 LLMs) with the embeddings that
`smcs bench recorded` has cached. Runs on one thread; seconds of wall time and of CPU time of this process are printed
(on a busy machine the latter is what an idle one would take), as medians of rounds. The indexing (similarities) counts.

The plain loop goes over questions and LLMs in Python, with numpy for the similarities and for sorting them only, and
does what can be done so: RPS, global accuracy, nearest neighbours, per-subject means, and three votes. The arrays do
the same seven for the comparison.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from smcs._paths import cache_dir
from smcs.bench import embed_texts
from smcs.bench.recordings import load_recording
from smcs.bench.replay_arrays import Arm, Replay, sweep, sweep_grid
from smcs.embedders import CachedEmbedder, MiniLMEmbedder, Vectors
from smcs.llms import find_model
from smcs.prior import PRIORS

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
COMPARED = ("rps", "global", "knn", "subject")
GRID = sweep_grid((50, 100, 200, 400, 800), (0.8, 0.9, 0.95, 0.98, 1.0), (3, 7), ("equal", "prior"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SMCS_SHARED_DATA", "../shared/data")))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    recording = load_recording("mmlu_pro", arguments.data)
    minilm = MiniLMEmbedder(find_model("all-minilm-l6-v2").require(), long_texts="truncate")
    cached = CachedEmbedder(minilm, cache_dir() / "embeddings.sqlite")
    vectors = asyncio.run(embed_texts(recording.texts, cached))

    def fresh() -> Replay:
        return Replay(recording, vectors)

    results: dict[str, dict[str, float]] = {}
    things: dict[str, tuple[Callable[[], object], int]] = {
        **{f"prior {name}": (_one_prior(fresh, name), arguments.rounds) for name in PRIORS},
        "12 priors and 8 votes": (lambda: fresh().all_arms(), arguments.rounds),
        f"sweep of {len(GRID)} settings": (lambda: sweep(fresh(), GRID), arguments.rounds),
        "arrays: 4 priors, 3 votes": (lambda: _compared(fresh()), arguments.rounds),
        "plain loop: 4 priors, 3 votes": (lambda: plain_loop(fresh()), 1),
    }
    print(f"{'what':36} {'wall s':>9} {'CPU s':>9}")
    for name, (run, rounds) in things.items():
        results[name] = _timed(run, rounds)
        print(f"{name:36} {results[name]['wall']:9.2f} {results[name]['cpu']:9.2f}", flush=True)
    if not np.allclose(_compared(fresh()), plain_loop(fresh()), atol=2e-3):
        raise SystemExit("The arrays and the plain loop differ.")
    arrays, loop = results["arrays: 4 priors, 3 votes"], results["plain loop: 4 priors, 3 votes"]
    results["ratio"] = {"cpu": loop["cpu"] / arrays["cpu"], "wall": loop["wall"] / arrays["wall"]}
    print(f"{'plain loop over arrays':36} {results['ratio']['wall']:8.0f}x {results['ratio']['cpu']:8.0f}x")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


def _one_prior(fresh: Callable[[], Replay], name: str) -> Callable[[], Arm]:
    return lambda: fresh().prior_arm(name)


def _timed(run: Callable[[], object], rounds: int) -> dict[str, float]:
    wall, cpu = [], []
    for _ in range(rounds):
        begun = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - begun[0])
        cpu.append(time.process_time() - begun[1])
    return {"wall": median(wall), "cpu": median(cpu)}


def _compared(over: Replay) -> list[float]:
    """Return the accuracies and ranking scores of what the plain loop does too."""
    arms = [over.prior_arm(name) for name in COMPARED]
    votes = [over.vote_arm("all", "equal"), over.vote_arm("top", "equal", k=7), over.vote_arm("by", "prior", k=7)]
    ranked = [float(arm.pairs[:, 0].sum() / arm.pairs[:, 1].sum()) for arm in arms]
    return [*(float(np.nanmean(arm.scores)) for arm in (*arms, *votes)), *ranked]


def plain_loop(over: Replay) -> list[float]:
    """Return what `_compared` returns, question by question and LLM by LLM."""
    of = over.recording
    assert of.answers is not None
    assert of.gold is not None
    known, vectors = of.scores[over.bank].tolist(), over.vectors[over.bank]
    subjects = of.groups[over.bank].tolist()
    llms = range(len(of.llms))
    whole = [_mean([row[llm] for row in known]) for llm in llms]
    by_subject = {
        subject: [_mean([row[llm] for row, s in zip(known, subjects, strict=True) if s == subject]) for llm in llms]
        for subject in set(subjects)
    }
    hits: list[list[float]] = [[] for _ in range(7)]
    ranked = [[0, 0] for _ in COMPARED]
    for row in over.asked.tolist():
        priors = [_rps(over.vectors[row], vectors, known, llms), whole, [], by_subject[str(of.groups[row])]]
        priors[2] = _neighbours(over.vectors[row], vectors, known, llms)
        right = of.scores[row].tolist()
        ballots, gold = of.answers[row].tolist(), int(of.gold[row])
        for place, prior in enumerate(priors):
            best = max(llms, key=lambda llm: (prior[llm], -llm))
            hits[place].append(right[best])
            for one in llms:
                for other in llms:
                    if right[one] == 1 and right[other] == 0:
                        ranked[place][0] += prior[one] > prior[other]
                        ranked[place][1] += 1
        order = sorted(llms, key=lambda llm: -priors[0][llm])[:7]
        weights = _softmax(priors[0])
        hits[4].append(float(_vote(ballots, [1.0] * len(ballots)) == gold))
        hits[5].append(float(_vote([ballots[llm] for llm in order], [1.0] * 7) == gold))
        hits[6].append(float(_vote([ballots[llm] for llm in order], [weights[llm] for llm in order]) == gold))
    return [*(_mean(values) for values in hits), *(ordered / pairs for ordered, pairs in ranked)]


def _mean(values: list[float]) -> float:
    there = [value for value in values if not math.isnan(value)]
    return sum(there) / len(there)


def _rps(query: Vectors, vectors: Vectors, known: list[list[float]], llms: range) -> list[float]:
    close = vectors @ query
    threshold = 0.95 * float(np.sort(close)[-400])
    support = [row for row, similarity in enumerate(close.tolist()) if similarity >= threshold]
    similarity = {row: float(close[row]) for row in support}
    priors = []
    for llm in llms:
        total = sum(similarity[row] * known[row][llm] for row in support if not math.isnan(known[row][llm]))
        seen = sum(similarity[row] for row in support if not math.isnan(known[row][llm]))
        priors.append(total / seen * sum(similarity.values()))
    return priors


def _neighbours(query: Vectors, vectors: Vectors, known: list[list[float]], llms: range) -> list[float]:
    nearest = np.argsort(-(vectors @ query))[:400].tolist()
    return [_mean([known[row][llm] for row in nearest]) for llm in llms]


def _softmax(values: list[float]) -> list[float]:
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    powers = [math.exp((value - mean) / spread) for value in values]
    return [power / sum(powers) for power in powers]


def _vote(ballots: list[int], weights: list[float]) -> int:
    totals: dict[int, float] = {}
    for ballot, weight in zip(ballots, weights, strict=True):
        if ballot >= 0:
            totals[ballot] = totals.get(ballot, 0.0) + weight
    return max(totals, key=lambda answer: totals[answer]) if totals else -1


if __name__ == "__main__":
    if all(os.environ.get(name) == number for name, number in ONE_THREAD.items()):
        main()
    else:
        sys.exit(subprocess.run([sys.executable, *sys.argv], env={**os.environ, **ONE_THREAD}, check=False).returncode)
