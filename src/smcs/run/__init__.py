"""One trace: the events of a run as they happen, and the frozen record they end in.

A strategy writes to a `Trace`; whoever watches gets every event at once, and `Trace.finish` closes the run. The
command line, the gateway, the studio, the ledger and the benchmarks all read the same `Run`; totals are computed
here and nowhere else.
"""

from smcs.run.events import (
    AnswerBegins,
    AttemptFinished,
    AttemptStarted,
    CandidateArrived,
    CandidatesScored,
    Degraded,
    Event,
    Noted,
    PriorFound,
    Replaced,
    RunFinished,
    RunStarted,
    SubsetsDrawn,
    TextArrived,
    event_to_dict,
)
from smcs.run.record import Candidate, EstimatedPrior, Query, Run, SupportQuestion
from smcs.run.trace import Trace

__all__ = (
    "AnswerBegins",
    "AttemptFinished",
    "AttemptStarted",
    "Candidate",
    "CandidateArrived",
    "CandidatesScored",
    "Degraded",
    "EstimatedPrior",
    "Event",
    "Noted",
    "PriorFound",
    "Query",
    "Replaced",
    "Run",
    "RunFinished",
    "RunStarted",
    "SubsetsDrawn",
    "SupportQuestion",
    "TextArrived",
    "Trace",
    "event_to_dict",
)
