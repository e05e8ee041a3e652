"""The step `features`: streams a study's representations and writes everything of METHOD 1."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.analysis.activations import Activations, sampled_rows
from core.analysis.columns import TopImages
from core.analysis.feature_pass import (
    FeatureStatistics,
    FiringStore,
    Sample,
    complete_top_images,
    join_rows,
    scan_chunks,
    scan_rows,
)
from core.analysis.features import choose_epsilon, class_purity, discriminative_features, tails
from core.analysis.firing import RowStatistics
from core.analysis.labels import class_codes
from core.analysis.numeric import safe_divide
from core.config import EPSILON_CANDIDATES
from core.errors import NoDiscriminativeFeatures, SettingsError, StudyError

if TYPE_CHECKING:
    import torch

    from core.config import FeaturesConfig
    from core.progress import Progress
    from core.store import Study
    from core.writer import StepWriter


def peak_deviation(rows: RowStatistics) -> np.ndarray:
    """(n,) max_j (h_ij - mu_i) / sigma_i; 0 for a flat row."""
    return safe_divide(rows.max_activation - rows.mean, rows.std, empty=0.0)


def compute_features(
    study: Study,
    step: StepWriter,
    config: FeaturesConfig,
    *,
    progress: Progress,
    device: str | torch.device = "cpu",
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
    train = ~study.is_val
    if not train.any():
        raise StudyError(
            f"'{study.path}' has no train images, and activation rates are defined on them. "
            "Run embed again with images in both splits"
        )
    found = scan_study(study, step, config, progress)
    table = _feature_table(study, found, config)
    # Compressing and syncing wait on different things, so the parts of the result are written together.
    with ThreadPoolExecutor(3) as pool:
        rows = pd.DataFrame(vars(found.rows), dtype=np.float32)
        waiting = [
            pool.submit(found.store.finish),
            pool.submit(step.table, "row_stats", rows),
            pool.submit(_write_views, study, step, found),
        ]
        for task in waiting:
            task.result()
    step.table("features", table)
    step.table("classes", _class_table(study))
    step.summary = _summary(found, table)


@dataclass(frozen=True)
class Found:
    """What the pass over a study finds."""

    epsilon: float
    rows: RowStatistics
    statistics: FeatureStatistics
    sizes: np.ndarray  # (n_groups,) train images in each group
    top: TopImages
    activations: Activations
    store: FiringStore
    peaks: np.ndarray  # (n_train,) largest deviation of each train image

    @property
    def rate(self) -> np.ndarray:
        """A_j in percent of the train images."""
        return 100.0 * self.statistics.firing.sum(1) / self.sizes.sum()


def scan_study(study: Study, step: StepWriter, config: FeaturesConfig, progress: Progress) -> Found:
    """The pass itself; firing sets are written as they come."""
    array, train = study.array("representations"), ~study.is_val
    group, sizes = train_groups(study)
    n_passes = 1 + (config.epsilon == "auto")
    with progress.stage("features", total=n_passes * len(array), unit="images") as bar:
        epsilon = _epsilon(config, lambda: peak_deviation(scan_rows(array, bar))[train])
        statistics, top = FeatureStatistics(array.shape[1], len(sizes)), TopImages(array.shape[1])
        sampled = sampled_rows(np.flatnonzero(train), array.shape[1])
        sample = Sample(sampled, array.shape[1], near_zero=config.near_zero)
        store, parts = FiringStore(step, array.shape[1]), []
        for start, scan in scan_chunks(array, group, epsilon=epsilon, sample=sample):
            parts.append(scan.rows)
            store.add(scan)
            statistics.update(scan, group[start : start + len(scan.count)])
            owners = np.arange(start, start + len(scan.count), dtype=np.int32)
            top.add(scan.features, scan.values, np.repeat(owners, scan.count))
            bar.update(len(scan.count))
        rows = join_rows(parts)
        complete_top_images(top, array, rows, float(rows.threshold(epsilon).max()))
    peaks = peak_deviation(rows)[train]
    return Found(epsilon, rows, statistics, sizes, top, sample.activations, store, peaks)


def _write_views(study: Study, step: StepWriter, found: Found) -> None:
    n_classes = len(study.class_names)
    counts, edges = found.activations.histogram()
    step.vector("class_counts", found.statistics.firing[:, :n_classes].astype(np.int32))
    step.vector("class_means", _class_means(found)[:, :n_classes])
    step.vector("top_images", found.top.rows)
    step.vector("top_values", found.top.values)
    step.vector("activation_histogram", counts)
    step.vector("histogram_edges", edges)


def _summary(found: Found, table: pd.DataFrame) -> dict[str, Any]:
    dead = found.statistics.moments.m2 + found.statistics.moments.mean**2 == 0
    count = np.concatenate(found.store.counts)
    return {
        "epsilon": found.epsilon,
        "n_discriminative": int(np.count_nonzero(table["discriminative"])),
        "n_dead": int(np.count_nonzero(dead)),
        "dead_share": float(dead.mean()),
        "mean_firing": float(count.mean()),
        "share_firing": float((count > 0).mean()),
        "near_zero_share": found.activations.near_zero_share,
        "negative_share": found.activations.negative_share,
        "sampled_rows": found.activations.n_rows,
    }


def train_groups(study: Study) -> tuple[np.ndarray, np.ndarray]:
    """The class code of each train image, and how many there are of each.

    Returns:
        group (n_images,) int: position in `study.class_names`, n_classes for a train image without a label,
        -1 for val; sizes (n_classes + 1,) int, train images in each group.
    """
    code, n_classes = class_codes(study), len(study.class_names)
    group = np.where(code < 0, n_classes, code)
    sizes = np.bincount(group[~study.is_val], minlength=n_classes + 1)
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


def _feature_table(study: Study, found: Found, config: FeaturesConfig) -> pd.DataFrame:
    bounds = {"low": config.low, "high": config.high}
    try:
        chosen = discriminative_features(found.rate, **bounds)
    except NoDiscriminativeFeatures as error:
        raise NoDiscriminativeFeatures(f"{error}. {_what_fires(found.peaks, found.epsilon)}") from None
    purity, top_class = class_purity(found.statistics.firing[:, : len(study.class_names)])
    names = np.array([*study.class_names, None], dtype=object)
    return pd.DataFrame(
        {
            "feature": np.arange(len(chosen), dtype=np.int32),
            "mean": found.statistics.moments.mean,
            "std": found.statistics.moments.std,
            "activation_rate": found.rate,
            "tail": tails(found.rate, **bounds),
            "discriminative": chosen.numpy(),
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
    code, n_classes = class_codes(study), len(study.class_names)
    count = {
        f"n_{split}": np.bincount(code[(study.is_val == val) & (code >= 0)], minlength=n_classes)
        for split, val in (("train", False), ("val", True))
    }
    return pd.DataFrame({"label": pd.array(study.class_names, dtype="str"), **count})


def _class_means(found: Found) -> np.ndarray:
    """(n_features, n_groups) float32 mean of normalised h; NaN for a class without train images."""
    return safe_divide(found.statistics.group_sums, found.sizes[:, None]).T.astype(np.float32)
