"""Cached searches; the same rules as in `loaders.py`."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.errors import PeregrineError
from core.search import search
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import reads

MOST_FOUND = 240  # images that a search shows
Found = tuple[np.ndarray, np.ndarray]


def by_text(study: Study, text: str, where: Slice) -> Found | None:
    """The images of a slice nearest to a text for CLIP, with cosines; None: CLIP has not read it yet."""
    path = search.text_path(study, text)
    if path is None or not path.exists():
        return None
    return _by_text(study.key, search.tidy(text), where.to_json(), path.stat().st_mtime_ns, _study=study)


def said_of(study: Study, text: str, where: Slice) -> Found:
    """The images of a slice with a crop whose nearest captions hold the words of a text."""
    rows, cosines = _said_of(study.key, search.tidy(text), _study=study)
    here = reads.mask(study, where)[rows]
    return rows[here][:MOST_FOUND], cosines[here][:MOST_FOUND]


def spaces(study: Study) -> dict[str, str]:
    """Spaces in which images can be compared: their names in words."""
    found = {"representations": "This encoder"}
    if study.has(search.CLIP_IMAGES):
        found[search.CLIP_IMAGES] = "CLIP"
    return found


def alike(study: Study, row: int, space: str, k: int) -> Found:
    """The images most like one of the study; empty where it has no vector."""
    return _alike(study.key, row, space, k, _study=study)


@st.cache_resource(max_entries=64, show_spinner="Comparing the text with every image")
def _by_text(key: str, text: str, where: str, stamp: int, *, _study: Study) -> Found | None:
    return search.by_text(_study, text, MOST_FOUND, among=reads.mask(_study, Slice.from_json(where)))


@st.cache_resource(max_entries=64, show_spinner=False)
def _said_of(key: str, text: str, *, _study: Study) -> Found:
    return search.said_of(_study, text)


@st.cache_resource(max_entries=256, show_spinner="Comparing with every image")
def _alike(key: str, row: int, space: str, k: int, *, _study: Study) -> Found:
    try:
        return search.like_image(_study, row, k, space=space)
    except PeregrineError:
        return np.empty(0, np.int64), np.empty(0, np.float32)
