from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from smcs.config import edit_parameters, load_config, write_parameters
from smcs.errors import ConfigError

POOL = "pool:\n- name: a  # the only one\n  kind: scripted\naggregators: [a]\nembedder: {kind: hashing}\n"


def test_lines_of_others_stay_as_they_are() -> None:
    text = (
        f"# mine\n{POOL}parameters:\n    # K was argued about\n    k: 5   # five\n\n    n: 8\nprofile: paper # last\n"
    )
    got = edit_parameters(text, {"k": 9, "support_base": 200}, {"k": "today: +1 point"})
    assert got == (
        f"# mine\n{POOL}parameters:\n    support_base: 200\n    # K was argued about\n    # smcs tune today: +1 point\n"
        "    k: 9   # five\n\n    n: 8\nprofile: paper # last\n"
    )
    again = edit_parameters(got, {"k": 11}, {"k": "tomorrow: +2 points"})
    assert again == got.replace("today: +1 point", "tomorrow: +2 points").replace("k: 9", "k: 11")


@pytest.mark.parametrize("ending", ["", "\n", "parameters:", "parameters:\n", "parameters: # none yet\n"])
def test_what_is_missing_is_added(ending: str) -> None:
    got = edit_parameters(POOL + ending, {"k": 3, "guard.shrinkage.regions": 0, "guard.texts": 0.5}, {})
    assert yaml.safe_load(got)["parameters"] == {"k": 3, "guard": {"shrinkage": {"regions": 0}, "texts": 0.5}}


def test_a_mapping_keeps_what_else_it_holds() -> None:
    text = POOL + "parameters:\n  guard: {texts: 2.0, aggregate: never}\n"
    got = edit_parameters(text, {"guard.aggregator_accuracy": 0.25}, {})
    guard = {"texts": 2.0, "aggregate": "never", "aggregator_accuracy": 0.25}
    assert yaml.safe_load(got)["parameters"]["guard"] == guard


@pytest.mark.parametrize(
    "parameters",
    [
        "parameters: {k: 3}\n",
        "parameters: &shared\n  k: 3\n",
        "parameters:\n  guard:\n    texts: 1.0\n",
        "parameters:\n  k:\n    3\n",
        "'parameters':\n  k: 3\n",
    ],
)
def test_what_cannot_be_edited_safely_is_left_alone(parameters: str) -> None:
    with pytest.raises(ConfigError, match=r"nothing was written.*yourself: k: 9, guard\.texts: 2\.0"):
        edit_parameters(POOL + parameters, {"k": 9, "guard.texts": 2.0}, {})


KEYS = st.dictionaries(st.sampled_from(["k", "n", "support_base", "tolerance"]), st.integers(1, 9), min_size=1)


@given(KEYS, KEYS, st.booleans())
def test_an_edit_says_what_was_wanted_or_nothing(present: dict[str, int], wanted: dict[str, int], crlf: bool) -> None:
    text = POOL + "parameters:\n" + "".join(f"  {key}: {value} # why\n" for key, value in present.items())
    text = text.replace("\n", "\r\n") if crlf else text
    got = edit_parameters(text, wanted, dict.fromkeys(wanted, "because"))
    assert yaml.safe_load(got)["parameters"] == {**present, **wanted}
    assert got.count("# why") == len(present)
    assert ("\r\n" in got) == crlf
    assert not crlf or got.count("\n") == got.count("\r\n")


def test_a_file_is_changed_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "smcs.yaml"
    file.write_text(POOL, encoding="utf-8")
    file.chmod(0o640)
    write_parameters(file, {"k": 1, "guard.certain": 0.9}, {"k": "note"})
    settings = load_config(file).settings()
    assert (settings.k, settings.guard.certain, settings.guard.texts) == (1, 0.9, 1.0)
    assert file.stat().st_mode & 0o777 == 0o640
    before = file.read_text(encoding="utf-8")
    with pytest.raises(ConfigError):
        write_parameters(file, {"guard.shrinkage.region": -1.0}, {})
    assert file.read_text(encoding="utf-8") == before
    assert [path.name for path in tmp_path.iterdir()] == ["smcs.yaml"]
