"""Which charts there are, as they are listed: a new chart is a file and a row of this table.

Those of research come from its topics.
"""

from collections.abc import Sequence
from typing import cast

from core.charts.chart import Chart
from core.common.topics import function_named, topics

WORKBENCH = (  # "module:chart"
    "core.charts.activation_rates:SORTED_ACTIVATION",
    "core.charts.activation_rates:PURITY",
    "core.charts.class_representations:CLASS_REPRESENTATIONS",
    "core.charts.q_distribution:Q_DISTRIBUTION",
    "core.charts.heatmap_sheets:HEATMAPS",
    "core.charts.miou:MIOU",
    "core.charts.sparsity:SPARSITY",
    "core.charts.heatmap_sheets:FEATURE_HEATMAPS",
    "core.charts.q_against_miou:Q_AGAINST_MIOU",
    "core.charts.miou:THRESHOLD_SWEEP",
    "core.charts.miou_scale:MIOU_SCALE",
    "core.charts.miou:MIOU_BY_CLASS",
    "core.charts.maps:MAP",
    "core.charts.errors_found:ERRORS_FOUND",
    "core.charts.score_curves:ROC",
    "core.charts.score_curves:PRECISION_RECALL",
    "core.charts.score_curves:FINDING_ERRORS",
    "core.charts.score_curves:RISK_COVERAGE",
    "core.charts.baselines:BASELINES",
    "core.charts.causes:BY_CAUSE",
    "core.charts.score_pair:SCORE_PAIR",
    "core.charts.slices:WORST_SLICES",
    "core.charts.slices:SLICE_DIFFERENCES",
    "core.charts.confusions:CONFUSIONS",
    "core.charts.causes:ERROR_CAUSES",
    "core.charts.remedies:REMEDIES",
    "core.charts.compared_studies:COMPARED_SCORES",
    "core.charts.compared_studies:COMPARED_CLASSES",
    "core.charts.heatmap_sheets:CHANGED_HEATMAPS",
    "core.charts.compared_studies:COMPARED_WORDS",
    "core.charts.leaderboard:LEADERBOARD",
    "core.charts.checkpoints:CHECKPOINTS",
    "core.charts.checkpoints:CHECKPOINT_FEATURES",
)
GUESTS = tuple(row for topic in topics() for row in topic.charts)


def charts_of(rows: Sequence[str]) -> dict[str, Chart]:
    """Import the charts of some rows of the catalogue, by name."""
    charts = [cast(Chart, function_named(row)) for row in rows]
    return {chart.name: chart for chart in charts}


CHARTS = charts_of((*WORKBENCH, *GUESTS))
