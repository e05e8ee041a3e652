"""The charts of the topic: of a study whose domains were tested, and of grids."""

from __future__ import annotations

from core.figures.entries import Entry
from core.research.domains.figures.domain_grids import ddm_bars, ddm_table
from core.research.domains.figures.study_domains import ddm_features, ddm_map
from core.research.grids.figures.grid_figures import GridFigure

DOMAINS = ("domains", "domains")
CHARTS = (
    Entry(
        "ddm_features",
        "features of a class in each domain",
        "[K] Fig. 2.3",
        (DOMAINS, ("domain_jaccard", "domains")),
        ddm_features,
        column="double",
    ),
    Entry(
        "ddm_map",
        "prefix, rest and all features on maps, by domain and class (--projection)",
        "[K] Figs 2.4, 2.5",
        (DOMAINS, ("domain_map", "domains")),
        ddm_map,
        column="double",
    ),
)
FOLDER_CHARTS = tuple(
    figure.chart()
    for figure in (
        GridFigure(
            "ddm_table",
            "accuracy in each domain, baseline and disentangled, with the verdict",
            "[K] Table 2.1",
            ("domains", "tinted"),
            ("arm", "seed", "domains"),
            ddm_table,
        ),
        GridFigure(
            "ddm_bars",
            "accuracy in each domain by arm",
            "[K] Fig. 2.2",
            ("domains",),
            ("arm", "seed", "domains", "unseen_own_all"),
            ddm_bars,
        ),
    )
)
