"""Folds that are stratified by class and never part a unit of data (docs/method.md 2.9). numpy only."""

import numpy as np

from core.common.dataframes import check_same_length


def assign_folds(codes: np.ndarray, units: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Divide images into folds for out-of-fold probes: classes evenly, no unit in two of them.

    Units of several images are placed first, the largest first, each in the fold that has the smallest share
    of its classes. Images that are a unit for themselves then fill up each class, in an order drawn from the
    seed. A class of fewer than `n_folds` units lies in as many folds as it has units.

    Args:
        codes: (n,) int, the class of each image, from 0. units: (n,) int, the unit of each image.
    Returns:
        (n,) int8 in [0, n_folds).
    """
    check_same_length("codes", len(codes), "units", len(units))
    rng = np.random.default_rng(seed)
    codes = np.asarray(codes, np.int64)
    members, sizes = np.unique(units, return_inverse=True, return_counts=True)[1:]
    folds = np.full(len(codes), -1, np.int8)
    counts = np.zeros((n_folds, int(codes.max(initial=-1)) + 1), np.int64)
    _place_units(folds, counts, codes, members, rng.permutation(len(sizes)), sizes)
    alone = rng.permutation(np.flatnonzero(folds < 0))
    alone = alone[np.argsort(codes[alone], kind="stable")]
    edges = np.searchsorted(codes[alone], np.arange(counts.shape[1] + 1))
    for code in range(counts.shape[1]):
        rows = alone[edges[code] : edges[code + 1]]
        folds[rows] = fewest_first(counts[:, code], len(rows), rng.permutation(n_folds))
    return folds


def _place_units(
    folds: np.ndarray,
    counts: np.ndarray,
    codes: np.ndarray,
    members: np.ndarray,
    drawn: np.ndarray,
    sizes: np.ndarray,
) -> None:
    """Place the units of several images, the largest first; `drawn` orders those of a size."""
    of_class = np.bincount(codes, minlength=counts.shape[1])
    rows = np.argsort(members, kind="stable")
    edges = np.concatenate([[0], np.cumsum(sizes)])
    for unit in drawn[np.argsort(-sizes[drawn], kind="stable")]:
        if sizes[unit] == 1:
            return
        images = rows[edges[unit] : edges[unit + 1]]
        classes, n = np.unique(codes[images], return_counts=True)
        shares = (counts[:, classes] * n / of_class[classes]).sum(1)
        fold = np.lexsort((counts.sum(1), shares))[0]
        folds[images] = fold
        counts[fold, classes] += n


def fewest_first(counts: np.ndarray, n: int, order: np.ndarray) -> np.ndarray:
    """(n,) the fold of each further image, always the one with the fewest, of equals the first in `order`."""
    levels = np.add.outer(counts[order], np.arange(n)).ravel()  # how many a fold has before it takes one more
    places = np.repeat(np.arange(len(order)), n)
    return order[places[np.lexsort((places, levels))[:n]]]


def in_several(codes: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(n,) bool: images whose class is in two folds or more, so that a probe can judge them out of fold."""
    first = np.full(int(codes.max(initial=-1)) + 1, -1, np.int64)
    several = np.zeros(len(first), bool)
    first[codes[::-1]] = folds[::-1]
    np.logical_or.at(several, codes, folds != first[codes])
    return several[codes]
