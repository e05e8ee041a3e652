"""The step `overlap`: discriminative heatmaps against core and spurious masks (docs/method.md 5).

Images are streamed in batches and only a few numbers of each are kept, so memory does not grow with heatmaps.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.iou import SWEPT, Lift, heat_lift, mask_preference
from core.analysis.overlap_measuring import Measured, Measurer
from core.common.dataframes import safe_divide
from core.common.formatting import counted
from core.common.records import Record
from core.common.worker_group import stream_in_order
from core.config import OverlapConfig
from core.data.mask_source import say_of_geometry
from core.data.masks import KINDS, MaskSource
from core.measures import overlap as measures
from core.measures.design_effect import groups_among
from core.measures.image_columns import CONTROLS, MASKS, VARIANTS, control_column
from core.measures.overlap import Means, groups_of, has_both, mean_rows, values_of
from core.store import Study
from core.study.writer import StepRun, StepWriter

NO_MASKS = "no masks: give --masks DIR or --salient-imagenet DIR"
NO_HEATMAPS = "no heatmaps to compare with masks: {}"
NOT_HERE = "none of the images with a mask is in the study"
MOST_KEYWORDS = 6
FEATURE_COLUMNS = {"feature": "int32", "mask": "str", "n": "int64", **dict.fromkeys(VARIANTS, "float64")}


def compute_overlap(study: Study, step: StepWriter, config: OverlapConfig, run: StepRun) -> None:
    """Write the tables of the step `overlap`, of heatmaps with masks.

    `overlap` (one row per image and mask), `overlap_summary`, `overlap_by_class`, `overlap_sweep`,
    `overlap_by_feature`, `overlap_controls`, and the headline mIoU in the summary.

    Raises:
        MaskError: the masks cannot be listed. EncoderError: a map is not stored, and the encoder is missing.
    """
    measurer = Measurer(study, config, run.options, run.device)
    if why := study.why_skipped("heatmaps"):
        step.summary = {"skipped": NO_HEATMAPS.format(why)}
        return
    if measurer.masks is None:
        step.summary = {"skipped": NO_MASKS}
        return
    for note in measurer.masks.report["notes"]:
        run.progress.note(f"masks: {note}")
    if not len(measurer.rows):
        step.summary = {"skipped": NOT_HERE}
        return
    with run.progress.stage("overlap", total=len(measurer.rows), unit="images") as bar:
        parts: list[Measured] = []
        for part in stream_in_order(measurer.measure, measurer.batches()):
            parts.append(part)
            bar.update(len(part.area))
    step.summary = _write_overlap_tables(step, measurer, Measured.joined(parts))
    for note in step.summary["notes"]:
        run.progress.note(note)


def _write_overlap_tables(step: StepWriter, measurer: Measurer, measured: Measured) -> dict[str, Any]:
    """Write every table of the step `overlap` of heatmaps with masks, and return its summary."""
    study, masks, config = measurer.study, measurer.masks, measurer.config
    assert masks is not None
    image, number = np.nonzero(measurer.exists)  # image after image, core before spurious
    scores = _image_overlaps(measurer, measured, image, number)
    pairs = measured.pair_table()
    summary = measures.summary_table(scores, study.groups)
    step.table("overlap", scores)
    step.table("overlap_summary", summary)
    step.table("overlap_by_class", measures.overlap_by_class(scores, study.groups))
    step.table("overlap_sweep", sweep_table(scores, measured.swept[image, number], measurer.thresholds))
    keywords = feature_keywords(study, pairs, masks)
    step.table("overlap_by_feature", overlap_by_feature(pairs, keywords, config, study.groups))
    step.table("overlap_controls", measures.control_table(measured.controls))
    numbers = _counts(scores, measurer, measured)
    notes = [*_overlap_notes(numbers, scores), *_stretched_note(scores, measured.stretched[image, number])]
    about = {"masks": masks.describe(), "mask_report": masks.report, "notes": notes}
    return measures.overlap_headline(summary) | {"threshold": config.threshold} | numbers | about


def _image_overlaps(
    measurer: Measurer, measured: Measured, image: np.ndarray, number: np.ndarray
) -> pd.DataFrame:
    """Build the table `overlap`: the columns that `core.publish.export_files` promises, and the grouping
    columns of other tables.

    Args:
        image: (n_rows,) position among the masked images. number: 0 for core, 1 for spurious.
    """
    rows = measurer.rows[image]
    images = measurer.study.images.iloc[rows].reset_index(drop=True)
    values = dict(zip(VARIANTS, measured.scores[image, number].T, strict=True))
    controls = dict(zip(map(control_column, CONTROLS), measured.scale[image, number].T, strict=True))
    correct = _verdicts(measurer.study)[rows]
    fallback = measurer.heat.pairs.fallback[image]
    of_images = {
        "row": rows.astype(np.int32),
        "split": images["split"],
        "label": images["label"],
        "correct": correct,
        "fallback": fallback,
    }
    masks = pd.array(np.array(KINDS)[number], dtype="str")
    notes = pd.array(measured.notes[image, number], dtype="str")
    columns = {"image_id": images["image_id"], "mask": masks, **values, **of_images}
    columns |= {"mask_area": measured.area[image, number], "note": notes, **controls}
    return pd.DataFrame(columns)


def _verdicts(study: Study) -> Any:
    """(n_images,) nullable bool: correctness by the probe for the step `overlap`; missing without one."""
    if study.has("probe"):
        return study.table("probe", ["correct"])["correct"].astype("boolean").array
    return pd.array([pd.NA] * study.n_images, dtype="boolean")


def _counts(scores: pd.DataFrame, measurer: Measurer, measured: Measured) -> dict[str, int]:
    """Count the images and masks behind the overlap of heatmaps, and those left out."""
    both = np.unique(scores["row"].to_numpy()[measures.has_both(scores)])
    area, miou = (scores[name].to_numpy(float) for name in ("mask_area", "paper"))
    both_train = ~measurer.study.is_val[both]
    numbers = {"n_images": len(measurer.rows), "n_both": len(both), "n_both_train": int(both_train.sum())}
    numbers |= {"n_undefined": int(np.isnan(miou).sum()), "n_empty_masks": int((area == 0).sum())}
    numbers["n_unreadable"] = int(np.isnan(area).sum())
    numbers["n_stretched"] = int(measured.stretched.sum())
    numbers["n_fallback"] = int(measurer.heat.pairs.fallback.sum())
    numbers["n_computed"] = int(measurer.heat.unstored.sum())
    numbers["n_control_images"] = measured.n_controls
    return numbers


def _overlap_notes(numbers: Mapping[str, int], scores: pd.DataFrame) -> list[str]:
    """Return what a reader of the overlap of heatmaps with masks should know, one sentence each."""
    notes = []
    if n := numbers["n_unreadable"]:
        row = scores.loc[scores["mask_area"].isna()].iloc[0]
        notes.append(
            f"{counted(n, 'mask')} left out, as {'it' if n == 1 else 'they'} or the image cannot be read, "
            f"such as the {row['mask']} mask of '{row['image_id']}' ({row['note']})"
        )
    if not numbers["n_both_train"]:
        return notes
    return [
        *notes,
        f"{numbers['n_both_train']:,} of the {numbers['n_both']:,} images with both masks are train images, "
        "where an answer that was fitted to them is optimistic. Split 'val' leaves them out",
    ]


def _stretched_note(scores: pd.DataFrame, stretched: np.ndarray) -> list[Record]:
    """Say how many masks have other proportions than their pictures; (n_rows,) bool of `scores`."""
    if not stretched.any():
        return []
    first = scores.iloc[int(np.argmax(stretched))]
    n, of = int(stretched.sum()), len(stretched)
    return [say_of_geometry("stretched", n=n, of=of, what=first["image_id"], why=first["mask"])]


def feature_keywords(
    study: Study, pairs: pd.DataFrame, masks: MaskSource
) -> Mapping[tuple[int, str], Sequence[str]]:
    """For the step `overlap`: workers' words for masks (Salient ImageNet) on which features' heat lies.

    The encoder's features differ from the annotated ones: a feature gets the descriptions of those on whose
    images its heat lies on the mask, ordered by the share of heat summed over the images.
    """
    if masks.features is None or not len(pairs):
        return {}
    rows = study.image_index().get_indexer(pd.Index(masks.features["image_id"]))
    theirs = pd.DataFrame({"row": rows, "mask": masks.features["kind"].astype("str")})
    theirs["keywords"] = masks.features["keywords"].astype("str")
    ours = pairs.loc[pairs["energy"] > 0, ["feature", "mask", "row", "energy"]]
    met = ours.merge(theirs, on=["row", "mask"])
    weight = met.groupby(["feature", "mask", "keywords"])["energy"].sum().sort_values(ascending=False)
    keywords_of: dict[tuple[int, str], list[str]] = {}
    for (feature, mask, keywords), _ in weight.items():  # pyright: ignore[reportGeneralTypeIssues]
        words = keywords_of.setdefault((int(feature), str(mask)), [])
        words += [word for word in str(keywords).split("; ") if word and word not in words]
    return {key: words[:MOST_KEYWORDS] for key, words in keywords_of.items()}


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
    pairs: pd.DataFrame,
    keywords: Mapping[tuple[int, str], Sequence[str]],
    config: OverlapConfig,
    groups: np.ndarray | None = None,
) -> pd.DataFrame:
    """Table `overlap_by_feature`: means of each feature's own map over the images on which it fires.

    Columns: feature, mask, n (images behind the means), the four variants, lift with its interval
    (`heat_lift`), verdict (the same in the core and the spurious row; see `verdict`), keywords.

    Args:
        pairs: feature, mask, row, the four variants and mask_area; one row per feature, image and mask.
        groups: (n_images,) codes of patients, lesions or sequences, by which intervals are then drawn.
        keywords: of a feature and mask, if workers described them.
    """
    rows: list[dict[str, Any]] = []
    values, area = values_of(pairs), pairs["mask_area"].to_numpy(float)
    energy = pairs["energy"].to_numpy(float)
    of_pairs = None if groups is None else groups[pairs["row"].to_numpy()]
    of_mask = {mask: (pairs["mask"] == mask).to_numpy(bool) for mask in MASKS}
    features, starts = np.unique(np.sort(pairs["feature"].to_numpy()), return_index=True)
    blocks = np.split(np.argsort(pairs["feature"].to_numpy(), kind="stable"), starts[1:])
    for number, block in zip(features.tolist(), blocks, strict=False):
        by_mask = {mask: block[of_mask[mask][block]] for mask in MASKS}
        lifts = {}
        for mask, part in by_mask.items():
            among = groups_among(of_pairs, part)
            lifts[mask] = heat_lift(
                energy[part], area[part], resamples=config.bootstrap, seed=config.seed, groups=among
            )
        verdict = mask_preference(lifts["core"], lifts["spurious"])
        for mask, part in by_mask.items():
            if len(part):
                row = _feature_row(number, mask, values[part], lifts[mask])
                words = ", ".join(keywords.get((number, mask), ()))
                rows.append(row | {"verdict": verdict, "keywords": words})
    return pd.DataFrame(rows, columns=list(FEATURE_COLUMNS)).astype(FEATURE_COLUMNS)


def _feature_row(feature: int, mask: str, values: np.ndarray, lift: Lift) -> dict[str, Any]:
    values = np.asfortranarray(values)  # summed column by column, so that the last bit does not depend on it
    means = safe_divide(np.nansum(values, axis=0), np.isfinite(values).sum(0))
    row = {"feature": feature, "mask": mask, "n": lift.n}
    row |= dict(zip(VARIANTS, means.tolist(), strict=True))
    return row | {"lift": lift.value, "lift_low": lift.low, "lift_high": lift.high}
