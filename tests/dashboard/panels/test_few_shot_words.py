"""What the Overview says of probes on a few images of each class."""

from types import SimpleNamespace
from typing import Any

import pytest

from core.common.entries import record_of
from dashboard.panels.research import few_shot_words
from tests.sentences import numbers

FIVE = {"accuracy": 0.512, "low": 0.5, "high": 0.524, "left_out": []}
TEN = {"accuracy": 0.6, "low": None, "high": None, "left_out": ["ant", "bee"]}


@pytest.mark.parametrize(
    ("summary", "told"),
    [
        ({"shots": {"5": FIVE}}, ["5", "51.2", "50.0", "52.4"]),
        ({"shots": {"5": FIVE, "10": TEN}}, ["5", "51.2", "50.0", "52.4", "10", "60.0", "2"]),
        ({}, []),
        ({"skipped": "no labels"}, []),
    ],
)
def test_few_shot_words__intervals_and_what_was_left_out(summary, told):
    study: Any = SimpleNamespace(facts=lambda kind: record_of(kind, summary))
    words = few_shot_words(study)
    assert numbers(words) == told and bool(words) == bool(told)
