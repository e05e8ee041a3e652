"""Evaluate an encoder on an image set, in memory: probe accuracy, and how well Q predicts its errors.

Uses the same functions as the steps of a study, without a study, when only the numbers are needed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from core.analysis.definitions import discriminative_features, highly_activating, normalise_rows
from core.analysis.linear_probe import Recipe
from core.analysis.probe_step import Probe, train_probe
from core.analysis.representations import (
    batches_of,
    check_finite_representations,
    input_views,
    picture_batches,
)
from core.analysis.scores import confidence, near_zero_share, q_score
from core.common.dataframes import check_same_length
from core.common.largest_values import first_largest
from core.common.step_facts import FeaturesFacts
from core.data.images import ImageSource
from core.encoders.registry import Encoder
from core.encoders.transform import Transform
from core.errors import ImageSourceError, NoDiscriminativeFeatures
from core.measures import metrics
from core.measures.intervals import share_intervals
from core.store import Study
from core.training.pixels import load_pixels

AT_ONCE = 4096  # rows scored at a time


@dataclass(frozen=True)
class Represented:
    """Raw representations of an image set, without unreadable images."""

    raw: np.ndarray  # (n, n_features) float32
    codes: np.ndarray  # (n,) int64 position of the label in `class_names`, -1 without one
    is_val: np.ndarray  # (n,) bool
    class_names: list[str]
    n_skipped: int = 0

    def __post_init__(self) -> None:
        for name in ("codes", "is_val"):
            check_same_length("raw rows", len(self.raw), name, len(getattr(self, name)))

    @property
    def why_not_judged(self) -> str:
        """Explain why no probe can be trained and evaluated; empty if it can."""
        train, val = (self.codes[self.is_val == side] for side in (False, True))
        if not (self.codes >= 0).any():
            return "the images have no labels"
        if len(np.unique(train[train >= 0])) < 2:
            return "fewer than two labelled classes to train on"
        return "" if (val >= 0).any() else "no labelled evaluation images"


def represent_source(
    encoder: Encoder,
    source: ImageSource,
    *,
    batch_size: int = 64,
    workers: int = 0,
    after_batch: Callable[[int], object] = lambda n: None,
) -> Represented:
    """Represent every readable image of another image set with a study's encoder (transfer, research).

    Memory: the representations, and a few batches.

    Raises:
        ImageSourceError: no image can be read. EncoderError: NaN or infinity, with the image's name.
    """
    n = len(source.table)
    pictures = input_views(source, encoder.transform)
    batches = batches_of(range(-(-n // AT_ONCE)), n, batch_size)
    parts, rows = [], []
    stream = picture_batches(pictures, batches, workers=workers, pin=encoder.device.type == "cuda")
    for batch_rows, batch in zip(batches, stream, strict=True):
        if batch.pixels is not None:
            with torch.inference_mode():
                raw = encoder.represent(batch.pixels).cpu().numpy()
            check_finite_representations(raw, batch.rows, source)
            parts.append(raw)
            rows += batch.rows
        after_batch(len(batch_rows))
    if not rows:
        raise ImageSourceError(f"none of the {n} images can be read")
    table = source.table.iloc[rows]
    names = sorted(table["label"].dropna().unique())
    codes = pd.Categorical(table["label"], categories=names).codes.astype(np.int64)
    is_val = (table["split"] == "val").to_numpy()
    return Represented(np.concatenate(parts), codes, is_val, names, n - len(rows))


def represent_pixels(encoder: Encoder, images: np.ndarray, *, batch_size: int = 128) -> np.ndarray:
    """(n, n_features) float32 representations of (n, S, S, 3) uint8 images (transfer, research)."""

    def parts() -> Iterator[np.ndarray]:
        for start in range(0, len(images), batch_size):
            block = torch.from_numpy(
                np.array(images[start : start + batch_size])
            )  # from a read-only memory map
            yield encoder.represent(block).cpu().numpy()

    with torch.inference_mode():
        return np.concatenate([np.empty((0, encoder.n_features), np.float32), *parts()])


def evaluate_representations(
    images: Represented,
    *,
    discriminative: np.ndarray | None = None,
    epsilon: float = 4.0,
    low: float = 50.0,
    high: float = 95.0,
    lr: float | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Evaluate an encoder on other images (transfer, research): probe accuracy and Q on evaluation images.

    Train the probe of docs/method.md 3 on the train images and evaluate it, and Q, on the others.

    Args:
        discriminative: (n_features,) bool, D; None: computed on the train images, as in the step `features`.
        epsilon: firing threshold, in standard deviations. low, high: percentiles for a D computed here.
        lr: of the probe; None: the best of six.
    Returns:
        n_train, n_val, n_classes; top1 and top5 with _low and _high (Wilson's 95 % interval over evaluation
        images); q_auroc with its interval, q_auprc (correct is positive) beside base_rate, q_auprc_error;
        mean_q_correct, mean_q_misclassified; confidence_auroc, the probe's own; mean_firing, share_nonempty
        (evaluation images), near_zero (train), n_discriminative, epsilon, lr. None if undefined; `note` gives
        the reason.
    """
    train, val = ((images.is_val == side) for side in (False, True))
    in_d, why = _features_in_d(images.raw[train], discriminative, epsilon, low, high)
    used, judged = train & (images.codes >= 0), val & (images.codes >= 0)
    near_zero = [near_zero_share(part).numpy() for part in _parts(images.raw[train])]
    n_classes = len(images.class_names)
    n_train = int(used.sum())
    n_val = int(judged.sum())
    n_discriminative = int(in_d.sum())
    near_zero_mean = _mean(near_zero)
    note = images.why_not_judged or why
    row: dict[str, Any] = {
        "n_train": n_train,
        "n_val": n_val,
        "n_classes": n_classes,
        "epsilon": epsilon,
        "n_discriminative": n_discriminative,
        "near_zero": near_zero_mean,
        "note": note,
    }
    if images.why_not_judged:
        return row
    probe = train_probe(images.raw[used], images.codes[used], n_classes, lr=lr, recipe=Recipe(seed=seed))
    raw, codes = images.raw[judged], images.codes[judged]
    row |= _accuracy(probe, raw, codes, intervals=resamples > 0) | {"lr": probe.lr}
    return row | _of_scores(probe, raw, codes, in_d, epsilon, resamples=resamples, seed=seed)


def _features_in_d(
    raw: np.ndarray, discriminative: np.ndarray | None, epsilon: float, low: float, high: float
) -> tuple[np.ndarray, str]:
    if discriminative is not None:
        return np.asarray(discriminative, bool), ""
    try:
        return discriminative_mask(raw, epsilon=epsilon, low=low, high=high), ""
    except NoDiscriminativeFeatures as error:
        return np.zeros(raw.shape[1], bool), str(error)


def discriminative_mask(
    raw: np.ndarray, *, epsilon: float = 4.0, low: float = 50.0, high: float = 95.0
) -> np.ndarray:
    """D of (n, n_features) raw train rows, (n_features,) bool. Raises NoDiscriminativeFeatures (research)."""
    counts = np.zeros(raw.shape[1], np.int64)
    for part in _parts(raw):
        counts += highly_activating(part, epsilon=epsilon).sum(0).numpy()
    return discriminative_features(100.0 * counts / max(len(raw), 1), low=low, high=high).numpy()


def _parts(raw: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(raw), AT_ONCE):
        yield raw[start : start + AT_ONCE]


def _mean(parts: Iterable[np.ndarray]) -> float | None:
    values = np.concatenate([np.empty(0), *parts])
    return float(values.mean()) if len(values) else None


def _accuracy(probe: Probe, raw: np.ndarray, codes: np.ndarray, *, intervals: bool) -> dict[str, float]:
    best = first_largest(probe.logits(raw), 5)[1].numpy()
    top1, top5 = best[:, 0] == codes, (best == codes[:, None]).any(1)
    hits = np.column_stack([top1, top5]).astype(float)
    ends = dict(zip(("", "_low", "_high")[: 3 if intervals else 1], share_intervals(hits), strict=False))
    accuracies = {}
    for column, k in enumerate((1, 5)):
        accuracies |= {f"top{k}{end}": float(values[column]) for end, values in ends.items()}
    return accuracies


def _of_scores(
    probe: Probe,
    raw: np.ndarray,
    codes: np.ndarray,
    discriminative: np.ndarray,
    epsilon: float,
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    logits = probe.logits(raw)
    correct = (logits.argmax(1).numpy() == codes).astype(float)
    firing = np.concatenate([highly_activating(part, epsilon=epsilon).numpy() for part in _parts(raw)])
    q = np.concatenate(
        [q_score(normalise_rows(part), discriminative, epsilon=epsilon).numpy() for part in _parts(raw)]
    )
    scores = pd.DataFrame({"q_score": q, "confidence": confidence(logits).numpy()})
    rated = metrics.evaluate(scores, correct, resamples=resamples, seed=seed).set_index("score")
    of_q: dict[str, Any] = rated.loc["q_score"].to_dict()
    names = {
        "q_auroc": "auroc",
        "q_auroc_low": "auroc_low",
        "q_auroc_high": "auroc_high",
        "q_auprc": "auprc_correct",
        "base_rate": "base_rate_correct",
        "q_auprc_error": "auprc_error",
    }
    measures = {name: of_q[column] for name, column in names.items()}
    right, wrong = correct == 1, correct == 0
    q_correct = q[right].mean() if right.any() else np.nan
    q_misclassified = q[wrong].mean() if wrong.any() else np.nan
    nonempty = (firing & discriminative).any(1)
    measures |= {
        "confidence_auroc": rated.loc["confidence", "auroc"],
        "mean_q_correct": q_correct,
        "mean_q_misclassified": q_misclassified,
        "mean_firing": firing.sum(1).mean(),
        "share_nonempty": nonempty.mean(),
    }
    numbers = {name: float(value) for name, value in measures.items()}
    return {name: None if np.isnan(value) else value for name, value in numbers.items()}


def study_images(
    study: Study, encoder: Encoder, *, cache: str | None = None, workers: int = 0
) -> Represented:
    """Represent a study's images with another encoder (transfer, research).

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
    """Call `evaluate_representations` (research) with the epsilon and percentiles of a study and a new D.

    `q_auroc_start_d` uses the study's D.
    """
    feature_settings, epsilon = study.settings("features"), study.facts(FeaturesFacts).known_epsilon
    low, high = float(feature_settings.get("low", 50.0)), float(feature_settings.get("high", 95.0))
    row = evaluate_representations(images, epsilon=epsilon, low=low, high=high, resamples=resamples)
    if "lr" not in row:
        return row
    begun = study.discriminative
    with_begun = evaluate_representations(
        images, discriminative=begun, epsilon=epsilon, lr=row["lr"], resamples=0
    )
    return row | {"q_auroc_start_d": with_begun.get("q_auroc")}
