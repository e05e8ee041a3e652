"""The process that keeps the encoder of a study loaded, and what it sees in a picture.

The encoder's name comes from the study, which may be a stranger's, so trust.py is asked first whether it may
be loaded. The process writes nothing and downloads nothing (core/jobs/resident.py). No streamlit.
"""

import json
from typing import Any

import numpy as np

from core.common.step_facts import EmbedFacts
from core.config import ENCODER_SETTINGS
from core.errors import EncoderError, PeregrineError
from core.jobs import resident
from core.jobs.uploads import HEAD, check_picture
from core.pictures.look import Answering, of_outputs
from core.pictures.seen import EPSILON, Alteration, Glance, how_to_see
from core.slices.features.class_logits import Classifier
from core.store import Study
from dashboard.jobs.clip_process import ModelState
from dashboard.jobs.trust import trust_encoder

KIND = "encoder"
PACKAGED = "asset:efficientnet_lite0"  # knows photographs; asked where there is no study
CHANGED = "the encoder is not the one that this study was made with; run its step embed again"
GIVEN = "this study was made of ready representations, so there is no encoder to look at a picture"


def prepare(study: Study | None) -> ModelState:
    """Start loading the encoder of a study (None: the packaged one) unless it is loaded; does not wait."""
    if study is not None and (why := _why_not(study)):
        return ModelState("refused", why)
    try:
        one = resident.resident(KIND, _model(study), name=_name(study))
    except PeregrineError as error:
        return ModelState("failed", str(error))
    if one.state == "failed":
        return ModelState("failed", one.error)
    made_with = None if study is None else study.facts(EmbedFacts).encoder.fingerprint
    if one.fingerprint and study is not None and one.fingerprint != made_with:
        return ModelState("failed", CHANGED)
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


def packaged_answering() -> Answering:
    """The classifier of the packaged encoder, by its own names; features are switched off to zero."""
    answer = _asked(None, {"head": True})
    weights, bias = (answer["arrays"][part].astype(np.float64) for part in ("weights", "bias"))
    names = [[str(name) for name in one] for one in answer["names"]]
    return of_outputs(names, (), Classifier(weights, bias), np.zeros(weights.shape[1]))


def _asked(study: Study | None, request: dict[str, Any], data: bytes = b"") -> resident.Reply:
    state = prepare(study)
    if state.name not in ("loading", "ready"):
        raise EncoderError(state.why)
    answer = resident.ask(KIND, _model(study), request, data, name=_name(study))
    if (state := prepare(study)).why:  # known once it is loaded
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
