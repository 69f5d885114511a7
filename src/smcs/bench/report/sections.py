"""What a report says, section by section: Markdown and the page render the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from smcs.bench.report.analyses import Budget, Measure
from smcs.bench.report.cells import (
    Section,
    Table,
    Value,
    count_cell,
    difference_cell,
    interval_cell,
    mean_cell,
    number,
    p_cell,
    percent,
)
from smcs.bench.report.model import Report
from smcs.bench.report.summary import ArmSummary
from smcs.bench.statistics import Interval

__all__ = ("MEASURES", "sections")

MEASURES: dict[Measure, str] = {"cost_usd": "USD", "tokens": "tokens", "calls": "calls"}
"""How each measure of a budget is named."""


def sections(report: Report) -> tuple[Section, ...]:
    """Return the sections that the report has data for, in reading order."""
    made: list[Section] = [_accuracy(report), _comparison(report)]
    makers: tuple[Callable[[Report], Section | None], ...] = (
        _budget,
        _usage,
        _scaling,
        _ablations,
        _candidates,
        _ranking,
        _support,
        _seeds,
        _counts,
    )
    made += [section for maker in makers if (section := maker(report)) is not None]
    return tuple(made)


def _accuracy(report: Report) -> Section:
    arms = report.summary.arms
    several = len(report.tasks) > 1
    columns = ["arm", *report.tasks]
    cells: list[list[Interval | None]] = [[cell.accuracy for cell in arm.cells] for arm in arms]
    if several:
        columns.append("mean over tasks")
        cells = [[*row, arm.mean.accuracy] for row, arm in zip(cells, arms, strict=True)]
    differing = any(arm.mean.accuracy is None or arm.mean.accuracy.n != report.summary.common for arm in arms)
    if differing:
        columns.append(f"on the {report.summary.common:,} common questions")
        cells = [[*row, arm.common] for row, arm in zip(cells, arms, strict=True)]
    best = [_best(cell.value if cell else None for cell in column) for column in zip(*cells, strict=True)]
    rows = tuple(
        (
            Value(arm.name),
            *(
                interval_cell(cell, best=cell is not None and cell.value == top)
                for cell, top in zip(row, best, strict=True)
            ),
        )
        for arm, row in zip(arms, cells, strict=True)
    )
    level = f"{report.summary.level:.0%}"
    text = (
        f"Mean score of the graded answers in percent, with {level} intervals from {report.summary.draws:,} bootstrap "
        "draws of questions. A question's score is its mean over seeds. The best of each column is marked."
    )
    return Section("accuracy", "Accuracy", text, (Table("Accuracy in percent", tuple(columns), rows),))


def _comparison(report: Report) -> Section:
    baseline = report.summary.baseline
    columns = ("arm", "difference", "p", "p, adjusted", "wins", "ties", "losses", "questions")
    rows = []
    for arm in report.summary.arms:
        paired = arm.mean.against
        if arm.name == baseline:
            continue
        if paired is None:
            rows.append((Value(arm.name), *(Value("-"),) * (len(columns) - 1)))
            continue
        counts = (paired.wins, paired.ties, paired.losses, paired.n)
        p_values = (paired.p_value, arm.mean.adjusted_p)
        rows.append(
            (
                Value(arm.name),
                difference_cell(paired),
                *(p_cell(p) for p in p_values),
                *(count_cell(count) for count in counts),
            )
        )
    text = (
        f"Each arm minus {baseline} in percentage points, on the questions that both have a verdict for"
        f"{', mean over tasks' * (len(report.tasks) > 1)}. p: sign-flip permutation test, two-sided; adjusted: for the "
        "number of arms compared (Holm). Wins, ties and losses count questions."
    )
    return Section("comparison", f"Against {baseline}", text, (Table(f"Arms minus {baseline}", columns, tuple(rows)),))


def _spent(budget: Budget, value: float) -> Value:
    text = f"${value:.6f}" if budget.measure == "cost_usd" else number(value)
    return Value(text, order=value)


def _budget(report: Report) -> Section | None:
    budget = report.budget
    if budget is None:
        return None
    unit = MEASURES[budget.measure]
    columns = (
        "arm",
        f"{unit} per question",
        "accuracy",
        "best within that budget",
        unit,
        "accuracy of that",
        "gain",
        "p",
    )
    rows = tuple(
        (
            Value(point.arm, "on the front" if point.arm in budget.front else ""),
            _spent(budget, point.spent),
            interval_cell(point.accuracy),
            Value("itself" if point.best == point.arm else point.best),
            _spent(budget, point.best_spent),
            Value(percent(point.best_accuracy), order=point.best_accuracy),
            difference_cell(point.gain),
            p_cell(point.gain.p_value if point.gain else None),
        )
        for point in budget.points
    )
    text = (
        f"Accuracy against {unit} per question. An arm is on the Pareto front when no other is both cheaper and "
        "better. Mean of the best accuracy that a budget buys, over budgets from the cheapest to the dearest arm: "
        f"{percent(budget.area)}. The best arm within each budget is chosen on these very questions, which flatters it."
    )
    if budget.left_out:
        text += f" Not shown, for want of an accuracy over all tasks: {', '.join(budget.left_out)}."
    return Section("budget", "Accuracy against budget", text, (Table("At the same budget", columns, rows),))


def _usage(report: Report) -> Section:
    columns = (
        "arm", "calls", "prompt tokens", "cached tokens", "completion tokens", "USD", "call seconds", "latency (s)",
    )  # fmt: skip
    rows = []
    for arm in report.summary.arms:
        usage = arm.mean.usage
        counted = (usage.calls, usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens)
        rows.append(
            (
                Value(arm.name),
                *(mean_cell(mean) for mean in counted),
                mean_cell(usage.cost_usd, 6),
                *(mean_cell(mean) for mean in (usage.call_seconds, usage.latency)),
            )
        )
    text = (
        "Means per answered question. Unknown is unknown, never zero. Latency: seconds if all calls of a stage ran at "
        "once; call seconds: one after the other."
    )
    return Section(
        "usage", "Calls, tokens, money, time", text, (Table("Per answered question", columns, tuple(rows)),), False
    )


def _scaling(report: Report) -> Section | None:
    if not report.scaling:
        return None
    rows = tuple(
        (Value(series.name), count_cell(size), interval_cell(interval))
        for series in report.scaling
        for size, interval in series.points
    )
    text = "Accuracy in percent of arms that differ only in how many LLMs their pool has."
    return Section(
        "scaling", "Scaling with the number of LLMs", text, (Table("By pool size", ("arm", "LLMs", "accuracy"), rows),)
    )


def _ablations(report: Report) -> Section | None:
    if not report.ablations:
        return None
    columns = ("arm", "without", "accuracy", "difference", "p")
    tables = []
    for group in report.ablations:
        rows = tuple(
            (
                Value(entry.arm),
                Value(", ".join(entry.without) or "nothing (full)"),
                interval_cell(entry.accuracy),
                difference_cell(entry.against_full),
                p_cell(entry.against_full.p_value if entry.against_full else None),
            )
            for entry in group.arms
        )
        tables.append(Table(f"{group.full.arm} without its parts", columns, rows))
    text = "Each part left out in turn; differences to the full arm in percentage points, on common questions."
    return Section("ablations", "Ablations", text, tuple(tables))


def _candidates(report: Report) -> Section | None:
    if not report.candidates:
        return None
    rows = tuple(
        (Value(entry.arm), interval_cell(entry.chosen), interval_cell(entry.one), interval_cell(entry.multiple))
        for entry in report.candidates
    )
    text = (
        "OCA: at least one candidate is correct, which is the most that choosing among them could reach. MCA: more "
        "than one is. In percent of questions."
    )
    table = Table("Candidates", ("arm", "chosen answer correct", "OCA", "MCA"), rows)
    return Section("candidates", "What the candidates hold", text, (table,))


def _ranking(report: Report) -> Section | None:
    if not report.ranking:
        return None
    rows = tuple(
        (Value(entry.arms[0], ", ".join(entry.arms[1:])), interval_cell(entry.score), count_cell(entry.score.n))
        for entry in report.ranking
    )
    text = (
        "Share in percent of (correct LLM, wrong LLM) pairs that the priors put in the right order, before any answer "
        "is seen (Eq. 8); 50 is chance. Arms with the same priors share a row."
    )
    table = Table("Pairwise ranking score", ("priors of", "ranking score", "questions with a pair"), rows)
    return Section("ranking", "Ranking of LLMs by their priors", text, (table,))


def _support(report: Report) -> Section | None:
    sources = report.support
    if sources is None:
        return None
    rows = tuple(
        (Value(target), *(Value(percent(share), order=share) for share in shares))
        for target, shares in zip(sources.targets, sources.shares, strict=True)
    )
    text = (
        f"Where the support questions of {sources.arm} come from: share of the support set's similarity in percent, by "
        f"the {sources.level} that was asked (rows) and the {sources.level} of the bank (columns)."
    )
    table = Table("Sources of support", (f"{sources.level} asked", *sources.sources), rows)
    return Section("support", "Sources of support", text, (table,))


def _seeds(report: Report) -> Section | None:
    spreads = [(arm, arm.mean.seeds) for arm in report.summary.arms]
    if len(report.seeds) < 2:
        return None
    rows = []
    for arm, spread in spreads:
        if spread is None:
            rows.append((Value(arm.name), Value("-"), Value("-"), count_cell(0)))
            continue
        deviation = (
            Value("-") if spread.deviation is None else Value(f"{100 * spread.deviation:.2f}", order=spread.deviation)
        )
        rows.append(
            (Value(arm.name), Value(percent(spread.mean, 2), order=spread.mean), deviation, count_cell(spread.n))
        )
    text = "Accuracy in percent of each seed by itself: mean and sample standard deviation over seeds."
    return Section(
        "seeds", "Seeds", text, (Table("Over seeds", ("arm", "mean", "deviation", "seeds"), tuple(rows)),), False
    )


def _counts(report: Report) -> Section:
    columns = ("arm", "planned", "graded", "ungraded", "failed", "missing", "not run", "degraded", "accuracy at least")
    text = (
        "Questions times seeds. Failed: no answer; missing: the replay lacked one; not run: other arms have a row; "
        "degraded: answered with less than was asked for. Accuracy at least: if all without a verdict were wrong."
    )
    return Section(
        "counts", "What is missing", text, (Table("Counts", columns, _count_rows(report.summary.arms)),), False
    )


def _count_rows(arms: Sequence[ArmSummary]) -> tuple[tuple[Value, ...], ...]:
    rows = []
    for arm in arms:
        counts = arm.mean.counts
        numbers = (
            counts.planned, counts.ok, counts.ungraded, counts.failed, counts.missing, counts.not_run, counts.degraded,
        )  # fmt: skip
        lowest = arm.mean.at_least
        rows.append(
            (Value(arm.name), *(count_cell(number) for number in numbers), Value(percent(lowest), order=lowest))
        )
    return tuple(rows)


def _best(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
