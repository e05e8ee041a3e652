"""A study narrowed to a slice: figures, reports and exports of it are of the images of the slice.

What is stored for single images is filtered, what is a number of many images is computed again by the
functions of its step, and what cannot be computed for a slice is missing, with the reason. D and the tails of
features are definitions on the train images and stay as they are, like the words of features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from core.common.arrays import safe_divide, unit_rows
from core.common.score_names import SCORES
from core.common.statistics.intervals import mean_intervals
from core.config import QualityConfig
from core.slices.evaluate import class_column, result_column
from core.slices.firing_counts import count_firing_images, has_firing
from core.slices.inspection.features import activation_moments
from core.slices.inspection.populations import images_of, with_split
from core.slices.inspection.scale import stored_name
from core.slices.overlap_values import CONTROLS, MASKS, control_values, overlap_values
from core.slices.slice import Slice
from core.steps import step_of
from core.storage.missing import Missing
from core.store import Study

WHOLE = "its numbers are of all images of the study, and there are none of a slice; leave out --where"
NOT_OF_SLICES = (
    *("overlap_sweep", "overlap_by_feature", "probe_curves", "failure_pairs", "explained"),
    *("domain_probes", "domain_classes", "domain_twins", "domain_jaccard", "domain_features", "domain_map"),
)
NO_SUMMARY = ("quality", "concepts", "failures")  # what their steps say is of the whole study
MEANS = (
    "class_means_correct",
    "class_means_misclassified",
    "group_counts",
    "sparsity_curves",
    "sparsity_ranks",
)
MOST_TOP = 64  # top images of a feature, as the step `features` stores


class SlicedStudy(Study):
    """A study whose numbers are of the images of a slice.

    Args:
        where: evaluation images unless it names a split (see `core.slices.inspection.population`).
    Raises:
        SliceError: the study lacks something that the slice names.
    """

    def __init__(self, study: Study, where: Slice):
        self.__dict__.update(study.__dict__)  # the same snapshot, and what it has read already
        self.whole, self.where = study, with_split(study, where)
        self.chosen = images_of(study, where)
        self.key = f"{study.key}#{self.where}"
        self._made: dict[str, Any] = {}

    @property
    def inside(self) -> np.ndarray:
        """(n_images,) bool: the images of the slice."""
        return images_of(self.whole, self.where) if self.chosen is None else self.chosen

    @property
    def n_chosen(self) -> int:
        return int(np.count_nonzero(self.inside))

    def has(self, item: str) -> bool:
        if item in NOT_OF_SLICES:
            return False
        if item == "overlap_controls":
            return super().has("overlap") and control_values(self.whole) is not None
        return super().has(item)

    def why_missing(self, item: str) -> Missing | None:
        """As for a whole study; an item that it holds and a slice cannot have is "whole"."""
        if self.has(item):
            return None
        found = self.whole.why_missing(item)
        return found or Missing(item, step_of(item) or "", "whole", WHOLE)

    def summary(self, step: str) -> dict[str, Any]:
        whole = super().summary(step)
        if not whole:
            return whole
        if step in NO_SUMMARY:
            return {"skipped": WHOLE}
        if step == "probe":
            return self._of_probe()
        return {name: value for name, value in whole.items() if not (step == "overlap" and name == "notes")}

    def _of_probe(self) -> dict[str, Any]:
        """Return top1 and top5 of the slice, None where undefined, and n_val, the images behind them."""
        found = {}
        for name, column in {"top1": "correct", "top5": "top5_correct"}.items():
            values = result_column(self.whole, column)[self.inside]
            values = values[np.isfinite(values)]
            found[name] = float(values.mean()) if len(values) else None
            found["n_val"] = max(len(values), found.get("n_val", 0))
        return found

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        if name not in TABLES:
            return super().table(name, columns)
        frame = self._once(name, lambda: TABLES[name](self))
        return frame[list(frame.columns) if columns is None else columns]

    def columns(self, name: str) -> list[str]:
        return list(self.table(name).columns) if name in TABLES else super().columns(name)

    def vector(self, name: str) -> np.ndarray:
        if name in ("top_images", "top_values"):
            return self._once("top", lambda: top_images(self.whole, self.inside))[name == "top_values"]
        if name not in MEANS:
            return super().vector(name)
        from core.analysis.quality.group_means import group_means

        return self._once("means", lambda: group_means(self.whole, self.inside))[name]

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


def sliced_features(study: SlicedStudy) -> pd.DataFrame:
    """Table `features` with mean, std, activation_rate, top_class and purity of the slice."""
    from core.analysis.features.definitions import class_purity

    whole = study.whole.table("features")
    found = activation_moments(study.whole, study.inside)
    labels = class_column(study.whole, "label")
    masks = [study.inside & (labels == number) for number in range(len(study.class_names))]
    rate, purity = np.full(len(whole), np.nan), np.full(len(whole), np.nan)
    top_class = np.full(len(whole), -1)
    if has_firing(study.whole):
        counts = count_firing_images(study.whole, [study.inside, *masks])
        rate = 100.0 * safe_divide(counts[0], study.n_chosen)
        purity, top_class = class_purity(counts[1:].T)
    names = np.array([*study.class_names, None], object)
    return whole.assign(
        mean=found.mean if found.n else np.nan,
        std=found.std,
        activation_rate=rate,
        top_class=pd.array(names[top_class], dtype="str"),
        purity=purity,
    )


def top_images(study: Study, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the images of a mask on which each feature is largest, best first, and the values of h.

    Returns:
        (n_features, 64) int64, -1 where the mask holds fewer images, and float64, NaN there.
    """
    array = study.array("representations")
    rows = np.full((0, array.shape[1]), -1)
    values = np.empty((0, array.shape[1]))
    for number in range(array.n_chunks):
        start = array.chunk_start(number)
        inside = np.flatnonzero(mask[start : array.chunk_start(number + 1)])
        if not len(inside):
            continue
        h = unit_rows(array.chunk(number)[inside])
        values = np.concatenate([values, h])
        rows = np.concatenate([rows, np.broadcast_to((start + inside)[:, None], h.shape)])
        order = np.argsort(-values, axis=0, kind="stable")[:MOST_TOP]  # ties in the order of the images
        rows, values = (np.take_along_axis(part, order, axis=0) for part in (rows, values))
    missing = ((0, MOST_TOP - len(rows)), (0, 0))
    return np.pad(rows, missing, constant_values=-1).T, np.pad(values, missing, constant_values=np.nan).T


def judged_scores(study: SlicedStudy) -> tuple[pd.DataFrame, pd.Series, np.ndarray]:
    """Return scores and correctness of the images of the slice with a probe result, and their rows."""
    table = study.whole.table("quality")
    rows = np.flatnonzero(study.inside & np.isfinite(result_column(study.whole, "correct")))
    scores = [name for name in SCORES if name in table.columns]
    return table[scores].iloc[rows], table["correct"].iloc[rows], rows


def quality_config(study: Study) -> QualityConfig:
    known = QualityConfig.__dataclass_fields__
    return QualityConfig(**{name: v for name, v in study.settings("quality").items() if name in known})


def sliced_metrics(study: SlicedStudy) -> pd.DataFrame:
    """Table `quality_metrics` of the slice."""
    from core.analysis.quality.rival import with_rivals
    from core.analysis.quality.step import rate_scores
    from core.analysis.quality.within_predicted import auroc_within_predicted

    scores, correct, rows = judged_scores(study)
    why = "" if len(rows) else "no image of the slice has a probe result"
    found = rate_scores(scores, correct, quality_config(study.whole), why=why)
    predicted = study.whole.table("quality", ["predicted"])["predicted"].iloc[rows]
    found = auroc_within_predicted(found, scores, correct, predicted)
    return with_rivals(found, scores, correct.to_numpy(dtype=float))


def sliced_curves(study: SlicedStudy) -> pd.DataFrame:
    """Table `quality_curves` of the slice."""
    from core.analysis.quality.step import score_curves

    return score_curves(*judged_scores(study)[:2])


def sliced_causes(study: SlicedStudy) -> pd.DataFrame:
    """Table `quality_by_cause` of the slice."""
    from core.analysis.quality.step import cause_table, causes_of

    scores, correct, rows = judged_scores(study)
    causes = causes_of(study.whole)
    causes = np.full(study.n_images, "", object) if causes is None else causes
    return cause_table(scores, correct, causes[rows])


def sliced_overlap(study: SlicedStudy) -> pd.DataFrame:
    """Table `overlap`: the rows of the images of the slice."""
    frame = study.whole.table("overlap")
    return frame.loc[study.inside[frame["row"].to_numpy()]].reset_index(drop=True)


def sliced_overlap_summary(study: SlicedStudy) -> pd.DataFrame:
    """Table `overlap_summary` of the slice."""
    from core.analysis.overlap.tables import summary_table

    return summary_table(study.table("overlap"))


def sliced_overlap_by_class(study: SlicedStudy) -> pd.DataFrame:
    """Table `overlap_by_class` of the slice."""
    from core.analysis.overlap.tables import overlap_by_class

    return overlap_by_class(study.table("overlap"))


def sliced_controls(study: SlicedStudy) -> pd.DataFrame:
    """Table `overlap_controls` of the slice, over the images with both masks: variant `paper` of the controls
    that are stored for single images.
    """
    values = control_values(study.whole)
    both = study.inside & overlap_values(study.whole)[1].all(1)
    rows: list[dict[str, Any]] = []
    for at, mask in enumerate(MASKS):
        for place, control in enumerate(CONTROLS):
            mine = np.empty((0, 1)) if values is None else values[both, at, place][:, None]
            found = mean_intervals(mine, within=(0.0, 1.0))
            mean, low, high, n = (part[0] for part in found)
            about = {"control": stored_name(control, mask), "mask": mask, "variant": "paper"}
            rows.append(about | {"mean": mean, "low": low, "high": high, "n": n})
    return pd.DataFrame(rows)


TABLES: dict[str, Callable[[SlicedStudy], pd.DataFrame]] = {
    "features": sliced_features,
    "quality_metrics": sliced_metrics,
    "quality_curves": sliced_curves,
    "quality_by_cause": sliced_causes,
    "overlap": sliced_overlap,
    "overlap_summary": sliced_overlap_summary,
    "overlap_by_class": sliced_overlap_by_class,
    "overlap_controls": sliced_controls,
}
