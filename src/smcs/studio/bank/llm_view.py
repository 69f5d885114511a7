"""One LLM: where it is strong and weak, what only it knows, and what it changes."""

from __future__ import annotations

from typing import Final

from nicegui import ui

from smcs.bank import Accuracy
from smcs.studio.ask.words import plural
from smcs.studio.bank import data
from smcs.studio.bank.addresses import address, question_address, questions_address
from smcs.studio.bank.data import Effect
from smcs.studio.bank.effects import Recruiting, Routing
from smcs.studio.bank.heat import label_of
from smcs.studio.bank.intervals import wilson
from smcs.studio.bank.parts import command, notice, percent, points
from smcs.studio.bank.profiles import ENOUGH, VERDICTS, Difference, Profile, Verdict
from smcs.studio.bank.questions import Wanted
from smcs.studio.bank.shown import Shown
from smcs.studio.cells import Cell, Column
from smcs.studio.frame import breathe, busy, empty_state, figure, format_count, link_to, problem, section
from smcs.studio.lean import Select
from smcs.studio.plots import Axis, Plot, Series, Table, show_plot
from smcs.studio.tables import TextTable

__all__ = ("build", "difference_plot", "effect_lines")

_AT_EACH_END = 12
_COLORS: Final[tuple[tuple[Verdict, str], ...]] = (("strength", "good"), ("weakness", "bad"), ("even", "muted"))
_COVERED = 200


async def build(shown: Shown) -> None:
    """Fill the view."""
    rows = sorted(shown.info.llms, key=lambda row: (row.accuracy is None, -(row.accuracy or 0.0), row.llm))
    if not rows:
        with ui.element("div").classes("smcs-card").props("data-testid=bank-no-llms"):
            empty_state("No LLM has been graded on these questions yet.", "This grades one of the pool:")
            command(f"smcs bank add-llm --bank={shown.quoted} --fraction=1 NAME")
        return
    llm = shown.parameters.get("llm") or rows[0].llm
    _choosing(shown, llm)
    await breathe()
    own = next((row for row in rows if row.llm == llm), None)
    if own is None:
        problem(f"The bank has no outcomes of {llm!r:.200}. Choose another LLM.")
        return
    _figures(own, rows)
    await breathe()
    if not own.graded:
        notice("Nothing of it is graded yet, so nothing can be said about it.")
        _coverage(shown, llm)
        return
    with busy("Comparing it with the others …"):
        profile = await data.profile(shown.bank, llm)
    _differences(profile, len(rows))
    await breathe()
    settings = shown.service.config.settings()
    with busy("Working out what it changes …"):
        effect = await data.effect(shown.bank, llm, Recruiting(settings.k, settings.support_base, settings.tolerance))
    _effect(llm, effect)
    await breathe()
    _alone(profile)
    await breathe()
    _coverage(shown, llm)


def difference_plot(differences: tuple[Difference, ...]) -> Plot:
    """Return the differences with an interval as bars; of very many, those at both ends."""
    sure = [one for one in differences if one.low is not None and one.high is not None]
    ends = sure if len(sure) <= 2 * _AT_EACH_END else [*sure[:_AT_EACH_END], *sure[-_AT_EACH_END:]]
    names = tuple(one.label.name for one in ends)
    series = tuple(
        Series(
            VERDICTS[verdict],
            tuple(100 * one.difference if one.verdict == verdict else None for one in ends),
            low=tuple(100 * one.low if one.verdict == verdict and one.low is not None else None for one in ends),
            high=tuple(100 * one.high if one.verdict == verdict and one.high is not None else None for one in ends),
            color=color,
        )
        for verdict, color in _COLORS
        if any(one.verdict == verdict for one in ends)
    )
    rows = tuple(
        (
            *(one.label.task, one.label.subject, one.questions, one.own, one.others),
            *(one.difference, one.low, one.high, VERDICTS[one.verdict]),
        )
        for one in differences
    )
    columns = (
        *("Task", "Subject", "Questions", "Its score", "Mean of the others", "Difference"),
        *("95% from", "95% to", "Verdict"),
    )
    left = len(sure) - len(ends)
    return Plot(
        "Difference to the other LLMs",
        Axis("Better or worse", "percentage points"),
        Axis("Subject", kind="category", labels=names),
        series,
        Table(columns, rows),
        note="Lines are 95% intervals." + (f" {left:,} subjects in between are in the data only." if left else ""),
    )


def effect_lines(llm: str, effect: Effect) -> list[str]:
    """Return what an LLM changes, in sentences."""
    lines = []
    if effect.estimate is not None:
        sure = effect.estimate.overall
        lines.append(
            f"It was graded on few questions. Had it been asked all {sure.questions:,}, it would be expected to have "
            f"{percent(sure.value)} right (95% interval {percent(sure.low)} to {percent(sure.high)})."
        )
    if effect.oracle is not None:
        gain = effect.oracle.with_it - effect.oracle.without
        lines.append(
            f"At least one other LLM is right on {percent(effect.oracle.without)} of the {effect.oracle.questions:,} "
            f"questions that it and others were graded on; with {llm}, somebody is right on "
            f"{percent(effect.oracle.with_it)} ({points(gain)} points). A perfect choice of LLM could gain that."
        )
    routing = effect.routing
    if routing is None:
        lines.append("How often it would be asked is not known: that takes embeddings and a second LLM.")
    else:
        lines += _routing_lines(llm, routing)
    return lines


def _routing_lines(llm: str, routing: Routing) -> list[str]:
    everybody = " (everybody is, as there are no more LLMs)" if routing.k == routing.llms else ""
    said = (
        f"For {routing.questions:,} questions of the bank, each left out when it was asked, the bank recommends {llm} "
        f"first for {percent(routing.first)} of them, and among the first {routing.k} for "
        f"{percent(routing.recruited)}{everybody}."
    )
    if routing.without is None or routing.with_it is None:
        return [said]
    gain = routing.with_it - routing.without
    scored = (
        f"Asking only the LLM recommended first scores {percent(routing.without)} without {llm} and "
        f"{percent(routing.with_it)} with it ({points(gain)} points, on {routing.judged:,} questions)."
    )
    return [said, scored]


def _choosing(shown: Shown, llm: str) -> None:
    names = [row.llm for row in shown.info.llms]

    def show() -> None:
        if chosen.value is not None:
            ui.navigate.to(address("llm", llm=names[chosen.value]))

    chosen = Select(
        dict(enumerate(names)),
        value=names.index(llm) if llm in names else None,
        label="LLM",
        with_input=len(names) > 12,
        on_change=show,
    )
    chosen.props("outlined dense data-testid=bank-llm").style("max-width: 30rem")


def _figures(own: Accuracy, rows: list[Accuracy]) -> None:
    with ui.element("div").classes("smcs-figures").props("data-testid=bank-llm-figures"):
        sure = ""
        if own.accuracy is not None:
            low, high = wilson(own.accuracy, own.graded)
            sure = f"95% interval {percent(low)} to {percent(high)}"
        figure(percent(own.accuracy), "of its graded answers right", sure)
        graded = [row for row in rows if row.accuracy is not None]
        place = f"{graded.index(own) + 1} of {len(graded):,}" if own in graded else "unknown"
        figure(place, "by accuracy", "LLMs graded on other questions may not compare")
        figure(format_count(own.graded), "graded answers")
        figure(format_count(own.ungraded), "answers without a grade")
        figure(format_count(own.missing), "questions not asked")


def _differences(profile: Profile, llms: int) -> None:
    hint = "Against the mean of the other LLMs on the same questions."
    with section("Strengths and weaknesses", hint=hint):
        if not profile.differences:
            empty_state("There is nothing to compare it with.", "No question has it and another LLM graded.")
            return
        plot = difference_plot(profile.differences)
        if plot.series:
            with ui.element("div").props("data-testid=bank-llm-differences"):
                show_plot(plot)
        ui.label(_sureness(profile, llms)).classes("smcs-muted smcs-small")


def _sureness(profile: Profile, llms: int) -> str:
    """Say what the verdicts rest on."""
    whole_tasks = not any(one.label.subject for one in profile.differences)
    few = sum(one.verdict == "few" for one in profile.differences)
    what = "task" if whole_tasks else "subject"
    compared = len(profile.differences) - few
    left = (
        f" {plural(few, what)} {'has' if few == 1 else 'have'} fewer than {ENOUGH} questions in common with the other "
        f"{llms - 1:,} LLMs, too few to say anything."
    )
    if not compared:
        return left.strip()
    return (
        "Only what can hardly be chance is called a strength or weakness: its interval excludes 0, and so it stays "
        f"after allowing for all {plural(compared, what)} looked at (Holm's method).{left if few else ''}"
    )


def _effect(llm: str, effect: Effect) -> None:
    with section("What it changes", hint="The bank with this LLM and without it."), ui.element("ul") as lines:
        lines.style("margin: 0; padding-left: 1.2rem").props("data-testid=bank-llm-effect")
        for line in effect_lines(llm, effect):
            with ui.element("li"):
                ui.label(line).props("dir=auto")


def _alone(profile: Profile) -> None:
    with section("Only it is right", hint="Questions that it has right and every other graded LLM wrong."):
        if not profile.alone:
            empty_state("There is none.", "Whatever it has right, another LLM has right as well, or none was asked.")
            return
        columns = (Column("Question"), Column("Others who are wrong", numeric=True))
        rows = [
            (
                Cell(data.shortened(one.question.text) or one.question.id, href=question_address(one.question.id)),
                str(one.wrong),
            )
            for one in profile.alone
        ]
        TextTable("Questions only it has right", columns, rows, marker="bank-alone-row")
        if profile.alone_in_all > len(profile.alone):
            wanted = Wanted(llm=profile.llm, was="alone")
            link_to(f"All {profile.alone_in_all:,}", questions_address(wanted))


def _coverage(shown: Shown, llm: str) -> None:
    rows = sorted((row for row in shown.info.subjects if row.llm == llm), key=lambda row: (-row.missing, label_of(row)))
    with section("Coverage", hint="What it was asked, subject by subject; least complete first."):
        names = ("Questions", "Graded", "Not graded", "Not asked", "Right")
        columns = (Column("Task or subject"), *(Column(name, numeric=True) for name in names))
        cells: list[tuple[Cell | str, ...]] = [
            (
                Cell(label_of(row).name, href=questions_address(_there(row, llm))),
                *(f"{count:,}" for count in (row.questions, row.graded, row.ungraded, row.missing)),
                percent(row.accuracy),
            )
            for row in rows[:_COVERED]
        ]
        TextTable("Coverage by subject", columns, cells)
        if len(rows) > _COVERED:
            ui.label(f"The first {_COVERED} of {len(rows):,} subjects.").classes("smcs-muted smcs-small")


def _there(row: Accuracy, llm: str) -> Wanted:
    return Wanted(task=row.task, subject=row.subject, llm=llm)
