"""What statistics and reports cost: 10,000 draws over 1,200 questions and 15 arms, and a report of 36,000 rows.

CPU seconds of this process, on made-up results.

    python benchmarks/reports.py [--json PATH]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from helpers_results import make_results, write_results
from smcs.bench import bootstrap_interval, paired_comparison, ranking_score_interval, read_results
from smcs.bench.report import build_report, write_report

QUESTIONS, ARMS, LLMS = 1_200, 15, 17

T = TypeVar("T")


def intervals(scores: NDArray[np.float64]) -> None:
    """Draw the interval of every arm, shape (arms, questions)."""
    for row in scores:
        bootstrap_interval(row, rng=np.random.default_rng(0))


def comparisons(scores: NDArray[np.float64]) -> None:
    """Compare every arm with the first."""
    for row in scores[1:]:
        paired_comparison(row, scores[0], np.random.default_rng(0))


def measure() -> dict[str, float]:
    """Return CPU seconds by name."""
    figures: dict[str, float] = {}

    def timed(name: str, action: Callable[[], T]) -> T:
        begun = time.process_time()
        result = action()
        figures[name] = time.process_time() - begun
        return result

    rng = np.random.default_rng(0)
    graded = rng.random((ARMS, QUESTIONS))
    verdicts = np.where(graded < 0.65, 1.0, 0.0)
    priors = rng.random((QUESTIONS, LLMS))
    correct = np.where(rng.random((QUESTIONS, LLMS)) < 0.3 + 0.5 * priors, 1.0, 0.0)
    for kind, scores in (("verdicts", verdicts), ("graded scores", graded)):
        timed(f"intervals of {ARMS} arms, {kind}", partial(intervals, scores))
        timed(f"comparisons of {ARMS - 1} arms, {kind}", partial(comparisons, scores))
    timed("ranking score of 17 LLMs", lambda: ranking_score_interval(priors, correct, rng=rng))
    results = make_results(QUESTIONS // 2)
    with TemporaryDirectory() as folder:
        path = timed(f"writing {len(results.rows):,} rows", lambda: write_results(Path(folder), results))
        figures["megabytes of the result file"] = path.stat().st_size / 1e6
        read = timed("reading them", lambda: read_results(path))
        report = timed("computing the report", lambda: build_report([(path, read)]))
        timed("writing the report", lambda: write_report(report, Path(folder) / "report"))
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = measure()
    for name, value in figures.items():
        print(f"{name:45} {value:8.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
