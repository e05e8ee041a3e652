"""Slow twins of what training adds to a loss: plain loops written from METHOD.md and the papers."""

from __future__ import annotations

import math

import numpy as np

from tests import reference


def q_regularizer(
    raw: np.ndarray, discriminative: np.ndarray, epsilon: float, lambda1: float, lambda2: float
) -> float:
    h = reference.normalise_rows(raw)
    scores = reference.q_score(h, discriminative, epsilon)
    alpha = math.fsum(scores) / len(scores)
    pushed = math.fsum(q for q in scores if q < alpha)
    norms = [math.fsum(abs(h[i, k]) for i in range(len(h))) for k in range(h.shape[1])]
    beta = math.fsum(norms) / len(norms)
    return -lambda1 / len(h) * pushed + lambda2 * math.fsum(norm for norm in norms if norm > beta)


def lasso(raw: np.ndarray, weight: float) -> float:
    h = reference.normalise_rows(raw)
    return weight * math.fsum(abs(value) for row in h for value in row) / len(h)


def info_nce(positive: np.ndarray, negatives: np.ndarray, temperature: float, epsilon: float = 0.0) -> float:
    total = 0.0
    for s, others in zip(positive, negatives, strict=True):
        top = math.exp((s - epsilon) / temperature)
        total -= math.log(top / (top + math.fsum(math.exp((o + epsilon) / temperature) for o in others)))
    return total / len(positive)
