"""What the topic adds to the workbench: figures of Kalibhat 2024 that no page shows. No torch."""

from core.common.topics import Topic

TOPIC = Topic(
    charts=(
        "core.research.published_figures_sheets:MASK_OVERLAP",
        "core.research.published_figures_sheets:TRANSFERRED_FEATURES",
        "core.research.published_figures_kept_features:KEPT_FEATURES",
        "core.research.published_figures_sheets:DIRECTIONS",
    ),
    options={"probe --curves": "core.research.published_figures_sparsity_curves:write_curves"},
)
