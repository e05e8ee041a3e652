"""The tokens of images in memory, packed into batches for the encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.errors import ShapeError, TokenError
from core.research.visual_tokens_graph import SceneGraph, shuffled
from core.research.visual_tokens_ranks import graph_batch, rank_matrices

if TYPE_CHECKING:
    from core.research.visual_tokens_encoder import TokenTensors


@dataclass(frozen=True)
class ImageTokens:
    """The tokens of one image: global features (g,), one embedding (n, d) an object, and the graph.

    `size`: width and height of the image in pixels, the unit of the graph's boxes.
    """

    features: np.ndarray
    embeddings: np.ndarray
    graph: SceneGraph
    size: tuple[int, int]


@dataclass(frozen=True)
class PackedTokens:
    """The tokens of N images, with places for the largest number of objects n and of relations m.

    Args:
        image: (N, g). tangible: (N, n, d). word: (N, m) int rows of `words` (P, e).
        boxes: (N, n, 4) in shares of the image's sides. n_nodes, n_predicates: (N,).
        ranks: (N, L, L) uint8, L the largest number of tokens of an image.
        n_cut: images whose tokens did not all fit into the context.
    """

    image: np.ndarray
    tangible: np.ndarray
    word: np.ndarray
    words: np.ndarray
    boxes: np.ndarray
    n_nodes: np.ndarray
    n_predicates: np.ndarray
    ranks: np.ndarray
    n_cut: int = 0

    def __len__(self) -> int:
        return len(self.image)

    def batch(self, rows: np.ndarray) -> TokenTensors:
        """Return these images as tensors, without places that none of them needs."""
        import torch

        from core.research.visual_tokens_encoder import TokenTensors

        nodes, relations = self.n_nodes[rows], self.n_predicates[rows]
        n, m = int(nodes.max(initial=0)), int(relations.max(initial=0))
        longest = int((1 + nodes + relations).max(initial=1))
        image = torch.from_numpy(self.image[rows])
        tangible = torch.from_numpy(self.tangible[rows, :n])
        predicates = torch.from_numpy(self.words[self.word[rows, :m]])
        boxes = torch.from_numpy(self.boxes[rows, :n])
        ranks = torch.from_numpy(self.ranks[rows, :longest, :longest])
        return TokenTensors(
            image=image,
            tangible=tangible,
            predicates=predicates,
            boxes=boxes,
            n_nodes=torch.from_numpy(nodes),
            n_predicates=torch.from_numpy(relations),
            ranks=ranks,
        )


def pack_tokens(
    images: Sequence[ImageTokens],
    words: Mapping[str, np.ndarray],
    *,
    context: int,
    shuffle: int | None = None,
) -> PackedTokens:
    """Pack visual tokens (research) of images; more than the context are cut as `SceneGraph.cut` says.

    Args:
        words: (e,) embedding of each predicate.
        shuffle: seed of a random permutation of each image's nodes: the control of a wrong graph. The
            permutation depends on the seed and on the place in the list.
    Raises:
        TokenError: a predicate has no embedding. ShapeError: embeddings of two widths.
    """
    cut = [_within(tokens, context, index, shuffle) for index, tokens in enumerate(images)]
    graphs = [graph for graph, _ in cut]
    numbers = {word: row for row, word in enumerate(words)}
    batch = graph_batch(graphs)
    n, m = int(batch.n_nodes.max(initial=0)), int(batch.n_predicates.max(initial=0))
    width = _same_width([rows for _, rows in cut])
    tangible = np.zeros((len(cut), n, width), np.float32)
    boxes = np.zeros((len(cut), n, 4), np.float32)
    word = np.zeros((len(cut), m), np.int64)
    for row, (graph, embeddings) in enumerate(cut):
        tangible[row, : len(embeddings)] = embeddings
        boxes[row, : len(embeddings)] = graph.boxes / np.tile(images[row].size, 2)
        word[row, : len(graph.triples)] = [_number(numbers, t.predicate) for t in graph.triples]
    longest = int((1 + batch.n_nodes + batch.n_predicates).max(initial=1))
    features = np.stack([tokens.features for tokens in images])
    embedded_words = np.stack(list(words.values())) if words else np.zeros((0, 1))
    n_cut = sum(len(tokens.graph.nodes) + len(tokens.graph.triples) >= context for tokens in images)
    ranks = rank_matrices(batch, longest)
    image = features.astype(np.float32)
    word_vectors = embedded_words.astype(np.float32)
    return PackedTokens(
        image=image,
        tangible=tangible,
        word=word,
        words=word_vectors,
        boxes=boxes,
        n_nodes=batch.n_nodes,
        n_predicates=batch.n_predicates,
        ranks=ranks,
        n_cut=n_cut,
    )


def _within(
    tokens: ImageTokens, context: int, index: int, shuffle: int | None
) -> tuple[SceneGraph, np.ndarray]:
    graph, nodes = tokens.graph.cut(context)
    if shuffle is not None:
        graph = shuffled(graph, np.random.default_rng((shuffle, index)).permutation(len(graph.nodes)))
    return graph, tokens.embeddings[nodes]


def _same_width(parts: Sequence[np.ndarray]) -> int:
    """Return the common width of visual tokens' embeddings (n, d) (research). Raises ShapeError."""
    widths = {part.shape[1] for part in parts if len(part)}
    if len(widths) > 1:
        raise ShapeError(
            f"embeddings of {' and '.join(map(str, sorted(widths)))} numbers: one width is needed"
        )
    return widths.pop() if widths else max((part.shape[1] for part in parts), default=1)


def _number(numbers: Mapping[str, int], word: str) -> int:
    if word not in numbers:
        raise TokenError(f"the predicate '{word}' has no embedding. Extract the tokens again")
    return numbers[word]
