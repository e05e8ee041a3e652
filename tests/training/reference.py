"""Slow twins of what training adds to a loss: plain loops written from docs/method.md and the papers."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
            for value, in_d in zip(row, discriminative, strict=True)
            if in_d and value - mean > epsilon * deviation + tie
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


def q_regularizer_gradient(
    raw: np.ndarray,
    discriminative: np.ndarray,
    epsilon: float,
    lambda1: float,
    lambda2: float,
    reading: str = "sum",
) -> np.ndarray:
    """The gradient of eq. 3 by hand: firing sets, alpha, beta and both indicators are constants.

    dQ_i/dh_ij = 1[j in L_i & D] / |L_i & D| - 1/r, d||H_*k||_1/dh_ik = sign h_ik, and through h = x / ||x||:
    dL/dx = (g - (g . h) h) / ||x||.
    """
    n_rows, n_features = raw.shape
    of_reward = lambda1 if reading == "sum" else lambda1 / n_rows
    of_norms = lambda2 / n_rows if reading == "mean" else lambda2
    unit, firing, scores = [], {}, {}
    for i in range(n_rows):
        norm = math.sqrt(math.fsum(float(value) ** 2 for value in raw[i]))
        row = [float(value) / norm for value in raw[i]]
        unit.append(row)
        mean = math.fsum(row) / n_features
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in row) / n_features)
        fired = [j for j in range(n_features) if discriminative[j] and row[j] > mean + epsilon * deviation]
        if fired:
            firing[i] = fired
            scores[i] = math.fsum(row[j] - mean for j in fired) / len(fired)
    alpha = math.fsum(scores.values()) / max(len(scores), 1)
    norms = [math.fsum(abs(row[k]) for row in unit) for k in range(n_features)]
    beta = math.fsum(norms) / n_features
    gradient = np.zeros(raw.shape)
    for i, row in enumerate(unit):
        pull = [0.0] * n_features
        if i in scores and scores[i] < alpha:
            for j in range(n_features):
                pull[j] += of_reward / n_features
            for j in firing[i]:
                pull[j] -= of_reward / len(firing[i])
        for k in range(n_features):
            if norms[k] > beta:
                pull[k] += of_norms * ((row[k] > 0) - (row[k] < 0))
        along = math.fsum(p * value for p, value in zip(pull, row, strict=True))
        norm = math.sqrt(math.fsum(float(value) ** 2 for value in raw[i]))
        for k in range(n_features):
            gradient[i, k] = (pull[k] - along * row[k]) / norm
    return gradient


def lasso(raw: np.ndarray, weight: float) -> float:
    h = reference.normalise_rows(raw)
    return weight * math.fsum(abs(value) for row in h for value in row) / len(h)


def info_nce(
    positive: Sequence[float] | np.ndarray,
    negatives: Sequence[Sequence[float]] | np.ndarray,
    temperature: float,
    epsilon: float = 0.0,
) -> float:
    total = 0.0
    for s, others in zip(positive, negatives, strict=True):
        top = math.exp((s - epsilon) / temperature)
        total -= math.log(top / (top + math.fsum(math.exp((o + epsilon) / temperature) for o in others)))
    return total / len(positive)
