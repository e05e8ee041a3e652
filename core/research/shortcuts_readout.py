"""What is read out of a trained encoder: factors by two kinds of probe, and its loss with its own head."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from core.analysis.probe_step import train_probe
from core.common.dataframes import check_same_length
from core.common.inside import read_json_file
from core.encoders.encoder import Encoder
from core.encoders.registry import load_encoder
from core.errors import CheckpointError, PeregrineError, SettingsError
from core.research.shortcuts_losses import ifm_info_nce
from core.research.transfer_learning_evaluate import represent_pixels
from core.training import files
from core.training.augment import augment
from core.training.config import AugmentConfig, TrainConfig, from_dict
from core.training.methods import build_method
from core.training.penalty import head_of
from core.training.pixels import load_pixels
from core.training.setup import derived_seed, open_training_images

# The projection head that a training writes beside its encoder: what the method's loss compares.
#
# FILE.head.safetensors holds the weights; which head it is follows from the settings in FILE.json.


def recorded_config(checkpoint: Path) -> TrainConfig | None:
    """Return the settings of the training that wrote a checkpoint (shortcuts, research); None without."""
    try:
        sidecar = read_json_file(files.sidecar_path(checkpoint))
        settings = sidecar["settings"]
        present_settings = {
            name: value for name, value in settings.items() if name in TrainConfig.__dataclass_fields__
        }
        return from_dict({**present_settings, "images": sidecar.get("images", ""), "output": str(checkpoint)})
    except (OSError, ValueError, KeyError, TypeError, PeregrineError):
        return None


def load_head(checkpoint: Path, *, device: str | torch.device = "cpu") -> nn.Module | None:
    """Rebuild a trained encoder's head to read shortcuts (research), in eval mode; None without one.

    Raises:
        CheckpointError: the file cannot be read, or is not the head of this training.
    """
    path, config = files.head_path(checkpoint), recorded_config(checkpoint)
    if not path.exists() or config is None:
        return None
    try:
        weights = load_file(path)
        with safe_open(path, framework="pt") as file:
            n_features = int(file.metadata()["n_features"])
        head = head_of(build_method(config.method, nn.Identity(), n_features, config))
        assert head is not None
        head.load_state_dict(weights)
    except (PeregrineError, SafetensorError, AssertionError, LookupError, TypeError, RuntimeError) as error:
        kind = type(error).__name__
        raise CheckpointError(f"'{path}' is not the head of this training ({kind}). Train it again") from None
    return head.eval().requires_grad_(False).to(device)


@torch.no_grad()
def unit_outputs(head: nn.Module | None, raw: Tensor, *, at_once: int = 4096) -> Tensor:
    """Outputs of a training's head at length 1 (shortcuts, research); without a head, the raw rows.

    Args:
        raw: (n, n_features) float.
    Returns:
        (n, d) float32 on the CPU; a row of length 0 stays 0.
    """
    device = torch.device("cpu") if head is None else next(head.parameters()).device
    parts = [part.to(device).float() for part in raw.split(at_once)]
    return torch.cat([normalize(part if head is None else head(part), dim=1).cpu() for part in parts])


# What is read out of a trained encoder: factors by two kinds of probe, and its loss on held-out images.


ITERATIONS = 500


def lbfgs_accuracy(
    train: np.ndarray,
    train_codes: np.ndarray,
    val: np.ndarray,
    val_codes: np.ndarray,
    *,
    iterations: int = ITERATIONS,
) -> float:
    """Accuracy on `val` of logistic regression by L-BFGS, as research on shortcuts reads factors.

    L-BFGS with at most `iterations` iterations and scikit-learn's own penalty (C = 1), on raw rows, as in the
    paper. Rows are not standardised.

    Args:
        train, val: (n, n_features) float. train_codes, val_codes: (n,) int.
    Returns:
        in [0, 1]; NaN without val rows.
    Raises:
        ShapeError: codes of another length. SettingsError: fewer than two classes to fit.
    """
    check_same_length("train rows", len(train), "train_codes", len(train_codes))
    check_same_length("val rows", len(val), "val_codes", len(val_codes))
    if len(np.unique(train_codes)) < 2:
        raise SettingsError("a readout needs at least two classes among the train images")
    if not len(val):
        return float("nan")
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(solver="lbfgs", max_iter=iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of iterations is the protocol
        model.fit(np.asarray(train, np.float64), train_codes)
    return float(np.mean(np.equal(model.predict(np.asarray(val, np.float64)), val_codes)))


LOSS_TEMPERATURE, LOSS_BATCH = 0.5, 512  # at which losses are compared, whatever the training's


@dataclass(frozen=True)
class Factor:
    """One thing to read out: its levels on train and val images, (n,) int each."""

    train: np.ndarray
    val: np.ndarray

    @property
    def chance(self) -> float:
        """Accuracy on val of always naming its most common level."""
        return float(np.bincount(self.val).max() / len(self.val)) if len(self.val) else float("nan")


def measured(checkpoint: Path, config: TrainConfig, factors: Mapping[str, Factor]) -> dict[str, float]:
    """Measure which factors, shortcuts among them, a trained encoder of research tells.

    Columns named like the factors are from a probe on the images as they are; those with `_paper` from
    L-BFGS on augmented images, as in the IFM paper.

    Args:
        config: of the training: its images, its views and their size.
    Returns:
        {factor, …, mean, factor_paper, …, mean_paper, chance_factor, …} as shares of val images;
        `held_out_loss`.
    """
    encoder = load_encoder(str(checkpoint), device=config.device)
    source = open_training_images(config)
    splits = load_pixels(source, config.image_size, cache=config.cache, workers=config.workers)
    clean = {split: represent_pixels(encoder, part.images) for split, part in splits.items()}
    views = {split: _augmented_raw(encoder, part.images, config) for split, part in splits.items()}
    row = read_factors(clean, factors, probe_accuracy)
    paper = read_factors(views, factors, lbfgs_accuracy)
    row |= {f"{name}_paper": value for name, value in paper.items()}
    row |= {f"chance_{name}": factor.chance for name, factor in factors.items()}
    return row | {"held_out_loss": held_out_loss(checkpoint, encoder, splits["val"].images, config)}


def probe_accuracy(
    train: np.ndarray, train_codes: np.ndarray, val: np.ndarray, val_codes: np.ndarray
) -> float:
    """Share of `val` rows whose class the linear probe of a study, at the rate 0.1, finds (research)."""
    n_levels = int(max(train_codes.max(), val_codes.max())) + 1
    probe = train_probe(train, train_codes, n_levels, lr=0.1)
    answers = probe.logits(val).argmax(1).cpu().numpy()
    return float((answers == val_codes).mean())


def read_factors(
    raw: Mapping[str, np.ndarray], factors: Mapping[str, Factor], accuracy: Callable[..., float]
) -> dict[str, float]:
    """Accuracy of a linear probe of each factor (shortcuts, research), and their mean.

    Args:
        raw: "train" to fit on and "val" to test on, (n, n_features) each.
        accuracy: `probe_accuracy` or `lbfgs_accuracy`.
    """
    row = {
        name: accuracy(raw["train"], factor.train, raw["val"], factor.val) for name, factor in factors.items()
    }
    return row | {"mean": float(np.mean(list(row.values())))}


def _augmented_raw(encoder: Encoder, images: np.ndarray, config: TrainConfig) -> np.ndarray:
    """Represent one seeded pre-training view of each image, (n, n_features) float32."""
    views = _random_views(images, config.augment, config.crop_size, seed=derived_seed(0, "readout", 0))
    return np.concatenate([encode_views(encoder, part).cpu().numpy() for part in views])


def _random_views(
    images: np.ndarray, how: AugmentConfig, size: int, *, seed: int, at_once: int = 256
) -> Iterator[Tensor]:
    """Yield one random view of each image, (b, 3, size, size) in [0, 1], for research on shortcuts."""
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, len(images), at_once):
        block = torch.from_numpy(np.array(images[start : start + at_once]))
        yield augment(block, size, how, generator)


def encode_views(encoder: Encoder, views: Tensor, *, gradient: bool = False) -> Tensor:
    """Raw representations of views (b, 3, s, s), (b, n_features) float32, for research on shortcuts.

    Args:
        gradient: let gradients flow back to the views.
    """
    mean = torch.tensor(encoder.transform.mean, device=encoder.device)[:, None, None]
    std = torch.tensor(encoder.transform.std, device=encoder.device)[:, None, None]
    moved = (views.to(encoder.device) - mean) / std
    with torch.set_grad_enabled(gradient):
        return encoder.model(moved.contiguous(memory_format=torch.channels_last)).float()


def held_out_loss(checkpoint: Path, encoder: Encoder, images: np.ndarray, config: TrainConfig) -> float:
    """InfoNCE of two views of held-out images in the space of the head (research); NaN without a head.

    Always at temperature 0.5 and in batches of 512 (fewer where there are fewer images), with 2 B - 2
    negatives, so that encoders trained at different temperatures can be compared.
    """
    head = load_head(checkpoint, device=encoder.device)
    if head is None or len(images) < 2:
        return float("nan")
    outputs = []
    for number in (0, 1):
        seed = derived_seed(0, "loss", number)
        views = _random_views(images, config.augment, config.crop_size, seed=seed)
        raw = torch.cat([encode_views(encoder, part) for part in views])
        outputs.append(unit_outputs(head, raw))
    return info_nce_of_views(outputs[0], outputs[1])


def info_nce_of_views(
    first: Tensor, second: Tensor, *, temperature: float = LOSS_TEMPERATURE, batch: int = LOSS_BATCH
) -> float:
    """Mean InfoNCE of unit outputs of two views (n, d), over batches (research), but a last single one."""
    losses, counts = [], []
    for start in range(0, len(first), batch):
        one, two = (view[start : start + batch].double() for view in (first, second))
        if len(one) < 2:
            continue
        itself = torch.eye(len(one), dtype=torch.bool).repeat(1, 2)
        both, positive = torch.cat([one, two]), (one * two).sum(1)
        for side in (one, two):
            negatives = (side @ both.T).masked_fill(itself, -torch.inf)
            options: dict[str, Any] = {"temperature": temperature, "epsilon": 0.0, "alpha": 0.0}
            losses.append(float(ifm_info_nce(positive, negatives, **options)))
            counts.append(len(one))
    return float(np.average(losses, weights=counts)) if losses else float("nan")
