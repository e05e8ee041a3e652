"""The step `mask-interventions`: object or background blurred, removed or swapped (docs/method.md 5.4)."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from core.analysis.gradcam.on_demand import study_encoder
from core.analysis.overlap.iou import LEAST_IMAGES
from core.analysis.overlap.step import NO_MASKS
from core.analysis.quality.label_free.distinctiveness import LEAST_STD, raw_moments
from core.analysis.representations import picture_batches
from core.common.command_line import command_line
from core.common.formatting import counted, percent
from core.common.processes import default_workers
from core.config import RunOptions
from core.encoders.encoder import Encoder
from core.errors import EncoderError, MaskError, UnreadableImage
from core.jobs.progress import Progress
from core.research.mask_interventions.alterations import ALTERATIONS
from core.research.mask_interventions.config import MaskInterventionsConfig
from core.research.mask_interventions.responses import (
    CALLED,
    FiringPairs,
    accuracy_table,
    agreement_table,
    contrasts_table,
    core_from_spurious,
    feature_responses,
    groups_table,
    responses_table,
)
from core.research.mask_interventions.sampled import AlteredPictures, Sampled, sample_pictures
from core.slices.evaluate import class_column
from core.storage.writer import StepRun, StepWriter
from core.store import Study


def compute_mask_interventions(
    study: Study, step: StepWriter, config: MaskInterventionsConfig, run: StepRun
) -> None:
    """Write `mask_responses`, `mask_contrasts`, `mask_groups`, `mask_agreement`, and, where there is
    a probe and labels, `mask_accuracy`.

    Raises:
        EncoderError: the study was made without an encoder, or it has changed. MaskError: no masks, or fewer
        than two that divide a picture. UnreadableImage: no picture can be read.
    """
    check_can_intervene(study)
    encoder = study_encoder(study, run.device)
    workers = default_workers(run.options, config.sample)
    sampled = sample_pictures(study, config.sample, config.seed, workers=workers, progress=run.progress)
    pairs, read, predicted = embed_altered(study, encoder, sampled, run.options, run.progress)
    pairs = FiringPairs(np.searchsorted(read, pairs.image), pairs.feature, pairs.before, pairs.after)
    features, called, discriminative = reported_features(study, pairs.feature)
    scales = raw_moments(study, study.array("representations"))[1][features]
    scales = np.where(scales > LEAST_STD, scales, np.nan)
    settings = {"resamples": config.bootstrap, "seed": config.seed}
    responses = feature_responses(pairs, features, called, scales, areas=sampled.areas[read], **settings)
    agreement = agreement_table(responses, called, scales)
    step.table("mask_responses", responses_table(responses))
    step.table("mask_contrasts", contrasts_table(responses, called, discriminative, scales))
    step.table("mask_groups", groups_table(responses))
    step.table("mask_agreement", agreement)
    step.summary = intervention_summary(sampled, len(read), agreement)
    separations = core_from_spurious(responses, called, scales)
    if defined := {name: one for name, one in separations.items() if np.isfinite(one["auroc"])}:
        step.summary["core against spurious"] = defined
    true = class_column(study, "label")[sampled.rows[read]]
    if predicted is not None and (true >= 0).any():
        step.table("mask_accuracy", accuracy_table(predicted, true))


def check_can_intervene(study: Study) -> None:
    """Raise EncoderError or MaskError, with what to do, for a study whose pictures cannot be altered."""
    if study.summary("embed").get("encoder", {}).get("family") == "given":
        raise EncoderError(
            f"'{study.path}' was made from representations, and altered pictures need the encoder itself. "
            f"Make a study with one: {command_line('embed', 'STUDY')} --images DIR --encoder SPEC"
        )
    if why := study.summary("overlap").get("skipped"):
        command = f". Run: {command_line('overlap', study.path)} --masks DIR" if why == NO_MASKS else ""
        raise MaskError(f"'{study.path}' has no overlap with masks: {why}{command}")


def embed_altered(
    study: Study, encoder: Encoder, sampled: Sampled, options: RunOptions, progress: Progress
) -> tuple[FiringPairs, np.ndarray, np.ndarray | None]:
    """Embed the sampled pictures as they are and altered, batch by batch; only what fires is kept.

    Returns:
        pairs; positions (n,) of the pictures that could be read, ascending; predicted class codes
        (n, 1 + n_alterations) by the probe, None without one.
    Raises:
        UnreadableImage: none could be read.
    """
    counts = study.vector("firing_count")
    starts = np.concatenate([[0], np.cumsum(counts)])
    firing = study.vector("firing_features")
    probe = [study.vector(name) for name in ("probe_weights", "probe_bias")] if study.has("probe") else None
    n, size = len(sampled.rows), max(1, options.batch_size // (1 + len(ALTERATIONS)))
    pictures: Any = AlteredPictures(study, sampled)
    batches = [range(start, min(start + size, n)) for start in range(0, n, size)]
    stream: Any = picture_batches(
        pictures, batches, workers=default_workers(options, n * (1 + len(ALTERATIONS))), pin=False
    )
    read: list[int] = []
    predicted, parts = [], []
    with progress.stage("altered", total=n, unit="images") as bar:
        for batch, part in zip(batches, stream, strict=True):
            if part.positions:
                raw = represent_altered(encoder, part.pixels)  # (P, 1 + A, n_features)
                for position, rows in zip(part.positions, raw, strict=True):
                    row = sampled.rows[position]
                    mine = firing[starts[row] : starts[row + 1]]
                    parts.append((np.full(len(mine), position), mine, rows[0, mine], rows[1:, mine].T))
                read += part.positions
                if probe is not None:
                    predicted.append((raw.astype(np.float64) @ probe[0].T + probe[1]).argmax(-1))
            bar.update(len(batch))
    if not read:
        raise UnreadableImage(
            f"none of the {counted(n, 'image')} drawn from '{study.path}' can be read. Put the images back"
        )
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    return FiringPairs(*columns), np.array(read), np.concatenate(predicted) if predicted else None


def represent_altered(encoder: Encoder, pixels: torch.Tensor) -> np.ndarray:
    """(P, A, H, W, 3) uint8 -> (P, A, n_features) float32, raw.

    Raises:
        EncoderError: NaN or infinity.
    """
    with torch.inference_mode():
        raw = encoder.represent(pixels.flatten(0, 1)).float().cpu().numpy()
    if not np.isfinite(raw).all():
        raise EncoderError("NaN or infinity in the representation of an altered image. Check the checkpoint")
    return raw.reshape(*pixels.shape[:2], -1)


def reported_features(study: Study, firing: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features that are discriminative or fire on a sampled picture: their numbers, what the overlap calls
    each ("core", "spurious" or "undecided"; '' where it says nothing), whether they are discriminative.
    """
    table = study.table("features", ["feature", "discriminative"])
    discriminative = table["discriminative"].to_numpy(bool)
    candidates = discriminative.copy()
    candidates[firing] = True
    verdicts = study.table("overlap_by_feature", ["feature", "verdict"]).drop_duplicates("feature")
    called = np.full(len(table), "", object)
    called[verdicts["feature"].to_numpy()] = verdicts["verdict"].to_numpy(object)
    features = np.flatnonzero(candidates)
    return features, called[features], discriminative[features]


def intervention_summary(sampled: Sampled, n_read: int, agreement: pd.DataFrame) -> dict[str, Any]:
    """Return counts, the shares that agree, and in `notes` what a reader of the numbers should know."""
    by_key = agreement.set_index(["called", "measure"])
    numbers: dict[str, Any] = {
        "n_images": n_read,
        "split": sampled.split,
        "n_masked": sampled.n_masked,
        "n_unusable_masks": sampled.n_unusable,
        "n_unreadable": len(sampled.rows) - n_read,
        "mean_area": float(sampled.areas.mean()),
        "control_overlap": sampled.mean_control_overlap(),
        "donors_of_other_class": sampled.other_class,
    }
    for name in CALLED[:2]:
        line = by_key.loc[(name, "difference")]
        numbers[f"n_{name}"] = int(line["n_features"])
        numbers[f"{name}_agree"] = _known(line["agree"])
        numbers[f"{name}_agree_beyond_control"] = _known(by_key.loc[(name, "excess"), "agree"])
        numbers[f"{name}_agree_per_area"] = _known(by_key.loc[(name, "per_area"), "agree"])
    return numbers | {"notes": notes(sampled, numbers)}


def notes(sampled: Sampled, numbers: dict[str, Any]) -> list[str]:
    sentences = []
    if sampled.split == "train":
        sentences.append("no evaluation image has a usable mask, so train images were altered")
    if not sampled.other_class:
        sentences.append("some images were given a background of their own class, or of one unknown")
    if not numbers["n_core"] + numbers["n_spurious"]:
        sentences.append(
            f"no feature called core or spurious fires on at least {LEAST_IMAGES} of the altered images, so "
            "none is counted: more images with masks are needed"
        )
    if numbers["control_overlap"] > 0.5:
        sentences.append(
            f"a control mask covers {percent(numbers['control_overlap'], 0)} of the object on average, since "
            "objects stand in like places: the control removes much of the object, too"
        )
    return sentences


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def masks_of_overlap(study: Study, config: MaskInterventionsConfig, run: RunOptions) -> dict[str, str]:
    """What identifies the masks that the study's overlap used: {"masks": sha256}, or {} without any."""
    return {"masks": study.masks.fingerprint()} if study.masks is not None else {}
