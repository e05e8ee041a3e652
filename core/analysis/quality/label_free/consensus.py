"""Consensus of several scores of single images, without labels (docs/method.md 2.7)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

COMBINED = ("distinctiveness", "raw_distinctiveness", "soft_q", "norm", "whitened_norm", "knn_similarity")

LEAST_SUM = 0.3  # of the weights, which are of length 1: at most 2.45 of six


def share_below(values: np.ndarray) -> np.ndarray:
    """Share of the images with a lower score, the mean over tied ranks: (n,) float64 in [0, 1)."""
    from scipy.stats import rankdata  # here: it takes long to load, and pages read only the sentences

    return (rankdata(values) - 1.0) / max(len(values), 1)


def consensus(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Combine scores by the first principal component of their ranks.

    Ranks (`share_below`) of each score, centred; w = first principal component of the (n, m) ranks, with the
    sign that makes its entries add up to more than 0; combined = ranks w, scaled to [0, 1]. A score that
    agrees with the others weighs much, one that runs against them little or less than 0. Where as many
    run against it as for it, the entries nearly cancel and their sum's sign is a coin: then combined is NaN.

    Args:
        scores: (n_images, m) float, higher = better, without NaN; all images of one split.
    Returns:
        combined (n_images,) float64 in [0, 1], NaN where the weights add up to less than LEAST_SUM; and the
        weights (m,), of length 1. Both NaN for fewer than two images, and if all scores are constant.
    """
    n, m = scores.shape
    if n < 2 or not m:
        return np.full(n, np.nan), np.full(m, np.nan)
    ranks = np.stack([share_below(column) for column in scores.T], 1)
    if not np.ptp(ranks, axis=0).any():
        return np.full(n, np.nan), np.full(m, np.nan)
    ranks -= ranks.mean(0)
    axes = np.linalg.eigh(ranks.T @ ranks).eigenvectors
    weights = axes[:, -1] * (1.0 if axes[:, -1].sum() > 0 else -1.0)
    if weights.sum() < LEAST_SUM:
        return np.full(n, np.nan), weights
    total = ranks @ weights
    return (total - total.min()) / (total.max() - total.min()), weights


def combined_scores(table: pd.DataFrame) -> tuple[np.ndarray, dict[str, dict[str, float]]]:
    """Combine the scores of COMBINED within each split of a table `quality`.

    A score that is not defined for all images of a split is left out there: the similarity to train images on
    the train split, the whitened norm without the step `neighbours`.

    Returns:
        combined (n_images,) float64, NaN where fewer than two scores are left; and the weights, by split and
        score.
    """
    combined, weights = np.full(len(table), np.nan), {}
    for split in ("train", "val"):
        here = (table["split"] == split).to_numpy(bool)
        columns = {name: table[name].to_numpy(float)[here] for name in COMBINED}
        used = [name for name, values in columns.items() if here.any() and np.isfinite(values).all()]
        if len(used) < 2:
            continue
        combined[here], weight = consensus(np.stack([columns[name] for name in used], 1))
        if np.isfinite(weight).all():
            weights[split] = {name: float(value) for name, value in zip(used, weight, strict=True)}
    return combined, weights


def weights_sentence(weights: Mapping[str, float]) -> str:
    """State what the weights of the combined score add up to, and that it is refused where that is little.

    >>> weights_sentence({"norm": 0.8, "soft_q": 0.6})
    'The weights add up to 1.40.'
    """
    total = sum(weights.values())
    stated = f"The weights add up to {total:.2f}"
    if total >= LEAST_SUM:
        return f"{stated}."
    return (
        f"{stated}, below {LEAST_SUM}: as many scores run against each other as agree, so the direction of "
        "their consensus would be a coin, and the combined score is left undefined."
    )


def refused(weights: Mapping[str, Mapping[str, float]]) -> str:
    """Return why the combined score of the evaluation images is undefined by its weights; '' if it is not.

    Args:
        weights: of `combined_scores`.
    """
    of_val = weights.get("val", {})
    return weights_sentence(of_val) if of_val and sum(of_val.values()) < LEAST_SUM else ""
