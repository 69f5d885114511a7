"""Texts in, unit-norm vectors out: one protocol, four sources and a cache.

Every embedder returns one float32 row per text, checked (finite, not zero, of the expected size) and normalised here,
or raises `EmbedderError`. `name` says model, dimensions and variant, and is what a bank stores vectors under. Nothing
blocks the event loop, and heavy libraries are imported when an embedder is made.
"""

from smcs.embedders.cached import CachedEmbedder
from smcs.embedders.hashing import HashingEmbedder
from smcs.embedders.minilm import LongTexts, MiniLMEmbedder
from smcs.embedders.openai_compatible import OpenAICompatibleEmbedder
from smcs.embedders.protocol import Embedder, Vectors
from smcs.embedders.sentence_transformers import SentenceTransformersEmbedder

__all__ = (
    "CachedEmbedder",
    "Embedder",
    "HashingEmbedder",
    "LongTexts",
    "MiniLMEmbedder",
    "OpenAICompatibleEmbedder",
    "SentenceTransformersEmbedder",
    "Vectors",
)
