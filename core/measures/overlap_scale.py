"""mIoU of a slice on a scale: the encoder's heatmaps beside control heatmaps of known overlap.

Controls: noise, a uniform heatmap, a blob in the centre, and the ceiling, which is the mask itself at the
resolution of the encoder's maps. Variant `paper` of docs/method.md 5.
"""

from typing import Any

import numpy as np
import pandas as pd

from core.common.statistics.design_effect import groups_among
from core.common.statistics.intervals import mean_interval
from core.measures.headline import NO_IMAGES
from core.reader import StudyReader
from core.slices.evaluate import result_column
from core.slices.overlap_values import CONTROLS, MASKS, control_values, overlap_values

ENCODER, VARIANT, UNIFORM = "encoder", "paper", "uniform"
BOTH, ANY = "both masks", "any mask"
NO_HEAT = "no image of the slice has a heatmap with heat"
NO_OVERLAP = "heatmaps have not been compared with masks"
COLUMNS = ["mask", "heatmap", "value", "low", "high", "n", "images", "reason"]


def stored_name(control: str, mask: str) -> str:
    """Return the name of a control in the table `overlap_controls`."""
    return {"noise": "random", "ceiling": f"{mask} at map resolution"}.get(control, control)


def overlap_scale(study: StudyReader, mask: np.ndarray) -> pd.DataFrame:
    """Mean overlap of the heatmaps of a slice with core and spurious masks, and that of the controls.

    Over the images of the slice that have both masks; if none has, over those with either. The interval of a
    mean is Student's.

    Returns:
        mask ('core', 'spurious'), heatmap ('encoder', then CONTROLS), value, low, high, n, images ('both
        masks', 'any mask'), reason (why the value is NaN, or empty).
    """
    if not study.has("overlap"):
        names = (ENCODER, *CONTROLS)
        rows = [_row(kind, name, np.empty(0), ANY, NO_OVERLAP) for kind in MASKS for name in names]
        return pd.DataFrame(rows, columns=COLUMNS)
    controls = control_values(study)
    values, masked = overlap_values(study, VARIANT)
    both = mask & masked.all(1)
    images = BOTH if both.any() else ANY
    rows = []
    for at, kind in enumerate(MASKS):
        inside = both if images == BOTH else mask & masked[:, at]
        reason = _why_undefined(mask, inside, kind)
        held = groups_among(study.groups, inside)
        rows.append(_row(kind, ENCODER, values[inside, at], images, reason, held))
        for number, name in enumerate(CONTROLS):
            rows.append(_row(kind, name, controls[inside, at, number], images, reason, held))
    return pd.DataFrame(rows, columns=COLUMNS)


def uniform_by_group(study: StudyReader, mask: np.ndarray, images: str) -> pd.DataFrame:
    """Mean overlap `paper` of a uniform heatmap with the masks of correct and of misclassified images.

    Objects of the two groups differ in size, and with it what a heatmap without any preference reaches.

    Args:
        images: BOTH or ANY: those of the slice that have both masks, or this one.
    Returns:
        control ('uniform'), mask, variant, group ('correct', 'misclassified'), mean; NaN without images.
    """
    uniform = control_values(study)[:, :, CONTROLS.index(UNIFORM)]
    masked, correct = overlap_values(study, VARIANT)[1], result_column(study, "correct")
    rows = []
    for at, kind in enumerate(MASKS):
        seen = mask & (masked.all(1) if images == BOTH else masked[:, at])
        for group, outcome in (("correct", 1), ("misclassified", 0)):
            values = uniform[seen & (correct == outcome), at]
            mean = mean_interval(values, within=(0.0, 1.0))[0]
            rows.append({"control": UNIFORM, "mask": kind, "variant": VARIANT, "group": group, "mean": mean})
    return pd.DataFrame(rows)


def _row(
    kind: str, name: str, values: np.ndarray, images: str, reason: str, groups: np.ndarray | None = None
) -> dict[str, Any]:
    value, low, high, n = mean_interval(values, within=(0.0, 1.0), groups=groups)
    about = {"mask": kind, "heatmap": name, "images": images}
    reason = reason or ("" if n else NO_HEAT)
    return about | {"value": value, "low": low, "high": high, "n": n, "reason": reason}


def _why_undefined(mask: np.ndarray, masked: np.ndarray, kind: str) -> str:
    if not mask.any():
        return NO_IMAGES
    return "" if masked.any() else f"no image of the slice has a {kind} mask"
