"""What an answer can predict: the labels of a study, and outputs of its head that mean none. No torch."""

import numpy as np

from core.answers.answer import HEAD
from core.answers.classes import match_as_stated, match_classes
from core.common.dataframes import words
from core.reader import StudyReader
from core.slices.features.class_logits import OUTPUTS, codes_of_outputs, own_classifier


def output_names(study: StudyReader) -> list[list[str]]:
    """What each output of a study's head is called: its WordNet id and name, as far as they are known."""
    table = study.table("head_classes")
    return [
        [one for one in pair if one]
        for pair in zip(words(table, "wordnet"), words(table, "name"), strict=True)
    ]


def predictable(study: StudyReader) -> tuple[list[str], np.ndarray | None]:
    """Name what the answer that a study is read by can predict: its labels, then other outputs of a head.

    Returns:
        the names, and (n_outputs,) the place among them of what each output means; None where there are the
        labels alone, or the layers are not stored, or only a file said what the outputs mean.
    """
    labels, settings = study.class_names, study.settings("answers")
    kind = getattr(getattr(study, "answer", None), "kind", "")
    if kind != HEAD or settings.get("restrict") or own_classifier(study) is None:
        return labels, None
    names = output_names(study)
    if study.has(OUTPUTS):
        match = match_as_stated(names, codes_of_outputs(study), labels, "as stored")
    else:
        match = None if settings.get("head_classes") else match_classes(names, labels)
    if match is None:
        return labels, None
    others = np.flatnonzero(match.code < 0)
    places = match.code.copy()
    places[others] = len(labels) + np.arange(len(others))
    return [*labels, *(match.names[output] for output in others.tolist())], places
