"""`smcs pool preset`: a config to start from, with a pool that others published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from smcs.config.presets import Preset

__all__ = ("preset",)


def preset(
    name: Annotated[str, typer.Argument(help="Name of the preset: paper-15.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the config to this file, which must not exist yet.")
    ] = None,
    aggregator: Annotated[str | None, typer.Option(help="LLM that merges (default: the paper's).")] = None,
    output_tokens: Annotated[int, typer.Option(min=1, help="Longest answer; the paper has 8192 and 32768.")] = 8192,
    experiments: Annotated[
        bool, typer.Option("--experiments", help="Print the aggregator-selection experiment instead.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the pool as JSON.")] = False,
) -> None:
    """Print or write a config for a published pool, to be edited: addresses, prices, bank."""
    from smcs.config.presets import load_preset, preset_config
    from smcs.errors import ConfigError

    found = load_preset(name)
    text = preset_config(found, aggregator=aggregator, output_tokens=output_tokens)
    if experiments:
        typer.echo(_experiments(name, found))
        return
    if out is not None:
        try:
            with out.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise ConfigError(f"{out} exists already. Choose another --out, or move it away.") from None
        except OSError as error:
            raise ConfigError(f"{out} cannot be written: {error.strerror or error}.") from error
    if as_json:
        typer.echo(json.dumps(_as_dict(found, output_tokens, aggregator), indent=2))
    else:
        typer.echo(text.rstrip() if out is None else f"{out}: {len(found.llms)} LLMs. Edit addresses and prices in it.")


def _as_dict(found: Preset, output_tokens: int, aggregator: str | None) -> dict[str, Any]:
    from smcs.config.presets import aggregator_arms, serve_line

    merger = aggregator or found.aggregator
    report = found.model_dump(mode="json", exclude={"aggregator_selection"})
    report["aggregator"] = merger
    for port, (llm, entry) in enumerate(zip(found.llms, report["llms"], strict=True), start=8001):
        entry["serve"] = serve_line(llm, port=port, output_tokens=output_tokens, aggregates=llm.name == merger)
    report["aggregator_selection"] = [
        {"aggregator": arm.aggregator, "named_by_paper": arm.named_by_paper, "tasks": list(arm.tasks)}
        for arm in aggregator_arms(found)
    ]
    return report


def _experiments(name: str, found: Preset) -> str:
    """Return the commands of the aggregator selection; one store, so that all merge the same references."""
    from smcs.config.presets import aggregator_arms

    lines = ["# Which LLM should aggregate (figure 7 of the paper): the same references, merged by six LLMs."]
    for number, arm in enumerate(aggregator_arms(found), start=1):
        options = f"--tasks {','.join(arm.tasks)} --strategies smcs --record experiments/fig7.db"
        lines += [
            f"# {arm.aggregator}: " + ("named by the paper" if arm.named_by_paper else "our choice"),
            f"smcs pool preset {name} --aggregator {arm.aggregator} --out fig7-{number}.yaml",
            f"smcs bench run --config fig7-{number}.yaml {options} --out experiments/fig7-{number}.jsonl",
        ]
    return "\n".join(
        [
            *lines,
            "smcs reproduce fig7 "
            + " ".join(
                f"--results experiments/fig7-{number}.jsonl.gz" for number in range(1, len(aggregator_arms(found)) + 1)
            ),
        ]
    )
