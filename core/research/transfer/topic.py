"""What the topic adds to the workbench. No torch."""

from core.topics import Topic

TOPIC = Topic(commands=("core.research.transfer.commands:add_transfer",))
