"""Errors found among the first n images looked at (docs/method.md 2.8)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from core.common.dataframes import evenly

RANDOM, PERFECT = "at random", "perfect"
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)  # of the images: rows that every table has
POINTS = 200


def errors_among_first(values: np.ndarray, wrong: np.ndarray, n_looked: np.ndarray) -> np.ndarray:
    """Errors among the n images with the lowest scores, for several n.

    Among equal scores the mean over all orders is taken: of m tied images with e errors, k hold k e / m.
    Images without a score are looked at last.

    Args:
        values: (n_images,) scores, higher is better. wrong: (n_images,) bool. n_looked: numbers of images.
    Returns:
        (len(n_looked),) float64.
    """
    order = np.argsort(values, kind="stable")  # NaN last
    ordered, errors = values[order], np.cumsum(wrong[order])
    differ = (ordered[1:] != ordered[:-1]) & ~np.isnan(ordered[:-1])
    ends = np.flatnonzero(np.append(differ, True))
    return np.interp(n_looked, np.append(0, ends + 1), np.append(0, errors[ends]))


def errors_found(
    scores: Mapping[str, np.ndarray], correct: np.ndarray, *, at: int | None = None
) -> pd.DataFrame:
    """Count the errors found by looking at the images in the order of each score, lowest first.

    Args:
        scores: (n_images,) each, by name. correct: 1 correct, 0 misclassified; NaN is left out.
        at: a number of images that gets a row, beside SHARES of all and at most POINTS others.
    Returns:
        order (a score, RANDOM or PERFECT), n_looked, share_looked, found, share_found (of all errors); empty
        unless there are errors.
    """
    judged = np.isfinite(correct)
    wrong = correct[judged] == 0
    n, n_errors = len(wrong), int(wrong.sum())
    columns = ["order", "n_looked", "share_looked", "found", "share_found"]
    if not n_errors:
        return pd.DataFrame(columns=columns)
    marked = [share_of(n, share) for share in SHARES] + [min(max(at or 0, 0), n)]
    looked = np.unique(np.concatenate([evenly(n + 1, POINTS), marked]))
    counts = {
        name: errors_among_first(np.asarray(values, float)[judged], wrong, looked)
        for name, values in scores.items()
    }
    counts |= {RANDOM: looked * n_errors / n, PERFECT: np.minimum(looked, n_errors).astype(float)}
    parts = []
    for name, count in counts.items():
        values = (name, looked, looked / n, count, count / n_errors)
        parts.append(pd.DataFrame(dict(zip(columns, values, strict=True))))
    return pd.concat(parts, ignore_index=True)


def share_of(n_images: int, share: float) -> int:
    """Return a share of the images as their number, at least 1."""
    return min(max(round(n_images * share), 1), n_images)
