"""What a bank lacks and what may be wrong with it, each with the command that mends it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Final

from smcs.bank import Accuracy, BankInfo, Finding
from smcs.bank.audit import FindingKind
from smcs.studio.bank.catalogue import Label
from smcs.studio.bank.heat import label_of

__all__ = (
    "AUDIT_AT_MOST",
    "AUDIT_UNASKED",
    "Fix",
    "Gap",
    "LlmGaps",
    "fix_of",
    "gaps_of",
    "groups_of",
    "missing_fix",
    "ungraded_fix",
)

AUDIT_UNASKED: Final = 2_000
"""Questions up to which an audit takes about a second and is made without being asked for."""

AUDIT_AT_MOST: Final = 20_000
"""Questions from which it would keep the server busy for minutes: every question is compared with every other."""


@dataclass(frozen=True, slots=True)
class Fix:
    """What to do about something."""

    advice: str
    """One sentence."""
    command: str | None = None
    """Shell command that does it, `None` where there is none."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Outcomes that one LLM lacks on one task and subject."""

    llm: str
    label: Label
    questions: int
    missing: int
    """Questions it was not asked."""
    ungraded: int
    """Answers without a score."""


@dataclass(frozen=True, slots=True)
class LlmGaps:
    """What one LLM lacks."""

    overall: Accuracy
    parts: tuple[Gap, ...]
    """By task and subject, most lacking first."""


def gaps_of(info: BankInfo) -> tuple[LlmGaps, ...]:
    """Return the LLMs with missing or ungraded outcomes, most lacking first."""
    parts: dict[str, list[Gap]] = {}
    for row in info.subjects:
        if row.missing or row.ungraded:
            gap = Gap(row.llm, label_of(row), row.questions, row.missing, row.ungraded)
            parts.setdefault(row.llm, []).append(gap)
    found = [
        LlmGaps(row, tuple(sorted(parts[row.llm], key=lambda gap: (-gap.missing, -gap.ungraded, gap.label))))
        for row in info.llms
        if row.llm in parts
    ]
    return tuple(sorted(found, key=lambda gaps: (-gaps.overall.missing, -gaps.overall.ungraded, gaps.overall.llm)))


def groups_of(findings: tuple[Finding, ...]) -> dict[FindingKind, tuple[Finding, ...]]:
    """Return the findings by kind, the kind of the worst first."""
    groups: dict[FindingKind, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.kind, []).append(finding)
    return {kind: tuple(part) for kind, part in groups.items()}


def missing_fix(llm: str, url: str) -> Fix:
    """Return what fills in an LLM's missing outcomes."""
    command = _command("add-llm", f"--bank={url}", "--fraction=1", *_positional(llm))
    return Fix("Asks it every question it has no outcome on. It must be in the pool of the config.", command)


def ungraded_fix(llm: str, url: str) -> Fix:
    """Return what grades an LLM's ungraded answers."""
    command = _command("regrade", f"--llm={llm}", "--only-ungraded", *_positional(url))
    return Fix("Once its grader works, this grades the kept answers again and asks no LLM.", command)


def fix_of(finding: Finding, url: str) -> Fix:
    """Return what to do about a finding of an audit.

    Args:
        finding: What was found.
        url: Path or URL of the bank.
    """
    ids, llms = finding.question_ids, finding.llms
    match finding.kind:
        case "corrupt":
            return Fix("Find the change that did it and take it back, or restore a backup.", _bank("history", url))
        case "duplicate" | "near_duplicate":
            advice = "If they ask the same, this keeps the first, which takes over the outcomes it lacks."
            return Fix(advice, _command("merge", *_positional(url, *ids)))
        case "contradictory_gold":
            advice = "Find out which gold is right. This removes all but the first."
            return Fix(advice, _remove(url, *(f"--question={one}" for one in ids[1:])))
        case "contamination" | "ungradable":
            return Fix("Remove it; it can be added again, mended.", _remove(url, f"--question={ids[0]}"))
        case "identical_llms":
            return Fix("If it is one LLM under two names, this removes one.", _remove(url, f"--llm={llms[1]}"))
        case "missing_outcomes":
            return missing_fix(llms[0], url)
        case "ungraded":
            return ungraded_fix(llms[0], url)
        case "embeddings":
            return Fix("Makes the vectors that are missing, with the embedder of the config.", _bank("embed", url))
        case "not_checked":
            return Fix("Makes the vectors that are missing and compares again.", _checked_again(url))
        case _:
            return Fix("Look at a few of its answers before you believe the figure. No command mends this.")


def _checked_again(url: str) -> str | None:
    lines = _bank("embed", url), _bank("audit", url)
    return None if None in lines else " && ".join(line for line in lines if line is not None)


def _bank(command: str, url: str) -> str | None:
    return _command(command, *_positional(url))


def _remove(url: str, *options: str) -> str | None:
    return _command("remove", *options, *_positional(url))


def _positional(*arguments: str) -> tuple[str, ...]:
    """Return arguments, marked as such where one looks like an option."""
    return ("--", *arguments) if any(argument.startswith("-") for argument in arguments) else arguments


def _command(name: str, *arguments: str) -> str | None:
    """Return a line for the shell; `None` where a name holds what cannot be pasted into one."""
    if not all(argument.isprintable() for argument in arguments):
        return None
    return shlex.join(("smcs", "bank", name, *arguments))
