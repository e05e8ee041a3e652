"""Features on the images of a slice: how often they fire, by class, where most, and similar ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.common.captions import with_class_names
from core.common.dataframes import safe_divide, unit_rows
from core.common.formatting import counted
from core.measures.evaluate import class_column
from core.study.reader import StudyReader

# On how many images of a slice each feature fires, from the stored firing sets.


BLOCK = 1 << 20  # firing pairs processed at a time: they stay in the processor's cache
BLOCK_IMAGES = 1 << 14  # images whose firing lists are held at a time: those of a million take gigabytes
FEW = 10  # up to a tenth of the images, their own lists are read faster than those of all features


def count_firing_images(study: StudyReader, masks: Sequence[np.ndarray]) -> np.ndarray:
    """(n_masks, n_features) int64: number of images in each mask on which a feature fires.

    A mask with few images is counted image by image, and one with nearly all images as all minus the others.
    Any other mask is looked up for all images of all features, which takes the same time for each.
    """
    pointers = study.vector("firing_by_feature_ptr").astype(np.int64)
    by_row = study.has("firing_count") and study.has("firing_features")
    few = study.n_images // FEW if by_row else -1  # masks without images count as few
    counts = np.empty((len(masks), len(pointers) - 1), np.int64)
    left = []
    for number, mask in enumerate(masks):
        n = int(np.count_nonzero(mask))
        if n <= few:
            counts[number] = _by_image(study, mask, counts.shape[1])
        elif len(mask) - n <= few:
            counts[number] = np.diff(pointers) - _by_image(study, ~mask, counts.shape[1])
        else:
            left.append(number)
    if left:
        counts[left] = _by_feature(study, [masks[number] for number in left], pointers)
    return counts


def places_of_images(study: StudyReader, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the firing lists of some images lie in the stored arrays, in the order of `rows`.

    Returns:
        places (n_pairs,) int64, and the number of them for each of the rows.
    """
    count = study.vector("firing_count").astype(np.int64)
    sizes = count[rows]
    # the lists of all images lie end to end: entry k of a chosen image is at its start + k, and one arange
    # over all chosen entries, shifted by image, gives every such place at once
    starts = np.cumsum(count)[rows] - sizes
    before = np.cumsum(sizes) - sizes  # entries of the lists of earlier images
    return np.repeat(starts - before, sizes) + np.arange(int(sizes.sum())), sizes


def firing_blocks(study: StudyReader) -> Iterator[tuple[int, np.ndarray]]:
    """Yield, to count firing features in slices, the images of each feature: a start and a block of rows.

    Feature after feature; `firing_by_feature_ptr` says where the images of each feature begin.
    """
    stored = study.array("firing_by_feature_rows")
    end = int(study.vector("firing_by_feature_ptr")[-1])
    for start in range(0, end, BLOCK):
        yield start, np.asarray(stored[start : min(start + BLOCK, end)])


def _by_image(study: StudyReader, mask: np.ndarray, n_features: int) -> np.ndarray:
    """Count the features in the firing lists of the images of one mask."""
    counts, rows = np.zeros(n_features, np.int64), np.flatnonzero(mask)
    for start in range(0, len(rows), BLOCK_IMAGES):
        places, _ = places_of_images(study, rows[start : start + BLOCK_IMAGES])
        counts += np.bincount(study.array("firing_features").rows(places), minlength=n_features)
    return counts


def _by_feature(study: StudyReader, masks: Sequence[np.ndarray], pointers: np.ndarray) -> np.ndarray:
    """Look up in each mask the images on which each feature fires, block by block."""
    counts = np.zeros((len(masks), len(pointers) - 1), np.int64)
    for start, block in firing_blocks(study):
        begins = np.clip(pointers[:-1] - start, 0, len(block))
        ends = np.clip(pointers[1:] - start, 0, len(block))
        there = np.flatnonzero(ends > begins)  # the lists of these features follow one another
        for number, mask in enumerate(masks):
            inside = mask.view(np.int8).take(block)
            counts[number, there] += np.add.reduceat(inside, begins[there], dtype=np.int64)
    return counts


# On how many images of each class a feature fires, within a slice.


FEW_IMAGES = 5  # on which a feature fires, below which no class is named
FEW_OF_A_CLASS = 5  # images on average, below which classes say little of features


def classes_tell(study: StudyReader) -> bool:
    """Whether classes tell what features fire on: several, of `FEW_OF_A_CLASS` images or more on average."""
    n = len(study.class_names)
    return n > 1 and int(np.count_nonzero(class_column(study, "label") >= 0)) >= FEW_OF_A_CLASS * n


def class_firing(study: StudyReader, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count the images of each class on which each feature fires.

    Args:
        mask: (n_images,) bool.
    Returns:
        counts (n_features, n_classes) int64 and sizes (n_classes,) int64, the images of the mask by class, in
        the order of `study.class_names`. Images without a label are left out. Without firing sets the counts
        have no rows.
    """
    n_classes = len(study.class_names)
    codes = class_column(study, "label")
    codes = np.where(mask, codes, -1)
    sizes = np.bincount(codes[codes >= 0], minlength=n_classes)
    if not study.has_firing:
        return np.zeros((0, n_classes), np.int64), sizes
    pointers = study.vector("firing_by_feature_ptr").astype(np.int64)
    n_features = len(pointers) - 1
    counts = np.zeros(n_features * n_classes, np.int64)
    for start, block in firing_blocks(study):
        labelled = np.flatnonzero(codes[block] >= 0)
        features = np.searchsorted(pointers, start + labelled, "right") - 1
        counts += np.bincount(features * n_classes + codes[block[labelled]], minlength=len(counts))
    return counts.reshape(n_features, n_classes), sizes


def most_common_classes(counts: np.ndarray, sizes: np.ndarray) -> pd.DataFrame:
    """Find the class on which each feature fires most often, and the class that most of its images belong to.

    Args:
        counts, sizes: as returned by `class_firing`.
    Returns:
        one row per feature: `likeliest`, the number of the class with the largest share of images on which
        the feature fires, with `likeliest_rate`, that share; `top`, the class that most of the images on
        which it fires belong to, with `purity`, their share. Of equal classes the first. Where a feature
        fires on no image, the classes are -1 and the numbers NaN.
    """
    rates = safe_divide(counts, sizes[None, :])
    fires = counts.sum(1) > 0
    table = pd.DataFrame({"likeliest": np.full(len(counts), -1), "likeliest_rate": np.nan})
    table["top"], table["purity"] = -1, np.nan
    if fires.any():
        likeliest, top = np.nanargmax(rates[fires], axis=1), counts[fires].argmax(1)
        table.loc[fires, "likeliest"], table.loc[fires, "top"] = likeliest, top
        table.loc[fires, "likeliest_rate"] = np.take_along_axis(rates[fires], likeliest[:, None], 1)[:, 0]
        table.loc[fires, "purity"] = counts[fires].max(1) / counts[fires].sum(1)
    return table


@dataclass(frozen=True)
class FiringClass:
    """The class that most of the images belong to on which a feature fires: `n` of the `of` images.

    partly: it may fire on images without a label, too, which are not counted.
    evaluated: they are the evaluation images alone, where others may stand beside the words.
    """

    name: str
    n: int
    of: int
    partly: bool = False
    evaluated: bool = False

    @property
    def few(self) -> bool:
        """Return True when the images are too few for a class to mean something, or no two are of one."""
        return self.of < FEW_IMAGES or self.n < 2

    @property
    def often(self) -> str:
        return "mostly" if 2 * self.n >= self.of else "most often"

    @property
    def images(self) -> str:
        """Say how many images are counted, and of which.

        >>> FiringClass("dog", 1, 1, evaluated=True).images, FiringClass("dog", 5, 9, partly=True).images
        ('1 evaluation image', '9 labelled images')
        """
        kinds = ["labelled"] * self.partly + ["evaluation"] * self.evaluated
        return counted(self.of, " ".join([*kinds, "image"]))

    @property
    def words(self) -> str:
        """Say it behind a name.

        >>> FiringClass("dog", 5, 9).words, FiringClass("dog", 3, 9).words, FiringClass("dog", 1, 2).words
        ('mostly dog, 5 of 9 images', 'most often dog, 3 of 9 images', 'fires on 2 images')
        """
        if self.few:
            return f"fires on {self.images}"
        return f"{self.often} {with_class_names(self.name)}, {self.n:,} of {self.images}"

    @property
    def clause(self) -> str:
        """Say it as a clause.

        >>> FiringClass("dog", 3, 9).clause
        'fires most often on dog, 3 of 9 images'
        """
        return self.words if self.few else f"fires {self.words.replace(self.often, f'{self.often} on', 1)}"


def partly_labelled(study: StudyReader) -> bool:
    """Whether classes on which features fire leave out images: some have a label and others none."""
    return study.labelled and bool((class_column(study, "label") < 0).any())


def firing_class(
    counts: np.ndarray, names: Sequence[str], *, partly: bool = False, evaluated: bool = False
) -> FiringClass | None:
    """Return the class of most images on which one feature fires, of equals the first; None without any.

    Args:
        counts: (n_classes,) images of each class on which the feature fires.
        partly: the study is `partly_labelled`. evaluated: see `FiringClass`.
    """
    if not counts.any():
        return None
    top = int(counts.argmax())
    return FiringClass(str(names[top]), int(counts[top]), int(counts.sum()), partly, evaluated)


def feature_classes(study: StudyReader) -> dict[int, FiringClass]:
    """Return the `firing_class` of each feature that fires on labelled evaluation images, or on any image
    where there are no evaluation images; empty for images without labels.
    """
    if not (study.labelled and study.has_firing):
        return {}
    evaluated = bool(study.is_val.any())
    counts, _ = class_firing(study, study.is_val if evaluated else ~study.is_val)
    kinds = {"partly": partly_labelled(study), "evaluated": evaluated}
    classes = {feature: firing_class(row, study.class_names, **kinds) for feature, row in enumerate(counts)}
    return {feature: firing for feature, firing in classes.items() if firing is not None}


def more_often_on(counts: np.ndarray, sizes: np.ndarray, code: int) -> np.ndarray:
    """(n_features,) bool: the features that fire more often on images of one class than on any other."""
    rates = safe_divide(counts, sizes[None, :], empty=0.0)
    others = np.delete(rates, code, axis=1)
    return rates[:, code] > others.max(axis=1, initial=0.0)


# The images on which a feature fires, by how active it is there.


LEVELS = ("top", "median", "lowest")


def firing_rows(study: StudyReader, feature: int, mask: np.ndarray) -> np.ndarray:
    """(n,) int64, ascending: the images of a mask, (n_images,) bool, on which a feature fires."""
    start, stop = study.array("firing_by_feature_ptr")[feature : feature + 2].tolist()
    rows = study.array("firing_by_feature_rows")[start:stop].astype(np.int64)
    return np.sort(rows[mask[rows]])


def firing_pairs(study: StudyReader, rows: np.ndarray) -> pd.DataFrame:
    """List the features that fire on each of some images, with their activations.

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


def _firing_pairs_in_blocks(study: StudyReader, rows: np.ndarray) -> Iterator[pd.DataFrame]:
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
    blocks = _firing_pairs_in_blocks(study, firing_rows(study, feature, mask))
    pairs = pd.concat([block.loc[block["feature"] == feature] for block in blocks])
    rows, activation = pairs["row"].to_numpy(), pairs["activation"].to_numpy()
    order = np.argsort(-activation, kind="stable")
    return rows[order], activation[order]


def at_levels(rows: np.ndarray, limit: int) -> dict[str, np.ndarray]:
    """Pick, of a slice, the images on which a feature is most active, about as the median, and least active.

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


# Features that resemble one, and features whose strongest images resemble each other.


STRONGEST = 8  # images of a feature that are compared
MOST_ENTRIES = 2**26  # of their representations that are read, 256 MiB; of more features nothing is said


def similar_features(study: StudyReader, feature: int, mask: np.ndarray) -> pd.DataFrame:
    """Compare a feature with all others on the images of a mask.

    With A the images on which the feature fires and B those on which another one fires,
    jaccard = |A & B| / |A | B|. `profile` compares class means over the train images: the cosine of the two
    vectors of class means after each is centred, so the correlation over classes.

    Args:
        mask: (n_images,) bool.
    Returns:
        feature, both (|A & B|), jaccard, profile (NaN without class means, or where one of them is
        constant), one row per other feature, largest jaccard first, then largest profile, then by number.
        jaccard is NaN where neither fires.
    """
    counts = count_firing_images(study, [mask])[0]
    both = np.zeros(len(counts), np.int64)
    for together in _firing_pairs_in_blocks(study, firing_rows(study, feature, mask)):
        both += np.bincount(together["feature"], minlength=len(counts))
    jaccard = safe_divide(both, counts[feature] + counts - both)
    profile = _class_profile_cosine(study, feature, len(counts))
    table = pd.DataFrame(
        {"feature": np.arange(len(counts)), "both": both, "jaccard": jaccard, "profile": profile}
    )
    table = table.drop(index=feature)
    order = ["jaccard", "profile", "feature"]
    return table.sort_values(order, ascending=[False, False, True], ignore_index=True)


def _class_profile_cosine(study: StudyReader, feature: int, n_features: int) -> np.ndarray:
    """(n_features,) float64: the correlation of a feature's class means with those of every feature."""
    if not (study.labelled and study.has("class_means")):
        return np.full(n_features, np.nan)
    means = study.vector("class_means").astype(np.float64)
    means = means[:, np.isfinite(means).all(0)]  # classes without train images have no mean
    centred = means - means.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1)
    return safe_divide(centred @ centred[feature], length * length[feature])


def likeness_of_strongest(study: StudyReader) -> np.ndarray:
    """How alike the images are on which each feature is strongest, to the encoder.

    The mean cosine between the representations of the `STRONGEST` images of a feature, two by two, without
    its own entry, after the mean of all these images is taken away. It needs no labels and no words.

    Returns:
        (n_features,) float64 in [-1, 1]; NaN for features with fewer than two images, and for all where more
        than `MOST_ENTRIES` numbers would be read.
    """
    likeness = np.full(len(study.vector("top_images")), np.nan)
    for feature, rows, cosines in _two_by_two(study):
        if len(rows) > 1:
            likeness[feature] = cosines.sum() / (len(rows) * (len(rows) - 1))
    return likeness


def _two_by_two(study: StudyReader) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield each feature, the rows of its `STRONGEST` images, (n,), and their cosines, (n, n) with 0 on the
    diagonal, without its own entry and less the mean; nothing of more than `MOST_ENTRIES` numbers.
    """
    top = study.vector("top_images")[:, :STRONGEST]
    rows, places = np.unique(top, return_inverse=True)
    if len(rows) * len(top) > MOST_ENTRIES or rows[-1] < 0:
        return
    h = unit_rows(study.array("representations").rows(np.maximum(rows, 0)))
    h -= h[rows >= 0].mean(0)
    for feature, mine in enumerate(places.reshape(top.shape)):
        mine = mine[top[feature] >= 0]
        others = unit_rows(np.delete(h[mine], feature, axis=1))
        cosines = others @ others.T
        np.fill_diagonal(cosines, 0.0)
        yield feature, rows[mine], cosines
