"""smcs: many LLMs give one better answer (arXiv 2507.14200).

`Collaboration` asks a pool of LLMs and returns a `Run`; `QuestionBank` holds what is known about them. Names are loaded
when they are first used, so importing smcs costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smcs.bank import QuestionBank
    from smcs.collaboration import Collaboration
    from smcs.errors import RunError, SmcsError, UserError
    from smcs.run import Query, Run
    from smcs.strategies import Resources, Settings
    from smcs.types import Message, Question

__all__ = (
    "Collaboration",
    "Message",
    "Query",
    "Question",
    "QuestionBank",
    "Resources",
    "Run",
    "RunError",
    "Settings",
    "SmcsError",
    "UserError",
)

__version__ = "0.1.0"

_HOMES = {
    "Collaboration": "smcs.collaboration",
    "Message": "smcs.types",
    "Query": "smcs.run",
    "Question": "smcs.types",
    "QuestionBank": "smcs.bank",
    "Resources": "smcs.strategies",
    "Run": "smcs.run",
    "RunError": "smcs.errors",
    "Settings": "smcs.strategies",
    "SmcsError": "smcs.errors",
    "UserError": "smcs.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'smcs' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
