"""Overlap of the heatmap of each image with its masks, one value per image of the study."""

import numpy as np

from core.common.dataframes import numbers
from core.reader import StudyReader

MASKS = ("core", "spurious")
VARIANTS = ("paper", "binary", "soft", "energy")  # how a heatmap is compared with a mask
CONTROLS = ("noise", "uniform", "centre", "ceiling")  # control heatmaps, scored for each image and mask


def control_column(control: str) -> str:
    """Return the column of the table `overlap` that holds a control's overlap, variant `paper`."""
    return f"control_{control}"


def overlap_values(study: StudyReader, variant: str = "paper") -> tuple[np.ndarray, np.ndarray]:
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
        part = table.loc[table["mask"] == kind]
        rows = part["row"].to_numpy()
        values[rows, at] = numbers(part, variant)
        masked[rows, at] = numbers(part, "mask_area") > 0
    return values, masked


def control_values(study: StudyReader) -> np.ndarray:
    """(n_images, 2, 4) float64: overlap `paper` of each control with core and spurious mask, or NaN."""
    names = [control_column(control) for control in CONTROLS]
    overlaps = np.full((study.n_images, len(MASKS), len(CONTROLS)), np.nan)
    table = study.table("overlap", ["row", "mask", *names])
    for at, kind in enumerate(MASKS):
        part = table.loc[table["mask"] == kind]
        overlaps[part["row"].to_numpy(), at] = part[names].to_numpy(np.float64)
    return overlaps
