"""Retrieval between images and captions, and how far pairs stand out, as in Kalibhat, dissertation, Fig.
6.4. No torch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np


def retrieval(images: np.ndarray, texts: np.ndarray, captions: Sequence[str]) -> dict[str, float]:
    """Compute R@1 in both directions, and the mean cosine of pairs and of all others.

    Args:
        images, texts: (n, d) unit rows; row i of both belong together. captions: n; an image whose caption
            is another one's too counts as found by either.
    Returns:
        `text_to_image`, `image_to_text` in [0, 1] (ties count against the query); `diagonal`,
        `off_diagonal` in [-1, 1], the second over pairs with different captions. NaN where there are none.
    """
    names = np.asarray(captions)
    cosine = images @ texts.T
    other = names[:, None] != names[None]
    diagonal = float(np.diag(cosine).mean()) if len(cosine) else float("nan")
    off_diagonal = float(cosine[other].mean()) if other.any() else float("nan")
    return {
        "text_to_image": recall_at(texts, images, 1, captions),
        "image_to_text": recall_at(images, texts, 1, captions),
        "diagonal": diagonal,
        "off_diagonal": off_diagonal,
    }


def recall_at(queries: np.ndarray, targets: np.ndarray, k: int, groups: Sequence[Any] | None = None) -> float:
    """R@k: share of queries whose own target is among the k nearest; row i of both belong together.

    Args:
        queries, targets: (n, d) unit rows.
        groups: (n,) equal entries count as own: a caption shared by two images is right for both.
    Returns:
        in [0, 1]; NaN without rows. Ties are broken against the query.
    """
    if not len(queries):
        return float("nan")
    names = np.arange(len(queries)) if groups is None else np.asarray(groups)
    same_group = names[:, None] == names[None, :]
    cosine = queries @ targets.T
    best_own = np.where(same_group, cosine, -np.inf).max(1)
    better = ((cosine >= best_own[:, None]) & ~same_group).sum(1)
    return float(np.mean(better < k))
