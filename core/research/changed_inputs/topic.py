"""What the topic adds to the workbench. No torch."""

from core.topics import Topic

TOPIC = Topic(
    items={
        "perturbed": ("head_vectors", "head_views", "perturbed", "perturbed_neighbours"),
        "robust-features": ("robust_features",),
    },
    commands=(
        "core.research.changed_inputs.commands:add_perturbed",
        "core.research.changed_inputs.commands:add_robust_features",
    ),
    charts=(
        "core.research.changed_inputs.figures:PERTURBED_SHEET",
        "core.research.changed_inputs.figures:ROBUST_BARS",
    ),
)
