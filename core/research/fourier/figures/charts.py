"""The charts of the topic that are of grids."""

from core.research.fourier.figures.augmentation_bars import augmentation_bars
from core.research.fourier.figures.fda_tables import fda_table, fda_transfer
from core.research.fourier.figures.view_matrix import dual_table, view_matrix
from core.research.grids.figures.grid_figures import grid_figure, of_measure, of_rows

FOLDER_CHARTS = (
    grid_figure(
        "fda_table",
        "methods without and with Fourier augmentations, or their place",
        "Kalibhat's dissertation, Tables 5.1, 5.4",
        ("fda-gain", "fda-order"),
        ("arm", "seed", "top1"),
        of_measure(fda_table),
        measure="top1",
    ),
    grid_figure(
        "fda_transfer",
        "few-shot and transfer accuracy without and with Fourier augmentations",
        "Kalibhat's dissertation, Table 5.2",
        ("fda-gain",),
        ("arm", "seed", "method", "fda", "few_shot_5"),
        of_rows(fda_transfer),
    ),
    grid_figure(
        "view_matrix",
        "accuracy by the pair of views",
        "Kalibhat's dissertation, Table 5.3",
        ("fda-views",),
        ("arm", "seed", "left", "right", "top1"),
        of_measure(view_matrix),
        measure="top1",
    ),
    grid_figure(
        "augmentation_bars",
        "augmentations added in turn, left out, and FDA as seventh",
        "Kalibhat's dissertation, Fig. 5.2",
        ("fda-augmentations",),
        ("arm", "seed", "method", "kind", "top1"),
        of_measure(augmentation_bars),
        measure="top1",
    ),
    grid_figure(
        "dual_table",
        "frequency images as right views, with an encoder of their own",
        "Kalibhat's dissertation, Table 5.5",
        ("fda-dual",),
        ("arm", "seed", "left", "right", "top1"),
        of_measure(dual_table),
        measure="top1",
    ),
)
