"""What the topic adds to the workbench. No torch."""

from __future__ import annotations

from core.topics import Topic

TOPIC = Topic(commands=("core.research.small_clip.commands:add_train_clip",))
