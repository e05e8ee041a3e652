"""The command `robust-features`: robust features of a frozen encoder (IFM paper, section 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from core.analysis.heatmaps_on_demand import encoder_of
from core.analysis.linear_probe import Recipe
from core.analysis.neighbours import sample_rows
from core.analysis.probe_step import Probe, train_probe
from core.analysis.representations import input_views, picture_batches
from core.common.dataframes import check_same_length
from core.common.device import check_device, resolve_device, run_options
from core.config import RunOptions, as_settings
from core.encoders.encoder import Encoder
from core.errors import SettingsError, StudyError
from core.measures.evaluate import class_column
from core.measures.intervals import wilson
from core.research.changed_inputs_perturbed import check_has_encoder
from core.research.changed_inputs_topic import RobustConfig
from core.research.shortcuts_readout import encode_views
from core.store import Study
from core.study.progress import Progress
from core.study.writer import StepWriter, write_study

# Robust and non-robust features of a frozen encoder (IFM paper, section 4.3, after Ilyas et al. 2019).
#
# An image is changed, by steps too small to see, until a linear probe on the encoder gives it a target
# class. With the true label it still holds what people see (robust features); with the target it holds only
# what the encoder reads (non-robust features).


Logits = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Attacked:
    """Changed images.

    `images` (n, 3, S, S) in [0, 1]; `reached` (n,) bool, the target is predicted; `steps` (n,) int, 0 where
    the target was predicted at once, the number tried where it was not reached; `stuck` (n,) bool, the
    gradient was zero; `change` (n,) largest absolute difference of a pixel.
    """

    images: Tensor
    reached: Tensor
    steps: Tensor
    stuck: Tensor
    change: Tensor


def targeted_fgsm(
    logits: Logits, images: Tensor, targets: Tensor, *, step: float = 0.01, steps: int = 50
) -> Attacked:
    """Change each image until its logits are largest at its target (robust features, research).

    x_k = clip(x_{k-1} - step sign(grad_x CE(logits(x_{k-1}), t)), 0, 1), stopped at the first k with
    argmax logits(x_k) = t. The clip is ours.

    Args:
        logits: (n, 3, S, S) in [0, 1] -> (n, n_classes), each row a function of its own image only.
        images: (n, 3, S, S) in [0, 1]. targets: (n,) int.
    Raises:
        ShapeError: another number of targets. SettingsError: a step of 0 or less, or fewer than one step.
    """
    check_same_length("images", len(images), "targets", len(targets))
    if not step > 0:
        raise SettingsError(f"step {step:g} must be above 0")
    if steps < 1:
        raise SettingsError(f"steps {steps} must be at least 1")
    x, done = images.clone(), torch.zeros(len(images), dtype=torch.bool, device=images.device)
    taken = torch.full((len(images),), steps, device=images.device)
    stuck = torch.zeros_like(done)
    for k in range(steps + 1):
        active = torch.nonzero(~(done | stuck)).flatten()
        if not len(active):
            break
        now = x[active].detach().requires_grad_(k < steps)
        with torch.set_grad_enabled(k < steps):
            outputs = logits(now)
        hit = outputs.argmax(1) == targets[active]
        done[active[hit]], taken[active[hit]] = True, k
        if k == steps or bool(hit.all()):
            continue
        loss = cross_entropy(outputs, targets[active], reduction="sum")
        (gradient,) = torch.autograd.grad(loss, now)
        flat = gradient.flatten(1).abs().amax(1) == 0
        stuck[active[flat & ~hit]], taken[active[flat & ~hit]] = True, k
        moving = active[~hit & ~flat]
        unreached = ~hit & ~flat
        x[moving] = (x[moving] - step * gradient[unreached].sign()).clamp(0, 1)
    change = (x - images).flatten(1).abs().amax(1)
    return Attacked(x.detach(), done, taken, stuck, change)


def draw_targets(labels: np.ndarray, n_classes: int, *, seed: int, other: bool = False) -> np.ndarray:
    """Draw a target class for each image, uniform over all classes, or over all but its own (research).

    Raises:
        SettingsError: fewer than two classes.
    """
    if n_classes < 2:
        raise SettingsError("targets need at least two classes")
    rng = np.random.default_rng(seed)
    if not other:
        return rng.integers(0, n_classes, len(labels))
    return (np.asarray(labels) + rng.integers(1, n_classes, len(labels))) % n_classes


def robust_feature_sets(
    reached: np.ndarray, labels: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the changed images that reached their target, with their labels in the two sets (research).

    Returns:
        rows (m,), labels of D_R (m,) (the true ones), labels of D_NR (m,) (the targets).
    """
    check_same_length("reached", len(reached), "labels", len(labels))
    check_same_length("reached", len(reached), "targets", len(targets))
    rows = np.flatnonzero(reached)
    return rows, np.asarray(labels)[rows], np.asarray(targets)[rows]


# The command `robust-features`: what a probe learns from images changed towards another class.


STEP = "robust-features"
TABLE = "robust_features"


def run_robust_features(folder: str | Path, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Measure the robust and the non-robust features of a study's encoder, and return the summary (research).

    Writes the table `robust_features` (trained_on, accuracy, low, high, n_train, n_val): the probe on clean
    images, on changed images with their true labels, and on changed images with their targets; always tested
    on clean evaluation images.

    Raises:
        StudyError: the study has no encoder or no probe, or no changed image reached its target.
    """
    check_device(options)
    config = RobustConfig(**{n: options[n] for n in RobustConfig.__dataclass_fields__ if n in options})
    study, run = Study(folder), run_options(options)
    check_has_encoder(study)
    if (missing := study.why_missing("probe_weights")) is not None:
        raise StudyError(f"'{study.path}' has no probe, which gives the classes: the step is {missing}")
    settings, inputs = as_settings(config), ("representations", "images", "probe_weights")
    with write_study(folder) as writer:
        if options.get("redo") or not writer.is_current(STEP, settings, inputs):
            with progress.step(STEP), writer.step(STEP, settings, inputs) as out:
                _compute_robust_features(study, out, config, run, progress=progress)
        else:
            progress.note(f"{STEP}: up to date")
        return writer.manifest["steps"][STEP]["summary"]


def _compute_robust_features(
    study: Study, step: StepWriter, config: RobustConfig, run: RunOptions, *, progress: Progress
) -> None:
    """Change the images, train the two probes, and write their accuracies."""
    encoder = encoder_of(study, str(resolve_device(run.device)))
    codes, n_classes = class_column(study, "label"), len(study.class_names)
    train = sample_rows(np.flatnonzero(~study.is_val & (codes >= 0)), config.images, config.seed)
    val = np.flatnonzero(study.is_val & (codes >= 0))
    targets = draw_targets(codes[train], n_classes, seed=config.seed, other=config.other_target)
    probe = _stored_probe(study)
    changes = _changed_images(study, encoder, probe, train, targets, config, run, progress=progress)
    rows, true, aimed = robust_feature_sets(changes.reached, codes[train], targets)
    if not len(rows):
        raise StudyError(
            f"no image of '{study.path}' reached its target class in {config.steps} steps. Give more: "
            "--steps N"
        )
    array = study.array("representations")
    clean = np.asarray(array.rows(train), np.float32)
    held_out = np.asarray(array.rows(val), np.float32)
    changed = changes.raw[rows]
    trained_on = {
        "clean images": (clean, codes[train]),
        "robust features": (changed, true),
        "non-robust features": (changed, aimed),
    }
    table = []
    for name, (features, labels) in trained_on.items():
        accuracy = _clean_accuracy(features, labels, held_out, codes[val], n_classes, config.seed)
        table.append((name, *accuracy, len(labels), len(val)))
    columns = ["trained_on", "accuracy", "low", "high", "n_train", "n_val"]
    step.table(TABLE, pd.DataFrame(table, columns=columns))
    not_reached = ~changes.reached & ~changes.stuck
    steps, change = changes.steps[rows], changes.change[rows]
    n_not_reached = int(not_reached.sum())
    target_is_label = float((targets == codes[train]).mean())
    counts = {
        "n_changed": len(train),
        "reached": len(rows),
        "not_reached": n_not_reached,
        "zero_gradient": int(changes.stuck.sum()),
        "target_is_label": target_is_label,
    }
    accuracies = {f"accuracy of {name}": value for name, value, *_ in table}
    unchanged = float((steps == 0).mean())
    step.summary = {
        **counts,
        "unchanged": unchanged,
        "mean_steps": float(steps.mean()),
        "mean_change": float(change.mean()),
        "largest_change": float(change.max()),
        **accuracies,
    }


def _stored_probe(study: Study) -> Probe:
    """Return the study's probe for raw rows, which research on robust features changes images by."""
    weights, bias = (
        torch.from_numpy(np.array(study.vector(f"probe_{name}"))) for name in ("weights", "bias")
    )
    return Probe(weights.double(), bias.double(), 0.0, {})


@dataclass(frozen=True)
class ChangedImages:
    """Images changed towards their targets, each row as in `Attacked`.

    `raw` (n, n_features) float32, their representations; `reached`, `stuck` (n,) bool; `steps` (n,) int64;
    `change` (n,) float64. An image that cannot be read is not reached, and its row is 0.
    """

    raw: np.ndarray
    reached: np.ndarray
    steps: np.ndarray
    stuck: np.ndarray
    change: np.ndarray

    @classmethod
    def none_yet(cls, n: int, n_features: int) -> ChangedImages:
        no, zero = np.zeros((2, n), bool), np.zeros((n, n_features), np.float32)
        return cls(zero, no[0], np.zeros(n, np.int64), no[1], np.zeros(n))

    def put(self, rows: list[int], raw: Tensor, attacked: Attacked) -> None:
        """Fill in some rows."""
        self.raw[rows] = raw.cpu().numpy()
        for name in ("reached", "steps", "stuck", "change"):
            getattr(self, name)[rows] = getattr(attacked, name).cpu().numpy()


def _changed_images(
    study: Study,
    encoder: Encoder,
    probe: Probe,
    rows: np.ndarray,
    targets: np.ndarray,
    config: RobustConfig,
    run: RunOptions,
    *,
    progress: Progress,
) -> ChangedImages:
    """Change the images of some rows towards their targets, and represent the results."""
    weights, bias = (part.float().to(encoder.device) for part in (probe.weights, probe.bias))

    def logits(images: Tensor) -> Tensor:
        return encode_views(encoder, images, gradient=images.requires_grad) @ weights.T + bias

    listed = {image_id: row for row, image_id in enumerate(study.source.table["image_id"])}
    places = {listed[study.images["image_id"].iat[row]]: position for position, row in enumerate(rows)}
    order, n = list(places), max(run.batch_size, 1)
    batches = [order[start : start + n] for start in range(0, len(order), n)]
    changed = ChangedImages.none_yet(len(rows), encoder.n_features)
    pictures = input_views(study.source, encoder.transform)
    with progress.stage("change images", total=len(rows), unit="images") as bar:
        for batch in picture_batches(pictures, batches, workers=run.workers or 0, pin=False):
            bar.update(len(batch.rows) + len(batch.unreadable))
            if batch.pixels is None:
                continue
            where = [places[row] for row in batch.rows]
            images = batch.pixels.permute(0, 3, 1, 2).float().to(encoder.device) / 255
            aims = torch.from_numpy(targets[where]).to(encoder.device)
            attacked = targeted_fgsm(logits, images, aims, step=config.step, steps=config.steps)
            changed.put(where, encode_views(encoder, attacked.images), attacked)
    return changed


def _clean_accuracy(
    raw: np.ndarray, labels: np.ndarray, held: np.ndarray, held_labels: np.ndarray, n_classes: int, seed: int
) -> tuple[float, float, float]:
    """Accuracy of a new probe on clean evaluation images, with Wilson's interval."""
    probe = train_probe(raw, labels, n_classes, recipe=Recipe(seed=seed))
    right = int((probe.logits(held).argmax(1).cpu().numpy() == held_labels).sum())
    low, high = wilson(right, len(held_labels))
    share = right / len(held_labels) if len(held_labels) else float("nan")
    return share, float(low), float(high)
