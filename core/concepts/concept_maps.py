"""How well maps of single latents mark what masks mark, over positions (docs/method.md 18.7). No torch."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.bases.basis import UNITS
from core.bases.position_index import codes_at, grid_of
from core.common.dataframes import evenly, safe_divide
from core.concepts.concept_features import FEWEST, MEANS, TOP, average_precision, concept_means
from core.data.mask_source import KINDS
from core.errors import UnreadableImage
from core.measures.intervals import mean_intervals
from core.store import Study

MOST = 1_000  # images of either split, of those of which it is known what is on them, evenly spaced
MEASURES = tuple(name for name in MEANS if name != "probe_ap")
Entries = tuple[np.ndarray, np.ndarray, np.ndarray]  # position, latent and value of every active code


class MaskedPositions:
    """The positions of some images of a study, and which of them masks mark.

    Images without a label, and those without a mask of a class that masks mark, are left out: what is where
    on them is not known. Images of other classes have none of the concepts.

    Attributes:
        images: of the train images and of the evaluation images, the rows looked at.
        names: of the concepts, "core=bird": where that mask of a bird is; with FEWEST images of either split
            that have it and as many that lack it.
        has: of both splits (n_concepts, n_images * n_positions) bool.
        centre: (n_concepts,) average precision, on evaluation positions, of one blob in the middle of every
            image: a control that sees nothing.
    """

    def __init__(self, study: Study, grid: tuple[int, int]):
        labels = study.column("images", "label")
        has_mask = study.column("images", "image_id").isin(study.masks.table["image_id"])
        is_known = (labels.notna() & (has_mask | ~labels.isin(labels[has_mask]))).to_numpy(bool)
        splits = [np.flatnonzero(is_known & split) for split in (~study.is_val, study.is_val)]
        self.images = [rows[evenly(len(rows), MOST)] for rows in splits]
        marked = [[self._marked(study, rows, kind, grid) for rows in self.images] for kind in KINDS]
        labels = labels.to_numpy(object)
        self.names, parts = [], ([], [])
        for kind, of_splits in zip(KINDS, marked, strict=True):
            for label in study.class_names:
                has = [
                    part & (labels[rows] == label)[:, None]
                    for part, rows in zip(of_splits, self.images, strict=True)
                ]
                counts = [fewest for one in has for fewest in (one.any(1).sum(), (~one.any(1)).sum())]
                if min(counts) >= FEWEST:
                    self.names.append(f"{kind}={label}")
                    for marks, one in zip(parts, has, strict=True):
                        marks.append(one.ravel())
        self.has = [np.array(marks, bool) for marks in parts]
        y, x = (((np.arange(n) + 0.5) / n - 0.5) ** 2 for n in grid)
        blob = np.tile(-np.add.outer(y, x).ravel().round(12), len(self.images[1]))
        self.centre = average_precision(blob[:, None], self.has[1])[:, 0] if self.names else np.zeros(0)

    @staticmethod
    def _marked(study: Study, rows: np.ndarray, kind: str, grid: tuple[int, int]) -> np.ndarray:
        """(n, n_positions) bool: half of the position or more lies on the mask; none without a mask."""
        marked = np.zeros((len(rows), grid[0] * grid[1]), bool)
        for at, row in enumerate(rows.tolist()):
            try:
                mask = study.mask(row, kind, size=study.thumbnail_image(row).size)
            except UnreadableImage:
                continue
            marked[at] = (_cell_means(mask, grid).round(6) >= 0.5).ravel()
        return marked


def _cell_means(mask: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The mean of a mask (H, W) in each cell of a grid of positions; pixels are divided evenly.

    >>> _cell_means(np.array([[1.0, 1.0, 0.0, 1.0]] * 2), (1, 2))
    array([[1. , 0.5]])
    """
    means = mask.astype(np.float64)
    for axis, n in enumerate(grid):
        edges = np.linspace(0, mask.shape[axis], n + 1).round().astype(int)
        shape = [-1 if one == axis else 1 for one in range(2)]
        means = np.add.reduceat(means, edges[:-1], axis) / np.diff(edges).reshape(shape)
    return means


def concept_maps(study: Study, masked: MaskedPositions) -> pd.DataFrame:
    """Find for each concept of masks the latent of a basis that stands for it, by maps of positions."""
    assert study.basis is not None
    n_positions = int(np.prod(grid_of(study.basis)))
    entries = [_entries(study, rows, n_positions) for rows in masked.images]
    return maps_of_entries(entries, masked, int(study.basis.card["size"]))


def maps_of_entries(entries: Sequence[Entries], masked: MaskedPositions, size: int) -> pd.DataFrame:
    """Find for each concept of masks the latent that stands for it best, by its map of sparse codes.

    Args:
        entries: the active codes of the train positions and of the evaluation positions of `masked`. size:
            number of latents.
    Returns:
        concept, n (evaluation positions that have it), base_rate, feature, ap, purity, inverted_feature,
        inverted_ap, probe_ap (NaN): as `concept_features`, of positions in place of images. purity: of the
        TOP images with the strongest positions the share whose strongest one has the concept, among those
        where the latent is active; NaN where it is active nowhere. centre_ap: of a blob in the middle.
    """
    learnt, judged = entries
    n_positions = masked.has[1].shape[1] // len(masked.images[1])
    best = [
        average_precision_of_entries(_signed(learnt, sign), masked.has[0], size).argmax(1) for sign in (1, -1)
    ]
    areas = [average_precision_of_entries(_signed(judged, sign), masked.has[1], size) for sign in (1, -1)]
    rows = []
    for at, name in enumerate(masked.names):
        truth = masked.has[1][at]
        feature, inverted = int(best[0][at]), int(best[1][at])
        purity = _purity(judged, feature, truth, n_positions)
        of_one = int(truth.sum()), truth.mean(), feature, areas[0][at, feature], purity
        of_others = inverted, areas[1][at, inverted], np.nan, masked.centre[at]
        rows.append((name, *of_one, *of_others))
    columns = ("concept", "n", "base_rate", "feature", "ap", "purity", "inverted_feature", "inverted_ap")
    return pd.DataFrame(rows, columns=[*columns, "probe_ap", "centre_ap"])


def map_means(table: pd.DataFrame, minus: pd.DataFrame | None = None) -> pd.DataFrame:
    """Average over concepts known from masks how well the features that stand for them mark their places."""
    means = concept_means(table, minus)
    means = means.loc[means["measure"].isin(MEASURES)]
    if minus is not None:
        return means
    centre, apart = table["centre_ap"].to_numpy(float), (table["ap"] - table["centre_ap"]).to_numpy(float)
    mean, low, high, n = mean_intervals(np.stack([centre, apart], 1), within=(-1.0, 1.0))
    of_centre = {"measure": ["centre_ap", "ap_minus_centre"], "mean": mean, "low": low, "high": high, "n": n}
    return pd.concat([means, pd.DataFrame(of_centre)], ignore_index=True)


def average_precision_of_entries(entries: Entries, has: np.ndarray, n_features: int) -> np.ndarray:
    """How well each latent stands for each concept of masks: `average_precision` of its sparse codes.

    Entries that are not there are 0, and tie.

    Args:
        entries: row, feature and value, in any order, each pair once. has: (n_concepts, n) bool.
    Returns:
        (n_concepts, n_features) float64; NaN of a concept that no row has.
    """
    rows, features, values = entries
    n = has.shape[1]
    zeros = np.arange(n_features)
    features, values = np.append(features, zeros), np.append(values, np.zeros(n_features))
    counts = np.append(np.ones(len(rows), np.int64), n - np.bincount(entries[1], minlength=n_features))
    order = np.lexsort((-values, features))
    of_feature, ranked = features[order], values[order]
    starts = np.flatnonzero(np.append(True, (np.diff(of_feature) != 0) | (np.diff(ranked) != 0)))
    owner = of_feature[starts]
    seen = _within(np.add.reduceat(counts[order], starts), owner, n_features)
    areas = np.empty((len(has), n_features))
    for at, one in enumerate(has):
        active = one[rows]
        rest = one.sum() - np.bincount(entries[1], weights=active, minlength=n_features)
        hits = np.add.reduceat(np.append(active, rest)[order].astype(np.float64), starts)
        precision = safe_divide(_within(hits, owner, n_features), seen, empty=0.0)
        areas[at] = safe_divide(np.bincount(owner, precision * hits, n_features), one.sum())
    return areas


def _within(values: np.ndarray, owner: np.ndarray, n: int) -> np.ndarray:
    """Cumulative sums that restart at each owner; owners are sorted."""
    total = np.cumsum(values)
    before = np.append(0, np.cumsum(np.bincount(owner, values, n)))[:-1]
    return total - before[owner]


def _entries(study: Study, images: np.ndarray, n_positions: int) -> Entries:
    """The active codes of the positions of some images, numbered image after image."""
    assert study.basis is not None
    whole = study.in_basis(UNITS)
    parts = [codes_at(whole, study.basis, int(row)) for row in images]
    counts = np.concatenate([part[0] for part in parts])
    places = np.repeat(np.arange(len(images) * n_positions), counts)
    latents, values = (np.concatenate([part[at] for part in parts]) for at in (1, 2))
    return places, latents.astype(np.int64), values


def _signed(entries: Entries, sign: int) -> Entries:
    return entries[0], entries[1], sign * entries[2]


def _purity(entries: Entries, feature: int, truth: np.ndarray, n_positions: int) -> float:
    here = (entries[1] == feature) & (entries[2] > 0)
    places = entries[0][here][np.argsort(-entries[2][here], kind="stable")]
    first = np.sort(np.unique(places // n_positions, return_index=True)[1])[:TOP]
    return float(truth[places[first]].mean()) if len(first) else float("nan")
