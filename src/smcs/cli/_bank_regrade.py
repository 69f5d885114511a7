"""`smcs bank regrade`: recorded answers graded again, without asking an LLM a second time."""

from __future__ import annotations

import json
from typing import Annotated

import typer

__all__ = ("regrade",)


def regrade(
    url: Annotated[str, typer.Argument(metavar="BANK", help="Path or database URL.")],
    llm: Annotated[list[str] | None, typer.Option("--llm", help="Only answers of this LLM; may be repeated.")] = None,
    only_ungraded: Annotated[
        bool, typer.Option("--only-ungraded", help="Leave answers alone that have a grade.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Grade the answers a bank keeps again, as after a grader was mended. No LLM is asked."""
    from smcs.config import open_bank
    from smcs.evaluate import regrade as grade_again

    with open_bank(url) as bank:
        names = tuple(llm) if llm else bank.llms
        changed = grade_again(bank, names, only_ungraded=only_ungraded)
        left = sum(row.ungraded for row in bank.info().llms if row.llm in names)
    if as_json:
        typer.echo(json.dumps({"changed": changed, "ungraded": left}))
        return
    typer.echo(f"{changed:,} answers have a new grade, {left:,} still have none")
