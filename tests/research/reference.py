"""Slow twins of the formulas of visual tokens, written from [K] chapter 6 as plain loops."""

from __future__ import annotations

import math


def rank_matrix(n, m, triples, centres, length):
    """Eq. 6.1, pair by pair: the first case that holds."""
    neighbours = {}
    for a in range(n):
        others = sorted((math.dist(centres[a], centres[b]), b) for b in range(n) if b != a)
        neighbours[a] = [b for _, b in others][:4]
    ranks = [[0] * length for _ in range(length)]
    for row in range(1, 1 + n + m):
        for column in range(1, 1 + n + m):
            ranks[row][column] = _rank(row - 1, column - 1, n, triples, neighbours)
    return ranks


def _rank(a, b, n, triples, neighbours):
    for subject, thing, _ in triples:
        if (a, b) == (subject, thing):
            return 7
    for subject, thing, predicate in triples:
        if a in (subject, thing) and b == n + predicate:
            return 6
    for subject, thing, predicate in triples:
        if a == n + predicate and b in (subject, thing):
            return 5
    if a < n and b in neighbours[a]:
        return 5 - (neighbours[a].index(b) + 1)
    return 0


def attention(q, k, bias):
    """softmax over keys of q_a . k_b / sqrt(d) + bias_ab, for one head."""
    rows = []
    for a, query in enumerate(q):
        scores = [
            sum(x * y for x, y in zip(query, key, strict=True)) / math.sqrt(len(query)) + bias[a][b]
            for b, key in enumerate(k)
        ]
        top = max(scores)
        powers = [math.exp(score - top) for score in scores]
        rows.append([power / sum(powers) for power in powers])
    return rows


def choice(scores):
    """Accuracy of one item whose first caption is true; ties share."""
    best = [i for i, score in enumerate(scores) if score == max(scores)]
    return 1 / len(best) if 0 in best else 0.0


def pairs(s):
    """Text, image and group score of one item without ties: s[c][i] of caption c and image i."""
    text = s[0][0] > s[1][0] and s[1][1] > s[0][1]
    image = s[0][0] > s[0][1] and s[1][1] > s[1][0]
    return float(text), float(image), float(text and image)
