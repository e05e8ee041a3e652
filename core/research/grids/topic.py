"""What the topic adds to the workbench. No torch."""

from core.topics import Topic

TOPIC = Topic(commands=("core.research.grids.commands:add_grid",))
