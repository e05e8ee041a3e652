"""Read what a tool wrote through the public API, and compare it with the tool's own numbers."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.bases.dictionary import Coder
from core.bases.files import read_dictionary
from core.bases.reading import StatedSettings
from core.encoders.encoder import Encoder
from core.encoders.head import NO_WEIGHTS, Head
from core.encoders.registry import load_encoder
from core.errors import PeregrineError
from core.pipeline.run import run_step
from core.store import open_study
from core.study.progress import Progress
from tests.crossed.kit import Written, many_pictures, pictures, stored
from tests.crossed.table import NOTED, REFUSED, RIGHT, WRONG

TOLERANCE = 1e-3  # relative L2 of logits, features and codes
OF_PIXELS = 0.02  # relative L2: about one grey level, by which two ways to resize differ
SUPPORT = 1e-6  # a code above it is active
# What a representation is, or where settings stand: nothing is assumed there.
NO_ASSUMPTIONS = {
    *("dense", "negative", "own_tokens", "tokens", "pooling", "inner_layer", "transform_from"),
    *("of_classifier", "returned", "arch_of_sidecar", "arch_of_entry"),
}


@dataclass
class Reading:
    """What a file was read as.

    Attributes:
        differences: relative L2 by what was compared. pixels: of pixels, where the file states them.
        notes: kinds of what was assumed. problems: what is wrong beside numbers. refusal: its line, or "".
    """

    differences: dict[str, float] = field(default_factory=dict)
    pixels: float | None = None
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    refusal: str = ""

    @property
    def largest(self) -> float | None:
        return max(self.differences.values(), default=None)

    @property
    def fits(self) -> bool:
        """Whether all numbers are the tool's, and there are some."""
        same_pixels = self.pixels is None or self.pixels <= OF_PIXELS
        return self.largest is not None and self.largest <= TOLERANCE and same_pixels


def verdict(written: Written, reading: Reading) -> tuple[str, str]:
    """What is thought of a reading, and why: a word of VERDICTS and `said` of its row."""
    notes = ", ".join(reading.notes)
    if reading.problems:
        return WRONG, "; ".join(reading.problems)
    far = ", ".join(f"{name} {one:.2g}" for name, one in reading.differences.items() if one > TOLERANCE)
    if reading.refusal:
        if far and written.then is None:
            return WRONG, f"{far} off; {reading.refusal}"
        dead_end = written.then is not None and not reading.fits
        return (WRONG, f"the way out fails: {reading.refusal}") if dead_end else (REFUSED, reading.refusal)
    if written.refused:
        return WRONG, "read, though it cannot be"
    if reading.fits:
        return (NOTED, notes) if notes else (RIGHT, "")
    if set(written.excused) & set(reading.notes):
        return NOTED, notes
    return WRONG, f"{far or 'pixels'} off; {notes or 'no note'}"


def read(folder: Path) -> tuple[Written, Reading]:
    """Read one case. Exceptions that are not for the user are problems."""
    written, reading = stored(folder), Reading()
    try:
        _read(written, reading, folder)
    except PeregrineError as error:
        reading.refusal = _line(error, folder, reading)
        if written.then is not None:
            _read_instead(written, reading, folder)
    except Exception as error:
        traceback.print_exc()
        reading.problems.append(f"{type(error).__name__}: {error}"[:200])
    return written, reading


def _read(written: Written, reading: Reading, folder: Path) -> None:
    if written.spec:
        _read_encoder(written, reading, written.spec, written.options, folder)
    if written.classes is not None:
        _read_answers(written, written.classes, reading, folder)
    if written.dictionary:
        _read_dictionary(written, reading, folder)
    if written.clip:
        _read_clip(written, reading, folder)


def _read_instead(written: Written, reading: Reading, folder: Path) -> None:
    """Read the file by the way out of its refusal."""
    assert written.then is not None
    try:
        _read_encoder(written, reading, *written.then, folder)
    except PeregrineError as error:
        reading.problems.append(f"the way out is refused: {_line(error, folder, reading)}")


def _line(error: PeregrineError, folder: Path, reading: Reading) -> str:
    """The message without the paths of this machine."""
    text = str(error).replace(f"{folder}/", "").replace(str(folder), "FOLDER")
    if len(text.splitlines()) != 1 or "this is a bug" in text:
        reading.problems.append(f"not one line: {text}"[:200])
    return text


def _read_encoder(
    written: Written, reading: Reading, spec: str, options: Mapping[str, Any], folder: Path
) -> None:
    encoder = load_encoder(spec.format(folder=folder), **options)
    kinds = [getattr(note, "kind", "text") for note in encoder.assumptions]
    reading.notes += [kind for kind in kinds if kind not in NO_ASSUMPTIONS]
    if written.stated is not None and written.stated != encoder.normalisation_stated:
        reading.problems.append(f"normalisation_stated is {encoder.normalisation_stated}")
    if written.pixels is None:
        return
    x = torch.from_numpy(written.pixels)
    if written.states_pixels:
        _compare_pixels(encoder, x, reading)
    head = encoder.find_head() if written.logits is not None else None
    if isinstance(head, str):
        if head == NO_WEIGHTS and not written.refused:  # which is not true
            reading.problems.append(head)
        reading.refusal, head = f"no head: {head}", None
    features, logits = _run(encoder, head, x)
    if written.features is not None:
        reading.differences["features"] = relative(features, written.features)
    if head is not None and logits is not None:
        theirs = np.asarray(written.logits)
        two = logits[:, 1:] if head.single and theirs.shape[1] == 1 else logits
        reading.differences["logits"] = relative(two, theirs)
        _compare_names(head, written.names, reading)


@torch.no_grad()
def _run(encoder: Encoder, head: Head | None, x: Tensor) -> tuple[Tensor, Tensor | None]:
    if head is None:
        return encoder.model(x), None
    with head.reading(encoder.base) as logits:
        return encoder.model(x), logits()


def _compare_pixels(encoder: Encoder, theirs: Tensor, reading: Reading) -> None:
    views = np.stack([encoder.transform.pixels(one) for one in pictures()])
    ours = encoder.normalise(torch.from_numpy(views))
    if ours.shape != theirs.shape:
        reading.problems.append(f"pixels {tuple(ours.shape[2:])} instead of {tuple(theirs.shape[2:])}")
        return
    reading.pixels = relative(ours, theirs.numpy())


def _compare_names(head: Head, names: list[str] | None, reading: Reading) -> None:
    if names is None:
        return
    same = len(head.names) == len(names) and all(
        theirs in ours for ours, theirs in zip(head.names, names, strict=True)
    )
    if not same:
        reading.problems.append(f"outputs are called {head.names[:3]} instead of {names[:3]}"[:200])


def _read_answers(written: Written, classes: list[str], reading: Reading, folder: Path) -> None:
    """Study the pictures under the tool's own answers as labels, and compare the answers of the head."""
    answers = np.asarray(written.answers, int)
    images, study_folder = folder / "pictures", folder / "study"
    for one in (images, study_folder):
        shutil.rmtree(one, ignore_errors=True)
    for number, (picture, answer) in enumerate(zip(many_pictures(len(answers)), answers, strict=True)):
        place = images / classes[answer]
        place.mkdir(parents=True, exist_ok=True)
        picture.save(place / f"{number:04}.png")
    asked = {"images": str(images), "encoder": written.spec.format(folder=folder), "device": "cpu"}
    steps = {"embed": {**asked, "workers": 0, **written.options}, "features": {}, "probe": {}, "answers": {}}
    for step, settings in steps.items():
        run_step(step, study_folder, settings, Progress.silent())
    study = open_study(study_folder)
    if "head" not in study.answers:
        reading.problems.append(f"no head: {study.summary('answers').get('skipped', '')}"[:200])
        return
    facts = study.answers["head"].facts
    reading.notes += [kind for note in facts.get("notes", ()) if (kind := getattr(note, "kind", ""))]
    predicted = study.answering("head").table("probe")["predicted"].astype(str)
    numbers = study.images["path"].map(lambda path: int(Path(path).stem))
    theirs = [classes[answer] for answer in answers[numbers]]
    reading.differences["answers"] = float((predicted.to_numpy() != np.array(theirs)).mean())


def _read_dictionary(written: Written, reading: Reading, folder: Path) -> None:
    asked = StatedSettings(**written.dictionary_options)
    found = read_dictionary(written.dictionary.format(folder=folder), asked=asked)
    dictionary = found.dictionary
    raw = torch.from_numpy(written.vectors)
    codes = Coder(dictionary).encode(raw)
    dense = torch.zeros(len(raw), dictionary.size)
    dense[codes.rows, codes.latents] = codes.values
    theirs = np.asarray(written.codes)
    reading.differences["codes"] = relative(dense, theirs)
    reading.notes += [getattr(note, "kind", "text") for note in found.notes]
    active = np.abs(theirs) > SUPPORT
    ours = np.abs(dense.numpy()) > SUPPORT
    if active.shape == ours.shape and (active != ours).any():
        reading.differences["support"] = float((active != ours).sum() / active.sum())


def _read_clip(written: Written, reading: Reading, folder: Path) -> None:
    from core.concepts.clip import load_clip

    clip = load_clip(written.clip.format(folder=folder))
    for name, ours, theirs in (
        ("text", lambda: clip.embed_texts(written.texts or []), written.text_features),
        ("image", lambda: clip.embed_images(pictures()), written.image_features),
    ):
        if theirs is not None:
            lengths = np.linalg.norm(theirs, axis=1, keepdims=True)
            reading.differences[name] = relative(torch.from_numpy(ours()), theirs / lengths)


def relative(ours: Tensor, theirs: np.ndarray) -> float:
    """|ours - theirs| / |theirs| over all entries; infinite where shapes differ or a number is not finite."""
    plain = ours.detach().cpu().double().numpy()
    if plain.shape != theirs.shape or not np.isfinite(plain).all():
        return float("inf")
    return float(np.linalg.norm(plain - theirs) / max(float(np.linalg.norm(theirs)), 1e-12))
