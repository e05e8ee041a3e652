"""Which charts there are, as they are listed: a new chart is a file and a row of this table.

Those of research come from its topics.
"""

from collections.abc import Sequence
from typing import cast

from core.charts.chart import Chart
from core.topics import function_named, topics

WORKBENCH = (  # "module:chart"
    "core.charts.sorted_activation:SORTED_ACTIVATION",
    "core.charts.purity:PURITY",
    "core.charts.class_representations:CLASS_REPRESENTATIONS",
    "core.charts.q_distribution:Q_DISTRIBUTION",
    "core.charts.class_heatmaps:HEATMAPS",
    "core.charts.miou:MIOU",
    "core.charts.sparsity:SPARSITY",
    "core.charts.feature_heatmaps:FEATURE_HEATMAPS",
    "core.charts.q_against_miou:Q_AGAINST_MIOU",
    "core.charts.threshold_sweep:THRESHOLD_SWEEP",
    "core.charts.miou_scale:MIOU_SCALE",
    "core.charts.miou_by_class:MIOU_BY_CLASS",
    "core.charts.maps:MAP",
    "core.charts.errors_found:ERRORS_FOUND",
    "core.charts.score_curves:ROC",
    "core.charts.score_curves:PRECISION_RECALL",
    "core.charts.score_curves:FINDING_ERRORS",
    "core.charts.score_curves:RISK_COVERAGE",
    "core.charts.baselines:BASELINES",
    "core.charts.by_cause:BY_CAUSE",
    "core.charts.score_pair:SCORE_PAIR",
    "core.charts.worst_slices:WORST_SLICES",
    "core.charts.slice_differences:SLICE_DIFFERENCES",
    "core.charts.confusions:CONFUSIONS",
    "core.charts.error_causes:ERROR_CAUSES",
    "core.charts.remedies:REMEDIES",
    "core.charts.compared_scores:COMPARED_SCORES",
    "core.charts.compared_classes:COMPARED_CLASSES",
    "core.charts.changed_heatmaps:CHANGED_HEATMAPS",
    "core.charts.compared_words:COMPARED_WORDS",
    "core.charts.leaderboard:LEADERBOARD",
    "core.charts.checkpoints:CHECKPOINTS",
    "core.charts.checkpoints:CHECKPOINT_FEATURES",
)
GUESTS = tuple(row for topic in topics() for row in topic.charts)


def charts_of(rows: Sequence[str]) -> dict[str, Chart]:
    """Import the charts of some rows, by name."""
    charts = [cast(Chart, function_named(row)) for row in rows]
    return {chart.name: chart for chart in charts}


CHARTS = charts_of((*WORKBENCH, *GUESTS))
