"""Parts of the method left out one at a time, and LLMs that merge without being asked for references."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers_strategies import SETTINGS, member, resources, run, scripted
from smcs.bank import QuestionBank
from smcs.errors import ConfigError, InputError
from smcs.strategies import Resources
from smcs.types import Ablation

NAMES = ("adder", "guide", "half", "poor")


def team(known: QuestionBank) -> Resources:
    merger = member(scripted("merger", logprob=-0.5))
    pool = resources(*(member(scripted(name)) for name in NAMES), aggregators=("adder",), bank=known).pool
    return Resources(
        pool=pool,
        mergers={"merger": merger},
        aggregators=("merger",),
        embedder=resources(merger).embedder,
        bank=known,
    )


async def test_without_rps_referencers_are_drawn_by_lot_and_nothing_is_looked_up(known: QuestionBank) -> None:
    drawn = set()
    for seed in range(12):
        settings = replace(SETTINGS, k=2, seed=seed, without=("rps",))
        record, _ = await run(team(known), settings)
        assert record.support_size == 0
        assert {estimate.drop_weight for estimate in record.priors if estimate.drop_weight is not None} == {0.5}
        assert record.degraded == ()
        drawn.add(record.referencers)
    assert len(drawn) > 4
    again, _ = await run(team(known), replace(SETTINGS, k=2, seed=3, without=("rps",)))
    once, _ = await run(team(known), replace(SETTINGS, k=2, seed=3, without=("rps",)))
    assert again.referencers == once.referencers


async def test_without_the_prior_drop_every_reference_is_dropped_alike(known: QuestionBank) -> None:
    full, _ = await run(team(known))
    even, _ = await run(team(known), replace(SETTINGS, without=("prior_drop",)))
    weights = [estimate.drop_weight for estimate in even.priors if estimate.drop_weight is not None]
    assert weights == pytest.approx([1 / 3] * 3)
    assert even.referencers == full.referencers
    assert max(estimate.drop_weight or 0 for estimate in full.priors) > 0.4


@pytest.mark.parametrize("part", ["similarity", "perplexity"])
async def test_without_a_term_of_the_score(known: QuestionBank, part: Ablation) -> None:
    record, _ = await run(team(known), replace(SETTINGS, without=(part,)))
    for candidate in record.candidates:
        assert candidate.score is not None
        assert candidate.similarity is not None
        assert candidate.perplexity is not None
        other = candidate.similarity if part == "perplexity" else 1 - candidate.perplexity
        assert candidate.score == pytest.approx(other)
    scores = [candidate.score or 0.0 for candidate in record.candidates]
    assert record.chosen == int(np.argmax(scores))


async def test_an_llm_that_only_merges_is_never_a_referencer(known: QuestionBank) -> None:
    record, _ = await run(team(known), replace(SETTINGS, k=7))
    assert set(record.referencers) == set(NAMES)
    assert {candidate.llm for candidate in record.candidates} == {"merger"}
    assert {estimate.llm for estimate in record.priors} == set(NAMES)


def test_mistakes_are_named(known: QuestionBank) -> None:
    with pytest.raises(InputError, match=r"`without` cannot leave out 'rpss'\. It can: rps, similarity"):
        replace(SETTINGS, without=("rpss",))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"'adder' is in the pool and among those that only merge"):
        replace(team(known), mergers={"adder": member(scripted("adder"))})
