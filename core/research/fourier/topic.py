"""What the topic adds to the workbench. No torch."""

from core.topics import Topic

TOPIC = Topic(
    charts=(
        "core.research.fourier.figures.fda_examples:FDA_EXAMPLES",
        "core.research.fourier.figures.fda_examples:RETRIEVAL_SHEET",
    ),
    previews="core.research.fourier.training.previews:PREVIEWS",
    options={
        "train [augment] view": "core.research.fourier.training.views:render_view",
        "train [objective] dual": "core.research.fourier.training.dual:DualEncoder",
    },
)
