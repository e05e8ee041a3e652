"""What the topic adds to the workbench: figures of Kalibhat 2024 that no page shows. No torch."""

from core.topics import Topic

TOPIC = Topic(
    charts=(
        "core.research.published_figures.figures.mask_overlap:MASK_OVERLAP",
        "core.research.published_figures.figures.transferred_features:TRANSFERRED_FEATURES",
        "core.research.published_figures.figures.kept_features:KEPT_FEATURES",
        "core.research.published_figures.figures.directions:DIRECTIONS",
    ),
    options={"probe --curves": "core.research.published_figures.figures.sparsity_curves:write_curves"},
)
