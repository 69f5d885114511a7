import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_guard import OPTIONS, answered_bank, letters
from helpers_strategies import member, scripted
from smcs.bank import QuestionBank
from smcs.embedders import HashingEmbedder
from smcs.errors import InputError, NoUsableAnswerError
from smcs.llms import Pool, ScriptedLLM
from smcs.run import Query, Run, Trace
from smcs.strategies import Resources, Settings
from smcs.strategies.electorate import assemble, stand
from smcs.strategies.guard import Guard, independent_worth, learn_votes, read_ballots
from smcs.strategies.smcs_guarded import guarded_calls, smcs_guarded
from smcs.strategies.votes_file import load_votes, save_votes, votes_path
from smcs.types import GraderName, Message

SETTINGS = Settings(k=3, n=4, support_base=20, seed=7)
ACCURACY = {"a": 0.8, "b": 0.55, "c": 0.55, "merger": 0.3}


def asked(grader: GraderName | None = "choice") -> Query:
    text = "which colour has sums number 5"
    choices = OPTIONS if grader == "choice" else ()
    return Query(text, (Message("user", text),), choices=choices, grader=grader)


async def recorded(folder: Path, accuracy: dict[str, float] | None = None, *, extracted: bool = True) -> QuestionBank:
    rng = np.random.default_rng(3)
    gold = rng.integers(0, 4, size=200)
    given_ = {llm: letters(gold, share, rng) for llm, share in (accuracy or ACCURACY).items()}
    return await answered_bank(folder / "bank.db", given_, gold, extracted=extracted)


def pool(bank: QuestionBank | None, merged: str = "Answer: D", **answers: str) -> Resources:
    return apart(bank, scripted("merger", replies=[merged]), *(scripted(n, replies=[t]) for n, t in answers.items()))


def apart(bank: QuestionBank | None, merger: ScriptedLLM, *llms: ScriptedLLM) -> Resources:
    return Resources(
        pool=Pool([member(llm) for llm in llms]),
        mergers={"merger": member(merger)},
        aggregators=("merger",),
        embedder=HashingEmbedder(),
        bank=bank,
    )


def merges(run: Run) -> int:
    return sum(attempt.stage == "aggregation" for attempt in run.attempts)


async def ask(over: Resources, guard: Guard | None = None, query: Query | None = None, **changes: object) -> Run:
    settings = replace(SETTINGS, guard=guard or Guard(), **changes)  # type: ignore[arg-type]
    return await smcs_guarded(query or asked(), over, settings, Trace())


async def test_a_weak_aggregator_cannot_outvote_the_references(tmp_path: Path) -> None:
    bank = await recorded(tmp_path)
    over = pool(bank, "Answer: D", a="Answer: A", b="Answer: B", c="Answer: A")
    run = await ask(over)
    assert (run.answer, merges(run)) == ("Answer: A", 0)
    assert run.notes["guard"]["why"] == "the references' lead is more than the aggregator's say"
    # Even where all eight candidates agree on something else.
    run = await ask(over, Guard(aggregate="always"))
    assert (run.answer, run.answered_by, merges(run) > 0) == ("Answer: A", "a", True)
    assert [candidate.group for candidate in run.candidates] == [0, 1, 0, 2, 2, 2, 2]
    assert run.candidates[run.chosen or 0].agreement == max(c.agreement or 0 for c in run.candidates)


async def test_a_strong_aggregator_keeps_its_say(tmp_path: Path) -> None:
    bank = await recorded(tmp_path, {"a": 0.5, "b": 0.45, "c": 0.45, "merger": 0.9})
    over = pool(bank, "So the answer is D.", a="Answer: A", b="Answer: B", c="Answer: C")
    run = await ask(over, k=3)
    assert (run.answer, run.answered_by, run.notes["guard"]["merged"]) == ("So the answer is D.", "merger", True)


async def test_the_measured_accuracy_of_merged_answers_replaces_the_bank_s(tmp_path: Path) -> None:
    bank = await recorded(tmp_path)
    over = pool(bank, a="Answer: A", b="Answer: B", c="Answer: C")
    weak = await ask(over, Guard(aggregate="always"))
    strong = await ask(over, Guard(aggregate="always", aggregator_accuracy=0.97))
    assert (weak.answer, strong.answer) == ("Answer: A", "Answer: D")


async def test_an_aggregator_nobody_knows_has_no_say_until_it_is_measured(tmp_path: Path) -> None:
    bank = await recorded(tmp_path, {"a": 0.5, "b": 0.45, "c": 0.45})
    over = pool(bank, "Answer: D", a="Answer: A", b="Answer: B", c="Answer: C")
    run = await ask(over, k=3)
    assert merges(run) == 0
    assert "smcs bank add-llm merger" in run.notes["guard"]["why"]
    always = await ask(over, Guard(aggregate="always"), k=3)
    assert merges(always) > 0
    assert always.answer == run.answer != "Answer: D"
    measured = await ask(over, Guard(aggregator_accuracy=0.97), k=3)
    assert (merges(measured) > 0, measured.answer) == (True, "Answer: D")


async def test_where_nobody_is_known_an_aggregator_counts_as_much_as_a_referencer() -> None:
    over = pool(None, "Answer: D", a="Answer: A", b="Answer: B", c="Answer: C")
    run = await ask(over, k=3)
    assert run.notes["guard"]["say"] == 1.0
    assert merges(run) > 0


async def test_a_vote_is_worth_what_recorded_answers_showed(tmp_path: Path) -> None:
    # Twins err together: their two votes against one better LLM are worth one.
    rng = np.random.default_rng(1)
    gold = rng.integers(0, 4, size=400)
    twin = letters(gold, 0.6, rng, wrong=1)
    bank = await answered_bank(tmp_path / "twins.db", {"a": letters(gold, 0.75, rng), "b": twin, "c": twin}, gold)
    run = await ask(pool(bank, a="Answer: A", b="Answer: B", c="Answer: B"), Guard(aggregate="never"))
    assert (run.answer, run.calls) == ("Answer: A", 3)
    votes = run.notes["guard"]["votes"]
    assert votes["b"] + votes["c"] < votes["a"]


async def test_without_recorded_answers_accuracy_stands_in(tmp_path: Path) -> None:
    bank = await recorded(tmp_path, extracted=False)
    run = await ask(pool(bank, a="Answer: A", b="Answer: B", c="Answer: C"), Guard(aggregate="never"))
    assert (run.answer, run.notes["guard"]["weights"]) == ("Answer: A", "accuracy")
    run = await ask(pool(None, a="Answer: A", b="Answer: B", c="Answer: B"), Guard(aggregate="never"))
    assert (run.answer, run.notes["guard"]["weights"]) == ("Answer: B", "equal")


@pytest.mark.parametrize(("merger", "answered_by"), [(0.3, "a"), (0.8, "merger")])
async def test_what_cannot_be_voted_on_is_left_to_the_better_of_expert_and_aggregator(
    tmp_path: Path, merger: float, answered_by: str
) -> None:
    bank = await recorded(tmp_path, {**ACCURACY, "merger": merger})
    program = "```python\ndef f():\n    return {}\n```"
    over = pool(bank, program.format(9), a=program.format(1), b=program.format(2), c=program.format(2))
    run = await ask(over, query=asked("code"))
    assert (run.answered_by, merges(run) > 0) == (answered_by, answered_by == "merger")


async def test_prose_falls_back_to_the_posterior_of_smcs(tmp_path: Path) -> None:
    bank = await recorded(tmp_path, {**ACCURACY, "merger": 0.8})
    prose = "There are several ways of looking at it.\nNone of them is short, and each of them takes {} lines."
    over = pool(bank, prose.format(9), a=prose.format(1), b=prose.format(2), c=prose.format(3))
    run = await ask(over, query=asked(None))
    assert (run.answered_by, run.notes["guard"]["why"]) == ("merger", "answers cannot be voted on")


async def test_lost_references_and_candidates_are_survived(tmp_path: Path) -> None:
    bank = await recorded(tmp_path, {"a": 0.5, "b": 0.5, "c": 0.5, "merger": 0.9})
    broken = ScriptedLLM("a", failures="refused")
    merger = ScriptedLLM("merger", failures="refused")
    over = apart(bank, merger, broken, scripted("b", replies=["Answer: B"]), scripted("c", replies=["Answer: C"]))
    run = await ask(over, Guard(aggregate="always"))
    assert run.answered_by in ("b", "c")
    assert any("reference lost: a" in reason for reason in run.degraded)
    with pytest.raises(NoUsableAnswerError, match="scripted refusal"):
        await ask(apart(bank, merger, broken))


async def test_when_every_reference_fails_the_aggregator_answers_alone(tmp_path: Path) -> None:
    bank = await recorded(tmp_path, {"a": 0.9, "merger": 0.3})
    over = apart(bank, scripted("merger", replies=["Answer: C"]), ScriptedLLM("a", failures="refused"))
    run = await ask(over, Guard(aggregate="never"))
    assert (run.answer, run.answered_by) == ("Answer: C", "merger")


async def test_the_record_is_whole_and_repeats(tmp_path: Path) -> None:
    bank = await recorded(tmp_path)
    over = pool(bank, a="Answer: A", b="Answer: B", c="Answer: C")
    runs = [await ask(over, Guard(aggregate="always")) for _ in range(2)]
    assert [c.score for c in runs[0].candidates] == [c.score for c in runs[1].candidates]
    assert Run.from_json(runs[0].to_json()).notes["guard"]["votes"].keys() == {"a", "b", "c"}
    assert all(c.score is not None and math.isfinite(c.score) for c in runs[0].candidates)
    assert len(runs[0].subsets) == SETTINGS.n
    capped = await ask(over, Guard(aggregate="always"), max_calls=5)
    assert capped.calls <= 5
    assert "max_calls=5: shrunk to n=2" in capped.degraded
    assert guarded_calls(replace(SETTINGS, guard=Guard(aggregate="never")), 9) == 3
    assert guarded_calls(SETTINGS, 9) == 7
    alone = replace(SETTINGS, guard=Guard(aggregate="never"), max_calls=2)
    assert guarded_calls(alone, 9) == 2
    assert (await ask(over, Guard(aggregate="never"), max_calls=2)).calls == 2


async def test_votes_are_learned_once_per_state_of_the_bank(tmp_path: Path) -> None:
    bank = await recorded(tmp_path)
    name = HashingEmbedder().name
    first = await learn_votes(bank, name, ("a", "b"), Guard())
    assert first is await learn_votes(bank, name, ("b", "a"), Guard())
    assert first.llms == ("a", "b")
    bank.remove_questions(["0000"])
    again = await learn_votes(bank, name, ("a", "b"), Guard())
    assert again is not first
    assert again.questions <= first.questions


async def test_what_was_learned_is_kept_beside_the_index(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bank, name = await recorded(tmp_path), HashingEmbedder().name
    first = await learn_votes(bank, name, ("a", "b"), Guard())
    path = votes_path(bank.index(name).folder, ("b", "a"), Guard().shrinkage)
    assert path.is_file()
    llms, worth, questions = load_votes(path) or pytest.fail("nothing was kept")
    assert (llms, questions) == (first.llms, first.questions)
    assert worth is not None
    assert first.worth is not None
    np.testing.assert_array_equal(worth.coefficients, first.worth.coefficients)
    vector = np.asarray(bank.index(name).embeddings[0])
    with QuestionBank.open(tmp_path / "bank.db") as again:
        learned = await learn_votes(again, name, ("a", "b"), Guard())
    assert learned.log_weights(["a"], vector, {"a": 9}) == first.log_weights(["a"], vector, {"a": 9})
    path.write_bytes(path.read_bytes()[:100])
    assert load_votes(path) is None
    assert "learned again" in caplog.text
    save_votes(tmp_path / "missing" / "x.npz", (), None, 0)
    assert "not kept" in caplog.text
    save_votes(tmp_path / "none.npz", (), None, 3)
    assert load_votes(tmp_path / "none.npz") == ((), None, 3)


async def test_ballots_are_the_bank_s_answers(tmp_path: Path) -> None:
    gold = np.arange(40) % 4
    right, wrong = gold.copy(), (gold + 1) % 4
    bank = await answered_bank(tmp_path / "b.db", {"x": right, "y": wrong, "z": wrong}, gold)
    ballots = read_ballots(bank, HashingEmbedder().name, ("x", "y", "z", "unknown"))
    assert ballots.llms == ("x", "y", "z")
    assert ballots.answers.tolist() == [[0, 1, 1]] * 40
    assert np.unique(ballots.lengths).tolist() == [len("Answer: A")]
    programs = await answered_bank(tmp_path / "c.db", {"x": right}, gold, grader="code")
    assert read_ballots(programs, HashingEmbedder().name, ("x",)).llms == ()


@given(st.lists(st.tuples(st.integers(-1, 3), st.floats(-1, 3)), min_size=1, max_size=7), st.floats(0, 4))
def test_a_say_below_the_margin_changes_nothing(votes: list[tuple[int, float]], say: float) -> None:
    groups, weights = [g for g, _ in votes], [w for _, w in votes]
    standing = stand(groups, weights)
    if standing.group < 0 or say >= standing.margin - 1e-9:  # sums of floats round
        return
    for answer in {*groups, 9} - {-1}:
        after = stand([*groups, answer], [*weights, say])
        assert after.group == standing.group


def test_the_worth_of_an_aggregator_grows_with_its_accuracy() -> None:
    accuracy = {"a": 0.6, "b": 0.5, "c": 0.5}
    says = []
    for share in (0.05, 0.1, 0.3, 0.5, 0.6, 0.7, 0.9):
        electorate = assemble("abc", ["m"], {"a": 0.8, "b": 0.5, "c": 0.5}, {**accuracy, "m": share}, options=10)
        says.append(electorate.aggregators["m"])
    assert says == sorted(says)
    assert says[0] == 0
    assert says[-1] == pytest.approx(independent_worth(0.9, 10))
    assert assemble("abc", ["m"], {}, accuracy).basis == "accuracy"
    assert assemble("abc", ["m"], {}, {}).referencers == {"a": 1.0, "b": 1.0, "c": 1.0}
    assert assemble("abc", ["m"], {}, {}).aggregators == {"m": 1.0}
    stranger = assemble("abc", ["m", "a"], {}, accuracy)
    assert stranger.aggregators["m"] == 0
    assert stranger.strangers == frozenset({"m"})
    assert stranger.aggregators["a"] > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"aggregate": "maybe"},
        {"certain": 0.5},
        {"dominance": 1.5},
        {"aggregator_accuracy": -0.1},
        {"texts": math.inf},
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"guard.{next(iter(wrong))}"):
        Guard(**wrong)  # type: ignore[arg-type]
