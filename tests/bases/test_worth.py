"""The four words for dictionaries: each word by its numbers."""

from __future__ import annotations

import dataclasses
import math

import pytest

from core.bases.worth import DictionaryEvidence, judge_dictionary
from core.common.verdict_words import RELIABLE, USEFUL, USELESS, WEAK

GOOD = DictionaryEvidence("topk", explained=0.94, by_random=0.3, n_alive=200, n_again=150)


@pytest.mark.parametrize(
    ("change", "word", "kind"),
    [
        ({}, USEFUL, "useful"),
        ({"n_again": 160}, RELIABLE, "reliable"),
        ({"n_again": 160, "explained": 0.79}, USEFUL, "useful"),
        ({"n_again": 100}, USEFUL, "useful"),
        ({"n_again": 99}, WEAK, "weak"),
        ({"n_again": 19}, USELESS, "seldom_again"),
        ({"explained": -0.08}, USELESS, "nothing"),
        ({"explained": 0.04}, USELESS, "little"),
        ({"explained": 0.04, "by_random": math.nan, "n_again": None}, USELESS, "little"),
        ({"explained": 0.499}, USELESS, "little"),
        ({"explained": 0.5}, USEFUL, "useful"),
        ({"by_random": 0.94}, USELESS, "as_random"),
        ({"by_random": 0.95, "n_again": None}, USELESS, "as_random"),
        ({"by_random": math.nan}, "", "no_control"),
        ({"n_again": None}, "", "once"),
        ({"n_alive": 0, "n_again": 0}, "", "once"),
        ({"explained": math.nan}, "", "nothing_varies"),
    ],
)
def test_judge_dictionary__the_word_by_its_numbers(change, word, kind):
    evidence = dataclasses.replace(GOOD, **change)
    judged = judge_dictionary(evidence)
    assert (judged.word, judged.sentence.kind, judged.sentence.what) == (word, kind, "topk")
    numbers = judged.sentence.value, judged.sentence.n, judged.sentence.of
    expected = evidence.explained, evidence.n_again, evidence.n_alive
    assert numbers == expected or math.isnan(evidence.explained)
