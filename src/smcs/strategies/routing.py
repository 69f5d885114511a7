"""One LLM answers; where it fails, the next one does."""

from __future__ import annotations

from collections.abc import Sequence

from smcs.errors import NoUsableAnswerError
from smcs.llms import Member
from smcs.run import Candidate, CandidateArrived, Query, Replaced, Run, Trace
from smcs.strategies.calls import Caller, Resources
from smcs.strategies.settings import Settings

__all__ = ("answer_in_turn",)


async def answer_in_turn(
    members: Sequence[Member], query: Query, resources: Resources, settings: Settings, caller: Caller, trace: Trace
) -> Run:
    """Ask LLMs one after another until one answers, and close the run with that answer as its only candidate.

    Whoever watches the text gets the answer while it is written (`AnswerBegins`); from its first piece on, nobody
    takes over any more.

    Args:
        members: At least one, in the order in which they are asked.
        query: What is asked.
        resources: Whose prompt they are shown.
        settings: With `replace_failed`, the record names the LLM that took over as the referencer.
        caller: Makes the calls.
        trace: The run.

    Raises:
        NoUsableAnswerError: None answered, or one broke off when its beginning was handed out; it lists every cause.
    """
    conversation = resources.prompts.for_reference(query.messages)
    for position, member in enumerate(members):
        done = await caller.call(member, conversation, stage="reference", seed_offset=position, answers=True)
        if done.status == "ok":
            candidate = Candidate(0, member.name, (), done.choices[0].text)
            trace.emit(CandidateArrived(candidate, trace.clock()))
            return trace.finish(answer=candidate.text, answered_by=member.name, candidates=(candidate,), chosen=0)
        lost = f"{member.name} did not answer ({done.status}: {done.error})"
        if position + 1 == len(members):
            trace.degrade(lost)
            break
        deputy = members[position + 1].name
        trace.degrade(f"{lost}, {deputy} is asked")
        if settings.replace_failed:
            trace.emit(Replaced(member.name, deputy, trace.clock()))
    raise NoUsableAnswerError("No LLM returned an answer:", trace.causes())
