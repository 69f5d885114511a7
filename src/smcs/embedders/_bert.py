"""The forward pass of a MiniLM-style BERT encoder in numpy: token ids in, summed token states out.

Nothing is padded: the tokens of all windows of a batch stand in one matrix, so every dense layer is one product over
real tokens only, and attention runs per window. Weights are float32, transposed once at loading so that products read
them in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from smcs.errors import MissingExtraError, ModelFileError

__all__ = ("BertEncoder", "gelu")

Array = NDArray[np.float32]

_HEAD_WIDTH = 32
"""Width of one attention head in the whole MiniLM-H384 family; the weights do not record it."""

_EPSILON = np.float32(1e-12)
"""Added to the variance in every layer normalisation."""

_GELU_LIMIT = np.float32(5.5)
"""Beyond this, x * Phi(-x) is below 1.1e-7, less than float32 resolves next to x."""

_LOG_PHI = np.array(
    [-0.693141172, -0.797963779, -0.317960175, -0.0370706822, 0.00563270056, -0.000542929043, 2.40684938e-05],
    dtype=np.float32,
)
"""Least-squares fit of log Phi(-x) on [0, 5.5], lowest power first, weighted by x * Phi(-x), as a GELU's error is."""

_GELU_BLOCK = 64
"""Rows worked on at once, so that the operands of the many small passes stay in the core's own cache."""


def gelu(values: Array) -> None:
    """Apply x * Phi(x), the exact ("erf") GELU, in place.

    Computed as max(x, 0) - |x| * Phi(-|x|), with Phi(-|x|) as the exponential of a polynomial; absolute error below
    4e-7.

    Args:
        values: C-contiguous float32 of shape (rows, width); overwritten.
    """
    magnitude = np.empty((min(_GELU_BLOCK, len(values)), values.shape[1]), dtype=np.float32)
    exponent = np.empty_like(magnitude)
    for start in range(0, len(values), _GELU_BLOCK):
        block = values[start : start + _GELU_BLOCK]
        size, power = magnitude[: len(block)], exponent[: len(block)]
        np.abs(block, out=size)
        np.minimum(size, _GELU_LIMIT, out=size)
        np.multiply(size, _LOG_PHI[-1], out=power)
        for coefficient in _LOG_PHI[-2:0:-1]:
            power += coefficient
            power *= size
        power += _LOG_PHI[0]
        np.exp(power, out=power)
        power *= size
        np.maximum(block, 0, out=block)
        block -= power


@dataclass(frozen=True, slots=True)
class _Norm:
    """A layer normalisation: scale and shift, (width,) each."""

    scale: Array
    shift: Array

    def apply(self, states: Array) -> None:
        """Normalise each row of (tokens, width) states in place."""
        states -= states.mean(axis=1, keepdims=True)
        spread = np.vecdot(states, states)[:, None]
        spread /= states.shape[1]
        spread += _EPSILON
        np.sqrt(spread, out=spread)
        states /= spread
        states *= self.scale
        states += self.shift


@dataclass(frozen=True, slots=True)
class _Dense:
    """A linear layer: (inputs, outputs) weight, (outputs,) bias."""

    weight: Array
    bias: Array

    def apply(self, states: Array) -> Array:
        """Return (tokens, outputs) for (tokens, inputs)."""
        out = states @ self.weight
        out += self.bias
        return out


@dataclass(frozen=True, slots=True)
class _Layer:
    """One transformer layer; queries, keys and values come from a single product."""

    qkv: _Dense
    attended: _Dense
    attended_norm: _Norm
    widen: _Dense
    narrow: _Dense
    narrow_norm: _Norm

    def apply(self, states: Array, bounds: NDArray[np.intp]) -> Array:
        """Return the next (tokens, width) states; window w holds rows `bounds[w]:bounds[w + 1]`."""
        hidden = self.attended.apply(_attend(self.qkv.apply(states), bounds))
        hidden += states
        self.attended_norm.apply(hidden)
        inner = self.widen.apply(hidden)
        gelu(inner)
        out = self.narrow.apply(inner)
        out += hidden
        self.narrow_norm.apply(out)
        return out


def _attend(qkv: Array, bounds: NDArray[np.intp]) -> Array:
    """Self-attention inside each window: (tokens, 3 * width) to (tokens, width); queries are scaled already."""
    tokens, width = len(qkv), qkv.shape[1] // 3
    heads = width // _HEAD_WIDTH
    query, key, value = (
        part.transpose(1, 0, 2) for part in np.split(qkv.reshape(tokens, 3 * heads, _HEAD_WIDTH), 3, 1)
    )
    mixed = np.empty((tokens, heads, _HEAD_WIDTH), dtype=np.float32)
    out = mixed.transpose(1, 0, 2)
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        window = slice(start, stop)
        weights = query[:, window] @ key[:, window].transpose(0, 2, 1)
        weights -= weights.max(axis=2, keepdims=True)
        np.exp(weights, out=weights)
        total = weights.sum(axis=2, keepdims=True)
        np.divide(weights @ value[:, window], total, out=out[:, window])
    return mixed.reshape(tokens, width)


@dataclass(frozen=True, slots=True)
class BertEncoder:
    """A loaded encoder. Calls share nothing but the weights, so several threads may use one."""

    words: Array
    """(vocabulary, width) token embeddings."""
    positions: Array
    """(longest window, width) position embeddings, with the embedding of segment 0 added."""
    norm: _Norm
    layers: tuple[_Layer, ...]
    fingerprint: str
    """First 8 hex digits of the SHA-256 over all biases and norms: tells fine-tunes of one architecture apart."""

    @property
    def width(self) -> int:
        """Length of a token state."""
        return int(self.words.shape[1])

    @property
    def longest_window(self) -> int:
        """Most tokens a window may have."""
        return len(self.positions)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a `model.safetensors` of a MiniLM-style BERT.

        Raises:
            MissingExtraError: The `safetensors` package is not installed.
            ModelFileError: The file is unreadable, or not such a model.
        """
        try:
            from safetensors import SafetensorError
            from safetensors.numpy import load_file
        except ImportError as error:
            raise MissingExtraError("The local MiniLM embedder", "local") from error
        try:
            return cls._build(load_file(path))
        except (OSError, SafetensorError) as error:
            raise ModelFileError(f"{path} cannot be read as safetensors: {error}. Fetch the model again.") from error
        except (KeyError, ValueError) as error:
            raise ModelFileError(f"{path} is not a MiniLM-style BERT encoder: {error} does not fit.") from error

    @classmethod
    def _build(cls, tensors: Mapping[str, NDArray[np.float32]]) -> Self:
        words = tensors["embeddings.word_embeddings.weight"]
        width = words.shape[1]
        if words.dtype != np.float32 or width % _HEAD_WIDTH:
            raise ValueError(f"a {words.dtype} embedding of width {width}")
        depth = 1 + max(int(name.split(".")[2]) for name in tensors if name.startswith("encoder.layer."))
        flat = hashlib.sha256()
        for name in sorted(tensors):
            if tensors[name].ndim == 1:
                flat.update(tensors[name].tobytes())
        return cls(
            words=words,
            positions=tensors["embeddings.position_embeddings.weight"]
            + tensors["embeddings.token_type_embeddings.weight"][0],
            norm=_norm(tensors, "embeddings.LayerNorm"),
            layers=tuple(_layer(tensors, f"encoder.layer.{index}") for index in range(depth)),
            fingerprint=flat.hexdigest()[:8],
        )

    def sums(self, windows: Sequence[Sequence[int]]) -> Array:
        """Run the encoder and add up each window's last token states.

        Args:
            windows: Token ids, special tokens included; 1 to `longest_window` of them per window.

        Returns:
            float32 of shape (windows, width).
        """
        lengths = np.array([len(window) for window in windows], dtype=np.intp)
        bounds = np.concatenate([np.zeros(1, dtype=np.intp), np.cumsum(lengths)])
        offsets = np.arange(bounds[-1]) - np.repeat(bounds[:-1], lengths)
        states = self.words[np.concatenate([np.asarray(window, dtype=np.intp) for window in windows])]
        states += self.positions[offsets]
        self.norm.apply(states)
        for layer in self.layers:
            states = layer.apply(states, bounds)
        return np.add.reduceat(states, bounds[:-1], axis=0)


def _norm(tensors: Mapping[str, Array], name: str) -> _Norm:
    return _Norm(tensors[f"{name}.weight"], tensors[f"{name}.bias"])


def _dense(tensors: Mapping[str, Array], *names: str) -> _Dense:
    """Read one linear layer, or several side by side as one."""
    weight = np.concatenate([tensors[f"{name}.weight"] for name in names])
    return _Dense(np.ascontiguousarray(weight.T), np.concatenate([tensors[f"{name}.bias"] for name in names]))


def _layer(tensors: Mapping[str, Array], name: str) -> _Layer:
    attention = f"{name}.attention"
    qkv = _dense(tensors, *(f"{attention}.self.{part}" for part in ("query", "key", "value")))
    width = len(qkv.weight)
    for part in (qkv.weight, qkv.bias):
        part[..., :width] /= np.sqrt(np.float32(_HEAD_WIDTH))
    return _Layer(
        qkv=qkv,
        attended=_dense(tensors, f"{attention}.output.dense"),
        attended_norm=_norm(tensors, f"{attention}.output.LayerNorm"),
        widen=_dense(tensors, f"{name}.intermediate.dense"),
        narrow=_dense(tensors, f"{name}.output.dense"),
        narrow_norm=_norm(tensors, f"{name}.output.LayerNorm"),
    )
