"""Probe accuracy against the number of kept features (Kalibhat 2024, Fig. 2, A.5, A.7)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core.analysis.definitions import Array, within_percentiles
from core.analysis.linear_probe import Recipe, ShuffledRows, Standard, TrainSet, accuracy_and_loss, fit
from core.analysis.tensors import as_tensor
from core.common.moments import Moments
from core.measures.evaluate import class_column
from core.research.published_figures_kept_features import notes_on_curves
from core.store import Study
from core.study.progress import Progress
from core.study.writer import StepWriter

STEPS = 10  # [0, 100], [10, 99] … [90, 91]: each removes 10 % of the rarest and 1 % of the most common
RANDOM_SEEDS = 4
TOGETHER = 16  # probes trained at a time
CURVES = ("discriminative", "random", "pca", "lower", "upper")


@dataclass(frozen=True)
class Kept:
    """One point of a curve: the features (or principal components) that the probe may use."""

    curve: str
    low: float
    high: float
    mask: np.ndarray  # (n_features,) bool
    run: int = 0


def feature_subsets(
    rate: Array, *, steps: int = STEPS, seeds: int = RANDOM_SEEDS, seed: int = 0
) -> list[Kept]:
    """List the feature subsets of every sparsity curve (research) except PCA.

    discriminative: [10 s, 100 - s] percentiles, so 55 % removed is [50, 95]; random: equally many features,
    `seeds` draws; lower: [0, 100 - 11 s]; upper: [11 s, 100]. The curves include features that never fire if
    they lie within the percentiles (docs/method.md 3).

    Args:
        rate: (n_features,) activation rates in percent.
    """
    rate, subsets = as_tensor(rate), []
    for s in range(steps):
        bands = {
            "discriminative": (10.0 * s, 100.0 - s),
            "lower": (0.0, 100.0 - 11.0 * s),
            "upper": (11.0 * s, 100.0),
        }
        for curve, (low, high) in bands.items():
            subsets.append(Kept(curve, low, high, within_percentiles(rate, low=low, high=high).numpy()))
        low, high = bands["discriminative"]
        size = int(within_percentiles(rate, low=low, high=high).sum())
        for run in range(seeds):
            drawn = np.random.default_rng([seed, s, run]).permutation(len(rate))[:size]
            subsets.append(Kept("random", low, high, np.isin(np.arange(len(rate)), drawn), run))
    return subsets


def leading_components(subsets: list[Kept], n_features: int) -> list[Kept]:
    """The PCA curve: as many leading components as the discriminative curve has features (research)."""
    components = []
    for point in subsets:
        if point.curve == "discriminative":
            leading = np.arange(n_features) < int(point.mask.sum())
            components.append(Kept("pca", point.low, point.high, leading))
    return components


def _accuracy_curve(
    train: ShuffledRows,
    val: ShuffledRows,
    subsets: list[Kept],
    n_classes: int,
    *,
    lr: float,
    recipe: Recipe,
    after_epoch: Any = lambda: None,
) -> np.ndarray:
    """Top-1 accuracy on `val` of a probe trained on each subset, (len(kept),) float64."""
    accuracies = []
    for start in range(0, len(subsets), TOGETHER):
        part = subsets[start : start + TOGETHER]
        masks = torch.from_numpy(np.stack([point.mask for point in part]))
        everything = np.arange(len(train))
        rates = [lr] * len(part)
        fitted = fit(
            train, everything, n_classes, lrs=rates, recipe=recipe, masks=masks, after_epoch=after_epoch
        )
        accuracies.append(accuracy_and_loss(fitted, val, np.arange(len(val)))[0])
    return np.concatenate(accuracies)


def curve_table(subsets: list[Kept], accuracy: np.ndarray) -> pd.DataFrame:
    """Table `probe_curves`: curve, low, high, n_kept, removed (percent), accuracy (mean over runs),
    accuracy_low and accuracy_high (minimum and maximum over runs), runs."""
    columns = {
        "curve": [point.curve for point in subsets],
        "low": [point.low for point in subsets],
        "high": [point.high for point in subsets],
    }
    columns |= {"n_kept": [int(point.mask.sum()) for point in subsets]}
    columns |= {"removed": [100.0 * (1.0 - point.mask.mean()) for point in subsets]}
    columns |= {"accuracy": accuracy}
    frame = pd.DataFrame(columns)
    keys = ["curve", "low", "high", "n_kept", "removed"]
    over_runs = frame.groupby(keys, sort=False)["accuracy"].agg(["mean", "min", "max", "size"]).reset_index()
    return over_runs.rename(
        columns={"mean": "accuracy", "min": "accuracy_low", "max": "accuracy_high", "size": "runs"}
    )


def principal_axes(load: Any, n: int, n_features: int, mean: np.ndarray) -> Tensor:
    """(n_features, n_features) eigenvectors of raw rows (research), largest variance first."""
    covariance = torch.zeros(n_features, n_features, dtype=torch.float64)
    for start in range(0, n, 4096):
        rows = load(np.arange(start, min(start + 4096, n))).double().cpu() - torch.from_numpy(mean)
        covariance += rows.T @ rows
    return torch.linalg.eigh(covariance).eigenvectors.flip(1)


def write_curves(
    study: Study,
    step: StepWriter,
    train: TrainSet,
    rows: ShuffledRows,
    lr: float,
    recipe: Recipe,
    progress: Progress,
    device: str | torch.device,
) -> dict[str, Any]:
    """Write the table `probe_curves`; return the additions to the summary (research)."""
    if not study.has("features"):
        return {"curves_skipped": "no activation rates: run the step 'features' first"}
    codes = class_column(study, "label")
    judged = np.flatnonzero(study.is_val & (codes >= 0))
    if not len(judged):
        return {"curves_skipped": "no labelled val images"}
    for note in notes_on_curves(study):
        progress.note(f"note: {note}")
    rate = study.table("features", ["activation_rate"])["activation_rate"].to_numpy()
    subsets = feature_subsets(rate, seed=recipe.seed)
    axes = principal_axes(train.load(device), len(train.rows), len(rate), train.standard.mean.numpy())
    components = leading_components(subsets, len(rate))
    labels = torch.from_numpy(codes[judged]).to(device)

    def val_load(positions: np.ndarray) -> Tensor:
        return torch.from_numpy(train.array.rows(judged[positions])).to(device)

    def turned(load: Any) -> Any:
        return lambda positions: load(positions).float() @ axes.to(device).float()

    n_fits = -(-len(subsets) // TOGETHER) + -(-len(components) // TOGETHER)
    with progress.stage("probe curves", total=n_fits * recipe.epochs, unit="epochs") as bar:
        common = {"lr": lr, "recipe": recipe, "after_epoch": lambda: bar.update(1)}
        n_classes = len(study.class_names)
        val = ShuffledRows(val_load, labels, len(rate), train.standard)
        accuracy = _accuracy_curve(rows, val, subsets, n_classes, **common)
        standard = Standard.of(_turned_moments(turned(train.load(device)), len(train.rows), len(rate)))
        pca_train = ShuffledRows(turned(train.load(device)), rows.labels, len(rate), standard)
        pca_val = ShuffledRows(turned(val_load), labels, len(rate), standard)
        pca = _accuracy_curve(pca_train, pca_val, components, n_classes, **common)
    table = curve_table([*subsets, *components], np.concatenate([accuracy, pca]))
    step.table("probe_curves", table.astype({"curve": "str"}))
    return {"curve_probes": len(subsets) + len(components)}


def _turned_moments(load: Any, n: int, n_features: int) -> Moments:
    moments = Moments.empty(n_features)
    for start in range(0, n, 4096):
        rows = load(np.arange(start, min(start + 4096, n)))
        moments = moments.merge(Moments.of_rows(rows.cpu().numpy()))
    return moments
