"""The names users write, and how little importing them costs."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import pytest

import smcs
from smcs import bench, posterior, prior

HEAVY = (
    "aiohttp",
    "msgspec",
    "numpy",
    "openai",
    "platformdirs",
    "pyarrow",
    "pydantic",
    "rich",
    "safetensors",
    "sentence_transformers",
    "simsimd",
    "sqlalchemy",
    "tokenizers",
    "torch",
    "typer",
    "uvloop",
    "xllamacpp",
    "yaml",
)

HEAVY_FOR_HELP = tuple(name for name in HEAVY if name not in ("rich", "typer"))
"""`--help` is drawn by rich and typer; it needs nothing else."""


def loaded_after(code: str, names: tuple[str, ...]) -> list[str]:
    """Run code in a fresh interpreter; return which of the packages it loaded."""
    script = f"{code}\nimport sys, json\nprint('\\n' + json.dumps([n for n in {names!r} if n in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=110)
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_every_public_name_is_there() -> None:
    for name in smcs.__all__:
        assert getattr(smcs, name).__name__ == name
    assert set(smcs.__all__) <= set(dir(smcs))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'smcs' has no attribute 'Colaboration'"):
        smcs.Colaboration  # noqa: B018


def test_importing_smcs_loads_nothing_heavy() -> None:
    assert loaded_after("import smcs", HEAVY) == []


def test_names_are_loaded_when_they_are_used() -> None:
    assert loaded_after("import smcs; smcs.Message('user', 'hi'); smcs.Run; smcs.UserError", HEAVY) == []
    assert "numpy" in loaded_after("import smcs; smcs.Collaboration", HEAVY)


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [(["--help"], []), (["--version"], []), (["ask", "--help"], ["pydantic"])],  # typer reads parameters with pydantic
    ids=["help", "version", "ask"],
)
def test_help_loads_only_what_it_shows(arguments: list[str], allowed: list[str]) -> None:
    code = f"""
import sys
from smcs.cli import main
sys.argv = ["smcs", *{arguments!r}]
try:
    main()
except SystemExit as end:
    assert not end.code
"""
    assert set(loaded_after(code, HEAVY_FOR_HELP)) <= set(allowed)


def test_the_console_script_is_installed() -> None:
    (script,) = [point for point in entry_points(group="console_scripts") if point.name == "smcs"]
    assert script.value == "smcs.cli:main"


REQUIRED: dict[Callable[..., Any], tuple[list[str], dict[str, Any]]] = {
    prior.support_set: (["similarities"], {"base": 400, "tolerance": 0.95}),
    prior.prior_vector: (["outcomes", "support"], {}),
    prior.recruit: (["prior", "k"], {}),
    posterior.drop_distribution: (["priors"], {}),
    posterior.draw_subsets: (["distribution"], {"size": inspect.Parameter.empty, "n": inspect.Parameter.empty}),
    posterior.mean_pairwise_similarity: (["embeddings"], {}),
    posterior.perplexity: (["logprobs"], {}),
    posterior.hybrid_score: (["similarity", "perplexity"], {"balance": 1.0}),
    bench.pairwise_ranking_score: (["priors", "correct"], {}),
}


@pytest.mark.parametrize("function", REQUIRED, ids=lambda function: function.__name__)
def test_the_functions_others_call_have_their_signatures(function: Callable[..., Any]) -> None:
    positional, keywords = REQUIRED[function]
    parameters = inspect.signature(function).parameters
    in_place = [p.name for p in parameters.values() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert in_place == positional
    for name, default in keywords.items():
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default == default


def test_the_bank_and_the_collaboration_have_their_methods() -> None:
    for name in ("open", "create", "search", "import_from"):
        assert callable(getattr(smcs.QuestionBank, name))
    assert next(iter(inspect.signature(smcs.Collaboration.from_config).parameters)) == "path"
    assert inspect.iscoroutinefunction(smcs.Collaboration.ask)
    assert inspect.isasyncgenfunction(smcs.Collaboration.stream)
    assert not inspect.iscoroutinefunction(smcs.Collaboration.ask_sync)
