from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from smcs.strategies import STRATEGIES


def test_every_strategy_says_what_it_does(smcs: Callable[..., Any]) -> None:
    result = smcs("strategies", "list")
    assert result.code == 0
    assert len(result.out.splitlines()) == len(STRATEGIES)
    for name, line in zip(STRATEGIES, result.out.splitlines(), strict=True):
        assert line.startswith(f"{name}  ")
        assert len(line) > len(name) + 20


def test_as_json(smcs: Callable[..., Any]) -> None:
    rows = json.loads(smcs("strategies", "list", "--json").out)
    assert [row["name"] for row in rows] == list(STRATEGIES)
    assert all(row["does"] for row in rows)
