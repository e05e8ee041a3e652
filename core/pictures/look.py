"""What a study's answer makes of a picture that an encoder has seen, also without some features. No torch."""

import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from core.analysis.removal import logits_without, reads_unit_rows, train_means
from core.answers import class_logits
from core.answers.answer import HEAD, PROBE
from core.answers.classes import match_classes
from core.answers.outcome import ClassColumns
from core.answers.predictable import output_names, stated_outputs
from core.common.dataframes import unit_rows
from core.common.label_match import match_as_stated, match_labels
from core.common.picture_bytes import image_file
from core.common.wordnet import WORDNET
from core.concepts.search import most_alike
from core.pictures.seen import Glance
from core.store import Study
from core.study.heatmaps import combine, place_on_image
from core.study.overlay_image import draw_overlay
from core.study.stored_heatmaps import StoredMaps

MOST_CLASSES = 5
SHOWN = 14  # features
NORM_FLOOR = 1e-12


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


@dataclass(frozen=True)
class Look:
    """What a classifier says of a picture.

    Attributes:
        classes: name, spoken, before, after: probabilities of the most likely classes, of the true one and of
            those asked for, with all features and without those that are off, by `after`. Empty without a
            classifier.
        answer, rival: what it says with all features, and the class that this is weighed against: the true
            one where the answer is wrong, else the next; empty without a classifier. lead: in logits.
        features: as `_ranked_features` lists them. note: how to read their pushes, or why there are none, in
            a sentence; empty where there is nothing to say.
    """

    classes: pd.DataFrame
    answer: str
    rival: str
    lead: float
    features: pd.DataFrame
    note: str = ""

    @property
    def pushes(self) -> bool:
        """Whether it is known what features add."""
        return bool(self.answer) and bool(np.isfinite(self.features["push"].to_numpy()).any())


def predictor_of(study: Study) -> Predictor | None:
    """The classifier that looks at a picture: of a study's answer, with all classes; else the default's."""
    kind = study.answer_kind
    if kind not in (HEAD, PROBE) and study.has("probe_weights"):
        return linear(study, kind)
    if kind not in (HEAD, PROBE) or (kind == PROBE and not study.has(PROBE)):
        other = study.answering()
        if other is not study:
            return predictor_of(other)
    if kind == HEAD or (kind == PROBE and not study.has("probe_weights")):
        return _of_head(study)
    if not study.has("probe_weights"):
        return None
    return linear(study, PROBE)


def linear(study: Study, name: str) -> Predictor:
    """Return a study's answer whose labels have weights, to look at a picture by."""
    names, means = tuple(study.class_names), train_means(study)
    classifier, columns = class_logits.class_weights(study), np.arange(len(names))
    return Predictor(name, names, names, columns, means, classifier, reads_unit_rows(study))


def _of_head(study: Study) -> Predictor | None:
    if not study.has("head_classes"):
        return None
    settings, labels = study.settings("answers"), study.class_names
    names, code = output_names(study), None
    unnamed = HEAD in study.answers and not match_labels(names, labels).n_matched
    if (settings.get("head_classes") or unnamed) and (
        stated := stated_outputs(study)
    ):  # nothing else says it
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
    """A classifier for pictures whose outputs mean labels where they match, else what they are called.

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


def _ranked_features(raw: np.ndarray, fires: np.ndarray, push: np.ndarray) -> pd.DataFrame:
    """List the features that fire on a picture or push its answer, the strongest push first.

    Args:
        raw: (n_features,) float64. fires: (n_features,) bool. push: (n_features,), NaN without an answer.
    Returns:
        feature, activation (of the representation scaled to length 1), fires (bool), push. Without pushes in
        the order of the activation; ties by number.
    """
    involved = np.flatnonzero(fires | (np.nan_to_num(push) != 0))
    activation = raw / max(float(np.linalg.norm(raw)), NORM_FLOOR)
    strength = np.abs(push) if np.isfinite(push).all() else activation
    order = involved[np.argsort(-strength[involved], kind="stable")]
    return pd.DataFrame(
        {"feature": order, "activation": activation[order], "fires": fires[order], "push": push[order]}
    )


def decide(
    predictor: Predictor | None,
    seen: Any,
    *,
    off: Sequence[int] = (),
    true: str | None = None,
    also: Sequence[str] = (),
    pushes: Callable[[str, str], np.ndarray] | None = None,
) -> Look:
    """Say what an answer makes of a picture, and which features push it.

    push_j = g_j x_j, with the raw representation x and the gradient g of the lead of the answer over its
    rival: of a linear classifier W[answer, j] - W[rival, j], and together with the bias the pushes of all
    features add up to the lead; of others it is local.

    Args:
        seen: with `raw`, `fires` and `logits`, as a `Glance` has them. off: features set to their means, as
            `core.analysis.removal` takes them out. true: the class of the picture, if known. also: names of
            classes that are listed however likely they are.
        pushes: (n_features,) by the names of answer and rival, where there is no classifier to ask.
    """
    raw, fires = seen.raw.astype(np.float64), seen.fires.astype(bool)
    raw = raw if predictor is None else predictor.rows(raw[None])[0]
    nothing = np.full(len(raw), np.nan)
    if predictor is None or len(predictor.names) < 2:
        empty = pd.DataFrame({"name": [], "spoken": [], "before": [], "after": []})
        return Look(empty, "", "", np.nan, _ranked_features(raw, fires, nothing), class_logits.NO_PUSH)
    classifier = predictor.classifier
    if classifier is None:
        logits = changed = seen.logits.astype(np.float64)
    else:
        started = classifier.start(raw[None])
        logits = classifier.finish(started)[0]
        removed = np.unique(np.asarray(off, np.int64))[None]
        changed = logits_without(classifier, started, raw[None], predictor.means, removed)[0]
    both = np.stack([logits, changed])
    by_class = class_logits.by_class(both, predictor.column, len(predictor.names))
    ranked = np.argsort(-by_class, axis=1, kind="stable")  # shares may be 0 of all but one
    answer, rival = ranked[0, :2].tolist()
    if true in predictor.names and predictor.names.index(true) != answer:
        rival = predictor.names.index(true)
    push = nothing
    if classifier is not None:
        twice, same = (np.stack([one] * 2) for one in (raw, logits))
        toward = class_logits.class_gradients(
            classifier, twice, same, predictor.column, np.array([answer, rival])
        )
        push = (toward[0] - toward[1]) * raw
    elif pushes is not None:
        push = pushes(predictor.names[answer], predictor.names[rival])
    is_local = predictor.is_local or (classifier is None and bool(np.isfinite(push).all()))
    return Look(
        _likely(predictor, predictor.shares(both), ranked, {true, *also}),
        predictor.spoken[answer],
        predictor.spoken[rival],
        float(by_class[0, answer] - by_class[0, rival]),
        _ranked_features(raw, fires, push),
        class_logits.LOCAL if is_local else class_logits.NO_PUSH if classifier is None else "",
    )


def _likely(
    predictor: Predictor, shares: np.ndarray, ranked: np.ndarray, also: Collection[str | None]
) -> pd.DataFrame:
    """Tabulate classes of a picture; shares, ranked: (2, n_names), before and after features are off."""
    named = {code for code, name in enumerate(predictor.names) if name in also}
    first = named.union(ranked[0, :2].tolist(), ranked[1, :MOST_CLASSES].tolist())
    codes = [code for code in ranked[1].tolist() if code in first]
    return pd.DataFrame(
        {
            "name": [predictor.names[code] for code in codes],
            "spoken": [predictor.spoken[code] for code in codes],
            "before": shares[0, codes],
            "after": shares[1, codes],
        }
    )


def nearest_images(study: Study, raw: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and cosines of the images most like a picture with the representation `raw` (n_features,)."""
    if not np.any(raw):
        return np.empty(0, np.int64), np.empty(0, np.float32)
    return most_alike(study.array("representations"), raw, k)


def heat_of(seen: Glance, features: Sequence[int]) -> np.ndarray | None:
    """The heatmap of some features in a picture's input view; None where one has no map."""
    places = np.searchsorted(seen.features, np.asarray(features, np.int64))
    fits = places < len(seen.features)
    if not len(features) or not fits.all() or (seen.features[places] != features).any():
        return None
    stored = StoredMaps(*(part[places] for part in seen.stored_maps))
    return combine(stored.restored(), stored.peaks, "mean", seen.sides.tolist())


def picture_overlay(seen: Glance, features: Sequence[int], *, side: int, quality: int = 82) -> bytes:
    """The picture with the heatmap of some features as JPEG; empty where one has no map."""
    heat = heat_of(seen, features)
    if heat is None:
        return b""
    ground = Image.open(io.BytesIO(seen.preview.tobytes()))
    ground.thumbnail((side, side))
    scale = np.array(ground.size) / seen.size
    left, top, right, bottom = (seen.view * np.tile(scale, 2)).tolist()
    drawn = draw_overlay(ground, place_on_image(heat, (left, top, right, bottom), *ground.size))
    return image_file(drawn, quality=quality)
