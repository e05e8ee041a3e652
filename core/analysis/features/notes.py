"""Sentences that a reader of D should know; written only here. No torch."""

import numpy as np

from core.common.step_facts import FeaturesFacts
from core.store import Study

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
    """Describe D when P_low(A) = 0 (docs/method.md 1.3); empty when P_low(A) > 0.

    Args:
        rate: (n_features,) activation rates A_j in percent of the train images.

    >>> silent_note(np.array([0.0, 0.0, 0.0, 5.0]))
    '3 of 4 features fire on no train image. All others but the most general 5 % count as discriminative.'
    """
    rate = np.asarray(rate, np.float64)
    if not len(rate) or not rate.any() or np.percentile(rate, low) > 0:
        return ""
    rest = f" but the most general {100 - high:g} %" if high < 100 else ""
    return (
        f"{int((rate == 0).sum()):,} of {len(rate):,} features fire on no train image. All others{rest} "
        "count as discriminative."
    )


def few_images_note(facts: FeaturesFacts) -> str:
    """Return advice where fewer images than `FEW_IMAGES` have a feature that fires; empty elsewhere."""
    share, epsilon = facts.share_firing, facts.epsilon
    if share is None or epsilon is None:
        return ""
    if share >= FEW_IMAGES or facts.epsilon_note:  # auto has said why it found no better
        return ""
    return (
        f"Only {100 * share:.0f} % of the images have a feature that fires at epsilon {epsilon:g}; "
        "features with --epsilon auto takes the largest epsilon at which half of the train images have one."
    )


def notes_on_features(study: Study) -> list[str]:
    """Return notes to show wherever a study's D is shown; for most studies there are none.

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
    """Read a percentile from a manifest, which may contain anything."""
    number = float(value) if isinstance(value, (int, float)) else default
    return number if 0 <= number <= 100 else default
