from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers_bank import small_bank
from smcs.bank import QuestionBank
from smcs.errors import BankError
from smcs.studio.bank import data
from smcs.studio.bank.catalogue import load_catalogue
from smcs.studio.bank.map_view import groups_by_label, groups_by_verdict, map_plot
from smcs.studio.bank.projection import principal_plane, project
from smcs.types import Question


@pytest.mark.parametrize(("count", "dimensions"), [(300, 12), (40, 200), (5, 3), (3, 8)])
def test_plane_is_that_of_the_singular_value_decomposition(count: int, dimensions: int) -> None:
    rng = np.random.default_rng(count)
    vectors = (rng.standard_normal((count, dimensions)) * np.linspace(4, 1, dimensions)).astype(np.float32)
    places, kept = principal_plane(vectors)
    centred = vectors.astype(np.float64) - vectors.astype(np.float64).mean(axis=0)
    left, strengths, _ = np.linalg.svd(centred, full_matrices=False)
    assert kept == pytest.approx(tuple(strengths[:2] ** 2 / (strengths**2).sum()), rel=2e-2)
    expected = left[:, :2] * strengths[:2]
    for axis in range(2):
        aligned = abs(float(places[:, axis] @ expected[:, axis])) / (strengths[axis] ** 2)
        assert aligned == pytest.approx(1, abs=2e-2)
    np.testing.assert_allclose(places.mean(axis=0), 0, atol=1e-4)


def test_plane_does_not_change_from_one_call_to_the_next() -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 20)).astype(np.float32)
    first, second = principal_plane(vectors), principal_plane(vectors)
    np.testing.assert_array_equal(first[0], second[0])
    assert first[1] == second[1]


@pytest.mark.parametrize(
    ("vectors", "kept"),
    [
        (np.zeros((0, 4)), (0, 0)),
        (np.ones((1, 4)), (0, 0)),
        (np.ones((6, 4)), (0, 0)),
        (np.array([[0.0], [1.0], [2.0]]), (1, 0)),
        (np.array([[0.0, 0.0], [1.0, 1.0]]), (1, 0)),
    ],
)
def test_degenerate_banks_have_a_picture_too(vectors: np.ndarray, kept: tuple[float, float]) -> None:
    places, shares = principal_plane(vectors.astype(np.float32))
    assert places.shape == (len(vectors), 2)
    assert np.isfinite(places).all()
    assert shares == pytest.approx(kept, abs=1e-6)


def test_large_banks_are_sampled_the_same_way_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smcs.studio.bank.projection.SAMPLE", 30)
    with small_bank(tmp_path / "bank.db", count=100) as bank:
        catalogue, index = load_catalogue(bank), bank.index()
        first, second = project(catalogue, index), project(catalogue, index)
    assert (len(first.rows), first.embedded) == (30, 100)
    assert first.rows.tolist() == sorted(set(first.rows.tolist())) == second.rows.tolist()
    np.testing.assert_array_equal(first.places, second.places)


async def test_picture_names_its_questions(tmp_path: Path) -> None:
    with small_bank(tmp_path / "bank.db", count=30) as bank:
        bank.index()
        bank.add_questions([Question("q9999", "not embedded")])
        picture = await data.picture(bank)
        assert (len(picture.ids), picture.questions, picture.projection.embedded) == (30, 31, 30)
        for question_id, text, label in zip(picture.ids, picture.texts, picture.labels, strict=True):
            (question,) = bank.questions([question_id])
            assert (text, label.task, label.subject) == (question.text, question.task, question.subject)


async def test_verdicts_are_the_outcomes(tmp_path: Path) -> None:
    with small_bank(tmp_path / "bank.db", count=80) as bank:
        picture = await data.picture(bank)
        scores = {outcome.question_id: outcome.score for outcome in bank.recorded("llm001")}
        expected = [None if scores.get(one) is None else scores[one] == 1 for one in picture.ids]
        assert list(await data.verdicts(bank, picture, "llm001")) == expected
        assert {True, False, None} == set(expected)


def test_most_common_names_get_a_colour_of_their_own() -> None:
    names = [f"s{place}" for place in range(9) for _ in range(20 - place)]
    groups = groups_by_label(names, "other subjects")
    assert [name for name, _, _ in groups] == ["s0", "s1", "s2", "s3", "s4", "other subjects"]
    assert sorted(place for _, _, members in groups for place in members) == list(range(len(names)))
    assert all(names[place] == name for name, _, members in groups[:-1] for place in members)
    assert [name for name, _, _ in groups_by_label(["b", "a", "b"], "others")] == ["b", "a"]
    assert groups_by_label([], "others") == ()


def test_verdict_groups_leave_out_what_does_not_occur() -> None:
    assert groups_by_verdict([True, None, True]) == (("right", "good", (0, 2)), ("no graded answer", "muted", (1,)))


async def test_plot_has_every_point_once(tmp_path: Path) -> None:
    with small_bank(tmp_path / "bank.db", count=30) as bank:
        picture = await data.picture(bank)
    plot = map_plot(picture, groups_by_label([label.name for label in picture.labels], "others"))
    drawn = [value for series in plot.series for value in series.values]
    assert len(drawn) == len(plot.table.rows) == 30
    for value, row in zip(drawn, plot.table.rows, strict=True):
        place = picture.ids.index(str(row[0]))
        assert isinstance(value, tuple)
        assert value[:2] == pytest.approx(tuple(picture.projection.places[place]))
        assert picture.texts[place] in value[2]


async def test_a_bank_without_vectors_has_no_picture(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        bank.add_questions([Question("a", "b")])
        with pytest.raises(BankError, match="no embeddings"):
            await data.picture(bank)
