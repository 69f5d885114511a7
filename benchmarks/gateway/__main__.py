"""What the gateway costs: CPU, latency and memory, beside a bare client, optillm and the LiteLLM proxy, in one run.

Upstreams, servers and load generator are processes of their own, and CPU is that of the server's process alone. Peers
run from environments of their own, and are left out where their Python is not given.

    python benchmarks/gateway [--litellm PYTHON] [--optillm PYTHON] [--only NAME ...] [--rounds 3] [--seconds 4]
                              [--soak 20000] [--json PATH]
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measures


def show_collaboration(found: dict[str, Any]) -> None:
    print(f"\nCollaboration, K={measures.K}, n={measures.N}, instant upstreams, {found['clients']} clients")
    print(f"{'':<18}{'calls/query':>12}{'queries/s':>11}{'CPU ms/query':>14}{'queries/core s':>16}{'ours are':>10}")
    for name, row in found["rows"].items():
        times = found["times"].get(name)
        print(
            f"{name:<18}{row['calls_per_query']:>12.1f}{row['queries_per_s']:>11.1f}{row['cpu_ms_per_query']:>14.2f}"
            f"{row['queries_per_core_s']:>16.1f}{'' if times is None else f'{times:.2f}x':>10}"
        )


def show_latency(found: dict[str, Any]) -> None:
    print(f"\nLatency of a query whose critical path takes {found['critical_path_ms']:.0f} ms")
    print(f"{'clients':<10}{'median ms':>11}{'p95 ms':>10}{'added':>9}{'of a core':>11}")
    for clients, row in found["rows"].items():
        print(
            f"{clients:<10}{row['median_ms']:>11.0f}{row['p95_ms']:>10.0f}{row['added_share']:>9.1%}"
            f"{row['core_share']:>11.2f}"
        )


def show_pass_through(found: dict[str, Any]) -> None:
    memory = ", ".join(f"{name} {size:.0f} MB" for name, size in found["resident_mb"].items())
    print(f"\nPass-through of one LLM, instant upstream, {found['clients']} clients (resident: {memory})")
    print(f"{'body':<28}{'server':<16}{'requests/s':>11}{'CPU ms':>9}{'added median ms':>17}")
    for kind, rows in found["bodies"].items():
        for name, row in rows.items():
            print(
                f"{kind:<28}{name:<16}{row['requests_per_s']:>11.0f}{row['cpu_ms']:>9.2f}"
                f"{row['added_median_ms']:>17.2f}"
            )
        if times := found["times"][kind]:
            print(
                f"{'':<28}{'ratio':<16}{times['requests_per_s']:>10.1f}x{times['cpu']:>8.1f}x"
                f"{times['added_latency']:>16.2f}x"
            )


def show_streams(found: dict[str, Any]) -> None:
    print(f"\n{found['streams']} streams at once, {found['events_per_s']:.0f} events/s")
    print(f"{found['kb_per_stream']:.1f} KB a stream, {found['core_share']:.2f} of a core; lag of the event loop:")
    print(f"median {found['lag_p50_ms']:.1f} ms, p99 {found['lag_p99_ms']:.1f} ms, most {found['lag_max_ms']:.1f} ms")


def show_soak(found: dict[str, Any]) -> None:
    print(f"\nSoak: {found['requests']:,} requests in {found['seconds']:.0f} s, statuses {found['statuses']}")
    for name, value in found.items():
        if name not in ("requests", "seconds", "statuses", "memory_mb"):
            shown = f"{value:.1%}" if name == "growth" else f"{value:.1f}" if isinstance(value, float) else value
            print(f"  {name.replace('_', ' '):<32}{shown}")


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--litellm", type=Path, help="Python of an environment with litellm[proxy]")
    parser.add_argument("--optillm", type=Path, help="Python of an environment with optillm")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds per measurement")
    parser.add_argument("--soak", type=int, default=20_000, help="requests of the soak")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    told: dict[str, tuple[Callable[[argparse.Namespace], dict[str, Any]], Callable[[dict[str, Any]], None]]] = {
        "collaboration": (
            lambda given: measures.collaboration(given.optillm, rounds=given.rounds, seconds=given.seconds),
            show_collaboration,
        ),
        "latency": (lambda given: measures.latency(seconds=2 * given.seconds), show_latency),
        "pass-through": (
            lambda given: measures.pass_through(given.litellm, rounds=given.rounds, seconds=given.seconds),
            show_pass_through,
        ),
        "streams": (lambda given: measures.streams(), show_streams),
        "soak": (lambda given: measures.soak(given.soak), show_soak),
    }
    parser.add_argument("--only", nargs="+", choices=tuple(told), default=list(told))
    options = parser.parse_args()
    report = {}
    for name in options.only:
        measure, show = told[name]
        report[name] = measure(options)
        show(report[name])
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
