"""One LLM answers; where it fails, the next one does."""

from __future__ import annotations

from collections.abc import Sequence

from smcs.errors import NoUsableAnswerError
from smcs.llms import Member
from smcs.run import Candidate, CandidateArrived, Query, Run, Trace
from smcs.strategies.calls import Caller, Resources

__all__ = ("answer_in_turn",)


async def answer_in_turn(
    members: Sequence[Member], query: Query, resources: Resources, caller: Caller, trace: Trace
) -> Run:
    """Ask LLMs one after another until one answers, and close the run with that answer as its only candidate.

    Raises:
        NoUsableAnswerError: None answered; it lists every cause.
    """
    conversation = resources.prompts.for_reference(query.messages)
    for position, member in enumerate(members):
        done = await caller.call(member, conversation, stage="reference", seed_offset=position)
        if done.status == "ok":
            candidate = Candidate(0, member.name, (), done.choices[0].text)
            trace.emit(CandidateArrived(candidate, trace.clock()))
            return trace.finish(answer=candidate.text, answered_by=member.name, candidates=(candidate,), chosen=0)
        then = f", {members[position + 1].name} is asked" if position + 1 < len(members) else ""
        trace.degrade(f"{member.name} did not answer ({done.status}: {done.error}){then}")
    raise NoUsableAnswerError("No LLM returned an answer:", trace.causes())
