"""Texts and a tiny model of our own for the embedders' tests, and where the real model and recorded data are sought."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smcs._paths import cache_dir

__all__ = ("EMBEDDING_CACHE", "MINILM", "SENTENCES", "SHARED_DATA", "tiny_bert")

EMBEDDING_CACHE = cache_dir() / "embeddings.sqlite"
"""Where `smcs bench recorded` keeps what it has embedded."""

MINILM = cache_dir() / "models" / "all-minilm-l6-v2"
"""Where the catalogue keeps the model; tests that need it are skipped when it has not been fetched."""

SHARED_DATA = Path(os.environ.get("SMCS_SHARED_DATA", Path(__file__).parents[1].parent / "shared" / "data"))
"""Recorded data that is not part of the repository; tests that need it are skipped where it is absent."""

_LONG = " ".join(
    f"Station {number} of the survey recorded {number * 7 % 31} herons, {number * 5 % 23} plovers "
    f"and a wind of {number % 9} knots."
    for number in range(1, 41)
)

SENTENCES: tuple[str, ...] = (
    "Which of the two lamps stays lit when the left switch is opened?",
    "A tram leaves the depot every twelve minutes; how many pass the bridge between 9:00 and 10:00?",
    "ok",
    "",
    "   \t\n ",
    "Wie viele Primzahlen liegen zwischen 20 und 50?",
    "Où se trouve la clé du grenier, et qui l'a prise hier soir ?",
    "¿Cuántos litros caben en un depósito de 2 m³?",
    "数列の最初の三項は 2, 5, 10 です。第七項を求めなさい。",
    "Сколько существует перестановок слова «колокол»?",
    "ما هو مجموع زوايا المثلث؟",
    "def median(values):\n    ordered = sorted(values)\n    return ordered[len(ordered) // 2]\n",
    "SELECT city, AVG(rent) FROM flats WHERE rooms >= 3 GROUP BY city HAVING COUNT(*) > 10;",
    r"Evaluate $\int_0^{\pi} x \sin(x)\,dx$ and give $\lim_{n \to \infty} \left(1 + \frac{2}{n}\right)^n$.",
    "If 3x + 5 = 26 and y = x^2 - 4x, what is y?",
    "Write exactly three sentences about rain, and use no comma.",
    "🙂🙃 emoji, naïve façade, ½ cup — and a zero-width​space",
    "donaudampfschifffahrtsgesellschaftskapitän " * 3,
    "A. the red box\nB. the blue box\nC. neither box\nD. both boxes",
    _LONG,
    " ".join(reversed(_LONG.split(" "))),
)
"""Several languages, code, mathematics, nothing at all, and two texts that are longer than one window."""


def tiny_bert(folder: Path, *, seed: int = 0, longest: int = 16) -> dict[str, NDArray[np.float32]]:
    """Write a random encoder (2 layers, 2 heads, up to `longest` tokens) and a tokenizer of the words w0 to w24.

    Returns:
        The encoder's tensors by name.
    """
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers

    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (30, 64),
        "embeddings.position_embeddings.weight": (longest, 64),
        "embeddings.token_type_embeddings.weight": (2, 64),
        "embeddings.LayerNorm.weight": (64,),
        "embeddings.LayerNorm.bias": (64,),
    }
    dense = {
        "attention.self.query": (64, 64),
        "attention.self.key": (64, 64),
        "attention.self.value": (64, 64),
        "attention.output.dense": (64, 64),
        "intermediate.dense": (96, 64),
        "output.dense": (64, 96),
    }
    for name in ("encoder.layer.0", "encoder.layer.1"):
        for part, shape in dense.items():
            shapes |= {f"{name}.{part}.weight": shape, f"{name}.{part}.bias": shape[:1]}
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{name}.{part}.weight": (64,), f"{name}.{part}.bias": (64,)}
    tensors = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors")
    words = ["[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(25))]
    tokenizer = Tokenizer(models.WordLevel({word: id_ for id_, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(4)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tensors
