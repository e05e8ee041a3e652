"""An image of a study: what its answer says of it, and what its features do to it. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.analysis.predictor import Predictor
from core.answers import class_logits
from core.measures.slice_features import firing_pairs
from core.pictures.look import Look, decide
from core.store import Study


@dataclass(frozen=True)
class Stored:
    """What a study holds of an image, as `core.pictures.seen.Glance` holds it of a picture."""

    raw: np.ndarray
    fires: np.ndarray
    logits: np.ndarray


def look_at(study: Study, predictor: Predictor | None, row: int, *, off: Sequence[int] = ()) -> Look:
    """Say what an answer makes of an image of a study, and which features push it.

    Args:
        predictor: `predictor_of_images`. off: features set to their means.
    """
    raw, units = (one.array("representations")[row] for one in (study, study.in_units()))
    if predictor is not None and predictor.classifier is not None:
        predictor = replace(predictor, classifier=predictor.classifier.for_image(raw, units))
    raw = raw.astype(np.float64)
    fires = np.zeros(len(raw), bool)
    if study.has("firing_features"):
        fires[firing_pairs(study, np.array([row]))["feature"].to_numpy()] = True
    is_stored = predictor is not None and predictor.classifier is None
    logits = class_logits.output_logits(study, np.array([row]))[0] if is_stored else np.empty(0)

    def stored(answer: str, rival: str) -> np.ndarray:
        names = study.class_names
        if not class_logits.has_gradients(study) or answer not in names or rival not in names:
            return np.full(len(raw), np.nan)
        codes = (np.array([names.index(name)]) for name in (answer, rival))
        return class_logits.lead_gradients(study, np.array([row]), *codes)[0] * raw

    label = study.images["label"].iat[row]
    true = label if isinstance(label, str) else None
    look = decide(
        predictor, Stored(raw, fires, logits), off=off, true=true, pushes=stored if is_stored else None
    )
    only_wrong = is_stored and class_logits.has_gradients(study) and not look.pushes
    return replace(look, note=class_logits.ONLY_WRONG) if only_wrong else look
