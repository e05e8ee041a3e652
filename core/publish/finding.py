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

from core.answers.class_logits import output_logits, own_classifier
from core.charts.shown_names import shortened
from core.common.formatting import counted
from core.common.records import Record, Templates
from core.measures.chance import FEW
from core.measures.feature_names import feature_names
from core.measures.finder import judged, too_few_errors
from core.measures.highlights import ClassAccuracy, WorstSlice, class_accuracy, worst_slice
from core.measures.overlap import object_preference
from core.measures.plain_names import plain_name
from core.measures.slice import Slice
from core.measures.slice_comparison import images_of, train_images
from core.measures.slice_features import count_firing_images
from core.measures.slice_words import SCENE, different_words, feature_words, named_from
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
        return _say("unfinished")
    kind, seen = _seen(study, shown)
    sees = _say(kind, names=tuple(seen)) if seen else None
    accuracy = class_accuracy(study, among)
    outcomes = judged(study, among)
    # The probe knows its train images by heart.
    of_train = study.answer is None and outcomes is not None and not (outcomes.mask & study.is_val).any()
    if accuracy is None or of_train or (len(study.class_names) == 1 and accuracy.accuracy == 1):
        return _without_outcomes(study, shown, sees, seen)
    if among is None and accuracy.worst and not accuracy.beats_guessing:
        return _useless(study, accuracy)
    if object_preference(study, shown).high < 0:
        sees = _say("to_background", parts=(sees or _say("features_look"),))
    few = too_few_errors(outcomes) if outcomes else ""
    wrong = _wrong(study, accuracy, few, find_worst or partial(worst_slice, study, among))
    if sees and study.answer is None:
        return f"{sees}; {wrong}"
    answered = f"{_subject(study)} {wrong}"
    return f"{sees}; {answered}" if sees else _begun(answered)


def _seen(study: Study, shown: np.ndarray) -> tuple[str, list[str]]:
    """Return the names of discriminative features that fire on most of some images, no two with a word in
    common, and the kind of sentence: they were seen under the heat, or in the whole images.
    """
    if not (study.has("concepts") and study.has_firing):  # a head's classes are no words of what is seen
        return "", []
    names, places = feature_words(study, named=False), named_from(study)
    fires = count_firing_images(study, [shown])[0] * study.discriminative
    images: dict[bool, Counter[str]] = defaultdict(Counter)
    for feature, mine in names.items():
        images[places.get(feature) == SCENE][mine[0]] += int(fires[feature])
    under_heat = any(images[False].values())
    ranked = sorted(images[not under_heat].items(), key=lambda pair: (-pair[1], pair[0]))
    listed = different_words(word for word, n in ranked if n)
    return "sees" if under_heat else "sees_scenes", listed[:MOST]


def _without_outcomes(study: Study, shown: np.ndarray, sees: Record | None, seen: list[str]) -> str:
    """Say what is known where no image is known to be right or wrong, or none can be wrong."""
    if len(study.class_names) > 1:
        if "probe" in study.missing():
            return _say("errors_later", parts=(sees or _say("unfinished_probe"),))
        return _say("no_outcomes", parts=(sees or _say("features_known"),))
    if seen:
        return _say("groups_by", names=tuple(seen))
    if study.has("probe") and (answers := _answers(study, shown)):
        return _begun(_say("answers_most", what=_subject(study), names=answers))
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
    kind, n_images = "confident" if len(rows) >= FEW else "confident_few", int(shown.sum())
    sentence = _say(kind, chance=SURE, value=float(sure.mean()), of=int(sure.sum()), n=n_images)
    answers = Counter(logits[sure].argmax(1).tolist())
    if not answers:
        return sentence
    output, n = min(answers.items(), key=lambda pair: (-pair[1], pair[0]))
    name = str(study.table("head_classes", ["name"])["name"].iloc[output])
    name = shortened(name.partition(",")[0])
    if name and len(rows) == 1:
        return _say("sees_one", what=name, parts=(sentence,))
    if name and n > 1 and n / len(rows) >= OFTEN:
        return _say("sees_often", what=name, value=n / len(rows), parts=(sentence,))
    return _say("sees_classes", n=len(answers), parts=(sentence,))


def _of_features(study: Study, shown: np.ndarray) -> str:
    """Say how many features fire, how often, and whether the encoder tells the images apart."""
    n = int(shown.sum())
    if not (study.has_firing and n):
        return _say("meaning_unknown", n=n)
    fires = count_firing_images(study, [shown])[0]
    kind = "fire_on_one" if n == 1 else "fire"
    n_firing, these = int(np.count_nonzero(fires)), counted(n, "image")
    mean, most = float(fires.sum() / n), float(fires.max() / n)
    sentence = _say(
        kind if n_firing else "fire_on_none", n=n_firing, of=len(fires), what=these, value=mean, chance=most
    )
    if not (n_repeats := _repeats(study, shown)):
        return sentence
    return _say("one_repeats" if n_repeats == 1 else "repeat", n=n_repeats, parts=(sentence,))


def _repeats(study: Study, shown: np.ndarray) -> int:
    """Count the evaluation images that are to the encoder nearly equal to a train image."""
    if not (study.has("neighbour_similarity") and (shown & ~train_images(study)).any()):
        return 0
    nearest = study.vector("neighbour_similarity").max(1)[shown[~train_images(study)]]
    return int(np.count_nonzero(nearest > EQUAL))


def _answers(study: Study, shown: np.ndarray) -> tuple[Record, ...]:
    """Name the most common answers on some images, each with its share."""
    predicted = study.column("probe", "predicted").loc[shown].dropna().tolist()
    common = sorted(Counter(predicted).items(), key=lambda pair: (-pair[1], pair[0]))[:MOST]
    shares = [(shortened(str(name)), n / len(predicted)) for name, n in common]
    return tuple(_say("answer_share", what=name, value=share) for name, share in shares)


def _useless(study: Study, accuracy: ClassAccuracy) -> str:
    """Say that the answers are no better than guessing, or that so few images cannot tell."""
    remedy = _say("try_another" if study.is_fitted else "check_classes")
    kind = "few_to_tell" if accuracy.n < FEW else "guessing"
    return _say(
        "worse_than_guessing" if accuracy.high < accuracy.guess else kind,
        what=shortened(accuracy.common),
        value=accuracy.accuracy,
        chance=accuracy.guess,
        n=accuracy.n,
        why=remedy,
    )


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
    if accuracy.accuracy in (0, 1):
        kinds = ("wrong_on_one", "right_on_one") if accuracy.n == 1 else ("wrong_on_all", "right_on_all")
        return _say(kinds[int(accuracy.accuracy)], n=accuracy.n)
    if few:
        return _say("too_few", value=accuracy.accuracy, n=accuracy.n, parts=few.parts)
    worst = find_worst()
    if worst is None:
        return _say("level", value=accuracy.accuracy, n=accuracy.n)
    share = worst.errors / worst.n
    where = Slice.parse(worst.where)
    where = replace(where, labels=tuple(map(shortened, where.labels)))
    name = plain_name(where, feature_names(study) if where.fires else {}, study.feature_kind)
    return _say("fails" if share >= FAILS else "weaker", what=name, value=share, chance=worst.rest)


def _subject(study: Study) -> Record:
    """Name what gives the answers."""
    if study.answer is None:
        return _say("probe")
    if study.answer.kind == "head":
        return _say("head")
    name, title = study.answer.name, study.answer.title
    return _say("another" if title == name else "of_kind", what=title)


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
