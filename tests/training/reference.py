"""Slow twins of what training adds to a loss: plain loops written from docs/method.md and the papers."""

from __future__ import annotations

import math

import numpy as np

from tests import reference


def q_regularizer(
    raw: np.ndarray,
    discriminative: np.ndarray,
    epsilon: float,
    lambda1: float,
    lambda2: float,
    reading: str = "sum",
) -> float:
    """Eq. 3 by docs/method.md 7.2 in plain floats, row by row and column by column."""
    rows = [[float(value) for value in row] for row in raw]
    n_rows, n_features = len(rows), len(rows[0])
    unit = []
    for row in rows:
        norm = max(math.sqrt(math.fsum(value * value for value in row)), 1e-12)
        unit.append([value / norm for value in row])
    scores = {}  # of the rows with L_i and D not disjoint
    for i, row in enumerate(unit):
        mean = math.fsum(row) / n_features
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in row) / n_features)
        tie = 1e-12 * (abs(mean) + deviation)
        excess = [
            value - mean
            for value, chosen in zip(row, discriminative, strict=True)
            if chosen and value - mean > epsilon * deviation + tie
        ]
        if excess:
            scores[i] = math.fsum(excess) / len(excess)
    reward = 0.0
    if scores:
        alpha = math.fsum(scores.values()) / len(scores)
        reward = math.fsum(q for q in scores.values() if q < alpha * (1 - 1e-12))
    norms = []
    for k in range(n_features):
        norms.append(math.fsum(abs(row[k]) for row in unit))
    beta = math.fsum(norms) / n_features
    large = math.fsum(norm for norm in norms if norm > beta * (1 + 1e-12))
    if reading == "sum":
        return -lambda1 * reward + lambda2 * large
    if reading == "printed":
        return -lambda1 * reward / n_rows + lambda2 * large
    assert reading == "mean"
    return -lambda1 * reward / n_rows + lambda2 * large / n_rows


def lasso(raw: np.ndarray, weight: float) -> float:
    h = reference.normalise_rows(raw)
    return weight * math.fsum(abs(value) for row in h for value in row) / len(h)


def info_nce(positive: np.ndarray, negatives: np.ndarray, temperature: float, epsilon: float = 0.0) -> float:
    total = 0.0
    for s, others in zip(positive, negatives, strict=True):
        top = math.exp((s - epsilon) / temperature)
        total -= math.log(top / (top + math.fsum(math.exp((o + epsilon) / temperature) for o in others)))
    return total / len(positive)
