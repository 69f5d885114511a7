import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from helpers_guard import answered_bank, letters
from smcs.bank import QuestionBank
from smcs.bench import ArmSpec, Header, ResultFile, Row
from smcs.bench.tuning import Tuner, tune
from smcs.bench.tuning_arms import aggregator_accuracy, candidates_of_arms
from smcs.bench.tuning_choice import choose
from smcs.cli.app import app
from smcs.errors import BankError, InputError
from smcs.strategies import Guard, Settings

SETTINGS = Settings(k=1, support_base=200)


async def topical(folder: Path, *, extracted: bool = True) -> QuestionBank:
    """Return a bank of two topics, in each of which other LLMs are good."""
    rng = np.random.default_rng(4)
    gold = rng.integers(0, 4, size=240)
    sums = np.arange(240) % 2 == 0
    given = {}
    for name, (here, there) in {"a": (0.9, 0.3), "b": (0.3, 0.9), "c": (0.7, 0.7), "d": (0.65, 0.65)}.items():
        given[name] = np.where(sums, letters(gold, here, rng), letters(gold, there, rng))
    tasks = ("sums of large numbers", "rivers in the mountains")
    return await answered_bank(folder / "bank.db", given, gold, extracted=extracted, tasks=tasks)


def result_file(arms: tuple[ArmSpec, ...], rows: list[Row]) -> ResultFile:
    header = Header(
        format="",
        name="x",
        created="2026-01-01",
        command="",
        tasks=("t",),
        arms=arms,
        seeds=(0,),
        llms=("a",),
        aggregators=(),
        bank={},
        config={},
        commit=None,
        dirty=None,
        versions={},
        hardware={},
    )
    return ResultFile(header, tuple(rows))


async def test_what_helps_is_found_and_what_does_not_is_left(tmp_path: Path) -> None:
    told: list[str] = []
    tuning = tune(await topical(tmp_path), SETTINGS, on_progress=told.append)
    choices = {choice.parameters[0]: choice for choice in tuning.choices}
    support = choices["support_base"]
    # All 240 questions at once cannot tell the topics apart; a support set within one can.
    assert support.change
    assert support.best[0] <= 100
    assert support.low > 0
    assert choices["k"].change
    assert choices["k"].best[0] > 1
    assert choices["n"].why_not == "no result file was given"
    assert tuning.changes()["k"] == choices["k"].best[0]
    assert told == ["support set", "referencers", "worth of votes", "candidates"]
    json.dumps(tuning.to_dict())
    # Tuned once, there is nothing left beyond chance where it was found.
    again = Settings(k=choices["k"].best[0], support_base=support.best[0], tolerance=support.best[1])
    repeated = Tuner(QuestionBank.open(tmp_path / "bank.db"), again)
    assert not repeated.support().change
    assert not repeated.referencers().change


async def test_priors_and_votes_never_see_their_own_fold(tmp_path: Path) -> None:
    # Answers are noise: held out, a vote is right as often as a guess, however well noise can be learned by heart.
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 4, size=300)
    bank = await answered_bank(tmp_path / "n.db", {n: rng.integers(0, 4, size=300) for n in "abcdef"}, gold)
    tuner = Tuner(bank, Settings(k=6, support_base=50))
    assert tuner.support().present_value == pytest.approx(0.5, abs=0.05)
    assert tuner.referencers().present_value == pytest.approx(0.25, abs=0.1)
    assert not tuner.shrinkage().change or tuner.shrinkage().gain < 0.05


async def test_a_bank_of_grades_alone_tunes_what_it_can(tmp_path: Path) -> None:
    choices = {c.parameters[0]: c for c in tune(await topical(tmp_path, extracted=False), SETTINGS).choices}
    assert choices["support_base"].change
    assert "no recorded answers" in choices["k"].why_not
    assert not choices["guard.shrinkage.voter"].change


async def test_what_cannot_be_tuned_on_is_refused(tmp_path: Path) -> None:
    bank = await topical(tmp_path)
    with pytest.raises(InputError, match="`folds` must be at least 2"):
        tune(bank, SETTINGS, folds=1)
    with pytest.raises(BankError, match=r"knows no LLM of the pool\. It knows: a, b, c, d"):
        tune(bank, SETTINGS, names=["z"])
    gold = np.zeros(20, dtype=int)
    small = await answered_bank(tmp_path / "small.db", {"a": gold}, gold)
    with pytest.raises(BankError, match="20 embedded questions are too few"):
        tune(small, SETTINGS)


def test_a_choice_compares_question_by_question() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(400).round()
    better = np.where(rng.random(400) < 0.1, 1.0, base)
    choice = choose(("n",), "right", (8,), {(8,): base, (16,): better}, 0)
    assert (choice.best, choice.change) == ((16,), True)
    assert choice.low <= choice.gain <= choice.high
    assert not choose(("n",), "right", (8,), {(8,): base, (16,): base.copy()}, 0).change
    assert "no question" in choose(("n",), "right", (8,), {(8,): np.full(3, np.nan)}, 0).why_not


def test_a_result_file_speaks_about_candidates() -> None:
    settings = Settings(k=3)
    arms = (
        ArmSpec("eight", "smcs", {"n": 8, "k": 3}),
        ArmSpec("sixteen", "smcs", {"n": 16, "k": 3}),
        ArmSpec("other", "smcs", {"n": 16, "k": 5}),
        ArmSpec("single", "single", {}),
    )
    rng = np.random.default_rng(0)
    rows = []
    for question in range(80):
        low = float(rng.random() < 0.5)
        for arm, score in (
            ("eight", low),
            ("sixteen", max(low, float(question % 4 == 0))),
            ("other", 1.0),
            ("single", 1.0),
        ):
            scores = (0.0, 1.0, None, 0.0, 0.0) if arm != "single" else ()
            rows.append(row(f"q{question}", arm, score, scores))
    file = result_file(arms, rows)
    choice = candidates_of_arms(file, settings, 0)
    assert (choice.present, choice.best, choice.change) == ((8, 1.0), (16, 1.0), True)
    assert "no two SMCS arms" in candidates_of_arms(file, Settings(k=9), 0).why_not
    measured = aggregator_accuracy(file, settings)
    assert measured.best == (0.25,)
    assert measured.change
    few = aggregator_accuracy(result_file(arms, rows[:8]), Settings(guard=Guard(aggregator_accuracy=0.5)))
    assert (few.present, few.change) == ((0.5,), False)


def row(question: str, arm: str, score: float, candidates: tuple[float | None, ...]) -> Row:
    unknown = ("prompt_tokens", "cached_tokens", "completion_tokens", "cost_usd", "call_seconds", "latency")
    return Row(question, "t", arm, 0, score=score, status="ok", candidate_scores=candidates, **dict.fromkeys(unknown))  # type: ignore[arg-type]


CONFIG = """\
# ours
pool:
- {name: a, kind: scripted}
- {name: b, kind: scripted}
- {name: c, kind: scripted}
- {name: d, kind: scripted}
aggregators: [a]
embedder: {kind: hashing}
bank: bank.db
profile: paper
parameters:
  k: 1  # to be seen
  support_base: 200
"""


async def test_the_command_prints_and_writes(tmp_path: Path) -> None:
    (await topical(tmp_path)).close()
    config = tmp_path / "smcs.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    runner = CliRunner()
    shown = await asyncio.to_thread(runner.invoke, app, ["tune", "-c", str(config)], None, {"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert "--write would set: support_base=" in shown.output
    assert config.read_text(encoding="utf-8") == CONFIG
    written = await asyncio.to_thread(runner.invoke, app, ["tune", "-c", str(config), "--write", "--json"])
    report = json.loads(written.stdout)
    assert report["written"] is True
    text = config.read_text(encoding="utf-8")
    assert yaml.safe_load(text)["parameters"] == {"k": 1, "support_base": 200, **nested(report["changes"])}
    assert "# to be seen" in text
    assert f"bank {report['bank'][:12]}, 5 folds, seed 0: " in text


def nested(changes: dict[str, object]) -> dict[str, object]:
    result: dict[str, object] = {}
    for name, value in changes.items():
        place: dict[str, object] = result
        *path, last = name.split(".")
        for part in path:
            place = place.setdefault(part, {})  # type: ignore[assignment]
        place[last] = value
    return result


def test_values_are_compared_on_the_questions_that_both_have() -> None:
    present = np.array([0.0, 0.0, 1.0, 1.0])
    lucky = np.array([np.nan, np.nan, 1.0, 1.0])  # A higher mean, of easier questions alone.
    choice = choose(("n",), "right", (4,), {(4,): present, (8,): lucky}, seed=0)
    assert choice.best == (4,)
    assert not choice.change
