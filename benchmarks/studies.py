"""Large synthetic studies, written chunk by chunk through the project's own writer."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from core.pipeline.run import run_step
from core.store import Study
from core.study.chunked_array import CHUNK_ROWS
from core.study.progress import Progress
from core.study.writer import StepWriter, write_study

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


def write_thumbnails(step: StepWriter, n_images: int) -> None:
    """A small picture an image: one of a few, so that writing them takes no time worth the name."""
    rng = np.random.default_rng(0)
    jpegs = [_jpeg(rng) for _ in range(32)]
    n_chunks = -(-n_images // CHUNK_ROWS)
    for chunk in range(n_chunks):
        shown = [jpegs[row % 32] for row in range(min(CHUNK_ROWS, n_images - chunk * CHUNK_ROWS))]
        step.array("thumbnails").put(chunk, np.frombuffer(b"".join(shown), np.uint8))
        step.array("thumbnail_sizes").put(chunk, np.array([len(jpeg) for jpeg in shown], np.int32))
    step.finish_array("thumbnails", n_chunks)
    step.finish_array("thumbnail_sizes", n_chunks)


def _jpeg(rng: np.random.Generator) -> bytes:
    buffer = io.BytesIO()
    colours = rng.integers(0, 255, (3, 3, 3), dtype=np.uint8)
    Image.fromarray(colours).resize((96, 96)).save(buffer, "JPEG", quality=40)
    return buffer.getvalue()


def judged_study(folder: Path, n_images: int, n_features: int, *, n_classes: int) -> Path:
    """A study to look at: pictures, features, a made-up probe right four times in five, and qualities.

    Kept for the next run; it takes some minutes and 4 bytes an entry of disk at most.
    """
    settings = {"n_images": n_images, "n_features": n_features, "n_classes": n_classes}
    _embed(folder, settings, dtype="float16", pictures=True)
    if not Study(folder).has("features"):
        run_step("features", folder, {"device": "cpu"}, Progress.silent())
    if not Study(folder).has("probe"):
        with write_study(folder) as writer, writer.step("probe", {"made_up": True}) as step:
            step.table("probe", _verdicts(Study(folder).images, seed=0))
            step.summary = {"top1": 0.8}
    if not Study(folder).has("quality"):
        run_step("quality", folder, {"device": "cpu", "bootstrap": 50}, Progress.silent())
    if not Study(folder).has("map_pca"):
        run_step("map", folder, {}, Progress.silent())
    return folder


def _embed(folder: Path, settings: dict[str, Any], *, dtype: str, pictures: bool) -> None:
    """The step `embed` of so many images, features and classes, unless it is there already."""
    n_images, n_features, n_classes = (settings[name] for name in ("n_images", "n_features", "n_classes"))
    with write_study(folder) as writer:
        if writer.is_current("embed", settings, ()):
            return
        with writer.step("embed", settings) as step:
            step.table("images", image_table(n_images, n_classes))
            if pictures:
                write_thumbnails(step, n_images)
            write_representations(step, n_images, n_features, dtype)
            encoder = {"spec": "synthetic", "n_features": n_features, "nonnegative": True, "family": "cnn"}
            step.summary = {"n_images": n_images, "n_classes": n_classes, "encoder": encoder}


def _verdicts(images: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """The table `probe` of a classifier that is right on 80 %, and surer where it is."""
    rng = np.random.default_rng(seed)
    n_images, true = len(images), images["label"].to_numpy(object)
    correct = rng.random(n_images) < 0.8
    confidence = np.where(correct, rng.beta(5, 2, n_images), rng.beta(3, 3, n_images))
    return pd.DataFrame(
        {
            "image_id": images["image_id"],
            "split": images["split"],
            "true": true,
            "predicted": np.where(correct, true, rng.permutation(true)),
            "confidence": confidence,
            "margin": confidence**2,
            "energy": 10 * confidence,
            "correct": correct,
            "top5_correct": correct,
        }
    )


def large_study(
    name: str, n_images: int, n_features: int, *, dtype: str = "float32", n_classes: int = 100
) -> Path:
    """A study with representations only, kept in build/bench for the next run."""
    folder = FOLDER / name
    settings = {"n_images": n_images, "n_features": n_features, "dtype": dtype, "n_classes": n_classes}
    _embed(folder, settings, dtype=dtype, pictures=False)
    Study(folder)
    return folder
