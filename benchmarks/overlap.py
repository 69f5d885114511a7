"""How close a run comes to its critical path, and whether it stays there with many questions at once.

Scripted LLMs answer after random times (lognormal). The critical path of a run is computed from its own record: over
all candidates, the time the last of its references took plus that of its aggregation. Whatever a run takes beyond that
is ours.

    python benchmarks/overlap.py [--json PATH]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from smcs.bank import QuestionBank
from smcs.embedders import HashingEmbedder
from smcs.llms import Latency, Member, Pool, ScriptedLLM
from smcs.run import Query, Run, Trace
from smcs.strategies import Resources, Settings, strategy
from smcs.types import Capabilities, Outcome, Question

LLMS, QUESTIONS, MEAN_SECONDS, SIGMA = 10, 2_000, 1.0, 0.6


async def make_resources(folder: Path, seed: int) -> Resources:
    """Return a pool of scripted LLMs with a bank of random outcomes."""
    rng = np.random.default_rng(seed)
    names = [f"llm{i}" for i in range(LLMS)]
    bank = QuestionBank.create(folder / f"bank{seed}.db")
    questions = [Question(f"q{i}", f"question {i} about topic {i % 40}") for i in range(QUESTIONS)]
    bank.add_questions(questions)
    for i, name in enumerate(names):
        bank.add_llm(name)
        right = rng.random(QUESTIONS) < 0.4 + 0.05 * i
        bank.record(Outcome(q.id, name, float(ok)) for q, ok in zip(questions, right, strict=True))
    embedder = HashingEmbedder()
    await bank.embed(embedder)
    median = MEAN_SECONDS / float(np.exp(SIGMA**2 / 2))
    members = [
        Member(
            name,
            ScriptedLLM(
                name, [f"{name} says {number}" for number in range(50)], latency=Latency(median, SIGMA), seed=i
            ),
            capabilities=Capabilities(logprobs=True, max_n=1),
        )
        for i, name in enumerate(names)
    ]
    return Resources(pool=Pool(members), aggregators=(names[-1],), embedder=embedder, bank=bank)


def critical_path(run: Run) -> float:
    """Return the seconds the run had to take: retrieval is ours, so it is not part of it."""
    arrival = {attempt.llm: attempt.seconds for attempt in run.references}
    merges = [attempt for attempt in run.attempts if attempt.stage == "aggregation"]
    by_start = sorted(merges, key=lambda attempt: attempt.started)
    subsets = sorted(run.subsets, key=lambda subset: max(arrival[name] for name in subset))
    return max(
        max(arrival[name] for name in subset) + merge.seconds for subset, merge in zip(subsets, by_start, strict=True)
    )


async def ask(resources: Resources, seed: int) -> tuple[float, float]:
    """Answer one question; return its seconds and its critical path."""
    begun = time.perf_counter()
    query = Query.of(f"a question about topic {seed % 40}")
    run = await strategy("smcs")(query, resources, Settings(seed=seed), Trace())
    return time.perf_counter() - begun, critical_path(run)


async def measure() -> dict[str, float]:
    """Run 20 questions alone, then 200 at once."""
    with TemporaryDirectory() as folder:
        resources = await make_resources(Path(folder), 0)
        await ask(resources, 0)
        alone = [await ask(resources, seed) for seed in range(1, 21)]
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(resources, seed)) for seed in range(100, 300)]
        wall = time.perf_counter() - begun
        together = [task.result() for task in tasks]
        if resources.bank is not None:
            resources.bank.close()
    return {
        "one question: median of time / critical path": statistics.median(took / ideal for took, ideal in alone),
        "one question: largest time / critical path": max(took / ideal for took, ideal in alone),
        "200 at once: median of time / critical path": statistics.median(took / ideal for took, ideal in together),
        "200 at once: largest time / critical path": max(took / ideal for took, ideal in together),
        "200 at once: wall / longest critical path": wall / max(ideal for _, ideal in together),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = asyncio.run(measure())
    for name, value in figures.items():
        print(f"{name:50} {value:.4f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
