"""Small random graphs for tests."""

from __future__ import annotations

import numpy as np

from core.research.visual_tokens_graph import Node, SceneGraph, Triple


def random_graph(rng, n, m):
    corners = rng.random((n, 2)) * 60
    boxes = np.concatenate([corners, corners + 5 + rng.random((n, 2)) * 30], axis=1)
    triples = []
    for _ in range(m if n > 1 else 0):
        a, b = rng.choice(n, 2, replace=False)
        triples.append(Triple(int(a), int(b), "left of", float(rng.random())))
    nodes = tuple(Node(f"object {i}") for i in range(n))
    return SceneGraph(nodes, boxes, rng.random(n), tuple(triples))
