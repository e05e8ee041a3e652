"""The charts of the topic that are of grids."""

from core.research.domains.figures.domain_grids import ddm_bars, ddm_table
from core.research.grids.figures.grid_figures import GridFigure

FOLDER_CHARTS = tuple(
    figure.chart()
    for figure in (
        GridFigure(
            "ddm_table",
            "accuracy in each domain, baseline and disentangled, with the verdict",
            "Kalibhat's dissertation, Table 2.1",
            ("domains", "tinted"),
            ("arm", "seed", "domains"),
            ddm_table,
        ),
        GridFigure(
            "ddm_bars",
            "accuracy in each domain by arm",
            "Kalibhat's dissertation, Fig. 2.2",
            ("domains",),
            ("arm", "seed", "domains", "unseen_own_all"),
            ddm_bars,
        ),
    )
)
