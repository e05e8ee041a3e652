"""What the topic adds to the workbench. No torch."""

from core.topics import Topic

TOPIC = Topic(
    options={"compare of transfers": "core.research.transfer.compared_words:Transfers"},
    commands=("core.research.transfer.commands:add_transfer",),
)
