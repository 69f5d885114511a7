"""LiveCodeBench: contest problems by date, call style and standard input, with hidden tests.

Hidden tests are published as base64 of zlib of a pickled JSON text. They are never unpickled: the pickle is read as
data, and accepted only if it holds one string and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from smcs.errors import InputError
from smcs.tasks._hub import Part
from smcs.tasks._records import Record, question_from
from smcs.tasks._rows import Row
from smcs.tasks.prompts import PROMPTS
from smcs.tasks.task import Split, Task
from smcs.types import Question

__all__ = ("TASK", "hidden_tests")

_PUBLISHED = "livecodebench/code_generation_lite"
_MAX_TESTS = 256 * 2**20
_STRINGS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"})
_AROUND = frozenset({"PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "STOP"})


def build(record: Record) -> Question:
    """Return the question of a record: what it asks and, in call style, the class to fill in."""
    tests: Mapping[str, Any] = record.tests or {}
    cases, style = tests.get("cases"), tests.get("style")
    if style not in ("call", "stdin") or not isinstance(cases, list) or not cases:
        raise InputError("`tests` must hold `style` (call or stdin) and `cases`")
    check: dict[str, Any] = {"style": style, "cases": cases}
    text = record.question.strip()
    if style == "call":
        check["entry_point"] = tests.get("entry_point")
        text = f"{text}\n\nFill in this class:\n{str(record.meta.get('starter_code') or '').rstrip()}"
    else:
        text = f"{text}\n\nThe program reads standard input and writes standard output."
    return question_from(record, "livecodebench", "code", text=text, check=check)


def read(row: Row, index: int) -> Record:
    """Read a published row: its public and its hidden tests are both used."""
    cases = [*_json(row["public_test_cases"]), *hidden_tests(row["private_test_cases"])]
    kinds = {case["testtype"] for case in cases}
    tests: dict[str, Any]
    if kinds == {"stdin"}:
        tests = {"style": "stdin", "cases": [{"input": case["input"], "output": case["output"]} for case in cases]}
    elif kinds == {"functional"}:
        name = _json(row["metadata"]).get("func_name")
        if not isinstance(name, str) or not name.isidentifier():
            raise InputError("`metadata` must name the method that is tested, `func_name`")
        called = [{"input": _lines(case["input"]), "output": _json(case["output"])} for case in cases]
        tests = {"style": "call", "entry_point": f"Solution().{name}", "cases": called}
    else:
        raise InputError(f"tests must all be stdin or all functional, got {sorted(map(str, kinds))}")
    return Record(
        id=f"livecodebench/{row['question_id']}",
        question=row["question_content"],
        subject=row["difficulty"],
        tests=tests,
        meta={"starter_code": row["starter_code"], "platform": row["platform"], "date": str(row["contest_date"])},
    )


def hidden_tests(text: str) -> list[dict[str, Any]]:
    """Decode hidden tests without unpickling anything.

    Args:
        text: JSON, or base64 of zlib of a pickle that holds JSON as one string.

    Raises:
        InputError: It is neither, it holds anything but one string, or it is larger than 256 MB.
    """
    if text.lstrip().startswith("["):
        return _tests(_json(text))
    try:
        packed = base64.b64decode(text, validate=True)
        opened = zlib.decompressobj()
        raw = opened.decompress(packed, _MAX_TESTS)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise InputError(f"hidden tests cannot be decoded: {error}") from error
    if not opened.eof:
        raise InputError(f"hidden tests are cut off, or larger than {_MAX_TESTS:,} bytes")
    return _tests(_json(_only_string(raw)))


def _only_string(raw: bytes) -> str:
    """Return the one string a pickle holds; its opcodes are listed, none is carried out."""
    found: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(raw):
            if opcode.name in _STRINGS and isinstance(argument, str):
                found.append(argument)
            elif opcode.name not in _AROUND:
                raise InputError(f"hidden tests hold the pickle opcode {opcode.name}, where only a string may stand")
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"hidden tests cannot be decoded: {error}") from error
    if len(found) != 1:
        raise InputError(f"hidden tests must hold one string, got {len(found)}")
    return found[0]


def _tests(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(case, dict) for case in value):
        raise InputError("tests must be a list of cases")
    return value


def _lines(text: str) -> list[Any]:
    return [_json(line) for line in text.splitlines() if line.strip()]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("tests or metadata are not valid JSON") from error


def _files(*numbers: str) -> tuple[Part, ...]:
    files: Callable[[str], str] = "test{}.jsonl".format
    return (Part(_PUBLISHED, read, split="test", files=tuple(map(files, numbers))),)


TASK = Task(
    "livecodebench",
    "Contest problems by date, with hidden tests",
    "code",
    PROMPTS["code"],
    (
        Split("validation", 175, note="release 6: the problems it adds to release 5"),
        Split("test", 167, note="release 5: the problems it adds to release 4"),
    ),
    build,
    about="The paper tests on v5 and keeps v6 for validation; both are taken as the problems that release added, for"
    " releases contain each other. Hidden tests are decoded without unpickling them.",
    source=f"Jain et al. 2024: {_PUBLISHED}",
    licence="see its page on the hub",
    hub={"validation": _files("6"), "test": _files("5")},
)
"""LiveCodeBench."""
