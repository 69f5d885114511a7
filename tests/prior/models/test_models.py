"""The priors against plain loops, and what all of them promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smcs.errors import ConfigError, InputError
from smcs.prior import PRIORS, find_prior, prior_vector, support_set
from smcs.prior.models import (
    Blend,
    ClusterMeans,
    Factors,
    GlobalMeans,
    Graded,
    GroupMeans,
    KernelRidge,
    NearestNeighbours,
    Rps,
    ShrunkRps,
    Stacked,
)
from smcs.prior.models.averages import kmeans
from smcs.prior.models.combined import _least_squares
from smcs.prior.models.regressions import fit_logistic

Floats = NDArray[np.float64]


def unit(rng: np.random.Generator, count: int, dimensions: int = 6) -> NDArray[np.float32]:
    points = rng.standard_normal((count, dimensions))
    found: NDArray[np.float32] = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    return found


class Bank:
    """A small bank with gaps, and questions to ask."""

    def __init__(self, seed: int, *, count: int = 40, llms: int = 4, gaps: float = 0.2, graded: bool = False) -> None:
        rng = np.random.default_rng(seed)
        self.vectors, self.queries = unit(rng, count), unit(rng, 5)
        grades = rng.random((count, llms))
        self.outcomes: Floats = grades if graded else (grades < 0.5).astype(np.float64)
        self.outcomes[rng.random((count, llms)) < gaps] = np.nan
        self.outcomes[0] = 1.0  # every LLM has an outcome
        self.groups = np.array([f"g{number}" for number in rng.integers(3, size=count)])
        self.asked_groups = np.array(["g0", "g1", "g2", "new", ""])
        self.features, self.asked_features = rng.random((count, 2)), rng.random((5, 2))


def means(bank: Bank) -> Floats:
    columns = bank.outcomes.T
    return np.array([sum(v for v in c if not math.isnan(v)) / sum(not math.isnan(v) for v in c) for c in columns])


def plain_mean(weights: list[float], grades: list[float], shrink: float, overall: float) -> float:
    total, size = shrink * overall, shrink
    for weight, grade in zip(weights, grades, strict=True):
        if not math.isnan(grade):
            total, size = total + weight * grade, size + weight
    return total / size if size > 0 else overall


seeds = st.integers(0, 10_000)


@given(seeds, st.integers(1, 60), st.sampled_from([0.0, 0.5, 0.95, 1.0]), st.booleans(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_rps_is_the_support_set_and_the_prior_vector(
    seed: int, base: int, tolerance: float, graded: bool, whole: bool
) -> None:
    bank = Bank(seed, gaps=0.0 if whole else 0.4, graded=graded)
    got = Rps(base, tolerance).fit(bank.vectors, bank.outcomes, bank.groups).predict(bank.queries, bank.asked_groups)
    similarities = bank.queries @ bank.vectors.T
    for row, expected in zip(got, similarities, strict=True):
        support = support_set(expected, base=base, tolerance=tolerance)
        assert row == pytest.approx(prior_vector(bank.outcomes, support), abs=1e-9, nan_ok=True)


def test_equal_llms_get_equal_priors_to_the_last_bit() -> None:
    bank = Bank(1, count=400, llms=19)
    bank.outcomes[:, 18] = bank.outcomes[:, 3]
    got = Rps(50).fit(bank.vectors, bank.outcomes, bank.groups).predict(bank.queries, bank.asked_groups)
    assert np.array_equal(got[:, 18], got[:, 3])


@given(seeds, st.integers(1, 50))
@settings(max_examples=25, deadline=None)
def test_neighbours_and_graded_weights_are_plain_means(seed: int, k: int) -> None:
    bank = Bank(seed)
    overall = means(bank)
    close = bank.queries.astype(np.float64) @ bank.vectors.T.astype(np.float64)
    near = NearestNeighbours(k).fit(bank.vectors, bank.outcomes, bank.groups).predict(bank.queries, bank.asked_groups)
    smooth = Graded(5.0, 1.0, 0.1).fit(bank.vectors, bank.outcomes, bank.groups)
    graded = smooth.predict(bank.queries, bank.asked_groups)
    drawn = ShrunkRps(k, 0.9, 2.0).fit(bank.vectors, bank.outcomes, bank.groups)
    shrunk = drawn.predict(bank.queries, bank.asked_groups)
    for q in range(len(bank.queries)):
        nearest = sorted(range(len(bank.vectors)), key=lambda row: -close[q, row])[:k]
        same = [bank.asked_groups[q] == group for group in bank.groups]
        weights = [math.exp(5 * close[q, row] + same[row]) for row in range(len(bank.vectors))]
        support = support_set(close[q], base=k, tolerance=0.9)
        positive = [max(0.0, similarity) for similarity in support.similarities]
        for r in range(bank.outcomes.shape[1]):
            column = bank.outcomes[:, r].tolist()
            chosen = [column[row] for row in nearest]
            assert near[q, r] == pytest.approx(plain_mean([1.0] * len(nearest), chosen, 0.0, overall[r]))
            assert graded[q, r] == pytest.approx(plain_mean(weights, column, 0.1 * sum(weights), overall[r]), rel=1e-4)
            rows = [column[row] for row in support.indices]
            assert shrunk[q, r] == pytest.approx(plain_mean(positive, rows, 2.0, overall[r]), rel=1e-4)


@given(seeds, st.sampled_from([0.0, 3.0]))
@settings(max_examples=25, deadline=None)
def test_group_and_global_means_are_plain_means(seed: int, shrink: float) -> None:
    bank = Bank(seed)
    overall = means(bank)
    everything = GlobalMeans().fit(bank.vectors, bank.outcomes, bank.groups).predict(bank.queries, bank.asked_groups)
    assert everything == pytest.approx(np.tile(overall, (5, 1)))
    got = GroupMeans(shrink).fit(bank.vectors, bank.outcomes, bank.groups).predict(bank.queries, bank.asked_groups)
    for q, group in enumerate(bank.asked_groups):
        for r in range(bank.outcomes.shape[1]):
            inside = [v for v, g in zip(bank.outcomes[:, r].tolist(), bank.groups, strict=True) if g == group]
            known = group in set(bank.groups.tolist())
            expected = plain_mean([1.0] * len(inside), inside, shrink, overall[r]) if known else overall[r]
            assert got[q, r] == pytest.approx(expected)


def test_no_label_is_no_group() -> None:
    bank = Bank(3)
    bank.groups[:10] = ""
    got = GroupMeans().fit(bank.vectors, bank.outcomes, bank.groups).predict(bank.queries[4:], [""])
    assert got[0] == pytest.approx(means(bank))


@given(seeds, st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_kmeans_ends_where_no_point_moves(seed: int, count: int) -> None:
    points = unit(np.random.default_rng(seed), 30)
    centres = kmeans(points, count, np.random.default_rng(seed))
    assert centres == pytest.approx(kmeans(points, count, np.random.default_rng(seed)))
    member_of = (points @ centres.T).argmax(axis=1)
    assert set(member_of.tolist()) == set(range(count))
    for cluster in range(count):
        total = points[member_of == cluster].astype(np.float64).sum(axis=0)
        assert centres[cluster] == pytest.approx(total / np.linalg.norm(total), abs=1e-4)


def test_clusters_are_means_of_the_nearest_cluster() -> None:
    rng = np.random.default_rng(0)
    poles = np.eye(6, dtype=np.float32)[:2]
    noise = 0.05 * rng.standard_normal((40, 6))
    vectors = np.repeat(poles, 20, axis=0) + noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    outcomes = np.repeat([[1.0, 0.0], [0.0, 1.0]], 20, axis=0)
    fitted = ClusterMeans(2).fit(vectors, outcomes, [""] * 40)
    assert fitted.predict(poles, ["", ""]) == pytest.approx(np.array([[1.0, 0.0], [0.0, 1.0]]))
    same = ClusterMeans(9).fit(np.tile(poles[:1], (5, 1)), outcomes[:5], [""] * 5)
    assert same.predict(poles[:1], [""]) == pytest.approx(np.array([[1.0, 0.0]]))


@given(seeds)
@settings(max_examples=15, deadline=None)
def test_logistic_regression_is_at_the_maximum(seed: int) -> None:
    bank = Bank(seed, graded=seed % 2 == 0)
    weights, intercepts = fit_logistic(bank.vectors, bank.outcomes, ridge=1.5)
    for r in range(bank.outcomes.shape[1]):
        slope, level = -1.5 * weights[:, r], 0.0
        for vector, grade in zip(bank.vectors.astype(np.float64), bank.outcomes[:, r].tolist(), strict=True):
            if not math.isnan(grade):
                left = grade - 1 / (1 + math.exp(-(vector @ weights[:, r] + intercepts[r])))
                slope, level = slope + left * vector, level + left
        assert np.abs(slope).max() < 1e-2
        assert abs(level) < 1e-2


def test_factors_of_full_rank_are_a_ridge_regression() -> None:
    bank = Bank(5, gaps=0.0)
    got = Factors(rank=4, ridge=2.0).fit(bank.vectors, bank.outcomes, bank.groups)
    centre = bank.vectors.astype(np.float64).mean(axis=0)
    centred = bank.vectors - centre
    weights = np.linalg.inv(centred.T @ centred + 2.0 * np.eye(6)) @ centred.T @ (bank.outcomes - means(bank))
    expected = (bank.queries - centre) @ weights + means(bank)
    assert got.predict(bank.queries, bank.asked_groups) == pytest.approx(expected, abs=1e-6)
    low = Factors(rank=1, ridge=2.0).fit(bank.vectors, bank.outcomes, bank.groups)
    away = low.predict(bank.queries, bank.asked_groups) - means(bank)
    assert np.linalg.matrix_rank(away, tol=1e-9) == 1


def test_kernel_ridge_is_the_textbook_formula_at_the_ridge_that_gcv_chooses() -> None:
    bank = Bank(6, gaps=0.0, llms=1)
    fitted = KernelRidge(width=0.7, group_scale=0.0, landmarks=40).fit(bank.vectors, bank.outcomes, bank.groups)
    got = fitted.predict(bank.queries, bank.asked_groups)[:, 0]

    def kernel(a: Floats, b: Floats) -> Floats:
        return np.array([[math.exp(-0.7 * float(((x - y) ** 2).sum())) for y in b] for x in a])

    known, new = bank.vectors.astype(np.float64), bank.queries.astype(np.float64)
    middle = np.eye(40) - 1 / 40
    inner, goals = middle @ kernel(known, known) @ middle, middle @ bank.outcomes[:, 0]
    criteria, predictions = [], []
    for ridge in np.geomspace(0.5, 500.0, 16):
        inverse = np.linalg.inv(inner + ridge * np.eye(40))
        smoother = inner @ inverse
        left = goals - smoother @ goals
        criteria.append(float(left @ left) / (1 - float(np.trace(smoother)) / 40) ** 2)
        crossing = (kernel(new, known) - kernel(known, known).mean(axis=0)) @ middle
        predictions.append(crossing @ inverse @ goals + bank.outcomes[:, 0].mean())
    assert got == pytest.approx(predictions[int(np.argmin(criteria))], abs=1e-3)


def two_worlds(seed: int, count: int = 400) -> Bank:
    """Return a bank in which a good LLM and a bad one change places by the sign of the first coordinate."""
    bank = Bank(seed, count=count, llms=3, gaps=0.1)
    rng = np.random.default_rng(seed)
    side = bank.vectors[:, :1] > 0
    chances = np.where(side, [0.9, 0.1, 0.5], [0.1, 0.9, 0.5])
    gaps = np.isnan(bank.outcomes)
    bank.outcomes = (rng.random(chances.shape) < chances).astype(np.float64)
    bank.outcomes[gaps] = np.nan
    poles = np.zeros((2, 6), dtype=np.float32)
    poles[:, 0] = [1, -1]
    bank.queries = poles
    return bank


@pytest.mark.parametrize("name", [name for name in PRIORS if name not in ("global", "subject")])
def test_local_priors_see_which_llm_is_good_where(name: str) -> None:
    bank = two_worlds(2)
    model = Rps(40) if name == "rps" else NearestNeighbours(40) if name == "knn" else PRIORS[name].model()
    got = model.fit(bank.vectors, bank.outcomes, bank.groups).predict(bank.queries, ["", ""])
    assert got.argmax(axis=1).tolist() == [0, 1]
    assert got.argmin(axis=1).tolist() == [1, 0]


@pytest.mark.parametrize("name", list(PRIORS))
def test_every_prior_keeps_its_promises(name: str) -> None:
    bank = Bank(8)
    bank.outcomes = np.insert(bank.outcomes, 2, np.nan, axis=1)
    arguments = (bank.vectors, bank.outcomes, bank.groups, bank.features)
    fitted = PRIORS[name].model().fit(*arguments)
    got = fitted.predict(bank.queries, bank.asked_groups, bank.asked_features)
    assert got.shape == (5, 5)
    assert np.isnan(got[:, 2]).all()
    assert np.isfinite(np.delete(got, 2, axis=1)).all()
    again = PRIORS[name].model().fit(*arguments).predict(bank.queries, bank.asked_groups, bank.asked_features)
    assert np.array_equal(got, again, equal_nan=True)
    one = fitted.predict(bank.queries[3:4], bank.asked_groups[3:4], bank.asked_features[3:4])
    assert one[0] == pytest.approx(got[3], nan_ok=True, rel=1e-5)


def test_features_tell_llms_apart_where_embeddings_do_not() -> None:
    rng = np.random.default_rng(0)
    feature = rng.standard_normal((300, 1))
    vectors = np.tile(np.eye(6)[:1], (300, 1))
    outcomes = np.concatenate([feature > 0, feature <= 0], axis=1).astype(np.float64)
    for model in (KernelRidge(feature_scale=1.0), Blend((KernelRidge(feature_scale=1.0), GlobalMeans()))):
        fitted = model.fit(vectors, outcomes, [""] * 300, feature)
        assert fitted.predict(vectors[:2], ["", ""], [[2.0], [-2.0]]).argmax(axis=1).tolist() == [0, 1]


def test_an_llm_that_missed_the_hard_questions_is_not_taken_for_able() -> None:
    rng = np.random.default_rng(4)
    vectors, hard = unit(rng, 600), np.arange(600) % 2 == 0
    chances = np.where(hard[:, None], [0.5, 0.3], [0.9, 0.7])
    outcomes = (rng.random(chances.shape) < chances).astype(np.float64)
    outcomes[hard, 1] = np.nan  # the worse LLM was asked easy questions only: its mean of 0.7 equals the other's
    for model in (Factors(), KernelRidge()):
        got = model.fit(vectors, outcomes, [""] * 600).predict(vectors[:50], [""] * 50).mean(axis=0)
        assert got[0] - got[1] > 0.1


def test_stacking_gives_the_weight_to_the_part_that_knows() -> None:
    from smcs.prior.models.protocol import Evidence

    bank = two_worlds(3)
    stacked = Stacked((GlobalMeans(), Graded(8.0, 0.0)))
    weights = stacked.weigh(Evidence(bank.vectors, bank.outcomes, bank.groups, np.empty((400, 0))))
    assert weights[0] >= 0
    assert weights[1] > 0.7
    tiny = Evidence(bank.vectors[:2], bank.outcomes[:2], bank.groups[:2], np.empty((2, 0)))
    assert stacked.weigh(tiny) == pytest.approx([0.5, 0.5])


def test_a_large_bank_is_sampled() -> None:
    bank = two_worlds(5, count=800)
    fitted = KernelRidge(landmarks=50, most=300).fit(bank.vectors, bank.outcomes, bank.groups)
    assert fitted.predict(bank.queries, ["", ""]).argmax(axis=1).tolist() == [0, 1]


def test_what_does_not_fit_is_refused() -> None:
    bank = Bank(1)
    model = Rps()
    with pytest.raises(InputError, match="length 1"):
        model.fit(2 * bank.vectors, bank.outcomes, bank.groups)
    with pytest.raises(InputError, match="one row per embedding"):
        model.fit(bank.vectors, bank.outcomes[1:], bank.groups)
    with pytest.raises(InputError, match="from 0 to 1"):
        model.fit(bank.vectors, 100 * bank.outcomes, bank.groups)
    with pytest.raises(InputError, match="no known grade"):
        model.fit(bank.vectors, np.full((40, 4), np.nan), bank.groups)
    with pytest.raises(InputError, match="one label per question"):
        model.fit(bank.vectors, bank.outcomes, bank.groups[1:])
    with pytest.raises(InputError, match="`features` must have one row"):
        model.fit(bank.vectors, bank.outcomes, bank.groups, bank.features[1:])
    fitted = KernelRidge().fit(bank.vectors, bank.outcomes, bank.groups, bank.features)
    with pytest.raises(InputError, match=r"6 dimensions and 2 features"):
        fitted.predict(bank.queries, bank.asked_groups)


def test_priors_are_found_by_name() -> None:
    assert next(iter(PRIORS)) == "rps"
    assert find_prior("kernel").uses_features
    with pytest.raises(ConfigError, match="kernel"):
        find_prior("kernle")


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_stacking_weights_are_the_best_that_are_not_negative(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, goals = rng.standard_normal((30, 3)), rng.standard_normal(30)
    found = _least_squares(points.T @ points, points.T @ goals)
    slope = points.T @ (points @ found - goals)
    assert (found >= 0).all()
    assert np.abs(slope[found > 0]).max(initial=0.0) < 1e-6
    assert slope.min() > -1e-6
