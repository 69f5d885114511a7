from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from smcs.bank import QuestionBank
from smcs.cli._seed import seed as seed_command
from smcs.errors import ConfigError, InputError
from smcs.evaluate import build_seed_bank, open_seed_bank, seed
from smcs.evaluate.seed import seed_sampling
from smcs.tasks.seed import CATEGORIES, generate
from smcs.types import Choice, Completion, Request, Usage


class FakeLocalLLM:
    """Stands for a local model; knows no answer."""

    made: list[str] = []  # noqa: RUF012
    requests: list[Request] = []  # noqa: RUF012

    def __init__(self, name: str, path: Path, **options: object) -> None:
        self.made.append(name)

    async def complete(self, request: Request, *, on_delta: object = None) -> Completion:
        self.requests.append(request)
        return Completion((Choice("I do not know."),), Usage(20, 5))


@pytest.fixture
def fake_models(monkeypatch: pytest.MonkeyPatch) -> type[FakeLocalLLM]:
    sizes = {"small": 1, "large": 9, "base": 2}

    def find(name: str) -> SimpleNamespace:
        return SimpleNamespace(
            name=name, kind="llm", chat_template=name != "base", parameters=sizes[name], require=lambda: Path(name)
        )

    monkeypatch.setattr(seed, "find_model", find)
    monkeypatch.setattr(seed, "LocalLLM", FakeLocalLLM)
    FakeLocalLLM.made.clear()
    FakeLocalLLM.requests.clear()
    return FakeLocalLLM


async def test_every_model_is_asked_greedily_and_never_twice(tmp_path: Path, fake_models: type[FakeLocalLLM]) -> None:
    path = tmp_path / "seed.db"
    first = await build_seed_bank(path, models=["small", "large"], count=8)
    assert first.complete
    assert fake_models.made == ["large", "small"]
    assert len(fake_models.requests) == 16
    assert {(request.sampling.temperature, request.sampling.seed) for request in fake_models.requests} == {(0.0, 0)}
    assert all(request.sampling.max_tokens for request in fake_models.requests)
    second = await build_seed_bank(path, models=["small", "large"], count=10)
    assert second.complete
    assert len(fake_models.requests) == 20
    with QuestionBank.open(path) as bank:
        assert bank.llms == ("large", "small")
        assert bank.outcomes().scores.shape == (10, 2)
        assert {outcome.grader for outcome in bank.recorded("small")} == {grader for grader, _ in CATEGORIES.values()}


async def test_what_cannot_be_asked_is_refused_before_anything_is_written(
    tmp_path: Path, fake_models: type[FakeLocalLLM]
) -> None:
    path = tmp_path / "seed.db"
    with pytest.raises(ConfigError, match="no chat model"):
        await build_seed_bank(path, models=["base"])
    with pytest.raises(InputError, match="from 1 to"):
        await build_seed_bank(path, models=["small"], count=10**6)
    assert not path.exists()


def test_a_part_covers_all_categories(tmp_path: Path) -> None:
    for count in (8, 40):
        with open_seed_bank(tmp_path / f"{count}.db", count=count) as bank:
            tasks = Counter(question.task for question in bank.questions())
        for category, (_, families) in CATEGORIES.items():
            assert tasks[f"seed/{category}"] == pytest.approx(count * len(families) / 40, abs=1)


def test_sampling_keeps_the_limit_of_the_task() -> None:
    for question in generate(count=40):
        assert seed_sampling(question).max_tokens
        assert seed_sampling(question).temperature == 0.0


def test_the_command_writes_questions_and_grades(tmp_path: Path, fake_models: type[FakeLocalLLM]) -> None:
    app = typer.Typer()
    app.command()(seed_command)
    path = tmp_path / "seed.db"
    runner = CliRunner()
    written = runner.invoke(app, ["--no-grade", "--limit", "12", "--out", str(path), "--json"])
    assert json.loads(written.stdout) == {"bank": str(path), "questions": 12}
    graded = runner.invoke(app, ["--models", "small", "--limit", "12", "--out", str(path), "--json"])
    assert graded.exit_code == 0
    report = json.loads(graded.stdout)
    assert report["complete"] is True
    assert report["answerers"][0]["progress"]["done"] == 12
    assert "small: 12/12" in graded.stderr
