"""Slow twins of the scores of docs/method.md 2.2 and 2.7: plain loops written from the papers' formulas."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats


def column_moments(rows: np.ndarray) -> tuple[list[float], list[float]]:
    means, stds = [], []
    for j in range(rows.shape[1]):
        values = [float(row[j]) for row in rows]
        mean = math.fsum(values) / len(values)
        means.append(mean)
        stds.append(math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values)))
    return means, stds


def distinctiveness(rows: np.ndarray, mean: list[float], std: list[float]) -> np.ndarray:
    scores = []
    for row in rows:
        squares = [((row[j] - mean[j]) / std[j]) ** 2 for j in range(len(row)) if std[j] > 1e-12]
        scores.append(math.fsum(squares) / len(squares) if squares else math.nan)
    return np.array(scores)


def soft_q(rows: np.ndarray, mean: list[float], std: list[float], threshold: float) -> np.ndarray:
    scores = []
    for row in rows:
        excess = [
            max(0.0, (row[j] - mean[j]) / std[j] - threshold) for j in range(len(row)) if std[j] > 1e-12
        ]
        scores.append(math.fsum(excess) / len(excess) if excess else math.nan)
    return np.array(scores)


def logit_interval(area: float, error: float, n: int) -> tuple[float, float]:
    """logit A -+ t s / (A (1 - A)) with t of n - 1 degrees of freedom, back from the logit."""
    if not 0 < area < 1:
        return area, area
    half = float(stats.t.ppf(0.975, n - 1)) * error / (area * (1 - area))
    centre = math.log(area / (1 - area))
    return 1 / (1 + math.exp(half - centre)), 1 / (1 + math.exp(-half - centre))


def covariance(rows: np.ndarray) -> tuple[list[float], np.ndarray]:
    """Means, and the population covariance, entry by entry."""
    means, _ = column_moments(rows)
    r = rows.shape[1]
    found = np.zeros((r, r))
    for j in range(r):
        for k in range(r):
            products = [(float(row[j]) - means[j]) * (float(row[k]) - means[k]) for row in rows]
            found[j, k] = math.fsum(products) / len(rows)
    return means, found


def singular_axes(train: np.ndarray) -> tuple[np.ndarray, list[tuple[float, np.ndarray]]]:
    """The mean, and (variance, axis) by falling variance, from an SVD of the centred rows."""
    mean = np.array(column_moments(train)[0])
    _, singular, axes = np.linalg.svd(np.array([row - mean for row in train]), full_matrices=False)
    return mean, [(s * s / len(train), axis) for s, axis in zip(singular, axes, strict=True) if s > 1e-9]


def _count_for(variances: list[float], share: float) -> int:
    total, so_far = math.fsum(variances), 0.0
    for k, value in enumerate(variances, 1):
        so_far += value
        if so_far >= share * total * (1 - 1e-12):
            return k
    raise AssertionError


def pca_residual(rows: np.ndarray, train: np.ndarray, share: float) -> np.ndarray:
    mean, found = singular_axes(train)
    k, scores = _count_for([variance for variance, _ in found], share), []
    for row in rows:
        away = row - mean
        left = away.copy()
        for _, axis in found[:k]:
            left = left - (away @ axis) * axis
        scores.append((left @ left) / (away @ away))
    return np.array(scores)


def whitened_norm(rows: np.ndarray, train: np.ndarray, k: int) -> np.ndarray:
    mean, found = singular_axes(train)
    return np.array(
        [
            math.sqrt(math.fsum(((row - mean) @ axis) ** 2 / variance for variance, axis in found[:k]))
            for row in rows
        ]
    )


def _softmax(z: np.ndarray) -> list[float]:
    powers = [math.exp(float(value) - float(max(z))) for value in z]
    return [power / math.fsum(powers) for power in powers]


def gen(logits: np.ndarray, gamma: float, top: int) -> np.ndarray:
    scores = []
    for z in logits:
        p = sorted(_softmax(z), reverse=True)
        others = [math.fsum(p[:c] + p[c + 1 :]) for c in range(len(p))]
        scores.append(-math.fsum(p[c] ** gamma * others[c] ** gamma for c in range(min(top, len(p)))))
    return np.array(scores)


def nnguide(energy: np.ndarray, train: list[list[tuple[float, float]]], k: int) -> np.ndarray:
    """train: (energy, cosine) of every train image, for each image; NaN where there are fewer than k."""
    if any(len(row) < k for row in train):
        return np.full(len(energy), np.nan)
    return np.array(
        [
            own * math.fsum(sorted((other * cosine for other, cosine in row), reverse=True)[:k]) / k
            for own, row in zip(energy, train, strict=True)
        ]
    )


def fdbd(weights: np.ndarray, bias: np.ndarray, raw: np.ndarray, mean: np.ndarray) -> np.ndarray:
    scores = []
    for x in raw:
        z = [float(w @ x + b) for w, b in zip(weights, bias, strict=True)]
        first = z.index(max(z))
        distances = [
            abs(float((weights[first] - weights[c]) @ x + bias[first] - bias[c]))
            / math.dist(weights[first], weights[c])
            for c in range(len(z))
            if c != first
        ]
        scores.append(math.fsum(distances) / len(distances) / math.dist(x, mean))
    return np.array(scores)


def she(
    raw: np.ndarray, predicted: np.ndarray, train: np.ndarray, labels: np.ndarray, right: np.ndarray
) -> np.ndarray:
    scores = []
    for x, c in zip(raw, predicted, strict=True):
        stored = [row for row, label, ok in zip(train, labels, right, strict=True) if label == c and ok]
        pattern = [math.fsum(row[j] for row in stored) / len(stored) for j in range(len(x))] if stored else []
        scores.append(math.fsum(a * b for a, b in zip(x, pattern, strict=True)) if pattern else math.nan)
    return np.array(scores)


def vim_residual(
    raw: np.ndarray, weights: np.ndarray, bias: np.ndarray, train: np.ndarray, kept: int
) -> np.ndarray:
    """From an SVD of the train rows around the least-squares solution of W o = - b."""
    origin = np.linalg.lstsq(weights, -bias, rcond=None)[0]
    _, singular, axes = np.linalg.svd(train - origin, full_matrices=True)
    kept = min(kept, sum(value > 1e-5 * singular[0] for value in singular))
    scores = []
    for x in raw:
        left = x - origin
        for axis in axes[:kept]:
            left = left - (left @ axis) * axis
        scores.append(-math.sqrt(math.fsum(value * value for value in left)))
    return np.array(scores)


def auroc_within(score: np.ndarray, correct: np.ndarray, group: np.ndarray) -> float:
    wins = pairs = 0.0
    for i in range(len(score)):
        for k in range(len(score)):
            if group[i] == group[k] and correct[i] == 1 and correct[k] == 0:
                pairs += 1
                wins += 1.0 if score[i] > score[k] else 0.5 if score[i] == score[k] else 0.0
    return wins / pairs if pairs else math.nan


def newcombe_area(area: float, m: int, n: int) -> list[float]:
    """Newcombe (2006), method 5, from the variance of Hanley and McNeil (1982): in place of m - 1 and n - 1
    stands the mean of both."""

    def apart(t: float) -> float:
        between, others = t / (2 - t) - t * t, 2 * t * t / (1 + t) - t * t
        variance = (t * (1 - t) + ((m + n) / 2 - 1) * (between + others)) / (m * n)
        return abs(area - t) - 1.959963984540054 * math.sqrt(max(variance, 0.0))

    ends = []
    for edge in (0.0, 1.0):
        near, far = area, edge
        while abs(near - far) > 1e-13:
            middle = (near + far) / 2
            near, far = (middle, far) if apart(middle) <= 0 else (near, middle)
        ends.append(near)
    return ends


def delong_difference(first: np.ndarray, second: np.ndarray, positive: np.ndarray) -> list[float]:
    parts = []
    for score in (first, second):
        up, down = score[positive], score[~positive]
        wins = [[1.0 if u > d else 0.5 if u == d else 0.0 for d in down] for u in up]
        x = [sum(row) / len(down) for row in wins]
        parts.append((x, [sum(column) / len(up) for column in zip(*wins, strict=True)]))
    (x_1, y_1), (x_2, y_2) = parts
    x = [a - b for a, b in zip(x_1, x_2, strict=True)]
    y = [a - b for a, b in zip(y_1, y_2, strict=True)]
    ahead = math.fsum(x) / len(x)
    half = 1.959963984540054 * math.sqrt(np.var(x, ddof=1) / len(x) + np.var(y, ddof=1) / len(y))
    return [ahead, ahead - half, ahead + half]
