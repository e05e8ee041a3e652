"""The process that keeps the CLIP of a study loaded: the one place of the dashboard that starts it.

The name of a CLIP comes from the study, which may be a stranger's, so trust.py is asked first whether it may
be loaded. The process itself downloads nothing (core/search/resident.py). No streamlit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.errors import ClipError, PeregrineError
from core.search import resident
from core.search.search import index_facts, tidy
from core.store import Study
from dashboard.jobs.trust import trust_clip

CHANGED = "the CLIP is not the one that embedded the images; prepare the search again"


@dataclass(frozen=True)
class ClipState:
    """State of the search by text: "none" (no index), "refused", "loading", "ready" or "failed", and why.

    seconds: for how long it has been loading.
    """

    name: str
    why: str = ""
    seconds: float = 0.0


def prepare(study: Study) -> ClipState:
    """Start loading the CLIP of a study's index, unless it is loaded; does not wait."""
    facts = index_facts(study)
    if not facts:
        return ClipState("none")
    if why := trust_clip(study.path, str(facts.get("clip"))):
        return ClipState("refused", why)
    try:
        one = resident.resident(str(facts["clip"]))
    except PeregrineError as error:
        return ClipState("failed", str(error))
    if one.state == "failed":
        return ClipState("failed", one.error)
    if one.fingerprint and one.fingerprint != facts.get("clip_fingerprint"):
        return ClipState("failed", CHANGED)
    return ClipState("ready") if one.fingerprint else ClipState("loading", seconds=one.age)


def text_vector(study: Study, text: str) -> np.ndarray:
    """(d,) float32: what CLIP makes of a text; waits until it is loaded. Raises ClipError."""
    return _sound(study, resident.embed_text(_clip(study), tidy(text)))


def picture_vector(study: Study, picture: bytes) -> np.ndarray:
    """Embed an encoded picture, which is stored nowhere. Raises ClipError, UnreadableImage."""
    return _sound(study, resident.embed_picture(_clip(study), picture))


def _clip(study: Study) -> str:
    state = prepare(study)
    if state.name not in ("loading", "ready"):
        raise ClipError(state.why or "the images are not embedded with CLIP yet")
    return str(index_facts(study)["clip"])


def _sound(study: Study, vector: np.ndarray) -> np.ndarray:
    """The vector, if it comes from the CLIP that embedded the images."""
    if prepare(study).why:
        raise ClipError(prepare(study).why)
    return vector
