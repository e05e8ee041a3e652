"""Slow twins of `core/concepts`: plain loops written from docs/method.md 6 and the paper."""

from __future__ import annotations

import itertools
import math
from collections import deque

import numpy as np


def alpha_of(h: np.ndarray, k: float) -> float:
    entries = [float(value) for row in h for value in row]
    mean = math.fsum(entries) / len(entries)
    variance = math.fsum((value - mean) ** 2 for value in entries) / len(entries)
    return mean + k * math.sqrt(variance)


def activating_sets(h: np.ndarray, alpha: float) -> list[list[int]]:
    """T_i of each feature."""
    n_images, n_features = h.shape
    return [[q for q in range(n_images) if h[q, i] > alpha] for i in range(n_features)]


def auto_k(h: np.ndarray, candidates: list[float], share: float, min_images: int) -> float:
    counts = {}
    for k in sorted(candidates, reverse=True):
        counts[k] = sum(len(rows) > min_images for rows in activating_sets(h, alpha_of(h, k)))
        if counts[k] >= share * h.shape[1] and counts[k] > 0:
            return k
    return max(counts, key=lambda k: (counts[k], k))


def feature_crop(heat: np.ndarray, threshold: float) -> tuple[int, int, int, int] | None:
    height, width = heat.shape
    seen: set[tuple[int, int]] = set()
    best: list[tuple[int, int]] = []
    for y, x in itertools.product(range(height), range(width)):
        if (y, x) in seen or not heat[y, x] >= threshold:
            continue
        region, queue = [], deque([(y, x)])
        seen.add((y, x))
        while queue:
            a, b = queue.popleft()
            region.append((a, b))
            for c, d in ((a + 1, b), (a - 1, b), (a, b + 1), (a, b - 1)):
                inside = 0 <= c < height and 0 <= d < width
                if inside and (c, d) not in seen and heat[c, d] >= threshold:
                    seen.add((c, d))
                    queue.append((c, d))
        if len(region) > len(best):
            best = region
    if not best:
        return None
    ys, xs = [y for y, _ in best], [x for _, x in best]
    return min(xs), min(ys), max(xs) + 1, max(ys) + 1


def word_scores(words, confidence) -> dict[str, float]:
    """words[q][p] is the list of words of caption p of crop q."""
    vocabulary = {word for captions in words for caption in captions for word in caption}
    scores = {}
    for word in vocabulary:
        total = 0.0
        for q, captions in enumerate(words):
            total += max(confidence[q][p] if word in caption else 0.0 for p, caption in enumerate(captions))
        scores[word] = total / len(words)
    return scores


def counterfactuals(
    h: np.ndarray, features: list[int], rows: list[int], beta: float, n: int
) -> list[tuple[int, float]]:
    n_images, n_features = h.shape
    others = [j for j in range(n_features) if j not in features]
    mean = [math.fsum(float(h[q, j]) for q in range(n_images)) / n_images for j in range(n_features)]
    target = [math.fsum(float(h[q, j]) for q in rows) / len(rows) for j in range(n_features)]
    pairs = []
    for q in range(n_images):
        dot = math.fsum(float(h[q, j]) * target[j] for j in others)
        if all(h[q, i] < mean[i] for i in features) and dot >= beta:
            pairs.append((q, dot))
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:n]


def groups(highly: np.ndarray) -> dict[tuple[int, ...], list[int]]:
    """Algorithm 1: images by their non-empty set of highly activating features."""
    rows_of: dict[tuple[int, ...], list[int]] = {}
    for q, row in enumerate(highly):
        features = tuple(j for j, high in enumerate(row) if high)
        if features:
            rows_of.setdefault(features, []).append(q)
    return rows_of


def mean_pairwise_cosine(embeddings: np.ndarray, diagonal: bool) -> float:
    values = [
        float(np.dot(a.astype(np.float64), b.astype(np.float64)))
        for i, a in enumerate(embeddings)
        for j, b in enumerate(embeddings)
        if diagonal or i != j
    ]
    return math.fsum(values) / len(values) if values else math.nan


def failure_contributions(raw: np.ndarray, weights: np.ndarray, classes: np.ndarray) -> np.ndarray:
    out = np.zeros(raw.shape)
    for i, y in enumerate(classes):
        for j in range(raw.shape[1]):
            out[i, j] = float(raw[i, j]) * float(weights[y, j])
    return out


def ridge(target: np.ndarray, source: np.ndarray, penalty: float) -> np.ndarray:
    """Z (r_source, r_target) minimising mean_q ||source_q - Z target_q||^2 + penalty ||Z||^2, row by row."""
    n, r = target.shape
    rows = []
    for s in range(source.shape[1]):
        design = np.vstack([target / math.sqrt(n), math.sqrt(penalty) * np.eye(r)])
        targets = np.concatenate([source[:, s] / math.sqrt(n), np.zeros(r)])
        rows.append(np.linalg.lstsq(design, targets, rcond=None)[0])
    return np.array(rows)


def sgd_map(target: np.ndarray, source: np.ndarray, batches: list[np.ndarray], lr: float) -> np.ndarray:
    """Plain steps from zero on ||Z target_q - source_q||^2, averaged over the images q of a batch."""
    z = np.zeros((source.shape[1], target.shape[1]))
    for batch in batches:
        gradient = np.zeros_like(z)
        for q in batch:
            error = z @ target[q] - source[q]
            for s in range(len(error)):
                gradient[s] += 2 * error[s] * target[q] / len(batch)
        z -= lr * gradient
    return z


def pooled(ranked: dict[str, list[str]], related: dict[str, set[str]], k: int) -> tuple[float, float]:
    """Count words one by one: related among the first k, shown among the first k, related among the six."""
    hits = n_listed = everything = 0
    for group in ranked:
        for rank, word in enumerate(ranked[group], start=1):
            if rank <= k:
                n_listed += 1
                hits += word in related[group]
            if rank <= 6:
                everything += word in related[group]
    return (hits / n_listed if n_listed else math.nan, hits / everything if everything else math.nan)


def precision_recall(ranked: list[str], related: set[str], k: int) -> tuple[float, float]:
    first = ranked[:k]
    hits = len([word for word in first if word in related])
    return (hits / len(first) if first else math.nan, hits / len(related) if related else math.nan)


def soft_wpmi(
    probabilities: np.ndarray, activations: np.ndarray, top_k: int, lam: float, p_start: float, p_end: float
) -> np.ndarray:
    """(n_units, n_words) of CLIP-Dissect's score; see `evaluate.soft_wpmi`."""
    n_images, n_words = probabilities.shape
    n_units = activations.shape[1]
    given = np.zeros((n_units, n_words))
    for unit in range(n_units):
        order = sorted(range(n_images), key=lambda q: (-activations[q, unit], q))[:top_k]
        for rank, q in enumerate(order):
            weight = p_start - rank / len(order) * (p_start - p_end)
            for w in range(n_words):
                given[unit, w] += math.log(1 + weight * (probabilities[q, w] - 1) + 1e-7)
    for w in range(n_words):
        prior = math.log(math.fsum(math.exp(given[unit, w]) for unit in range(n_units)) / n_units)
        for unit in range(n_units):
            given[unit, w] = given[unit, w] - lam * prior
    return given


def pairwise_agreement(answers: list[list[bool]]) -> float:
    """Share of pairs of workers that agree, over all items; answers[item] is one bool a worker."""
    agree = total = 0
    for votes in answers:
        for a, b in itertools.combinations(votes, 2):
            agree += a == b
            total += 1
    return agree / total if total else math.nan


def fleiss_kappa(answers: list[list[bool]]) -> float:
    n = len(answers[0])
    p_item = []
    yes = 0
    for votes in answers:
        ups = sum(votes)
        yes += ups
        p_item.append((ups * (ups - 1) + (n - ups) * (n - ups - 1)) / (n * (n - 1)))
    share = yes / (n * len(answers))
    chance = share**2 + (1 - share) ** 2
    observed = sum(p_item) / len(p_item)
    return (observed - chance) / (1 - chance) if chance < 1 else math.nan
