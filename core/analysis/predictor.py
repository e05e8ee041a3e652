"""The classifier of a study's answer, asked again: also without some features. No torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.analysis.removal import SwitchedOff, reads_unit_rows, switched_off, train_means
from core.answers import class_logits
from core.answers.answer import HEAD, PROBE
from core.answers.classes import match_classes
from core.answers.outcome import ClassColumns
from core.answers.predictable import output_names, stated_outputs
from core.common.dataframes import unit_rows
from core.common.label_match import match_as_stated, match_labels
from core.common.wordnet import WORDNET
from core.errors import SettingsError
from core.store import Study
from core.study.chunked_array import CHUNK_ROWS
from core.study.stored_heatmaps import check_features

NOT_KNOWN = (
    "the classifier of '{path}' cannot be run again on changed features: its layers are not stored, or it "
    "does not read the representation"
)


@dataclass(frozen=True)
class Predictor:
    """A classifier as it answers for a picture.

    Attributes:
        name: of the answer in its study. names: what can be predicted; spoken: the same, in words where a
            name is a WordNet id. column: (n_outputs,) place of each output in `names`, -1: left out.
        means: (n_features,) what a feature is when it is switched off. classifier: from a representation to
            outputs; None where its layers are not stored. reads_unit_rows: it is of length 1, else raw.
    """

    name: str
    names: tuple[str, ...]
    spoken: tuple[str, ...]
    column: np.ndarray
    means: np.ndarray
    classifier: class_logits.Classifier | None = None
    reads_unit_rows: bool = False

    def rows(self, raw: np.ndarray) -> np.ndarray:
        """(n, n_features) raw rows -> float64, as the classifier reads them."""
        return unit_rows(raw) if self.reads_unit_rows else raw.astype(np.float64)

    @property
    def is_local(self) -> bool:
        """What a feature adds to the answer holds only near a picture: it has no weights of its classes."""
        used = self.column[self.column >= 0]
        is_linear = self.classifier is not None and self.classifier.hidden is None
        return self.classifier is not None and not (is_linear and len(used) == len(self.names))

    def shares(self, logits: np.ndarray) -> np.ndarray:
        """(n, n_outputs) -> (n, n_names) probabilities: the softmax of the outputs, added up by meaning."""
        used = self.column >= 0
        shares = np.exp(logits[:, used] - logits[:, used].max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        column = self.column[used]
        if len(column) == len(self.names):
            return shares[:, np.argsort(column)]
        return np.stack([shares[:, column == code].sum(1) for code in range(len(self.names))], axis=1)

    def codes(self, logits: np.ndarray) -> np.ndarray:
        """(n,) the place in `names` of what logits predict."""
        return self.shares(logits).argmax(1)


def predictor_of(study: Study) -> Predictor | None:
    """Return what asks a study's answer again: its classifier with all classes; else the default answer's."""
    kind = study.answer_kind
    if kind not in (HEAD, PROBE) and study.has("probe_weights"):
        return _linear(study, kind)
    if kind not in (HEAD, PROBE) or (kind == PROBE and not study.has(PROBE)):
        other = study.answering()
        if other is not study:
            return predictor_of(other)
    if kind == HEAD or (kind == PROBE and not study.has("probe_weights")):
        return _of_head(study)
    if not study.has("probe_weights"):
        return None
    return _linear(study, PROBE)


def _linear(study: Study, name: str) -> Predictor:
    """Return a study's answer whose labels have weights, as a classifier of pictures."""
    names, means = tuple(study.class_names), train_means(study)
    classifier, columns = class_logits.class_weights(study), np.arange(len(names))
    return Predictor(name, names, names, columns, means, classifier, reads_unit_rows(study))


def _of_head(study: Study) -> Predictor | None:
    if not study.has("head_classes"):
        return None
    settings, labels = study.settings("answers"), study.class_names
    names, code = output_names(study), None
    unnamed = HEAD in study.answers and not match_labels(names, labels).n_matched
    nothing_else_says_it = settings.get("head_classes") or unnamed
    if nothing_else_says_it and (stated := stated_outputs(study)):
        names, code = stated
    elif study.has(class_logits.OUTPUTS):
        code = class_logits.codes_of_outputs(study)
    restrict, classifier = bool(settings.get("restrict")), class_logits.own_classifier(study)
    return of_outputs(names, labels, classifier, train_means(study), restrict=restrict, code=code)


def of_outputs(
    names: Sequence[Sequence[str]],
    labels: Sequence[str],
    classifier: class_logits.Classifier | None,
    means: np.ndarray,
    *,
    restrict: bool = False,
    code: np.ndarray | None = None,
) -> Predictor:
    """Make what answers again without some features; outputs mean labels, else their own names.

    Args:
        names: what each output may be called, as `match_classes` reads them. code: (n_outputs,) the label
            that each output means, -1 for none, where that is known.
    """
    if code is None:
        match = match_classes(names, labels) if len(labels) else None
    else:
        match = match_as_stated(names, code, labels, "as stored")
    if match is None:
        class_names = tuple(next(iter(name), f"output {at}") for at, name in enumerate(names))
        columns = ClassColumns(class_names, np.arange(len(class_names)))
    else:
        columns = ClassColumns.of(match, labels, restrict=restrict)
    spoken = list(columns.names)
    for output in np.flatnonzero(columns.column >= 0)[::-1].tolist():
        if WORDNET.fullmatch(columns.names[columns.column[output]]) and len(names[output]) > 1:
            spoken[columns.column[output]] = str(names[output][-1]).partition(",")[0]
    return Predictor(HEAD, columns.names, tuple(spoken), columns.column, means, classifier)


def predictor_of_images(study: Study) -> Predictor | None:
    """Return what predicts a study's images again, also without features; None where outputs are unknown."""
    if study.answer_kind not in (HEAD, PROBE) and not study.has("probe_weights"):
        return None
    predictor = predictor_of(study)
    is_answered = predictor is None or predictor.classifier is not None or study.has("head_logits")
    return predictor if is_answered else None


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
