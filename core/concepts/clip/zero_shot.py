"""The answer `zero-shot`: each image by the class whose texts are nearest, for encoders with a text tower.

logit_c = s cos(z, t_c), z the embedding of an image, t_c the mean of the unit embeddings of the prompts of a
class, at length 1, and s the model's own factor (Radford et al. 2021). It is linear on the unit rows h.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from core.answers.classes import read_names
from core.answers.knn import unit
from core.answers.outcome import AnswerValues, ClassColumns, Request, from_logits
from core.common.labels.wordnet import WORDNET, imagenet_synsets, wordnet_names
from core.common.step_facts import EmbedFacts
from core.concepts.clip.clip import imagenet_names, imagenet_prompts, load_clip
from core.config import READOUT
from core.config.settings import flag
from core.encoders.spec import parse_spec
from core.errors import SettingsError
from core.jobs.progress import Progress
from core.reader import StudyReader
from core.storage.chunked_array import ChunkedArray


def zero_shot_answer(study: StudyReader, request: Request, progress: Progress) -> AnswerValues:
    """The answer `zero-shot`.

    Raises:
        SettingsError: the encoder has no text tower, its embeddings are not stored, or classes have no names.
        ClipError: the text tower cannot be loaded.
    """

    labels = study.class_names
    if len(labels) < 2:
        which = f"all labels are '{labels[0]}'" if len(labels) else "no image has a label"
        raise SettingsError(f"zero-shot needs images of two classes or more to tell apart; {which}")
    names = class_texts(labels, request.head_classes)
    clip = load_clip(text_tower(study), device=request.device)
    raw = study.array("representations")
    if clip.width != raw.shape[1]:
        raise SettingsError(
            f"the text tower of {clip.name} gives {clip.width:,} numbers, the study has {raw.shape[1]:,} "
            "features: zero-shot needs the encoder's own embeddings"
        )
    with progress.stage("prompts", total=len(names), unit="classes") as bar:
        texts = np.empty((len(names), clip.width), np.float32)
        for number, name in enumerate(names):
            texts[number] = class_embedding(clip.embed_texts(imagenet_prompts(name)))
            bar.update(1)
    weights = clip.temperature * texts
    rows = partial(_logits, raw, weights, request.device)
    columns = ClassColumns(tuple(labels), np.arange(len(labels)))
    with progress.stage("zero-shot", total=study.n_images, unit="images"):
        answer = from_logits(rows, study.n_images, columns)
    answer.weights, answer.bias = weights, np.zeros(len(labels), np.float32)
    answer.facts = {"n_classes": len(labels), "clip": clip.name, "on_unit_rows": True}
    renamed = [f"{label} is {name}" for label, name in zip(labels, names, strict=True) if label != name]
    if renamed:
        answer.notes = [f"classes as texts: {', '.join(renamed[:3])}{' …' * (len(renamed) > 3)}"]
    return answer


def _logits(raw: ChunkedArray, weights: np.ndarray, device: Any, start: int, stop: int) -> torch.Tensor:
    rows, factors = (torch.from_numpy(values).to(device) for values in (np.array(raw[start:stop]), weights))
    return unit(rows) @ factors.T


def text_tower(study: StudyReader) -> str:
    """The CLIP whose image tower the encoder is, by its name: MODEL@TAG or MODEL@FILE.

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
    return f"{spec.name}@{weights}"


def class_texts(labels: Sequence[str], file: str | None) -> list[str]:
    """What each class is called in prompts: in a file of names, by WordNet id, or by its label."""
    if file:
        names = read_names(file, len(labels), of="the study has {:,}", called=[[one] for one in labels])
        return [one[-1] if one else label for one, label in zip(names, labels, strict=True)]
    if all(label.isdecimal() for label in labels):
        raise SettingsError(
            "zero-shot needs names of the classes, and these are numbers: "
            "answers STUDY --add zero-shot --head-classes FILE"
        )
    names_by_synset = wordnet_names() | dict(zip(imagenet_synsets(), imagenet_names(), strict=True))
    names_by_synset = {synset: name.partition(" (")[0] for synset, name in names_by_synset.items()}
    ids = [label if WORDNET.fullmatch(label) else "" for label in labels]
    return [names_by_synset.get(one, label.replace("_", " ")) for one, label in zip(ids, labels, strict=True)]


def class_embedding(texts: np.ndarray) -> np.ndarray:
    """(n, r) unit rows -> (r,) their mean, at length 1."""
    mean = texts.astype(np.float64).mean(0)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)
