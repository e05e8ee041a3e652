"""The four words for names of features: each word by its numbers, and none from fewer than 8 images."""

from __future__ import annotations

import dataclasses
import math

import pytest

from core.common.verdict_words import RELIABLE, USEFUL, USELESS, WEAK
from core.measures.intervals import wilson
from core.measures.slice_words import NameEvidence, judge_name

GOOD = NameEvidence("grass", n=60, share=0.8, elsewhere=0.1)


@pytest.mark.parametrize(
    ("change", "word", "kind"),
    [
        ({}, USEFUL, "useful"),
        ({"share": 0.95}, RELIABLE, "reliable"),
        ({"share": 0.95, "elsewhere": 0.11}, USEFUL, "useful"),
        ({"share": 0.95, "auc_low": 0.7, "auc_high": 0.8}, RELIABLE, "reliable"),
        ({"share": 0.95, "auc_low": 0.69, "auc_high": 0.8}, WEAK, "weak"),
        ({"share": 0.95, "auc_low": 0.5, "auc_high": 0.8}, USELESS, "not_true"),
        ({"share": 0.6}, WEAK, "weak"),  # surely 47 %
        ({"share": 0.6, "elsewhere": 0.48}, USELESS, "as_elsewhere"),
        ({"n": 7, "share": 1.0}, "", "too_few"),
        ({"n": 8, "share": 1.0}, USEFUL, "useful"),
        ({"share": math.nan}, "", "unknown"),
        ({"elsewhere": math.nan}, "", "unknown"),
    ],
)
def test_judge_name__the_word_by_its_numbers(change, word, kind):
    evidence = dataclasses.replace(GOOD, **change)
    judged = judge_name(evidence)
    assert (judged.word, judged.sentence.kind, judged.sentence.what) == (word, kind, "grass")
    if word:
        n = round(evidence.share * evidence.n)
        assert (judged.sentence.n, judged.sentence.of, judged.sentence.value) == (
            n,
            evidence.n,
            evidence.elsewhere,
        )
        assert judged.sentence.interval == tuple(float(end) for end in wilson(n, evidence.n))
