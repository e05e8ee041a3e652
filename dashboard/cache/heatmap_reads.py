"""Cached reads of heatmaps, masks and overlaps; the rules are those of `reader.py`."""

import numpy as np
import pandas as pd

from core.common.dataframes import numbers, words
from core.common.records import Templates
from core.errors import PeregrineError
from core.measures.slice import Slice
from core.store import Study
from dashboard.cache import reads
from dashboard.cache.reader import cached_read
from dashboard.state.overlay_images import KINDS

_say = Templates.beside(__file__)
GROUP_MEANS = {
    "correct": "class_means_correct",
    "misclassified": "class_means_misclassified",
    "counts": "group_counts",
    "ranks": "sparsity_ranks",
    "curves": "sparsity_curves",
}
FEW_POSITIONS = 4  # on a side: maps of fewer tell where in an image, and not on what


def stored_rows(study: Study) -> np.ndarray:
    """(n,) int32, rising: the images whose heatmaps the study holds."""
    return reads.vector(study, "heatmap_rows") if study.has("heatmap_rows") else np.empty(0, np.int32)


@cached_read(max_entries=16)
def nothing_fires(study: Study) -> np.ndarray:
    """(n_images,) bool: stored images on which none fires, with the heatmap of their strongest feature."""
    fallback = np.zeros(study.n_images, bool)
    if study.has("heatmap_fallback"):
        fallback[study.vector("heatmap_rows")] = study.vector("heatmap_fallback")
    return fallback


@cached_read(max_entries=256)
def rows_with(study: Study, feature: int) -> np.ndarray:
    """Rising rows of the images for which the map of this feature is stored."""
    if not study.has("heatmap_features"):
        return np.empty(0, np.int32)
    features, rows = _pairs(study)
    return rows[slice(*np.searchsorted(features, [feature, feature + 1]))]


@cached_read(max_entries=64)
def map_counts(study: Study, where: Slice) -> np.ndarray:
    """(n_features,) int64: images of a slice for which the map of each feature is stored."""
    n_features = study.array("representations").shape[1]
    if not study.has("heatmap_features"):
        return np.zeros(n_features, np.int64)
    features, rows = _pairs(study)
    return np.bincount(features[reads.mask(study, where)[rows]], minlength=n_features)


@cached_read(max_entries=16, spinner="Averaging representations")
def group_means(study: Study, where: Slice) -> dict[str, np.ndarray]:
    """Mean representations of the correct and of the misclassified images of a slice: `correct`,
    `misclassified` (n_classes, n_features), `counts` (2, n_classes), `ranks`, `curves` (2, n_ranks).
    """
    narrowed = reads.narrowed(study, where)
    return {short: narrowed.vector(name) for short, name in GROUP_MEANS.items()}


def features_of(study: Study, row: int) -> set[int]:
    """The features with a stored map of this image, those computed on request included (so: not cached)."""
    return set(study.heatmap_reader.features_of(row).tolist())


def heatmap_features(study: Study, row: int) -> tuple[list[int], bool]:
    """The features of an image's discriminative heatmap, and whether that is only its strongest one."""
    features, fallback = study.heatmap_reader.discriminative(row)
    return features.tolist(), bool(fallback)


@cached_read(max_entries=256)
def activations(study: Study, feature: int, rows: np.ndarray) -> np.ndarray:
    """(n_rows,) float64: the feature's activation on each image, of representations of length 1."""
    raw = study.array("representations").rows(rows)
    return raw[:, feature].astype(np.float64) / np.maximum(np.linalg.norm(raw, axis=1), 1e-12)


def mask_kinds(study: Study) -> tuple[str, ...]:
    """Of "core" and "spurious" those of which there is any mask; empty where masks cannot be read now."""
    masked = masked_rows(study)
    return tuple(kind for kind in KINDS if masked[kind].any())


def masked_rows(study: Study) -> dict[str, np.ndarray]:
    """For "core" and "spurious" the images that have such a mask now, each (n_images,) bool."""
    try:
        return _masked_rows(study)
    except (PeregrineError, OSError, KeyError):  # the folder of masks was moved; the study still works
        return {kind: np.zeros(study.n_images, bool) for kind in KINDS}


@cached_read(max_entries=8)
def _masked_rows(study: Study) -> dict[str, np.ndarray]:
    masked = {kind: np.zeros(study.n_images, bool) for kind in KINDS}
    if study.masks is None:
        return masked
    ids = study.image_index()
    for kind, part in study.masks.table.groupby("mask"):
        places = ids.get_indexer(part["image_id"])
        masked[str(kind)][places[places >= 0]] = True
    return masked


@cached_read(max_entries=8)
def overlaps(study: Study) -> pd.DataFrame:
    """One row an image in study order: `core_paper`, `spurious_energy` … (NaN without such a mask).

    Empty of columns where the study has no overlaps.
    """
    whole = pd.RangeIndex(study.n_images)
    if not study.has("overlap"):
        return pd.DataFrame(index=whole)
    table = study.table("overlap", ["row", "mask", "paper", "binary", "soft", "energy"])
    wide = table.pivot(index="row", columns="mask")
    wide.columns = [f"{mask}_{variant}" for variant, mask in wide.columns]
    return wide.reindex(whole)


def overlap_rows(study: Study) -> pd.DataFrame:
    """The table `overlap` (one row an image and mask), `correct` as 1, 0 or NaN."""
    table = reads.table(study, "overlap")
    return table.assign(correct=table["correct"].astype("boolean").to_numpy(dtype=float, na_value=np.nan))


@cached_read(max_entries=8)
def feature_overlaps(study: Study) -> pd.DataFrame:
    """One row per feature that looks at masked images: verdict, most common class, and for either mask the
    share of its heat, that share against a uniform heatmap's, and the images behind them.
    """
    table = study.table("overlap_by_feature")
    wide = table.pivot(index="feature", columns="mask", values=["energy", "lift", "n"])
    wide.columns = [f"{mask}_{value}" for value, mask in wide.columns]
    wide = wide.reindex(columns=[f"{mask}_{value}" for value in ("energy", "lift", "n") for mask in KINDS])
    by_feature = table.groupby("feature")
    wide.insert(0, "verdict", by_feature["verdict"].first())
    classes = study.table("features", ["feature", "top_class"]).set_index("feature")
    wide.insert(1, "top_class", classes["top_class"].reindex(wide.index))
    wide["keywords"] = by_feature["keywords"].agg(lambda parts: "; ".join(filter(None, parts)))
    columns = [
        column for column in wide if column not in ("top_class", "keywords") or any(words(wide, column))
    ]
    verdict = np.array(words(wide, "verdict"), object)
    lift = np.where(verdict == "spurious", numbers(wide, "spurious_lift"), numbers(wide, "core_lift"))
    verdict_rank = np.select([verdict == "core", verdict == "spurious"], [0, 1], 2)
    return wide[columns].reset_index().take(np.lexsort((-lift, verdict_rank))).reset_index(drop=True)


@cached_read(max_entries=8)
def _pairs(study: Study) -> tuple[np.ndarray, np.ndarray]:
    """Feature and row of every stored map, ordered by feature and then by row."""
    features = study.vector("heatmap_features")
    rows = np.repeat(study.vector("heatmap_rows"), study.vector("heatmap_count"))
    order = np.argsort(features, kind="stable")
    return features[order], rows[order]


def shows_view(study: Study, row: int) -> bool:
    """Return True where the overlays of an image frame what the encoder sees: it is not all of it."""
    if not study.has("thumbnails"):
        return False
    width, height = study.thumbnail_image(row).size  # of the image's proportions
    left, top, right, bottom = study.transform.box(width, height)
    return left >= 1 or top >= 1 or right <= width - 1 or bottom <= height - 1


def coarse(study: Study) -> str:
    """What maps of few positions can tell, in a sentence; empty where they have many."""
    sides = study.array("heatmap_maps").shape[1:] if study.has("heatmap_maps") else ()
    if min(sides, default=FEW_POSITIONS) >= FEW_POSITIONS:
        return ""
    return _say("coarse", names=tuple(map(str, sides)))
