"""State in one sentence what the scale of mIoU says: heatmaps on the object, or on the background."""

import numpy as np
import pandas as pd

from core.common.dataframes import numbers
from core.slices.overlap_values import MASKS

ABOVE, EVEN, BELOW = "above", "even", "below"
PREFERENCES = {  # of the object and of the background, each against a uniform heatmap
    (ABOVE, BELOW): "Heatmaps prefer the object to the background",
    (ABOVE, EVEN): "Heatmaps prefer the object to the background",
    (ABOVE, ABOVE): "Heatmaps lie on the object and on the background more than a uniform heatmap would",
    (EVEN, BELOW): "Heatmaps avoid the background, but do not prefer the object",
    (EVEN, EVEN): "Heatmaps prefer neither the object nor the background",
    (EVEN, ABOVE): "Heatmaps prefer the background to the object",
    (BELOW, ABOVE): "Heatmaps prefer the background to the object",
    (BELOW, EVEN): "Heatmaps avoid the object",
    (BELOW, BELOW): "Heatmaps avoid both the object and the background",
}
ALONE = {  # where only one kind of mask is there
    "core": {
        ABOVE: "Heatmaps lie on the object more than a uniform heatmap would",
        EVEN: "Heatmaps lie on the object no more than a uniform heatmap would",
        BELOW: "Heatmaps lie on the object less than a uniform heatmap would",
    },
    "spurious": {
        ABOVE: "Heatmaps lie on the background more than a uniform heatmap would",
        EVEN: "Heatmaps lie on the background no more than a uniform heatmap would",
        BELOW: "Heatmaps lie on the background less than a uniform heatmap would",
    },
}
AGAINST_BLOB = {
    ABOVE: ", and more than a blob in the centre would",
    EVEN: ", about as much as a blob in the centre would",
    BELOW: ", but less than a blob in the centre would",
}
TOO_FEW = "Only one of these images has a heatmap and a mask: too few to say where heatmaps lie."


def overlap_sentence(scale: pd.DataFrame) -> str:
    """Say in one sentence what a scale means.

    The encoder's interval is compared with the uniform heatmap on either mask: above where all of it lies
    above, below where all of it lies below, else even. Where heatmaps prefer the object, they are compared
    with a blob in the centre in the same way.

    Args:
        scale: see `overlap_scale`.
    """
    by_mask = {mask: scale.loc[scale["mask"] == mask] for mask in MASKS}
    defined = {mask: part for mask, part in by_mask.items() if np.isfinite(_encoder(part, "value"))}
    if not defined:
        return f"Where heatmaps lie is not known: {_reason(scale)}."
    if any(np.isnan(_encoder(part, "low")) for part in defined.values()):
        return TOO_FEW
    sides = {mask: _relation(part, "uniform") for mask, part in defined.items()}
    if not all(sides.values()):
        return "How far heatmaps lie on the masks cannot be compared: no control heatmaps are stored."
    if len(sides) == 1:
        ((mask, side),) = sides.items()
        sentence, prefers = ALONE[mask][side], mask == "core" and side == ABOVE
    else:
        pair = sides["core"], sides["spurious"]
        sentence, prefers = PREFERENCES[pair], pair in {(ABOVE, BELOW), (ABOVE, EVEN)}
    blob = _relation(defined["core"], "centre") if prefers else ""
    return sentence + (AGAINST_BLOB[blob] if blob else "") + "."


def _relation(part: pd.DataFrame, control: str) -> str:
    """Compare the encoder's interval with a control's value; empty if that is not known."""
    rows = numbers(part.loc[part["heatmap"] == control], "value")
    if not len(rows) or np.isnan(rows[0]):
        return ""
    if _encoder(part, "low") > rows[0]:
        return ABOVE
    return BELOW if _encoder(part, "high") < rows[0] else EVEN


def _encoder(part: pd.DataFrame, column: str) -> float:
    values = numbers(part.loc[part["heatmap"] == "encoder"], column)
    return float(values[0]) if len(values) else float("nan")


def _reason(scale: pd.DataFrame) -> str:
    reasons = [reason for reason in scale["reason"] if reason] if len(scale) else []
    return str(reasons[0]) if reasons else "no image has both a heatmap and a mask"
