"""Decompose an image into the features that it highly activates, from its representation.

Fig. 4.5 of Kalibhat's dissertation. No torch.

For an image of a study, everything comes from the study; for another image, `concepts/decompose.py` first
computes the representation and the boxes with the encoder.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from core.common.dataframes import numbers
from core.common.dataframes import words as texts
from core.concepts.across import check_has_concepts
from core.concepts.failures import SEPARATOR, behind_class, behind_image, words_of_features
from core.concepts.groups import group_name
from core.errors import SettingsError, did_you_mean
from core.store import Study

TOP = 12
NORM_FLOOR = 1e-12


def describe(
    study: Study,
    raw: np.ndarray,
    *,
    top: int = TOP,
    true: str | None = None,
    words: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """Describe a representation; the boxes are None at this stage.

    Args:
        raw: (n_features,) raw representation. top: maximum number of features. true: the image's class, if
            known. words: from `words_of_features`, if many images are processed.
    Returns:
        JSON-able. `features`: those above alpha, by descending activation: feature, activation (of h), box
        (None), words (list). `group`: name of Algorithm 1's group of the image, or None; `n_features`:
        the number above alpha; `alpha`. `answer`: the probe's prediction (predicted, confidence) and the
        features behind it with their contributions and words, or None without a probe. `truth`: the same
        for the class `true` (true, confidence …), or None.
    Raises:
        StudyError: the study has no concepts. SettingsError: it has no such class.
    """
    check_has_concepts(study)
    check_class(study, true)
    raw = np.asarray(raw, np.float32)
    h = (raw / max(float(np.linalg.norm(raw)), NORM_FLOOR)).astype(np.float64)
    alpha = float(study.summary("concepts")["alpha"])
    above = np.flatnonzero(h > alpha)
    strongest = above[np.argsort(-h[above], kind="stable")][:top]
    feature_words = words_of_features(study.table("concepts")) if words is None else words
    return {
        "features": [
            {
                "feature": int(j),
                "activation": float(h[j]),
                "box": None,
                "words": split(feature_words.get(int(j), "")),
            }
            for j in strongest
        ],
        "group": group_name(tuple(above.tolist())) if len(above) else None,
        "n_features": len(above),
        "alpha": alpha,
        **_behind(study, raw, true, feature_words),
    }


def stored(study: Study, row: int, *, top: int = TOP) -> dict[str, Any]:
    """`describe` an image of the study, with the boxes stored by `concepts`: those of its explained features,
    on the images that the step processed.
    """
    check_has_concepts(study)
    label = study.images["label"].iat[row]
    has_class = isinstance(label, str) and study.has("probe_weights") and label in study.class_names
    description = describe(
        study, study.array("representations")[row], top=top, true=label if has_class else None
    )
    high = study.table("highly_activating", ["group", "image_id", "left", "top", "right", "bottom"])
    here = high.loc[high["image_id"] == study.images["image_id"].iat[row]]
    here = here.loc[np.isfinite(numbers(here, "left"))]
    sides = np.stack([numbers(here, side) for side in ("left", "top", "right", "bottom")], axis=1)
    boxes = dict(zip(texts(here, "group"), sides.astype(int).tolist(), strict=True))
    for part in description["features"]:
        part["box"] = boxes.get(str(part["feature"]))
    return description


def check_class(study: Study, name: str | None) -> None:
    """Raise SettingsError for a class that the study's probe does not have."""
    if name is not None and (not study.has("probe_weights") or name not in study.class_names):
        hint = did_you_mean(name, study.class_names)
        raise SettingsError(f"the probe of '{study.path}' has no class '{name}'.{hint}")


def split(words: str) -> list[str]:
    return words.split(SEPARATOR) if words else []


def _behind(study: Study, raw: np.ndarray, true: str | None, words: Mapping[int, str]) -> dict[str, Any]:
    if not study.has("probe_weights"):
        return {"answer": None, "truth": None}
    weights, bias = study.vector("probe_weights"), study.vector("probe_bias")

    def with_words(features: dict[str, Any]) -> dict[str, Any]:
        return features | {"words": [split(words.get(feature, "")) for feature in features["features"]]}

    answer = with_words(behind_image(raw, weights, bias, study.class_names))
    if true is None:
        return {"answer": answer, "truth": None}
    truth = behind_class(raw, weights, bias, study.class_names.index(true))
    return {"answer": answer, "truth": with_words({"true": true, **truth})}
