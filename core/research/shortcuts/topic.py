"""What the topic adds to the workbench. No torch."""

from core.topics import ImageSet, Topic

TOPIC = Topic(
    image_sets=(
        ImageSet("trifeature", "core.research.shortcuts.images.trifeature:Trifeature", bare=True),
        ImageSet("composite", "core.research.shortcuts.images.composite:CompositeSource", bare=True),
    ),
    contrastive_loss="core.research.shortcuts.training.harder:harder_loss",
)
