"""What an answer can predict: labels, and outputs of a head that mean none. No torch."""

from typing import Any

import numpy as np

from core.answers import class_logits
from core.answers.answer import HEAD
from core.common.dataframes import words
from core.study.reader import StudyReader


def output_names(study: StudyReader) -> list[list[str]]:
    """What each output of a study's head is called: its WordNet id and name, as far as they are known."""
    table = study.table("head_classes")
    return [
        [one for one in pair if one]
        for pair in zip(words(table, "wordnet"), words(table, "name"), strict=True)
    ]


def predictable(study: StudyReader) -> tuple[list[str], np.ndarray | None]:
    """Name what the answer that a study is read by predicts: its labels, then other outputs of a head.

    Which output a name that is no label means is read off an image that is taken for it: no file is needed.

    Returns:
        the names, and (n_outputs,) the place among them of what each output means, -1 for one that is never
        predicted; None where there are the labels alone, or the layers are not stored.
    """
    labels, kind = study.class_names, getattr(getattr(study, "answer", None), "kind", "")
    places = _labels_of_outputs(study) if kind == HEAD else None
    predicted: Any = study.table("probe", ["predicted"])["predicted"]
    others = predicted[predicted.notna() & ~predicted.isin(labels)].drop_duplicates().sort_values()
    if places is None or others.empty:
        return labels, None
    logits = class_logits.output_logits(study, others.index.to_numpy())
    best_of_other = np.where(places < 0, logits, -np.inf).argmax(1)
    places[best_of_other] = len(labels) + np.arange(len(others))
    return [*labels, *others.astype(str)], places


def stated_outputs(study: StudyReader) -> tuple[list[list[str]], np.ndarray] | None:
    """What each output of a head means by what a study holds of its answer, not by names in the checkpoint.

    Returns:
        its names, empty for one that is never predicted and means no label; (n_outputs,) the label that it
        means, -1 for none. None where the layers are not stored.
    """
    (names, places), codes = predictable(study), _labels_of_outputs(study)
    if codes is None:
        return None
    places = codes if places is None else places
    stated = []
    for output, code in zip(places, codes, strict=True):
        stated.append([names[output]] if code < 0 <= output else [])
    return stated, codes


def _labels_of_outputs(study: StudyReader) -> np.ndarray | None:
    """(n_outputs,) the label that each output of a head means, -1 for none."""
    classifier = class_logits.own_classifier(study)
    if classifier is None:
        return None
    if study.has(class_logits.OUTPUTS):
        return class_logits.codes_of_outputs(study)
    codes = np.full(len(classifier.bias), -1)
    codes[_rows_of(class_logits.class_weights(study).weights, classifier.weights)] = np.arange(
        len(study.class_names)
    )
    return codes


def _rows_of(some: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The row of `whole` that each row of `some` is."""
    return (np.square(whole).sum(1) - 2 * some @ whole.T).argmin(1)
