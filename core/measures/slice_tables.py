"""Tables and arrays that a study stores of all its images, measured on those of a slice, by their names.

Each function reads what a measure needs of the study and of a mask, (n_images,) bool, and calls the measure
that the step calls.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from core.common.score_names import SCORES
from core.config import QualityConfig
from core.measures.causes import cause_rates_inside, causes_inside, decided_causes, decided_rates
from core.measures.confusions import confusions
from core.measures.design_effect import groups_among
from core.measures.evaluate import result_column, slice_columns
from core.measures.feature_rates import feature_numbers, group_means, top_images, vectors_of
from core.measures.image_columns import CONTROLS, MASKS, control_values, overlap_values
from core.measures.label_issues import label_issues
from core.measures.leaks import leaks_of_slice
from core.measures.overlap import control_table, overlap_by_class, overlap_scale, stored_name, summary_table
from core.measures.scores import resamples_of, score_aurocs, score_causes, score_curves, score_metrics
from core.study.label_decisions import with_decisions
from core.study.reader import StudyReader

CAUSE = "cause"  # column of the attributes that says what makes an image hard
NO_OUTCOME = "no image of the slice has a probe result"


def _judged_scores(
    study: StudyReader, mask: np.ndarray, scores: Sequence[str] | None = None
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The scores of the images of a mask with a probe result, their correctness (1, 0) and their rows."""
    correct, tables = result_column(study, "correct"), slice_columns(study)
    rows = np.flatnonzero(mask & np.isfinite(correct))
    names = [name for name in SCORES if tables.get(name) == "quality" and name in (scores or SCORES)]
    table = pd.DataFrame({name: result_column(study, name)[rows] for name in names}, index=range(len(rows)))
    return table, correct[rows], rows


def metrics_of_slice(
    study: StudyReader, mask: np.ndarray, scores: Sequence[str] | None = None
) -> pd.DataFrame:
    """Table `quality_metrics` of the images of a slice; scores: only these, whose rivals are among them."""
    table, correct, rows = _judged_scores(study, mask, scores)
    predicted = study.column("quality", "predicted").iloc[rows]
    settings = study.settings("quality")
    return score_metrics(
        table,
        correct,
        predicted,
        resamples=resamples_of(len(rows), settings.get("bootstrap", QualityConfig.bootstrap)),
        seed=settings.get("seed", QualityConfig.seed),
        why="" if len(rows) else NO_OUTCOME,
        groups=groups_among(study.groups, rows),
    )


def curves_of_slice(
    study: StudyReader, mask: np.ndarray, scores: Sequence[str] | None = None
) -> pd.DataFrame:
    """Table `quality_curves` of the images of a slice; scores: only these."""
    return score_curves(*_judged_scores(study, mask, scores)[:2])


def causes_of(study: StudyReader) -> np.ndarray | None:
    """(n_images,) what makes each image hard, if the images record it (Glyphworld)."""
    if not (study.has("attributes") and CAUSE in study.columns("attributes")):
        return None
    return study.table("attributes", [CAUSE])[CAUSE].to_numpy(dtype=object)


def causes_of_slice(study: StudyReader, mask: np.ndarray) -> pd.DataFrame:
    """Table `quality_by_cause`; empty where the images record no causes."""
    scores, correct, rows = _judged_scores(study, mask)
    causes = causes_of(study)
    if causes is None:
        scores, correct, causes = scores.iloc[:0], correct[:0], np.empty(study.n_images, object)
        rows = rows[:0]
    return score_causes(scores, correct, causes[rows], groups_among(study.groups, rows))


def _overlaps_of_slice(study: StudyReader, mask: np.ndarray) -> pd.DataFrame:
    """Table `overlap`: the rows of the images of the slice."""
    frame = study.table("overlap")
    return frame.loc[mask[frame["row"].to_numpy()]].reset_index(drop=True)


def _controls_of_slice(study: StudyReader, mask: np.ndarray) -> pd.DataFrame:
    """Table `overlap_controls`, over the images with both masks: variant `paper` of the controls that are
    stored for single images.
    """
    values, both = control_values(study), mask & overlap_values(study)[1].all(1)
    parts = {
        (stored_name(control, kind), kind): [values[both, at, number][:, None]]
        for at, kind in enumerate(MASKS)
        for number, control in enumerate(CONTROLS)
    }
    return control_table(parts, ("paper",))


def _means(study: StudyReader, mask: np.ndarray) -> dict[str, np.ndarray]:
    return vectors_of(group_means(study, mask))


def _top(study: StudyReader, mask: np.ndarray) -> dict[str, np.ndarray]:
    arrays = top_images(study.array("representations"), mask)
    return dict(zip(("top_images", "top_values"), arrays, strict=True))


Table = Callable[["StudyReader", np.ndarray], pd.DataFrame]
TABLES: dict[str, Table] = {
    "features": feature_numbers,
    "quality_metrics": metrics_of_slice,
    "quality_curves": curves_of_slice,
    "quality_by_cause": causes_of_slice,
    "overlap": _overlaps_of_slice,
    "overlap_summary": lambda study, mask: summary_table(_overlaps_of_slice(study, mask), study.groups),
    "overlap_by_class": lambda study, mask: overlap_by_class(_overlaps_of_slice(study, mask), study.groups),
    "overlap_controls": _controls_of_slice,
    "label_issues": label_issues,
    "causes": causes_inside,
    "cause_rates": cause_rates_inside,
}
AS_DECIDED: dict[str, Callable[["StudyReader", pd.DataFrame], pd.DataFrame]] = {
    "label_issues": with_decisions,
    "causes": decided_causes,
    "cause_rates": decided_rates,
}  # of a stored table: as it reads after what people decided on labels, which no step knows
QUICK: dict[str, Table] = {  # what no step stores: it is of one population only, and computed at once
    "score_aurocs": score_aurocs,
    "confusions": confusions,
    "overlap_scale": overlap_scale,
    "leaks": leaks_of_slice,
}
VECTORS: dict[str, Callable[[StudyReader, np.ndarray], dict[str, np.ndarray]]] = {
    **dict.fromkeys(("top_images", "top_values"), _top),
    **dict.fromkeys(
        (
            *("class_means_correct", "class_means_misclassified", "group_counts"),
            *("sparsity_curves", "sparsity_ranks"),
        ),
        _means,
    ),
}
OF_SCORES = {"quality_metrics": metrics_of_slice, "quality_curves": curves_of_slice}
OF_EVALUATION = {  # what the steps store of just the evaluation images with a probe result
    *("quality_metrics", "quality_curves", "quality_by_cause"),
    *(name for name, measure in VECTORS.items() if measure is _means),
}
NOT_OF_SLICES = (
    *("overlap_sweep", "overlap_by_feature", "probe_curves", "failure_pairs", "explained"),
    *("domain_probes", "domain_classes", "domain_twins", "domain_jaccard", "domain_features", "domain_map"),
    *("remedies", "remedy_classes"),
)
