"""Slow twins of the numeric functions: plain loops written from METHOD.md and the papers."""

from __future__ import annotations

import itertools
import math

import numpy as np


def normalise_rows(raw: np.ndarray) -> np.ndarray:
    rows = []
    for row in np.asarray(raw, np.float64):
        norm = math.sqrt(math.fsum(value * value for value in row))
        rows.append([value / max(norm, 1e-12) for value in row])
    return np.array(rows).reshape(np.shape(raw))


def row_moments(row: np.ndarray) -> tuple[float, float]:
    values = [float(value) for value in row]
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / len(values)
    return mean, math.sqrt(variance)


def highly_activating(h: np.ndarray, epsilon: float) -> np.ndarray:
    firing = np.zeros(np.shape(h), bool)
    for i, row in enumerate(np.asarray(h, np.float64)):
        mean, std = row_moments(row)
        if row.max() == row.min():
            continue
        for j, value in enumerate(row):
            firing[i, j] = value > mean + epsilon * std
    return firing


def activation_rate(firing: np.ndarray) -> np.ndarray:
    n_images, n_features = firing.shape
    return np.array([100.0 * sum(bool(firing[i, j]) for i in range(n_images)) / n_images
                     for j in range(n_features)])  # fmt: skip


def percentile(values: np.ndarray, q: float) -> float:
    ordered = sorted(float(value) for value in values)
    place = q / 100.0 * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def discriminative_features(rate: np.ndarray, low: float, high: float) -> np.ndarray:
    bottom, top = percentile(rate, low), percentile(rate, high)
    return np.array([bottom <= a <= top and a > 0 for a in rate])


def q_score(h: np.ndarray, discriminative: np.ndarray, epsilon: float) -> np.ndarray:
    firing = highly_activating(h, epsilon)
    scores = []
    for i, row in enumerate(np.asarray(h, np.float64)):
        mean, _ = row_moments(row)
        excess = [row[j] - mean for j in range(len(row)) if firing[i, j] and discriminative[j]]
        scores.append(math.fsum(excess) / len(excess) if excess else 0.0)
    return np.array(scores)


def hoyer(row: np.ndarray) -> float:
    l1 = math.fsum(abs(float(value)) for value in row)
    l2 = math.sqrt(math.fsum(float(value) ** 2 for value in row))
    root = math.sqrt(len(row))
    return (root - l1 / l2) / (root - 1) if l2 else math.nan


def near_zero_share(raw: np.ndarray, threshold: float) -> np.ndarray:
    shares = []
    for row in raw:
        peak = max(row)
        shares.append(sum(value < threshold * peak for value in row) / len(row) if peak > 0 else 1.0)
    return np.array(shares)


def firing_by_class(firing: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    counts = np.zeros((firing.shape[1], n_classes), int)
    for i, label in enumerate(labels):
        for j in range(firing.shape[1]):
            counts[j, label] += firing[i, j]
    return counts


def top_images(h: np.ndarray, k: int) -> np.ndarray:
    """Rows of each feature's largest positive values, ties by row, padded with -1."""
    found = np.full((h.shape[1], k), -1)
    for j in range(h.shape[1]):
        order = sorted((-value, i) for i, value in enumerate(h[:, j]) if value > 0)[:k]
        for place, (_, i) in enumerate(order):
            found[j, place] = i
    return found


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    wins = pairs = 0.0
    for s, p in zip(score, positive, strict=True):
        for t, q in zip(score, positive, strict=True):
            if p and not q:
                pairs += 1
                wins += 1.0 if s > t else 0.5 if s == t else 0.0
    return wins / pairs if pairs else math.nan


def average_precision(score: np.ndarray, positive: np.ndarray) -> float:
    total, area, recall = sum(positive), 0.0, 0.0
    for threshold in sorted(set(score), reverse=True):
        chosen = [p for s, p in zip(score, positive, strict=True) if s >= threshold]
        area += (sum(chosen) / total - recall) * sum(chosen) / len(chosen)
        recall = sum(chosen) / total
    return area


def aurc_of_order(correct: list[bool]) -> float:
    risks, wrong = [], 0
    for k, right in enumerate(correct, start=1):
        wrong += not right
        risks.append(wrong / k)
    return sum(risks) / len(risks)


def aurc(score: np.ndarray, correct: np.ndarray) -> float:
    """Mean over every order of the images that sorts the scores: only for a handful of images."""
    items = list(zip(score, correct, strict=True))
    orders = [
        order
        for order in itertools.permutations(items)
        if all(first[0] >= second[0] for first, second in itertools.pairwise(order))
    ]
    return sum(aurc_of_order([bool(right) for _, right in order]) for order in orders) / len(orders)


def nearest(val: np.ndarray, train: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and cosines of the k most similar train rows of each val row."""
    val, train = normalise_rows(val), normalise_rows(train)
    places, cosines = [], []
    for row in val:
        similarity = [math.fsum(a * b for a, b in zip(row, other, strict=True)) for other in train]
        order = sorted(range(len(train)), key=lambda i: (-similarity[i], i))[:k]
        places.append(order)
        cosines.append([similarity[i] for i in order])
    return np.array(places), np.array(cosines)


def rankme(raw: np.ndarray) -> float:
    singular = np.linalg.svd(np.asarray(raw, np.float64), compute_uv=False)
    total = math.fsum(singular)
    return math.exp(-math.fsum((s / total) * math.log(s / total) for s in singular if s > 0))


def logits(raw: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return np.array([[math.fsum(u * v for u, v in zip(row, w, strict=True)) + b
                      for w, b in zip(weights, bias, strict=True)] for row in raw])  # fmt: skip


def group_means(raw: np.ndarray, code: np.ndarray, correct: np.ndarray, n_classes: int) -> np.ndarray:
    """(2, n_classes, n_features): mean normalised row of the correct and of the misclassified images."""
    h = normalise_rows(raw)
    means = np.full((2, n_classes, h.shape[1]), np.nan)
    for verdict in (True, False):
        for label in range(n_classes):
            rows = [h[i] for i in range(len(h)) if code[i] == label and bool(correct[i]) == verdict]
            for j in range(h.shape[1]):
                if rows:
                    means[0 if verdict else 1, label, j] = math.fsum(row[j] for row in rows) / len(rows)
    return means


def sparsity_curve(raw: np.ndarray) -> list[float]:
    """Mean over images of the activations of an image, largest first."""
    ordered = [sorted((float(value) for value in row), reverse=True) for row in normalise_rows(raw)]
    return [math.fsum(row[place] for row in ordered) / len(ordered) for place in range(len(ordered[0]))]


def overlap(heat: np.ndarray, mask: np.ndarray, threshold: float) -> dict[str, float]:
    """The four overlaps of one image, pixel by pixel (METHOD 5)."""
    shared_heat = joined_heat = heat_sum = mask_sum = lower = upper = product = 0.0
    shared = joined = region = 0
    for g, m in zip(np.ravel(heat).tolist(), np.ravel(mask).tolist(), strict=True):
        looked, marked = g >= threshold, m >= 0.5
        region += marked
        if looked and marked:
            shared, shared_heat = shared + 1, shared_heat + g
        if looked or marked:
            joined, joined_heat = joined + 1, joined_heat + g
        heat_sum, mask_sum, product = heat_sum + g, mask_sum + m, product + g * m
        lower, upper = lower + min(g, m), upper + max(g, m)
    nan = math.nan
    has_region, has_mask = heat_sum > 0 and region > 0, heat_sum > 0 and mask_sum > 0
    return {
        "paper": (shared_heat / joined_heat if joined_heat else 0.0) if has_region else nan,
        "binary": shared / joined if has_region else nan,
        "soft": lower / upper if has_mask else nan,
        "energy": product / heat_sum if has_mask else nan,
    }


def mean_of_rows(values: np.ndarray, rows: np.ndarray) -> list[float]:
    """Mean of each column over the given rows (with repetition), NaN entries left out."""
    means = []
    for column in np.transpose(values):
        known = [float(column[row]) for row in rows if not math.isnan(column[row])]
        means.append(math.fsum(known) / len(known) if known else math.nan)
    return means
