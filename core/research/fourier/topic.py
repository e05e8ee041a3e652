"""What the topic adds to the workbench. No torch."""

from core.topics import Topic

TOPIC = Topic(
    charts=(
        "core.research.fourier.figures.fda_examples:FDA_EXAMPLES",
        "core.research.fourier.figures.fda_examples:RETRIEVAL_SHEET",
    ),
    folder_charts="core.research.fourier.figures.charts:FOLDER_CHARTS",
    previews="core.research.fourier.previews:PREVIEWS",
    options={
        "train [augment] view": "core.research.fourier.training.views:render_view",
        "train [objective] dual": "core.research.fourier.training.dual:DualEncoder",
    },
    grids={
        "fda-gain": ("core.research.fourier.grids.gain", "what Fourier augmentations add to each method"),
        "fda-views": (
            "core.research.fourier.grids.views:MATRIX",
            "pairs of views: plain, augmented, Fourier, both",
        ),
        "fda-order": (
            "core.research.fourier.grids.augmentations:ORDER",
            "Fourier augmentations first or last",
        ),
        "fda-augmentations": (
            "core.research.fourier.grids.augmentations:STUDY",
            "augmentations added and left out",
        ),
        "fda-dual": (
            "core.research.fourier.grids.views:DUAL",
            "frequency images, with an encoder of their own",
        ),
    },
)
