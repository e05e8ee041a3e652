"""The figures of the workbench: what each shows, its number in [Q], and the items that it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from core.charts import inspected_charts as inspected
from core.charts import study_charts as charts
from core.charts import study_comparison as compared
from core.charts import study_panels as panels
from core.charts.options import FigureOptions
from core.charts.theme import Theme

if TYPE_CHECKING:
    from core.store import Study


@dataclass(frozen=True)
class Entry:
    """A figure of the catalogue.

    Attributes:
        source: its place in [Q], in another paper with that one's letter, or "".
        needs: items of the study, each with the step that makes it.
        studies: minimum and maximum number. column: its width in print, single or double.
        same_images: it compares single images of the studies, so a slice of the first one chooses them all.
    """

    name: str
    title: str
    source: str
    needs: tuple[tuple[str, str], ...]
    draw: Callable[[Sequence[Study], FigureOptions, Theme], go.Figure]
    studies: tuple[int, int] = (1, 1)
    column: str = "single"
    same_images: bool = False


MANY = 8
FEATURES, QUALITY = ("features", "features"), ("quality", "quality")
JUDGED = (QUALITY, ("quality_metrics", "quality"), ("quality_curves", "quality"))
CAUSES = ("quality_by_cause", "quality")
VERDICTS, HEATMAPS = ("probe", "probe"), ("heatmap_maps", "heatmaps")
IMAGES = ("images", "embed")
MEANS, CURVE = ("class_means_correct", "quality"), ("sparsity_curves", "quality")
OVERLAP, MIOU = ("overlap", "overlap"), ("overlap_summary", "overlap")
SWEEP, BY_CLASS = ("overlap_sweep", "overlap"), ("overlap_by_class", "overlap")
ENTRIES = (
    Entry(
        "sorted_activation",
        "activation rate of every feature",
        "Fig. 1",
        (FEATURES,),
        charts.sorted_activation,
    ),
    Entry("purity", "class purity against activation rate", "", (FEATURES,), charts.purity),
    Entry(
        "class_representations",
        "average representations of correct and misclassified images",
        "Fig. 3",
        (FEATURES, VERDICTS, MEANS),
        charts.class_representations,
        column="double",
    ),
    Entry(
        "q_distribution",
        "Q (--score) by correctness; --with: several studies",
        "Fig. 4",
        (QUALITY,),
        charts.q_distribution,
        (1, MANY),
    ),
    Entry(
        "heatmaps",
        "heatmaps of correct and misclassified images; --with: before and after",
        "Fig. 5",
        (VERDICTS, HEATMAPS),
        panels.class_heatmaps,
        (1, 4),
        "double",
    ),
    Entry(
        "mask_overlap",
        "image, heatmap, mask and their overlap",
        "Fig. 6",
        (HEATMAPS, OVERLAP),
        panels.mask_overlaps,
        column="double",
    ),
    Entry(
        "miou",
        "mIoU with both masks by correctness; --with: several studies",
        "Fig. 7",
        (MIOU,),
        charts.miou,
        (1, MANY),
    ),
    Entry("sparsity", "sorted activations by correctness", "A.1", (VERDICTS, CURVE), charts.sparsity),
    Entry(
        "kept_features",
        "probe accuracy against the share of features removed; --with: several studies",
        "Figs 2, A.5, A.7",
        (VERDICTS, ("probe_curves", "probe")),
        charts.kept_features,
        (1, MANY),
        "double",
    ),
    Entry(
        "transferred_features",
        "features chosen here, on another image set (--with)",
        "A.2",
        (FEATURES,),
        panels.transferred_features,
        (2, 2),
        "double",
    ),
    Entry(
        "feature_heatmaps",
        "top images of features with their heatmaps",
        "A.10",
        (FEATURES, HEATMAPS),
        panels.feature_heatmaps,
        column="double",
    ),
    Entry(
        "directions",
        "top, lowly activating, random feature and PCA on one class",
        "A.11 to A.14",
        (FEATURES, VERDICTS),
        panels.directions,
        column="double",
    ),
    Entry(
        "q_against_miou",
        "Q (--score) of each image against its overlap",
        "",
        (QUALITY, OVERLAP),
        charts.q_against_miou,
        column="double",
    ),
    Entry("threshold_sweep", "mIoU against the heatmap's threshold", "", (SWEEP,), charts.threshold_sweep),
    Entry(
        "miou_scale",
        "mIoU of the heatmaps between control heatmaps",
        "",
        (OVERLAP,),
        inspected.control_scale,
        column="double",
    ),
    Entry("miou_by_class", "mIoU of each class (--mask)", "", (BY_CLASS,), charts.miou_by_class),
    Entry(
        "map",
        "every image on the map, by class, --features J or --score",
        "",
        (("map_pca", "map"),),
        charts.representation_map,
    ),
    Entry("roc", "ROC of Q (--score)", "", JUDGED, charts.roc),
    Entry("precision_recall", "precision and recall of correct images", "", JUDGED, charts.precision_recall),
    Entry("finding_errors", "precision and recall of errors", "", JUDGED, charts.finding_errors),
    Entry("risk_coverage", "errors among the images kept", "", JUDGED, charts.risk_coverage),
    Entry("rivals", "every score with its interval", "", JUDGED, charts.score_ranking),
    Entry(
        "by_cause",
        "for which cause of failure a score works",
        "",
        (CAUSES,),
        charts.by_cause,
        column="double",
    ),
    Entry("score_pair", "share of errors by two scores at once", "", (QUALITY, VERDICTS), charts.score_pair),
    Entry("worst_slices", "error rates of the worst slices", "", (VERDICTS,), inspected.slice_errors),
    Entry(
        "slice_differences",
        "what a slice has more often than the others (--versus)",
        "",
        (FEATURES,),
        inspected.slice_differences,
        column="double",
    ),
    Entry("confusions", "classes taken for each other", "", (VERDICTS,), inspected.confused_pairs),
    Entry(
        "compared_scores",
        "Q (--score) by correctness in each study, on the images of all; --with",
        "",
        (QUALITY,),
        compared.compared_scores,
        (2, MANY),
        same_images=True,
    ),
    Entry(
        "compared_classes",
        "accuracy of each class in two studies, and its change; --with",
        "",
        (VERDICTS,),
        compared.compared_classes,
        (2, MANY),
        "double",
        same_images=True,
    ),
    Entry(
        "changed_heatmaps",
        "images that only one of two studies classifies correctly, with the heatmaps of both; --with",
        "",
        (VERDICTS, HEATMAPS),
        panels.changed_heatmaps,
        (2, 2),
        "double",
        same_images=True,
    ),
    Entry(
        "compared_words",
        "how many words each pair of studies shares; --with",
        "",
        (("concepts", "concepts"),),
        compared.compared_words,
        (2, MANY),
        same_images=True,
    ),
)
