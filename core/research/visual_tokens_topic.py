"""What the topic adds to the workbench, and what decides the tokens of an image. No torch."""

from dataclasses import dataclass

from core.common.topics import Topic
from core.config import option


@dataclass(frozen=True)
class ExtractConfig:
    """What decides the tokens of an image."""

    segmenter: str = option(
        "planted (Glyphworld's objects), onehot (their attributes), grid (3 x 3 patches) or "
        "python:module:factory",
        "planted",
        metavar="NAME",
    )
    relations: str = option("planted, none or python:module:factory", "planted", metavar="NAME")
    clip: str = option("CLIP model that embeds crops and predicates", "asset:glyphworld", metavar="MODEL")
    min_score: float = option("smallest score of a plug's object", 0.9, metavar="X")
    min_relation: float = option("smallest score of a plug's relation", 0.05, metavar="X")


TOPIC = Topic(
    commands=(
        "core.research.visual_tokens_commands:add_extract_tokens",
        "core.research.visual_tokens_commands:add_train_tokens",
    ),
    code_options=("segmenter", "relations"),
    folder_charts="core.research.visual_tokens_figures:FOLDER_CHARTS",
)
