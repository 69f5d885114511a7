"""Experiments: measure the method on recorded or live answers, and compare with figures whose source is named.

Reads what other rooms record and computes; a figure is always made from data, never from memory.
"""

from smcs.bench.recorded import (
    RECORDED_SOURCE,
    Figure,
    RecordedBank,
    Setting,
    embed_questions,
    load_recorded,
    plurality,
    recorded_figures,
)
from smcs.prior import pairwise_ranking_score

__all__ = (
    "RECORDED_SOURCE",
    "Figure",
    "RecordedBank",
    "Setting",
    "embed_questions",
    "load_recorded",
    "pairwise_ranking_score",
    "plurality",
    "recorded_figures",
)
