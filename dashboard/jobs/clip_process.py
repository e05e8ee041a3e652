"""The process that keeps the CLIP of a study loaded: the one place of the dashboard that starts it.

The name of a CLIP comes from the study, which may be a stranger's, so trust.py is asked first whether it may
be loaded. The process itself downloads nothing (core/jobs/resident.py). No streamlit.
"""

from dataclasses import dataclass

import numpy as np

from core.errors import ClipError, PeregrineError
from core.jobs import resident
from core.search.resident import KIND, embed_picture, embed_text
from core.search.search import index_facts, tidy
from core.store import Study
from dashboard.jobs.trust import trust_clip

CHANGED = "the CLIP is not the one that embedded the images; prepare the search again"


@dataclass(frozen=True)
class ModelState:
    """State of a resident model: "none" (nothing asks for one), "refused", "loading", "ready", "failed"; why.

    seconds: for how long it has been loading.
    """

    name: str
    why: str = ""
    seconds: float = 0.0


def prepare(study: Study) -> ModelState:
    """Start loading the CLIP of a study's index, unless it is loaded; does not wait."""
    facts = index_facts(study)
    if not facts.clip:
        return ModelState("none")
    if why := trust_clip(study.path, facts.clip):
        return ModelState("refused", why)
    try:
        one = resident.resident(KIND, facts.clip)
    except PeregrineError as error:
        return ModelState("failed", str(error))
    if one.state == "failed":
        return ModelState("failed", one.error)
    if one.fingerprint and one.fingerprint != facts.clip_fingerprint:
        return ModelState("failed", CHANGED)
    return ModelState("ready") if one.fingerprint else ModelState("loading", seconds=one.age)


def text_vector(study: Study, text: str) -> np.ndarray:
    """(d,) float32: what CLIP makes of a text; waits until it is loaded. Raises ClipError."""
    return _sound(study, embed_text(_clip(study), tidy(text)))


def picture_vector(study: Study, picture: bytes) -> tuple[np.ndarray, bytes]:
    """See `embed_picture`, by the CLIP of a study. Raises ClipError, UnreadableImage."""
    vector, preview = embed_picture(_clip(study), picture)
    return _sound(study, vector), preview


def _clip(study: Study) -> str:
    state = prepare(study)
    if state.name not in ("loading", "ready"):
        raise ClipError(state.why or "the images are not embedded with CLIP yet")
    return index_facts(study).clip


def _sound(study: Study, vector: np.ndarray) -> np.ndarray:
    """The vector, if it comes from the CLIP that embedded the images."""
    if prepare(study).why:
        raise ClipError(prepare(study).why)
    return vector
