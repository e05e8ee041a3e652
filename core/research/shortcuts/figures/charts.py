"""The charts of the topic: of grids."""

from core.research.grids.figures.grid_figures import grid_figure, of_rows
from core.research.shortcuts.figures import grid_bars

READ = ("arm", "seed", "temperature", "ifm_epsilon", "hard_beta", "held_out_loss", "mean")
FOLDER_CHARTS = (
    grid_figure(
        "suppression",
        "readouts with and without IFM, by temperature",
        "Robinson 2021, Figs 6, 14",
        ("suppression", "composites"),
        READ,
        of_rows(grid_bars.suppression_figure),
    ),
    grid_figure(
        "tradeoff",
        "readout of each factor against temperature and hardness",
        "Robinson 2021, Figs 3, 13",
        ("hard", "suppression", "composites"),
        READ,
        of_rows(grid_bars.tradeoff_figure),
    ),
    grid_figure(
        "loss_readout",
        "correlation of the held-out loss and readout errors",
        "Robinson 2021, Fig. 2",
        ("hard", "suppression"),
        READ,
        of_rows(grid_bars.loss_readout_figure),
    ),
    grid_figure(
        "ifm_table3",
        "readouts of IFM and its variants",
        "Robinson 2021, Table 3",
        ("ifm-variants",),
        READ,
        of_rows(grid_bars.variants_figure),
    ),
)
