"""How fast texts become vectors: the local MiniLM beside sentence-transformers where that is installed, and the cache.

    python benchmarks/embedders.py MODEL_FOLDER [--threads 1 2] [--rounds 5] [--json PATH]

MODEL_FOLDER holds `model.safetensors` and `tokenizer.json`, and for the comparison the rest of the published
sentence-transformers folder. Each runtime and number of threads gets a process of its own; the processes take turns,
and medians over the rounds are printed. Texts are made up: about 60 tokens for one text, 10 to 120 for a batch of 64.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from smcs.embedders import CachedEmbedder, MiniLMEmbedder

WORDS = (
    "the",
    "river",
    "water",
    "level",
    "rises",
    "about",
    "three",
    "metres",
    "each",
    "spring",
    "old",
    "snow",
    "melts",
)
SINGLE = 56
BATCH = 64
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def made_up(words: int, seed: int) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


def load(runtime: str, folder: str) -> Callable[[list[str]], Any]:
    """Return a function that embeds a list of texts."""
    if runtime == "smcs":
        return MiniLMEmbedder(folder, long_texts="truncate").embed_now
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device="cpu")
    return lambda texts: model.encode(texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)


def serve(runtime: str, folder: str) -> None:
    """Load, then measure once for each line on stdin."""
    begun = time.perf_counter()
    embed = load(runtime, folder)
    loaded = time.perf_counter() - begun
    batch = [made_up(int(words), seed) for seed, words in enumerate(np.linspace(8, 115, BATCH))]
    np.random.default_rng(0).shuffle(batch)
    vectors = np.asarray(embed(batch))
    for _ in sys.stdin:
        singles = []
        for seed in range(10):
            text = [made_up(SINGLE, seed)]
            begun = time.perf_counter()
            embed(text)
            singles.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        embed(batch)
        seconds = time.perf_counter() - begun
        figures = {
            "load_s": loaded,
            "single_ms": 1e3 * median(singles),
            "batch_texts_per_s": BATCH / seconds,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(json.dumps({"figures": figures, "first_vector": vectors[0].tolist()}), flush=True)


def compare(folder: str, threads: list[int], rounds: int) -> list[dict[str, Any]]:
    """Measure every runtime with every number of threads, in turn."""
    runtimes = ["smcs", *(["sentence-transformers"] if find_spec("sentence_transformers") else [])]
    combinations = [(runtime, count) for count in threads for runtime in runtimes]
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, folder, "--serve", runtime],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(count))},
        )
        for runtime, count in combinations
    ]
    answers: list[list[dict[str, Any]]] = [[] for _ in workers]
    for _ in range(rounds):
        for worker, rows in zip(workers, answers, strict=True):
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
            rows.append(json.loads(worker.stdout.readline()))
    for worker in workers:
        worker.communicate()
    results = []
    for (runtime, count), rows in zip(combinations, answers, strict=True):
        figures = {name: median(row["figures"][name] for row in rows) for name in rows[0]["figures"]}
        cosine = float(np.dot(rows[0]["first_vector"], answers[0][0]["first_vector"]))
        results.append({"runtime": runtime, "threads": count, **figures, "cosine_to_first": cosine})
    return results


def cache_speed(texts: int = 2_000) -> dict[str, float]:
    """Return lookups per second of a warm cache, for one text and for many at once."""
    wanted = [made_up(SINGLE, seed) for seed in range(texts)]

    class Instant:
        name = "instant"
        dimensions: int | None = 384

        async def embed(self, batch: Any) -> Any:
            rows = np.random.default_rng(0).normal(size=(len(batch), 384)).astype(np.float32)
            return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    async def measure(path: Path) -> dict[str, float]:
        cached = CachedEmbedder(Instant(), path)
        await cached.embed(wanted)
        begun = time.perf_counter()
        await cached.embed(wanted)
        many = time.perf_counter() - begun
        singles = []
        for text in wanted[:200]:
            begun = time.perf_counter()
            await cached.embed([text])
            singles.append(time.perf_counter() - begun)
        return {"single_ms": 1e3 * median(singles), "texts_per_s": texts / many}

    with tempfile.TemporaryDirectory() as scratch:
        return asyncio.run(measure(Path(scratch) / "cache.sqlite"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.model)
        return
    rows = compare(arguments.model, arguments.threads, arguments.rounds)
    print(f"{'runtime':<24}{'threads':>8}{'load s':>9}{'single ms':>11}{'texts/s':>9}{'RSS MB':>8}{'cosine':>10}")
    for row in rows:
        print(
            f"{row['runtime']:<24}{row['threads']:>8}{row['load_s']:>9.2f}{row['single_ms']:>11.1f}"
            f"{row['batch_texts_per_s']:>9.1f}{row['rss_mb']:>8.0f}{row['cosine_to_first']:>10.6f}"
        )
    cache = cache_speed()
    print(f"cache hit: {cache['single_ms']:.2f} ms for one text, {cache['texts_per_s']:,.0f} texts/s for many")
    if arguments.json:
        arguments.json.write_text(json.dumps({"embedders": rows, "cache": cache}, indent=2))


if __name__ == "__main__":
    main()
