"""Slow twins of retrieval, recall and the contrastive loss, written from their definitions."""

import math

import numpy as np


def retrieve(crops, captions, k, temperature):
    indices, cosines, logsumexps = [], [], []
    for crop in crops.astype(np.float64):
        cosine = [float(np.dot(crop, caption)) for caption in captions.astype(np.float64)]
        order = sorted(range(len(cosine)), key=lambda place: -cosine[place])[:k]
        indices.append(order)
        cosines.append([cosine[at] for at in order])
        largest = max(cosine)
        logsumexps.append(
            temperature * largest + math.log(math.fsum(math.exp(temperature * (c - largest)) for c in cosine))
        )
    return np.array(indices), np.array(cosines), np.array(logsumexps)


def recall_at(queries, targets, k, groups):
    hits = 0
    for at, query in enumerate(queries):
        best_own = max(float(query @ t) for t, g in zip(targets, groups, strict=True) if g == groups[at])
        others = [float(query @ t) for t, g in zip(targets, groups, strict=True) if g != groups[at]]
        hits += sum(other >= best_own for other in others) < k
    return hits / len(queries)


def contrastive_loss(images, texts, scale, same):
    """Both directions of InfoNCE, entry by entry; captions of the same words are no negatives."""
    n = len(images)
    images = images / np.linalg.norm(images, axis=1, keepdims=True)
    texts = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    losses = []
    for i in range(n):
        positive = scale * float(images[i] @ texts[i])
        to_texts = [
            scale * float(images[i] @ texts[j]) for j in range(len(texts)) if j == i or not same[i, j]
        ]
        to_images = [scale * float(images[j] @ texts[i]) for j in range(n) if j == i or not same[j, i]]
        for others in (to_texts, to_images):
            losses.append(math.log(math.fsum(math.exp(other) for other in others)) - positive)
    return math.fsum(losses) / (2 * n)
