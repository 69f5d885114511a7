"""Importing a bank in the format released with SMCS, against `json.load` of the same file.

Makes a file of N questions, R LLMs and d dimensions (the default is the size of the released one: 10,000 x 15 x 4,096,
about 0.9 GB), then reads it in a process of its own in each of three ways: `json.load`, our reader alone, and the whole
import: reading, checking, and writing a bank with its log. Prints seconds, CPU seconds, and the most memory
each process held.

Usage: python benchmarks/importing.py [--questions N] [--rounds N] [--json PATH]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

WAYS = ("json.load", "reader", "import", "import, gzip")


def make_file(path: Path, questions: int, llms: int, dimensions: int) -> None:
    """Write a file as the research code writes it: shortest decimals of float32 in double precision, `, ` between."""
    rng = np.random.default_rng(0)
    names = [f"llm-{number:02}-instruct" for number in range(llms)]
    words = np.array([f"word{number}" for number in range(2000)])
    with path.open("wb") as file:
        file.write(b"{")
        for number in range(questions):
            vector = (rng.standard_normal(dimensions, dtype=np.float32) / np.float32(dimensions**0.5)).tolist()
            entry = {
                "question": " ".join(rng.choice(words, size=60)) + ' "quoted" {braces} \\ and \u00e9?',
                "src_question_id": number,
                "src": f"task-{number % 8}",
                "model_res": {name: {"is_correct": bool(rng.random() < 0.6)} for name in names},
            }
            text = json.dumps(entry, ensure_ascii=False)[:-1].encode()
            numbers = msgspec.json.encode(vector).replace(b",", b", ")
            file.write(b", " * (number > 0) + b'"%d": ' % number + text + b', "embedding": ' + numbers + b"}")
        file.write(b"}")


def read(way: str, path: Path) -> None:
    """Read a file in one way and print the seconds it took and the most memory the process held, in bytes."""
    if way == "json.load":
        start = time.perf_counter()
        with path.open() as file:
            loaded = json.load(file)
        assert loaded
    elif way == "reader":
        from smcs.bank.importers import ImportOptions
        from smcs.bank.importers.released import entries

        start = time.perf_counter()
        assert sum(entry.vector is not None for entry in entries(path, ImportOptions()))
    else:
        from smcs.bank import QuestionBank

        start = time.perf_counter()
        with (
            tempfile.TemporaryDirectory(dir=path.parent) as folder,
            QuestionBank.create(Path(folder) / "bank.db") as bank,
        ):
            brought = bank.import_from(path)
            assert brought.questions == brought.embeddings
            seconds = time.perf_counter() - start
        print(seconds, *used())
        return
    print(time.perf_counter() - start, *used())


def used() -> tuple[float, int]:
    """Return the CPU seconds of this process and the most memory it held, in bytes."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # The maximum in `usage` may be that of the process which started this one.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return usage.ru_utime + usage.ru_stime, int(line.split()[1]) * 1024
    raise RuntimeError("This benchmark reads /proc/self/status, so it needs Linux.")


def measure(path: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Run every way in turn, some rounds, each time in a fresh process."""
    zipped = path.with_suffix(".json.gz")
    with zipped.open("wb") as out:
        subprocess.run(["gzip", "-1", "-c", str(path)], check=True, stdout=out)
    found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            file = zipped if way.endswith("gzip") else path
            command = [sys.executable, __file__, "--read", way, str(file)]
            seconds, cpu, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            found[way].append((float(seconds), float(cpu), float(peak)))
    return {
        way: {
            "seconds": statistics.median(seconds for seconds, _, _ in runs),
            "cpu_seconds": statistics.median(cpu for _, cpu, _ in runs),
            "peak_mb": max(peak for _, _, peak in runs) / 1e6,
        }
        for way, runs in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--llms", type=int, default=15)
    parser.add_argument("--dimensions", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=1, help="times each way is measured; medians are shown")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures here, too")
    parser.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        read(arguments.read[0], Path(arguments.read[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bank.json"
        make_file(path, arguments.questions, arguments.llms, arguments.dimensions)
        size = path.stat().st_size
        ways = measure(path, arguments.rounds)
    print(
        f"{arguments.questions:,} questions x {arguments.llms} LLMs x {arguments.dimensions:,} dimensions: "
        f"{size / 1e6:,.0f} MB\n"
    )
    print(f"{'way':<16} {'seconds':>9} {'of json.load':>13} {'CPU s':>8} {'of json.load':>13} {'peak MB':>9}")
    for way, figures in ways.items():
        ratios = [figures[name] / ways["json.load"][name] for name in ("seconds", "cpu_seconds")]
        print(
            f"{way:<16} {figures['seconds']:>9.1f} {ratios[0]:>12.2f}x {figures['cpu_seconds']:>8.1f} "
            f"{ratios[1]:>12.2f}x {figures['peak_mb']:>9.0f}"
        )
    print("\nCPU seconds tell more than seconds where other programs share the machine.")
    if arguments.json is not None:
        report: dict[str, Any] = {**vars(arguments), "bytes": size, "ways": ways}
        del report["json"], report["read"]
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
