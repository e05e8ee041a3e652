"""The answer `zero-shot`: each image by the class whose texts are nearest, for encoders with a text tower.

logit_c = s cos(z, t_c), z the embedding of an image, t_c the mean of the unit embeddings of the prompts of a
class, at length 1, and s the model's own factor (Radford et al. 2021). It is linear on the unit rows h.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.answers.classes import match_class_list
from core.answers.knn import unit
from core.answers.outcome import AnswerValues, ClassColumns, Request, from_logits
from core.common.label_match import few, integer_of, words_of
from core.common.label_text import class_texts_of, same_texts
from core.common.records import Templates
from core.common.step_facts import EmbedFacts
from core.common.wordnet import imagenet_synsets, wordnet_names
from core.concepts.clip import imagenet_names, imagenet_prompts, load_clip
from core.config import READOUT
from core.config.settings import flag
from core.data.class_list import NamedClass, read_class_list
from core.encoders.spec import parse_spec
from core.errors import SettingsError
from core.study.chunked_array import ChunkedArray
from core.study.progress import Progress
from core.study.reader import StudyReader

say_of_texts = Templates.beside(__file__)


def zero_shot_answer(study: StudyReader, request: Request, progress: Progress) -> AnswerValues:
    """Compare words for classes with each image by CLIP's text tower, which gives the answer `zero-shot`.

    Raises:
        SettingsError: the encoder has no text tower, its embeddings are not stored, or classes have no names.
        ClipError: the text tower cannot be loaded.
    """

    labels = study.class_names
    if len(labels) < 2:
        which = f"all labels are '{labels[0]}'" if len(labels) else "no image has a label"
        raise SettingsError(f"zero-shot needs images of two classes or more to tell apart; {which}")
    named = class_texts(labels, request.head_classes)
    clip = load_clip(text_tower(study), device=request.device)
    raw = study.array("representations")
    if clip.width != raw.shape[1]:
        raise SettingsError(
            f"the text tower of {clip.name} gives {clip.width:,} numbers, the study has {raw.shape[1]:,} "
            "features: zero-shot needs the encoder's own embeddings"
        )
    with progress.stage("prompts", total=len(labels), unit="classes") as bar:
        texts = np.empty((len(labels), clip.width), np.float32)
        for number, (text, of_class) in enumerate(zip(named.texts, named.prompts, strict=True)):
            prompts = list(of_class) or imagenet_prompts(text)
            texts[number] = _class_embedding(clip.embed_texts(prompts))
            bar.update(1)
    weights = clip.temperature * texts
    rows = partial(_logits, raw, weights, request.device)
    columns = ClassColumns(tuple(labels), np.arange(len(labels)))
    with progress.stage("zero-shot", total=study.n_images, unit="images"):
        answer = from_logits(rows, study.n_images, columns)
    answer.weights, answer.bias = weights, np.zeros(len(labels), np.float32)
    answer.facts = {"n_classes": len(labels), "clip": clip.name, "on_unit_rows": True}
    answer.notes = named.notes
    return answer


def _logits(raw: ChunkedArray, weights: np.ndarray, device: Any, start: int, stop: int) -> torch.Tensor:
    rows, factors = (torch.from_numpy(values).to(device) for values in (np.array(raw[start:stop]), weights))
    return unit(rows) @ factors.T


def text_tower(study: StudyReader) -> str:
    """The CLIP to embed words for classes with, whose image tower the encoder is, with its settings.

    As MODEL@TAG or MODEL?SETTING=VALUE@FILE.

    Raises:
        SettingsError: it is the image tower of none, has random weights, or something else of it is stored.
    """
    settings, encoder = study.settings("embed"), study.facts(EmbedFacts).encoder
    given = str(encoder.spec or settings.get("encoder") or "")
    if not given.startswith("open_clip:"):
        raise SettingsError(
            "zero-shot needs an encoder with a text tower, open_clip:NAME; this one is "
            f"{given or 'not named'}"
        )
    spec = parse_spec(given)
    weights = spec.checkpoint or spec.arguments.get("pretrained")
    if not weights:
        raise SettingsError(f"zero-shot: {given} has random weights; name its own: ?pretrained=TAG or @FILE")
    # With one of them the embedding is not what is stored.
    if other := [f"{flag(name)} {settings[name]}" for name in READOUT if settings.get(name)]:
        raise SettingsError(
            f"zero-shot needs the encoder's own embeddings; this study has others ({', '.join(other)})"
        )
    options = [f"{name}={value}" for name, value in spec.arguments.items() if name != "pretrained"]
    return f"{spec.name}{'?' * bool(options)}{'&'.join(options)}@{weights}"


@dataclass(frozen=True)
class ClassTexts:
    """What each class is called in prompts, its own prompts (none: those of ImageNet), and notes."""

    texts: list[str]
    prompts: list[tuple[str, ...]]
    notes: list[str]


def class_texts(labels: Sequence[str], file: str | None) -> ClassTexts:
    """The text of each label for CLIP's zero-shot answers: from a file of names, or its own words.

    Raises:
        SettingsError: a label is a number that the file, if there is one, does not name.
    """
    named, notes = _of_file(labels, file) if file else ([None] * len(labels), [])
    names = [_called(one) or label for one, label in zip(named, labels, strict=True)]
    bare = [label for label, name in zip(labels, names, strict=True) if integer_of(name) is not None]
    if bare and (file or len(bare) == len(labels)):
        which = f"'{file}' names none for {few(bare)}" if file else "these are numbers"
        raise SettingsError(
            f"zero-shot needs names of the classes, and {which}: "
            "answers STUDY --add zero-shot --head-classes FILE"
        )
    ids = wordnet_names() | dict(zip(imagenet_synsets(), imagenet_names(), strict=True))
    ids = {synset: name.partition(" (")[0] for synset, name in ids.items()}
    texts = class_texts_of(names, ids)
    prompts = [one.prompts if one else () for one in named]
    by_text = [number for number, of_class in enumerate(prompts) if not of_class]
    alike = same_texts([labels[one] for one in by_text], [texts[one] for one in by_text])
    same = [f"{text} ({', '.join(several)})" for text, several in alike]
    if same:
        notes.append(say_of_texts("same_text", n=len(same), what=few(same), names=tuple(same)))
    renamed = [f"{label} is {text}" for label, text in zip(labels, texts, strict=True) if label != text]
    if renamed:
        notes.append(f"classes as texts: {few(renamed)}")
    return ClassTexts(texts, prompts, notes)


def _called(one: NamedClass | None) -> str | None:
    """The first name of a class that has words, else its first; None without a name."""
    names = one.names if one else ()
    return next((name for name in names if words_of(name)), next(iter(names), None))


def _of_file(labels: Sequence[str], file: str) -> tuple[list[NamedClass | None], list[str]]:
    """The class of a file of names that each label means, and notes."""
    listed, name = read_class_list(file), Path(file).name
    match, n = match_class_list(listed, labels), len(listed.classes)
    code, notes = match.code, list[str]()
    if not match.n_matched and n != len(labels):
        raise SettingsError(
            f"'{file}' names {n:,} classes, of which none is a label; the study has {len(labels):,}"
        )
    if not match.n_matched:
        code = np.arange(n)
        notes.append(say_of_texts("by_place", n=n, what=name))
    else:
        n_named, how = match.n_matched, match.how
        notes.append(say_of_texts("texts_of_file", n=n_named, of=len(labels), what=name, why=how))
        notes += match.shared_note()
        if left := match.unmatched:
            notes.append(say_of_texts("without_text", n=len(left), what=few(left), names=left, why=name))
    named: list[NamedClass | None] = [None] * len(labels)
    for one, class_number in zip(listed.classes, code.tolist(), strict=True):
        if class_number >= 0:
            named[class_number] = one
    if sentences := sum(bool(one and one.prompts) for one in named):
        notes.append(say_of_texts("sentences", n=sentences, why=name))
    if listed.n_described:
        notes.append(say_of_texts("described", n=listed.n_described, why=name))
    return named, notes


def _class_embedding(texts: np.ndarray) -> np.ndarray:
    """Mean of a class's text embeddings by CLIP, (n, r) unit rows -> (r,), at length 1."""
    mean = texts.astype(np.float64).mean(0)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)
