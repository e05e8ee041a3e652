"""The report of `analyze --dry-run`: the inputs it detects, and the time and disk space of the study."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.device import run_options
from core.common.workers import default_workers
from core.config import EmbedConfig, RunOptions
from core.data.sources.decode import thumbnail_jpeg
from core.encoders.trusted_code import allowing
from core.errors import UnreadableImage
from core.jobs.progress import Progress
from core.pipeline.dry_run_extras import captions_found, clip_found, masks_found, sample_images
from core.pipeline.embed import load, open_source
from core.steps import settings_of

if TYPE_CHECKING:
    from PIL import Image

    from core.data.sources.images import ImageSource
    from core.encoders.registry import Encoder

SAMPLES = 3  # images named when no thumbnails are requested
SAMPLED = 48  # images decoded to estimate the rate
FIRING_BYTES = 12  # per firing entry: feature, excess, and the row in the by-feature index


def plan(folder: str | Path, options: Mapping[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Inspect the images, encoder, masks and captions, time a sample, and write nothing.

    Args:
        options: as for `analyze`; `samples` adds thumbnails of that many images.
    Returns:
        JSON-able: the inputs (`images`, `samples`, `encoder`, `masks`, `captions`, `clip`), the estimated
        `seconds` and `bytes` of embedding, the free disk space, and whether the study already exists.
    """
    with allowing(options.get("encoder")):  # named by the caller, hence trusted
        return _plan(Path(folder), options, progress or Progress.silent())


def _plan(folder: Path, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    config: EmbedConfig = settings_of("embed", options)
    run = run_options(options)
    with progress.step("images"):
        source = open_source(config)
        n_samples, pictured = options.get("samples") or SAMPLES, bool(options.get("samples"))
        samples = sample_images(source, n_samples, pictures=pictured and source.has_pictures)
    with progress.step("masks and captions"):
        masks, captions, clip = masks_found(source, options), captions_found(options), clip_found(options)
    with progress.step("encoder"):
        encoder, about = load(config, source, run)
    with progress.step("speed"):
        pictures, unreadable, decode_seconds = _decode_sample(source)
        seconds = _seconds(source, encoder, pictures, decode_seconds, run)
    told = ("spec", "layer", "pool", "tokens", "token_norm", "n_features", "family", "transform")
    told += ("pools_globally",)
    return {
        "study": str(folder),
        "exists": (folder / "manifest.json").exists(),
        "images": _found(source) | {"unreadable_in_sample": unreadable, "sampled": SAMPLED},
        "encoder": {key: about.get(key) for key in told},
        "assumptions": about["assumptions"],
        "checkpoint": about.get("report"),
        "samples": samples,
        "masks": masks,
        "captions": captions,
        "clip": clip,
        "seconds": seconds,
        "bytes": _bytes(len(source.table), about["n_features"], pictures, config),
        "free_bytes": shutil.disk_usage(_existing_parent(folder)).free,
    }


def _found(source: ImageSource) -> dict[str, Any]:
    table = source.table
    labels = table["label"].dropna()
    counts = labels.value_counts()
    return {
        "kind": source.kind,
        "n_images": len(table),
        "splits": table["split"].value_counts().to_dict(),
        "n_classes": len(counts),
        "classes": dict(list(counts.sort_index().items())[:20]),
        "smallest_class": int(counts.min()) if len(counts) else None,
        "notes": list(source.notes),
        "first": table["image_id"].head(3).tolist(),
    }


def _decode_sample(source: ImageSource) -> tuple[list[Image.Image], list[str], float]:
    """Return images spread over the listing, the reasons of unreadable ones, and seconds per image."""
    rows = np.unique(np.linspace(0, len(source.table) - 1, SAMPLED).astype(int))
    pictures, unreadable = [], []
    began = time.perf_counter()
    for row in rows:
        try:
            pictures.append(source.read(int(row)))
        except UnreadableImage as error:
            unreadable.append(f"{source.table['path'].iloc[row]}: {error}")
    return pictures, unreadable, (time.perf_counter() - began) / len(rows)


def _seconds(
    source: ImageSource,
    encoder: Encoder | np.ndarray,
    pictures: list[Image.Image],
    decode_seconds: float,
    run: RunOptions,
) -> float | None:
    """The workers share the decoding, which overlaps with the encoder: the slower of the two counts."""
    n_images = len(source.table)
    decoding = decode_seconds / max(default_workers(run, n_images), 1)
    if isinstance(encoder, np.ndarray):
        return n_images * decoding
    if not pictures:
        return None
    import torch

    size = min(run.batch_size, 32)
    images = [encoder.transform.pixels(pictures[i % len(pictures)]) for i in range(size)]
    pixels = torch.from_numpy(np.stack(images))
    with torch.inference_mode():
        encoder.represent(pixels).sum().item()  # the first call allocates and warms up
        began = time.perf_counter()
        encoder.represent(pixels).sum().item()
    forward = (time.perf_counter() - began) / size
    return n_images * (max(decoding, forward) if encoder.device.type == "cuda" else decoding + forward)


def _bytes(n_images: int, n_features: int, pictures: list[Image.Image], config: EmbedConfig) -> int:
    entry = 2 if config.dtype == "float16" else 4
    thumbnails = [len(thumbnail_jpeg(p, config.thumbnail_size)) for p in pictures if config.thumbnail_size]
    thumbnail = float(np.mean(thumbnails)) + 4 if thumbnails else 0.0
    firing = 0.01 * n_features * FIRING_BYTES  # about one feature in a hundred fires
    scores = 120.0  # bytes an image in the tables
    return int(n_images * (n_features * entry + thumbnail + firing + scores))


def _existing_parent(path: Path) -> Path:
    return next(parent for parent in [path.resolve(), *path.resolve().parents] if parent.exists())
