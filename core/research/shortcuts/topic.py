"""What the topic adds to the workbench. No torch."""

from core.topics import ImageSet, Topic

TOPIC = Topic(
    folder_charts="core.research.shortcuts.figures.charts:FOLDER_CHARTS",
    image_sets=(
        ImageSet("trifeature", "core.research.shortcuts.trifeature:Trifeature", bare=True),
        ImageSet("composite", "core.research.shortcuts.composite:CompositeSource", bare=True),
    ),
    contrastive_loss="core.research.shortcuts.training.harder:harder_loss",
    grids={
        "suppression": (
            "core.research.shortcuts.grids.suppression",
            "which easy features IFM keeps, by temperature",
        ),
        "hard": (
            "core.research.shortcuts.grids.hard",
            "which features harder negatives or temperatures trade",
        ),
        "ifm-variants": (
            "core.research.shortcuts.grids.ifm_variants",
            "IFM, +norm, +pre-norm and its loss alone",
        ),
        "composites": (
            "core.research.shortcuts.grids.composites",
            "object and digit in one image, with and without IFM",
        ),
    },
)
