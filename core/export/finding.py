"""What a study found, in one sentence: what the encoder sees, and where it goes wrong.

Only what has evidence is said: words of discriminative features that passed their test, an accuracy whose
interval lies above guessing or below it, a slice that is significantly worse.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np

from core.answers.kinds import KINDS
from core.common.captions import shortened
from core.common.formatting import counted, joined, percent
from core.common.records import Record, Templates
from core.common.statistics.chance import FEW
from core.measures.object_preference import object_preference
from core.slices.features.class_logits import output_logits, own_classifier
from core.slices.finder import judged, too_few_errors
from core.slices.firing_counts import count_firing_images, has_firing
from core.slices.highlights import ClassAccuracy, WorstSlice, class_accuracy, worst_slice
from core.slices.inspection.names import feature_names
from core.slices.inspection.populations import images_of, train_images
from core.slices.inspection.words import SCENE, different_words, feature_words, named_from
from core.slices.plain_names import plain_name
from core.slices.slice import Slice
from core.store import Narrowed, Study

MOST = 3  # words, or classes, that the sentence names
FAILS = 0.5  # error rate of a slice from which on it fails there
SAMPLE = 1_000  # images without labels whose answers are looked at
SURE, OFTEN = 0.5, 0.1  # confidence of an answer to be sure of, and share of the images of one to be named
EQUAL = 0.99  # cosine of the representations of two images that an encoder hardly tells apart
_say = Templates.beside(__file__)


def study_finding(
    study: Study,
    among: np.ndarray | None = None,
    *,
    find_worst: Callable[[], WorstSlice | None] | None = None,
) -> str:
    """Return what a study found in one sentence without its full stop, long names of classes shortened.

    Args:
        study: read by the answer that it speaks of.
        among: (n_images,) bool: images that it is narrowed to; None: the evaluation images, or all if there
            are none. A narrowed study speaks of its own images.
        find_worst: gives what `worst_slice` would, where that is known already.
    """
    if isinstance(study, Narrowed):
        study, among = study.whole, study.chosen
    shown = images_of(study, Slice()) if among is None else among
    if not study.has("features"):
        return "Not finished: its features are still to come"
    verb, seen = _seen(study, shown)
    sees = f"{verb} {joined(seen)}" if seen else ""
    accuracy = class_accuracy(study, among)
    outcomes = judged(study, among)
    # The probe knows its train images by heart.
    of_train = study.answer is None and outcomes is not None and not (outcomes.mask & study.is_val).any()
    if accuracy is None or of_train or (len(study.class_names) == 1 and accuracy.accuracy == 1):
        return _without_outcomes(study, shown, sees, seen)
    if among is None and accuracy.worst and not accuracy.beats_guessing:
        return _useless(study, accuracy)
    if object_preference(study, shown).high < 0:
        sees = f"{sees or 'Its features look'}, more at the background than at the object"
    few = too_few_errors(outcomes) if outcomes else ""
    wrong = _wrong(study, accuracy, few, find_worst or partial(worst_slice, study, among))
    if sees and study.answer is None:
        return f"{sees}; {wrong}"
    return f"{sees}; {_subject(study)} {wrong}" if sees else _begun(f"{_subject(study)} {wrong}")


def _seen(study: Study, shown: np.ndarray) -> tuple[str, list[str]]:
    """Return the names of discriminative features that fire on most of some images, no two with a word in
    common, and how they were seen: under the heat, or in the whole images.
    """
    if not (study.has("concepts") and has_firing(study)):  # a head's classes are no words of what is seen
        return "", []
    names, places = feature_words(study, named=False), named_from(study)
    fires = count_firing_images(study, [shown])[0] * study.discriminative
    images: dict[bool, Counter[str]] = defaultdict(Counter)
    for feature, mine in names.items():
        images[places.get(feature) == SCENE][mine[0]] += int(fires[feature])
    under_heat = any(images[False].values())
    ranked = sorted(images[not under_heat].items(), key=lambda pair: (-pair[1], pair[0]))
    listed = different_words(word for word, n in ranked if n)
    return "Sees" if under_heat else "Reacts to scenes with", listed[:MOST]


def _without_outcomes(study: Study, shown: np.ndarray, sees: str, seen: list[str]) -> str:
    """Say what is known where no image is known to be right or wrong, or none can be wrong."""
    if len(study.class_names) > 1:
        if "probe" in study.missing():
            return f"{sees or 'Not finished'}; where it goes wrong is still to come"
        return f"{sees or 'Its features are known'}; no evaluation image tells where it goes wrong"
    if seen:
        return f"Groups these images by {joined(seen)}"
    if study.has("probe") and (answers := _answers(study, shown)):
        return _begun(f"{_subject(study)} most often answers {answers}")
    return _own_answers(study, shown) or _of_features(study, shown)


def _own_answers(study: Study, shown: np.ndarray) -> str:
    """Say how many images without labels the encoder's own classifier is sure of, and of what; of many images
    `SAMPLE`, evenly spaced. Empty where its layers are not stored.
    """
    if not study.has("head_classes") or study.below is not None or not shown.any():
        return ""
    if not study.has("head_logits") and own_classifier(study) is None:
        return ""
    rows = np.flatnonzero(shown)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, SAMPLE).astype(int))]
    logits = output_logits(study, rows)
    sure = 1 / np.exp(logits - logits.max(1, keepdims=True)).sum(1) > SURE
    sentence = f"Its own classifier is confident (above {percent(SURE, digits=0)}) on "
    share = percent(sure.mean(), digits=0) if len(rows) >= FEW else f"{sure.sum()}"
    sentence += f"{share} of {counted(int(shown.sum()), 'image')}"
    answers = Counter(logits[sure].argmax(1).tolist())
    if not answers:
        return sentence
    output, n = min(answers.items(), key=lambda pair: (-pair[1], pair[0]))
    name = str(study.table("head_classes", ["name"])["name"].iloc[output])
    name = shortened(name.partition(",")[0])
    if name and len(rows) == 1:
        return f"{sentence}, and sees “{name}”"
    if name and n > 1 and n / len(rows) >= OFTEN:
        return f"{sentence}, and most often sees “{name}” ({percent(n / len(rows), digits=0)})"
    return f"{sentence}, and sees {counted(len(answers), 'class')} there"


def _of_features(study: Study, shown: np.ndarray) -> str:
    """Say how many features fire, how often, and whether the encoder tells the images apart."""
    images = counted(int(shown.sum()), "image")
    if not (has_firing(study) and shown.any()):
        return f"Its features are known on {images}; without labels and words nothing says what they mean"
    fires = count_firing_images(study, [shown])[0]
    n = shown.sum()
    n_firing, these = int(np.count_nonzero(fires)), f"these {images}"
    if not n_firing:
        return _say("fire_on_none", of=len(fires), what=these) + _repeats(study, shown)
    if n == 1:
        return _say("fire_on_one", n=n_firing, of=len(fires)) + _repeats(study, shown)
    mean, most = float(fires.sum() / n), float(fires.max() / n)
    sentence = _say("fire", n=n_firing, of=len(fires), what=these, value=mean, chance=most)
    return sentence + _repeats(study, shown)


def _repeats(study: Study, shown: np.ndarray) -> str:
    """Say how many evaluation images are to the encoder as good as equal to a train image; empty for none."""
    if not (study.has("neighbour_similarity") and (shown & ~train_images(study)).any()):
        return ""
    nearest = study.vector("neighbour_similarity").max(1)[shown[~train_images(study)]]
    n = int(np.count_nonzero(nearest > EQUAL))
    if not n:
        return ""
    return f"; {n:,} of them {'is' if n == 1 else 'are'} nearly equal to a train image"


def _answers(study: Study, shown: np.ndarray) -> str:
    """Name the most common answers on some images, each with its share."""
    predicted = study.column("probe", "predicted").loc[shown].dropna().tolist()
    common = sorted(Counter(predicted).items(), key=lambda pair: (-pair[1], pair[0]))[:MOST]
    return joined(
        [f"“{shortened(str(name))}” ({percent(n / len(predicted), digits=0)})" for name, n in common]
    )


def _useless(study: Study, accuracy: ClassAccuracy) -> str:
    """Say that the answers are no better than guessing, or that so few images cannot tell."""
    fitted = study.answer is None or KINDS[study.answer.kind].fitted
    remedy = "try another encoder or layer" if fitted else "check the order of its classes, and the pixels"
    guess = f"always answering “{shortened(accuracy.common)}”"
    shares = f"{percent(accuracy.accuracy, digits=0)} correct against {percent(accuracy.guess, digits=0)}"
    if accuracy.high < accuracy.guess:
        return f"Does worse than {guess} ({shares}): {remedy}"
    if accuracy.n < FEW:
        few = counted(accuracy.n, "evaluation image")
        return f"Too few images: {few} cannot tell whether it beats {guess} ({shares})"
    return f"Does no better than {guess} ({shares}): {remedy}"


def _wrong(
    study: Study,
    accuracy: ClassAccuracy,
    few: Record | Literal[""],
    find_worst: Callable[[], WorstSlice | None],
) -> str:
    """Say on which images the answers are wrong, as far as that is more than chance.

    Args:
        few: why no images can be called harder; "" where there are errors enough.
    """
    every = "the only image" if accuracy.n == 1 else f"all {accuracy.n:,} images"
    if accuracy.accuracy in (0, 1):
        return f"is {'right' if accuracy.accuracy else 'wrong'} on {every}"
    if few:
        return _say("too_few", value=accuracy.accuracy, n=accuracy.n, parts=few.parts)
    worst = find_worst()
    right = f"is right on {percent(accuracy.accuracy, digits=0)} of {counted(accuracy.n, 'image')}"
    if worst is None:
        return f"{right}, and no group of images is clearly harder"
    share = worst.errors / worst.n
    where = Slice.parse(worst.where)
    where = replace(where, labels=tuple(map(shortened, where.labels)))
    name = plain_name(where, feature_names(study) if where.fires else {}, study.feature_kind)
    elsewhere = percent(worst.rest, digits=0)
    if share >= FAILS:
        return f"fails on {name}"
    return f"is weaker on {name} ({percent(share, digits=0)} wrong, elsewhere {elsewhere})"


def _subject(study: Study) -> str:
    """Name what gives the answers."""
    if study.answer is None:
        return "a linear probe"
    return "its own classifier" if study.answer.kind == "head" else f"the answer {study.answer.name}"


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
