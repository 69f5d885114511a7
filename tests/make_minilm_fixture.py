"""Write the reference vectors that the MiniLM tests compare with, using sentence-transformers itself.

Run it in an environment of its own, which needs `torch`, `sentence-transformers`, `pyarrow`, `platformdirs` and this
package:

    python tests/make_minilm_fixture.py MODEL_FOLDER ../shared/data

MODEL_FOLDER is the published sentence-transformers folder of all-MiniLM-L6-v2 (modules.json, 1_Pooling/, tokenizer,
weights). Of the recorded questions only ids, text hashes and vectors are written, never a text.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sentence_transformers import SentenceTransformer

from helpers_embedders import SENTENCES

_STEP = 33
_QUESTIONS = 200


def main(model_folder: str, data: str) -> None:
    model = SentenceTransformer(model_folder, device="cpu")
    table = pq.read_table(Path(data) / "mmlu_pro_recorded" / "questions.parquet", columns=["id", "question"])
    chosen = table.to_pylist()[::_STEP][:_QUESTIONS]
    texts = [row["question"] for row in chosen]
    target = Path(__file__).parent / "embedders" / "minilm_reference.npz"
    np.savez_compressed(
        target,
        question_ids=np.array([row["id"] for row in chosen]),
        question_hashes=np.array([hashlib.sha256(text.encode()).hexdigest() for text in texts]),
        question_vectors=model.encode(texts, normalize_embeddings=True).astype(np.float16),
        sentence_vectors=model.encode(list(SENTENCES), normalize_embeddings=True).astype(np.float16),
    )
    print(f"{target.name}: {target.stat().st_size:,} bytes, max_seq_length {model.max_seq_length}")


if __name__ == "__main__":
    main(*sys.argv[1:])
