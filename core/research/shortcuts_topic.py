"""What the topic adds to the workbench. No torch."""

from core.common.topics import ImageSet, Topic

TOPIC = Topic(
    image_sets=(
        ImageSet("trifeature", "core.research.shortcuts_trifeature:Trifeature", bare=True),
        ImageSet("composite", "core.research.shortcuts_composite:CompositeSource", bare=True),
    ),
    contrastive_loss="core.research.shortcuts_harder:harder_loss",
)
