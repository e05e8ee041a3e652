"""Eq. 6.1 against a loop twin and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ShapeError
from core.research.visual_tokens_graph import Node, SceneGraph
from core.research.visual_tokens_ranks import GraphBatch, graph_batch, rank_matrices
from tests.research import reference
from tests.research.planted_graphs import random_graph


def rank_matrix(
    n: int, m: int, triples: list[tuple[int, int, int]], centres: np.ndarray, length: int
) -> np.ndarray:
    """Ranks of one image."""
    rows = np.array([(0, *triple) for triple in triples], np.int64).reshape(-1, 4)
    return rank_matrices(GraphBatch(np.array([n]), np.array([m]), centres.reshape(1, n, 2), rows), length)[0]


def test_rank_matrix__two_objects_and_one_relation_by_hand():
    """Tokens: I, v_0, v_1, u_0. v_0 is the subject; v_1 has v_0 as its nearest neighbour."""
    ranks = rank_matrix(2, 1, [(0, 1, 0)], np.array([[0.0, 0], [10, 0]]), 4)
    assert ranks.tolist() == [[0, 0, 0, 0], [0, 0, 7, 6], [0, 4, 0, 6], [0, 5, 5, 0]]


@st.composite
def planted(draw, most=12):
    """Centres on a lattice, so that many distances are equal, and pairs of different objects."""
    centres = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=most))
    pairs = st.tuples(*[st.integers(0, len(centres) - 1)] * 2).filter(lambda pair: pair[0] != pair[1])
    return centres, draw(st.lists(pairs, max_size=20)) if len(centres) > 1 else []


@given(graph=planted())
def test_rank_matrix__matches_loop(graph):
    centres, n, m = [list(map(float, place)) for place in graph[0]], len(graph[0]), len(graph[1])
    triples = [(*pair, c) for c, pair in enumerate(graph[1])]
    ranks = rank_matrix(n, m, triples, np.array(centres), 1 + n + m + 2)
    assert ranks.tolist() == reference.rank_matrix(n, m, triples, centres, 1 + n + m + 2)


def test_rank_matrices__a_batch_is_its_images(rng):
    graphs = [random_graph(rng, n, m) for n, m in [(0, 0), (1, 0), (4, 5), (7, 2), (2, 2)]]
    together = rank_matrices(graph_batch(graphs), 14)
    for graph, ranks in zip(graphs, together, strict=True):
        triples = [(t.subject, t.object, c) for c, t in enumerate(graph.triples)]
        alone = reference.rank_matrix(len(graph.nodes), len(triples), triples, graph.centres.tolist(), 14)
        assert ranks.tolist() == alone
    assert len(rank_matrices(graph_batch([]), 5)) == 0


def test_rank_matrix__both_directions_between_two_objects():
    """A relation each way: both see each other with 7, and each predicate is a token of its own."""
    ranks = rank_matrix(2, 2, [(0, 1, 0), (1, 0, 1)], np.array([[0.0, 0], [1, 0]]), 5)
    assert ranks[1:3, 1:3].tolist() == [[0, 7], [7, 0]]
    assert (ranks[1:3, 3:] == 6).all() and (ranks[3:, 1:3] == 5).all()


def test_rank_matrices__order_of_the_objects_does_not_matter(rng):
    graph = random_graph(rng, 6, 5)
    order = rng.permutation(6)
    place = np.argsort(order)
    moved = SceneGraph(
        tuple(Node(graph.nodes[i].name) for i in order), graph.boxes[order], graph.scores[order]
    )
    triples = [(int(place[t.subject]), int(place[t.object]), c) for c, t in enumerate(graph.triples)]
    first = rank_matrices(graph_batch([graph]), 12)[0]
    second = rank_matrix(6, 5, triples, moved.centres, 12)
    tokens = np.concatenate([[0], 1 + order, np.arange(7, 12)])
    assert np.array_equal(second, first[np.ix_(tokens, tokens)])


def test_rank_matrices__refuse_what_does_not_fit(rng):
    with pytest.raises(ShapeError, match="8.*context.*7"):
        rank_matrices(graph_batch([random_graph(rng, 4, 3)]), 7)
