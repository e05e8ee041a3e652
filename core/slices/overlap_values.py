"""Overlap of the heatmap of each image with its masks, one value per image of the study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.common.dataframes import equals, numbers, where

if TYPE_CHECKING:
    from core.store import Study

MASKS = ("core", "spurious")


def overlap_values(study: Study, variant: str = "paper") -> tuple[np.ndarray, np.ndarray]:
    """Return the overlap of each image with its core and its spurious mask, and whether it has the mask.

    Args:
        variant: a column of the table `overlap`, which the study must hold.
    Returns:
        (n_images, 2) float64, NaN where undefined, and (n_images, 2) bool: the mask exists and is not black
        in the encoder's input view.
    """
    values, masked = np.full((study.n_images, 2), np.nan), np.zeros((study.n_images, 2), bool)
    table = study.table("overlap", ["row", "mask", variant, "mask_area"])
    for at, kind in enumerate(MASKS):
        part = where(table, equals(table, "mask", kind))
        place = part["row"].to_numpy()
        values[place, at] = numbers(part, variant)
        masked[place, at] = numbers(part, "mask_area") > 0
    return values, masked
