"""Which format a file or folder has, and reading it into a bank."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smcs.bank.database import Writer
from smcs.bank.importers import llmrouterbench, mmlu_pro_recorded, parquet_folder, released, routerbench, routerdc
from smcs.bank.importers.entry import Entry, ImportFormat, ImportOptions, Place, fault
from smcs.bank.importers.files import PARQUET, head, opened
from smcs.bank.importers.ingest import Ingest
from smcs.bank.importers.json_stream import JsonStream, MalformedJsonError, decode
from smcs.bank.importers.tables import columns
from smcs.bank.portable import FORMAT, Imported, import_bank
from smcs.errors import InputError, suggest

__all__ = ("FORMATS", "detect_format", "format_named", "import_into")

FORMATS: Mapping[ImportFormat, str] = {
    "smcs": "one file of `smcs bank export`",
    "parquet": "a folder of `smcs bank export --format parquet`",
    "released": "the question bank released with SMCS: JSON, gzipped or not",
    "llmrouterbench": "a folder of LLMRouterBench results, or one of its JSON files",
    "routerbench": "a RouterBench table, CSV or Parquet, wide or long",
    "routerdc": "a RouterDC score file, JSON, CSV or Parquet, or a folder of them",
    "mmlu_pro_recorded": "a folder of recorded MMLU-Pro outputs: questions, outcomes and responses as Parquet",
}
"""What can be imported."""

_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True)
class _Importer:
    """How a foreign format is read."""

    entries: Callable[[Path, ImportOptions], Iterator[Entry]]
    once: Callable[[Path], bool]
    """Whether a question comes in one entry only."""
    has_splits: bool = False
    embedder: str | None = None
    """Default name of the embeddings in it; `None` if it has none."""


_IMPORTERS: Mapping[ImportFormat, _Importer] = {
    "released": _Importer(released.entries, lambda _: True, embedder=released.EMBEDDER),
    "llmrouterbench": _Importer(llmrouterbench.entries, lambda _: False, has_splits=True),
    "routerbench": _Importer(routerbench.entries, lambda _: False, has_splits=True),
    "routerdc": _Importer(routerdc.entries, lambda path: not routerdc.is_long(path), has_splits=True),
    "mmlu_pro_recorded": _Importer(mmlu_pro_recorded.entries, lambda _: False, has_splits=True),
}


def import_into(
    writer: Writer,
    path: Path,
    *,
    format: ImportFormat | None = None,  # noqa: A002  # the word for it, everywhere
    options: ImportOptions | None = None,
) -> Imported:
    """Read a file or folder into a bank; an outcome in it replaces a recorded one of the same pair.

    Args:
        writer: The open transaction, to be given up if this raises.
        path: The file or folder.
        format: What it is; found out unless given.
        options: What to take; all of it unless given.

    Raises:
        BankError: It is missing, of no known format, malformed, or contradicts the bank; names the place.
        InputError: The format is unknown, or an option does not apply to it.
        MissingExtraError: It is Parquet, and pyarrow is not installed.
    """
    found = detect_format(path) if format is None else format_named(format)
    options = options or ImportOptions()
    if not path.exists():
        raise fault(path, "there is no such file or folder.")
    importer = _IMPORTERS.get(found)
    if importer is None:
        if options.given():
            raise InputError(f"An exported bank is imported whole: `{options.given()[0]}` does not apply to it.")
        return import_bank(writer, path) if found == "smcs" else parquet_folder.import_parquet(writer, path)
    _check_options(found, importer, options)
    tally = Ingest(writer, options, options.embedder or importer.embedder or "").run(
        Place(path), importer.entries(path, options), once=importer.once(path)
    )
    return Imported(tally.questions, tally.llms, tally.outcomes, tally.embeddings, "")


def _check_options(found: ImportFormat, importer: _Importer, options: ImportOptions) -> None:
    if options.split is not None and not importer.has_splits:
        raise InputError(f"`split` does not apply to the format {found!r}, which has no splits.")
    if options.embedder is not None and importer.embedder is None:
        raise InputError(f"`embedder` does not apply to the format {found!r}, which has no embeddings.")


def format_named(name: str) -> ImportFormat:
    """Return the format of a name.

    Raises:
        InputError: There is none.
    """
    for known in FORMATS:
        if name == known:
            return known
    raise InputError(f"There is no format {name!r}.{suggest(name, FORMATS)}")


def detect_format(path: Path) -> ImportFormat:
    """Find out what a file or folder is from its content.

    Raises:
        BankError: It is missing, empty, damaged, a pickle, or of no known format.
        MissingExtraError: It is Parquet, and pyarrow is not installed.
    """
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        raise fault(path, "there is no such file or folder.")
    start = head(path)
    if start.startswith(_SQLITE):
        raise fault(path, "it is a question bank itself, or another database: open it, or import its export.")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return _json(path)
    if start.startswith(PARQUET) or b"," in start.partition(b"\n")[0]:
        return _table(path)
    raise fault(path, f"it is neither JSON nor a CSV or Parquet table. {_known()}")


def _folder(path: Path) -> ImportFormat:
    if parquet_folder.fits(path):
        return "parquet"
    if mmlu_pro_recorded.fits(path):
        return "mmlu_pro_recorded"
    files = routerdc.score_files(path) or llmrouterbench.result_files(path)
    if not files:
        raise fault(path, f"there is no file in this folder that could be imported. {_known()}")
    found = detect_format(files[0])
    if found not in ("llmrouterbench", "routerdc"):
        raise fault(path, f"{files[0].name} in it has the format {found!r}: name the file, not the folder.")
    return found


def _table(path: Path) -> ImportFormat:
    names = columns(path)
    if routerbench.fits(names):
        return "routerbench"
    if routerdc.fits(names):
        return "routerdc"
    raise fault(path, f"its columns ({', '.join(map(repr, names[:12]))}) are of no known format. {_known()}")


def _json(path: Path) -> ImportFormat:
    with opened(path) as file:
        try:
            stream = JsonStream(file)
            if stream.peek() == b"[":
                for position in stream.elements():
                    return _list_entry(path, _decoded(Place(path, f"entry {position}"), stream.value()))
                raise fault(path, "it is an empty list.")
            return _object(path, stream)
        except MalformedJsonError as error:
            raise fault(path, str(error)) from error


def _object(path: Path, stream: JsonStream) -> ImportFormat:
    for key in stream.members():
        first = stream.peek()
        if key in llmrouterbench.RECORDS and first == b"[":
            return "llmrouterbench"
        value = _decoded(Place(path, f"entry {key!r}"), stream.value())
        if key == "format" and value == FORMAT:
            return "smcs"
        if first == b"{" and _is_released(value):
            return "released"
    raise fault(path, f"it is a JSON object of no known format. {_known()}")


def _list_entry(path: Path, entry: Any) -> ImportFormat:
    if _is_released(entry):
        return "released"
    if isinstance(entry, dict) and routerdc.fits(tuple(entry)):
        return "routerdc"
    raise fault(path, f"it is a JSON list of no known kind of entries. {_known()}")


def _decoded(place: Place, raw: bytes) -> Any:
    try:
        return decode(raw)
    except MalformedJsonError as error:
        raise fault(place, str(error)) from error


def _is_released(entry: Any) -> bool:
    if not isinstance(entry, dict) or "question" not in entry or "scores" in entry:
        return False
    verdicts = any(isinstance(value, dict) and "is_correct" in value for value in entry.values())
    return verdicts or any(name in entry for name in (*released.RESULT_KEYS, "embedding", "src"))


def _known() -> str:
    return "Known are: " + "; ".join(f"{name} ({title})" for name, title in FORMATS.items()) + "."
