"""The processes that keep a study's CLIP and encoder loaded; the dashboard starts them only here."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.analysis.predictor import Predictor, of_outputs
from core.answers.class_logits import Classifier
from core.common.step_facts import EmbedFacts
from core.concepts.search import KIND, embed_picture, embed_text, index_facts, tidy
from core.config import ENCODER_SETTINGS
from core.errors import ClipError, EncoderError, PeregrineError
from core.pictures.seen import EPSILON, Alteration, Glance, how_to_see
from core.store import Study
from core.study import resident
from core.study.uploads import HEAD, check_picture
from dashboard.jobs.trust import trust_clip, trust_encoder

# The process that keeps the CLIP of a study loaded: the one place of the dashboard that starts it.
#
# The name of a CLIP comes from the study, which may be a stranger's, so trust.py is asked first whether it
# may be loaded. The process itself downloads nothing (core/study/resident.py). No streamlit.


CLIP_CHANGED = "the CLIP is not the one that embedded the images; prepare the search again"


@dataclass(frozen=True)
class ModelState:
    """State of a resident model: "none" (nothing asks for one), "refused", "loading", "ready", "failed"; why.

    seconds: for how long it has been loading.
    """

    name: str
    why: str = ""
    seconds: float = 0.0


def prepare_clip(study: Study) -> ModelState:
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
        return ModelState("failed", CLIP_CHANGED)
    return ModelState("ready") if one.fingerprint else ModelState("loading", seconds=one.age)


def text_vector(study: Study, text: str) -> np.ndarray:
    """(d,) float32: what CLIP makes of a text; waits until it is loaded. Raises ClipError."""
    return _sound(study, embed_text(_clip(study), tidy(text)))


def picture_vector(study: Study, picture: bytes) -> tuple[np.ndarray, bytes]:
    """See `embed_picture`, by the CLIP of a study. Raises ClipError, UnreadableImage."""
    vector, preview = embed_picture(_clip(study), picture)
    return _sound(study, vector), preview


def _clip(study: Study) -> str:
    state = prepare_clip(study)
    if state.name not in ("loading", "ready"):
        raise ClipError(state.why or "the images are not embedded with CLIP yet")
    return index_facts(study).clip


def _sound(study: Study, vector: np.ndarray) -> np.ndarray:
    """The vector, if it comes from the CLIP that embedded the images."""
    if prepare_clip(study).why:
        raise ClipError(prepare_clip(study).why)
    return vector


# The process that keeps the encoder of a study loaded, and what it sees in a picture.
#
# The encoder's name comes from the study, which may be a stranger's, so trust.py is asked first whether it
# may be loaded. The process writes nothing and downloads nothing (core/study/resident.py). No streamlit.


ENCODER = "encoder"
PACKAGED = "asset:efficientnet_lite0"  # knows photographs; asked where there is no study
ENCODER_CHANGED = "the encoder is not the one that this study was made with; run its step embed again"
GIVEN = "this study was made of ready representations, so there is no encoder to look at a picture"


def prepare_encoder(study: Study | None) -> ModelState:
    """Start loading the encoder of a study (None: the packaged one) unless it is loaded; does not wait."""
    if study is not None and (why := _why_not(study)):
        return ModelState("refused", why)
    try:
        one = resident.resident(ENCODER, _model(study), name=_name(study))
    except PeregrineError as error:
        return ModelState("failed", str(error))
    if one.state == "failed":
        return ModelState("failed", one.error)
    made_with = None if study is None else study.facts(EmbedFacts).encoder.fingerprint
    if one.fingerprint and study is not None and one.fingerprint != made_with:
        return ModelState("failed", ENCODER_CHANGED)
    return ModelState("ready") if one.fingerprint else ModelState("loading", seconds=one.age)


def see(
    study: Study | None, picture: bytes, alteration: Alteration, features: tuple[int, ...] = ()
) -> Glance:
    """What the encoder of a study sees in an encoded picture, which is written nowhere; waits until it is
    loaded.

    Args:
        features: whose heatmaps are wanted, where not those of all come at once.
    Raises:
        UnreadableImage: not a picture of an accepted format. EncoderError: one line with what is wrong.
    """
    check_picture(picture[:HEAD], len(picture))
    how = {"epsilon": EPSILON, "dtype": "float32"} if study is None else how_to_see(study)
    request = {**how, "crop": alteration.crop, "covered": alteration.covered, "features": features or None}
    if study is not None and study.has("head_logits"):
        request["logits"] = True
    seen = Glance.of(_asked(study, request, picture)["arrays"])
    if not np.isfinite(seen.raw).all():
        raise EncoderError("the encoder gave no sensible vector")
    return seen


def packaged_predictor() -> Predictor:
    """The classifier of the packaged encoder, by its own names; features are switched off to zero."""
    answer = _asked(None, {"head": True})
    weights, bias = (answer["arrays"][part].astype(np.float64) for part in ("weights", "bias"))
    names = [[str(name) for name in one] for one in answer["names"]]
    return of_outputs(names, (), Classifier(weights, bias), np.zeros(weights.shape[1]))


def _asked(study: Study | None, request: dict[str, Any], data: bytes = b"") -> resident.Reply:
    state = prepare_encoder(study)
    if state.name not in ("loading", "ready"):
        raise EncoderError(state.why)
    answer = resident.ask(ENCODER, _model(study), request, data, name=_name(study))
    if (state := prepare_encoder(study)).why:  # known once it is loaded
        raise EncoderError(state.why)
    return answer


def _why_not(study: Study) -> str | None:
    settings = study.settings("embed")
    if settings.get("representations") or not settings.get("encoder"):
        return GIVEN
    return trust_encoder(study.path, _settings(study))


def _settings(study: Study | None) -> dict[str, Any]:
    settings = {"encoder": PACKAGED} if study is None else study.settings("embed")
    return {name: settings.get(name) for name in ("encoder", *ENCODER_SETTINGS)}


def _model(study: Study | None) -> str:
    return json.dumps(_settings(study))


def _name(study: Study | None) -> str:
    return "the packaged encoder" if study is None else f"the encoder of {study.name}"
