"""The settings that decide the tokens of an image. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.config import option


@dataclass(frozen=True)
class ExtractConfig:
    """What decides the tokens of an image."""

    segmenter: str = field(
        default="planted",
        metadata=option(
            "planted (Glyphworld's objects), onehot (their attributes), grid (3 x 3 patches) or "
            "python:module:factory",
            metavar="NAME",
        ),
    )
    relations: str = field(
        default="planted",
        metadata=option("planted, none or python:module:factory", metavar="NAME"),
    )
    clip: str = field(
        default="asset:glyphworld",
        metadata=option("CLIP model that embeds crops and predicates", metavar="MODEL"),
    )
    min_score: float = field(default=0.9, metadata=option("smallest score of a plug's object", metavar="X"))
    min_relation: float = field(
        default=0.05, metadata=option("smallest score of a plug's relation", metavar="X")
    )
