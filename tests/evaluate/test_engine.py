from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers_evaluate import CountingLLM, NamedAnswerer, additions, ask, new_bank
from smcs.bank import QuestionBank
from smcs.errors import InputError, LLMError
from smcs.evaluate import Budget, GradingProgress, call_seed, grade_answerers, recorder, regrade, run_grading
from smcs.evaluate.engine import interleaved
from smcs.llms.pool import Member
from smcs.types import Choice, Completion, Grade, Price, Question, Request, Sampling, Usage

CHILD = """
import asyncio, sys
from pathlib import Path
from helpers_evaluate import CountingLLM, additions, ask
from smcs.bank import QuestionBank
from smcs.evaluate import run_grading
from smcs.llms.pool import Member

path = Path(sys.argv[1])
bank = QuestionBank.open(path) if path.exists() else QuestionBank.create(path)
llm = CountingLLM(delay=float(sys.argv[2]), wrong=lambda number: number % 3 == 0)
if sys.argv[3:] == ["says"]:
    llm.fails = lambda number: print("answered", number, flush=True)
try:
    asyncio.run(run_grading(additions(120), [Member("a", llm), Member("b", llm)], bank, messages=ask, concurrency=4,
                            on_progress=lambda progress: print(progress.llm, progress.done, flush=True)))
except KeyboardInterrupt:
    sys.exit(130)
"""


def start_child(path: Path, delay: float, *more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", CHILD, str(path), str(delay), *more]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


async def test_every_question_is_asked_graded_and_recorded(tmp_path: Path) -> None:
    questions = additions(50)
    llm = CountingLLM(wrong=lambda number: number % 5 == 0)
    with new_bank(tmp_path) as bank:
        report = await run_grading(
            questions,
            [Member("a", llm, price=Price(1.0, 2.0))],
            bank,
            messages=ask,
            sampling=lambda question: Sampling(temperature=0.0, max_tokens=9),
        )
        (done,) = report.answerers
        assert report.complete
        assert sorted(llm.asked) == list(range(50))
        assert {request.sampling for request in llm.requests} == {Sampling(temperature=0.0, max_tokens=9)}
        assert done.progress.accuracy == pytest.approx(0.8)
        assert (done.progress.usage.prompt_tokens, done.progress.usage.completion_tokens) == (500, 150)
        assert done.progress.cost_usd == pytest.approx(50 * 16e-6)
        assert (done.failures, done.gave_up, done.progress.ungraded) == ((), False, 0)
        outcomes = {outcome.question_id: outcome for outcome in bank.recorded("a")}
        assert outcomes["q0005"].score == 0.0
        assert outcomes["q0006"].score == 1.0
        assert (outcomes["q0006"].response, outcomes["q0006"].extracted) == ("Answer: 7", "7")
        assert outcomes["q0006"].grader == "number"
        assert outcomes["q0006"].usage.completion_tokens == 3


async def test_what_is_recorded_is_not_asked_again(tmp_path: Path) -> None:
    questions = additions(30)
    first, second = CountingLLM(), CountingLLM()
    with new_bank(tmp_path) as bank:
        await run_grading(questions[:10], [Member("a", first)], bank, messages=ask)
        seen: list[GradingProgress] = []
        report = await run_grading(questions, [Member("a", second)], bank, messages=ask, on_progress=seen.append)
        assert sorted(second.asked) == list(range(10, 30))
        assert (seen[0].done, seen[0].resumed, seen[0].accuracy) == (10, 10, 1.0)
        assert report.answerers[0].progress.done == 30
        again = CountingLLM()
        assert (await run_grading(questions, [Member("a", again)], bank, messages=ask)).complete
        assert again.asked == []


async def test_a_failed_call_is_no_outcome_and_is_asked_next_time(tmp_path: Path) -> None:
    def fails(number: int) -> Exception | None:
        if number % 4:
            return None
        return LLMError("down", llm="a", http_status=500) if number % 8 else RuntimeError("a bug in the client")

    questions = additions(40)
    with new_bank(tmp_path) as bank:
        report = await run_grading(questions, [Member("a", CountingLLM(fails=fails))], bank, messages=ask)
        done = report.answerers[0]
        assert not report.complete
        assert {failure.question_id for failure in done.failures} == {f"q{i:04d}" for i in range(0, 40, 4)}
        assert any("down" in failure.error for failure in done.failures)
        assert (done.progress.done, done.progress.failed, done.progress.accuracy) == (30, 10, 1.0)
        assert done.status == "failures"
        assert np.isnan(bank.outcomes().scores).sum() == 10
        healthy = CountingLLM()
        assert (await run_grading(questions, [Member("a", healthy)], bank, messages=ask)).complete
        assert sorted(healthy.asked) == list(range(0, 40, 4))


async def test_failures_that_pass_are_repeated_after_all_others(tmp_path: Path) -> None:
    tries: Counter[int] = Counter()

    def fails(number: int) -> Exception | None:
        tries[number] += 1
        if number == 7:
            return LLMError("the prompt is too long", llm="a", http_status=400)
        return LLMError("down", llm="a", http_status=503) if number % 10 == 0 and tries[number] < 3 else None

    seen: list[GradingProgress] = []
    llm = CountingLLM(fails=fails)
    with new_bank(tmp_path) as bank:
        report = await run_grading(
            additions(40), [Member("a", llm)], bank, messages=ask, concurrency=3, on_progress=seen.append
        )
        assert sorted(bank.answered("a")) == [f"q{i:04d}" for i in range(40) if i != 7]
    done = report.answerers[0]
    assert [failure.question_id for failure in done.failures] == ["q0007"]
    assert (done.progress.failed, done.progress.done, done.status) == (1, 39, "failures")
    assert max(progress.failed for progress in seen) == 5
    assert tries == {**dict.fromkeys(range(40), 1), **dict.fromkeys((0, 10, 20, 30), 3)}
    assert set(llm.asked[:40]) == set(range(40))


async def test_failures_are_all_counted_and_some_are_listed(tmp_path: Path) -> None:
    llm = CountingLLM(fails=lambda number: LLMError("no", llm="a", http_status=400))
    with new_bank(tmp_path) as bank:
        report = await run_grading(additions(300), [Member("a", llm)], bank, messages=ask, give_up_after=1000)
    assert (report.answerers[0].progress.failed, len(report.answerers[0].failures)) == (300, 100)
    assert len(llm.asked) == 300


async def test_several_samples_have_seeds_of_their_own_and_a_mean_score(tmp_path: Path) -> None:
    class Wavering(CountingLLM):
        async def complete(self, request: Request, *, on_delta: object = None) -> Completion:
            number = int(request.messages[-1].content.split()[2])
            self.requests.append(request)
            odd = (request.sampling.seed or 0) % 2
            return Completion((Choice(f"Answer: {number + odd}"),), Usage(10, 4))

    llms = [Wavering(), Wavering()]
    outcomes = []
    for place, llm in enumerate(llms):
        (tmp_path / str(place)).mkdir()
        questions = additions(20)[:: 1 - 2 * place]
        with new_bank(tmp_path / str(place)) as bank:
            await run_grading(
                questions,
                [Member("a", llm, price=Price(1.0, 1.0))],
                bank,
                messages=ask,
                seed=5,
                samples=4,
                concurrency=1 + 7 * place,
            )
            outcomes.append([replace(outcome, seconds=None) for outcome in bank.recorded("a")])
    assert outcomes[0] == outcomes[1]
    for outcome in outcomes[0]:
        odd = [call_seed(5, outcome.question_id, sample) % 2 for sample in range(4)]
        assert outcome.score == sum(odd) / 4
        assert outcome.response == f"Answer: {int(outcome.question_id[1:]) + odd[0]}"
        assert (outcome.samples, outcome.usage.completion_tokens) == (4, 16)
        assert outcome.cost_usd == pytest.approx(56e-6)
    assert len({request.sampling.seed for request in llms[0].requests}) == 80


async def test_a_cap_on_money_stops_cleanly_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    price = Price(0.0, 100.0)
    options = {"messages": ask, "sampling": lambda question: Sampling(max_tokens=10), "concurrency": 5}
    with new_bank(tmp_path) as bank:
        llm = CountingLLM(delay=0.002)
        cap = Budget(0.0105)
        report = await run_grading(additions(50), [Member("a", llm, price=price)], bank, budget=cap, **options)  # type: ignore[arg-type]
        done = report.answerers[0]
        assert done.status == "budget"
        assert "the next call may cost $0.0010" in done.note
        assert done.progress.done == len(llm.asked) == len(bank.answered("a")) == 32  # 3 of at most 10 tokens each
        assert done.progress.failed == 0
        assert cap.spent == pytest.approx(done.progress.cost_usd) == pytest.approx(32 * 3e-4)
        more = Budget(1.0)
        again = CountingLLM()
        report = await run_grading(additions(50), [Member("a", again, price=price)], bank, budget=more, **options)  # type: ignore[arg-type]
        assert report.complete
        assert len(again.asked) == 50 - 32


def test_seeds_follow_from_the_call_alone() -> None:
    assert call_seed(0, "mmlu_pro/70") == 286099721
    assert len({call_seed(seed, f"q{i}", sample) for seed in (0, 1) for i in range(100) for sample in (0, 1)}) == 400


async def test_a_slow_grader_does_not_keep_others_from_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = [replace(q, grader="code" if i % 4 == 0 else "number") for i, q in enumerate(additions(80))]
    all_asked = threading.Event()
    waited: list[bool] = []

    def grade(question: Question, answer: str) -> Grade:
        if question.grader == "code":
            waited.append(all_asked.wait(20))
        return Grade(1.0)

    def note(number: int) -> bool:
        if len(llm.asked) == 80:
            all_asked.set()
        return False

    llm = CountingLLM(wrong=note)
    monkeypatch.setattr(recorder, "grade", grade)
    with new_bank(tmp_path) as bank:
        report = await run_grading(questions, [Member("a", llm)], bank, messages=ask, concurrency=2)
    assert report.complete
    assert waited == [True] * 20


async def test_a_dead_llm_is_given_up_and_the_next_one_runs(tmp_path: Path) -> None:
    dead = CountingLLM(fails=lambda number: LLMError("connection refused", llm="dead"))
    alive = CountingLLM()
    with new_bank(tmp_path) as bank:
        report = await run_grading(
            additions(60), [Member("dead", dead), Member("alive", alive)], bank, messages=ask, give_up_after=5
        )
        first, second = report.answerers
        assert first.gave_up
        assert 5 <= len(dead.asked) <= 5 + 8
        assert first.progress.done == 0
        assert first.progress.accuracy is None
        assert second.complete


async def test_a_call_that_hangs_fails_after_its_time(tmp_path: Path) -> None:
    with new_bank(tmp_path) as bank:
        report = await run_grading(
            additions(3), [Member("a", CountingLLM(delay=60))], bank, messages=ask, call_seconds=0.1
        )
        assert report.answerers[0].progress.failed == 3


async def test_a_grader_that_fails_leaves_the_answer_ungraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def grade(question: Question, answer: str) -> Grade:
        raise ValueError("cannot read this")

    monkeypatch.setattr(recorder, "grade", grade)
    with new_bank(tmp_path) as bank:
        report = await run_grading(additions(4), [Member("a", CountingLLM())], bank, messages=ask)
        assert report.complete
        assert (report.answerers[0].progress.ungraded, report.answerers[0].progress.accuracy) == (4, None)
        outcome = bank.recorded("a")[0]
        assert outcome.score is None
        assert "cannot read this" in outcome.reason
        monkeypatch.undo()
        assert regrade(bank, only_ungraded=True) == 4
        assert bank.recorded("a")[0].score == 1.0
        assert regrade(bank) == 0


@pytest.mark.parametrize("slots", [1, 3, 16])
async def test_concurrency_is_kept(tmp_path: Path, slots: int) -> None:
    llm = CountingLLM(delay=0.005)
    with new_bank(tmp_path) as bank:
        await run_grading(additions(40), [Member("a", llm)], bank, messages=ask, concurrency={"a": slots})
    assert llm.most_in_flight == slots


@pytest.mark.parametrize("parallel", [1, 2])
async def test_members_run_one_after_another_unless_told_otherwise(tmp_path: Path, parallel: int) -> None:
    order: list[str] = []
    members = [Member(name, CountingLLM(delay=0.01)) for name in ("a", "b")]

    def note(progress: GradingProgress) -> None:
        order.append(progress.llm)

    with new_bank(tmp_path) as bank:
        await run_grading(
            additions(64), members, bank, messages=ask, concurrency=2, parallel=parallel, on_progress=note
        )
    assert (order == sorted(order)) is (parallel == 1)


async def test_anything_with_a_name_can_be_graded(tmp_path: Path) -> None:
    with new_bank(tmp_path) as bank:
        report = await grade_answerers(additions(6), [NamedAnswerer("always 3", "Answer: 3")], bank)
        assert report.answerers[0].progress.accuracy == pytest.approx(1 / 6)
        assert report.answerers[0].progress.cost_usd is None  # nobody said what it cost


async def test_progress_counts_only_what_is_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    told: list[tuple[int, int]] = []

    def check(progress: GradingProgress) -> None:
        with QuestionBank.open(path) as other:
            stored = len(other.answered("a"))
        told.append((progress.done, stored))

    with new_bank(tmp_path) as bank:
        await run_grading(
            additions(70), [Member("a", CountingLLM())], bank, messages=ask, concurrency=5, on_progress=check
        )
    assert told[-1] == (70, 70)
    assert all(done <= stored for done, stored in told)


async def test_cancelling_keeps_what_is_graded_and_leaves_no_task(tmp_path: Path) -> None:
    llm = CountingLLM(delay=0.02)
    with new_bank(tmp_path) as bank:
        run = asyncio.create_task(run_grading(additions(200), [Member("a", llm)], bank, messages=ask, concurrency=4))
        while len(llm.asked) < 30:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert len(bank.answered("a")) >= 30 - 2 * 4
        assert llm.in_flight == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_bank_that_refuses_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: QuestionBank, outcomes: object) -> int:
        raise OSError("disk is full")

    monkeypatch.setattr(QuestionBank, "record", full)
    with new_bank(tmp_path) as bank, pytest.raises((OSError, ExceptionGroup)):
        await run_grading(additions(40), [Member("a", CountingLLM())], bank, messages=ask)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_killed_and_started_again_ends_as_an_undisturbed_run(tmp_path: Path) -> None:
    disturbed, undisturbed = tmp_path / "killed.db", tmp_path / "whole.db"
    acknowledged = 0
    for _ in range(5):
        child = start_child(disturbed, 0.1)
        assert child.stdout is not None
        for line in itertools.islice(child.stdout, 2):
            acknowledged = max(acknowledged, int(line.split()[1])) if line.startswith("a") else acknowledged
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        with QuestionBank.open(disturbed) as bank:
            assert len(bank.answered("a")) >= acknowledged
    for path in (disturbed, undisturbed):
        child = start_child(path, 0.0)
        child.communicate()
        assert child.returncode == 0
    with QuestionBank.open(disturbed) as one, QuestionBank.open(undisturbed) as other:
        assert one.outcomes().question_ids == other.outcomes().question_ids
        np.testing.assert_array_equal(one.outcomes().scores, other.outcomes().scores)
        assert not np.isnan(one.outcomes().scores).any()
        for llm in ("a", "b"):
            assert len(one.recorded(llm)) == 120


def test_an_interrupt_records_what_is_graded(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    child = start_child(path, 0.3, "says")
    assert child.stdout is not None
    answered = (line for line in child.stdout if line.startswith("answered"))
    assert len(list(itertools.islice(answered, 20))) == 20
    child.send_signal(signal.SIGINT)
    output, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    with QuestionBank.open(path) as bank:
        recorded = len(bank.answered("a"))
    assert recorded >= 16
    assert int(output.split()[-1]) == recorded


def test_questions_are_interleaved_by_task() -> None:
    questions = [
        Question(f"{task}{i}", "", task=task) for task, n in (("a", 60), ("b", 30), ("c", 10)) for i in range(n)
    ]
    order = interleaved(questions)
    assert sorted(question.id for question in order) == sorted(question.id for question in questions)
    for end in range(10, 101, 10):
        counts = [sum(question.task == task for question in order[:end]) for task in "abc"]
        assert counts == pytest.approx([0.6 * end, 0.3 * end, 0.1 * end], abs=1)
    assert [q.id for q in order if q.task == "a"] == [f"a{i}" for i in range(60)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: {"concurrency": 0}, "at least 1"),
        (lambda: {"give_up_after": 0}, "give_up_after"),
        (lambda: {"concurrency": {"a": -1}}, "at least 1"),
    ],
)
async def test_options_out_of_range(tmp_path: Path, change: Callable[[], dict[str, object]], message: str) -> None:
    with new_bank(tmp_path) as bank, pytest.raises(InputError, match=message):
        await run_grading(additions(2), [Member("a", CountingLLM())], bank, messages=ask, **change())  # type: ignore[arg-type]


async def test_two_answerers_of_one_name(tmp_path: Path) -> None:
    with new_bank(tmp_path) as bank, pytest.raises(InputError, match="different names"):
        await grade_answerers(additions(2), [NamedAnswerer("x", "1"), NamedAnswerer("x", "2")], bank)
