"""What the topic adds to the workbench. No torch."""

from core.topics import Topic

TOPIC = Topic(
    commands=(
        "core.research.visual_tokens.commands:add_extract_tokens",
        "core.research.visual_tokens.commands:add_train_tokens",
    ),
    code_options=("segmenter", "relations"),
    folder_charts="core.research.visual_tokens.figures.token_figures:FOLDER_CHARTS",
)
