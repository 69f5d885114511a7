"""How fast and how small the search of the question bank is, on one thread.

    python benchmarks/search.py [--json PATH] [--rounds N]

Times are the CPU seconds of the one thread that works (its wall time on an idle machine), because a busy neighbour
takes turns but no CPU time. Every ratio compares two things timed in turn, round by round, in this process; the
median of the rounds' ratios is printed, so what slows memory slows both. Times are medians too.

Yardsticks:
- bandwidth: the fastest of four kernels that read the same mapped matrix once: sum, maximum and product with itself
  front to back, and a product that reads 16 equal parts side by side, which is faster on some processors. A search is
  not credited for anything but the bytes of its embeddings.
- prior of 200 LLMs: against the same search with no LLM at all.
- reference way: what the released research code does: a product, a full sort of all N similarities, Python lists, one
  list of outcomes per LLM. With torch where it is installed, else the same in numpy.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcs.bank.index import BankIndex, QuestionIds, map_array, write_array
from smcs.bank.quantized import Quantized, load_quantized
from smcs.bank.search import Selection, search, search_many

SIZES = ((10_000, 384), (100_000, 384), (15_000, 4_096))
LLMS = 15
MANY_LLMS = 200
BATCH = 64
SELECTION = Selection(base=400, tolerance=0.95)
Figures = dict[str, Any]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
FORCED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def time_in_turn(things: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Run each thing once a round, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in things}
    for number in range(rounds + 1):
        for name, run in things.items():
            begun = time.thread_time()
            run()
            if number:
                seconds[name].append(time.thread_time() - begun)
    return seconds


def ratio(above: list[float], below: list[float]) -> float:
    return median(a / b for a, b in zip(above, below, strict=True))


def make_index(folder: Path, count: int, dimensions: int, llms: int) -> BankIndex:
    """Write and map an index of clustered unit vectors: support sets hold some hundred to some thousand rows."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((60, dimensions), dtype=np.float32)
    embeddings = rng.standard_normal((count, dimensions), dtype=np.float32)
    embeddings *= 0.9
    for start in range(0, count, 5_000):
        block = embeddings[start : start + 5_000]
        block += centres[rng.integers(len(centres), size=len(block))]
        block /= np.sqrt(np.vecdot(block, block))[:, None]
    outcomes = rng.integers(0, 2, size=(count, llms), dtype=np.uint8)
    outcomes[rng.random(outcomes.shape, dtype=np.float32) < 0.02] = 255
    names = [f"question-{i}".encode() for i in range(count)]
    ends = np.cumsum([len(name) for name in names], dtype=np.int64)
    text = np.frombuffer(b"".join(names), dtype=np.uint8)
    for name, array in (("embeddings", embeddings), ("outcomes", outcomes), ("ids", text), ("id_ends", ends)):
        write_array(folder / f"{name}.npy", array)
    return map_index(folder)


def map_index(folder: Path) -> BankIndex:
    embeddings, outcomes, text, ends = (
        map_array(folder / f"{name}.npy") for name in ("embeddings", "outcomes", "ids", "id_ends")
    )
    llms = tuple(f"llm-{r}" for r in range(outcomes.shape[1]))
    return BankIndex("benchmark", embeddings, outcomes, llms, QuestionIds(text, ends), folder)


def streaming_kernels(matrix: NDArray[np.float32]) -> dict[str, Callable[[], object]]:
    flat = matrix.reshape(-1)
    parts = matrix.reshape(16, -1)
    return {
        "sum": lambda: np.add.reduce(flat),
        "maximum": lambda: np.maximum.reduce(flat),
        "product": lambda: np.dot(flat, flat),
        "16 streams": lambda: parts @ parts[0],
    }


def reference_way(index: BankIndex, query: NDArray[np.float32]) -> tuple[str, Callable[[], list[float]]]:
    """Return the name and the function of the reference way: product, sort of everything, lists."""
    per_llm = [[float(score) if score != 255 else 0.0 for score in column] for column in index.outcomes.T.tolist()]
    base, tolerance = SELECTION.base, SELECTION.tolerance

    def finish(values: list[float], order: list[int]) -> list[float]:
        threshold = values[base - 1] * tolerance
        support = {row: value for row, value in zip(order, values, strict=True) if value >= threshold}
        return [sum(value * scores[row] for row, value in support.items()) for scores in per_llm]

    try:
        import torch
    except ImportError:

        def with_numpy() -> list[float]:
            similar = index.embeddings @ query
            order = np.argsort(-similar)
            return finish(similar[order].tolist(), order.tolist())

        return "numpy product, full argsort, Python lists", with_numpy
    torch.set_num_threads(1)
    bank, asked = torch.from_numpy(np.array(index.embeddings)), torch.from_numpy(query)

    def with_torch() -> list[float]:
        values, order = torch.topk(torch.mv(bank, asked), len(bank))
        return finish(values.tolist(), order.tolist())

    return f"torch {torch.__version__} product, full topk, Python lists", with_torch


def measure(folder: Path, count: int, dimensions: int, rounds: int) -> Figures:
    """Time one size of bank."""
    wide = make_index(folder, count, dimensions, MANY_LLMS)
    few: NDArray[np.uint8] = np.ascontiguousarray(wide.outcomes[:, :LLMS], dtype=np.uint8)
    index = replace(wide, outcomes=few, llms=wide.llms[:LLMS])
    whole = replace(wide, outcomes=np.minimum(wide.outcomes, 1))
    alone = replace(wide, outcomes=few[:, :0], llms=())
    rng = np.random.default_rng(1)
    query = index.embeddings[count // 2] + np.float32(0.02) * rng.standard_normal(dimensions, dtype=np.float32)
    query /= np.linalg.norm(query)
    batch = index.embeddings[rng.integers(count, size=BATCH)] + np.float32(0.001)
    quantized = quantized_or_none(index)
    name, reference = reference_way(index, query)

    kernels = streaming_kernels(index.embeddings)
    warm = time_in_turn(kernels, rounds)
    fastest = min(warm, key=lambda kernel: min(warm[kernel]))
    things: dict[str, Callable[[], object]] = {
        "stream": kernels[fastest],
        "search": lambda: search(index, query, SELECTION),
        "alone": lambda: search(alone, query, SELECTION),
        "whole": lambda: search(whole, query, SELECTION),
        "wide": lambda: search(wide, query, SELECTION),
    }
    if quantized is not None:
        things["int8"] = lambda: search(index, query, SELECTION, quantized=quantized)
    took = time_in_turn(things, rounds)
    slow = time_in_turn({"reference": reference, "search": things["search"]}, max(3, rounds // 5))
    if quantized is not None:
        slow_int8 = time_in_turn({"reference": reference, "int8": things["int8"]}, max(3, rounds // 5))
    many = time_in_turn({"many": lambda: search_many(index, batch, SELECTION)}, 3)

    found = search(index, query, SELECTION)
    size = index.embeddings.nbytes
    result: Figures = {
        "questions": count,
        "dimensions": dimensions,
        "support": len(found.support.indices),
        "stream_kernel": fastest,
        "stream_gb_s": size / median(took["stream"]) / 1e9,
        "search_ms": 1e3 * median(took["search"]),
        "search_gb_s": size / median(took["search"]) / 1e9,
        "share_of_bandwidth": ratio(took["stream"], took["search"]),
        "reference": name,
        "reference_ms": 1e3 * median(slow["reference"]),
        "times_reference": ratio(slow["reference"], slow["search"]),
        "prior_200_adds": ratio(took["whole"], took["alone"]) - 1,
        "prior_200_with_gaps_adds": ratio(took["wide"], took["alone"]) - 1,
        "batch_queries_s": BATCH / median(many["many"]),
        "memory_over_matrices": memory(folder),
    }
    if quantized is not None:
        fast = search(index, query, SELECTION, quantized=quantized)
        same = np.array_equal(fast.support.indices, found.support.indices)
        result |= {
            "int8_ms": 1e3 * median(took["int8"]),
            "int8_times_reference": ratio(slow_int8["reference"], slow_int8["int8"]),
            "int8_same_support": bool(same),
        }
    return result


def quantized_or_none(index: BankIndex) -> Quantized | None:
    try:
        import simsimd  # noqa: F401  # only whether it is there
    except ImportError:
        return None
    return load_quantized(index)


def memory(folder: Path) -> float:
    """Return how much a fresh process grows by mapping and searching an index, beyond its matrices, as a share."""
    command = [sys.executable, __file__, "--memory-of", str(folder)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_growth(folder: Path) -> None:
    """Search a tiny index to load what any search loads, then the real one; print the growth beyond its matrices."""
    with tempfile.TemporaryDirectory() as tiny:
        warm = make_index(Path(tiny), 2_000, 64, MANY_LLMS)
        search(warm, warm.embeddings[0], SELECTION)
        before = resident_bytes()
        index = map_index(folder)
        for row in range(3):
            search(index, index.embeddings[row], SELECTION)
        growth = resident_bytes() - before
    print(growth / (index.embeddings.nbytes + index.outcomes.nbytes) - 1)


def resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("This benchmark reads /proc/self/status, so it needs Linux.")


def print_table(results: list[Figures]) -> None:
    rows: tuple[tuple[str, Callable[[Figures], str]], ...] = (
        ("questions x dimensions", lambda r: f"{r['questions']:,} x {r['dimensions']:,}"),
        ("support questions", lambda r: f"{r['support']:,}"),
        ("streaming read", lambda r: f"{r['stream_gb_s']:.1f} GB/s ({r['stream_kernel']})"),
        ("search, 15 LLMs", lambda r: f"{r['search_ms']:.2f} ms"),
        ("  share of bandwidth", lambda r: f"{r['share_of_bandwidth']:.2f}"),
        ("  reference way", lambda r: f"{r['reference_ms']:.1f} ms"),
        ("  times faster", lambda r: f"{r['times_reference']:.1f}x"),
        ("int8 first pass", lambda r: f"{r['int8_ms']:.2f} ms" if "int8_ms" in r else "needs simsimd"),
        ("  times faster", lambda r: f"{r['int8_times_reference']:.1f}x" if "int8_ms" in r else "-"),
        ("  same support set", lambda r: str(r.get("int8_same_support", "-"))),
        ("prior of 200 LLMs adds", lambda r: f"{100 * r['prior_200_adds']:.0f} %"),
        ("  with 2 % missing", lambda r: f"{100 * r['prior_200_with_gaps_adds']:.0f} %"),
        ("batch of 64", lambda r: f"{r['batch_queries_s']:,.0f} queries/s"),
        ("memory beyond matrices", lambda r: f"{100 * r['memory_over_matrices']:+.1f} %"),
    )
    for label, cell in rows:
        print(f"{label:<24}" + "".join(f"{cell(result):>26}" for result in results))
    print(f"\nReference way: {results[0]['reference']}. One thread; medians; ratios are medians of paired rounds.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures here, too")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of is not None:
        print_growth(arguments.memory_of)
        return
    results = []
    for count, dimensions in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            results.append(measure(Path(folder), count, dimensions, arguments.rounds))
    print_table(results)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    if any(os.environ.get(name) != "1" for name in ONE_THREAD) or any(name in os.environ for name in FORCED):
        # The thread count and the kernels are chosen when numpy is loaded, so start over with them set.
        kept = {name: value for name, value in os.environ.items() if name not in FORCED}
        os.execve(sys.executable, [sys.executable, *sys.argv], {**kept, **ONE_THREAD})  # noqa: S606
    main()
