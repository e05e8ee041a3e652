"""Ranks of pairs of tokens for additive attention, Kalibhat, dissertation, eq. 6.1 (docs/method.md 16.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import ShapeError
from core.research.visual_tokens_graph import NEIGHBOURS, SceneGraph

N_RANKS = 8
OBJECT, TO_PREDICATE, FROM_PREDICATE = 7, 6, 5


@dataclass(frozen=True)
class GraphBatch:
    """The graphs of B images as arrays.

    Args:
        n_nodes, n_predicates: (B,) numbers of objects and of relations.
        centres: (B, N, 2), N at least the largest number of objects; what lies beyond is ignored.
        triples: (T, 4) int: image, subject, object, predicate.
    """

    n_nodes: np.ndarray
    n_predicates: np.ndarray
    centres: np.ndarray
    triples: np.ndarray


def rank_matrices(batch: GraphBatch, length: int) -> np.ndarray:
    """Compute as ranks how much each visual token (research) should look at each other one.

    Tokens: the image, then n objects, then m predicates, then padding. Row a is the query, column b the key;
    the first case that holds (Kalibhat's dissertation, eq. 6.1):
        A_ab = 7      a is the subject and b the object of a relation
               6      a is an end of a relation and b its predicate
               5      a is the predicate of a relation and b one of its ends
               5 - k  b is the k-th nearest object of object a, k = 1 … 4; equal distances: the lower index
               0      else; so for the image and for padding
    An object towards its subject has no case of its own: it has its neighbour's rank, or 0.

    Args:
        batch: the graphs of B images. length: L, of the context.
    Returns:
        (B, L, L) uint8 in 0 … 7.
    Raises:
        ShapeError: the tokens of an image do not fit into the context.
    """
    longest = int((1 + batch.n_nodes + batch.n_predicates).max(initial=1))
    if longest > length:
        raise ShapeError(f"{longest} tokens do not fit into a context of {length}; cut the graph first")
    ranks = np.zeros((len(batch.n_nodes), length, length), np.uint8)
    _rank_neighbours(ranks, batch)
    image, subject, thing = (batch.triples[:, i] for i in range(3))
    subject, thing = subject + 1, thing + 1
    predicate = 1 + batch.n_nodes[image] + batch.triples[:, 3]
    ranks[image, predicate, subject] = ranks[image, predicate, thing] = FROM_PREDICATE
    ranks[image, subject, predicate] = ranks[image, thing, predicate] = TO_PREDICATE
    ranks[image, subject, thing] = OBJECT
    return ranks


def _rank_neighbours(ranks: np.ndarray, batch: GraphBatch) -> None:
    """Write 4, 3, 2, 1 for the four nearest objects of each object."""
    most = int(batch.n_nodes.max(initial=0))
    if most < 2:
        return
    points = batch.centres[:, :most]
    right, down = points[..., 0], points[..., 1]
    apart = (right[:, :, None] - right[:, None]) ** 2
    apart += (down[:, :, None] - down[:, None]) ** 2
    real = np.arange(most) < batch.n_nodes[:, None]  # (B, most)
    apart += np.where(real, 0.0, np.inf)[:, None]
    apart[:, np.arange(most), np.arange(most)] = np.inf
    for k in range(1, min(NEIGHBOURS, most - 1) + 1):
        nearest = apart.argmin(2)  # the first of equal ones
        image, node = np.nonzero(real & (batch.n_nodes[:, None] > k))
        neighbour = nearest[image, node]
        ranks[image, 1 + node, 1 + neighbour] = NEIGHBOURS + 1 - k
        apart[image, node, neighbour] = np.inf


def graph_batch(graphs: Sequence[SceneGraph]) -> GraphBatch:
    """Collect the graphs of several images; relation c of an image is its predicate c (research)."""
    n_nodes = np.array([len(graph.nodes) for graph in graphs], np.int64)
    centres = np.zeros((len(graphs), int(n_nodes.max(initial=0)), 2))
    rows = []
    for image, graph in enumerate(graphs):
        centres[image, : n_nodes[image]] = graph.centres
        rows += [(image, t.subject, t.object, c) for c, t in enumerate(graph.triples)]
    triples = np.asarray(rows, np.int64).reshape(-1, 4)
    return GraphBatch(n_nodes, np.bincount(triples[:, 0], minlength=len(graphs)), centres, triples)
