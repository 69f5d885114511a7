"""The records an audit is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ("CHECKS", "SEVERITIES", "Audit", "Finding", "FindingKind", "Severity")

Severity = Literal["error", "warning", "note"]
"""`error`: results that rest on it are wrong; `warning`: look at it; `note`: good to know."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""From worst to mildest."""

FindingKind = Literal[
    "corrupt",
    "ungradable",
    "duplicate",
    "near_duplicate",
    "contradictory_gold",
    "contamination",
    "all_wrong",
    "all_right",
    "below_chance",
    "identical_llms",
    "ungraded",
    "missing_outcomes",
    "embeddings",
    "not_checked",
]
"""What was found."""

CHECKS: Mapping[FindingKind, str] = {
    "corrupt": "rows that are not what was stored",
    "ungradable": "questions that no answer can be graded against",
    "duplicate": "questions that ask the same in the same words",
    "near_duplicate": "questions that ask nearly the same",
    "contradictory_gold": "equal questions with different golds",
    "contamination": "bank questions that are in a test set",
    "all_wrong": "an LLM that got nothing right on a task",
    "all_right": "an LLM that got everything right on a task",
    "below_chance": "an LLM that does worse than guessing on a task",
    "identical_llms": "two LLMs with the same outcomes or answers",
    "ungraded": "answers that could not be graded",
    "missing_outcomes": "questions an LLM was not asked",
    "embeddings": "questions without a vector of their present text",
    "not_checked": "what could not be compared, and why",
}
"""One line per kind of finding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that may be wrong."""

    kind: FindingKind
    severity: Severity
    message: str
    """One line: what, where, and what to do about it."""
    question_ids: tuple[str, ...] = ()
    """Questions it is about; for contamination the bank's question, then the test question."""
    llms: tuple[str, ...] = ()
    task: str = ""
    value: float | None = None
    """The figure behind it: a cosine similarity, a share, a count."""


@dataclass(frozen=True, slots=True)
class Audit:
    """Everything an audit found in one state of a bank."""

    content_hash: str
    questions: int
    llms: int
    compared: int
    """Questions of the test set it was compared with."""
    findings: tuple[Finding, ...]
    """Worst first."""

    def counts(self) -> dict[Severity, int]:
        """Return how many findings there are of each severity."""
        counted = Counter(finding.severity for finding in self.findings)
        return {severity: counted[severity] for severity in SEVERITIES}

    def fails(self, at: Severity) -> bool:
        """Say whether anything as bad as `at`, or worse, was found."""
        bad = SEVERITIES[: SEVERITIES.index(at) + 1]
        return any(finding.severity in bad for finding in self.findings)
