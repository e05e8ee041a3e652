"""Overlap of heatmaps with masks: means over images with intervals, by group and by class.

`scores` is always the table `overlap`: one row per image and mask.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.common.statistics.design_effect import groups_among
from core.common.statistics.intervals import mean_intervals
from core.slices.overlap_values import MASKS, VARIANTS

GROUPS = ("all", "correct", "misclassified")
SPLITS = ("all", "train", "val")
IMAGES = ("both masks", "any mask")
SHARE = 0.0, 1.0  # what an overlap can be


def groups_of(scores: pd.DataFrame) -> dict[str, np.ndarray]:
    """Rows of all, correct and misclassified images, (n_rows,) bool each; unknown rows are in neither."""
    correct = scores["correct"].astype("boolean")
    is_correct = correct.fillna(False).to_numpy(bool)
    is_misclassified = (~correct).fillna(False).to_numpy(bool)
    return {"all": np.ones(len(scores), bool), "correct": is_correct, "misclassified": is_misclassified}


def has_both(scores: pd.DataFrame) -> np.ndarray:
    """(n_rows,) bool: the image has both masks, and neither is black in the encoder's input view."""
    seen = scores["mask_area"] > 0
    kinds = scores["row"].where(seen).map(scores.loc[seen].groupby("row")["mask"].nunique())
    return (kinds == len(MASKS)).to_numpy(bool)


def values_of(scores: pd.DataFrame) -> np.ndarray:
    """(n_rows, 4) float64: the variants."""
    return scores[list(VARIANTS)].to_numpy(float)


def rows_by_keys(
    frame: pd.DataFrame, keys: list[str], *, sort: bool
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield the rows of each combination of `keys` that occurs, with that combination."""
    grouped: Any = frame.groupby(keys, sort=sort)
    for values, block in grouped:
        yield dict(zip(keys, values, strict=True)), block


class Means:
    """Means with intervals of selected rows; equal selections (all images have both masks, say) cost once.

    groups: (n_rows,) patients, lesions or sequences; None: each image is for itself.
    """

    def __init__(self, values: np.ndarray, groups: np.ndarray | None = None):
        self.values, self.groups = values, groups
        self._known: dict[bytes, tuple[np.ndarray, ...]] = {}

    def of(self, selected: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return mean, low, high and n of each column over the selected rows, (n_rows,) bool."""
        key = np.packbits(selected).tobytes()
        if key not in self._known:
            held = groups_among(self.groups, selected)
            self._known[key] = mean_intervals(self.values[selected], within=SHARE, groups=held)
        return self._known[key]


def mean_rows(
    about: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], means: tuple[np.ndarray, ...]
) -> Iterator[dict[str, Any]]:
    """Return one row per column of values: its description, mean, low, high, n."""
    for column, mean, low, high, n in zip(columns, *means, strict=True):
        yield {**about, **column, "mean": float(mean), "low": float(low), "high": float(high), "n": int(n)}


def summary_table(scores: pd.DataFrame, units: np.ndarray | None = None) -> pd.DataFrame:
    """Table `overlap_summary`: images, split, mask, group, variant, mean, low, high, n, n_undefined.

    images: "both masks" (the headline) or "any mask". n counts the images behind the mean, n_undefined those
    left out because they have no heat, an empty mask or an unreadable mask.

    Args:
        units: (n_images,) the patient, lesion or sequence of each image of the study, or None.
    """
    means = Means(values_of(scores), groups_among(units, scores["row"].to_numpy()))
    variants = [{"variant": variant} for variant in VARIANTS]
    groups, chosen_images = groups_of(scores), {"both masks": has_both(scores), "any mask": True}
    rows = []
    for images in IMAGES:
        for split in SPLITS:
            here = np.asarray((split == "all") | (scores["split"] == split)) & chosen_images[images]
            for mask in MASKS:
                for group in GROUPS:
                    in_group = here & (scores["mask"] == mask).to_numpy() & groups[group]
                    about = {"images": images, "split": split, "mask": mask, "group": group}
                    group_rows = mean_rows(about, variants, means.of(in_group))
                    rows += [row | {"n_undefined": int(in_group.sum()) - row["n"]} for row in group_rows]
    return pd.DataFrame(rows)


def overlap_by_class(scores: pd.DataFrame, units: np.ndarray | None = None) -> pd.DataFrame:
    """Table `overlap_by_class`: label, mask, group, variant, mean, low, high, n.

    Over all images with that mask; classes and groups without images are left out.
    """
    variants, rows = [{"variant": variant} for variant in VARIANTS], []
    for about, block in rows_by_keys(scores, ["label", "mask"], sort=True):
        means = Means(values_of(block), groups_among(units, block["row"].to_numpy()))
        for group, in_group in groups_of(block).items():
            if in_group.any():
                rows += mean_rows(about | {"group": group}, variants, means.of(in_group))
    columns = ["label", "mask", "group", "variant", "mean", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns)


def control_table(
    parts: Mapping[tuple[str, str], Sequence[np.ndarray]], variants: Sequence[str] = VARIANTS
) -> pd.DataFrame:
    """Table `overlap_controls`: control, mask, variant, mean, low, high, n.

    Args:
        parts: (control, mask) -> arrays (n_images, n_variants).
    """
    columns = ["control", "mask", "variant", "mean", "low", "high", "n"]
    named, rows = [{"variant": variant} for variant in variants], []
    for (control, mask), values in parts.items():
        means = mean_intervals(np.concatenate(values), within=SHARE)
        rows += mean_rows({"control": control, "mask": mask}, named, means)
    return pd.DataFrame(rows, columns=columns)


def sweep_of_all(sweep: pd.DataFrame) -> pd.DataFrame:
    """The rows of `overlap_sweep` that say nothing of correctness, which is the probe's in this table."""
    return sweep.loc[(sweep["group"] == "all").to_numpy(bool)].reset_index(drop=True)


def overlap_headline(summary: pd.DataFrame) -> dict[str, Any]:
    """mIoU of images with both masks, all splits, variant `paper`: miou_core, miou_spurious, each also with
    _correct and _misclassified, each with _interval; None if no image has both masks.
    """
    is_headline = (summary["images"] == "both masks") & (summary["split"] == "all")
    values: dict[str, Any] = {}
    for row in summary.loc[is_headline & (summary["variant"] == "paper")].to_dict("records"):
        name = f"miou_{row['mask']}" + ("" if row["group"] == "all" else f"_{row['group']}")
        values[name] = _number(row["mean"])
        ends = [_number(row["low"]), _number(row["high"])]
        values[f"{name}_interval"] = None if None in ends else ends
    return values


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
