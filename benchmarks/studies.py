"""Large synthetic studies, written chunk by chunk through the project's own writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from core.arrays import CHUNK_ROWS
from core.store import open_study
from core.writer import StepWriter, write_study

FOLDER = Path("build/bench")


def sparse_rows(n_rows: int, n_features: int, seed: int) -> np.ndarray:
    """(n_rows, n_features) float32, about 85 % zeros and a few strong entries a row."""
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(n_rows, n_features, generator=generator).sub_(1.0).clamp_(min=0.0)
    strong = torch.randint(0, n_features, (n_rows, 6), generator=generator)
    raw.scatter_(1, strong, 4.0 + torch.rand(n_rows, 6, generator=generator) * 4.0)
    return raw.numpy()


def image_table(n_images: int, n_classes: int) -> pd.DataFrame:
    """One image in ten is in the evaluation split."""
    rows = np.arange(n_images)
    names = np.array([f"class {c:04d}" for c in range(n_classes)], dtype=object)
    ids = pd.Series(rows).astype(str).str.zfill(8)
    return pd.DataFrame(
        {
            "image_id": ids,
            "path": ids + ".jpg",
            "split": np.where(rows % 10 == 9, "val", "train"),
            "label": names[(rows * 7919) % n_classes],
        }
    )


def write_representations(step: StepWriter, n_images: int, n_features: int, dtype: str) -> None:
    n_chunks = -(-n_images // CHUNK_ROWS)
    array = step.array("representations")
    for chunk in range(n_chunks):
        if not array.has(chunk):
            n_rows = min(CHUNK_ROWS, n_images - chunk * CHUNK_ROWS)
            array.put(chunk, sparse_rows(n_rows, n_features, chunk).astype(dtype, copy=False))
    step.finish_array("representations", n_chunks)


def large_study(
    name: str, n_images: int, n_features: int, *, dtype: str = "float32", n_classes: int = 100
) -> Path:
    """A study with representations only, kept in build/bench for the next run."""
    folder = FOLDER / name
    settings = {"n_images": n_images, "n_features": n_features, "dtype": dtype, "n_classes": n_classes}
    with write_study(folder) as writer:
        if not writer.is_current("embed", settings, ()):
            with writer.step("embed", settings) as step:
                step.table("images", image_table(n_images, n_classes))
                write_representations(step, n_images, n_features, dtype)
                encoder = {
                    "spec": "synthetic",
                    "n_features": n_features,
                    "nonnegative": True,
                    "family": "cnn",
                }
                step.summary = {"n_images": n_images, "n_classes": n_classes, "encoder": encoder}
    open_study(folder)
    return folder
