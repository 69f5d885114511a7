"""all-MiniLM-L6-v2 on the CPU without torch: a tokenizer, our own forward pass, mean pooling.

It agrees with the reference sentence-transformers pipeline to a cosine of 1.000000 on texts of up to 256 tokens.
Longer texts, which the reference cuts, are read in windows.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from smcs.embedders._bert import BertEncoder
from smcs.embedders._checks import unit_rows
from smcs.embedders.protocol import Vectors
from smcs.errors import ConfigError, InputError, MissingExtraError, ModelFileError

__all__ = ("LongTexts", "MiniLMEmbedder")

LongTexts = Literal["window", "truncate"]
"""A text longer than one window is read to the end, or cut after the first window as the reference does."""

_BATCH_TOKENS = 1024
"""Tokens per forward pass: enough for the products to run at full speed, few enough to stay near the cache."""

_MAX_WINDOWS = 64
"""Most windows read of one text (about 16,000 tokens); a longer one is sampled evenly, and a warning says so."""

_log = logging.getLogger(__name__)


class MiniLMEmbedder:
    """Local embedder for MiniLM-style sentence encoders (384 dimensions for all-MiniLM-L6-v2).

    A text longer than `window` tokens is read in consecutive windows; its vector is the mean over the token states of
    all of them, so each window counts by its tokens, and one token too many changes a vector by little. The forward
    pass runs in a thread: the event loop stays free, and a cancelled call stops within one batch.

    Args:
        path: Folder with `model.safetensors` and `tokenizer.json`.
        window: Tokens per window, [CLS] and [SEP] included; 256 is what the model was trained for, 512 the most it can
            read.
        long_texts: "window" reads all of a long text; "truncate" reads its first window only, as the reference does.

    Raises:
        ConfigError: The folder lacks one of the files.
        InputError: `window` or `long_texts` is outside what is allowed.
        MissingExtraError: `tokenizers` or `safetensors` is not installed.
        ModelFileError: A file is damaged or holds another kind of model.
    """

    def __init__(self, path: Path | str, *, window: int = 256, long_texts: LongTexts = "window") -> None:
        folder = Path(path).expanduser()
        missing = [name for name in ("model.safetensors", "tokenizer.json") if not (folder / name).is_file()]
        if missing:
            raise ConfigError(
                f"{folder} has no {' and no '.join(missing)}. Fetch the model with: smcs models pull all-minilm-l6-v2"
            )
        if long_texts not in ("window", "truncate"):
            raise InputError(f"`long_texts` must be 'window' or 'truncate', got {long_texts!r}.")
        self._tokenizer = _load_tokenizer(folder / "tokenizer.json")
        self._encoder = BertEncoder.load(folder / "model.safetensors")
        if not 3 <= window <= self._encoder.longest_window:
            raise InputError(f"`window` must be from 3 to {self._encoder.longest_window} tokens, got {window}.")
        self._first, self._last = (self._tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
        self._window = window
        self._long_texts = long_texts

    @property
    def name(self) -> str:
        """Model family, fingerprint of the weights, dimensions and treatment of long texts."""
        return f"minilm-{self._encoder.fingerprint}/{self.dimensions}/{self._long_texts}{self._window}"

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._encoder.width

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts in their order; returns unit-norm float32 of shape (texts, dimensions)."""
        stop = threading.Event()
        try:
            return await asyncio.to_thread(self.embed_now, texts, stop)
        finally:
            stop.set()

    def embed_now(self, texts: Sequence[str], stop: threading.Event | None = None) -> Vectors:
        """Embed on the calling thread: what `embed` runs, for scripts without an event loop.

        Args:
            texts: What to embed; a text without words is allowed.
            stop: Ends the work early when set; the vectors are then incomplete and must not be used.
        """
        windows: list[list[int]] = []
        owners: list[int] = []
        for owner, text in enumerate(texts):
            for window in self._windows(text):
                windows.append(window)
                owners.append(owner)
        totals = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        order = sorted(range(len(windows)), key=lambda index: len(windows[index]))
        for batch in _batches(order, windows):
            if stop is not None and stop.is_set():
                break
            np.add.at(
                totals, [owners[index] for index in batch], self._encoder.sums([windows[index] for index in batch])
            )
        else:
            return unit_rows(totals, embedder=self.name, rows=len(texts))
        return totals

    def _windows(self, text: str) -> Iterator[list[int]]:
        """Yield the token ids of each window of a text, [CLS] and [SEP] around them."""
        # A lone surrogate (half an emoji, cut by a server) is no text to the tokenizer: it becomes a question mark.
        ids: list[int] = self._tokenizer.encode(text.encode(errors="replace").decode(), add_special_tokens=False).ids
        room = self._window - 2
        count = max(1, math.ceil(len(ids) / room))
        if self._long_texts == "truncate":
            ids, count = ids[:room], 1
        chosen = list(range(count))
        if count > _MAX_WINDOWS:
            _log.warning("a text of %d tokens is embedded from %d of its %d windows", len(ids), _MAX_WINDOWS, count)
            chosen = [round(index * (count - 1) / (_MAX_WINDOWS - 1)) for index in range(_MAX_WINDOWS)]
        for index in chosen:
            yield [self._first, *ids[index * room : (index + 1) * room], self._last]


def _batches(order: Sequence[int], windows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Group windows, in the order given, into batches of about `_BATCH_TOKENS` tokens."""
    batch: list[int] = []
    tokens = 0
    for index in order:
        if batch and tokens + len(windows[index]) > _BATCH_TOKENS:
            yield batch
            batch, tokens = [], 0
        batch.append(index)
        tokens += len(windows[index])
    if batch:
        yield batch


def _load_tokenizer(path: Path) -> Any:
    """Read a tokenizer and switch off the truncation and padding its file asks for."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtraError("The local MiniLM embedder", "local") from error
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises bare Exception for a bad file
        raise ModelFileError(f"{path} is not a tokenizer file: {error}. Fetch the model again.") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
