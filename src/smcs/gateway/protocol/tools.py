"""Tools of a request, and which of them may or must be called."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from smcs.gateway.protocol.parsing import Body

__all__ = (
    "CustomChoice",
    "CustomTool",
    "FunctionChoice",
    "FunctionDefinition",
    "FunctionTool",
    "NamedFunction",
    "Tool",
    "ToolChoice",
)

_FunctionName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:/-]+$")]


class FunctionDefinition(Body):
    """A function that may be called."""

    name: _FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """JSON schema of the arguments."""
    strict: bool | None = None


class FunctionTool(Body):
    """A tool with JSON arguments."""

    type: Literal["function"]
    function: FunctionDefinition
    cache_control: dict[str, Any] | None = None
    """Hint to a prompt cache; changes no answer."""


class _CustomDefinition(Body):
    name: _FunctionName
    description: str | None = None
    format: dict[str, Any] | None = None


class CustomTool(Body):
    """A tool with free-form input."""

    type: Literal["custom"]
    custom: _CustomDefinition


Tool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]
"""A tool of either kind."""


class NamedFunction(Body):
    """A function by its name."""

    name: _FunctionName


class FunctionChoice(Body):
    """This function must be called."""

    type: Literal["function"]
    function: NamedFunction


class CustomChoice(Body):
    """This tool must be called."""

    type: Literal["custom"]
    custom: NamedFunction


class _Allowed(Body):
    mode: Literal["auto", "required"]
    tools: Annotated[list[dict[str, Any]], Field(max_length=128)]


class _AllowedChoice(Body):
    type: Literal["allowed_tools"]
    allowed_tools: _Allowed


ToolChoice = (
    Literal["none", "auto", "required"]
    | Annotated[FunctionChoice | CustomChoice | _AllowedChoice, Field(discriminator="type")]
)
"""Whether tools may, must or must not be called, or which one must be."""
