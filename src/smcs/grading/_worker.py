r"""The process that compares mathematics: one request a line on standard input, one reply a line on standard output.

Runs as a script in a process of its own (see `_workers`), because a symbolic comparison may take for ever and cannot be
interrupted inside Python. Imports nothing of smcs, so that it starts as fast as math-verify allows. A request is
`{"golds": [LaTeX, ...], "answer": LaTeX, "seconds": CPU time, "wall": seconds}`; the reply to it is `{"equal",
"golds_read", "answer_read", "value"}`, `value` being the answer as a real number where it is one. Only LaTeX is parsed:
sympy's parser of plain expressions would evaluate them.
"""

from __future__ import annotations

import json
import math
import signal
import sys
import warnings
from typing import Any

_EXTRA_SECONDS = 2


def _limit_memory(size: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _compare(request: dict[str, Any]) -> dict[str, Any]:
    from math_verify import LatexExtractionConfig, parse, verify

    def read(latex: str) -> list[Any]:
        return list(
            parse(f"\\boxed{{{latex}}}", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None)
        )

    answer, golds = read(request["answer"]), [read(gold) for gold in request["golds"]]
    equal = any(
        gold and verify(gold, answer, strict=True, allow_set_relation_comp=True, timeout_seconds=None)
        for gold in golds
        if answer
    )
    return {
        "equal": equal,
        "golds_read": any(golds),
        "answer_read": bool(answer),
        "value": None if equal or not answer else _value(answer[0]),
    }


def _value(expression: Any) -> float | None:
    try:
        value = float(expression.evalf(20))
    except (TypeError, ValueError, AttributeError, ArithmeticError):
        return None
    return value if math.isfinite(value) else None


def main() -> None:
    """Answer requests until standard input closes."""
    _limit_memory(int(sys.argv[1]))
    warnings.simplefilter("ignore")
    replies, sys.stdout = sys.stdout, sys.stderr
    from math_verify import parse

    parse("\\boxed{1}", parsing_timeout=None)
    print(json.dumps({"ready": True}), file=replies, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if hasattr(signal, "setitimer"):
            # The default action ends the process. The clock's timer leaves nothing running if whoever waits is gone.
            signal.setitimer(signal.ITIMER_PROF, request["seconds"])
            signal.setitimer(signal.ITIMER_REAL, request["wall"] + _EXTRA_SECONDS)
        try:
            reply = _compare(request)
        except (MemoryError, RecursionError) as error:
            reply = {"failed": type(error).__name__}
        except Exception as error:  # noqa: BLE001 - whatever a parser does to one answer must not cost the next its worker
            reply = {"failed": type(error).__name__}
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
