"""What is known of a request beside the run itself, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from smcs.gateway.entries import AttemptSummary, Feedback, RunRow, StoredRun, asked_last
from smcs.studio.frame import format_count, format_seconds, format_usd
from smcs.studio.runs.rows import ago, clock, key_label, strategy_label
from smcs.types import AttemptStatus, Stage

__all__ = ("Fact", "attempt_rows", "facts", "feedback_line", "missing_record", "question_of", "texts_note")

_NOT_KEPT: Final = "none was kept"
"""`StoredRun.no_record` of a run without a record, where nothing is wrong with one."""

_STAGES: Final[Mapping[Stage, str]] = {
    "reference": "answer",
    "aggregation": "merge",
    "embedding": "embedding",
    "probe": "probe",
    "grading": "grading",
}
_STATUSES: Final[Mapping[AttemptStatus, str]] = {
    "ok": "ok",
    "error": "failed",
    "timeout": "too late",
    "empty": "said nothing",
    "cancelled": "given up",
    "skipped": "not sent",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known of a request."""

    name: str
    value: str
    hint: str = ""
    """One sentence for who does not know the word."""


def facts(stored: StoredRun, keys: Mapping[str, str], now: datetime) -> tuple[Fact, ...]:
    """Return what the ledger knows of a request, in the order it is read in.

    Args:
        stored: The run.
        keys: Names of keys by id.
        now: For how long ago it was.
    """
    row = stored.row
    known = [
        Fact("Asked", f"{clock(row.created)} UTC, {ago(row.created, now)}"),
        Fact("Model asked for", row.model or "unknown"),
        Fact("Strategy", strategy_label(row.strategy), "How the LLMs work together on an answer."),
        Fact("Way in", row.endpoint, "The path of the API, or the studio itself."),
        Fact("Key", key_label(row.key_id, keys)),
    ]
    if row.user:
        known.append(Fact("User", row.user, "As the program that asked calls its own user."))
    known += [
        Fact("HTTP status", str(row.http_status), "200 is an answer, 400 and above is none; 499: who asked had left."),
        Fact("Streamed", "yes" if row.streamed else "no", "Whether the text was sent while it was written."),
        Fact("Out of the cache", "yes, nothing was spent" if row.cached else "no"),
        Fact("Took", format_seconds(row.seconds)),
        Fact("Calls to LLMs", format_count(row.calls)),
        Fact("Cost", format_usd(row.cost_usd, row.known_cost_usd)),
    ]
    if row.cost_usd is None and row.charged_usd:
        hint = "The cost is unknown, so what was set aside for the request counts."
        known.append(Fact("Taken out of the key's budget", format_usd(row.charged_usd), hint))
    known.append(Fact("Tokens", _tokens(row), "Pieces of words, as LLMs count and charge them."))
    known += [Fact(f"Label {name!r}", value) for name, value in stored.metadata.items()]
    return tuple(known)


def question_of(stored: StoredRun) -> str:
    """Return what was asked: all of it where there is a record, else its beginning; empty where nothing was kept."""
    if stored.record is not None and (question := asked_last(stored.record)):
        return question
    return stored.row.question or ""


def missing_record(stored: StoredRun, record: str) -> str:
    """Return why a run cannot be shown step by step; empty where it can.

    Args:
        stored: The run.
        record: How much the server keeps now: `gateway.record` of its config.
    """
    if stored.record is not None:
        return ""
    why = stored.no_record or ""
    if why and why != _NOT_KEPT:
        return f"The record of this run cannot be read by this version of smcs: {why}"
    match stored.row.status:
        case "failed" if not stored.attempts:
            return "The request failed before any LLM was asked, so there is nothing to show step by step."
        case "cancelled" if not stored.attempts:
            return "Who asked left before any LLM had answered, so there is nothing to show step by step."
        case "lost":
            return "The server died before this run ended, and its record with it."
        case _ if record == "none":
            return "This server keeps no records of runs ('gateway.record: none' in its config)."
    return (
        "The record of this run is gone: either none was kept at that time ('gateway.record'), or it was removed since "
        "('smcs runs prune'). What the ledger knows is below."
    )


def texts_note(stored: StoredRun) -> str:
    """Return a note for a record whose texts were left out; empty where it has them."""
    run = stored.record
    if run is None or run.query.text or any(message.content for message in run.query.messages):
        return ""
    return (
        "The texts of this run were not kept ('gateway.record: no-texts' in the server's config): names, scores and "
        "counts are all there is."
    )


def attempt_rows(attempts: tuple[AttemptSummary, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the calls of a run as cells: LLM, what for, how it ended, seconds, tokens read and written, cost, why."""
    return tuple(
        (
            each.llm,
            _STAGES[each.stage],
            _STATUSES[each.status] + (f" ({each.tries} tries)" if each.tries > 1 else ""),
            format_seconds(each.seconds),
            format_count(each.prompt_tokens),
            format_count(each.completion_tokens),
            format_usd(each.cost_usd),
            " ".join((each.error or "").split()),
        )
        for each in attempts
    )


def feedback_line(said: Feedback, keys: Mapping[str, str], now: datetime) -> str:
    """Return who said something about an answer, when, and whether it was good."""
    verdict = {"good": "said it was good", "bad": "said it was bad", None: "said"}[said.verdict]
    return f"{key_label(said.key_id, keys)} {verdict}, {ago(said.created, now)}"


def _tokens(row: RunRow) -> str:
    read, written = format_count(row.prompt_tokens), format_count(row.completion_tokens)
    cached = f" ({row.cached_tokens:,} of them out of a prefix cache)" if row.cached_tokens else ""
    return f"{read} read{cached}, {written} written"
