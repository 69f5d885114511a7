"""`combination:*`, `startend:*` and `punctuation:*`: how an answer begins, ends and is put together."""

from __future__ import annotations

from smcs.grading.ifeval.parameters import Check, Parameters

__all__ = ("end_checker", "no_comma", "quotation", "repeat_prompt", "two_responses")


def two_responses(parameters: Parameters) -> Check:
    """Build the check for two different responses with six stars between them; no parameters."""
    del parameters

    def check(text: str) -> bool:
        parts = [part.strip() for part in text.split("******")]
        responses = [part for part in parts if part]
        return all(parts[1:-1]) and len(responses) == 2 and responses[0] != responses[1]

    return check


def repeat_prompt(parameters: Parameters) -> Check:
    """Build the check that the answer begins with `prompt_to_repeat`, in any case."""
    prompt = parameters.text("prompt_to_repeat").lower()
    return lambda text: text.strip().lower().startswith(prompt)


def end_checker(parameters: Parameters) -> Check:
    """Build the check that the answer ends with `end_phrase`, in any case; quotation marks after it are ignored."""
    phrase = parameters.text("end_phrase").lower()
    return lambda text: text.strip().strip('"').lower().endswith(phrase)


def quotation(parameters: Parameters) -> Check:
    """Build the check that the whole answer stands in straight double quotation marks; no parameters."""
    del parameters

    def check(text: str) -> bool:
        text = text.strip()
        return len(text) > 1 and text[0] == text[-1] == '"'

    return check


def no_comma(parameters: Parameters) -> Check:
    """Build the check for an answer without a comma; no parameters."""
    del parameters
    return lambda text: "," not in text
