"""What the topic adds to the workbench. No torch."""

from __future__ import annotations

from core.topics import Topic

TOPIC = Topic(
    commands=(
        "core.research.training.commands.train:add_train",
        "core.research.training.commands.finetune:add_finetune",
    ),
    code_options=("arch", "export_arch"),
)
