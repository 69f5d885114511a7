"""RouterBench tables, CSV or Parquet, in the published wide form or in the long one.

Wide: a row for each question, with `sample_id`, `prompt` and `eval_name`, a column of scores under each LLM's name, and
beside it `LLM|model_response` and `LLM|total_cost`; the oracle's column is left out. Long: a row for each outcome, with
`sample_id`, `prompt`, `model` and `score`, and where present `dataset`, `split`, `response` and `cost_usd`.

Prompts and responses that were written as Python lists of texts (`['...']`) are unwrapped; in the published data, some
prompts stand in such a list twice, for some LLMs only, and count once. An empty score is a missing outcome.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from smcs.bank.importers.entry import Entry, ImportOptions, Place, fault, number, score, text
from smcs.bank.importers.tables import Row, columns, rows
from smcs.types import Outcome, Question

__all__ = ("entries", "fits")

_RESPONSE = "|model_response"
_COST = "|total_cost"
_PLAIN = ("sample_id", "prompt", "eval_name", "index", "idx", "cluster_id", "oracle_model_to_route_to")
_LONGEST_LIST = 2**20


def fits(names: Sequence[str]) -> bool:
    """Say whether columns are those of a RouterBench table."""
    return {"sample_id", "prompt"} <= set(names) or any(name.endswith((_RESPONSE, _COST)) for name in names)


def _is_long(path: Path) -> bool:
    """Say whether a table has a row for each outcome, so that a question comes in several."""
    return {"model", "score"} <= set(columns(path))


def entries(path: Path, options: ImportOptions) -> Iterator[Entry]:
    """Yield a row at a time.

    Raises:
        BankError: A column is missing or a row is malformed; names the row.
        MissingExtraError: It is Parquet, and pyarrow is not installed.
    """
    yield from _long(path, options) if _is_long(path) else _wide(path)


def _wide(path: Path) -> Iterator[Entry]:
    names = columns(path)
    llms = _llms(names)
    if not llms:
        raise fault(path, "it has no column of scores: a column under an LLM's name, beside 'LLM|total_cost'.")
    extra = [f"{llm}{suffix}" for llm in llms for suffix in (_RESPONSE, _COST)]
    wanted = {"sample_id", "prompt", "eval_name", *llms, *extra}
    for place, row in rows(path, needed=("sample_id", "prompt", *llms), wanted=list(wanted)):
        question = _question(place, row, task=row.get("eval_name"))
        yield Entry(place, question, tuple(_outcomes(place, question.id, row, llms)))


def _llms(names: Sequence[str]) -> list[str]:
    told = {name.removesuffix(suffix) for suffix in (_RESPONSE, _COST) for name in names if name.endswith(suffix)}
    if told:
        return sorted(told)
    return [name for name in names if name not in _PLAIN and name and not name.startswith("Unnamed:")]


def _outcomes(place: Place, question_id: str, row: Row, llms: Sequence[str]) -> Iterator[Outcome]:
    for llm in llms:
        verdict = score(place, f"score of {llm!r}", row[llm])
        if verdict is not None:
            yield Outcome(
                question_id,
                llm,
                verdict,
                response=_unwrapped(row.get(llm + _RESPONSE)),
                cost_usd=number(place, f"cost of {llm!r}", row.get(llm + _COST)),
            )


def _long(path: Path, options: ImportOptions) -> Iterator[Entry]:
    for place, row in rows(path, needed=("sample_id", "prompt", "model", "score")):
        if options.split not in (None, "all", row.get("split")):
            continue
        question = _question(place, row, task=row.get("dataset") or row.get("eval_name"))
        llm = text(place, "model", row["model"])
        verdict = score(place, "score", row["score"])
        cost = number(place, "cost_usd", row.get("cost_usd"))
        outcome = Outcome(question.id, llm, verdict, response=_unwrapped(row.get("response")), cost_usd=cost)
        yield Entry(place, question, () if verdict is None else (outcome,))


def _question(place: Place, row: Row, *, task: Any) -> Question:
    sample = text(place, "sample_id", row["sample_id"])
    prompt = _unwrapped(text(place, "prompt", row["prompt"]), repeats=False)
    return Question(f"routerbench/{sample}", text(place, "prompt", prompt), task=str(task or ""))


def _unwrapped(value: Any, *, repeats: bool = True) -> str:
    """Return the parts of a Python list of texts, set apart by a blank line, or the value as it is."""
    if value is None:
        return ""
    plain = value if isinstance(value, str) else str(value)
    if not (plain.startswith(("['", '["')) and plain.endswith(("']", '"]'))) or len(plain) > _LONGEST_LIST:
        return plain
    try:
        # Literals only: nothing is run, and what is no literal is left as it stands.
        parts = ast.literal_eval(plain)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return plain
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        return plain
    return "\n\n".join(parts if repeats else dict.fromkeys(parts))
