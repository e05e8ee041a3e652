"""Where tokens come from: Glyphworld's own objects, equal patches, or a plug (docs/method.md 16.4)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image

from core.concepts.clip import Clip
from core.encoders.trusted_code import check_code
from core.errors import TokenError, did_you_mean
from core.research.visual_tokens_composed_scenes import graph_of, ground_picture, seen_objects
from core.research.visual_tokens_graph import Node, SceneGraph, Triple, clip_boxes
from core.research.visual_tokens_tokens import ImageTokens
from core.worlds.atlas import load_atlas
from core.worlds.backgrounds import COLOUR_WORDS
from core.worlds.captions import SIZES
from core.worlds.painting import HUES
from core.worlds.scenes import ScenePlan

# Segmenters and relation extractors of the user's, and what every source of tokens must give.
#
# A plug is named `python:package.module:factory`; the factory is called without arguments and returns
# `Segmenter` or `RelationExtractor`. No torch.


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
    """Call `python:module:factory` and return the segmenter or relation extractor that it makes (research).

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
        segments = _as_arrays(self.segment(picture.image))
        _check_segments(segments, picture.key)
        segments = above(segments, self.min_score, self.counts)
        triples = related(self.relate, picture, segments, self.min_relation, self.counts)
        return _image_tokens(picture, segments, triples, self.counts)


def above(segments: Segments, min_score: float, counts: Counts) -> Segments:
    """Leave out the segments, visual tokens of research, that score too little."""
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


def _as_arrays(segments: Segments) -> Segments:
    """Return what a segmenter of visual tokens (research) gave as NumPy arrays."""
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


def _check_segments(segments: Segments, key: str) -> None:
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
    """Ask for relations of visual tokens (research); those that score too little are left out."""
    if relate is None:
        return ()
    triples = []
    for a, b, word, score in relate(picture.image, segments):
        triples.append(Triple(int(a), int(b), str(word), float(score)))
    likely = tuple(triple for triple in triples if triple.score > least)
    counts.relations_below_score += len(triples) - len(likely)
    return likely


def _image_tokens(
    picture: KeyedPicture, segments: Segments, triples: tuple[Triple, ...], counts: Counts
) -> ImageTokens:
    """Collect one image's tokens; boxes that reach beyond the image are clipped and counted."""
    boxes, clipped = clip_boxes(segments.boxes, *picture.image.size)
    counts.boxes_clipped += clipped
    nodes = tuple(Node(name) for name in segments.names or [f"object {i}" for i in range(len(boxes))])
    graph = SceneGraph(nodes, boxes, np.asarray(segments.scores, np.float64), triples)
    return ImageTokens(segments.global_features, segments.embeddings, graph, picture.image.size)


# Where tokens come from: Glyphworld's own objects, equal patches, or a plug (docs/method.md 16.4).


SEGMENTERS = ("planted", "onehot", "grid")
RELATORS = ("planted", "none")
GRID_SIDE = 3


def open_token_source(
    segmenter: str, relations: str, clip: Clip, *, min_score: float = 0.9, min_relation: float = 0.05
) -> TokenSource:
    """Build the source of tokens that two names stand for (research).

    Args:
        segmenter: planted, onehot, grid or python:module:factory. relations: planted, none or
            python:module:factory. clip: embeds crops and predicates.
        min_score, min_relation: what a plug finds below these is left out; planted objects and relations
            are what they are.
    Raises:
        TokenError: an unknown name, or planted relations of what is not planted.
        CodeRefused: the owner of this machine has not named the plug.
    """
    for name, plugs in ((segmenter, SEGMENTERS), (relations, RELATORS)):
        if name not in plugs and not name.startswith("python:"):
            raise TokenError(
                f"no '{name}'.{did_you_mean(name, plugs)} Choose {', '.join(plugs)} or python:module:factory"
            )
    if relations == "planted" and segmenter not in ("planted", "onehot"):
        raise TokenError(f"planted relations are between planted objects, not those of '{segmenter}'")
    relate = load_plug(relations) if relations.startswith("python:") else None
    if segmenter.startswith("python:"):
        return PluggedSource(load_plug(segmenter), relate, min_score, min_relation)
    if segmenter == "grid":
        return GridSource(clip, relate, min_relation)
    return PlantedSource(clip if segmenter == "planted" else None, relations, relate, min_relation)


class PlantedSource:
    """Glyphworld's own objects: crops embedded by CLIP, or one-hot attributes as a ceiling.

    A crop shows its object alone: other pixels are CLIP's grey. The ground's crop is painted without
    objects, since holes in it would tell where they are.
    """

    def __init__(
        self, clip: Clip | None, relations: str, relate: RelationExtractor | None, min_relation: float
    ) -> None:
        self.clip, self.relations, self.relate, self.min_relation = clip, relations, relate, min_relation
        self.counts = Counts()

    def tokens(self, pictures: Sequence[KeyedPicture]) -> list[ImageTokens]:
        graphs, crops = [], []
        for picture in pictures:
            graph, parts = self._segmented(picture)
            graphs.append(graph)
            crops.append(parts)
        if self.clip is None:
            embedded = [(one_hot(graph.nodes[-1:])[0], one_hot(graph.nodes)) for graph in graphs]
        else:
            embedded = _embed_crops(self.clip, [picture.image for picture in pictures], crops)
        tokens = []
        for picture, graph, (whole, rows) in zip(pictures, graphs, embedded, strict=True):
            token_graph = self._related(picture, graph, whole, rows)
            tokens.append(ImageTokens(whole, rows, token_graph, picture.image.size))
        return tokens

    def _segmented(self, picture: KeyedPicture) -> tuple[SceneGraph, list[Image.Image]]:
        if picture.plan is None:
            raise TokenError(f"'{picture.key}' is no scene of Glyphworld: only its objects are planted")
        side = picture.image.width
        seen = seen_objects(picture.plan, side)
        graph = graph_of(picture.plan, seen, side)
        if self.clip is None:
            return graph, []
        alphas = [one.alpha for one in seen]
        crops = [
            masked_crop(picture.image, alpha, box, self.clip.fill)
            for alpha, box in zip(alphas, graph.boxes, strict=False)
        ]
        return graph, [*crops, ground_picture(picture.plan, side)]

    def _related(
        self, picture: KeyedPicture, graph: SceneGraph, whole: np.ndarray, rows: np.ndarray
    ) -> SceneGraph:
        if self.relations == "planted":
            return graph
        segments = Segments(
            whole, rows, graph.boxes, None, graph.scores, [node.phrase for node in graph.nodes]
        )
        triples = related(self.relate, picture, segments, self.min_relation, self.counts)
        return SceneGraph(graph.nodes, graph.boxes, graph.scores, triples)


class GridSource:
    """Equal patches, 3 x 3, embedded like objects: the control of what segments are good for."""

    def __init__(self, clip: Clip, relate: RelationExtractor | None, min_relation: float) -> None:
        self.clip, self.relate, self.min_relation, self.counts = clip, relate, min_relation, Counts()

    def tokens(self, pictures: Sequence[KeyedPicture]) -> list[ImageTokens]:
        boxes = [grid_boxes(*picture.image.size) for picture in pictures]
        crops = [
            [picture.image.crop(tuple(box)) for box in picture_boxes]
            for picture, picture_boxes in zip(pictures, boxes, strict=True)
        ]
        made = []
        embedded = _embed_crops(self.clip, [picture.image for picture in pictures], crops)
        for picture, picture_boxes, (whole, rows) in zip(pictures, boxes, embedded, strict=True):
            segments = Segments(whole, rows, picture_boxes, None, np.ones(len(picture_boxes)))
            triples = related(self.relate, picture, segments, self.min_relation, self.counts)
            made.append(_image_tokens(picture, segments, triples, self.counts))
        return made


def _embed_crops(
    clip: Clip, wholes: Sequence[Image.Image], crops: Sequence[Sequence[Image.Image]]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for each image CLIP's embedding of the whole (g,) and its visual tokens (n, d) (research)."""
    rows = clip.embed_images([*wholes, *(crop for parts in crops for crop in parts)], pad=True)
    start = len(wholes)
    for whole, parts in zip(rows, crops, strict=False):
        yield whole, rows[start : start + len(parts)]
        start += len(parts)


def masked_crop(
    image: Image.Image, alpha: np.ndarray, box: np.ndarray, fill: tuple[int, int, int]
) -> Image.Image:
    """Cut a visual token's box from an image (research); what is not of the object becomes `fill`.

    Cut a box from an image; what is not of the object (alpha (H, W) uint8) becomes `fill`.
    """
    left, top, right, bottom = (int(edge) for edge in box)
    canvas = Image.new("RGB", image.size, fill)
    canvas.paste(image, mask=Image.fromarray(alpha))
    return canvas.crop((left, top, right, bottom))


def grid_boxes(width: int, height: int) -> np.ndarray:
    """(9, 4) boxes of 3 x 3 equal patches as visual tokens (research), row by row, at whole pixels."""
    across = np.round(np.linspace(0, width, GRID_SIDE + 1))
    down = np.round(np.linspace(0, height, GRID_SIDE + 1))
    boxes = []
    for row in range(GRID_SIDE):
        for column in range(GRID_SIDE):
            boxes.append((across[column], down[row], across[column + 1], down[row + 1]))
    return np.array(boxes)


def one_hot(nodes: Sequence[Node]) -> np.ndarray:
    """(n, d) float32: noun, colour and size word of planted objects, one place for each word (research)."""
    places = {word: column for column, word in enumerate(_attribute_words())}
    rows = np.zeros((len(nodes), len(places)), np.float32)
    for row, node in zip(rows, nodes, strict=True):
        named = [("noun", node.name), ("colour", node.colour), ("size", node.size)]
        row[[places[pair] for pair in named if pair[1]]] = 1
    return rows


def _attribute_words() -> list[tuple[str, str]]:
    """List the pairs of kind and word in which planted objects and grounds can differ."""
    glyphs = load_atlas().glyphs.values()
    nouns = sorted({glyph.noun for glyph in glyphs} | set(COLOUR_WORDS))
    colours = {glyph.colour for glyph in glyphs} | set(HUES)
    colours |= {word for words in COLOUR_WORDS.values() for word in words}
    kinds = (("noun", nouns), ("colour", sorted(colours)), ("size", SIZES))
    return [(kind, word) for kind, words in kinds for word in words]
