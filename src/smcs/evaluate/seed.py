"""The seed bank: our own questions, graded on the instruct models of the catalogue by running them here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from smcs.bank import QuestionBank
from smcs.errors import ConfigError, InputError
from smcs.evaluate.engine import ProgressSink, interleaved, run_grading
from smcs.evaluate.progress import GradingReport
from smcs.llms.catalogue import find_model
from smcs.llms.local import LocalLLM, LocalServers, ServerOptions, available_cores
from smcs.llms.pool import Member, Pool
from smcs.tasks.seed import generate, messages, sampling
from smcs.types import Question, Sampling

__all__ = ("SEED_MODELS", "build_seed_bank", "open_seed_bank", "seed_sampling")

SEED_MODELS = ("smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b")
"""Catalogue names of the models that the shipped outcomes are of, smallest first."""

_GREEDY = Sampling(temperature=0.0, seed=0)
_CALL_SECONDS = 900.0
_CONTEXT = 2048


def seed_sampling(question: Question) -> Sampling:
    """Return how a seed question is answered for the bank: greedily, with a fixed seed and the task's token limit."""
    return _GREEDY.over(sampling(question))


def open_seed_bank(path: Path, *, seed: int = 0, count: int | None = None) -> QuestionBank:
    """Open or create a bank and add the seed questions to it.

    Args:
        path: SQLite file.
        seed: Seed of the questions.
        count: Only that many, spread over all families; all when `None`.

    Raises:
        BankError: The file is no bank, or holds other questions under the same ids.
        InputError: `count` is below 1.
    """
    questions = _questions(seed, count)
    bank = QuestionBank.open(path) if path.exists() else QuestionBank.create(path)
    try:
        bank.add_questions(questions)
    except BaseException:
        bank.close()
        raise
    return bank


async def build_seed_bank(
    path: Path,
    *,
    models: Sequence[str] = SEED_MODELS,
    seed: int = 0,
    count: int | None = None,
    parallel: int | None = None,
    slots: int = 4,
    on_progress: ProgressSink | None = None,
) -> GradingReport:
    """Create or continue a seed bank: ask local models every seed question, grade, record.

    Answers are greedy with a fixed seed; what else runs in the same batch can still tip a close call between two
    tokens, so a second run may differ in a few outcomes. It may be interrupted at any time and called again.

    Args:
        path: SQLite file of the bank.
        models: Catalogue names; their files must be on this machine.
        seed: Seed of the questions.
        count: Only that many questions, spread over all families; all when `None`.
        parallel: Models that run at the same time, the largest first, sharing the cores; one per core when `None`.
        slots: Questions a model answers at the same time.
        on_progress: Hears about progress.

    Returns:
        What was done and what failed.

    Raises:
        ConfigError: A model is unknown, was not fetched, or has no chat template.
        BankError: See `open_seed_bank`.
        InputError: An option is out of range.
    """
    entries = [find_model(name) for name in dict.fromkeys(models)]
    for entry in entries:
        if entry.kind != "llm" or not entry.chat_template:
            raise ConfigError(f"{entry.name!r} cannot be asked questions: it is no chat model.")
    lanes = min(len(entries), available_cores()) if parallel is None else parallel
    options = ServerOptions(threads=max(1, available_cores() // lanes), parallel=slots, context=_CONTEXT)
    servers = LocalServers(max_concurrent=lanes * slots)
    members = [
        Member(entry.name, LocalLLM(entry.name, entry.require(), servers=servers, options=options))
        for entry in sorted(entries, key=lambda entry: entry.parameters, reverse=True)
    ]
    with open_seed_bank(path, seed=seed, count=count) as bank:
        async with Pool(members, resources=[servers]):
            return await run_grading(
                _questions(seed, count),
                members,
                bank,
                messages=messages,
                sampling=seed_sampling,
                call_seconds=_CALL_SECONDS,
                concurrency=slots,
                parallel=lanes,
                give_up_after=5,
                on_progress=on_progress,
            )


def _questions(seed: int, count: int | None) -> list[Question]:
    questions = interleaved(generate(seed))
    if count is not None and not 1 <= count <= len(questions):
        raise InputError(f"`count` must be from 1 to {len(questions)}, got {count}.")
    return questions[:count]
