"""Cached searches; the rules are those of `reader.py`."""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.concepts import search
from core.concepts.search import GENERIC, SAMPLE
from core.concepts.search import text_fit as fit_of_text
from core.errors import PeregrineError
from core.measures.slice import Slice
from core.store import Study
from dashboard.cache import reads
from dashboard.cache.reader import cached_read
from dashboard.jobs import resident_models

MOST_FOUND = 240  # images that a search shows
MOST_PICTURES = 200  # uploaded pictures whose vectors are remembered
Found = tuple[np.ndarray, np.ndarray]
_said_of = cached_read(max_entries=64)(search.said_of)
_captioned = cached_read(max_entries=64)(search.captioned)
_of_classes = cached_read(max_entries=64)(search.of_classes)
own_caption = cached_read(max_entries=256)(search.own_caption)


@cached_read(max_entries=64)
def rows_named(study: Study, text: str) -> np.ndarray:
    """See `core.concepts.search`: of all images of the study."""
    return search.rows_named(study.column("images", "image_id"), text)


@dataclass(frozen=True)
class Picture:
    """What is remembered of an uploaded picture: its name, what CLIP made of it, and a small copy."""

    name: str
    clip: str  # fingerprint
    vector: np.ndarray
    preview: bytes = b""  # a JPEG


def by_text(study: Study, text: str, where: Slice, *, captioned: bool = False) -> Found:
    """The images of a slice nearest to a text for CLIP, nearest first; waits for CLIP where it is loading.

    captioned: only those with captions that hold the words, too.
    Raises ClipError: CLIP cannot read it.
    """
    words = search.tidy(text)
    return _nearest(study, text_vector(study, words), where, words if captioned else "")


@cached_read(max_entries=256)
def text_fit(study: Study, text: str, rows: tuple[int, ...]) -> float:
    """See `core.concepts.search`; of the first `rows` that were found. Raises ClipError."""
    vectors = study.array(search.CLIP_IMAGES)
    sample = np.unique(np.linspace(0, len(vectors) - 1, SAMPLE).astype(int))
    generic = np.stack([text_vector(study, one) for one in GENERIC])
    query = text_vector(study, search.tidy(text))
    return fit_of_text(vectors.rows(np.array(rows)), vectors.rows(sample), query, generic)


def by_picture(study: Study, digest: str, where: Slice) -> Found | None:
    """The images of a slice nearest to an uploaded picture; None where it is not remembered for this CLIP."""
    picture = picture_of(study, digest)
    return None if picture is None else _nearest(study, picture.vector, where, "")


def said_of(study: Study, text: str, where: Slice) -> Found:
    """The images of a slice with a crop whose nearest captions hold the words of a text."""
    rows, cosines = _said_of(study, search.tidy(text))
    here = reads.mask(study, where)[rows]
    return rows[here][:MOST_FOUND], cosines[here][:MOST_FOUND]


def captioned(study: Study, text: str, where: Slice) -> Found:
    """The images of a slice whose own caption holds the words of a text; without cosines."""
    return _within(study, _captioned(study, search.tidy(text)), where)


def of_classes(study: Study, text: str, where: Slice) -> Found:
    """The images of a slice whose class has a name with the words of a text; without cosines."""
    return _within(study, _of_classes(study, search.tidy(text)), where)


def _within(study: Study, rows: np.ndarray, where: Slice) -> Found:
    rows = rows[reads.mask(study, where)[rows]][:MOST_FOUND]
    return rows, np.full(len(rows), np.nan, np.float32)


def spaces(study: Study) -> dict[str, str]:
    """Spaces in which images can be compared: their names in words."""
    titles = {"representations": "This encoder"}
    if search.has_index(study):
        titles[search.CLIP_IMAGES] = "CLIP"
    return titles


def is_read(study: Study, text: str) -> bool:
    """Whether the command `search` has kept the vector of a text, so that no CLIP is needed."""
    path = search.text_path(study, text)
    return path is not None and path.is_file()


@cached_read(max_entries=256)
def text_vector(study: Study, text: str) -> np.ndarray:
    """(d,) float32: what the CLIP of the study's index makes of a text."""
    stored = search.kept_text(study, text)
    return resident_models.text_vector(study, text) if stored is None else np.asarray(stored, np.float32)


def keep_picture(study: Study, name: str, data: bytes) -> str:
    """Let CLIP read an uploaded picture and remember its vector; returns the name of it in addresses.

    Raises:
        ClipError, UnreadableImage: one line with what is wrong.
    """
    vector, preview = resident_models.picture_vector(study, data)
    digest = hashlib.sha256(data).hexdigest()[:24]
    clip = search.index_facts(study).clip_fingerprint
    with _pictures_lock():
        pictures = _pictures()
        pictures[digest] = Picture(name[:80], clip, vector, preview)
        pictures.move_to_end(digest)
        while len(pictures) > MOST_PICTURES:
            pictures.popitem(last=False)
    return digest


def picture_of(study: Study, digest: str) -> Picture | None:
    """What is remembered of an uploaded picture, if the CLIP of this study has read it."""
    picture = _pictures().get(digest)
    return picture if picture and picture.clip == search.index_facts(study).clip_fingerprint else None


@cached_read(max_entries=256, spinner="Comparing with every image")
def alike(study: Study, row: int, space: str, k: int, where: Slice | None = None) -> Found:
    """The images most like one of the study, of a slice or of all; empty where it has no vector."""
    among = None if where is None else reads.mask(study, where)
    try:
        return search.like_image(study, row, k, space=space, among=among)
    except PeregrineError:
        return np.empty(0, np.int64), np.empty(0, np.float32)


@cached_read(max_entries=256, spinner="Comparing with every image")
def alike_elsewhere(study: Study, other: Study, row: int, k: int) -> Found:
    """The images most like one of the study for the encoder of another one over the same images.

    Returns:
        rows in the first study, and cosines in the other one; images that only the other has are left out.
    """
    ids = study.image_index()
    there = other.image_index().get_indexer([ids[row]])[0]
    if there < 0:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    rows, cosines = alike(other, int(there), "representations", k)
    here = ids.get_indexer(other.column("images", "image_id").to_numpy()[rows])
    return here[here >= 0].astype(np.int64), cosines[here >= 0]


@cached_read(max_entries=64, spinner="Comparing with every image")
def _nearest(study: Study, vector: np.ndarray, where: Slice, words: str) -> Found:
    """`words`: of captions that an image has to have; "" asks for none."""
    among = reads.mask(study, where)
    if words:
        says = np.zeros(len(among), bool)
        says[_said_of(study, words)[0]] = says[_captioned(study, words)] = True
        among = among & says
    return search.most_alike(study.array(search.CLIP_IMAGES), vector, MOST_FOUND, among=among)


@st.cache_resource
def _pictures() -> OrderedDict[str, Picture]:
    return OrderedDict()


@st.cache_resource
def _pictures_lock() -> threading.Lock:
    return threading.Lock()
