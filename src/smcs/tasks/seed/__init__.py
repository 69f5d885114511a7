"""Seed questions: our own, verifiable, in four categories, written by code from a seed.

`generate` returns them, `messages` and `sampling` say how one is asked. Every gold is computed, never looked up, and
every question has a grader in `smcs.grading`. Texts must not change once outcomes have been recorded for them: a change
is a new bank. A new family is one function of (random source, level) added to the `FAMILIES` of its category.
"""

from smcs.tasks.seed.generate import CATEGORIES, DEFAULT_COUNT, generate, level
from smcs.tasks.seed.prompts import PROMPTS, messages, sampling

__all__ = ("CATEGORIES", "DEFAULT_COUNT", "PROMPTS", "generate", "level", "messages", "sampling")
