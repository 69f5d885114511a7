"""What the documents say is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from smcs.config import parse_config
from smcs.strategies import PROFILES

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "docs" / "configuration.md"], ids=lambda path: path.name)
def test_config_examples_are_valid(path: Path) -> None:
    blocks = BLOCK.findall(path.read_text())
    assert blocks
    for block in blocks:
        parse_config(yaml.safe_load(block), where=path.name)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_inside_the_repository_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_table_of_profiles_is_that_of_the_code() -> None:
    text = (ROOT / "docs" / "profiles.md").read_text()
    names = re.findall(r"`(\w+)`", text.split("\n| parameter")[1].splitlines()[0])
    for row in re.findall(r"^\| `(\w+)` \| [^|]+ \| (.+) \|$", text, re.MULTILINE):
        parameter, cells = row[0], [cell.strip() for cell in row[1].split("|")]
        for name, cell in zip(names, cells, strict=True):
            expected = getattr(PROFILES[name], parameter)
            assert cell == ("off" if expected is None else str(expected)), (name, parameter)


def test_the_readme_names_both_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert "make demo" in text
    assert "make test" in text
