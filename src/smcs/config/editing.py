"""Setting parameters in a config file that people wrote: the lines concerned change, and no other.

YAML libraries lose comments and layout when they write, so the text itself is edited, and then read back: unless it
says exactly what was wanted, nothing is written.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from smcs.config.load import parse_config
from smcs.errors import ConfigError

__all__ = ("edit_parameters", "write_parameters")

_MARK = "# smcs tune"


def write_parameters(path: Path, values: Mapping[str, Any], notes: Mapping[str, str]) -> None:
    """Set parameters in a config file, all at once or not at all.

    Args:
        path: The file.
        values: As `edit_parameters`.
        notes: As `edit_parameters`.

    Raises:
        ConfigError: As `edit_parameters`, or the file cannot be read or written, or would not be valid.
    """
    real = path.resolve()
    try:
        before = real.read_text(encoding="utf-8")
        after = edit_parameters(before, values, notes, where=str(path))
        parse_config(yaml.safe_load(after), where=str(path))
        handle, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(after)
            Path(name).chmod(real.stat().st_mode & 0o7777)
            Path(name).replace(real)
        finally:
            Path(name).unlink(missing_ok=True)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be changed: {error}.") from error


def edit_parameters(text: str, values: Mapping[str, Any], notes: Mapping[str, str], *, where: str = "config") -> str:
    """Return a config file's text with some of its `parameters` set.

    Args:
        text: The file.
        values: New values by key of `parameters`; a dot leads into a mapping, e.g. "guard.certain".
        notes: What is written in a comment above a key: where its value comes from.
        where: Named in errors.

    Raises:
        ConfigError: The file is not a YAML mapping, or its `parameters` are laid out in a way that cannot be edited
            without touching other lines; the message says what to write by hand.
    """
    before = _parsed(text, where)
    wanted = _merged(before.get("parameters") or {}, values)
    keys = dict.fromkeys(key.partition(".")[0] for key in values)
    lines = text.splitlines(keepends=True)
    newline = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    start = _head(lines, newline)
    if start is None:
        if "parameters" in before:
            raise _by_hand(where, values)
        start = _added(lines, newline)
    for key in keys:
        note = next((notes[name] for name in values if name.partition(".")[0] == key and name in notes), "")
        _set(lines, start, key, wanted[key], note, newline)
    after = "".join(lines)
    if not _says(after, {**before, "parameters": wanted}):
        raise _by_hand(where, values)
    return after


def _says(text: str, wanted: Mapping[str, Any]) -> bool:
    try:
        return bool(yaml.safe_load(text) == wanted)
    except yaml.YAMLError:
        return False


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{where} must hold a mapping of keys.")
    return data


def _merged(present: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(present)
    for key, value in values.items():
        head, _, rest = key.partition(".")
        if rest:
            inside = result.get(head)
            result[head] = _merged(inside if isinstance(inside, dict) else {}, {rest: value})
        else:
            result[head] = value
    return result


def _head(lines: list[str], newline: str) -> int | None:
    """Return the line that says `parameters:` and no more, or `None`."""
    for number, line in enumerate(lines):
        if re.match(r"parameters[ ]*:[ ]*(?:#.*)?\r?\n?\Z", line):
            if not line.endswith("\n"):
                lines[number] = line + newline
            return number
    return None


def _added(lines: list[str], newline: str) -> int:
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += newline
    lines.append(f"parameters:{newline}")
    return len(lines) - 1


def _set(lines: list[str], start: int, key: str, value: Any, note: str, newline: str) -> None:
    end = start + 1
    while end < len(lines) and (lines[end][:1] in " \r\n#" or not lines[end].strip()):
        end += 1
    children = [line for line in lines[start + 1 : end] if line.strip() and not line.lstrip().startswith("#")]
    indent = children[0][: len(children[0]) - len(children[0].lstrip())] if children else "  "
    written = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    written = written.removesuffix("...\n").strip()
    comment = f"{indent}{_MARK} {note}{newline}" if note else ""
    pattern = re.compile(rf"({re.escape(indent)}{re.escape(key)}[ ]*:)[ ]*[^#\r\n]*?([ ]+#[^\r\n]*)?(\r?\n|\Z)")
    for number in range(start + 1, end):
        if found := pattern.fullmatch(lines[number]):
            lines[number] = f"{found[1]} {written}{found[2] or ''}{found[3] or newline}"
            if lines[number - 1].lstrip().startswith(_MARK):
                lines[number - 1 : number] = [comment] if comment else []
            elif comment:
                lines.insert(number, comment)
            return
    if not lines[end - 1].endswith("\n"):
        lines[end - 1] += newline
    lines[start + 1 : start + 1] = [part for part in (comment, f"{indent}{key}: {written}{newline}") if part]


def _by_hand(where: str, values: Mapping[str, Any]) -> ConfigError:
    wanted = ", ".join(f"{key}: {value}" for key, value in values.items())
    return ConfigError(
        f"{where} cannot be edited without touching other lines, so nothing was written. "
        f"Set under `parameters` yourself: {wanted}."
    )
