"""The encoder's own classifier as an answer: its logits, and the activation that its file leaves out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from core.answers.class_logits import Classifier, by_class, own_classifier
from core.answers.classes import (
    BY_INDEX,
    FROM_ONE,
    in_likely_order,
    match_classes,
    possible_orders,
    read_class_file,
    right_by_order,
)
from core.answers.outcome import AnswerValues, ClassColumns, Request, from_logits
from core.answers.predictable import output_names
from core.common.dataframes import evenly
from core.common.label_match import Match
from core.common.records import Templates
from core.common.step_facts import EmbedFacts
from core.errors import SettingsError
from core.measures.choice import choose
from core.measures.design_effect import groups_among
from core.measures.intervals import wilson
from core.study.reader import StudyReader

if TYPE_CHECKING:
    import torch

    from core.study.chunked_array import ChunkedArray
    from core.study.progress import Progress


# Which activation lies between the two layers of a head whose file does not say it. No torch.


_say = Templates.beside(__file__)
IMAGES = 4096  # that they are compared on
SURE = 3.0  # standard errors of the mean difference of two losses
TRIED = (
    "ReLU",
    "GELU",
    "SiLU",
    "Tanh",
    "ReLU6",
    "Hardswish",
    "Identity",
)  # the most common between two layers first
ALIKE = 0.98  # share of images with one answer: between such activations the choice matters little
STATE = "state it: answers STUDY --head-activation"
CHANCE = (
    "the file does not say which activation lies between the layers of the classifier, and with each of them "
    "its answers are at chance: it is a projection head, or the classes are in another order (--head-classes "
    f"FILE), or the normalisation is wrong. To take it all the same, {STATE} ReLU"
)


def _likely_activation(study: StudyReader, match: Match) -> tuple[str, str]:
    """Find the activation between a head's layers that labelled images favour.

    The one under which they have the lowest cross-entropy (`least_loss`), or the most common of those
    whose cross-entropy cannot be told from it.

    Args:
        match: which label each output means.
    Returns:
        the activation, and what was found in a line.
    Raises:
        SettingsError: with none is the accuracy above chance, or of those that cannot be told apart another
            one gives different answers.
    """
    label = study.column("images", "label")
    matched_codes = np.unique(match.code[match.code >= 0])
    rows = np.flatnonzero(label.isin([study.class_names[code] for code in matched_codes.tolist()]).to_numpy())
    rows = rows[evenly(len(rows), IMAGES)]
    true = np.searchsorted(study.class_names, label.to_numpy(object)[rows].astype(str))
    raw, losses, answers = study.array("representations").rows(rows), {}, {}
    for name in TRIED:
        classifier = own_classifier(study, name)
        assert classifier is not None  # the layers are stored
        outputs = classifier.logits(raw)
        labels = by_class(outputs, match.code, len(study.class_names))
        logits = np.concatenate([labels, outputs[:, match.code < 0]], axis=1)
        losses[name] = least_loss(logits, true)
        answers[name] = logits.argmax(1)
    best, second = sorted(TRIED, key=lambda name: losses[name].mean())[:2]
    right = {name: int((answers[name] == true).sum()) for name in TRIED}
    if wilson(right[best], len(rows))[0] <= np.bincount(true).max() / len(rows):
        raise SettingsError(CHANCE)
    taken, *alike = [name for name in TRIED if not _is_worse(losses[name] - losses[best])]
    same = {name: (answers[name] == answers[taken]).mean() for name in TRIED}
    for other in alike:
        if same[other] < ALIKE:
            both = (_top1(taken, right, rows), _top1(other, right, rows))
            raise SettingsError(_say("not_told_apart", n=len(rows), names=both, why=STATE, what=taken))
    n, of, first = len(rows), len(TRIED), _top1(taken, right, rows)
    if alike:
        least, fitting = float(min(same[name] for name in alike)), tuple(alike)
        return taken, _say("some_fit", n=n, of=of, what=first, names=fitting, value=least, why=STATE)
    then = (_top1(second, right, rows),)
    return taken, _say("one_fits", n=n, of=of, what=first, names=then, value=float(same[second]))


def _is_worse(excess: np.ndarray) -> bool:
    """Whether losses exceed the lowest ones by more than chance; (n,) differences."""
    return excess.mean() > SURE * excess.std(ddof=1) / len(excess) ** 0.5


def least_loss(logits: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Judge by each image's cross-entropy how well a head's outputs, matched to labels, answer.

    At the temperature at which the mean is least: at temperature 1 an activation that saturates would win
    where a classifier is too sure of its errors.

    Args:
        logits: (n, n_names). true: (n,) places.
    """
    from scipy.optimize import minimize_scalar  # here: it takes long to load

    def losses(log_scale: float) -> np.ndarray:
        scaled = logits * np.exp(log_scale)
        return np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(len(true)), true]

    minimum: Any = minimize_scalar(lambda one: losses(one).mean(), bounds=(-7.0, 7.0), method="bounded")
    return losses(float(minimum.x))


def _top1(name: str, right: dict[str, int], rows: np.ndarray) -> str:
    return f"{name} (top-1 {100 * right[name] / len(rows):.1f} %)"


# The encoder's own classifier as an answer: on the stored representations, or from its stored logits.


LIKELY_WRONG = "LIKELY WRONG"
APART = 0.2  # by which an order has to explain more than one answer to all does
WRONG_ORDER = f"THE ORDER OF THE CLASSES IS {LIKELY_WRONG}"
DIFFERS = "so what features add to a class differs from image to image"
NOT_LINEAR = f"not linear on the representation, {DIFFERS}"
HIDDEN = f"it has a hidden layer, {DIFFERS}"
AT_ITS_END = "; on what its last layer reads it has none (analyze --layer head-input)"
SINGLE = "it has one output x: x > 0 means the second class, the confidence is the sigmoid"
SEVERAL = (
    "its outputs are independent of each other (sigmoid): here each image has the one class whose output is "
    "largest, and confidences are of a softmax over all outputs, not the classifier's own"
)
MIXED = f"labels and outputs are not one to one, {DIFFERS}"
UNCHECKED = "its logits were not compared with those of a network that the file names: it was read as {arch}"
NO_HEAD = "the encoder comes without a classifier"


def why_no_head(study: StudyReader) -> str | None:
    """Explain why a study cannot have the answer of the encoder's own head, or return None."""
    if study.has("head_classes"):
        return None
    return study.facts(EmbedFacts).head.why or NO_HEAD


def head_answer(study: StudyReader, request: Request, progress: Progress) -> AnswerValues:
    """Return the answer `head`: what the encoder's own classifier says of each image of a study.

    Raises:
        SettingsError: there is no head, or none of its outputs is a label of the study.
    """
    if why := why_no_head(study):
        raise SettingsError(_say("no_head", what=str(study.path), why=why))
    match, columns = matched(study, request)
    activation, activation_notes = _activation(study, request, match)
    with progress.stage("head", total=study.n_images, unit="images"):
        answer = from_logits(_rows(study, request.device, activation), study.n_images, columns)
    match, order_notes = (match, []) if request.head_classes else in_likely_order(study, answer, match)
    answer.facts = {"n_outputs": len(match.code), "matched": match.how, "n_matched": match.n_matched}
    answer.facts |= {"activation": activation} if activation else {}
    about = study.facts(EmbedFacts).head
    sigmoid = [SINGLE] * about.single + [SEVERAL] * about.independent
    of_match = match.notes("; name the outputs: --head-classes FILE")
    of_order = usual_order_note(study, answer, match) or order_note(study, answer, match)
    answer.notes = [*of_match, *about.notes, *order_notes, *activation_notes, *sigmoid, *of_order]
    _add_weights(study, answer, match)
    if arch := about.unchecked:
        answer.notes.append(UNCHECKED.format(arch=arch))
    return answer


def matched(study: StudyReader, request: Request) -> tuple[Match, ClassColumns]:
    """The outputs of the head matched to the labels of a study, and what its logits become by that.

    Raises:
        SettingsError: none of its outputs is a label.
    """
    names, labels = output_names(study), study.class_names
    if request.head_classes:
        match = read_class_file(request.head_classes, len(names), labels, names)
    else:
        match = match_classes(names, labels)
        if match is None and study.facts(EmbedFacts).head.assumed:
            match = match_classes([[]] * len(names), labels)
    if match is None:
        raise SettingsError(unmatched(names, labels))
    if request.order and not request.head_classes:
        match = next((order for order in possible_orders(match, labels) if order.how == request.order), match)
    return match, ClassColumns.of(match, labels, restrict=request.restrict)


def unmatched(names: list[list[str]], labels: list[str]) -> str:
    """Return the error for a head of which no output is a label of the study."""
    first = tuple(aliases[-1].partition(",")[0] for aliases in names[:3] if aliases)
    kind = ("more_outputs" if len(names) > 3 else "outputs") if first else "unnamed_outputs"
    outputs = _say(kind, n=len(names), names=first)
    examples = _say("more_labels" if len(labels) > 3 else "labels", n=len(labels), names=tuple(labels[:3]))
    return _say("unmatched", parts=(outputs, examples))


def why_other_numbers(study: StudyReader, facts: Mapping[str, Any]) -> str | None:
    """Explain why labels that are numbers are not those of a head with more outputs, or with names.

    Taken so, they are right no more often than any label would be. None where they may be.
    """
    n_outputs, n_labels = facts["n_outputs"], len(study.class_names)
    others = facts.get("matched") in (BY_INDEX, FROM_ONE) and (
        any(output_names(study)) or n_outputs > n_labels
    )
    if not others or not facts["at_chance"] or facts["top1"] > 1 / n_labels:
        return None
    return _say("other_numbers", of=n_outputs, value=facts["top1"], n=facts["n"])


def _activation(study: StudyReader, request: Request, match: Match) -> tuple[str | None, list[str]]:
    """The activation of a head whose file does not say it, and what is said of that; None for other heads.

    Raises:
        SettingsError: labelled images do not tell it and nobody states it, or it is stated for another head.
    """
    stated = request.head_activation
    if study.facts(EmbedFacts).head.activation == "":
        if stated:
            return stated, [_say("stated", what=stated)]
        name, why = _likely_activation(study, match)
        return name, [why]
    if stated:
        raise SettingsError(_say("stated_for_another", what=stated))
    return None, []


def _rows(study: StudyReader, device: Any, activation: str | None) -> Callable[[int, int], torch.Tensor]:
    if study.has("head_logits"):
        return partial(_logits, study.array("head_logits"), device, None)
    if activation and (classifier := own_classifier(study, activation)):
        return partial(_of_layers, study.array("representations"), classifier, device)
    weights = study.vector("head_weights"), study.vector("head_bias")
    return partial(_logits, study.array("representations"), device, weights)


def _logits(
    array: ChunkedArray, device: Any, weights: tuple[np.ndarray, np.ndarray] | None, start: int, stop: int
) -> torch.Tensor:
    """The logits of images from one row up to another: as stored, or representations times weights."""
    import torch

    part = np.array(array[start:stop])
    rows, *head = (torch.from_numpy(values).to(device).float() for values in (part, *(weights or ())))
    return rows @ head[0].T + head[1] if head else rows


def _of_layers(
    array: ChunkedArray, classifier: Classifier, device: Any, start: int, stop: int
) -> torch.Tensor:
    """The logits of a head with a hidden layer, of images from one row up to another."""
    import torch

    return torch.from_numpy(classifier.logits(np.array(array[start:stop]))).float().to(device)


def _add_weights(study: StudyReader, answer: AnswerValues, match: Match) -> None:
    """Add the weights by class of the study, where each class is one output of a linear head, else what each
    output means."""
    if not study.has("head_weights") or match.unmatched or not match.one_to_one:
        of_layers = HIDDEN if study.has("head_hidden_weights") else NOT_LINEAR
        if of_layers == HIDDEN and "activation" not in answer.facts:
            of_layers += AT_ITS_END
        answer.notes.append(MIXED if study.has("head_weights") else of_layers)
        answer.outputs = match.code.astype(np.int32)
    else:
        output_of = np.empty(len(study.class_names), int)
        output_of[match.code[match.code >= 0]] = np.flatnonzero(match.code >= 0)
        answer.weights = study.vector("head_weights")[output_of]
        answer.bias = study.vector("head_bias")[output_of]


def usual_order_note(study: StudyReader, answer: AnswerValues, match: Match) -> list[str]:
    """Warn where outputs as they are matched without a file are right far more often than with it.

    Read off the outputs that won, so only where each output is a class of its own.
    """
    usual = match_classes(output_names(study), study.class_names)
    codes = {name: code for code, name in enumerate(study.class_names)}
    output_of = {match.names[output]: output for output in np.flatnonzero(match.code < 0).tolist()}
    output_of |= {study.class_names[match.code[one]]: one for one in np.flatnonzero(match.code >= 0).tolist()}
    outputs = [output_of.get(name, -1) for name in answer.names]
    if usual is None or not match.one_to_one or -1 in outputs or (usual.code == match.code).all():
        return []
    label = study.images["label"]
    rows = np.flatnonzero(label.notna().to_numpy() & (answer.best[:, 0] >= 0))
    true = np.array([codes[one] for one in label.to_numpy(object)[rows].astype(str)], int)
    won = np.array(outputs)[answer.best[rows, 0]]
    right = right_by_order([match, usual], won, true)
    if not choose(right, groups=groups_among(study.groups, rows)).taken:
        return []
    stated, as_usual = right.mean(1).tolist()
    hows = (match.how, usual.how)
    return [_say("usual_order", what=WRONG_ORDER, value=stated, chance=as_usual, names=hows)]


def order_note(study: StudyReader, answer: AnswerValues, match: Match) -> list[str]:
    """Warn where images of one label are mostly given one answer, and it is another one: a permuted order.

    The answer of each label is read off every other image of it, and judged on the others.
    """
    label = study.images["label"]
    is_known = label.isin(list(answer.known or ())).to_numpy()
    rows = np.flatnonzero(is_known & (answer.best[:, 0] >= 0))
    if len(rows) < 20:
        return []
    true = np.searchsorted(study.class_names, label.to_numpy(object)[rows].astype(str))
    predicted = answer.best[rows, 0].astype(np.int64)
    share, judged = _usual_share(true, predicted)
    if judged.sum() < 10:
        return []
    right = np.array(answer.names, dtype=object)[predicted] == label.to_numpy(object)[rows]
    accuracy = float(right[judged].mean())
    if share < 2 * accuracy or share - max(accuracy, _constant_share(predicted[judged])) < APART:
        return []
    return [_say("other_order", what=WRONG_ORDER, value=accuracy, chance=share, why=match.how)]


def _constant_share(predicted: np.ndarray) -> float:
    """The share of images that get a head's most common answer: one answer to all is no order."""
    return float(np.unique(predicted, return_counts=True)[1].max() / len(predicted))


def share_by_order(true: np.ndarray, predicted: np.ndarray) -> float:
    """The share of a head's answers that another order of the classes makes right; 0 where all are one.

    The share of images that another order of the classes would make right; 0 where one answer to all does.

    Args:
        true, predicted: as for `_usual_share`.
    """
    share, judged = _usual_share(true, predicted)
    if not judged.any() or share - _constant_share(predicted[judged]) < APART:
        return 0.0
    return share


def _usual_share(true: np.ndarray, predicted: np.ndarray) -> tuple[float, np.ndarray]:
    """The share of images that a head answers as usual for their label, and (n,) bool, those that count.

    What is usual is read off every other image of a label, and counted on the others.

    Args:
        true, predicted: (n,) int >= 0, numbers of labels and of answers.
    """
    order = np.argsort(true, kind="stable")
    turn = np.empty(len(true), int)  # the number of each image among those of its label
    turn[order] = np.arange(len(true)) - np.searchsorted(true[order], true[order])
    n_names = int(predicted.max(initial=0)) + 1
    pairs, counts = np.unique((true * n_names + predicted)[turn % 2 == 0], return_counts=True)
    by_count = np.argsort(counts, kind="stable")
    usual = np.full(int(true.max(initial=0)) + 1, -1)
    usual[pairs[by_count] // n_names] = pairs[by_count] % n_names  # the most common one is written last
    judged = turn % 2 == 1
    return float((usual[true] == predicted)[judged].mean()) if judged.any() else np.nan, judged
