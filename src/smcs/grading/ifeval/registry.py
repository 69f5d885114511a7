"""All instruction types by their published id."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from smcs.grading.ifeval import formats, keywords, layouts, lengths, wording
from smcs.grading.ifeval.parameters import Builder

__all__ = ("INSTRUCTIONS",)

INSTRUCTIONS: Mapping[str, Builder] = MappingProxyType(
    {
        "keywords:existence": keywords.existence,
        "keywords:frequency": keywords.frequency,
        "keywords:forbidden_words": keywords.forbidden_words,
        "keywords:letter_frequency": keywords.letter_frequency,
        "language:response_language": wording.response_language,
        "length_constraints:number_sentences": lengths.number_sentences,
        "length_constraints:number_paragraphs": lengths.number_paragraphs,
        "length_constraints:number_words": lengths.number_words,
        "length_constraints:nth_paragraph_first_word": lengths.nth_paragraph_first_word,
        "detectable_content:number_placeholders": formats.number_placeholders,
        "detectable_content:postscript": formats.postscript,
        "detectable_format:number_bullet_lists": formats.number_bullet_lists,
        "detectable_format:constrained_response": formats.constrained_response,
        "detectable_format:number_highlighted_sections": formats.number_highlighted_sections,
        "detectable_format:multiple_sections": formats.multiple_sections,
        "detectable_format:json_format": formats.json_format,
        "detectable_format:title": formats.title,
        "combination:two_responses": layouts.two_responses,
        "combination:repeat_prompt": layouts.repeat_prompt,
        "startend:end_checker": layouts.end_checker,
        "startend:quotation": layouts.quotation,
        "change_case:capital_word_frequency": wording.capital_word_frequency,
        "change_case:english_capital": wording.english_capital,
        "change_case:english_lowercase": wording.english_lowercase,
        "punctuation:no_comma": layouts.no_comma,
    }
)
"""Builder of each type's check."""
