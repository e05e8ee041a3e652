"""Representations in which it is known what tells the class and what the domain."""

from __future__ import annotations

import numpy as np

from core.research.domains_parts import DomainImages

K = 4


def planted(n: int = 360, *, leak: float = 0.0, seed: int = 0) -> DomainImages:
    """Three domains and four classes: the prefix of 4 tells the domain, the rest of 12 the class.

    leak: how strongly the rest tells the domain, too. Two thirds of the images are train images.
    """
    rng = np.random.default_rng(seed)
    classes, domains = rng.integers(0, 4, n), np.arange(n) % 3
    raw = rng.normal(scale=0.3, size=(n, 16))
    raw[:, :K] += 2 * np.eye(4)[domains]
    raw[:, K : K + 4] += 2 * np.eye(4)[classes]
    raw[:, 12:] += leak * np.eye(4)[domains]
    is_val = rng.permutation(n) >= 2 * n // 3
    names = ("bird", "cat", "dog", "fox"), ("mono", "plain", "sketch")
    return DomainImages(raw.astype(np.float32), classes, domains, is_val, *names)
