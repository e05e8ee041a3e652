"""What a reader of D or of an accuracy should know, in sentences. No torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.answers.head import LIKELY_WRONG, SEVERAL
from core.answers.requests import CHANCE
from core.common.records import Record, Templates
from core.common.step_facts import EmbedFacts, FeaturesFacts, ProbeFacts
from core.store import Study

# Sentences that a reader of D should know; written only here. No torch.


# Notes on conditions that `--epsilon auto` could not meet (see epsilon.py); stored in the summary of
# `features`.
AUTO_NOTES = {
    "silent": "No epsilon from 4 to 1 meets all three conditions of auto. "
    "It took the largest at which half of the train images have a firing feature.",
    "few": "At no epsilon from 4 to 1 do half of the train images have a firing feature. "
    "Auto took the smallest that gives discriminative features.",
}
DEFAULT_NOTE = "No feature is discriminative at epsilon {default:g}. {chosen:g} was taken, as auto does."
CONSTANT_NOTE = (
    "All train images have the same representation, so no feature tells them apart. "
    "Check the weights and the input size of the encoder."
)
FEW_IMAGES = 0.5  # share of images, as in the rule of auto


def silent_note(rate: np.ndarray, *, low: float = 50.0, high: float = 95.0) -> str:
    """Say what to mind about D where most features fire on no train image, which widens it; else empty.

    Describe D when P_low(A) = 0 (docs/method.md 1.3); empty when P_low(A) > 0.

    Args:
        rate: (n_features,) activation rates A_j in percent of the train images.

    >>> silent_note(np.array([0.0, 0.0, 0.0, 5.0]))
    '3 of 4 features fire on no train image. All others but the most general 5 % count as discriminative.'
    """
    rate = np.asarray(rate, np.float64)
    if not len(rate) or not rate.any() or np.percentile(rate, low) > 0:
        return ""
    n_silent = int((rate == 0).sum())
    return _say("silent_and_general" if high < 100 else "silent", n=n_silent, of=len(rate), value=100 - high)


def few_images_note(facts: FeaturesFacts) -> str:
    """Advise `--epsilon auto` where fewer images than `FEW_IMAGES` have a feature that fires; else empty."""
    share, epsilon = facts.share_firing, facts.epsilon
    if share is None or epsilon is None:
        return ""
    if share >= FEW_IMAGES or facts.epsilon_note:  # auto has said why it found no better
        return ""
    return _say("few_fire", value=share, chance=epsilon)


def notes_on_features(study: Study) -> list[str]:
    """Return notes to show wherever a study's D, its discriminative features, is shown; mostly none.

    D is a definition on the train images, so a study narrowed to a slice has the notes of the whole study.
    """
    study = getattr(study, "whole", study)  # of a `Narrowed` study
    if not study.has("features"):
        return []
    settings, facts = study.settings("features"), study.facts(FeaturesFacts)
    low, high = stored_percentile(settings.get("low"), 50.0), stored_percentile(settings.get("high"), 95.0)
    rate = study.table("features", ["activation_rate"])["activation_rate"].to_numpy(np.float64)
    notes = [
        facts.constant_note,
        facts.epsilon_note,
        silent_note(rate, low=low, high=high),
        few_images_note(facts),
    ]
    return [note for note in notes if note]


def stored_percentile(value: object, default: float) -> float:
    """Return the percentile by which the step `features` chose D, from a manifest with anything in it."""
    number = float(value) if isinstance(value, (int, float)) else default
    return number if 0 <= number <= 100 else default


# Evaluation images that a fitted answer has met in train: of the same patient, or copies. No torch.


COPY = 0.999  # cosine of two representations from which on they are of one picture
_say = Templates.beside(__file__)


def seen_images(study: Study) -> list[Record]:
    """What to mind beside the accuracy of a probe or another answer that was fitted to train images.

    Returns:
        kind `groups_on_both_sides`: n of the groups in evaluation have images in train; `copies_in_train`:
        n evaluation images have a representation within COPY of a train image's. Empty where none has.
    """
    whole: Study = getattr(study, "whole", study)
    is_val = whole.is_val
    shown = is_val & study.rows_of_slice(is_val)
    notes = []
    if whole.groups is not None:
        evaluated, fitted = np.unique(whole.groups[shown]), np.unique(whole.groups[~is_val])
        if n := int(np.isin(evaluated, fitted).sum()):
            group = whole.facts(EmbedFacts).group or ""
            notes.append(_say("groups_on_both_sides", n=n, of=len(evaluated), what=group))
    if n := int(np.count_nonzero(_nearest(whole)[shown[is_val]] >= COPY)):
        notes.append(_say("copies_in_train", n=n, of=int(np.count_nonzero(shown)), value=COPY))
    return notes


def _nearest(study: Study) -> np.ndarray:
    """(n_val,) cosine of each evaluation image to the nearest train image; NaN where it is not known."""
    if not study.has("neighbour_similarity"):
        return np.full(int(np.count_nonzero(study.is_val)), np.nan)
    return study.vector("neighbour_similarity")[:, 0]


# What a reader of an accuracy should know: whose it is, and what to mind. No torch.


BETWEEN = 0.3  # ratio of neighbouring candidates, about


def rate_note(lr: float, searched: Mapping[float, float]) -> str:
    """Caveat of a study's accuracy: the probe's learning rate is at an end of those compared; else empty.

    Args:
        lr: of the probe. searched: rate -> accuracy on held-out train images; empty where `lr` was given.

    >>> rate_note(0.01, {0.03: 0.70, 0.01: 0.71})
    'The probe learnt best at the smallest of 2 rates, 0.01. A smaller one, such as 0.003, may be better.'
    >>> rate_note(0.03, {0.1: 0.69, 0.03: 0.71, 0.01: 0.70}), rate_note(0.1, {0.1: 1.0, 0.03: 1.0})
    ('', '')
    """
    if len(searched) < 2 or sum(value == max(searched.values()) for value in searched.values()) > 1:
        return ""
    if lr == min(searched):
        return _say("smallest_rate", n=len(searched), value=lr, chance=lr * BETWEEN)
    if lr == max(searched):
        return _say("largest_rate", n=len(searched), value=lr, chance=lr / BETWEEN)
    return ""


def whose_accuracy(study: Study) -> str:
    """Name the answer whose accuracy caveats stand beside, as a title: the one that a study is read by."""
    return f"{study.answer.title[:1].upper()}{study.answer.title[1:]}" if study.answer else "Linear probe"


def notes_on_accuracy(study: Study) -> list[str]:
    """Return notes on what to mind beside the accuracy of a study's answer; for most studies none.

    Those that put it in question, and for who trains a probe again that another rate may be better.
    """
    note = _rate_note(study) if study.answer is None else ""
    return [note, *doubts_on_accuracy(study)] if note else doubts_on_accuracy(study)


def doubts_on_accuracy(study: Study) -> list[str]:
    """Return what to mind of an answer's accuracy: notes that put it, or its confidences, in question."""
    if study.answer is not None:
        notes = (str(note) for note in study.answer.facts.get("notes", []))
        marks = (LIKELY_WRONG, CHANCE, SEVERAL)
        doubts = [doubt(one) for one in notes if any(mark in one for mark in marks)]
        return [*doubts, *(seen_images(study) if study.is_fitted else [])]
    return list(seen_images(study) if _probe(study).top1 is not None else [])


def doubt(note: str) -> str:
    """Write a note on what to mind about an answer's accuracy as a sentence on its own.

    >>> doubt("it may be at chance")
    'It may be at chance.'
    """
    return f"{note[:1].upper()}{note[1:]}."


def _rate_note(study: Study) -> str:
    facts = _probe(study)
    if facts.lr is None or not facts.lr_accuracy:
        return ""
    return rate_note(facts.lr, {float(rate): accuracy for rate, accuracy in facts.lr_accuracy.items()})


def _probe(study: Study) -> ProbeFacts:
    return getattr(study, "whole", study).facts(ProbeFacts)  # a slice has the probe of the whole study
