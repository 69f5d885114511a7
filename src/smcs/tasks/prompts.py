r"""How questions are asked: templates that end in the form the grader reads best, and the paper's sampling."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from smcs.errors import ConfigError
from smcs.types import GraderName, Message, Question, Sampling

__all__ = ("PAPER_SAMPLING", "PLACE", "PROMPTS", "messages_of", "read_template")

PAPER_SAMPLING = Sampling(temperature=0.7, max_tokens=8192, presence_penalty=1.05)
"""What every LLM is asked with in the paper (appendix A.3)."""

PLACE = "{question}"
"""Where a template shows the question with its options."""

PROMPTS: Mapping[GraderName, str] = {
    "choice": (
        "{question}\n\nWork it out step by step, then end with one line that holds nothing but the letter of the right"
        " option:\nAnswer: <letter>"
    ),
    "number": (
        "{question}\n\nWork it out step by step, then end with one line that holds nothing but the resulting"
        " number:\nAnswer: <number>"
    ),
    "math": (
        "{question}\n\nReason step by step. Finish with the result alone, fully simplified, inside \\boxed{} - once, at"
        " the very end."
    ),
    "exact": (
        "{question}\n\nThink it through, then end with one line that holds nothing but the answer itself, as short as"
        " possible:\nAnswer: <answer>"
    ),
    "instructions": "{question}",
    "ifeval": "{question}",
    "code": (
        "{question}\n\nThink first if that helps. End with the complete program in one ```python block: the imports it"
        " needs, no tests, no example calls."
    ),
}
"""Template per grader, for questions whose task has no prompt of its own."""


def messages_of(template: str, question: Question) -> tuple[Message, ...]:
    """Return the chat messages that ask a question: one user message."""
    return (Message("user", template.replace(PLACE, question.prompt())),)


def read_template(source: str | Path) -> str:
    """Return a template: a text that holds `{question}`, or what stands in a file.

    Args:
        source: The text itself, or a path; a string is a path unless it holds `{question}`.

    Raises:
        ConfigError: The file cannot be read, or `{question}` does not occur exactly once.
    """
    if isinstance(source, str) and PLACE in source:
        where, text = "The prompt", source
    else:
        where = f"The prompt file {str(source)!r}"
        try:
            text = Path(source).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise ConfigError(f"{where} cannot be read: {error}.") from error
    if text.count(PLACE) != 1:
        raise ConfigError(f"{where} must hold {PLACE} exactly once, got it {text.count(PLACE)} times.")
    return text
