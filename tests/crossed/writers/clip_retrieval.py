"""Embeddings and captions as clip-retrieval's writer lays them out."""

from __future__ import annotations

import importlib.util
import json
from functools import partial
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.crossed.data_kit import WrittenData


def writer_module() -> Any:
    """Its module of writers alone: the package itself imports servers and models."""
    path = distribution("clip_retrieval").locate_file("clip_retrieval/clip_inference/writer.py")
    spec = importlib.util.spec_from_file_location("writer", str(path))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(
    folder: Path, *, parts: int = 1, images: bool = True, metadata: bool = False, dtype: Any = np.float16
) -> WrittenData:
    rng = np.random.default_rng(1)
    texts = [f"A photograph of number {number}" for number in range(12)]
    for part in range(parts):
        held = texts[part::parts] if parts == 1 else texts[6 * part : 6 * part + 6]
        writer = writer_module().NumpyWriter(part, str(folder / "data"), True, images, metadata, parts)
        unit = rng.normal(size=(len(held), 8)).astype(dtype)
        batch = {"text_embs": unit, "text": held}
        batch |= (
            {"image_embs": unit, "image_filename": [f"{n}.jpg" for n in range(len(held))]} if images else {}
        )
        batch |= (
            {
                "metadata": [
                    json.dumps({"url": f"https://example.org/{n}", "width": 48}) for n in range(len(held))
                ]
            }
            if metadata
            else {}
        )
        writer(batch)
        writer.flush()
    tables = sorted((folder / "data" / "metadata").glob("*.parquet"))
    said = [text for one in tables for text in pd.read_parquet(one)["caption"]]
    return WrittenData(captions="{folder}/data", texts=said)


CASES = {
    ("NumpyWriter", "one part"): written,
    ("NumpyWriter", "two parts"): partial(written, parts=2),
    ("NumpyWriter", "texts only"): partial(written, images=False),
    ("NumpyWriter", "metadata"): partial(written, metadata=True),
    ("NumpyWriter", "float32"): partial(written, dtype=np.float32),
}
