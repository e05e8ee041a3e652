"""Select the maps to store: pairs of an image and a feature (docs/method.md 4)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.analysis.input_masks import masks_of
from core.config import HeatmapsConfig
from core.errors import SettingsError
from core.measures.slice_features import firing_pairs, places_of_images
from core.store import Study
from core.study.chunked_array import CHUNK_ROWS

PER_CLASS = 4  # evaluation images of a class with a map of each feature that fires there: a card's pictures


@dataclass(frozen=True)
class Pairs:
    """Requested features, image by image.

    Attributes:
        rows: (n,) int32, ascending: the images. fallback: (n,) bool: no discriminative feature fires on it.
        starts: (n + 1,) int64: image i has features[starts[i] : starts[i + 1]].
        features: (P,) int32, ascending within an image.
    """

    rows: np.ndarray
    fallback: np.ndarray
    starts: np.ndarray
    features: np.ndarray

    def of(self, position: int) -> np.ndarray:
        """Return the features of the image at a position in `rows`."""
        return self.features[self.starts[position] : self.starts[position + 1]]

    @property
    def counts(self) -> np.ndarray:
        """(n,) int32."""
        return np.diff(self.starts).astype(np.int32)


def wanted_pairs(study: Study, config: HeatmapsConfig) -> Pairs:
    """Select images and features whose heatmaps are stored: val, masked and top images, train if asked.

    For each image: its firing discriminative features or, if there are none, its strongest discriminative
    one; feature j, of D or not, on the first `config.top` images of j; and on those evaluation images of each
    class on which j fires most (see `class_pairs`).

    Raises:
        SettingsError: `config.top` is out of range.
    """
    top_rows, top_features = top_pairs(study, config.top)
    selected = study.is_val | config.train
    selected[_masked_rows(study, config)] = True
    selected[top_rows] = True
    rows = np.flatnonzero(selected)
    firing_rows, firing_features = discriminative_pairs(study, selected)
    without = rows[~np.isin(rows, firing_rows)]
    parts = [
        (firing_rows, firing_features),
        (without, strongest_discriminative(study, without)),
        (top_rows, top_features),
        class_pairs(study),
    ]
    n_features = study.array("representations").shape[1]
    keys = np.unique(np.concatenate([r.astype(np.int64) * n_features + j for r, j in parts]))
    starts = np.searchsorted(keys, np.append(rows, study.n_images) * n_features)
    features = (keys % n_features).astype(np.int32)
    return Pairs(rows.astype(np.int32), np.isin(rows, without), starts, features)


def top_pairs(study: Study, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Return image and feature of the first `top` images of each feature, whose heatmaps are stored.

    Raises:
        SettingsError: a number below 0, or above the number that the study keeps.
    """
    top_rows = study.vector("top_images")  # (r, k) rows, padded with -1
    if not 0 <= top <= top_rows.shape[1]:
        raise SettingsError(f"--top {top}: a study keeps 0 to {top_rows.shape[1]} top images of each feature")
    features, places = np.nonzero(top_rows[:, :top] >= 0)
    return top_rows[features, places], features


def class_pairs(study: Study, *, each: int = PER_CLASS) -> tuple[np.ndarray, np.ndarray]:
    """Select image and feature for Grad-CAM: the `each` images of every class on which a feature fires most.

    So every feature that fires on a class has pictures there, also one that is not discriminative. At most
    one pair for each feature that fires on an evaluation image; images without a class are a class.
    """
    label = pd.factorize(study.images["label"], use_na_sentinel=False)[0]
    rows = np.flatnonzero(study.is_val)
    rows = rows[np.argsort(label[rows], kind="stable")]  # class after class, some images at a time
    last, parts = firing_pairs(study, rows[:0]), []
    for start in range(0, len(rows), CHUNK_ROWS):
        block = firing_pairs(study, np.sort(rows[start : start + CHUNK_ROWS]))
        best = _most_active(pd.concat([last, block]), label, each)
        goes_on = label[best["row"]] == label[rows[start : start + CHUNK_ROWS][-1]]
        parts.append(best.loc[~goes_on, ["row", "feature"]].to_numpy(np.int32))
        last = best.loc[goes_on]
    row, feature = np.concatenate([*parts, last[["row", "feature"]].to_numpy(np.int32)]).T
    return row, feature


def _most_active(pairs: pd.DataFrame, label: np.ndarray, each: int) -> pd.DataFrame:
    """Keep the `each` most active images of every class and feature, by class, feature and activation."""
    row, feature = pairs["row"].to_numpy(), pairs["feature"].to_numpy()
    order = np.lexsort([row, -pairs["activation"].to_numpy(), feature, label[row]])
    feature, of_class = feature[order], label[row[order]]
    differs = (np.diff(of_class) != 0) | (np.diff(feature) != 0)
    begins = np.r_[True, differs][: len(order)]
    index = np.arange(len(order))
    is_kept = index - np.maximum.accumulate(np.where(begins, index, 0)) < each
    return pairs.iloc[order[is_kept]]


def _masked_rows(study: Study, config: HeatmapsConfig) -> np.ndarray:
    """The images that have a core or spurious mask, whose heatmaps are stored."""
    masks = masks_of(study, config)
    if masks is None:
        return np.empty(0, np.int64)
    places = study.image_index().get_indexer(pd.Index(masks.table["image_id"].unique()))
    return places[places >= 0]


def discriminative_pairs(study: Study, selected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and features of the Grad-CAM maps of chosen images, (n_images,) bool: all of D that fire there."""
    selected_rows, firing = np.flatnonzero(selected).astype(np.int32), study.array("firing_features")
    inside, rows, features = study.discriminative, [selected_rows[:0]], [np.empty(0, firing.dtype)]
    for start in range(0, len(selected_rows), CHUNK_ROWS):
        block = selected_rows[start : start + CHUNK_ROWS]
        places, n = places_of_images(study, block)
        of_block = firing.rows(places)
        is_kept = inside[of_block]
        rows.append(np.repeat(block, n)[is_kept])
        features.append(of_block[is_kept])
    return np.concatenate(rows), np.concatenate(features)


def strongest_discriminative(study: Study, rows: np.ndarray) -> np.ndarray:
    """(n,) the feature of D to map by Grad-CAM on each image: its most active one; the first one on ties."""
    inside, array = np.flatnonzero(study.discriminative), study.array("representations")
    strongest = np.empty(len(rows), np.int64)
    for start in range(0, len(rows), CHUNK_ROWS):
        block = rows[start : start + CHUNK_ROWS]
        strongest[start : start + len(block)] = inside[array.rows(block)[:, inside].argmax(axis=1)]
    return strongest
