"""Gaps: what was never asked, and what an audit finds wrong, with the commands that mend it."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from smcs.bank import AUDIT_CHECKS, Audit, Finding
from smcs.errors import SmcsError
from smcs.studio.bank import data
from smcs.studio.bank.addresses import address, question_address, questions_address
from smcs.studio.bank.gaps import (
    AUDIT_AT_MOST,
    AUDIT_UNASKED,
    LlmGaps,
    fix_of,
    gaps_of,
    groups_of,
    missing_fix,
    ungraded_fix,
)
from smcs.studio.bank.parts import command
from smcs.studio.bank.questions import Wanted, Was
from smcs.studio.bank.shown import Shown
from smcs.studio.cells import Cell, Column
from smcs.studio.frame import breathe, busy, empty_state, link_to, problem, section
from smcs.studio.tables import TextTable

__all__ = ("build",)

_LLMS_SHOWN = 50
_PARTS_SHOWN = 200
_FINDINGS_SHOWN = 10
_IDS_LINKED = 6
_TONES = {"error": ("smcs-chip-bad", "error"), "warning": ("smcs-chip-warn", "warning"), "note": ("", "info")}


async def build(shown: Shown) -> None:
    """Fill the view."""
    _missing(shown, gaps_of(shown.info))
    await breathe()
    with section("Audit", hint="Looks for duplicates, contradictions, odd LLMs and damage. Changes nothing."):
        box = ui.element("div").classes("smcs-stack").props("aria-live=polite data-testid=bank-audit")
    if shown.info.questions <= AUDIT_UNASKED:
        await _audit(shown, box)
    else:
        with box:
            _offer(shown, box)


def _offer(shown: Shown, box: ui.element) -> None:
    count = shown.info.questions
    if count > AUDIT_AT_MOST:
        ui.label(
            f"An audit compares every question with every other. With {count:,} questions that takes minutes and would "
            "slow down answers, so run it in a shell:"
        )
        command(f"smcs bank audit {shown.quoted}")
        return

    async def run() -> None:
        async with shown.studio.service().in_use() as service:
            if service.resources.bank is not shown.bank:
                ui.navigate.reload()
                return
            await _audit(shown, box)

    ui.label(f"An audit compares every question with every other; with {count:,} it takes some seconds.")
    ui.button("Run the audit", icon="fact_check", on_click=run).props("no-caps data-testid=bank-audit-run").style(
        "align-self: flex-start"
    )


async def _audit(shown: Shown, box: ui.element) -> None:
    box.clear()
    with box:
        try:
            with busy("Auditing the bank …"):
                found = await data.audited(shown.bank)
        except SmcsError as error:
            problem(f"The audit failed. {error}")
            return
        _report(shown, found)


def _report(shown: Shown, found: Audit) -> None:
    if not found.findings:
        empty_state("Nothing wrong was found.", f"{found.questions:,} questions and {found.llms:,} LLMs were checked.")
        return
    counts = ", ".join(f"{count:,} {name}{'s' * (count != 1)}" for name, count in found.counts().items())
    ui.label(f"{found.questions:,} questions and {found.llms:,} LLMs were checked: {counts}.").props("role=status")
    for kind, findings in groups_of(found.findings).items():
        what = AUDIT_CHECKS[kind]
        with ui.element("div"):
            with ui.element("h3"):
                ui.label(f"{what[0].upper()}{what[1:]} ({len(findings):,})")
            if kind == "missing_outcomes":
                ui.label("They are listed above.").classes("smcs-muted")
                continue
            for finding in findings[:_FINDINGS_SHOWN]:
                _finding(shown, finding)
            if len(findings) > _FINDINGS_SHOWN:
                ui.label(f"{len(findings) - _FINDINGS_SHOWN:,} more; this lists all:").classes("smcs-muted")
                command(f"smcs bank audit {shown.quoted} --json")


def _finding(shown: Shown, finding: Finding) -> None:
    kind, icon = _TONES[finding.severity]
    fix = fix_of(finding, shown.named)
    box = ui.element("div").style("border-top: 1px solid var(--smcs-line); padding: .5rem 0; min-width: 0")
    with box.props("data-testid=bank-finding"):
        with ui.element("div").classes("smcs-row"):
            with ui.element("span").classes(f"smcs-chip {kind}"):
                ui.icon(icon).props("aria-hidden=true")
                ui.label(finding.severity)
            ui.label(finding.message).props("dir=auto").style("overflow-wrap: anywhere; flex: 1 1 18rem; min-width: 0")
        with ui.element("div").classes("smcs-row smcs-small"):
            ui.label(fix.advice).classes("smcs-muted")
            _links(finding)
        command(None if shown.is_seed else fix.command)


def _links(finding: Finding) -> None:
    for question_id in finding.question_ids[:_IDS_LINKED]:
        link_to(f"Open {data.shortened(question_id, 40)}", question_address(question_id)).props("dir=auto")
    if len(finding.llms) == 1 and finding.kind in ("all_wrong", "below_chance", "ungraded"):
        was: Was = "unknown" if finding.kind == "ungraded" else "wrong"
        wanted = Wanted(task=finding.task, llm=finding.llms[0], was=was)
        link_to("See these questions", questions_address(wanted))


def _missing(shown: Shown, gaps: Sequence[LlmGaps]) -> None:
    hint = "Questions that an LLM was not asked, and answers that got no grade. Neither is counted as wrong."
    with section("Missing outcomes", hint=hint):
        if not shown.info.llms:
            empty_state("No LLM has been graded on these questions yet.", "This grades one of the pool:")
            command(f"smcs bank add-llm --bank={shown.quoted} --fraction=1 NAME")
            return
        if not gaps:
            empty_state("Nothing is missing.", "Every LLM was asked every question, and every answer was graded.")
            return
        columns = (Column("LLM"), Column("Not asked", numeric=True), Column("Not graded", numeric=True))
        rows = [
            (
                Cell(one.overall.llm, href=address("llm", llm=one.overall.llm)),
                f"{one.overall.missing:,}",
                f"{one.overall.ungraded:,}",
            )
            for one in gaps[:_LLMS_SHOWN]
        ]
        TextTable("Missing outcomes by LLM", columns, rows, marker="bank-gap-row")
        if len(gaps) > _LLMS_SHOWN:
            ui.label(f"The first {_LLMS_SHOWN} of {len(gaps):,} LLMs.").classes("smcs-muted smcs-small")
        if not shown.is_seed:
            _fixes(shown, gaps)
        _by_subject(gaps)


def _fixes(shown: Shown, gaps: Sequence[LlmGaps]) -> None:
    """Show what mends the first gap of each kind."""
    not_asked = next((one.overall.llm for one in gaps if one.overall.missing), None)
    not_graded = next((one.overall.llm for one in gaps if one.overall.ungraded), None)
    kinds = (
        (not_asked, missing_fix, "this asks what it was not asked"),
        (not_graded, ungraded_fix, "this grades what was not graded"),
    )
    for llm, fix_for, does in kinds:
        if llm is not None:
            fix = fix_for(llm, shown.named)
            with ui.element("div").style("margin-top: .8rem"):
                ui.label(f"For {llm}, {does}; for another LLM, put its name there. {fix.advice}").props("dir=auto")
                command(fix.command)


def _by_subject(gaps: Sequence[LlmGaps]) -> None:
    parts = sorted((part for one in gaps for part in one.parts), key=lambda part: (-part.missing, -part.ungraded))
    with ui.expansion(f"By subject ({len(parts):,})").props("dense data-testid=bank-gaps-by-subject"):
        names = ("Not asked", "Not graded", "Questions")
        columns = (Column("LLM"), Column("Task or subject"), *(Column(name, numeric=True) for name in names))
        rows: list[tuple[Cell | str, ...]] = [
            (
                part.llm,
                Cell(part.label.name, href=_unknown(part.llm, part.label.task, part.label.subject)),
                *(f"{count:,}" for count in (part.missing, part.ungraded, part.questions)),
            )
            for part in parts[:_PARTS_SHOWN]
        ]
        TextTable("Missing outcomes by LLM and subject", columns, rows)
        if len(parts) > _PARTS_SHOWN:
            ui.label(f"The {_PARTS_SHOWN} largest of {len(parts):,}.").classes("smcs-muted smcs-small")


def _unknown(llm: str, task: str, subject: str) -> str:
    return questions_address(Wanted(task=task, subject=subject, llm=llm, was="unknown"))
