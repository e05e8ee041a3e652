"""Slow twins of naming by majority: plain loops written from docs/method.md 6.12."""

from __future__ import annotations

import math


def masses(cosine, captions, temperature):
    """cosine[q][p]; captions[q][p] is the set of words of a caption, None for none: word -> mass by image."""
    parts_of = {}
    for q, (row, texts) in enumerate(zip(cosine, captions, strict=True)):
        powers = [
            math.exp(temperature * c) if t is not None else 0.0 for c, t in zip(row, texts, strict=True)
        ]
        total = math.fsum(powers)
        for power, text in zip(powers, texts, strict=True):
            for word in text or ():
                parts_of.setdefault(word, {}).setdefault(q, []).append(power / total)
    return {word: {q: math.fsum(parts) for q, parts in by.items()} for word, by in parts_of.items()}


def split(values):
    """Smallest number of the upper group and its mean, by trying every border between different numbers."""
    best, best_split = -1.0, None
    for limit in sorted(set(values))[1:]:
        low, high = [v for v in values if v < limit], [v for v in values if v >= limit]
        gap = math.fsum(high) / len(high) - math.fsum(low) / len(low)
        between = len(low) * len(high) * gap**2
        if between > best * (1 + 1e-12):
            best, best_split = between, (limit, math.fsum(high) / len(high))
    return best_split


def shown(cosine, captions, temperature, least_mass):
    """word -> the images that show it."""
    n, holders = len(cosine), {}
    for word, by in masses(cosine, captions, temperature).items():
        values = [by.get(q, 0.0) for q in range(n)]
        border = split(values)
        if border and border[1] >= least_mass:
            holders[word] = {q for q in range(n) if values[q] >= border[0]}
    return holders


def kept(cosine, captions, temperature, positions, *, least_mass=0.3, least=0.45, most=0.5):
    """word -> (share of its images, share of the others) of the words that name a feature."""
    n, of_feature = len(cosine), set(positions)
    others = [q for q in range(n) if q not in of_feature]
    named = {}
    for word, holders in shown(cosine, captions, temperature, least_mass).items():
        inside = sum(q in holders for q in of_feature) / len(of_feature)
        outside = sum(q in holders for q in others) / len(others) if others else math.nan
        if inside >= least and not outside >= most:
            named[word] = (inside, outside)
    return named
