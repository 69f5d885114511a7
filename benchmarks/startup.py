"""Time of `import smcs` and of `smcs --help` against `import numpy`, each in a fresh interpreter, in turn.

python benchmarks/startup.py [--json PATH] [--runs 15]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import numpy": [sys.executable, "-c", "import numpy"],
    "import smcs": [sys.executable, "-c", "import smcs"],
    "smcs --help": [str(Path(sys.executable).with_name("smcs")), "--help"],
}


def seconds(command: list[str]) -> float:
    """Run a command and return its wall seconds."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    for command in COMMANDS.values():
        seconds(command)
    rounds = [{name: seconds(command) for name, command in COMMANDS.items()} for _ in range(arguments.runs)]
    figures = {
        name: {
            "median_ms": 1000 * statistics.median(one[name] for one in rounds),
            "ratio_to_numpy": statistics.median(one[name] / one["import numpy"] for one in rounds),
        }
        for name in COMMANDS
    }
    for name, row in figures.items():
        print(f"{name:16} {row['median_ms']:8.1f} ms   {row['ratio_to_numpy']:.2f} x import numpy")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
