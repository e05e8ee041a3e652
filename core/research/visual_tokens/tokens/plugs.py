"""Segmenters and relation extractors of the user's, and what every source of tokens must give.

A plug is named `python:package.module:factory`; the factory is called without arguments and returns
`Segmenter` or `RelationExtractor`. No torch.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image

from core.encoders.trusted_code import check_code
from core.errors import TokenError
from core.research.visual_tokens.tokens.graph import Node, SceneGraph, Triple, clip_boxes
from core.research.visual_tokens.tokens.tokens import ImageTokens
from core.worlds.glyphworld.scenes import ScenePlan


@dataclass(frozen=True)
class Segments:
    """What a segmenter finds in an image.

    Args:
        global_features: (g,) of the whole image. embeddings: (n, d), one an object.
        boxes: (n, 4) left, top, right, bottom in pixels. masks: n arrays (H, W) bool, or None.
        scores: (n,) in [0, 1]. names: n words, or None.
    """

    global_features: np.ndarray
    embeddings: np.ndarray
    boxes: np.ndarray
    masks: Sequence[np.ndarray] | None
    scores: np.ndarray
    names: Sequence[str] | None = None


FoundRelation = tuple[int, int, str, float]  # subject, object, predicate, score
Segmenter = Callable[[Image.Image], Segments]
RelationExtractor = Callable[[Image.Image, Segments], Sequence[FoundRelation]]


@dataclass(frozen=True)
class KeyedPicture:
    """An image with its id and, where it is a scene of Glyphworld, its plan."""

    key: str
    image: Image.Image
    plan: ScenePlan | None = None


@dataclass
class Counts:
    """What was changed or left out while tokens were made."""

    boxes_clipped: int = 0
    objects_below_score: int = 0
    relations_below_score: int = 0


class TokenSource(Protocol):
    """Makes the tokens of several pictures at once; `counts` adds up what it changed."""

    counts: Counts

    def tokens(self, pictures: Sequence[KeyedPicture]) -> list[ImageTokens]: ...


def load_plug(name: str) -> Any:
    """Call `python:module:factory` and return the segmenter or relation extractor that it makes.

    Raises:
        TokenError: it cannot be imported or called. CodeRefused: it is not named by the owner.
    """
    check_code(name)
    module, _, factory = name.removeprefix("python:").partition(":")
    try:
        made = getattr(importlib.import_module(module), factory)()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise TokenError(
            f"cannot load '{name}' ({reason}). Write it as python:package.module:factory"
        ) from error
    if not callable(made):
        raise TokenError(f"'{name}' made a {type(made).__name__}, which cannot be called with an image")
    return made


class PluggedSource:
    """A segmenter of the user's, one picture at a time."""

    def __init__(
        self, segment: Segmenter, relate: RelationExtractor | None, min_score: float, min_relation: float
    ) -> None:
        self.segment, self.relate = segment, relate
        self.min_score, self.min_relation, self.counts = min_score, min_relation, Counts()

    def tokens(self, pictures: Sequence[KeyedPicture]) -> list[ImageTokens]:
        return [self._one(picture) for picture in pictures]

    def _one(self, picture: KeyedPicture) -> ImageTokens:
        segments = as_arrays(self.segment(picture.image))
        check_segments(segments, picture.key)
        segments = above(segments, self.min_score, self.counts)
        triples = related(self.relate, picture, segments, self.min_relation, self.counts)
        return image_tokens(picture, segments, triples, self.counts)


def above(segments: Segments, min_score: float, counts: Counts) -> Segments:
    """Leave out what scores too little."""
    segment_numbers = np.flatnonzero(segments.scores > min_score).tolist()
    counts.objects_below_score += len(segments.scores) - len(segment_numbers)
    masks = None if segments.masks is None else [segments.masks[i] for i in segment_numbers]
    names = None if segments.names is None else [segments.names[i] for i in segment_numbers]
    return Segments(
        segments.global_features,
        segments.embeddings[segment_numbers],
        segments.boxes[segment_numbers],
        masks,
        segments.scores[segment_numbers],
        names,
    )


def as_arrays(segments: Segments) -> Segments:
    """Return what a plug gave as NumPy arrays, whatever it computes with."""
    boxes = np.asarray(segments.boxes, np.float64).reshape(-1, 4)
    scores = np.asarray(segments.scores, np.float64)
    embeddings = np.asarray(segments.embeddings, np.float32)
    return Segments(
        np.asarray(segments.global_features, np.float32),
        embeddings,
        boxes,
        segments.masks,
        scores,
        segments.names,
    )


def check_segments(segments: Segments, key: str) -> None:
    """Raise TokenError for segments that do not fit each other, or that no model can read."""
    n = len(segments.boxes)
    if segments.embeddings.ndim != 2 or len(segments.embeddings) != n or len(segments.scores) != n:
        raise TokenError(
            f"the segmenter found {n} boxes on '{key}' but embeddings {segments.embeddings.shape} and "
            f"{len(segments.scores)} scores"
        )
    for what in ("masks", "names"):
        listed = getattr(segments, what)
        if listed is not None and len(listed) != n:
            raise TokenError(f"the segmenter found {n} boxes on '{key}' but {len(listed)} {what}")
    for what in ("global_features", "embeddings", "boxes", "scores"):
        if not np.isfinite(getattr(segments, what)).all():
            raise TokenError(
                f"the segmenter's {what.replace('_', ' ')} of '{key}' hold NaN or infinite numbers"
            )


def related(
    relate: RelationExtractor | None, picture: KeyedPicture, segments: Segments, least: float, counts: Counts
) -> tuple[Triple, ...]:
    """Ask for the relations of the segments; those that score too little are left out."""
    if relate is None:
        return ()
    triples = []
    for a, b, word, score in relate(picture.image, segments):
        triples.append(Triple(int(a), int(b), str(word), float(score)))
    likely = tuple(triple for triple in triples if triple.score > least)
    counts.relations_below_score += len(triples) - len(likely)
    return likely


def image_tokens(
    picture: KeyedPicture, segments: Segments, triples: tuple[Triple, ...], counts: Counts
) -> ImageTokens:
    """Collect one image's tokens; boxes that reach beyond the image are clipped and counted."""
    boxes, clipped = clip_boxes(segments.boxes, *picture.image.size)
    counts.boxes_clipped += clipped
    nodes = tuple(Node(name) for name in segments.names or [f"object {i}" for i in range(len(boxes))])
    graph = SceneGraph(nodes, boxes, np.asarray(segments.scores, np.float64), triples)
    return ImageTokens(segments.global_features, segments.embeddings, graph, picture.image.size)
