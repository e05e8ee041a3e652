"""One image as the features that it activates highly, from its representation alone (F, Fig. 4.5). No torch.

What is said of an image of a study comes from the study; of another picture, `concepts/decompose.py` computes
the representation and the boxes with the encoder first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.dataframes import equals, numbers, where
from core.common.dataframes import words as texts
from core.concepts.failures import SEPARATOR, behind_class, behind_image, words_of_features
from core.concepts.groups import group_name
from core.concepts.transfer.across import check_has_concepts
from core.errors import SettingsError, did_you_mean

if TYPE_CHECKING:
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
    """What a representation says; the boxes are None yet.

    Args:
        raw: (n_features,) raw representation. top: at most so many features. true: the image's class, where
            it is known. words: of `words_of_features`, where many images are looked at.
    Returns:
        JSON-able. `features`: those above alpha, by falling activation: feature, activation (of h), box
        (None), words (list). `group`: the name of Algorithm 1's group of the image, or None; `n_features`:
        how many lie above; `alpha`. `answer`: what the probe says (predicted, confidence) and the
        features behind that with their contributions and words, or None without a probe. `truth`: the
        same for the class `true` (true, confidence …), or None.
    Raises:
        StudyError: the study has no concepts. SettingsError: it has no such class.
    """
    check_has_concepts(study)
    check_class(study, true)
    raw = np.asarray(raw, np.float32)
    h = (raw / max(float(np.linalg.norm(raw)), NORM_FLOOR)).astype(np.float64)
    alpha = float(study.summary("concepts")["alpha"])
    above = np.flatnonzero(h > alpha)
    shown = above[np.argsort(-h[above], kind="stable")][:top]
    said = words_of_features(study.table("concepts")) if words is None else words
    return {
        "features": [
            {"feature": int(j), "activation": float(h[j]), "box": None, "words": split(said.get(int(j), ""))}
            for j in shown
        ],
        "group": group_name(tuple(above.tolist())) if len(above) else None,
        "n_features": len(above),
        "alpha": alpha,
        **_behind(study, raw, true, said),
    }


def stored(study: Study, row: int, *, top: int = TOP) -> dict[str, Any]:
    """`describe` of an image of the study, with the boxes that `concepts` has stored: those of its explained
    features on the images that it looked through.
    """
    check_has_concepts(study)
    label = study.images["label"].iat[row]
    known = isinstance(label, str) and study.has("probe_weights") and label in study.class_names
    found = describe(study, study.array("representations")[row], top=top, true=label if known else None)
    high = study.table("highly_activating", ["group", "image_id", "left", "top", "right", "bottom"])
    here = where(high, equals(high, "image_id", study.images["image_id"].iat[row]))
    here = where(here, np.isfinite(numbers(here, "left")))
    sides = np.stack([numbers(here, side) for side in ("left", "top", "right", "bottom")], axis=1)
    boxes = dict(zip(texts(here, "group"), sides.astype(int).tolist(), strict=True))
    for part in found["features"]:
        part["box"] = boxes.get(str(part["feature"]))
    return found


def check_class(study: Study, name: str | None) -> None:
    """Raises SettingsError for a class that the study's probe does not know."""
    if name is not None and (not study.has("probe_weights") or name not in study.class_names):
        hint = did_you_mean(name, study.class_names)
        raise SettingsError(f"the probe of '{study.path}' knows no class '{name}'.{hint}")


def split(words: str) -> list[str]:
    return words.split(SEPARATOR) if words else []


def _behind(study: Study, raw: np.ndarray, true: str | None, words: Mapping[int, str]) -> dict[str, Any]:
    if not study.has("probe_weights"):
        return {"answer": None, "truth": None}
    weights, bias = study.vector("probe_weights"), study.vector("probe_bias")

    def with_words(found: dict[str, Any]) -> dict[str, Any]:
        return found | {"words": [split(words.get(feature, "")) for feature in found["features"]]}

    answer = with_words(behind_image(raw, weights, bias, study.class_names))
    if true is None:
        return {"answer": answer, "truth": None}
    truth = behind_class(raw, weights, bias, study.class_names.index(true))
    return {"answer": answer, "truth": with_words({"true": true, **truth})}
