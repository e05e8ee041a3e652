"""Transfer concepts of one encoder to another over the same images (docs/method.md 6.9).

A linear map Z without bias maps a target encoder's normalised row to the source's: h_source ≈ Z h_target. A
source feature s maps to the target features t with Z_st > mean + 4 std of all of Z, and they get its words.
A map that explains less than nothing carries no words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core.errors import ShapeError


def check_rows(target: np.ndarray, source: np.ndarray) -> None:
    """Raise ShapeError when two studies, to transfer concepts between (research), differ in images."""
    if len(target) != len(source):
        raise ShapeError(f"{len(target)} target rows, but {len(source)} source rows; both need one per image")


def fit_sgd(
    target: np.ndarray,
    source: np.ndarray,
    *,
    lr: float = 1.0,
    batch_size: int = 256,
    epochs: int = 10,
    seed: int = 0,
    device: str = "cpu",
) -> np.ndarray:
    """Fit the linear map Z that transfers concepts (research) by plain SGD, with the paper's settings.

    Minimises mean_q ||Z target_q - source_q||^2 (Kalibhat, dissertation, eq. 4.3): the squared error is
    summed over features and
    averaged over the images of a batch. Rows of length 1 keep rate 1 stable: the Hessian 2 X^T X / n has no
    eigenvalue above 2.

    Args:
        target: (n, r_target) float, L2-normalised rows. source: (n, r_source), of the same images.
    Returns:
        (r_source, r_target) float32.
    Raises:
        ShapeError: the numbers of rows differ.
    """
    check_rows(target, source)
    x, y = (torch.from_numpy(np.ascontiguousarray(rows, np.float32)).to(device) for rows in (target, source))
    z = torch.zeros(y.shape[1], x.shape[1], device=device)
    order = np.random.default_rng(seed)
    for _ in range(epochs):
        for batch in torch.from_numpy(order.permutation(len(x))).to(device).split(batch_size):
            z.sub_(_gradient(z, x[batch], y[batch]), alpha=lr)
    return z.cpu().numpy()


def _gradient(z: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Gradient of mean_q ||Z x_q - y_q||^2: summed over features, averaged over images."""
    error = x @ z.T - y
    return error.T @ x * (2.0 / len(x))


def fit_ridge(target: np.ndarray, source: np.ndarray, *, penalty: float = 1e-4) -> np.ndarray:
    """Fit the linear map Z that transfers concepts (research) in closed form.

    Z = argmin mean_q ||source_q - Z target_q||^2 + penalty ||Z||^2.

    Z = (Y^T X / n) (X^T X / n + penalty I)^-1

    Returns:
        (r_source, r_target) float64.
    Raises:
        ShapeError: the numbers of rows differ.
    """
    check_rows(target, source)
    x, y = np.asarray(target, np.float64), np.asarray(source, np.float64)
    n = max(len(target), 1)
    gram = x.T @ x / n
    gram[np.diag_indices_from(gram)] += penalty
    return np.linalg.solve(gram, x.T @ y / n).T


def explained_share(z: np.ndarray, target: np.ndarray, source: np.ndarray) -> float:
    """1 - sum ||source - Z target||^2 / sum ||source - mean source||^2 (transfer, research), or NaN."""
    check_rows(target, source)
    y = np.asarray(source, np.float64)
    predicted = np.asarray(target, np.float64) @ np.asarray(z, np.float64).T
    left = np.square(y - predicted).sum()
    total = np.square(y - y.mean(0)).sum()
    return float(1 - left / total) if total > 0 else float("nan")


def mapped_features(z: np.ndarray, *, n_std: float = 4.0) -> pd.DataFrame:
    """Find the target features that a source feature maps to (transfer, research): Z_st > mean + n std.

    Returns:
        source_feature, target_feature (int32), weight (float64), by source feature, then by descending
        weight.
    """
    z = np.asarray(z, np.float64)
    source, target = np.nonzero(z > z.mean() + n_std * z.std())
    weight = z[source, target]
    order = np.lexsort([target, -weight, source])
    source_feature = source[order].astype(np.int32)
    target_feature = target[order].astype(np.int32)
    return pd.DataFrame(
        {"source_feature": source_feature, "target_feature": target_feature, "weight": weight[order]}
    )


def carried_words(mapping: pd.DataFrame, words: Mapping[int, Sequence[str]]) -> pd.DataFrame:
    """Return the words that features get from the source features mapped to them (transfer, research).

    A word's score is the sum of the weights of the source features that have it.

    Args:
        mapping: from `mapped_features`. words: of each explained source feature, best first.
    Returns:
        feature, rank, word, score, source_features (joined by ";"), by feature, then by descending score.
    """
    rows = []
    for source, target, weight in mapping.itertuples(index=False):
        for word in words.get(int(source), ()):
            rows.append((int(target), word, float(weight), int(source)))
    frame = pd.DataFrame(rows, columns=["feature", "word", "weight", "source"])
    if frame.empty:
        return pd.DataFrame({"feature": [], "rank": [], "word": [], "score": [], "source_features": []})
    scores = frame.groupby(["feature", "word"], as_index=False).agg(
        score=("weight", "sum"), source_features=("source", lambda part: ";".join(map(str, part)))
    )
    scores = scores.sort_values(
        ["feature", "score", "word"], ascending=[True, False, True], ignore_index=True
    )
    scores.insert(1, "rank", scores.groupby("feature").cumcount().to_numpy(np.int32) + 1)
    return scores


@dataclass(frozen=True)
class Agreement:
    """How well transferred words agree with a study's own words.

    Attributes:
        table: feature, n_carried, n_direct, n_shared, precision, recall, jaccard, chance (the mean Jaccard
            with the words of all other directly explained features).
        jaccard, chance, precision, recall: means over the features that have both; NaN if there are none.
    """

    table: pd.DataFrame
    precision: float
    recall: float
    jaccard: float
    chance: float


def agreement(
    carried: Mapping[int, Iterable[str]], direct: Mapping[int, Iterable[str]], *, top: int = 6
) -> Agreement:
    """Compare the concepts that a map transfers to features (research) with their own, and with chance.

    Args:
        carried, direct: words of target features, best first; the first `top` of each are used.
    """
    ours = {feature: set(list(words)[:top]) for feature, words in carried.items()}
    theirs = {feature: set(list(words)[:top]) for feature, words in direct.items()}
    both = sorted(feature for feature in ours if ours[feature] and theirs.get(feature))
    rows = []
    for feature in both:
        mine, theirs_of_feature = ours[feature], theirs[feature]
        shared = len(mine & theirs_of_feature)
        others = [jaccard(mine, words) for other, words in theirs.items() if other != feature and words]
        n_direct = len(theirs_of_feature)
        chance = float(np.mean(others)) if others else float("nan")
        precision = shared / len(mine)
        recall = shared / n_direct
        similarity = jaccard(mine, theirs_of_feature)
        rows.append(
            {
                "feature": feature,
                "n_carried": len(mine),
                "n_direct": n_direct,
                "n_shared": shared,
                "precision": precision,
                "recall": recall,
                "jaccard": similarity,
                "chance": chance,
            }
        )
    columns = ["feature", "n_carried", "n_direct", "n_shared", "precision", "recall", "jaccard", "chance"]
    table = pd.DataFrame(rows, columns=columns)
    means = {
        name: float(np.mean(table[name])) if len(table) else float("nan")
        for name in ("precision", "recall", "jaccard", "chance")
    }
    return Agreement(table, **means)


def jaccard(first: set[str], second: set[str]) -> float:
    """Return the Jaccard index of two sets of transferred words (research).

    >>> jaccard({"dog", "red"}, {"dog"})
    0.5
    """
    union = len(first | second)
    return len(first & second) / union if union else float("nan")
