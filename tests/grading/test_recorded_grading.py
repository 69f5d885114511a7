"""A sample of what benchmarks/grading.py measures in full, on recorded data where it is present."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SMCS_DATA", ROOT / ".." / "shared" / "data"))


@pytest.fixture(scope="module")
def grading() -> ModuleType:
    pytest.importorskip("math_verify")
    if not (DATA / "benchmarks").is_dir():
        pytest.skip(f"no recorded data at {DATA}")
    spec = importlib.util.spec_from_file_location("grading_benchmark", ROOT / "benchmarks" / "grading.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_golds_are_right_and_spoilt_golds_wrong(grading: ModuleType) -> None:
    rows, exceptions = grading.check_golds(DATA, 40)
    assert {row["benchmark"] for row in rows} == set(grading.GRADERS)
    assert sum(row["right ok"] for row in rows) >= 0.995 * sum(row["right"] for row in rows), exceptions
    assert sum(row["wrong ok"] for row in rows) >= 0.995 * sum(row["wrong"] for row in rows), exceptions


def test_letters_agree_with_recorded_predictions(grading: ModuleType) -> None:
    pytest.importorskip("pyarrow")
    if not (DATA / "mmlu_pro_recorded").is_dir():
        pytest.skip(f"no recorded responses at {DATA}")
    rows, _ = grading.check_agreement(DATA, 3_000)
    recorded = sum(row["recorded"] for row in rows)
    assert recorded > 4_000
    assert sum(row["same_letter"] for row in rows) >= 0.97 * recorded
    assert sum(row["same_verdict"] for row in rows) >= 0.985 * recorded
