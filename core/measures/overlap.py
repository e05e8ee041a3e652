"""Overlap of heatmaps with masks: means with intervals, their scale, and what it says."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from core.common.dataframes import numbers
from core.common.records import Record, Templates
from core.measures.design_effect import groups_among
from core.measures.evaluate import result_column
from core.measures.headline import NO_IMAGES
from core.measures.image_columns import CONTROLS, MASKS, VARIANTS, control_values, overlap_values
from core.measures.intervals import mean_interval, mean_intervals
from core.study.reader import StudyReader

# Overlap of heatmaps with masks: means over images with intervals, by group and by class.
#
# `scores` is always the table `overlap`: one row per image and mask.


_say = Templates.beside(__file__)
GROUPS = ("all", "correct", "misclassified")
SPLITS = ("all", "train", "val")
IMAGES = ("both masks", "any mask")
SHARE = 0.0, 1.0  # what an overlap can be


def groups_of(scores: pd.DataFrame) -> dict[str, np.ndarray]:
    """Rows of the overlap table of all, correct and misclassified images, (n_rows,) bool each."""
    correct = scores["correct"].astype("boolean")
    is_correct = correct.fillna(False).to_numpy(bool)
    is_misclassified = (~correct).fillna(False).to_numpy(bool)
    return {"all": np.ones(len(scores), bool), "correct": is_correct, "misclassified": is_misclassified}


def has_both(scores: pd.DataFrame) -> np.ndarray:
    """(n_rows,) bool: overlaps of images with both masks, core and spurious, neither black in the view."""
    seen = scores["mask_area"] > 0
    kinds = scores["row"].where(seen).map(scores.loc[seen].groupby("row")["mask"].nunique())
    return (kinds == len(MASKS)).to_numpy(bool)


def values_of(scores: pd.DataFrame) -> np.ndarray:
    """(n_rows, 4) float64: the overlaps with masks of which means are taken, a column a variant."""
    return scores[list(VARIANTS)].to_numpy(float)


def _rows_by_keys(
    frame: pd.DataFrame, keys: list[str], *, sort: bool
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield the rows of an overlap table for each combination of `keys` that occurs, with it."""
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
            selected_groups = groups_among(self.groups, selected)
            self._known[key] = mean_intervals(self.values[selected], within=SHARE, groups=selected_groups)
        return self._known[key]


def mean_rows(
    about: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], means: tuple[np.ndarray, ...]
) -> Iterator[dict[str, Any]]:
    """Return statistics of the overlap with masks, a row a variant: description, mean, low, high, n."""
    for column, mean, low, high, n in zip(columns, *means, strict=True):
        yield {**about, **column, "mean": float(mean), "low": float(low), "high": float(high), "n": int(n)}


def summary_table(scores: pd.DataFrame, units: np.ndarray | None = None) -> pd.DataFrame:
    """Mean and interval of overlaps with masks over the images of each split, mask and group.

    Table `overlap_summary`: images, split, mask, group, variant, mean, low, high, n, n_undefined.

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
    """Average the overlap of heatmaps with masks over the images of each class.

    Table `overlap_by_class`: label, mask, group, variant, mean, low, high, n.

    Over all images with that mask; classes and groups without images are left out.
    """
    variants, rows = [{"variant": variant} for variant in VARIANTS], []
    for about, block in _rows_by_keys(scores, ["label", "mask"], sort=True):
        means = Means(values_of(block), groups_among(units, block["row"].to_numpy()))
        for group, in_group in groups_of(block).items():
            if in_group.any():
                rows += mean_rows(about | {"group": group}, variants, means.of(in_group))
    columns = ["label", "mask", "group", "variant", "mean", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns)


def control_table(
    parts: Mapping[tuple[str, str], Sequence[np.ndarray]], variants: Sequence[str] = VARIANTS
) -> pd.DataFrame:
    """Tabulate the mean overlap of control heatmaps, such as a uniform one, with masks.

    Table `overlap_controls`: control, mask, variant, mean, low, high, n.

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
    """Return the mIoU of heatmaps with core and with spurious masks.

    mIoU of images with both masks, all splits, variant `paper`: miou_core, miou_spurious, each also with
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


# mIoU of a slice on a scale: the encoder's heatmaps beside control heatmaps of known overlap.
#
# Controls: noise, a uniform heatmap, a blob in the centre, and the ceiling, which is the mask itself at the
# resolution of the encoder's maps. Variant `paper` of docs/method.md 5.


ENCODER, VARIANT, UNIFORM = "encoder", "paper", "uniform"
BOTH, ANY = "both masks", "any mask"
NO_HEAT = "no image of the slice has a heatmap with heat"
NO_OVERLAP = "heatmaps have not been compared with masks"
COLUMNS = ["mask", "heatmap", "value", "low", "high", "n", "images", "reason"]


def stored_name(control: str, mask: str) -> str:
    """Return the name in the table `overlap_controls` of a control that a mean overlap is compared with."""
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
        groups_inside = groups_among(study.groups, inside)
        rows.append(_row(kind, ENCODER, values[inside, at], images, reason, groups_inside))
        for number, name in enumerate(CONTROLS):
            rows.append(_row(kind, name, controls[inside, at, number], images, reason, groups_inside))
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
    return "" if masked.any() else _say("no_mask", what=kind)


# Object preference: how much more of the heat lies on the object than a uniform heatmap would lay there.


class ObjectPreference(NamedTuple):
    """A mean in [-1, 1] with its interval; 0 for a uniform heatmap, NaN where it is not defined."""

    value: float
    low: float
    high: float
    n: int


def object_preference(study: StudyReader, mask: np.ndarray) -> ObjectPreference:
    """Measure how far heatmaps of a slice prefer the object to the background, by core masks.

    Mean of E_i - A_i over images i (docs/method.md 5.1).

    E_i is the share of the heatmap's heat within the core mask (variant `energy`), A_i the share of the input
    view that the mask takes. Student's interval; undefined without images that have heat and a core mask.

    Args:
        mask: (n_images,) bool.
    """
    if not study.has("overlap"):
        return ObjectPreference(np.nan, np.nan, np.nan, 0)
    table = study.table("overlap", ["row", "mask", "energy", "mask_area"])
    mine = table.loc[(table["mask"] == "core").to_numpy(bool) & mask[table["row"].to_numpy()]]
    apart = numbers(mine, "energy") - numbers(mine, "mask_area")
    groups = groups_among(study.groups, mine["row"].to_numpy())
    return ObjectPreference(*mean_interval(apart, within=(-1.0, 1.0), groups=groups))


def measured_images(study: StudyReader, mask: np.ndarray, variant: str) -> Record:
    """State how many images of a slice an overlap is measured on, by each mask, and why others are left out.

    Args:
        mask: (n_images,) bool. variant: a column of table `overlap`, NaN where it is undefined.
    """
    table = study.table("overlap")
    table = table.loc[mask[table["row"].to_numpy()]]
    notes = table["note"] if "note" in table else pd.Series(str(_say("no_overlap")), index=table.index)
    n_images, parts = int(np.count_nonzero(mask)), []
    for kind in (one for one in MASKS if one in set(table["mask"])):
        of_kind = table.loc[(table["mask"] == kind).to_numpy(bool)]
        is_measured = np.isfinite(numbers(of_kind, variant))
        reasons = notes.loc[of_kind.index[~is_measured]].value_counts().to_dict()
        if n_without := n_images - len(of_kind):
            reasons[str(_say("no_row"))] = n_without
        left_out = tuple(_say("left_out", n=int(n), why=str(why)) for why, n in reasons.items())
        template, n = "by_mask_without" if left_out else "by_mask", int(is_measured.sum())
        parts.append(_say(template, n=n, of=n_images, what=kind, parts=left_out))
    return _say("measured", parts=tuple(parts)) if parts else _say("no_row")


# State in one sentence what the scale of mIoU says: heatmaps on the object, or on the background.


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
    """Say in one sentence what a slice's overlap of heatmaps with masks means, on the scale of controls.

    The encoder's interval is compared with the uniform heatmap on either mask: above where all of it lies
    above, below where all of it lies below, else even. Where heatmaps prefer the object, they are compared
    with a blob in the centre in the same way.

    Args:
        scale: see `overlap_scale`.
    """
    by_mask = {mask: scale.loc[scale["mask"] == mask] for mask in MASKS}
    defined = {mask: part for mask, part in by_mask.items() if np.isfinite(_encoder(part, "value"))}
    if not defined:
        return _say("not_known", why=_reason(scale))
    if any(np.isnan(_encoder(part, "low")) for part in defined.values()):
        return TOO_FEW
    sides = {mask: _relation(part, "uniform") for mask, part in defined.items()}
    if not all(sides.values()):
        return _say("no_controls")
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
