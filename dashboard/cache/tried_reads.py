"""Cached looks of encoders at pictures that people bring: kept in memory for a while, and written nowhere."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import streamlit as st
from PIL import Image

from core.analysis.predictor import Predictor, predictor_of, without_features
from core.analysis.removal import SwitchedOff, evenly_spaced
from core.common.picture_bytes import image_address, image_file
from core.common.records import Templates
from core.measures.image_columns import unit_codes
from core.measures.slice import Slice
from core.pictures.look import SHOWN, Look, decide, nearest_images, picture_overlay
from core.pictures.seen import Alteration, Glance, samples
from core.store import Study
from dashboard.cache import reads
from dashboard.cache.reader import KEYS, cached_read
from dashboard.jobs import resident_models
from dashboard.state import served_studies

_say = Templates.beside(__file__)
NEAREST = 12
SIDE = 440  # pixels of a picture with its heatmap


@dataclass(frozen=True)
class Picture:
    """A picture as it was brought. true: its class, where it is an image of the study."""

    name: str
    data: bytes = field(repr=False)
    true: str | None = None

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Tried:
    """What is made of a picture: what the encoder saw, and the addresses of its heatmaps.

    heats: by feature; whole: of all that speak, as the stored heatmap of an image.
    """

    seen: Glance
    preview: str
    whole: str
    heats: dict[int, str]


PARTS = {**KEYS, Picture: lambda one: one.digest, Alteration: repr}


@st.cache_resource(max_entries=48, show_spinner=False, hash_funcs=PARTS)
def tried(study: Study | None, picture: Picture, alteration: Alteration, against: str | None = None) -> Tried:
    """Let the encoder look at a picture; waits until it is loaded. against: see `decide`.

    Raises:
        UnreadableImage, EncoderError: one line with what is wrong.
    """
    seen = resident_models.see(study, picture.data, alteration)
    made = decide(classifier(study), seen, true=picture.true, against=against)
    shown = made.features["feature"].head(SHOWN).tolist()
    whole = _of_whole(study, seen)
    if not len(seen.features) and (study is None or not study.why_skipped("heatmaps")):
        whole = sorted(whole, key=lambda feature: -seen.raw[feature])[:SHOWN]  # each takes a pass of its own
        features = tuple(sorted({*shown, *whole}))
        seen = resident_models.see(study, picture.data, alteration, features)
    return Tried(
        replace(seen, features=seen.features[:0], maps=seen.maps[:0]),  # drawn now, and large
        _address(seen.preview.tobytes()),
        _address(picture_overlay(seen, whole, side=SIDE)),
        {feature: _address(picture_overlay(seen, [feature], side=SIDE)) for feature in shown},
    )


def look(
    study: Study | None,
    picture: Picture,
    one: Tried,
    off: tuple[int, ...],
    also: Sequence[str] = (),
    *,
    against: str | None = None,
) -> Look:
    """What the answer makes of it without some features: nothing is computed but products of numbers."""
    return decide(classifier(study), one.seen, off=off, true=picture.true, against=against, also=also)


def classifier(study: Study | None) -> Predictor | None:
    """The classifier that is asked; without a study that of the packaged encoder."""
    return _packaged() if study is None else _classifier(study)


def instead_of(study: Study | None) -> str:
    """Whose answer a picture gets, where the answer that the study is read by cannot be asked; else empty."""
    predictor = classifier(study)
    if study is None or predictor is None:
        return ""
    mine, answers = study.answer_name, study.answers
    if mine == predictor.name or not {mine, predictor.name} <= set(answers):
        return ""
    return _say("instead", names=(answers[mine].title, answers[predictor.name].title))


def speaks_for(study: Study | None, feature: int) -> str:
    """The class that a feature speaks most for, in words, where there is nothing else to call it by."""
    predictor = classifier(study) if study is None else None
    if predictor is None or predictor.classifier is None:
        return ""
    output = int(predictor.classifier.weights[:, feature].argmax())
    return _say("speaks_for", what=predictor.spoken[predictor.column[output]])


@cached_read(max_entries=32)
def similar(study: Study, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and cosines of the images most like a picture."""
    return nearest_images(study, raw, NEAREST)


def nearest_train(study: Study, raw: np.ndarray, but: int | None) -> float:
    """Return the largest cosine of a picture to a train image; NaN without train images.

    The split is the stored one, whichever answer is chosen. but: a row to leave out, such as the picture's.
    """
    train = ~served_studies.open_current(study.below or study.path).is_val
    if but is not None:
        train[but] = False
    cosines = nearest_images(study, raw, 1, among=train)[1]
    return float(cosines[0]) if len(cosines) else float("nan")


def sample(name: str) -> Picture | None:
    """A picture that ships with Peregrine's packages."""
    one = samples().get(name)
    return None if one is None else Picture(one.about, one.path.read_bytes())


@st.cache_resource(show_spinner=False)
def thumbnails() -> dict[str, str]:
    """Small pictures of the samples, as addresses that hold them."""
    small = {}
    for name, one in samples().items():
        with Image.open(one.path) as picture:
            picture.thumbnail((200, 200))
            small[name] = _address(image_file(picture))
    return small


@cached_read(max_entries=2)
def of_study(study: Study, row: int) -> Picture:
    """An image of a study as a picture to try, without loss. Raises UnreadableImage."""
    content = image_file(study.image(row), "PNG", compress_level=1)
    label = study.column("images", "label").iat[row]
    name = str(study.column("images", "image_id").iat[row])
    return Picture(name, content, label if isinstance(label, str) else None)


@cached_read(max_entries=512)
def heat(study: Study, row: int, feature: int) -> str:
    """The heatmap of one of the encoder's units on an image of the study, as an address that holds it; waits
    until the encoder is loaded. Raises UnreadableImage, EncoderError.
    """
    seen = resident_models.see(study, of_study(study, row).data, Alteration(), (feature,))
    return _address(picture_overlay(seen, [feature], side=SIDE))


@cached_read(max_entries=32, spinner="Asking again for every image")
def without(
    study: Study, where: Slice, features: tuple[int, ...]
) -> tuple[tuple[str, ...], np.ndarray, SwitchedOff]:
    """See `without_features`: what can be predicted in words, the rows of the slice, and the predictions.

    Raises:
        SettingsError: no feature can be switched off.
    """
    rows = np.flatnonzero(reads.mask(study, where))
    predictor, made = without_features(study, rows, features)
    return predictor.spoken, rows, made


@dataclass(frozen=True)
class OneOff:
    """The answers on images of a slice with and without one feature.

    Attributes:
        spoken: what can be predicted, in words. names: the same as labels. rows: (n,) of the images, of
            `n_slice` in the slice. made: the predictions. units: (n,) of `unit_codes`.
    """

    spoken: tuple[str, ...]
    names: tuple[str, ...]
    rows: np.ndarray
    n_slice: int
    made: SwitchedOff
    units: np.ndarray


@cached_read(max_entries=64, spinner="Asking again without this feature")
def without_one(study: Study, where: Slice, feature: int) -> OneOff:
    """See `without_features`: of at most `feature_harm.MOST` images of the slice.

    Raises:
        SettingsError: it cannot be switched off.
    """
    every = np.flatnonzero(reads.mask(study, where))
    rows = evenly_spaced(every)
    predictor, made = without_features(study, rows, (feature,))
    return OneOff(predictor.spoken, tuple(predictor.names), rows, len(every), made, unit_codes(study)[rows])


def _of_whole(study: Study | None, seen: Glance) -> list[int]:
    """The features of the heatmap of the picture as a whole: as those of a stored one."""
    fires = seen.fires.astype(bool)
    telling = np.ones(len(fires), bool)
    if study is not None and study.has("features"):
        telling = study.discriminative
    if not (fires & telling).any():
        return [int(np.argmax(np.where(telling, seen.raw, -np.inf)))] if telling.any() else []
    return np.flatnonzero(fires & telling).tolist()


_classifier = cached_read(max_entries=8)(predictor_of)
_packaged = st.cache_resource(show_spinner=False)(resident_models.packaged_predictor)


def _address(jpeg: bytes) -> str:
    return image_address(jpeg) if jpeg else ""
