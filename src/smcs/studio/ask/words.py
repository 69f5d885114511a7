"""What a run says of itself, in plain words: reasons, decisions, and why the answer won. Pure functions of the record.

Names of LLMs and errors are whatever a config or a server says: the sentences are plain text, never markup.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from smcs.run import Candidate
from smcs.strategies import STRATEGIES
from smcs.studio.ask.state import Call, Phase, PoolRow, Progress
from smcs.types import Ablation, AttemptStatus

__all__ = (
    "ABLATION_WORDS",
    "ablations_of",
    "call_line",
    "left_out",
    "listed",
    "out_of_reach",
    "phase_line",
    "plain_reason",
    "plural",
    "remarks_of",
    "why_failed",
    "why_it_won",
)

_STATUS: Final[Mapping[str, str]] = {
    "error": "it failed",
    "timeout": "it took too long",
    "empty": "it gave no text",
    "cancelled": "it was given up",
    "skipped": "it was not asked",
}
_OUT: Final = "out, so not asked: "
_NAMED: Final = re.compile(r"(?P<name>.+?) \((?P<why>(?:[^()]|\([^()]*\))*)\)(?:, |$)")
_HOW: Final = r"\((?P<status>error|timeout|empty|cancelled|skipped)(?:: (?P<error>.*))?\)"
_SAID: Final = rf"(?P<llm>.+?) {_HOW}"
_OURS: Final = re.compile(r"(?:accuracy|answers|mixed|no|nothing|some|the|what) ")
"""How reasons of ours begin that have no rule; others may begin with the name of an LLM, which is left as it is."""

_Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]


_QUOTED: Final = re.compile(r"`([^`]*)`")
"""A command or a setting, as the notes of a run have it."""


def plural(number: int, noun: str) -> str:
    """Return a count with its noun, as in "1 answer" and "2,000 answers"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return names as a sentence has them: "a, b and c", or the first few "and 4 more"."""
    shown = [*names[:most], f"{len(names) - most} more"] if len(names) > most else list(names)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else "nobody"


def why_failed(status: AttemptStatus, error: str | None, http_status: int | None = None) -> str:
    """Return why a call gave nothing; empty where it gave something."""
    if status == "ok":
        return ""
    said = error or ""
    code = f"HTTP {http_status}" if http_status and f"HTTP {http_status}" not in said else ""
    return ": ".join(part for part in (code, said) if part) or _STATUS[status]


def out_of_reach(reasons: Sequence[str]) -> dict[str, str]:
    """Return the LLMs that a run's reasons name as out and not asked, each with why."""
    found: dict[str, str] = {}
    for reason in reasons:
        if reason.startswith(_OUT):
            found |= {match["name"]: match["why"] for match in _NAMED.finditer(reason[len(_OUT) :])}
    return found


def _because(match: re.Match[str]) -> str:
    return match["error"] or _STATUS[match["status"]]


def _rule(pattern: str, say: Callable[[re.Match[str]], str]) -> _Rule:
    return re.compile(pattern, re.DOTALL), say


_RULES: Final[tuple[_Rule, ...]] = (
    _rule(
        f"reference lost: {_SAID}; (?P<by>.+) took its place",
        lambda m: f"{m['llm']} gave no answer ({_because(m)}); {m['by']} was asked instead",
    ),
    _rule(f"reference lost: {_SAID}", lambda m: f"{m['llm']} gave no answer ({_because(m)})"),
    _rule(f"sample lost: {_SAID}", lambda m: f"One of the answers of {m['llm']} was lost ({_because(m)})"),
    _rule(f"aggregation lost: {_SAID}", lambda m: f"{m['llm']} could not merge some answers ({_because(m)})"),
    _rule(r"references given up: (?P<names>.+) \((?P<why>straggler.*|not in.*)\)", lambda m: _given_up(m)),
    _rule(r"(?P<got>\d+) of (?P<all>\d+) candidates were scored", lambda m: _scored(m)),
    _rule(r"(?P<got>\d+) of (?P<all>\d+) samples of (?P<llm>.+) arrived", lambda m: _sampled(m)),
    _rule(
        r"max_calls=(?P<cap>\d+): shrunk to (?P<to>.+)",
        lambda m: f"No more than {plural(int(m['cap']), 'call')} may be made, so the run was made smaller: {m['to']}",
    ),
    _rule(f"{_OUT}(?P<who>.+)", lambda m: f"Not asked, because they do not respond at the moment: {m['who']}"),
    _rule(
        "out, but there is nobody else to ask: (?P<who>.+)",
        lambda m: f"Asked although they did not respond lately, since there is nobody else: {m['who']}",
    ),
    _rule(
        "no question bank: every LLM has the same prior",
        lambda m: "There is no question bank, so nothing says which LLM is good at this question",
    ),
    _rule(
        "no graded answer of (?P<who>.+) near this question: the mean prior is used for it",
        lambda m: f"The bank has no graded answer of {m['who']} to questions like this one; an average stands in",
    ),
    _rule(
        "perplexity left out of the score: (?P<why>.+)",
        lambda m: f"How surely each answer was written is left out of the scores: {m['why']}",
    ),
    _rule(
        "similarity left out of the score: (?P<why>.+)",
        lambda m: f"How alike the answers are is left out of the scores: {m['why']}",
    ),
    _rule(
        "no candidate: the answer is the reference of (?P<llm>.+), the best prior that arrived",
        lambda m: f"Nothing could be merged: this is the answer of {m['llm']}, the best LLM that answered",
    ),
    _rule(
        "nothing was merged: the answer is the reference of (?P<llm>.+)",
        lambda m: f"Nothing could be merged: this is the answer of {m['llm']} as it came",
    ),
    _rule(
        "no reference arrived: the aggregator answers alone",
        lambda m: "None of the LLMs that were asked answered, so the one that merges answered alone",
    ),
    _rule(
        "references shortened to fit the context window of (?P<llm>.+)",
        lambda m: f"The answers were shortened, since {m['llm']} cannot read that much at once",
    ),
    _rule(
        f"(?P<llm>.+?) did not answer {_HOW}, (?P<by>.+) is asked",
        lambda m: f"{m['llm']} did not answer ({_because(m)}); {m['by']} was asked instead",
    ),
    _rule(f"(?P<llm>.+?) did not answer {_HOW}", lambda m: f"{m['llm']} did not answer ({_because(m)})"),
    _rule(
        "(?P<lost>.+) gave no sample, (?P<by>.+) is asked",
        lambda m: f"{m['lost']} gave no answer; {m['by']} was asked instead",
    ),
)


def plain_reason(reason: str) -> str:
    """Return why an answer is less than was asked for as a sentence; reasons we have no words for stay as they are."""
    for pattern, say in _RULES:
        if match := pattern.fullmatch(reason):
            return _sentence(say(match))
    return _sentence(reason)


def _sentence(text: str) -> str:
    shown = text.strip().rstrip(".")
    return f"{shown[:1].upper()}{shown[1:]}." if _OURS.match(shown) else f"{shown}."


def _given_up(match: re.Match[str]) -> str:
    why = match["why"]
    late = re.search(r"the median arrival \(([\d.]+ s)\)", why)
    after = f"half of the others were in after {late[1]}" if late else "the time allowed was nearly over"
    return f"{match['names']}: too slow, so not waited for ({after})"


def _scored(match: re.Match[str]) -> str:
    return f"Only {match['got']} of {match['all']} merged answers were in when the best was chosen"


def _sampled(match: re.Match[str]) -> str:
    return f"Only {match['got']} of {match['all']} answers of {match['llm']} came in"


ABLATION_WORDS: Final[Mapping[Ablation, str]] = {
    "rps": "the choice of LLMs by similar questions",
    "similarity": "the likeness to other candidates",
    "perplexity": "how sure the merging LLM is",
    "prior_drop": "the preference for LLMs with better estimates when subsets are drawn",
}
"""What each part of the method that can be left out does."""


def ablations_of(settings: Mapping[str, Any]) -> tuple[Ablation, ...]:
    """Return the parts of the method that a run did without."""
    given = settings.get("without")
    return tuple(part for part in ABLATION_WORDS if part in given) if isinstance(given, list | tuple) else ()


def left_out(strategy: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a strategy left out of the method on purpose, as a sentence; none where nothing was."""
    spec = STRATEGIES.get(strategy)  # A record may be of a strategy that is no longer there.
    parts = [ABLATION_WORDS[part] for part in ablations_of(settings) if spec is not None and part in spec.ablations]
    return (f"Left out of the method, as was asked: {listed(parts)}.",) if parts else ()


def remarks_of(notes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a strategy decided, as sentences; notes of another shape than ours are left out."""
    said = [_SAYERS[name](value) for name, value in notes.items() if name in _SAYERS]
    return tuple(
        _QUOTED.sub("\N{LEFT DOUBLE QUOTATION MARK}\\1\N{RIGHT DOUBLE QUOTATION MARK}", line) for line in said if line
    )


def _llm(value: Any) -> str:
    if not isinstance(value, Mapping):
        return ""
    name, why, accuracy = value.get("name"), value.get("why"), value.get("accuracy")
    right = f" ({accuracy:.0%} right)" if isinstance(accuracy, int | float) else ""
    match why:
        case "named":
            return f"{name} was asked for by name."
        case "best on the task":
            return f"{name} is the best of the bank on questions of {value.get('task')}{right}."
        case "best on the whole bank":
            return f"{name} is the best on the whole question bank{right}."
        case _:
            return ""


def _skills(value: Any) -> str:
    rows = [row for row in value if isinstance(row, Mapping)] if isinstance(value, list | tuple) else []
    named = [("/".join(str(row[key]) for key in ("task", "subject") if row.get(key)), row) for row in rows]
    shares = [(name, row.get("relevance")) for name, row in named]
    shown = [f"{name} ({share:.0%})" for name, share in shares if name and isinstance(share, float)]
    return f"The question seems to be about {listed(shown)}." if shown else ""


def _guard(value: Any) -> str:
    if not isinstance(value, Mapping) or not isinstance(value.get("merged"), bool):
        return ""
    why = str(value.get("why") or "")
    chance = value.get("probability")
    sure = f", with a probability of {chance:.0%}" if isinstance(chance, float) else ""
    reason = _GUARD.get(why, why).format(sure=sure)
    done = "The answers were merged" if value["merged"] else "The answers were not merged"
    return f"{done}: {reason}." if reason else f"{done}."


_GUARD: Final[Mapping[str, str]] = {
    "no reference arrived": "none of the LLMs that were asked answered",
    "answers cannot be voted on": "the answers cannot be compared word by word, so there is no vote among them",
    "answers cannot be voted on, and an expert dominates the aggregator": (
        "one LLM is so much better at this than the one that merges that merging would lose more than it gains"
    ),
    "the references' lead is more than the aggregator's say": (
        "the leading answer is so far ahead{sure} that a merged one could not change it"
    ),
    "the references' answer is certain enough": "the leading answer is certain enough{sure}",
    "the aggregator's say is more than the references' lead": (
        "the vote was close enough{sure} that a merge could change it"
    ),
    "aggregate is 'always'": "that is how it is configured",
    "aggregate is 'never'": "that is how it is configured",
}


def _jisi(value: Any) -> str:
    merged = value.get("merged") if isinstance(value, Mapping) else None
    if not isinstance(merged, int):
        return ""
    return "One LLM stood out, so its answer was taken as it is." if merged == 1 else f"The best {merged} were merged."


def _tools(value: Any) -> str:
    who = value.get("routed_to") if isinstance(value, Mapping) else None
    return f"Tools are handled by {who}." if who else ""


_SAYERS: Final[Mapping[str, Callable[[Any], str]]] = {
    "llm": _llm,
    "skills": _skills,
    "guard": _guard,
    "jisi": _jisi,
    "tools": _tools,
}


def phase_line(progress: Progress) -> str:
    """Return where a run is, for people who look at it or have it read to them."""
    asked = [call for call in progress.answers if call.status != "skipped"]
    came = sum(call.has_ended for call in asked)
    merges = progress.merges or ()
    written = len([each for each in progress.candidates or () if each.members])
    lines: dict[Phase, str] = {
        "choosing": "Choosing whom to ask…",
        "asking": f"Asking {plural(len({call.llm for call in asked}), 'LLM')}: {came} of {len(asked)} done…",
        "merging": f"Merging: {plural(len(merges), 'call')}, {plural(written, 'merged answer')} so far…",
        "deciding": "Choosing the best answer…",
        "done": "Answered.",
        "failed": "No answer.",
        "stopped": "Stopped. Calls that were still running were cancelled.",
    }
    return lines[progress.phase]


def why_it_won(progress: Progress) -> str:
    """Return who wrote the answer and why it is this one, in one sentence made of the record; empty without one."""
    answer = progress.answer
    if answer is None or not answer.llm:
        return ""
    if progress.phase != "done":
        return f"{answer.llm} is writing the answer."
    if progress.candidates is None or progress.chosen is None:
        return f"This is the answer of {answer.llm} as it came; nothing was merged."
    best = progress.candidates[progress.chosen]
    if len(progress.candidates) == 1 or best.score is None:
        return _only(best, progress)
    return _best(best, progress)


def _only(best: Candidate, progress: Progress) -> str:
    if best.members:
        return f"Written by {best.llm} from {_whose(best)}."
    row = _row(progress.pool, best.llm)
    if row is not None and row.accuracy is not None:
        return f"{best.llm} answered: it is right in about {row.accuracy:.0%} of questions like this one."
    return f"{best.llm} answered alone."


def _whose(best: Candidate) -> str:
    names = tuple(dict.fromkeys(best.members))
    if len(names) == 1 and len(best.members) > 1:
        return f"{len(best.members)} answers of {names[0]}"
    return f"the answers of {listed(names)}"


def _best(best: Candidate, progress: Progress) -> str:
    candidates = progress.candidates or ()
    who = f"Written by {best.llm} from {_whose(best)}" if best.members else f"This is the answer of {best.llm}"
    scores = [each.score for each in candidates if each is not best and each.score is not None]
    count = plural(len(scores) + 1, "candidate")
    lead = _lead(best.score or 0.0, max(scores)) if scores else ""
    if best.agreement is not None and best.group is not None:
        return f"{who}: {_votes(best, candidates)}."
    if best.similarity is None:
        return f"{who}: of {count} it scored best ({best.score:.3f}{lead})."
    sure = "" if best.perplexity is None else f", and it was written with a perplexity of {best.perplexity:.2f}"
    among = f"of {count} it scored best ({best.score:.3f}{lead})"
    return f"{who}: {among}; its similarity to all of them is {best.similarity:.2f}{sure}."


def _lead(best: float, second: float) -> str:
    shown = f"{second:.3f}"
    return f"; the next one has {shown}" if shown != f"{best:.3f}" else "; another one has as much"


def _votes(best: Candidate, candidates: Sequence[Candidate]) -> str:
    if best.group is not None and best.group < 0:
        return "in none of the texts a short answer was found that could be compared"
    same = sum(each.group == best.group for each in candidates)
    return f"{same} of {plural(len(candidates), 'candidate')} say the same, which is {best.agreement:.0%} of the vote"


def _row(pool: tuple[PoolRow, ...] | None, llm: str) -> PoolRow | None:
    return next((row for row in pool or () if row.llm == llm), None)


def call_line(call: Call) -> str:
    """Return how a call stands, in a few words."""
    match call.status:
        case "waiting":
            return "waiting"
        case "running":
            return "answering" if call.stage == "reference" else "merging"
        case "ok":
            return "answered" if call.stage == "reference" else "merged"
        case "cancelled":
            return "given up"
        case "skipped":
            return "not asked"
        case "timeout":
            return "too slow"
        case "empty":
            return "gave no text"
        case _:
            return "failed"
