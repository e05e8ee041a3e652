"""mIoU of a slice on a scale: the encoder's heatmaps beside control heatmaps of known overlap.

Controls: noise, a uniform heatmap, a blob in the centre, and the ceiling, which is the mask itself at the
resolution of the encoder's maps. Variant `paper` of docs/method.md 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.common.intervals import mean_interval
from core.slices.inspection.numbers import NO_IMAGES
from core.slices.overlap_values import MASKS, overlap_values

if TYPE_CHECKING:
    from core.store import Study

ENCODER, VARIANT = "encoder", "paper"
BOTH, ANY = "both masks", "any mask"
SLICE, STUDY = "slice", "study"
NO_OVERLAP = "heatmaps have not been compared with masks"
COLUMNS = ["mask", "heatmap", "value", "low", "high", "n", "images", "of", "reason"]


def control_names(mask: str) -> dict[str, str]:
    """Map the name of each control on the scale to the control of the table `overlap_controls`."""
    return {
        "noise": "random",
        "uniform": "uniform",
        "centre": "centre",
        "ceiling": f"{mask} at map resolution",
    }


def overlap_scale(study: Study, mask: np.ndarray) -> pd.DataFrame:
    """Mean overlap of the heatmaps of a slice with core and spurious masks, and that of the controls.

    Over the images of the slice that have both masks; if none has, over those with either. The interval of a
    mean is normal.

    Returns:
        mask ('core', 'spurious'), heatmap ('encoder', 'noise', 'uniform', 'centre', 'ceiling'), value, low,
        high, n, images ('both masks', 'any mask'), of ('slice'; 'study' for the controls of all images,
        because the study stores no others), reason (why the value is NaN, or empty).
    """
    if not study.has("overlap"):
        return pd.DataFrame([_undefined(kind, name, NO_OVERLAP) for kind in MASKS for name in _names(kind)])
    values, masked = overlap_values(study, VARIANT)
    both = mask & masked.all(1)
    images = BOTH if both.any() else ANY
    rows = []
    for at, kind in enumerate(MASKS):
        chosen = both if images == BOTH else mask & masked[:, at]
        reason = _why_undefined(mask, chosen, kind)
        rows.append(_row(kind, ENCODER, values[chosen, at], images, reason))
        rows += _controls(study, kind, images)
    return pd.DataFrame(rows, columns=COLUMNS)


def _names(kind: str) -> list[str]:
    return [ENCODER, *control_names(kind)]


def _controls(study: Study, kind: str, images: str) -> list[dict[str, Any]]:
    """Return the controls over the images of the whole study, as the step stored them."""
    table = study.table("overlap_controls").set_index(["control", "mask", "variant"])
    rows = []
    for name, control in control_names(kind).items():
        if (key := (control, kind, VARIANT)) not in table.index:
            rows.append(_undefined(kind, name, "no image has both masks, which the controls need"))
            continue
        mean, low, high, n = (table.loc[key, column] for column in ("mean", "low", "high", "n"))
        about = {"mask": kind, "heatmap": name, "images": BOTH, "of": STUDY, "reason": ""}
        rows.append(about | {"value": float(mean), "low": float(low), "high": float(high), "n": int(n)})
    return rows


def _row(kind: str, name: str, values: np.ndarray, images: str, reason: str) -> dict[str, Any]:
    value, low, high, n = mean_interval(values)
    about = {"mask": kind, "heatmap": name, "images": images, "of": SLICE}
    reason = reason or ("" if n else "no image has a heatmap with heat")
    return about | {"value": value, "low": low, "high": high, "n": n, "reason": reason}


def _undefined(kind: str, name: str, reason: str) -> dict[str, Any]:
    return _row(kind, name, np.empty(0), ANY, reason)


def _why_undefined(mask: np.ndarray, chosen: np.ndarray, kind: str) -> str:
    if not mask.any():
        return NO_IMAGES
    return "" if chosen.any() else f"no image of the slice has a {kind} mask"
