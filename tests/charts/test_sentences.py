from __future__ import annotations

import pytest

from core.charts.sentences import _percent, bands_sentence, feature_sentence


def test_feature_sentence__names_the_classes_it_fires_on():
    text = feature_sentence("Feature 98", 3.14, "middle", "mostly zebra, 80 of 135 images")
    assert text.startswith(
        "Feature 98 fires on 3.1 % of the training images (mostly zebra, 80 of 135 images); discriminative"
    )


def test_feature_sentence__without_labels_and_without_firing():
    assert "upper tail" in feature_sentence("Feature 1", 60.0, "upper")
    assert feature_sentence("Latent 2", 0.0, "lower") == "Latent 2 fires on none of the training images."


def test_bands_sentence__counts(features):
    assert bands_sentence(features) == (
        "10 features: 4 discriminative, 5 in the lower tail (1 of them never fire), 1 in the upper tail."
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 %"), (0.0213, "0.021 %"), (3.14, "3.1 %"), (80.04, "80 %"), (99.7, "99.7 %"), (100, "100 %")],
)
def test_percent__keeps_small_numbers_visible(value, text):
    assert _percent(value) == text
