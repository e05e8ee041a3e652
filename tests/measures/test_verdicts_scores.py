"""The four words for scores: each word by its numbers, and none from fewer than 8 errors."""

from __future__ import annotations

import dataclasses
import math

import pytest

from core.common.score_names import score_label
from core.common.verdict_words import RELIABLE, USEFUL, USELESS, WEAK, WORDS
from core.measures.score_verdicts import FoundFirst, ScoreEvidence, judge_score


def first(found: float, low: float, high: float) -> FoundFirst:
    return FoundFirst(50, found, low, high, by_chance=10, perfect=50)


ABOVE = ScoreEvidence("norm", 0.7, 0.65, 0.75, 200, 800, first(25, 18, 32), first(30, 23, 37))


@pytest.mark.parametrize(
    ("change", "word", "kind"),
    [
        ({}, USEFUL, "useful"),
        ({"first": first(40, 33, 45)}, RELIABLE, "reliable"),
        ({"first": first(30, 30, 37)}, RELIABLE, "reliable"),  # half of the way from 10 to 50, surely
        ({"first": first(30, 29.9, 37)}, USEFUL, "useful"),
        ({"first": first(20, 13, 27)}, USEFUL, "useful"),  # a quarter of the way
        ({"first": first(19, 13, 27)}, WEAK, "weak"),
        ({"first": first(20, 13, 27), "plain": first(31, 24, 38)}, WEAK, "weak"),  # the confidence has more
        ({"first": first(20, 13, 27), "plain": None}, USEFUL, "useful"),
        ({"first": first(11, 5, 17)}, WEAK, "weak"),
        ({"low": 0.5}, USELESS, "no_better"),
        ({"low": 0.3, "high": 0.49}, USELESS, "wrong_way"),
        ({"low": 0.501, "high": 0.549}, USELESS, "hardly_better"),
        ({"low": 0.501, "high": 0.55}, USEFUL, "useful"),
        ({"low": math.nan, "high": math.nan}, "", "no_interval"),
        ({"first": None, "plain": None}, "", "no_interval"),
        ({"auroc": math.nan, "why": "no labels"}, "", "untested"),
    ],
)
def test_judge_score__the_word_by_its_numbers(change, word, kind):
    evidence = dataclasses.replace(ABOVE, **change)
    judged = judge_score(evidence)
    assert (judged.word, judged.sentence.kind) == (word, kind)
    assert judged.sentence.what == score_label("norm")
    assert judged.as_json()["word"] == (word or None)
    if word:
        found, *plain = judged.sentence.parts
        assert evidence.first and (found.n, found.of) == (round(evidence.first.found), 50)
        assert (found.interval, found.chance) == ((evidence.first.low, evidence.first.high), 10)
        assert [one.n for one in plain] == ([round(evidence.plain.found)] if evidence.plain else [])
    elif kind == "untested":
        assert judged.sentence.why == "no labels"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, "found"),
        ({"first": first(20, 10, 27)}, "found_or_chance"),  # useful by all images, not by the first alone
        ({"first": first(11, 5, 17)}, "found_or_chance"),
        ({"first": first(11, 5, 17), "low": 0.4}, "found"),  # useless, which says it already
    ],
)
def test_judge_score__says_where_the_first_images_alone_cannot_tell_it_from_chance(change, kind):
    judged = judge_score(dataclasses.replace(ABOVE, **change))
    assert judged.sentence.parts[0].kind == kind
    assert judged.sentence.index("AUROC") < judged.sentence.index("looked at")  # what decided it comes first


@pytest.mark.parametrize("outcome", ["n_wrong", "n_right"])
@pytest.mark.parametrize(("n", "word"), [(0, ""), (1, ""), (7, ""), (8, RELIABLE)])
@pytest.mark.parametrize("auroc", [(0.99, 0.98, 0.995), (0.5, 0.4, 0.6), (0.1, 0.05, 0.2)])
def test_judge_score__no_word_from_fewer_than_eight(outcome, n, word, auroc):
    """Neither praise nor blame, however clear the numbers look."""
    sure = dataclasses.replace(ABOVE, auroc=auroc[0], low=auroc[1], high=auroc[2], first=first(49, 44, 50))
    judged = judge_score(dataclasses.replace(sure, **{outcome: n}))
    assert judged.word == (word and (word if auroc[0] > 0.9 else USELESS))
    if not word:
        assert (judged.sentence.kind, judged.sentence.n) == ("too_few", n)


def test_words__are_four_in_rising_order():
    assert WORDS == ("useless", "weak", "useful", "reliable")


def test_gain__without_room_is_undefined():
    everything_wrong = FoundFirst(10, 10, 7, 10, by_chance=10, perfect=10)
    assert math.isnan(everything_wrong.gain(10))
