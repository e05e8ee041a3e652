"""What the topic adds to the workbench. No torch."""

from core.common.topics import Topic

TOPIC = Topic(
    charts=("core.research.fourier_figures:FDA_EXAMPLES", "core.research.fourier_figures:RETRIEVAL_SHEET"),
    previews="core.research.fourier_previews:PREVIEWS",
    options={
        "train [augment] view": "core.research.fourier_views:render_view",
        "train [objective] dual": "core.research.fourier_dual:DualEncoder",
    },
)
