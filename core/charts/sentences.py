"""Plain sentences about features and scores, built from the same tables as the figures."""

import numpy as np
import pandas as pd

from core.charts.feature_points import TAIL_LABEL, TAIL_MEANING
from core.common.dataframes import numbers, words
from core.common.records import Templates
from core.common.score_names import SCORES, score_label

_say = Templates.beside(__file__)
BANDS = ("middle", "lower", "upper")  # discriminative, lower tail, upper tail


def feature_sentence(
    name: str, rate: float, tail: str, classes: str = "", *, images: str = "training images"
) -> str:
    """Describe one feature in a sentence beside its charts.

    Args:
        name: what it is called, such as "Feature 12".
        rate: percent of the images on which it fires.
        tail: lower, middle or upper.
        classes: which class these images belong to, in words; "" without labels.
        images: what the images are called.
    """
    if not rate > 0:
        return _say("fires_on_none", what=name, why=images)
    facts = (_percent(rate), TAIL_LABEL[tail], TAIL_MEANING[tail], classes)
    return _say("fires_on_classes" if classes else "fires", what=name, why=images, names=facts)


def bands_sentence(features: pd.DataFrame) -> str:
    """State below a chart how many features are in each band, and how many never fire."""
    tails, rate = words(features, "tail"), numbers(features, "activation_rate")
    n_dead, n_of = int((rate == 0).sum()), tuple(f"{tails.count(tail):,}" for tail in BANDS)
    return _say("bands_with_dead" if n_dead else "bands", n=len(features), of=n_dead, names=n_of)


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
    """Describe a score beside its charts: what it measures and whether it needs labels."""
    about = SCORES.get(score)
    if about is None:
        return score_label(score)
    needs = (
        "Needs no labels."
        if about.label_free
        else "Comes from the classifier, which was trained with labels."
    )
    return f"{about.label}: {about.meaning}. {needs}"
