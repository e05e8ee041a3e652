"""Graphs refuse what is no graph, and keep the best where not all fits."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ShapeError, TokenError
from core.research.visual_tokens_graph import Node, SceneGraph, Triple, clip_boxes, shuffled
from tests.research.planted_graphs import random_graph

BOXES = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10], [0, 40, 10, 50]])


def graph(*triples, scores=(0.9, 0.5, 0.7)):
    return SceneGraph((Node("dog"), Node("cat"), Node("hat")), BOXES, np.array(scores), triples)


@pytest.mark.parametrize(
    ("triple", "said"),
    [
        (Triple(0, 3, "on"), "beyond the 3"),
        (Triple(-1, 0, "on"), "beyond the 3"),
        (Triple(1, 1, "on"), "at both ends"),
        (Triple(0, 1, " "), "no word"),
    ],
)
def test_graph__refuses_impossible_relations(triple, said):
    with pytest.raises(TokenError, match=said):
        graph(triple)


def test_graph__refuses_boxes_of_another_number():
    with pytest.raises(ShapeError, match="3 nodes"):
        SceneGraph((Node("a"), Node("b"), Node("c")), BOXES[:2], np.ones(3))


def test_cut__objects_by_score_then_relations_whose_ends_are_kept():
    triples = Triple(0, 1, "on", 0.9), Triple(0, 2, "above", 0.2), Triple(2, 0, "below", 0.8)
    cut, kept = graph(*triples).cut(4)
    assert kept.tolist() == [0, 1, 2] and cut.triples == ()
    cut, kept = graph(*triples, scores=(0.9, 0.5, 0.7)).cut(3)
    assert kept.tolist() == [0, 2] and [node.name for node in cut.nodes] == ["dog", "hat"]
    cut, _ = graph(*triples).cut(5)
    assert cut.triples == (Triple(0, 1, "on", 0.9),)
    whole, kept = graph(*triples).cut(77)
    assert whole.triples == triples and len(kept) == 3


def test_clip_boxes__counts_those_beyond_the_image():
    clipped, n = clip_boxes(np.array([[-3.0, 2, 50, 20], [1, 1, 5, 5]]), 40, 30)
    assert n == 1 and clipped.tolist() == [[0, 2, 40, 20], [1, 1, 5, 5]]


def test_shuffled__moves_relations_and_boxes_together(rng):
    whole = random_graph(rng, 5, 6)
    order = rng.permutation(5)
    moved = shuffled(whole, order)
    assert moved.nodes == whole.nodes and np.array_equal(moved.boxes, whole.boxes[order])
    for old, new in zip(whole.triples, moved.triples, strict=True):
        assert (order[new.subject], order[new.object]) == (old.subject, old.object)
    assert shuffled(whole, np.arange(5)).triples == whole.triples
