"""Grade recorded responses again: after a grader was mended, no LLM has to be asked a second time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from smcs.bank import QuestionBank
from smcs.evaluate.recorder import safe_grade

__all__ = ("regrade",)


def regrade(bank: QuestionBank, llms: Iterable[str] | None = None, *, only_ungraded: bool = False) -> int:
    """Grade the responses in a bank again and record verdicts that changed.

    Args:
        bank: The bank; each LLM's changes are one transaction.
        llms: Whose responses; all when `None`.
        only_ungraded: Whether responses that have a score are left alone.

    Returns:
        How many outcomes changed.

    Raises:
        BankError: An LLM is not in the bank.
    """
    questions = {question.id: question for question in bank.questions()}
    changed = 0
    for llm in bank.llms if llms is None else llms:
        again = []
        for outcome in bank.recorded(llm):
            if not outcome.response or (only_ungraded and outcome.score is not None):
                continue
            verdict = safe_grade(questions[outcome.question_id], outcome.response)
            again.append(replace(outcome, score=verdict.score, extracted=verdict.extracted, reason=verdict.reason))
        changed += bank.record(again)
    return changed
