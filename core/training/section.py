"""Parts of a training that topics of research add: a table of settings, and a method around the method.

No torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from core.topics import function_named, topics


@dataclass(frozen=True)
class TrainingSection:
    """A table of settings of a training, which by default asks for nothing.

    Attributes:
        name: of the table. config: its dataclass.
        check: raises SettingsError for a TrainConfig that cannot be.
        around: names a function (TrainConfig, source, rows, note) -> a function (backbone, n_features,
            TrainConfig) -> Method, or None where the settings ask for nothing. It may read the images `rows`
            of the source, and `note` a text for the user.
    """

    name: str
    config: type
    check: Callable[[Any], None]
    around: str


@cache
def sections() -> dict[str, TrainingSection]:
    """Return those of all topics by name."""
    named = [topic.training for topic in topics() if topic.training]
    return {section.name: section for section in map(function_named, named)}
