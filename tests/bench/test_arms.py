"""Arms, sweeps and ablations written as text."""

from __future__ import annotations

import pytest

from smcs.bench import ArmSpec
from smcs.bench.arms import ablations, parse_arm, parse_sweep, swept
from smcs.errors import ConfigError, InputError


def test_arms_are_read() -> None:
    assert parse_arm("moa") == ArmSpec("moa", "moa", {})
    assert parse_arm("small=smcs:k=3,n=4,balance=0.5") == ArmSpec("small", "smcs", {"k": 3, "n": 4, "balance": 0.5})
    assert parse_arm("smcs:k=3") == ArmSpec("smcs k=3", "smcs", {"k": 3})
    assert parse_arm("x=rps:llms=a+b").settings == {"llms": ["a", "b"]}
    assert parse_arm("x=rps:llms=5").settings == {"llms": 5}
    assert parse_arm("x=smcs:without=rps+perplexity").settings == {"without": ["rps", "perplexity"]}
    assert parse_arm("x=smcs_guarded:guard.aggregate=never").settings == {"guard.aggregate": "never"}
    assert parse_arm("x=smcs:straggler_cut=null,prior=knn").settings == {"straggler_cut": None, "prior": "knn"}


def test_sweeps_multiply_arms() -> None:
    arms = swept([parse_arm("smcs"), parse_arm("rps")], [parse_sweep("k=1,3"), parse_sweep("tolerance=0.9")])
    assert [arm.name for arm in arms] == [
        "smcs k=1 tolerance=0.9", "smcs k=3 tolerance=0.9", "rps k=1 tolerance=0.9", "rps k=3 tolerance=0.9",
    ]  # fmt: skip
    assert arms[1].settings == {"k": 3, "tolerance": 0.9}
    assert parse_sweep("llms=a+b,c") == ("llms", (["a", "b"], ["c"]))


def test_ablations_leave_out_each_part_and_all_of_them() -> None:
    arms = ablations(ArmSpec("smcs", "smcs", {"k": 5}))
    assert [arm.settings.get("without") for arm in arms] == [
        None, ["rps"], ["prior_drop"], ["similarity"], ["perplexity"],
        ["rps", "prior_drop", "similarity", "perplexity"],
    ]  # fmt: skip
    assert all(arm.settings["k"] == 5 for arm in arms)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("smsc", ConfigError, "Unknown strategy 'smsc'.*smcs"),
        ("smcs:kk=3", InputError, "Unknown setting 'kk'"),
        ("smcs:k", InputError, "'k' is no setting"),
        ("=smcs", InputError, "has no name"),
        ("smcs:seed=3", InputError, "Unknown setting 'seed'"),
    ],
)
def test_mistakes_in_arms(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_arm(text)


@pytest.mark.parametrize(("text", "message"), [("k", "has no values"), ("k=", "has no values"), ("q=1", "Unknown")])
def test_mistakes_in_sweeps(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_sweep(text)
