"""The images on which a feature fires, by how active it is there."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from core.reader import StudyReader
from core.slices.firing_counts import BLOCK_IMAGES, places_of_images

LEVELS = ("top", "median", "lowest")


def firing_rows(study: StudyReader, feature: int, mask: np.ndarray) -> np.ndarray:
    """(n,) int64, ascending: the images of a mask, (n_images,) bool, on which a feature fires."""
    start, stop = study.array("firing_by_feature_ptr")[feature : feature + 2].tolist()
    rows = study.array("firing_by_feature_rows")[start:stop].astype(np.int64)
    return np.sort(rows[mask[rows]])


def firing_pairs(study: StudyReader, rows: np.ndarray) -> pd.DataFrame:
    """List the features that fire on some images.

    Args:
        rows: (n,) int, image rows without repetition.
    Returns:
        one row per image and feature that fires on it: row, feature, activation (h_ij of the representation
        scaled to length 1), in the order of `rows`.
    """
    places, n = places_of_images(study, rows)
    mean = study.table("row_stats", ["mean"])["mean"].to_numpy(np.float64)
    owner = np.repeat(np.asarray(rows, np.int64), n)
    excess = study.array("firing_excess").rows(places).astype(np.float64)
    return pd.DataFrame(
        {
            "row": owner,
            "feature": study.array("firing_features").rows(places).astype(np.int64),
            "activation": excess + mean[owner],
        }
    )


def firing_pairs_in_blocks(study: StudyReader, rows: np.ndarray) -> Iterator[pd.DataFrame]:
    """Yield the table of `firing_pairs` in parts, which of many images does not fit into memory."""
    for start in range(0, max(len(rows), 1), BLOCK_IMAGES):
        yield firing_pairs(study, rows[start : start + BLOCK_IMAGES])


def feature_activations(study: StudyReader, feature: int, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of a mask on which a feature fires, most active first, ties by row.

    Args:
        mask: (n_images,) bool.
    Returns:
        rows (n,) int64 and their activations (n,) float64.
    """
    blocks = firing_pairs_in_blocks(study, firing_rows(study, feature, mask))
    pairs = pd.concat([block.loc[block["feature"] == feature] for block in blocks])
    rows, activation = pairs["row"].to_numpy(), pairs["activation"].to_numpy()
    order = np.argsort(-activation, kind="stable")
    return rows[order], activation[order]


def at_levels(rows: np.ndarray, limit: int) -> dict[str, np.ndarray]:
    """Pick the most active images, those round the median, and the least active ones.

    Args:
        rows: image rows, most active first. limit: images per level.
    Returns:
        level -> at most `limit` rows, most active first. No image is in two levels: fewer than 3 `limit`
        images are divided evenly, the first levels getting one more.
    """
    n = len(rows)
    top = min(limit, -(-n // 3))
    middle = min(limit, -(-(n - top) // 2))
    lowest = min(limit, n - top - middle)
    start = min(max(top, n // 2 - middle // 2), n - lowest - middle)
    return {"top": rows[:top], "median": rows[start : start + middle], "lowest": rows[n - lowest :]}


def strongest_images(pairs: pd.DataFrame, features: Sequence[int], limit: int) -> dict[int, list[int]]:
    """Pick the images on which each of some features is most active.

    Args:
        pairs: row, feature, activation, as returned by `firing_pairs`.
    Returns:
        feature -> at most `limit` rows, most active first, ties by row; [] where it fires on none.
    """
    strongest = pairs.loc[np.isin(pairs["feature"].to_numpy(), np.asarray(features, np.int64))]
    strongest = strongest.sort_values(["feature", "activation", "row"], ascending=[True, False, True])
    strongest = strongest.loc[strongest.groupby("feature").cumcount().to_numpy() < limit]
    rows_of: dict[int, list[int]] = {int(feature): [] for feature in features}
    for feature, row in zip(strongest["feature"].tolist(), strongest["row"].tolist(), strict=True):
        rows_of[feature].append(row)
    return rows_of
