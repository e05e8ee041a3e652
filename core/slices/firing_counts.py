"""On how many images of a slice each feature fires, from the stored firing sets."""

from collections.abc import Iterator, Sequence

import numpy as np

from core.reader import StudyReader

BLOCK = 1 << 20  # firing pairs processed at a time: they stay in the processor's cache
BLOCK_IMAGES = 1 << 14  # images whose firing lists are held at a time: those of a million take gigabytes
FEW = 10  # up to a tenth of the images, their own lists are read faster than those of all features


def has_firing(study: StudyReader) -> bool:
    """Return True when the study holds the firing sets."""
    return study.has("firing_by_feature_ptr") and study.has("firing_by_feature_rows")


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
    """Yield the images on which the features fire, feature after feature: a start and a block of image rows.

    `firing_by_feature_ptr` says where the images of each feature begin.
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
