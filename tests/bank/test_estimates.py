from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers_bank import EMBEDDER, fill
from helpers_newcomer import World, world
from smcs.bank import QuestionBank, index_scores, survey_of
from smcs.bank.estimates import load_estimates
from smcs.prior import prior_vector
from smcs.prior.growth import infer, predict
from smcs.types import Outcome


@pytest.fixture(scope="module")
def made() -> World:
    return world(300, 6)


def bank_of(path: Path, scores: np.ndarray, made: World) -> QuestionBank:
    bank = QuestionBank.create(path)
    fill(bank, scores, made.embeddings.astype(np.float64))
    return bank


def few_outcomes(made: World) -> np.ndarray:
    """llm002 has 20 outcomes, llm004 none, the others all."""
    scores = made.outcomes.copy()
    scores[np.random.default_rng(0).permutation(300)[20:], 2] = np.nan
    scores[:, 4] = np.nan
    return scores


def test_predictions_stand_in_for_missing_outcomes_of_llms_with_few(tmp_path: Path, made: World) -> None:
    scores = few_outcomes(made)
    with bank_of(tmp_path / "bank.db", scores, made) as bank:
        query = made.embeddings[7]
        plain, found = bank.search(query, base=50), bank.search(query, base=50, estimates=True)
        index = bank.index()
        known = survey_of(index)
        rows = np.flatnonzero(~np.isnan(scores[:, 2]))
        chances = predict(known, infer(known, rows, scores[rows, 2])).astype(np.float32)
    filled = scores.copy()
    filled[:, 2] = np.where(np.isnan(scores[:, 2]), chances, scores[:, 2])
    assert known.references == 4
    assert plain.estimated == ()
    assert found.estimated == (False, False, True, False, False, False)
    np.testing.assert_allclose(found.prior[2], prior_vector(filled[:, [2]], found.support)[0], rtol=1e-6)
    others = [0, 1, 3, 5]
    assert found.prior[others].tolist() == plain.prior[others].tolist()
    assert np.isnan(found.prior[4])
    weight = found.support.similarities.sum()
    true = prior_vector(made.chances[:, [2]], found.support)[0]
    assert abs(found.prior[2] - true) < abs(plain.prior[2] - true)
    assert 0 < found.prior[2] < weight


def test_estimates_are_kept_beside_the_index_and_made_again_for_a_new_state(tmp_path: Path, made: World) -> None:
    with bank_of(tmp_path / "bank.db", few_outcomes(made), made) as bank:
        first = load_estimates(bank.index())
        assert first is not None
        kept = bank.index().folder / "estimates.npy"
        before = kept.stat().st_mtime_ns
        again = load_estimates(bank.index())
        assert again is not None
        assert kept.stat().st_mtime_ns == before
        assert np.array_equal(first.chances, again.chances)
        kept.unlink()
        (kept.parent / "estimated_columns.npy").unlink()
        anew = load_estimates(bank.index())
        assert anew is not None
        assert np.array_equal(first.chances, anew.chances)
        bank.record([Outcome("q0001", "llm004", 1.0)])
        more = load_estimates(bank.index())
        assert more is not None
        assert more.columns.tolist() == [2, 4]
        many = bank.search_many(made.embeddings[:3], estimates=True)
        assert [row.estimated[4] for row in many] == [True] * 3


def test_whole_banks_need_none(tmp_path: Path, made: World) -> None:
    with bank_of(tmp_path / "bank.db", made.outcomes, made) as bank:
        assert load_estimates(bank.index()) is None
        assert load_estimates(bank.index()) is None
        assert bank.search(made.embeddings[0], estimates=True).estimated == ()


def test_with_few_well_graded_llms_the_own_mean_stands_in(tmp_path: Path, made: World) -> None:
    scores = few_outcomes(made)[:, :3]
    with bank_of(tmp_path / "bank.db", scores, made) as bank:
        assert survey_of(bank.index()).references == 0
        found = load_estimates(bank.index())
    assert found is not None
    assert found.columns.tolist() == [2]
    assert np.ptp(found.chances) == 0
    assert abs(found.chances[0, 0] - np.nanmean(scores[:, 2])) < 0.1


def test_half_graded_llms_serve_where_too_few_are_well_graded_and_the_newcomer_never_does(
    tmp_path: Path, made: World
) -> None:
    scores = made.outcomes.copy()
    scores[:100, 1:] = np.nan
    with bank_of(tmp_path / "bank.db", scores, made) as bank:
        index = bank.index()
        assert survey_of(index).references == 6
        assert survey_of(index, without="llm003").references == 5
        assert load_estimates(index) is None
        np.testing.assert_array_equal(index_scores(index), scores.astype(np.float32))
        assert index.embedder == EMBEDDER


def test_scores_between_0_and_1_are_estimated_too(tmp_path: Path, made: World) -> None:
    scores = np.round(made.chances, 2)
    scores[30:, 0] = np.nan
    with bank_of(tmp_path / "bank.db", scores, made) as bank:
        found = bank.search(made.embeddings[3], estimates=True)
        plain = bank.search(made.embeddings[3])
    assert found.estimated[0]
    assert found.prior[0] != plain.prior[0]
