"""What the five grids of the Fourier augmentation studies share: settings, and the measures of an encoder.

PAPER holds the dissertation's settings, with ours where it has none; CPU fits one core.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.analysis.probe.step import train_probe
from core.data.sources.images import ImageSource
from core.errors import ImageSourceError, SettingsError
from core.research.fourier.retrieval import precision_at_k
from core.research.grids.definition import CellJob, Values
from core.research.grids.runner import Row
from core.research.grids.trained import HALF_WIDTH, cell_config, train_cell
from core.research.transfer_learning.few_shot import few_shot_accuracy
from core.training.augmentations.pixels import load_pixels
from core.training.config import TrainConfig

SHOTS = (5, 10)
KS = (1, 4)
GROUPS = ("background", "style")  # of Glyphworld's scenes, beside the class
CPU: dict[str, Any] = {
    "images": "glyphworld?train=6000&val=2000&size=48",
    "transfer": "",  # other images that the frozen encoder is also probed on; "" for none
    "image_size": 48,
    "crop_size": 48,
    "arch": "timm:resnet10t",
    "stem": "standard",  # cifar suits 32 pixels
    "epochs": 20,
    "batch_size": 128,
    "lr": 0.0,  # per 256 images; 0: the method's default
    "temperature": 0.2,
    "precision": "bf16",
    "crop_min": 0.2,  # smaller crops of small images rarely show the object
    "blur_max": 0.43,  # Table C.2's 2.0 at 224 pixels, scaled to 48
    "draws": 10,  # of few-shot probes
}
SHORT: dict[str, Any] = {
    **CPU,
    "images": "glyphworld?train=4000&val=1000&size=48",
    "arch": HALF_WIDTH,
    "epochs": 16,
}
PAPER: dict[str, Any] = {
    **CPU,
    "images": "imagenet",
    "image_size": 224,
    "crop_size": 224,
    "arch": "timm:resnet50",
    "epochs": 1000,
    "batch_size": 4096,  # unpublished
    "lr": 0.2,
    "temperature": 0.1,
    "crop_min": 0.08,
    "blur_max": 2.0,
}
PRESETS = {"cpu": CPU, "short": SHORT, "paper": PAPER}
LARGE_HEADS: dict[str, dict[str, Any]] = {  # Table C.1
    "simclr": {"head_hidden": 4096, "head_out": 256},
    "moco": {"head_hidden": 4096, "head_out": 256},
    "byol": {"head_hidden": 4096, "head_out": 256, "objective": {"predictor_hidden": 4096}},
    "simsiam": {"head_hidden": 2048, "head_out": 2048, "objective": {"predictor_hidden": 512}},
}
MEASURES = {
    "top1": ("top-1 %", 100.0),
    **{f"few_shot_{shots}": (f"{shots}-shot %", 100.0) for shots in SHOTS},
    "precision_4": ("same class among 4 %", 100.0),
}


def image_augmentations(values: Values) -> dict[str, Any]:
    """Return Table C.2's augmentations in image space, as `[augment]` with `[augment.right]`."""
    return {
        "crop_scale": [values["crop_min"], 1.0],
        "brightness": 0.4,
        "contrast": 0.4,
        "saturation": 0.2,
        "hue": 0.1,
        "jitter": 0.8,
        "grayscale": 0.2,
        "flip": 0.5,
        "blur": 1.0,
        "blur_sigma": [0.05 * values["blur_max"], values["blur_max"]],
        "right": {"blur": 0.1},
    }


def merged(augment: Values, left: Values, right: Values) -> dict[str, Any]:
    """Change the settings of each view."""
    return {**augment, **left, "right": {**augment.get("right", {}), **right}}


def training(job: CellJob, method: str, augment: Values, **changes: Any) -> TrainConfig:
    """Build the training of a cell; all arms of a grid differ in `method`, `augment` and `changes` only."""
    values = job.values
    names = ("images", "image_size", "crop_size", "arch", "stem", "epochs", "batch_size", "precision")
    settings: dict[str, Any] = {name: values[name] for name in names} | {"method": method}
    settings |= {"augment": dict(augment)} | changes
    if values["lr"]:
        settings["lr"] = values["lr"]
    if method in ("simclr", "moco"):
        settings["temperature"] = values["temperature"]
    if values["epochs"] >= PAPER["epochs"]:
        large = LARGE_HEADS.get(method, {})
        objective = {**large.get("objective", {}), **settings.get("objective", {})}
        settings |= {"optimizer": "lars", "weight_decay": 1.5e-6, **large}
        if objective:
            settings["objective"] = objective
    return cell_config(job, settings)


def train_and_measure(job: CellJob, config: TrainConfig) -> Row:
    """Train one cell and measure its encoder."""
    from core.training.setup import open_training_images

    row = train_cell(job, config)
    measured = measures(job, open_training_images(config), with_groups=True)
    if job.values["transfer"]:
        from core.data.sources.images import open_images

        elsewhere = measures(job, open_images(job.values["transfer"], seed=0), with_groups=False)
        measured |= {f"transfer_{name}": value for name, value in elsewhere.items()}
    return {**measured, **row}


def measures(job: CellJob, source: ImageSource, *, with_groups: bool) -> Row:
    """Measure the cell's encoder, frozen, on a labelled source.

    Returns:
        top1 of the probe of docs/method.md 3.1; few_shot_5 and few_shot_10, means over the draws (NaN where
        too few images have labels); precision_1, precision_4 and map by class among the evaluation images,
        and precision_4_background and precision_4_style where the images tell.
    Raises:
        ImageSourceError: the source has no labels.
    """
    raw, codes, rows = represented(job, source)
    n_classes = int(max(codes["train"].max(), codes["val"].max())) + 1
    probe = train_probe(raw["train"], codes["train"], n_classes)
    answers = probe.logits(raw["val"]).argmax(1).cpu().numpy()
    row: Row = {"top1": float((answers == codes["val"]).mean()), "probe_lr": probe.lr}
    for shots in SHOTS:
        row[f"few_shot_{shots}"] = _few_shot(job, raw, codes, shots)
    row |= precision_at_k(raw["val"], codes["val"], ks=KS).row()
    extras = source.extras if with_groups else None
    for group in GROUPS:
        if extras is not None and group in extras and len(set(extras[group].dropna())) > 1:
            groups = pd.factorize(extras[group].iloc[rows["val"]])[0]
            row[f"precision_4_{group}"] = precision_at_k(raw["val"], groups, ks=(4,)).row()["precision_4"]
    return row


def _few_shot(job: CellJob, raw: dict[str, Any], codes: dict[str, Any], shots: int) -> float:
    try:
        parts = (raw["train"], codes["train"], raw["val"], codes["val"])
        return float(few_shot_accuracy(*parts, shots=shots, n_draws=job.values["draws"]).accuracy.mean())
    except SettingsError:
        return float("nan")


def represented(
    job: CellJob, source: ImageSource
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Represent a source with the cell's encoder.

    Returns:
        by split: raw representations, class codes, and rows in the table of the source, all of the images
        that can be read.
    """
    from core.encoders.registry import load_encoder
    from core.research.transfer_learning.evaluate import represent_pixels

    encoder = load_encoder(str(job.output), device=job.device)
    splits = load_pixels(source, min(encoder.transform.sides), cache=job.cache, workers=job.workers)
    raw, codes, rows = {}, {}, {}
    for split, pixels in splits.items():
        if pixels.labels is None:
            raise ImageSourceError("the grid probes its encoders: all images need labels")
        raw[split] = represent_pixels(encoder, pixels.images)
        codes[split] = pixels.labels
        rows[split] = pixels.rows
    return raw, codes, rows
