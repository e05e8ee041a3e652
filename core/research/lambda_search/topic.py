"""What the topic adds to the workbench. No torch."""

from core.topics import Topic

TOPIC = Topic(
    commands=("core.research.lambda_search.commands:add_lambda_search",),
    folder_charts="core.research.lambda_search.figure:FOLDER_CHARTS",
)
