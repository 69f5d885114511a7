"""Experiments: measure the method on recorded or live answers, and compare with figures whose source is named.

Reads what other rooms record and computes; a figure is always made from data, never from memory.
"""

from smcs.bench.frontier import area_under_front, matched_budget, pareto_front
from smcs.bench.recorded import (
    RECORDED_SOURCE,
    Figure,
    RecordedBank,
    Setting,
    embed_questions,
    embed_texts,
    load_recorded,
    recorded_figures,
)
from smcs.bench.results import (
    RESULT_FORMAT,
    ArmSpec,
    Header,
    ResultFile,
    ResultWriter,
    Row,
    RowStatus,
    describe_commit,
    describe_machine,
    read_results,
)
from smcs.bench.statistics import (
    Interval,
    Paired,
    Spread,
    bootstrap_interval,
    holm,
    macro_interval,
    multiple_correct,
    one_correct,
    paired_comparison,
    ranking_score_interval,
    seed_spread,
)
from smcs.prior import pairwise_ranking_score

__all__ = (
    "RECORDED_SOURCE",
    "RESULT_FORMAT",
    "ArmSpec",
    "Figure",
    "Header",
    "Interval",
    "Paired",
    "RecordedBank",
    "ResultFile",
    "ResultWriter",
    "Row",
    "RowStatus",
    "Setting",
    "Spread",
    "area_under_front",
    "bootstrap_interval",
    "describe_commit",
    "describe_machine",
    "embed_questions",
    "embed_texts",
    "holm",
    "load_recorded",
    "macro_interval",
    "matched_budget",
    "multiple_correct",
    "one_correct",
    "paired_comparison",
    "pairwise_ranking_score",
    "pareto_front",
    "ranking_score_interval",
    "read_results",
    "recorded_figures",
    "seed_spread",
)
