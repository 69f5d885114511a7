from __future__ import annotations

import numpy as np

from helpers_bank import EMBEDDER, Place, outcome, question
from smcs.bank import Accuracy, EmbedderInfo
from smcs.bank.schema import SCHEMA_VERSION


def test_counts_and_accuracy_leave_out_what_is_missing(place: Place) -> None:
    with place.create() as bank:
        bank.add_questions(question(i) for i in range(6))  # mathematics/sums: 0; /sets: 2; /logic: 4, and so on
        for name in ("a", "b", "idle"):
            bank.add_llm(name)
        bank.record([outcome(0, "a", 1.0), outcome(2, "a", 0.0), outcome(4, "a", None), outcome(1, "b", 0.5)])
        bank.store_embeddings(EMBEDDER, ["q0000", "q0001"], np.eye(2))
        bank.add_questions([question(1, choices=("x", "y"))], replace=True)
        bank.record([outcome(1, "b", 0.5)])
        info = bank.info()
    assert (info.questions, info.outcomes, info.missing, info.schema_version) == (6, 4, 14, SCHEMA_VERSION)
    assert info.content_hash == bank.content_hash
    assert info.url == bank.url
    assert info.embedders == (EmbedderInfo(EMBEDDER, 2, embedded=1, stale=1, default=True),)
    assert info.llms == (
        Accuracy("a", None, None, 6, 2, 1, 0.5),
        Accuracy("b", None, None, 6, 1, 0, 0.5),
        Accuracy("idle", None, None, 6, 0, 0, None),
    )
    assert [row.missing for row in info.llms] == [3, 5, 6]
    assert Accuracy("a", "mathematics", "sums", 1, 1, 0, 1.0) in info.subjects
    assert Accuracy("a", "mathematics", "logic", 1, 0, 1, None) in info.subjects
    assert Accuracy("b", "reasoning", "logic", 1, 1, 0, 0.5) in info.subjects
    assert len(info.subjects) == 6 * 3
