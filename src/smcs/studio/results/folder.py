"""The folder of result files, and the files in it that may be shown."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from smcs.config import FoundConfig
from smcs.errors import InputError

__all__ = ("LARGEST_BYTES", "FoundFile", "find_file", "list_files", "results_folder")

LARGEST_BYTES: Final = 256 << 20
"""Larger files are not read here: their place is `smcs bench report`."""

_SUFFIXES: Final = (".jsonl.gz", ".jsonl")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file as it stood when it was looked at."""

    path: Path
    modified_ns: int
    size: int
    """Bytes."""

    @property
    def name(self) -> str:
        """Its name in the folder."""
        return self.path.name

    @property
    def stem(self) -> str:
        """Its name without what says how it is packed."""
        return next(self.name.removesuffix(suffix) for suffix in _SUFFIXES if self.name.endswith(suffix))


def results_folder(found: FoundConfig) -> Path:
    """Return the folder with result files, `gateway.results`, which is relative to the config's."""
    return found.folder / Path(found.config.gateway.results).expanduser()


def list_files(folder: Path) -> tuple[FoundFile, ...]:
    """Return the result files of a folder by name, the newest first; of a plain and a packed one the newer one.

    Links are left out: what they lead to may lie elsewhere.

    Raises:
        InputError: The folder is there and cannot be read.
    """
    newest: dict[str, FoundFile] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not _is_plain(entry.name) or not entry.is_file(follow_symlinks=False):
                    continue
                status = entry.stat(follow_symlinks=False)
                file = FoundFile(folder / entry.name, status.st_mtime_ns, status.st_size)
                other = newest.get(file.stem)
                if other is None or (file.modified_ns, file.name) > (other.modified_ns, other.name):
                    newest[file.stem] = file
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise InputError(f"The folder of results cannot be read: {error.strerror or error}.") from error
    return tuple(sorted(newest.values(), key=lambda file: (-file.modified_ns, file.name)))


def find_file(folder: Path, name: str) -> FoundFile:
    """Return one file of the folder.

    Args:
        folder: From `results_folder`.
        name: A plain name; anybody may have written it.

    Raises:
        InputError: There is no such result file.
    """
    missing = InputError(f"There is no result file {name!r:.120} here.")
    if not _is_plain(name):
        raise missing
    try:
        status = (folder / name).lstat()
    except (OSError, ValueError) as error:
        raise missing from error
    if not stat.S_ISREG(status.st_mode):
        raise missing
    return FoundFile(folder / name, status.st_mtime_ns, status.st_size)


def _is_plain(name: str) -> bool:
    separators = {"/", "\\", os.sep, "\x00"}
    return name.endswith(_SUFFIXES) and not name.startswith(".") and not separators & set(name)
