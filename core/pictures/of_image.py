"""Images of a study: what its answer says of one, and of a slice, also without some features. No torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from core.analysis.removal import SwitchedOff, switched_off
from core.answers import class_logits
from core.answers.answer import HEAD, PROBE
from core.errors import SettingsError
from core.measures.slice_features import firing_pairs
from core.pictures.look import Look, Predictor, decide, predictor_of
from core.store import Study
from core.study.chunked_array import CHUNK_ROWS
from core.study.stored_heatmaps import check_features

# An image of a study: what the answer that it is read by says, and what its features do to it. No torch.


@dataclass(frozen=True)
class Stored:
    """What a study holds of an image, as `core.pictures.seen.Glance` holds it of a picture."""

    raw: np.ndarray
    fires: np.ndarray
    logits: np.ndarray


def predictor_of_images(study: Study) -> Predictor | None:
    """Return the classifier that a study's images are looked at by; None where its outputs are not known."""
    if study.answer_kind not in (HEAD, PROBE) and not study.has("probe_weights"):
        return None
    predictor = predictor_of(study)
    is_answered = predictor is None or predictor.classifier is not None or study.has("head_logits")
    return predictor if is_answered else None


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


# The images of a slice without some features: `core.analysis.removal` on a study. No torch.


NOT_KNOWN = (
    "the classifier of '{path}' cannot be run again on changed features: its layers are not stored, or it "
    "does not read the representation"
)


def without_features(
    study: Study, rows: np.ndarray, features: Sequence[int]
) -> tuple[Predictor, SwitchedOff]:
    """Predict images again with some features switched off, by the answer that a study is read by.

    Args:
        rows: (n,) int, ascending. features: numbers of features, at least one.
    Returns:
        what can be predicted, and the predictions.
    Raises:
        SettingsError: no such feature, or the answer has no stored layers.
    """
    off = check_features(study, features)
    predictor = predictor_of_images(study)
    if predictor is None or predictor.classifier is None:
        raise SettingsError(NOT_KNOWN.format(path=study.path))
    raw, units = (one.array("representations") for one in (study, study.in_units()))

    def chunks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(rows), CHUNK_ROWS):
            part = rows[start : start + CHUNK_ROWS]
            read = predictor.rows(raw.rows(part))
            yield read, read if study.below is None else predictor.rows(units.rows(part))

    total = np.zeros(raw.shape[1])
    for chunk, _ in chunks():
        total += chunk.sum(0)
    labels = pd.Index(predictor.names).get_indexer(pd.Index(study.images["label"].to_numpy(object)[rows]))
    true = np.where(labels < 0, np.nan, labels.astype(float))
    average = total / max(len(rows), 1)
    made = switched_off(
        chunks(), predictor.classifier, predictor.means, predictor.codes, off.tolist(), true, average
    )
    return predictor, made
