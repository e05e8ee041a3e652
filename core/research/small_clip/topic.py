"""What the topic adds to the workbench. No torch."""

from core.topics import Topic

TOPIC = Topic(commands=("core.research.small_clip.commands:add_train_clip",))
