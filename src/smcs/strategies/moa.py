"""Mixture-of-Agents: every LLM of the pool answers, and an aggregator merges all answers (Wang et al. 2024).

With more than one layer, every LLM first writes a new answer from all answers of the layer before.
"""

from __future__ import annotations

from functools import partial

from smcs.run import Query, Run, Trace
from smcs.strategies.aggregation import Aggregation
from smcs.strategies.calls import Caller, Resources
from smcs.strategies.merging import merge_once
from smcs.strategies.opening import ask_everyone, fit_layers, open_run
from smcs.strategies.prompts import unwrap
from smcs.strategies.references import SHARE_OF_DEADLINE, References
from smcs.strategies.settings import Settings

__all__ = ("moa",)

_SEEDS_PER_LAYER = 10_000
"""Keeps the seeds of a layer apart from those of others, and from those of the aggregation."""


async def moa(query: Query, resources: Resources, settings: Settings, trace: Trace) -> Run:
    """Answer with the merger of what all LLMs say, in the order of the pool.

    An LLM that fails in one layer is asked again in the next; a layer in which none answers is the last.

    Args:
        query: What is asked.
        resources: The pool and the aggregators; no bank is used.
        settings: `layers`, sampling, straggler cut and caps.
        trace: Told of every step.

    Raises:
        NoUsableAnswerError: Nothing that could be an answer came back; it lists every cause.
    """
    everyone = ask_everyone(settings, len(resources.pool))
    fitted = fit_layers(settings, len(resources.pool))
    settings = open_run("moa", query, resources, trace, wanted=everyone, fitted=fitted)
    caller = Caller(trace, settings)
    aggregation = Aggregation(query, resources, caller, trace)
    llms = tuple(resources.pool.values())[: settings.k]

    # 2.2 Layer 1: each LLM sees the question. Layer i: each sees the question and all answers of layer i - 1.
    answers: dict[str, str] = {}
    for layer in range(settings.layers):
        references = References(
            llms,
            caller,
            trace,
            settings,
            prompts=resources.prompts,
            deadline_share=SHARE_OF_DEADLINE * (layer + 1) / settings.layers,
        )
        if answers:
            prompt = partial(aggregation.prompt, texts=tuple(answers.values()))
            await references.refine(prompt, tuple(answers), seed_offset=layer * _SEEDS_PER_LAYER)
        else:
            await references.gather(query.messages)
        if answers and not references.texts:
            trace.degrade(f"no LLM answered in layer {layer + 1}: the answers of the layer before are merged")
            break
        answers = {llms[at].name: unwrap(references.texts[at]) for at in sorted(references.texts)}

    # The last layer is one aggregator.
    return await merge_once(tuple(answers), tuple(answers.values()), aggregation, trace, wanted=len(llms))
