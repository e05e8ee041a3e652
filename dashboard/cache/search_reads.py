"""Cached searches; the rules are those of `reader.py`."""

from __future__ import annotations

import numpy as np

from core.errors import PeregrineError
from core.search import search
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import reads
from dashboard.cache.reader import cached_read

MOST_FOUND = 240  # images that a search shows
Found = tuple[np.ndarray, np.ndarray]


def by_text(study: Study, text: str, where: Slice) -> Found | None:
    """The images of a slice nearest to a text for CLIP, with cosines; None: CLIP has not read it yet."""
    path = search.text_path(study, text)
    if path is None or not path.exists():
        return None
    return _by_text(study, search.tidy(text), where, path.stat().st_mtime_ns)


def said_of(study: Study, text: str, where: Slice) -> Found:
    """The images of a slice with a crop whose nearest captions hold the words of a text."""
    rows, cosines = _said_of(study, search.tidy(text))
    here = reads.mask(study, where)[rows]
    return rows[here][:MOST_FOUND], cosines[here][:MOST_FOUND]


def spaces(study: Study) -> dict[str, str]:
    """Spaces in which images can be compared: their names in words."""
    found = {"representations": "This encoder"}
    if study.has(search.CLIP_IMAGES):
        found[search.CLIP_IMAGES] = "CLIP"
    return found


@cached_read(max_entries=256, spinner="Comparing with every image")
def alike(study: Study, row: int, space: str, k: int) -> Found:
    """The images most like one of the study; empty where it has no vector."""
    try:
        return search.like_image(study, row, k, space=space)
    except PeregrineError:
        return np.empty(0, np.int64), np.empty(0, np.float32)


@cached_read(max_entries=64, spinner="Comparing the text with every image")
def _by_text(study: Study, text: str, where: Slice, embedded: int) -> Found | None:
    """`embedded`: when CLIP read the text, which is no part of the study."""
    return search.by_text(study, text, MOST_FOUND, among=reads.mask(study, where))


@cached_read(max_entries=64)
def _said_of(study: Study, text: str) -> Found:
    return search.said_of(study, text)
