"""On how many images of each class a feature fires, within a slice."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.common.captions import with_class_names
from core.common.dataframes import safe_divide
from core.common.formatting import counted
from core.reader import StudyReader
from core.slices.evaluate import class_column
from core.slices.firing_counts import firing_blocks, has_firing

FEW_IMAGES = 5  # on which a feature fires, below which no class is named
FEW_OF_A_CLASS = 5  # images on average, below which classes say little of features


def classes_tell(study: StudyReader) -> bool:
    """True where there are several classes, of `FEW_OF_A_CLASS` images or more on average."""
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
    if not has_firing(study):
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
    """

    name: str
    n: int
    of: int
    partly: bool = False

    @property
    def few(self) -> bool:
        """Return True when the images are too few for a class to mean something, or no two are of one."""
        return self.of < FEW_IMAGES or self.n < 2

    @property
    def often(self) -> str:
        return "mostly" if 2 * self.n >= self.of else "most often"

    @property
    def images(self) -> str:
        """Say how many images are counted."""
        return counted(self.of, "labelled image" if self.partly else "image")

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
    """Return True where some images have a label and others none."""
    return study.labelled and bool((class_column(study, "label") < 0).any())


def firing_class(counts: np.ndarray, names: Sequence[str], *, partly: bool = False) -> FiringClass | None:
    """Return the class of most images on which one feature fires, of equals the first; None without any.

    Args:
        counts: (n_classes,) images of each class on which the feature fires.
        partly: the study is `partly_labelled`.
    """
    if not counts.any():
        return None
    top = int(counts.argmax())
    return FiringClass(str(names[top]), int(counts[top]), int(counts.sum()), partly)


def feature_classes(study: StudyReader) -> dict[int, FiringClass]:
    """Return the `firing_class` of each feature that fires on labelled evaluation images, or on any image
    where there are no evaluation images; empty for images without labels.
    """
    if not (study.labelled and has_firing(study)):
        return {}
    counts, _ = class_firing(study, study.is_val if study.is_val.any() else ~study.is_val)
    names, partly = study.class_names, partly_labelled(study)
    classes = {feature: firing_class(row, names, partly=partly) for feature, row in enumerate(counts)}
    return {feature: firing for feature, firing in classes.items() if firing is not None}


def more_often_on(counts: np.ndarray, sizes: np.ndarray, code: int) -> np.ndarray:
    """(n_features,) bool: the features that fire more often on one class than on any other."""
    rates = safe_divide(counts, sizes[None, :], empty=0.0)
    others = np.delete(rates, code, axis=1)
    return rates[:, code] > others.max(axis=1, initial=0.0)
