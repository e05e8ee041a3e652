"""Which sentence is said of the features that weigh most, by how much of the lead they add up to."""

from __future__ import annotations

import pandas as pd
import pytest

from core.answers.class_logits import LOCAL
from core.pictures.listed_features import listed_sentence
from core.pictures.look import Look


def look_with(pushes: list[float], lead: float, note: str = "") -> Look:
    features = pd.DataFrame({"feature": range(len(pushes)), "fires": True, "push": pushes})
    return Look(pd.DataFrame(), "cat", "dog", lead, features, note)


@pytest.mark.parametrize(
    ("pushes", "lead", "kind"),
    [
        ([3.0, 1.0, 0.5], 5.0, "explains"),
        ([3.0, -1.0, 0.5], 5.0, "explains_little"),
        ([3.0, -2.9, 0.5], 5.0, "decide_nothing"),
        ([1.0, -3.0, 0.5], 5.0, "decide_nothing"),
        ([3.0, -2.9, 0.0], 5.0, "bias_decides"),
        ([4.0, 2.0, 0.5], 5.0, "weigh_most_and_rest"),
    ],
)
def test_listed_sentence__by_the_share_of_the_lead(pushes, lead, kind):
    assert listed_sentence(look_with(pushes, lead), 2).kind == kind
    assert listed_sentence(look_with(pushes, lead, LOCAL), 2).kind == "weigh_most"


def test_listed_sentence__parts_of_a_lead_that_the_list_does_not_decide():
    said = listed_sentence(look_with([3.0, -2.9, 0.5, -0.2, 0.0], 5.0), 2)
    assert (said.of, said.n) == (2, 2)
    parts = [float(text.replace("\u2212", "-")) for text in said.names]
    assert parts == pytest.approx([3.0, -2.9, 0.3, 4.6]) and sum(parts) == pytest.approx(5.0)
