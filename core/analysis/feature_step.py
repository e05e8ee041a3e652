"""The step `features`: streams a study's representations and writes everything of METHOD 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.analysis.activations import measure_activations, sampled_rows
from core.analysis.columns import TopImages
from core.analysis.feature_pass import (
    FeatureStatistics,
    FiringStore,
    complete_top_images,
    join_rows,
    scan_chunks,
    scan_rows,
)
from core.analysis.features import choose_epsilon, class_purity, discriminative_features, tails
from core.analysis.firing import RowStatistics
from core.analysis.numeric import safe_divide
from core.config import EPSILON_CANDIDATES
from core.errors import NoDiscriminativeFeatures, SettingsError, StudyError

if TYPE_CHECKING:
    from core.config import FeaturesConfig
    from core.progress import Progress
    from core.store import Study
    from core.writer import StepWriter


def peak_deviation(rows: RowStatistics) -> np.ndarray:
    """(n,) max_j (h_ij - mu_i) / sigma_i; 0 for a flat row."""
    return safe_divide(rows.max_activation - rows.mean, rows.std, empty=0.0)


def compute_features(
    study: Study, step: StepWriter, config: FeaturesConfig, *, progress: Progress, device: str = "cpu"
) -> None:
    """Stream the study's representations and write everything of METHOD 1.

    Tables `features`, `classes`, `row_stats`; the firing sets by row (`firing_count`, `firing_features`,
    `firing_excess`) and by feature (`firing_by_feature_ptr`, `firing_by_feature_rows`); `class_counts`,
    `class_means`, `top_images`, `top_values`, `activation_histogram`, `histogram_edges`.

    Args:
        device: not used: one pass over the rows costs less than moving them.
    Raises:
        StudyError: no train images. NoDiscriminativeFeatures: D is empty at this epsilon.
    """
    array, train = study.array("representations"), ~study.is_val
    if not train.any():
        raise StudyError(
            f"'{study.path}' has no train images, and activation rates are defined on them. "
            "Run embed again with images in both splits"
        )
    group, sizes = train_groups(study)
    n_passes = 1 + (config.epsilon == "auto")
    with progress.stage("features", total=n_passes * len(array), unit="images") as bar:
        epsilon = _epsilon(config, lambda: peak_deviation(scan_rows(array, bar))[train])
        found, top = FeatureStatistics(array.shape[1], len(sizes)), TopImages(array.shape[1])
        store, parts = FiringStore(step, array.shape[1]), []
        for start, scan in scan_chunks(array, group, epsilon=epsilon):
            parts.append(scan.rows)
            store.add(scan)
            found.update(scan, group[start : start + len(scan.count)])
            owners = np.arange(start, start + len(scan.count), dtype=np.int32)
            top.add(scan.features, scan.values, np.repeat(owners, scan.count))
            bar.update(len(scan.count))
        rows = join_rows(parts)
        complete_top_images(top, array, rows, float(rows.threshold(epsilon).max()))
        store.finish()
        sample = sampled_rows(np.flatnonzero(train), array.shape[1])
        activations = measure_activations(array.rows(sample), near_zero=config.near_zero)
    step.table("features", _feature_table(study, found, sizes, config, peak_deviation(rows)[train], epsilon))
    step.table("classes", _class_table(study))
    step.table("row_stats", pd.DataFrame(vars(rows)))
    n_classes = len(study.class_names)
    step.vector("class_counts", found.firing[:, :n_classes].astype(np.int32))
    step.vector("class_means", _class_means(found, sizes)[:, :n_classes])
    step.vector("top_images", top.rows)
    step.vector("top_values", top.values)
    step.vector("activation_histogram", activations.counts)
    step.vector("histogram_edges", activations.edges)
    dead = found.moments.m2 + found.moments.mean**2 == 0
    count = np.concatenate(store.counts)
    step.summary = {
        "epsilon": epsilon,
        "n_discriminative": int(_discriminative(found, sizes, config).sum()),
        "n_dead": int(np.count_nonzero(dead)),
        "dead_share": float(dead.mean()),
        "mean_firing": float(count.mean()),
        "share_firing": float((count > 0).mean()),
        "near_zero_share": activations.near_zero,
        "negative_share": activations.negative,
        "sampled_rows": activations.n_rows,
    }


def train_groups(study: Study) -> tuple[np.ndarray, np.ndarray]:
    """The class code of each train image, and how many there are of each.

    Returns:
        group (n_images,) int: position in `study.class_names`, n_classes for a train image without a label,
        -1 for val; sizes (n_classes + 1,) int, train images in each group.
    """
    names = study.class_names
    code = pd.Categorical(study.images["label"], categories=names).codes.astype(np.int64)
    group = np.where(code < 0, len(names), code)
    sizes = np.bincount(group[~study.is_val], minlength=len(names) + 1)
    return np.where(study.is_val, -1, group), sizes


def _epsilon(config: FeaturesConfig, peaks: Callable[[], np.ndarray]) -> float:
    if config.epsilon == "auto":
        return choose_epsilon(peaks())
    try:
        epsilon = float(config.epsilon)
    except ValueError:
        epsilon = np.nan
    if not epsilon >= 0 or np.isinf(epsilon):
        raise SettingsError(f"epsilon '{config.epsilon}': expected 'auto' or a number >= 0, e.g. 4")
    return epsilon


def activation_rates(found: FeatureStatistics, sizes: np.ndarray) -> np.ndarray:
    """A_j in percent of the train images."""
    return 100.0 * found.firing.sum(1) / sizes.sum()


def _discriminative(found: FeatureStatistics, sizes: np.ndarray, config: FeaturesConfig) -> np.ndarray:
    return discriminative_features(activation_rates(found, sizes), low=config.low, high=config.high).numpy()


def _feature_table(
    study: Study,
    found: FeatureStatistics,
    sizes: np.ndarray,
    config: FeaturesConfig,
    peaks: np.ndarray,
    epsilon: float,
) -> pd.DataFrame:
    rate = activation_rates(found, sizes)
    try:
        chosen = _discriminative(found, sizes, config)
    except NoDiscriminativeFeatures as error:
        raise NoDiscriminativeFeatures(f"{error}. {_what_fires(peaks, epsilon)}") from None
    purity, top_class = class_purity(found.firing[:, : len(study.class_names)])
    names = np.array([*study.class_names, None], dtype=object)
    return pd.DataFrame(
        {
            "feature": np.arange(len(rate), dtype=np.int32),
            "mean": found.moments.mean,
            "std": found.moments.std,
            "activation_rate": rate,
            "tail": tails(rate, low=config.low, high=config.high),
            "discriminative": chosen,
            "top_class": pd.array(names[top_class], dtype="str"),
            "purity": purity,
        }
    )


def _what_fires(peaks: np.ndarray, epsilon: float) -> str:
    shares = [
        f"{100 * (peaks > e).mean():.0f} % at {e:g}" for e in sorted({epsilon, *EPSILON_CANDIDATES})[::-1]
    ]
    return f"Train images with a firing feature: {', '.join(shares)}"


def _class_table(study: Study) -> pd.DataFrame:
    names = study.class_names
    code = pd.Categorical(study.images["label"], categories=names).codes
    count = {
        f"n_{split}": np.bincount(code[(study.is_val == val) & (code >= 0)], minlength=len(names))
        for split, val in (("train", False), ("val", True))
    }
    return pd.DataFrame({"label": pd.array(names, dtype="str"), **count})


def _class_means(found: FeatureStatistics, sizes: np.ndarray) -> np.ndarray:
    """(n_features, n_groups) float32 mean of normalised h; NaN for a class without train images."""
    return safe_divide(found.group_sums, sizes[:, None]).T.astype(np.float32)
