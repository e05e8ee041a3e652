from __future__ import annotations

import numpy as np
import pytest

from core.charts.cutoff import apply_cutoff
from core.charts.sentences import _percent, bands_sentence, cutoff_sentence, feature_sentence


def test_feature_sentence__names_the_classes_it_fires_on():
    text = feature_sentence(98, 3.14, "middle", "mostly zebra, 80 of 135 images")
    assert text.startswith(
        "Feature 98 fires on 3.1 % of the training images (mostly zebra, 80 of 135 images); discriminative"
    )


def test_feature_sentence__without_labels_and_without_firing():
    assert "upper tail" in feature_sentence(1, 60.0, "upper")
    assert feature_sentence(2, 0.0, "lower") == "Feature 2 fires on none of the training images."


def test_bands_sentence__counts(features):
    assert bands_sentence(features) == (
        "10 features: 4 discriminative, 5 in the lower tail (1 of them never fire), 1 in the upper tail."
    )


def test_cutoff_sentence__by_hand():
    values, correct = np.array([0.1, 0.2, 0.2, 0.3, 0.4, 0.5]), np.array([0, 1, 0, 1, 1, 1])
    text = cutoff_sentence("q_score", apply_cutoff(values, correct, 0.1))
    assert "flags 1 of 6 evaluation images (16.7 %)" in text
    assert "catches 1 of 2 errors (50 %; at random it would be 16.7 %)" in text
    assert "Accuracy is 80 % on the rest and 66.7 % on all" in text
    assert "Nothing is flagged" in cutoff_sentence("norm", apply_cutoff(values, correct, 0.0))
    assert "No image remains" in cutoff_sentence("norm", apply_cutoff(values, correct, 1.0))
    assert "no misclassified images" in cutoff_sentence("norm", apply_cutoff(values, np.ones(6), 0.3))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 %"), (0.0213, "0.021 %"), (3.14, "3.1 %"), (80.04, "80 %"), (99.7, "99.7 %"), (100, "100 %")],
)
def test_percent__keeps_small_numbers_visible(value, text):
    assert _percent(value) == text
