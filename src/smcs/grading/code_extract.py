"""Find the program in an answer: fenced blocks, tags, bare code, or the continuation of a given beginning."""

from __future__ import annotations

import ast
import builtins
import itertools
import re
import textwrap
import warnings
from collections.abc import Iterator

__all__ = ("defines", "extract_function", "extract_script", "preamble", "without_examples")

_MAX_ANSWER = 200_000
_MAX_BLOCKS = 40
_MAX_CUTS = 60
_MAX_PARSED = 1_000_000
_LANGUAGES = ("", "python", "python3", "py", "py3", "python 3")
_FENCE = re.compile(r"[ \t]*(?:>[ \t]*|[-*][ \t]+|\d+\.[ \t]+)?(`{3,20}|~{3,20})(?![`~])[ \t]*([\w.+-]*)[^`]*$")
_INLINE_FENCE = re.compile(r"```(?:python3?|py)?[ \t]*([^`\n]+)```")
_TAGGED = re.compile(
    r"^[ \t]*(?:\[(?:PYTHON|CODE|ANSWER|SOLUTION|BEGIN)\]|<(?:python|code|answer|solution)>)[ \t]*\n?(.*?)"
    r"(?:\[/(?:PYTHON|CODE|ANSWER|SOLUTION|BEGIN)\]|</(?:python|code|answer|solution)>|^[ \t]*\[(?:END|DONE)\]|\Z)",
    re.DOTALL | re.MULTILINE,
)
# In capitals and at the end of a line: `done[end]` is code.
_STOP = re.compile(r"(?:^|(?<=[ \t]))\[/?(?:DONE|END|PYTHON|CODE|ANSWER|SOLUTION)\][ \t]*$|<\|\w+\|>", re.MULTILINE)
_THOUGHT = re.compile(r"</think(?:ing)?>")
_START = re.compile(
    r"^[ \t]*(?:from [\w.]+ import |import [\w.]+|(?:async )?def \w+[ \t]*\(|class \w+[ \t]*[(:]"
    r"|@\w|[A-Za-z_][\w, ]*=(?!=))"
)
_PROGRAM_START = re.compile(rf"{_START.pattern}|^(?:for|while|if|try|with|print)\b")
_READS = re.compile(r"\binput\s*\(|\bstdin\b|\bopen\s*\(\s*0")
_SHOWS = frozenset({"print", "pprint", "display", "main", "test", "tests", "run_tests", "run", "input"})
_SHOWING_METHODS = frozenset({("unittest", "main"), ("doctest", "testmod"), ("pytest", "main")})
_BUILTINS = frozenset(dir(builtins))


def extract_function(answer: str, entry_point: str, prefix: str = "") -> str:
    """Return the program in an answer that should define a function or class, or "" if it holds none.

    The last block of code that defines it with a body, after those parts of the other blocks that it needs (helpers,
    imports); else the given beginning with the answer as its continuation; else the last block as it is.

    Args:
        answer: Text an LLM wrote; a fence cut off at the end counts as closed.
        entry_point: Name of the function or class that the program must define.
        prefix: Code that the answer may continue instead of defining it: signature and docstring.
    """
    text = _plain(answer)
    blocks = _blocks(text, _START)
    programs = [_repaired(block, entry_point) for block in blocks]
    defining = [index for index, block in enumerate(programs) if defines(block, entry_point)]
    if defining:
        chosen = next((i for i in reversed(defining) if _has_body(programs[i], entry_point)), defining[-1])
        others = [block for index, block in enumerate(programs) if index != chosen]
        return _joined(programs[chosen], others, entry_point)
    if prefix:
        marked = _marked(text)
        for body in (*reversed(marked), text, *([] if marked else reversed(blocks))):
            program = _continued(prefix, body, entry_point)
            if program:
                return program
    return programs[-1] if programs else ""


def extract_script(answer: str) -> str:
    """Return the whole program in an answer, or "" if it holds none.

    The last block that parses and reads input, else the last that parses, else the last.
    """
    blocks = _blocks(_plain(answer), _PROGRAM_START)
    good = [block for block in blocks if _parse(block) is not None]
    reading = [block for block in good if _READS.search(block)]
    return (reading or good or blocks or [""])[-1]


def preamble(prefix: str, entry_point: str) -> str:
    """Return what stands before the entry point in a beginning: imports and helpers that answers may rely on."""
    match = re.search(rf"^(?:@.*\n)*(?:async )?(?:def|class) +{re.escape(entry_point)}\b", prefix, re.MULTILINE)
    head = prefix[: match.start()] if match else ""
    return head if _parse(head) is not None else ""


def without_examples(program: str, entry_point: str) -> str:
    """Return a program without its examples of use, line numbers kept.

    Examples are top-level asserts, prints, calls of the entry point or of `main`, whatever reads input, and what runs
    under `if __name__ == "__main__"`.
    """
    tree = _parse(program)
    if tree is None:
        return program
    lines = program.split("\n")
    kept = [node for node in tree.body if not _is_example(node, entry_point)]
    occupied = {line for node in kept for line in range(_first_line(node), (node.end_lineno or node.lineno) + 1)}
    for node in tree.body:
        span = range(_first_line(node), (node.end_lineno or node.lineno) + 1)
        if node not in kept and not occupied.intersection(span):
            for line in span:
                lines[line - 1] = ""
    return "\n".join(lines)


def _is_example(node: ast.stmt, entry_point: str) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        return False
    if isinstance(node, ast.Assert):
        return True
    if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
        return True
    if any(isinstance(inner, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom) for inner in ast.walk(node)):
        return False
    calls = [inner.func for inner in ast.walk(node) if isinstance(inner, ast.Call)]
    shown = _SHOWS if isinstance(node, ast.Expr | ast.For | ast.While | ast.If | ast.Try | ast.With) else {"input"}
    for call in calls:
        if isinstance(call, ast.Name) and (call.id in shown or call.id == entry_point):
            return True
        module = call.value.id if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name) else ""
        if isinstance(call, ast.Attribute) and (module, call.attr) in _SHOWING_METHODS:
            return True
    return False


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(item.lineno for item in decorators)])


def _plain(answer: str) -> str:
    text = answer[-_MAX_ANSWER:].replace("\r\n", "\n").replace("\r", "\n")
    for odd, usual in (("\ufeff", ""), ("\u200b", ""), ("\u00a0", " ")):
        text = text.replace(odd, usual)
    return _THOUGHT.split(text)[-1]


def _blocks(text: str, start: re.Pattern[str]) -> list[str]:
    """Return the pieces of an answer that look like Python, in order."""
    blocks = _marked(text)
    if not blocks and not _fenced(text):
        blocks = list(_bare_blocks(_STOP.split(text)[0], start))
    return [_dedented(block) for block in blocks[-_MAX_BLOCKS:]]


def _marked(text: str) -> list[str]:
    """Return the pieces that stand in fences of Python or of no language, else in tags."""
    fences = _fenced(text)
    blocks = [block for language, block in fences if language.lower() in _LANGUAGES]
    if not fences:
        blocks = [match[1] for match in _INLINE_FENCE.finditer(text)]
    blocks = blocks or [match[1] for match in _TAGGED.finditer(text)]
    return [piece for block in blocks if (piece := _STOP.split(block)[0]).strip()]


def _fenced(text: str) -> list[tuple[str, str]]:
    """Return language and content of each fenced block; the last one may lack its end."""
    blocks: list[tuple[str, str]] = []
    opened: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.split("\n"):
        if opened is None:
            opened, lines = _FENCE.match(line), []
        elif line.lstrip(" \t>").startswith(opened[1]):
            blocks.append((opened[2], "\n".join(lines)))
            opened = None
        else:
            lines.append(re.sub(r"^[ \t]*> ?", "", line) if opened[0].lstrip().startswith(">") else line)
    if opened is not None:
        blocks.append((opened[2], "\n".join(lines)))
    return blocks


def _dedented(block: str) -> str:
    block = block.strip("\n")
    plain = textwrap.dedent(block.expandtabs(8) if re.search(r"^ +\t|^\t+ ", block, re.MULTILINE) else block)
    return plain if _parse(plain) is not None else textwrap.dedent(block)


def _bare_blocks(text: str, start: re.Pattern[str]) -> Iterator[str]:
    """Yield code that stands in a text without marks: from each line that can only begin code, as far as it parses."""
    lines, index, tries = text.split("\n"), 0, 0
    while index < len(lines) and tries < _affordable(text, _MAX_BLOCKS):
        if not start.match(lines[index]):
            index += 1
            continue
        tries += 1
        block = _margin_off(lines[index:])
        program = _longest(block)
        if program:
            yield program
        elif tries == 1 and re.match(r"(?:async )?(?:def|class) ", lines[index]):
            yield block
            return
        index += max(1, program.count("\n") + 1)


def _affordable(text: str, most: int) -> int:
    """Return how often a text may be parsed: less often when it is long, so that no answer takes long."""
    return max(3, min(most, _MAX_PARSED // max(len(text), 1)))


def _margin_off(lines: list[str]) -> str:
    """Return the lines from the first one on that share its indentation, without it."""
    margin = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    inside = itertools.takewhile(lambda line: line.startswith(margin) or not line.strip(), lines)
    return "\n".join(line.removeprefix(margin) for line in inside)


def _longest(block: str) -> str:
    """Return the longest beginning of a block, in whole lines, that parses; "" if there is none."""
    lines = block.split("\n")
    for _ in range(_affordable(block, _MAX_CUTS)):
        if not lines:
            return ""
        error = _error("\n".join(lines))
        if error is None:
            return "\n".join(lines)
        # Cut in front of the line that does not fit; where the error shows elsewhere, the last line goes.
        lines = lines[: min(max(error - 1, 0), len(lines) - 1)]
    return ""


def _repaired(block: str, entry_point: str) -> str:
    """Return a block that parses: without a cut-off or broken end, where it still defines the entry point."""
    if _parse(block) is not None:
        return block
    shorter = _longest(block)
    return shorter if shorter and defines(shorter, entry_point) else block


def _parse(program: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _error(program: str) -> int | None:
    """Return the line on which a program stops being Python, or `None`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(program)
    except SyntaxError as error:
        return error.lineno or 1
    except (ValueError, RecursionError, MemoryError):
        return 1
    return None


def _defined(tree: ast.Module) -> dict[str, ast.stmt]:
    """Return the names that a program defines at its top level, each with the statement that does."""
    names: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update({(alias.asname or alias.name).split(".")[0]: node for alias in node.names})
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                names.update({item.id: node for item in ast.walk(target) if isinstance(item, ast.Name)})
    return names


def defines(block: str, entry_point: str) -> bool:
    """Say whether a program, broken or not, defines a name at its top level."""
    tree = _parse(block)
    if tree is not None:
        return entry_point in _defined(tree)
    name = re.escape(entry_point)
    return re.search(rf"^(?:async +)?(?:def|class) +{name}\b|^{name} *=", block, re.MULTILINE) is not None


def _has_body(block: str, entry_point: str) -> bool:
    """Say whether the entry point is more than a signature with a docstring."""
    tree = _parse(block)
    node = _defined(tree).get(entry_point) if tree is not None else None
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return True
    return any(
        not isinstance(item, ast.Pass) and not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))
        for item in node.body
    )


def _joined(program: str, others: list[str], entry_point: str) -> str:
    """Return a program after those statements of other blocks that define names it uses but does not define."""
    tree = _parse(program)
    if tree is None:
        return program
    sources = [(block, _defined(parsed)) for block in others if (parsed := _parse(block)) is not None]
    known, parts = {*_defined(tree), *_BUILTINS, entry_point}, []
    wanted = _missing(tree, known)
    while wanted:
        found = [(block, names[name]) for name in sorted(wanted) for block, names in sources if name in names][:1]
        if not found:
            break
        ((block, node),) = found
        parts.append("\n".join(block.split("\n")[_first_line(node) - 1 : node.end_lineno]))
        addition = ast.Module([node], [])
        known |= _defined(addition).keys()
        wanted = (wanted | _missing(addition, known)) - known
    return "\n".join([*reversed(parts), program]) if parts else program


def _missing(tree: ast.Module, known: set[str]) -> set[str]:
    loaded = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    local = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return loaded - local - known


def _continued(prefix: str, body: str, entry_point: str) -> str:
    """Return the beginning with a body put under it, or "" if that is not a program."""
    lines = body.strip("\n").split("\n")
    if not lines:
        return ""
    signature = [line for line in prefix.split("\n") if re.match(r"[ \t]*(?:async )?def ", line)]
    margin = " " * (len(signature[-1]) - len(signature[-1].lstrip()) + 4) if signature else "    "
    first, rest = lines[0], lines[1:]
    indented = textwrap.indent(textwrap.dedent("\n".join(lines)), margin)
    unindented_first = "\n".join([margin + first.lstrip(), *rest])
    head = prefix.rstrip() + "\n"
    candidates = [head + text for text in ("\n".join(lines), indented, unindented_first)]
    for program in [*(text for text in candidates if _parse(text) is not None), *map(_longest, candidates)]:
        if len(program) > len(head) and defines(program, entry_point) and _has_body(program, entry_point):
            return program
    return ""
