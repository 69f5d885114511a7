"""One grade per answer, and one verdict per instruction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smcs.errors import InputError, suggest
from smcs.grading.ifeval.parameters import Check, Parameters
from smcs.grading.ifeval.registry import INSTRUCTIONS
from smcs.types import Grade, Question

__all__ = ("InstructionVerdict", "grade_ifeval", "instruction_verdicts")

_MODES = ("strict", "loose")

MAX_CHARACTERS = 1_000_000
"""A longer answer follows no instruction; the limit bounds the time a check can take."""


@dataclass(frozen=True, slots=True)
class InstructionVerdict:
    """Whether one instruction was followed."""

    instruction: str
    """Its published id, e.g. "punctuation:no_comma"."""
    strict: bool
    """The answer as it stands follows it."""
    loose: bool
    """One of eight forms follows it: with or without the first line, the last line and all asterisks."""


def grade_ifeval(question: Question, answer: str) -> Grade:
    """Grade an answer by the instructions of a question: all or nothing (prompt-level accuracy of the paper).

    Args:
        question: `check["instruction_id_list"]` names at least one of the 25 types, `check["kwargs"]` has an object
            of parameters for each, `check["mode"]` is "strict" (default) or "loose".
        answer: Free text.

    Returns:
        1 if every instruction is followed, else 0 with the broken ones as reason.

    Raises:
        InputError: An instruction is unknown or lacks a parameter, or there are none.
        MissingExtraError: An instruction needs langdetect, which is not installed.
    """
    mode = question.check.get("mode") or "strict"
    if mode not in _MODES:
        raise InputError(f"Question {question.id!r}: `check['mode']` is {mode!r}.{suggest(str(mode), _MODES)}")
    checks = _checks(question)
    if len(answer) > MAX_CHARACTERS:
        return Grade(0.0, None, f"longer than {MAX_CHARACTERS:,} characters")
    forms = _forms(answer) if mode == "loose" else (answer,)
    broken = [name for name, check in checks if not _followed(check, forms)]
    if broken:
        return Grade(0.0, None, f"not followed ({mode}): {', '.join(broken)}")
    return Grade(1.0, None, f"all {len(checks)} instructions followed ({mode})")


def instruction_verdicts(question: Question, answer: str) -> tuple[InstructionVerdict, ...]:
    """Judge each instruction of a question, strictly and loosely, whatever `check["mode"]` says.

    Args:
        question: As in `grade_ifeval`.
        answer: Free text.

    Returns:
        One verdict per instruction, in their order. Shares of them over many questions are the paper's
        instruction-level accuracies.

    Raises:
        InputError: An instruction is unknown or lacks a parameter, or there are none.
        MissingExtraError: An instruction needs langdetect, which is not installed.
    """
    checks = _checks(question)
    if len(answer) > MAX_CHARACTERS:
        return tuple(InstructionVerdict(name, strict=False, loose=False) for name, _ in checks)
    verdicts = []
    for name, check in checks:
        strict = _followed(check, (answer,))
        verdicts.append(InstructionVerdict(name, strict=strict, loose=strict or _followed(check, _forms(answer)[1:])))
    return tuple(verdicts)


def _checks(question: Question) -> list[tuple[str, Check]]:
    names, settings = question.check.get("instruction_id_list"), question.check.get("kwargs")
    if not isinstance(names, list | tuple) or not names:
        raise InputError(
            f"Question {question.id!r} needs a list of instructions in `check['instruction_id_list']`, got {names!r}."
        )
    if not isinstance(settings, list | tuple) or len(settings) != len(names):
        raise InputError(
            f"Question {question.id!r} needs one object of parameters per instruction in `check['kwargs']` "
            f"({len(names)}), got {settings!r}."
        )
    checks = []
    for name, values in zip(names, settings, strict=True):
        builder = INSTRUCTIONS.get(name) if isinstance(name, str) else None
        if builder is None:
            raise InputError(
                f"Question {question.id!r}: unknown instruction {name!r}.{suggest(str(name), INSTRUCTIONS)}"
            )
        if not (values is None or isinstance(values, Mapping)):
            raise InputError(
                f"Question {question.id!r}, instruction {name!r}: parameters must be an object, got {values!r}."
            )
        checks.append((str(name), builder(Parameters(question.id, name, values or {}))))
    return checks


def _forms(answer: str) -> tuple[str, ...]:
    """Return the different forms of an answer that the loose criterion accepts, the answer itself first."""
    lines = answer.split("\n")
    forms = [answer, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return tuple(dict.fromkeys([*forms, *(form.replace("*", "") for form in forms)]))


def _followed(check: Check, forms: tuple[str, ...]) -> bool:
    return any(form.strip() and check(form) for form in forms)
