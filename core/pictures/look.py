"""What a study's answer makes of a picture that an encoder has seen, also without some features. No torch."""

import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from core.analysis.predictor import Predictor
from core.analysis.removal import logits_without
from core.answers import class_logits
from core.common.picture_bytes import image_file
from core.concepts.search import most_alike
from core.pictures.seen import Glance
from core.store import Study
from core.study.heatmaps import combine, place_on_image
from core.study.overlay_image import draw_overlay
from core.study.stored_heatmaps import StoredMaps

MOST_CLASSES = 5
FEW_CLASSES = 6  # of which all are listed
SHOWN = 14  # features
NORM_FLOOR = 1e-12


@dataclass(frozen=True)
class Look:
    """What a classifier says of a picture.

    Attributes:
        classes: name, spoken, before, after: probabilities of all of a few classes, else of the most likely
            ones, of the true one and of those asked for, with all features and without those that are off, by
            `after`. Empty without a classifier.
        answer, rival: what it says with all features, and the class that this is weighed against (`decide`);
            empty without a classifier. lead: in logits.
        features: as `_ranked_features` lists them. note: how to read their pushes, or why there are none, in
            a sentence; empty where there is nothing to say. names: of answer and rival as labels, maybe
            WordNet ids.
    """

    classes: pd.DataFrame
    answer: str
    rival: str
    lead: float
    features: pd.DataFrame
    note: str = ""
    names: tuple[str, str] = ("", "")

    @property
    def pushes(self) -> bool:
        """Whether it is known what features add."""
        return bool(self.answer) and bool(np.isfinite(self.features["push"].to_numpy()).any())


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
    against: str | None = None,
    also: Sequence[str] = (),
    pushes: Callable[[str, str], np.ndarray] | None = None,
) -> Look:
    """Say what an answer makes of a picture, and which features push it.

    push_j = g_j x_j, with the raw representation x and the gradient g of the lead of the answer over its
    rival: of a linear classifier W[answer, j] - W[rival, j], and together with the bias the pushes of all
    features add up to the lead; of others it is local.

    Args:
        seen: with `raw`, `fires` and `logits`, as a `Glance` has them. off: features set to their means, as
            `core.analysis.removal` takes them out. true: the class of the picture, if known. against: name
            of the class that the answer is weighed against; None, or the answer itself: the true one where
            the answer is wrong, else the next. also: names of classes that are listed in any case.
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
    for name in (true, against):
        if name in predictor.names and predictor.names.index(name) != answer:
            rival = predictor.names.index(name)
    push = nothing
    if classifier is not None:
        twice, same = (np.stack([one] * 2) for one in (raw, logits))
        toward = class_logits.class_gradients(
            classifier, twice, same, predictor.column, np.array([answer, rival])
        )
        push = (toward[0] - toward[1]) * raw
    elif pushes is not None:
        push = pushes(predictor.names[answer], predictor.names[rival])
    classes = _likely(predictor, predictor.shares(both), ranked, {true, against, *also})
    lead = float(by_class[0, answer] - by_class[0, rival])
    features = _ranked_features(raw, fires, push)
    spoken, names = ((list_of[answer], list_of[rival]) for list_of in (predictor.spoken, predictor.names))
    return Look(classes, *spoken, lead, features, _note_on(predictor, push), names)


def _note_on(predictor: Predictor, push: np.ndarray) -> str:
    """Return how to read pushes, (n_features,), or why there are none; "" where there is nothing to say."""
    if predictor.is_local or (predictor.classifier is None and bool(np.isfinite(push).all())):
        return class_logits.LOCAL
    return class_logits.NO_PUSH if predictor.classifier is None else ""


def _likely(
    predictor: Predictor, shares: np.ndarray, ranked: np.ndarray, also: Collection[str | None]
) -> pd.DataFrame:
    """Tabulate classes of a picture; shares, ranked: (2, n_names), before and after features are off."""
    named = {code for code, name in enumerate(predictor.names) if name in also}
    most = FEW_CLASSES if len(predictor.names) <= FEW_CLASSES else MOST_CLASSES
    first = named.union(ranked[0, :2].tolist(), ranked[1, :most].tolist())
    codes = [code for code in ranked[1].tolist() if code in first]
    return pd.DataFrame(
        {
            "name": [predictor.names[code] for code in codes],
            "spoken": [predictor.spoken[code] for code in codes],
            "before": shares[0, codes],
            "after": shares[1, codes],
        }
    )


def nearest_images(
    study: Study, raw: np.ndarray, k: int, *, among: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and cosines of the images most like a picture with the representation `raw` (n_features,).

    among: (n_images,) bool, the images that are asked; None for all.
    """
    if not np.any(raw):
        return np.empty(0, np.int64), np.empty(0, np.float32)
    return most_alike(study.array("representations"), raw, k, among=among)


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
