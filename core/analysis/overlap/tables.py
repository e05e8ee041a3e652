"""The tables of the step `overlap`: means over images with intervals, by group, class and feature.

`scores` is always the table `overlap`: one row per image and mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.overlap.iou import SWEPT, VARIANTS, Lift, heat_lift, mask_preference
from core.common.arrays import safe_divide
from core.common.statistics.intervals import mean_intervals
from core.config import OverlapConfig

MASKS = ("core", "spurious")
GROUPS = ("all", "correct", "misclassified")
SPLITS = ("all", "train", "val")
IMAGES = ("both masks", "any mask")
FEATURE_COLUMNS = {"feature": "int32", "mask": "str", "n": "int64", **dict.fromkeys(VARIANTS, "float64")}
FEATURE_COLUMNS |= dict.fromkeys(("lift", "lift_low", "lift_high"), "float64")
FEATURE_COLUMNS |= {"verdict": "str", "keywords": "str"}
SHARE = 0.0, 1.0  # what an overlap can be


def groups_of(scores: pd.DataFrame) -> dict[str, np.ndarray]:
    """Rows of all, correct and misclassified images, (n_rows,) bool each; unknown rows are in neither."""
    correct = scores["correct"].astype("boolean")
    return {
        "all": np.ones(len(scores), bool),
        "correct": correct.fillna(False).to_numpy(bool),
        "misclassified": (~correct).fillna(False).to_numpy(bool),
    }


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
    """Means with intervals of selected rows; equal selections (all images have both masks, say) cost once."""

    def __init__(self, values: np.ndarray):
        self.values = values
        self._known: dict[bytes, tuple[np.ndarray, ...]] = {}

    def of(self, chosen: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return mean, low, high and n of each column over the selected rows, (n_rows,) bool."""
        key = np.packbits(chosen).tobytes()
        if key not in self._known:
            self._known[key] = mean_intervals(self.values[chosen], within=SHARE)
        return self._known[key]


def _rows(
    about: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], means: tuple[np.ndarray, ...]
) -> Iterator[dict[str, Any]]:
    """Return one row per column of values: its description, mean, low, high, n."""
    for column, mean, low, high, n in zip(columns, *means, strict=True):
        yield {**about, **column, "mean": float(mean), "low": float(low), "high": float(high), "n": int(n)}


def summary_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Table `overlap_summary`: images, split, mask, group, variant, mean, low, high, n, n_undefined.

    images: "both masks" (the headline) or "any mask". n counts the images behind the mean, n_undefined those
    left out because they have no heat, an empty mask or an unreadable mask.
    """
    means, variants = Means(values_of(scores)), [{"variant": variant} for variant in VARIANTS]
    groups, chosen_images = groups_of(scores), {"both masks": has_both(scores), "any mask": True}
    rows = []
    for images in IMAGES:
        for split in SPLITS:
            here = np.asarray((split == "all") | (scores["split"] == split)) & chosen_images[images]
            for mask in MASKS:
                for group in GROUPS:
                    chosen = here & (scores["mask"] == mask).to_numpy() & groups[group]
                    about = {"images": images, "split": split, "mask": mask, "group": group}
                    found = _rows(about, variants, means.of(chosen))
                    rows += [row | {"n_undefined": int(chosen.sum()) - row["n"]} for row in found]
    return pd.DataFrame(rows)


def overlap_by_class(scores: pd.DataFrame) -> pd.DataFrame:
    """Table `overlap_by_class`: label, mask, group, variant, mean, low, high, n.

    Over all images with that mask; classes and groups without images are left out.
    """
    variants, rows = [{"variant": variant} for variant in VARIANTS], []
    for about, block in rows_by_keys(scores, ["label", "mask"], sort=True):
        means = Means(values_of(block))
        for group, chosen in groups_of(block).items():
            if chosen.any():
                rows += _rows(about | {"group": group}, variants, means.of(chosen))
    columns = ["label", "mask", "group", "variant", "mean", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns)


def sweep_table(scores: pd.DataFrame, swept: np.ndarray, thresholds: Sequence[float]) -> pd.DataFrame:
    """Table `overlap_sweep`: mask, group, variant, threshold, mean, low, high, n; for images with both masks.

    Args:
        swept: (n_rows, 2, n_thresholds) `paper` and `binary` of each row of `scores`.
    """
    means, both = Means(swept.reshape(len(swept), len(SWEPT) * len(thresholds))), has_both(scores)
    columns = [{"variant": variant, "threshold": float(t)} for variant in SWEPT for t in thresholds]
    rows = []
    for mask in MASKS:
        for group, chosen in groups_of(scores).items():
            of_mask = (scores["mask"] == mask).to_numpy()
            rows += _rows({"mask": mask, "group": group}, columns, means.of(both & of_mask & chosen))
    return pd.DataFrame(rows)


def control_table(parts: Mapping[tuple[str, str], Sequence[np.ndarray]]) -> pd.DataFrame:
    """Table `overlap_controls`: control, mask, variant, mean, low, high, n.

    Args:
        parts: (control, mask) -> arrays (n_images, 4) of the variants.
    """
    columns = ["control", "mask", "variant", "mean", "low", "high", "n"]
    variants, rows = [{"variant": variant} for variant in VARIANTS], []
    for (control, mask), values in parts.items():
        found = mean_intervals(np.concatenate(values), within=SHARE)
        rows += _rows({"control": control, "mask": mask}, variants, found)
    return pd.DataFrame(rows, columns=columns)


def overlap_by_feature(
    pairs: pd.DataFrame, keywords: Mapping[tuple[int, str], Sequence[str]], config: OverlapConfig
) -> pd.DataFrame:
    """Table `overlap_by_feature`: means of each feature's own map over the images on which it fires.

    Columns: feature, mask, n (images behind the means), the four variants, lift with its interval
    (`heat_lift`), verdict (the same in the core and the spurious row; see `verdict`), keywords.

    Args:
        pairs: feature, mask, the four variants and mask_area; one row per feature, image and mask.
        keywords: of a feature and mask, if workers described them.
    """
    rows: list[dict[str, Any]] = []
    for about, block in rows_by_keys(pairs, ["feature"], sort=True):
        number = int(about["feature"])
        by_mask = {mask: block.loc[block["mask"] == mask] for mask in MASKS}
        lifts = {mask: _lift(part, config) for mask, part in by_mask.items()}
        found = mask_preference(lifts["core"], lifts["spurious"])
        rows += [
            _feature_row(number, mask, part, lifts[mask])
            | {"verdict": found, "keywords": ", ".join(keywords.get((number, mask), ()))}
            for mask, part in by_mask.items()
            if len(part)
        ]
    return pd.DataFrame(rows, columns=list(FEATURE_COLUMNS)).astype(FEATURE_COLUMNS)


def _lift(part: pd.DataFrame, config: OverlapConfig) -> Lift:
    energy, area = part["energy"].to_numpy(float), part["mask_area"].to_numpy(float)
    return heat_lift(energy, area, resamples=config.bootstrap, seed=config.seed)


def _feature_row(feature: int, mask: str, part: pd.DataFrame, lift: Lift) -> dict[str, Any]:
    means = values_of(part)
    means = safe_divide(np.nansum(means, axis=0), np.isfinite(means).sum(0))
    return {
        "feature": feature,
        "mask": mask,
        "n": lift.n,
        **dict(zip(VARIANTS, means.tolist(), strict=True)),
        "lift": lift.value,
        "lift_low": lift.low,
        "lift_high": lift.high,
    }


def overlap_headline(summary: pd.DataFrame) -> dict[str, Any]:
    """mIoU of images with both masks, all splits, variant `paper`: miou_core, miou_spurious, each also with
    _correct and _misclassified, each with _interval; None if no image has both masks.
    """
    chosen = (summary["images"] == "both masks") & (summary["split"] == "all")
    values: dict[str, Any] = {}
    for row in summary.loc[chosen & (summary["variant"] == "paper")].to_dict("records"):
        name = f"miou_{row['mask']}" + ("" if row["group"] == "all" else f"_{row['group']}")
        values[name] = _number(row["mean"])
        ends = [_number(row["low"]), _number(row["high"])]
        values[f"{name}_interval"] = None if None in ends else ends
    return values


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
