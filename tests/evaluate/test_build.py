from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from helpers_evaluate import CountingLLM, new_bank
from smcs.errors import ConfigError, InputError
from smcs.evaluate import BuildPlan, build_bank, check_settings, estimate_build, plan_build
from smcs.evaluate.estimate import ASSUMED_COMPLETION, CHARACTERS_PER_TOKEN
from smcs.llms import LLM, LocalLLM, LocalServers, Member, ScriptedLLM, ServerOptions
from smcs.types import Outcome, Price, Sampling, Usage


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task of additions, as a user would write it."""
    rows = [{"id": f"q{i}", "question": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(40)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = tmp_path / "sums.yaml"
    file.write_text("data: sums.jsonl\ngrader: number\nprompt: 'Work out: {question}'\nsampling: {max_tokens: 20}\n")
    return file


def member(name: str, llm: LLM | None = None, price: Price | None = Price(1.0, 10.0), **options: object) -> Member:  # noqa: B008
    return Member(name, llm or CountingLLM(), price=price, **options)  # type: ignore[arg-type]


async def test_a_bank_is_built_over_a_task_of_ones_own(tmp_path: Path, task: Path) -> None:
    plan = plan_build([task], limit=12, seed=3, sampling=Sampling(temperature=0.5))
    llms = [CountingLLM(), CountingLLM(wrong=lambda number: number % 2 == 0)]
    members = [member("a", llms[0]), member("b", llms[1], sampling=Sampling(temperature=0.9, top_p=0.8))]
    with new_bank(tmp_path) as bank:
        report = await build_bank(plan, members, bank)
        assert report.complete
        assert [row.status for row in report.answerers] == ["complete", "complete"]
        assert len(bank) == 12
        assert report.answerers[0].progress.accuracy == 1.0
        assert {question.task for question in bank.questions()} == {"sums"}
    request = llms[1].requests[0]
    assert request.messages[0].content.startswith("Work out: What is")
    # What the command asks for wins over the LLM's own settings, which win over the task's.
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.max_tokens) == (0.5, 0.8, 20)
    seeds = [{r.messages: r.sampling.seed for r in llm.requests} for llm in llms]
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0].values())) == 12


async def test_other_settings_are_refused_unless_forced(tmp_path: Path, task: Path) -> None:
    plan = plan_build([task], limit=6)
    with new_bank(tmp_path) as bank:
        await build_bank(plan, [member("a")], bank)
        check_settings(plan, [member("a"), member("new")], bank)
        for other, what in (
            (plan_build([task], limit=7), "limit was 6, now 7"),
            (plan_build([task], limit=6, seed=1), "seed was 0, now 1"),
            (plan_build([task], limit=6, samples=2), "samples was 1, now 2"),
            (plan_build([task], limit=6, sampling=Sampling(temperature=0.1)), "sampling was {}"),
            (replace(plan, tasks=(plan.tasks[0].with_prompt("Now: {question}"),)), "prompts was"),
        ):
            with pytest.raises(ConfigError, match=r"built with other settings .*task sums: ") as error:
                await build_bank(other, [member("a")], bank)
            assert what in str(error.value)
            assert "--force" in str(error.value)
        with pytest.raises(ConfigError, match=r"llm a: system_prompt was None, now 'Be brief\.'"):
            await build_bank(plan, [member("a", system_prompt="Be brief.")], bank)
        assert len(bank) == 6
        more = await build_bank(plan_build([task], limit=7), [member("a")], bank, force=True)
        assert (more.answerers[0].progress.resumed, len(bank)) == (6, 7)
        check_settings(plan_build([task], limit=7), [member("a")], bank)


def test_estimates(tmp_path: Path, task: Path) -> None:
    plan = plan_build([task], limit=10)
    dear, unknown = member("dear", price=Price(1e6, 2e6)), member("unknown", price=None)
    thinker = member("thinker", price=Price(0.0, 1e6), sampling=Sampling(max_tokens=9000))
    first = estimate_build(plan, [dear, unknown, thinker], None)
    words = sum(len(f"Work out: {question.text}") for question in plan.questions)
    rows = {row.llm: row for row in first.llms}
    assert rows["dear"].prompt_tokens == pytest.approx(words / CHARACTERS_PER_TOKEN + 120, abs=1)
    assert (rows["dear"].calls, rows["dear"].completion_tokens, rows["dear"].most_completion_tokens) == (10, 200, 200)
    assert rows["dear"].cost_usd == pytest.approx(rows["dear"].prompt_tokens + 400)
    assert (rows["unknown"].cost_usd, rows["unknown"].most_usd) == (None, None)
    assert rows["thinker"].completion_tokens == 10 * ASSUMED_COMPLETION
    assert rows["thinker"].most_usd == pytest.approx(90_000)
    assert (first.cost_usd, first.known_usd > 0) == (None, True)
    with new_bank(tmp_path) as bank:
        bank.add_questions(plan.questions)
        bank.add_llm("dear")
        bank.record([Outcome(q.id, "dear", 1.0, usage=Usage(10, 6)) for q in plan.questions[:4]])
        later = estimate_build(replace(plan, samples=2), [dear], bank)
        assert (later.llms[0].questions, later.llms[0].calls, later.llms[0].completion_tokens) == (6, 12, 72)
        assert later.llms[0].from_bank == 1.0
        bank.record([Outcome(q.id, "dear", 1.0) for q in plan.questions])
        assert estimate_build(plan, [dear], bank).cost_usd == 0.0


async def test_a_cap_counts_earlier_runs_and_leaves_out_unknown_prices(tmp_path: Path, task: Path) -> None:
    plan = plan_build([task], limit=30)
    members = [member("unknown", price=None), member("a", price=Price(0.0, 10.0))]
    with new_bank(tmp_path) as bank:
        for cap, done in ((0.00051, 11), (0.00051, 11), (0.00061, 14)):  # 30 of 10**6 USD each, 200 reserved
            report = await build_bank(plan, members, bank, max_usd=cap, concurrency=1)
            skipped, capped = report.answerers
            assert (skipped.status, skipped.progress.done) == ("skipped", 0)
            assert (capped.status, capped.progress.done) == ("budget", done)
        assert bank.answered("unknown") == set()
        report = await build_bank(plan, members, bank, max_usd=1.0, allow_unknown_price=True)
        assert report.complete


async def test_what_cannot_be_built(tmp_path: Path, task: Path) -> None:
    with pytest.raises(ConfigError, match="named twice"):
        plan_build([task, task])
    with pytest.raises(InputError, match="at least one task"):
        plan_build([])
    with pytest.raises(InputError, match="samples"):
        plan_build([task], samples=0)
    greedy = plan_build([task], samples=3, sampling=Sampling(temperature=0.0))
    with new_bank(tmp_path) as bank, pytest.raises(ConfigError, match="3 times at temperature 0"):
        await build_bank(greedy, [member("a")], bank)
    warm = plan_build([task], samples=3, limit=2)
    with new_bank(tmp_path / "other") as bank:
        assert (await build_bank(warm, [member("a")], bank)).complete
        assert {outcome.samples for outcome in bank.recorded("a")} == {3}


async def test_local_llms_run_exactly_unless_told_otherwise(
    tmp_path: Path, task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[ServerOptions] = []

    def on(self: LocalLLM, servers: LocalServers, options: ServerOptions) -> ScriptedLLM:
        seen.append(options)
        return ScriptedLLM("a", ["Answer: 1"])

    monkeypatch.setattr(LocalLLM, "on", on)
    plan = plan_build([task], limit=2)
    local = member("a", LocalLLM("a", tmp_path / "a.gguf", options=ServerOptions(parallel=4)), price=Price(0.0, 0.0))
    for place, exact in enumerate((True, False)):
        with new_bank(tmp_path / str(place)) as bank:
            await build_bank(plan, [local], bank, exact=exact)
    assert [(options.exact, options.slots, options.threads is not None) for options in seen] == [
        (True, 1, True),
        (False, 4, True),
    ]


def test_a_plan_asks_as_its_tasks_do(task: Path) -> None:
    plan: BuildPlan = plan_build([task], limit=3)
    question = plan.questions[0]
    assert plan.messages(question)[0].content == f"Work out: {question.text}"
    assert plan.sampling_of(question).max_tokens == 20
    assert plan_build([task], limit=6).questions[:3] == plan.questions
