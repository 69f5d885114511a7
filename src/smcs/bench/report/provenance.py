"""Under what the results were made, as lines of a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from smcs.bench.results import Header

__all__ = ("facts",)

_LISTED = 12


def facts(header: Header) -> tuple[tuple[str, str], ...]:
    """Return name and text of everything a header says, bounded in length."""
    commit = "unknown" if header.commit is None else header.commit
    if header.dirty:
        commit += " with uncommitted changes"
    return (
        ("experiment", header.name),
        ("made", header.created),
        ("command", header.command),
        ("commit", commit),
        ("versions", _pairs(header.versions)),
        ("hardware", _pairs(header.hardware)),
        ("LLMs", _names(header.llms)),
        ("aggregators", _names(header.aggregators) or "none"),
        ("seeds", _names(header.seeds)),
        ("bank", _pairs(header.bank) or "none"),
        ("config", _pairs(header.config) or "none"),
    )


def _names(names: tuple[Any, ...]) -> str:
    shown = ", ".join(str(name) for name in names[:_LISTED])
    return f"{shown} and {len(names) - _LISTED} more" if len(names) > _LISTED else shown


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value if isinstance(value, str) else json.dumps(value)}"[:400] for name, value in values.items()
    )
