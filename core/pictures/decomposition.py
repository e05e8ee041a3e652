"""Decompose an image into the features that it highly activates, from its representation.

Fig. 4.5 of Kalibhat's dissertation. No torch.

For an image of a study, everything comes from the study; for another image, `concepts/decompose.py` first
computes the representation and the boxes with the encoder.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from core.analysis.removal import reads_unit_rows
from core.answers import class_logits
from core.answers.answer import HEAD
from core.common.command_line import command_line
from core.common.dataframes import numbers, unit_rows
from core.common.dataframes import words as texts
from core.common.group_names import group_name
from core.common.step_facts import ConceptsFacts
from core.concepts.blame import ProbeWithMeans
from core.concepts.failures import SEPARATOR, check_has_concepts, top_contributions, words_of_features
from core.concepts.falcon import K_CANDIDATES
from core.concepts.units import ProbeImages, scan, threshold_of
from core.config import ConceptsConfig
from core.errors import SettingsError, did_you_mean
from core.measures.slice_comparison import train_images
from core.store import Study

TOP = 12
NORM_FLOOR = 1e-12
TIED = 1e-6  # relative: an output that is a class has its logit
NO_WORDS = "no feature has words yet: they need captions and CLIP. Run: {command}"


def describe(
    study: Study,
    raw: np.ndarray,
    *,
    top: int = TOP,
    true: str | None = None,
    words: Mapping[int, str] | None = None,
    units: np.ndarray | None = None,
) -> dict[str, Any]:
    """Describe a representation by its strongest features and their words; without boxes so far.

    Args:
        raw: (n_features,) raw representation. top: maximum number of features. true: the image's class, if
            known. words: from `words_of_features`, if many images are processed. units: (n_units,) in a basis
            what `raw` are the latents of; None: the same.
    Returns:
        JSON-able. `features`: those above alpha, by descending activation: feature, activation (of h), box
        (None), words (list; empty without the step `concepts`). `group`: name of Algorithm 1's group of the
        image, or None; `n_features`: the number above alpha; `alpha`. `answer`: the prediction (predicted,
        confidence) of the answer that the study is read by, and the features behind it with their
        contributions and words, or None where its layers are not stored. `truth`: the same for class
        `true` (true, confidence …), or None. `notes`: what has to be said besides.
    Raises:
        SettingsError: it has no such class.
    """
    check_class(study, true)
    raw = np.asarray(raw, np.float32)
    if reads_unit_rows(study):
        raw = unit_rows(raw[None])[0]
    h = (raw / max(float(np.linalg.norm(raw)), NORM_FLOOR)).astype(np.float64)
    alpha = _alpha_of(study)
    above = np.flatnonzero(h > alpha)
    strongest = above[np.argsort(-h[above], kind="stable")][:top]
    if words is None:
        words = words_of_features(study.table("concepts")) if study.has("concepts") else {}
    features = [
        {"feature": j, "activation": float(h[j]), "box": None, "words": _split(words.get(j, ""))}
        for j in strongest.tolist()
    ]
    group = group_name(tuple(above.tolist())) if len(above) else None
    behind = _behind(study, raw, raw if units is None else units, true, words)
    return {
        "features": features,
        "group": group,
        "n_features": len(above),
        "alpha": alpha,
        **behind,
        "notes": _notes(study),
    }


def _notes(study: Study) -> list[str]:
    no_words = NO_WORDS.format(command=command_line("concepts", study.path))
    return [no_words] * (not study.has("concepts")) + [class_logits.LOCAL] * class_logits.has_gradients(study)


def _alpha_of(study: Study) -> float:
    """Return the activation above which a feature is highly active: of the step `concepts`, or its rule."""
    if study.has("concepts"):
        return study.facts(ConceptsFacts).known_alpha
    usual = ConceptsConfig()
    probe = ProbeImages(study, "all" if train_images(study).all() else "val")
    return threshold_of(scan(probe, K_CANDIDATES), "auto", min_images=usual.min_images).alpha


def stored(study: Study, row: int, *, top: int = TOP) -> dict[str, Any]:
    """Decompose an image of the study into its features, as stored, without the encoder.

    `describe` an image of the study, with the boxes stored by `concepts`: those of its explained features,
    on the images that the step processed.
    """
    check_has_concepts(study)
    label = study.images["label"].iat[row]
    has_class = isinstance(label, str) and can_tell(study, label)
    raw, units = (one.array("representations")[row] for one in (study, study.in_units()))
    description = describe(study, raw, top=top, true=label if has_class else None, units=units)
    high = study.table("highly_activating", ["group", "image_id", "left", "top", "right", "bottom"])
    here = high.loc[high["image_id"] == study.images["image_id"].iat[row]]
    here = here.loc[np.isfinite(numbers(here, "left"))]
    sides = np.stack([numbers(here, side) for side in ("left", "top", "right", "bottom")], axis=1)
    boxes = dict(zip(texts(here, "group"), sides.astype(int).tolist(), strict=True))
    for part in description["features"]:
        part["box"] = boxes.get(str(part["feature"]))
    return description


def check_class(study: Study, name: str | None) -> None:
    """Raise SettingsError, before a picture is explained, for a class that the answer does not have."""
    if name is not None and not can_tell(study, name):
        hint = did_you_mean(name, study.class_names)
        raise SettingsError(f"the {study.answer_name} of '{study.path}' has no class '{name}'.{hint}")


def can_tell(study: Study, name: str) -> bool:
    """Whether the features that support a class are known for any picture, with a study's answer."""
    if not class_logits.can_switch_off(study) or name not in study.class_names:
        return False
    return study.has("probe_weights") or study.class_names.index(name) in class_logits.codes_of_outputs(study)


def _split(words: str) -> list[str]:
    """Split the words of a feature that a table holds in one text."""
    return words.split(SEPARATOR) if words else []


def _behind(
    study: Study, raw: np.ndarray, units: np.ndarray, true: str | None, words: Mapping[int, str]
) -> dict[str, Any]:
    if not class_logits.can_switch_off(study):
        return {"answer": None, "truth": None}
    probe, names = ProbeWithMeans.of(study), study.class_names
    probe = replace(probe, classifier=probe.classifier.for_image(raw, units))

    def with_words(features: dict[str, Any]) -> dict[str, Any]:
        return features | {"words": [_split(words.get(feature, "")) for feature in features["features"]]}

    logits = probe.classes(probe.classifier.logits(raw[None]))[0]
    best, whole = int(logits.argmax()), _every_output(study)
    whole = None if whole is None else whole.for_image(raw, units)
    outputs = np.empty(0) if whole is None else whole.logits(raw[None])[0]
    total = float(np.logaddexp.reduce(outputs)) if whole is not None else None
    if whole is not None and outputs.max() > logits[best] + TIED * abs(logits[best]):  # it means no class
        first = int(outputs.argmax())
        toward = whole.gradients(raw[None], np.eye(1, len(outputs), first))
        share = float(np.exp(outputs[first] - total))
        answer = {"predicted": _name_of_output(study, first), **_supporting(raw, toward, share)}
    else:
        answer = {"predicted": names[best], **behind_class(raw, probe, best, total=total)}
    if true is None:
        return {"answer": with_words(answer), "truth": None}
    truth = behind_class(raw, probe, names.index(true), total=total)
    return {"answer": with_words(answer), "truth": with_words({"true": true, **truth})}


def _every_output(study: Study) -> class_logits.Classifier | None:
    """The encoder's own classifier, where a study is read by it and it may predict what is no class."""
    of_head = study.answer_kind == HEAD
    return (
        class_logits.own_classifier(study)
        if of_head and not study.settings("answers").get("restrict")
        else None
    )


def _name_of_output(study: Study, output: int) -> str:
    named = study.table("head_classes").iloc[output]
    return str(named["wordnet"] or named["name"] or f"output {output}")


def behind_class(
    raw: np.ndarray, probe: ProbeWithMeans, code: int, *, top: int = 5, total: float | None = None
) -> dict[str, Any]:
    """Return the confidence of an answer in one class of an image, and the features that support it.

    Args:
        raw: (n_features,) raw representation, of an image of the study or not. code: the class; some output
            means it. total: log of the sum of the exponentials of all that can be predicted, where that is
            more than the classes.
    Returns:
        confidence (softmax), features, contributions (lists, best first).
    """
    outputs = probe.classifier.logits(raw[None])
    logits = probe.classes(outputs)[0]
    total = float(np.logaddexp.reduce(logits)) if total is None else total
    gradients = probe.gradients(raw[None], outputs, np.array([code]))
    return _supporting(raw, gradients, float(np.exp(logits[code] - total)), top)


def _supporting(raw: np.ndarray, gradients: np.ndarray, confidence: float, top: int = 5) -> dict[str, Any]:
    """Return the confidence in a class and the features that support it, from the logit's gradient."""
    features, values = top_contributions(raw.astype(np.float64) * gradients, top)
    positive = features[0] >= 0
    return {
        "confidence": confidence,
        "features": features[0][positive].tolist(),
        "contributions": values[0][positive].tolist(),
    }
