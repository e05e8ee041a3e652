"""The tables of the step `overlap` that no slice has: the sweep of thresholds, and means by feature.

`scores` is always the table `overlap`: one row per image and mask.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.overlap.iou import SWEPT, Lift, heat_lift, mask_preference
from core.common.arrays import safe_divide
from core.config import OverlapConfig
from core.measures.overlap import Means, groups_of, has_both, mean_rows, rows_by_keys, values_of
from core.slices.overlap_values import MASKS, VARIANTS

FEATURE_COLUMNS = {"feature": "int32", "mask": "str", "n": "int64", **dict.fromkeys(VARIANTS, "float64")}
FEATURE_COLUMNS |= dict.fromkeys(("lift", "lift_low", "lift_high"), "float64")
FEATURE_COLUMNS |= {"verdict": "str", "keywords": "str"}


def sweep_table(scores: pd.DataFrame, swept: np.ndarray, thresholds: Sequence[float]) -> pd.DataFrame:
    """Table `overlap_sweep`: mask, group, variant, threshold, mean, low, high, n; for images with both masks.

    Args:
        swept: (n_rows, 2, n_thresholds) `paper` and `binary` of each row of `scores`.
    """
    means, both = Means(swept.reshape(len(swept), len(SWEPT) * len(thresholds))), has_both(scores)
    columns = [{"variant": variant, "threshold": float(t)} for variant in SWEPT for t in thresholds]
    rows = []
    for mask in MASKS:
        for group, in_group in groups_of(scores).items():
            of_mask = (scores["mask"] == mask).to_numpy()
            rows += mean_rows({"mask": mask, "group": group}, columns, means.of(both & of_mask & in_group))
    return pd.DataFrame(rows)


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
        verdict = mask_preference(lifts["core"], lifts["spurious"])
        rows += [
            _feature_row(number, mask, part, lifts[mask])
            | {"verdict": verdict, "keywords": ", ".join(keywords.get((number, mask), ()))}
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
