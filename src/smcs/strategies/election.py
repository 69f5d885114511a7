"""The vote that decides a guarded run: whether merging can matter, and which candidate wins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from smcs.errors import NoUsableAnswerError
from smcs.posterior import vote_probabilities
from smcs.run import Candidate, CandidatesScored, Query, Run, Trace
from smcs.strategies.electorate import Electorate, Standing, stand
from smcs.strategies.guard import UNVOTABLE
from smcs.strategies.scoring import Posterior
from smcs.strategies.settings import Settings
from smcs.strategies.voting import compare

__all__ = ("Election",)

_LEAST = 1e-9
"""Probability that stands for an answer nobody voted for, so that its score is finite."""


class Election:
    """One vote over answers.

    Args:
        query: How answers are compared.
        settings: n and the guard's parameters.
        trace: The run.
        electorate: What votes are worth.
        accuracy: Of each LLM near the question, from 0 to 1, where known.
    """

    def __init__(
        self, query: Query, settings: Settings, trace: Trace, electorate: Electorate, accuracy: Mapping[str, float]
    ) -> None:
        self._query = query
        self._guard = settings.guard
        self._wanted = settings.n
        self._trace = trace
        self._electorate = electorate
        self._accuracy = accuracy
        self._standing = Standing(-1, 0.0, 0.0)
        self._groups: tuple[int, ...] = ()
        self._arrived = False
        self._notes: dict[str, Any] = {"weights": electorate.basis, "votes": dict(electorate.referencers)}

    async def hold(self, votes: Sequence[Candidate]) -> None:
        """Count the votes of the references that arrived."""
        self._arrived = bool(votes)
        if self._query.grader not in UNVOTABLE and votes:
            self._groups = await compare([vote.text for vote in votes], self._query, self._trace)
            self._standing = stand(self._groups, [self._electorate.referencers[vote.llm] for vote in votes])
            self._notes |= {"probability": self._standing.probability, "lead": self._standing.margin}

    @property
    def votable(self) -> bool:
        """Whether the references gave answers that can be compared."""
        return self._standing.group >= 0

    def wants_merging(self, aggregators: Sequence[str]) -> bool:
        """Say whether merged answers may be worth their calls, and note why."""
        wanted, why = self._ask(aggregators[0]) if self._arrived else (True, "no reference arrived")
        self._notes |= {"merged": wanted, "why": why, "say": self._electorate.aggregators[aggregators[0]]}
        return wanted

    def _ask(self, aggregator: str) -> tuple[bool, str]:
        say, standing = self._electorate.aggregators[aggregator], self._standing
        if self._guard.aggregate != "auto":
            return self._guard.aggregate == "always", f"aggregate is {self._guard.aggregate!r}"
        if not self.votable:
            if self._outdone(aggregator):
                return False, "answers cannot be voted on, and an expert dominates the aggregator"
            return True, "answers cannot be voted on"
        if aggregator in self._electorate.strangers:
            return False, (
                f"nothing is known of how good {aggregator} is: `smcs bank add-llm {aggregator}` or "
                "`guard.aggregator_accuracy` gives it a say"
            )
        if standing.margin >= say:
            return False, "the references' lead is more than the aggregator's say"
        if standing.probability >= self._guard.certain:
            return False, "the references' answer is certain enough"
        return True, "the aggregator's say is more than the references' lead"

    def _outdone(self, aggregator: str) -> bool:
        """Say whether a referencer is so much better than the aggregator that merging loses more than it gains."""
        measured = self._guard.aggregator_accuracy
        known = self._accuracy.get(aggregator) if measured is None else measured
        experts = [self._accuracy[name] for name in self._electorate.referencers if name in self._accuracy]
        return known is not None and bool(experts) and known < self._guard.dominance * max(experts)

    async def close(self, votes: Sequence[Candidate], merged: Sequence[Candidate], posterior: Posterior) -> Run:
        """End the run with the best of references and merged answers.

        Args:
            votes: The references that arrived, best prior first.
            merged: What aggregators wrote.
            posterior: Scores merged texts by Eq. 7.

        Raises:
            NoUsableAnswerError: There is neither; it lists every cause.
        """
        begun = self._trace.clock()
        if not votes and not merged:
            raise NoUsableAnswerError("No LLM returned an answer:", self._trace.causes())
        merged, best = await self._by_text(merged, posterior)
        if self.votable:
            scored, chosen = await self._by_answer(votes, merged)
        else:
            # Nothing says which answers agree: Eq. 7 picks among merged texts, or else the best prior answers.
            scored = (*votes, *merged)
            trusted = bool(merged) and not (votes and self._outdone(merged[best].llm))
            chosen = len(votes) + best if trusted else 0
        self._trace.note("guard", self._notes)
        self._trace.emit(CandidatesScored(scored, chosen, self._trace.clock()))
        self._trace.stage("scoring", self._trace.clock() - begun)
        winner = scored[chosen]
        return self._trace.finish(answer=winner.text, answered_by=winner.llm, candidates=scored, chosen=chosen)

    async def _by_text(self, merged: Sequence[Candidate], posterior: Posterior) -> tuple[tuple[Candidate, ...], int]:
        """Score merged answers as SMCS does (Eq. 7); return them and the index of the best."""
        if not merged:
            return (), 0
        if len(merged) < self._wanted:
            self._trace.degrade(f"{len(merged)} of {self._wanted} candidates were scored")
        scored = await posterior.score(merged)
        for reason in scored.left_out:
            self._trace.degrade(reason)
        return scored.candidates, scored.chosen

    async def _by_answer(
        self, votes: Sequence[Candidate], merged: Sequence[Candidate]
    ) -> tuple[tuple[Candidate, ...], int]:
        """Score all candidates by the log-probability of their answer; merged texts of one answer also by Eq. 7."""
        everyone = (*votes, *merged)
        groups = self._groups
        if merged:
            groups = await compare([candidate.text for candidate in everyone], self._query, self._trace)
        referencers, aggregators = self._electorate.referencers, self._electorate.aggregators
        weights = [referencers[vote.llm] for vote in votes]
        weights += [aggregators.get(candidate.llm, 0.0) / len(merged) for candidate in merged]
        chances = vote_probabilities(groups, weights).tolist()
        known = [candidate.score for candidate in merged if candidate.score is not None]
        mean = sum(known) / len(known) if known else 0.0
        scored = tuple(
            replace(
                candidate,
                group=group,
                agreement=chance,
                score=math.log(max(chance, _LEAST))
                + (0.0 if candidate.score is None else self._guard.texts * (candidate.score - mean)),
            )
            for candidate, group, chance in zip(everyone, groups, chances, strict=True)
        )
        chosen = max(range(len(scored)), key=lambda i: (scored[i].score, weights[i]))
        return scored, chosen
