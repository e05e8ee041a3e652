"""Evaluate a checkpoint on a study's images without making a study for it."""

from typing import Any

import numpy as np

from core.encoders.registry import Encoder
from core.encoders.transform import Transform
from core.research.transfer_learning.evaluate import (
    Represented,
    evaluate_representations,
    represent_pixels,
    represent_source,
)
from core.store import Study
from core.training.augmentations.pixels import load_pixels


def study_images(
    study: Study, encoder: Encoder, *, cache: str | None = None, workers: int = 0
) -> Represented:
    """Represent a study's images with another encoder.

    Images that are stored decoded for training are read from there; others are decoded again.
    """
    labelled = study.images["label"].notna().to_numpy()
    if not _as_for_training(encoder.transform) or not labelled.all():
        return represent_source(encoder, study.source, workers=workers)
    splits = load_pixels(study.source, min(encoder.transform.sides), cache=cache, workers=workers)
    parts = [splits[split] for split in ("train", "val")]
    raw = np.concatenate([represent_pixels(encoder, part.images) for part in parts])
    codes = np.concatenate([part.labels for part in parts if part.labels is not None])
    is_val = np.repeat([False, True], [len(part.images) for part in parts])
    return Represented(raw, codes, is_val, sorted(study.source.table["label"].unique()))


def _as_for_training(transform: Transform) -> bool:
    """Return True if the encoder sees the whole square that a training stores."""
    square = isinstance(transform.input_size, int)  # trainings have square images
    same_size = square and transform.resize in (None, transform.input_size)
    return same_size and (transform.interpolation, transform.crop) == ("bilinear", "center")


def judge_on_study(images: Represented, study: Study, *, resamples: int = 1000) -> dict[str, Any]:
    """Call `judge` with the epsilon and percentiles of a study and a newly computed D; `q_auroc_start_d` uses
    the study's D."""
    feature_settings, epsilon = study.settings("features"), float(study.summary("features")["epsilon"])
    low, high = float(feature_settings.get("low", 50.0)), float(feature_settings.get("high", 95.0))
    row = evaluate_representations(images, epsilon=epsilon, low=low, high=high, resamples=resamples)
    if "lr" not in row:
        return row
    begun = study.discriminative
    with_begun = evaluate_representations(
        images, discriminative=begun, epsilon=epsilon, lr=row["lr"], resamples=0
    )
    return row | {"q_auroc_start_d": with_begun.get("q_auroc")}
