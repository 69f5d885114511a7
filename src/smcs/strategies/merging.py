"""References merged once into one answer, as all methods do it that aggregate."""

from __future__ import annotations

from collections.abc import Sequence

from smcs.errors import NoUsableAnswerError
from smcs.run import Run, Trace
from smcs.strategies.aggregation import Aggregation

__all__ = ("merge_once",)


async def merge_once(
    names: Sequence[str], texts: Sequence[str], aggregation: Aggregation, trace: Trace, *, wanted: int
) -> Run:
    """Have references merged and close the run.

    What is missing degrades the run: without a reference the aggregator answers alone, one reference out of several
    that were wanted is the answer, and so is the first one where every aggregator fails. Whoever watches the text gets
    the merged answer while it is written (`AnswerBegins`).

    Args:
        names: LLMs that wrote the references, in the order in which the aggregator sees them.
        texts: Their references.
        aggregation: The aggregators.
        trace: The run.
        wanted: How many references there would be if none had been lost.

    Raises:
        NoUsableAnswerError: Nothing that could be an answer came back, or an answer broke off when its beginning was
            handed out already; it lists every cause.
    """
    begun = trace.clock()
    if not texts:
        trace.degrade("no reference arrived: the aggregator answers alone")
        await aggregation.answer_alone(answers=True)
    elif len(texts) >= min(2, wanted):
        await aggregation.merge(names, texts, [0], answers=True)
    trace.stage("aggregation", trace.clock() - begun)
    if aggregation.candidates:
        best = aggregation.candidates[0]
        return trace.finish(answer=best.text, answered_by=best.llm, candidates=(best,), chosen=0)
    if not texts:
        raise NoUsableAnswerError("No LLM returned an answer:", trace.causes())
    trace.degrade(f"nothing was merged: the answer is the reference of {names[0]}")
    return trace.finish(answer=texts[0], answered_by=names[0])
