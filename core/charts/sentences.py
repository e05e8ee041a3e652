"""Plain sentences about features and cut-offs, built from the same tables as the figures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.charts.cutoff import CutoffResult
from core.charts.feature_points import TAIL_LABEL, TAIL_MEANING
from core.common.dataframes import numbers, words
from core.common.score_names import SCORES, score_label


def feature_sentence(
    feature: int,
    rate: float,
    tail: str,
    classes: str = "",
    *,
    name: str = "",
    images: str = "training images",
) -> str:
    """Describe one feature in a sentence.

    Args:
        rate: percent of the images on which it fires.
        tail: lower, middle or upper.
        classes: which class these images belong to, in words; "" without labels.
        name: its display name if it has words; "" is "Feature 12".
        images: what the images are called.
    """
    name = name or f"Feature {feature}"
    if not rate > 0:
        return f"{name} fires on none of the {images}."
    text = f"{name} fires on {_percent(rate)} of the {images}"
    return f"{text}{f' ({classes})' if classes else ''}; {TAIL_LABEL[tail]}: it {TAIL_MEANING[tail]}."


def bands_sentence(features: pd.DataFrame) -> str:
    """State how many features are in each band, and how many never fire."""
    tails, rate = words(features, "tail"), numbers(features, "activation_rate")
    parts = [f"{tails.count('middle'):,} discriminative", f"{tails.count('lower'):,} in the lower tail"]
    if dead := int((rate == 0).sum()):
        parts[1] += f" ({dead:,} of them never fire)"
    return f"{len(features):,} features: {', '.join(parts)}, {tails.count('upper'):,} in the upper tail."


def cutoff_sentence(score: str, result: CutoffResult, *, what: str = "evaluation images") -> str:
    """State what flagging every image at or below a score catches, and what it costs.

    what: which images these are.
    """
    if not result.n_flagged:
        return "Nothing is flagged. Move the slider to flag the images with the lowest scores."
    text = (
        f"{score_label(score)} of {result.threshold:.4g} or less flags {result.n_flagged:,} of "
        f"{result.n_images:,} {what} ({_percent(result.flagged)}). "
    )
    if not result.n_errors:
        return text + "There are no misclassified images to catch."
    text += (
        f"That catches {result.n_caught:,} of {result.n_errors:,} errors ({_percent(result.caught)}; at "
        f"random it would be {_percent(result.flagged)}), and {_percent(result.precision)} of the flagged "
        "are errors. "
    )
    if np.isnan(result.accuracy_rest):
        return text + "No image remains."
    rest, everything = _percent(result.accuracy_rest), _percent(result.accuracy_all)
    return f"{text}Accuracy is {rest} on the rest and {everything} on all."


def _percent(value: float) -> str:
    """Format as `3.1 %`, `80 %`, `0.021 %`: two or three digits, never a bare 0 for a small value."""
    if not np.isfinite(value):
        return "an undefined share"
    if value == 0 or value >= 99.95:
        return f"{value:.0f} %"
    if value >= 10:
        return f"{value:.3g} %" if value < 99.5 or value >= 99.95 else f"{value:.1f} %"
    return f"{value:.2g} %"


def describe_score(score: str) -> str:
    """Describe the score in one sentence: what it measures and whether it needs labels."""
    about = SCORES.get(score)
    if about is None:
        return score_label(score)
    needs = (
        "Needs no labels."
        if about.label_free
        else "Comes from the linear probe, which was trained with labels."
    )
    return f"{about.label}: {about.meaning}. {needs}"
