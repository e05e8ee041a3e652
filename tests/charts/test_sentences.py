from __future__ import annotations

import pytest

from core.charts.feature_points import TAIL_LABEL, TAIL_MEANING
from core.charts.sentences import _percent, bands_sentence, feature_sentence
from tests.sentences import numbers


def test_feature_sentence__names_the_classes_it_fires_on():
    text = feature_sentence("Feature 98", 3.14, "middle", "mostly zebra, 80 of 135 images")
    assert numbers(text) == ["98", "3.1", "80", "135"] and "mostly zebra, 80 of 135 images" in text
    assert TAIL_LABEL["middle"] in text and TAIL_MEANING["middle"] in text


def test_feature_sentence__without_labels_and_without_firing():
    assert TAIL_LABEL["upper"] in feature_sentence("Feature 1", 60.0, "upper")
    never = feature_sentence("Latent 2", 0.0, "lower")
    assert "Latent 2" in never and numbers(never) == ["2"] and TAIL_LABEL["lower"] not in never


def test_bands_sentence__counts(features):
    assert numbers(bands_sentence(features)) == ["10", "4", "5", "1", "1"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 %"), (0.0213, "0.021 %"), (3.14, "3.1 %"), (80.04, "80 %"), (99.7, "99.7 %"), (100, "100 %")],
)
def test_percent__keeps_small_numbers_visible(value, text):
    assert _percent(value) == text
