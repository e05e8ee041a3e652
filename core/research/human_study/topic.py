"""What the topic adds to the workbench. No torch."""

from core.topics import Topic

TOPIC = Topic(commands=("core.research.human_study.commands:add_human_study",))
