"""The charts of the topic."""

from __future__ import annotations

from core.figures.entries import MANY, Entry
from core.research.changed_inputs.figures import perturbed_sheet, robust_bars

CHARTS = (
    Entry(
        "perturbed_sheet",
        "images nearest to embeddings moved as IFM moves them",
        "",
        (("perturbed_neighbours", "perturbed"),),
        perturbed_sheet,
        column="double",
    ),
    Entry(
        "robust_bars",
        "accuracy of probes trained on robust and non-robust features; --with: several studies",
        "",
        (("robust_features", "robust-features"),),
        robust_bars,
        (1, MANY),
    ),
)
