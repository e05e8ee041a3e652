"""Scene graphs: objects with boxes, and directed relations between them (docs/method.md 16.1). No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.errors import ShapeError, TokenError

NEIGHBOURS = 4


@dataclass(frozen=True)
class Node:
    """One object: its name, and what is known of it; the scene's own truth fills all fields."""

    name: str
    colour: str = ""
    size: str = ""
    role: str = ""

    @property
    def phrase(self) -> str:
        """ "small red dog", without the words that are not known."""
        return " ".join(word for word in (self.size, self.colour, self.name) if word)


@dataclass(frozen=True)
class Triple:
    """Subject and object are places in the list of nodes; the predicate is a word or several."""

    subject: int
    object: int
    predicate: str
    score: float = 1.0


@dataclass(frozen=True)
class SceneGraph:
    """The objects of one image and their relations.

    Args:
        nodes: n objects.
        boxes: (n, 4) left, top, right, bottom in pixels of the image.
        scores: (n,) of the detections, in [0, 1].
        triples: m relations. Each is a token of its own, so a predicate that occurs twice is two tokens.
    Raises:
        ShapeError: the numbers of nodes, boxes and scores differ.
        TokenError: a relation of an object with itself or with one that does not exist, or without words.
    """

    nodes: tuple[Node, ...]
    boxes: np.ndarray
    scores: np.ndarray
    triples: tuple[Triple, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.nodes)
        if self.boxes.shape != (n, 4) or self.scores.shape != (n,):
            raise ShapeError(
                f"{n} nodes need boxes ({n}, 4) and scores ({n},), got {self.boxes.shape} and "
                f"{self.scores.shape}"
            )
        for triple in self.triples:
            _check_triple(triple, n)

    @property
    def centres(self) -> np.ndarray:
        """(n, 2) centres of the boxes: right, down."""
        return _box_centres(self.boxes)

    def cut(self, context: int) -> tuple[SceneGraph, np.ndarray]:
        """Keep what fits into a context of so many tokens, and the places (k,) of the objects kept.

        The image has a token; objects are kept by score, then relations by score whose ends are kept.
        Equal scores: the earlier one.
        """
        strongest = np.sort(np.argsort(-self.scores, kind="stable")[: max(context - 1, 0)])
        new_index = {int(old): new for new, old in enumerate(strongest)}
        inside = [t for t in self.triples if t.subject in new_index and t.object in new_index]
        by_score = sorted(range(len(inside)), key=lambda i: -inside[i].score)
        best = by_score[: max(context - 1 - len(strongest), 0)]
        triples = (inside[i] for i in sorted(best))
        relations = tuple(
            replace(t, subject=new_index[t.subject], object=new_index[t.object]) for t in triples
        )
        nodes = tuple(self.nodes[old] for old in strongest)
        graph = SceneGraph(nodes, self.boxes[strongest], self.scores[strongest], relations)
        return graph, strongest


def _check_triple(triple: Triple, n_nodes: int) -> None:
    """Raise TokenError for a relation that no graph of `n_nodes` objects can have."""
    ends = (triple.subject, triple.object)
    if not all(0 <= end < n_nodes for end in ends):
        raise TokenError(
            f"the relation {ends} '{triple.predicate}' names an object beyond the {n_nodes} of its image. "
            "Check the relation extractor"
        )
    if triple.subject == triple.object:
        raise TokenError(
            f"the relation '{triple.predicate}' has object {triple.subject} at both ends. "
            "Check the relation extractor"
        )
    if not triple.predicate.strip():
        raise TokenError(f"the relation {ends} has no word for its predicate. Check the relation extractor")


def _box_centres(boxes: np.ndarray) -> np.ndarray:
    """(n, 2) centres, right and down, of (n, 4) boxes of visual tokens (research)."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def clip_boxes(boxes: np.ndarray, width: float, height: float) -> tuple[np.ndarray, int]:
    """Clip boxes (n, 4) of visual tokens (research) to the image, and count those beyond it."""
    clipped = boxes.clip(0, np.array([width, height, width, height]))
    return clipped, int((clipped != boxes).any(1).sum())


def shuffled(graph: SceneGraph, order: Sequence[int] | np.ndarray) -> SceneGraph:
    """Shuffle a graph of visual tokens (research): object i takes relations and box of `order[i]`.

    A control: tokens are those of the image, but graph and places belong to other objects.
    """
    taken = np.asarray(order)
    old = np.argsort(taken)  # where the relations of an object go
    moved = []
    for triple in graph.triples:
        moved.append(replace(triple, subject=int(old[triple.subject]), object=int(old[triple.object])))
    return replace(graph, boxes=graph.boxes[taken], triples=tuple(moved))
