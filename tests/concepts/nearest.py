"""The images nearest to a text that was embedded before."""

from __future__ import annotations

import numpy as np

from core.concepts.search import CLIP_IMAGES, kept_text, most_alike
from core.store import Study


def by_text(
    study: Study, text: str, k: int, *, among: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows and cosines; None if the text is not embedded yet."""
    query = kept_text(study, text)
    return None if query is None else most_alike(study.array(CLIP_IMAGES), query, k, among=among)
