"""Remember vectors on disk, so that a text is embedded once per embedder and machine."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import numpy as np

from smcs._sqlite import write_ahead
from smcs.embedders.protocol import Embedder, Vectors
from smcs.errors import EmbedderError

__all__ = ("CachedEmbedder",)

T = TypeVar("T")

_BUSY_SECONDS = 10.0
_NORM_TOLERANCE = 1e-3

_log = logging.getLogger(__name__)


class CachedEmbedder:
    """Look texts up in a SQLite file first, embed only the others, and remember them.

    Vectors are keyed by the SHA-256 of the embedder's name and the text, so one file serves many embedders. Several
    processes may share it. A cache is never a reason to fail: a damaged file is dropped, a locked or full one passed
    over, a damaged vector made again, each with a warning in the log. Deleting the file loses nothing.

    Args:
        embedder: Makes what is not cached; it is neither owned nor closed.
        path: The SQLite file; folders above it are made when it is first used.
        batch: Texts handed to the embedder at once: what an interruption can lose.
    """

    def __init__(self, embedder: Embedder, path: Path | str, *, batch: int = 256) -> None:
        self._embedder = embedder
        self._path = Path(path).expanduser()
        self._batch = batch
        self._dimensions = embedder.dimensions

    @property
    def name(self) -> str:
        """The embedder's own name: caching changes no vector."""
        return self._embedder.name

    @property
    def dimensions(self) -> int | None:
        """Length of a vector, as the embedder says or as the cache showed."""
        return self._embedder.dimensions or self._dimensions

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts in their order, from the cache where it has them; equal texts are embedded once."""
        if not texts:
            return await self._embedder.embed(texts)
        keys = [self._key(text) for text in texts]
        vectors = await asyncio.to_thread(self._read, list(dict.fromkeys(keys)))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in vectors}
        todo = list(missing.items())
        for start in range(0, len(todo), self._batch):
            part = todo[start : start + self._batch]
            made = await self._embedder.embed([text for _, text in part])
            fresh = dict(zip((key for key, _ in part), made, strict=True))
            await asyncio.to_thread(self._write, fresh)
            vectors.update(fresh)
        widths = {len(vector) for vector in vectors.values()}
        if len(widths) > 1:
            raise EmbedderError(
                f"{self.name}: cached and new vectors have {sorted(widths)} dimensions. The model behind this name has "
                f"changed: give it another name, or delete {self._path}."
            )
        self._dimensions = widths.pop()
        return np.stack([vectors[key] for key in keys])

    def _key(self, text: str) -> str:
        return hashlib.sha256(f"{self.name}\0{text}".encode(errors="surrogatepass")).hexdigest()

    def _read(self, keys: Sequence[str]) -> dict[str, Vectors]:
        """Return the sound vectors among those wanted."""

        def select(connection: sqlite3.Connection) -> dict[str, object]:
            sql = "SELECT key, vector FROM vectors WHERE key IN (SELECT value FROM json_each(?))"
            return dict(connection.execute(sql, (json.dumps(keys),)))

        rows = self._guarded(select) or {}
        found = {key: self._vector(blob) for key, blob in rows.items()}
        sound = {key: vector for key, vector in found.items() if vector is not None}
        if len(sound) < len(rows):
            _log.warning("%d damaged vectors in %s are made again", len(rows) - len(sound), self._path)
        return sound

    def _vector(self, blob: object) -> Vectors | None:
        """Read a stored vector, or return `None` for what cannot be one."""
        if not isinstance(blob, bytes) or not blob or len(blob) % 4:
            return None
        vector = np.frombuffer(blob, dtype="<f4").astype(np.float32)
        if self._embedder.dimensions not in (None, len(vector)):
            return None
        return vector if abs(float(vector @ vector) - 1) < _NORM_TOLERANCE else None

    def _write(self, vectors: Mapping[str, Vectors]) -> None:
        """Store vectors; a failure is logged and costs only the time to make them again."""
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]

        def insert(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

        self._guarded(insert)

    def _guarded(self, operation: Callable[[sqlite3.Connection], T]) -> T | None:
        """Run one operation on a connection of its own; `None` when SQLite could not, which is logged.

        One connection per operation is what makes threads, event loops and forks safe; opening takes well under 1 ms.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS)) as connection:
                write_ahead(connection, _BUSY_SECONDS)
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB NOT NULL)")
                return operation(connection)
        except (sqlite3.OperationalError, OSError) as error:
            _log.warning("the embedding cache %s is passed over: %s", self._path, error)
        except sqlite3.DatabaseError as error:
            _log.warning("the embedding cache %s is damaged (%s) and starts anew", self._path, error)
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        return None
