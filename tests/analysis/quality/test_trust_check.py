"""The premise check: each verdict, in a sentence that names its numbers."""

from __future__ import annotations

import dataclasses
import math

import pytest

from core.analysis.quality.trust_check import Premise, sentence, verdict

GOOD = Premise(
    near_zero=0.8, negative=0.0, mean_firing=12.0, nonempty=0.9, auroc=0.73, auroc_low=0.71, auroc_high=0.75,
    rank=2, n_scores=11,
)  # fmt: skip


UNTESTED = {"rank": None, "why_untested": "no labels"} | dict.fromkeys(
    ("auroc", "auroc_low", "auroc_high"), math.nan
)


@pytest.mark.parametrize(
    ("change", "expected", "says"),
    [
        ({}, "trusted", "Q can be trusted here: AUROC 0.73 (0.71 to 0.75), place 2 of 11 scores"),
        ({"near_zero": 0.02}, "caution", "premise does not hold: only 2 % of the entries are near zero"),
        ({"negative": 0.48}, "caution", "48 % of the entries are negative"),
        ({"nonempty": 0.1}, "caution", "only 10 % of the images have a firing discriminative feature"),
        ({"better_label_free": ("norm", "hoyer", "n_firing")}, "trusted", "Q can be trusted"),
        (
            {"better_label_free": ("norm", "hoyer", "n_firing", "knn_similarity")},
            "caution",
            "but 4 of 7 other scores that need no labels do better, first norm",
        ),
        (
            {"near_zero": 0.02, "better_label_free": ("norm",) * 7},
            "caution",
            "near zero; and 7 of 7 other scores that need no labels do better, first norm",
        ),
        ({"auroc": 0.49, "auroc_low": 0.47, "auroc_high": 0.51}, "unreliable", "no better than chance"),
        ({"auroc": 0.40, "auroc_low": 0.38, "auroc_high": 0.43}, "unreliable", "points the wrong way"),
        (
            UNTESTED,
            "untested",
            "is not tested (no labels); its premise holds, 80 % of the entries are near zero",
        ),
    ],
)  # fmt: skip
def test_verdict__and_its_sentence(change, expected, says):
    premise = dataclasses.replace(GOOD, **change)
    assert verdict(premise) == expected
    said = sentence(premise)
    assert says in said
    assert said.endswith(".") and said.count(". ") == 0  # one sentence


def test_sentence__at_chance_and_dense_gives_both_reasons():
    said = sentence(
        dataclasses.replace(GOOD, near_zero=0.02, auroc=0.49, auroc_low=0.47, auroc_high=0.51, rank=9)
    )
    assert "0.49 (0.47 to 0.51), place 9 of 11" in said and "only 2 % of the entries are near zero" in said
