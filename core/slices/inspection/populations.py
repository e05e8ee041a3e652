"""The images of a slice, and those that it is compared with.

A slice holds evaluation images unless it names a split, and all images in a study without evaluation images.
"""

from dataclasses import replace

import numpy as np

from core.common.captions import class_id
from core.reader import StudyReader
from core.slices.compare import separate
from core.slices.evaluate import named_splits, names_images
from core.slices.slice import Slice


def population(
    study: StudyReader, where: Slice, against: Slice | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of a slice, and those that it is compared with, (n_images,) bool each.

    The two share no images: as in `core.slices.compare.separate`, images in both slices stay in the smaller
    one (in the first where both are equal). So the first mask is smaller than its slice only where `against`
    overlaps it and is the smaller one.

    Args:
        against: the other slice, by the same rule of splits; None: all other images of the slice's split.
    Raises:
        SliceError: the study lacks something that a slice names.
    """
    inside = images_of(study, where)
    if against is None:
        return inside, split_of(study, where) & ~inside
    return separate(inside, images_of(study, against))


def images_of(study: StudyReader, where: Slice) -> np.ndarray:
    """(n_images,) bool: the images of a slice, of the evaluation split unless it names another one."""
    return with_split(study, where).mask(study)


def with_split(study: StudyReader, where: Slice) -> Slice:
    """Return the slice with the split that it means: the evaluation split, unless it names a split or single
    images, itself or by a saved slice, or the study has no evaluation images. Classes are those of the study
    (`class_id`).
    """
    for condition in ("labels", "predicted", "confusion"):
        if classes := getattr(where, condition):
            ids = tuple(class_id(one, study.class_names) for one in classes)
            where = replace(where, **{condition: ids})
    if named_splits(where, study) or names_images(where, study) or not study.is_val.any():
        return where
    return replace(where, split="val")


def is_filtered(study: StudyReader, population: Slice) -> bool:
    """Return True when a population, as `with_split` gives it, is not that of an empty slice."""
    return population != with_split(study, Slice())


def shown_images(study: StudyReader) -> np.ndarray:
    """(n_images,) bool: those of the slice that a study is narrowed to, else evaluation images, else all."""
    return images_of(study, Slice()) if study.chosen is None else study.chosen


def split_of(study: StudyReader, where: Slice) -> np.ndarray:
    """(n_images,) bool: all images of the splits that a slice means, see `with_split`."""
    splits = named_splits(with_split(study, where), study)
    if not splits:
        return np.ones(study.n_images, bool)
    return study.column("images", "split").isin(sorted(splits)).to_numpy(bool)


def train_images(study: StudyReader) -> np.ndarray:
    """(n_images,) bool: the train split as stored, of which all that is fitted has learned.

    An answer that was not fitted may be judged on these, too.
    """
    whole = getattr(study, "whole", None)  # that is narrowed, or read by another answer
    return ~study.is_val if whole is None else train_images(whole)
