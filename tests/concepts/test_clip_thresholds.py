"""Thresholds of a CLIP that is not the paper's: by hand, and through the step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.concepts.clip_thresholds import clip_temperature, is_papers, thresholds_of
from core.config import ConceptsConfig

BEST = np.array([0.6, 0.8, np.nan])


def limits(temperature: float = 22.0, best=BEST, usual: float = 0.3, **options: Any):
    return thresholds_of(
        ConceptsConfig(**{"naming": "falcon", **options}),
        temperature=temperature,
        best_cosine=best,
        usual_cosine=usual,
    )


@pytest.mark.parametrize("temperature", [100.0, 99.99, 100.4])
def test_papers_clip__keeps_the_papers_numbers(temperature):
    thresholds = limits(temperature)
    assert (thresholds.min_score, thresholds.counter_score, thresholds.gamma, thresholds.note) == (
        0.08,
        0.1,
        0.8,
        "",
    )


def test_other_clip__scaled_by_the_cosine_of_what_fits():
    thresholds = limits()
    assert thresholds.fitting == pytest.approx(0.7)
    assert thresholds.min_score == pytest.approx(0.08 * 0.7 / 0.284)
    assert thresholds.counter_score == pytest.approx(0.1 * 0.7 / 0.284)
    assert thresholds.gamma == pytest.approx(0.65)
    assert "temperature 22" in thresholds.note and "0.70" in thresholds.note and "0.197" in thresholds.note


def test_share_of_crops__means_the_same_for_either_clip():
    """A word in the best caption of a third of the crops is kept or dropped alike, wherever cosines lie."""
    for share, is_kept in ((0.25, False), (0.3, True)):
        for temperature, cosine in ((100.0, 0.284), (22.0, 0.7), (22.0, 0.9)):
            thresholds = limits(temperature, np.full(4, cosine))
            assert (share * cosine >= thresholds.min_score) is is_kept


def test_what_is_given__is_never_scaled():
    thresholds = limits(min_score=0.05, counter_score=0.2, gamma=0.4)
    assert (thresholds.min_score, thresholds.counter_score, thresholds.gamma, thresholds.note) == (
        0.05,
        0.2,
        0.4,
        "",
    )
    part = limits(min_score=0.05)
    assert part.min_score == 0.05 and part.counter_score == pytest.approx(0.1 * 0.7 / 0.284)
    assert "words from a score of" not in part.note.replace("counterfactual words", "")
    assert limits(100.0, gamma="auto").gamma == pytest.approx(0.65)


def test_softmax__keeps_its_thresholds():
    thresholds = limits(confidence="softmax")
    assert (thresholds.min_score, thresholds.counter_score) == (0.01, 0.0125)
    assert thresholds.gamma == pytest.approx(0.65)


def test_clip_that_does_not_say__counts_as_the_papers():
    assert is_papers(clip_temperature(object()))


def test_captioner__has_no_cosines_to_scale_by():
    thresholds = limits(best=np.array([np.nan, np.nan]))
    assert (thresholds.min_score, thresholds.counter_score) == (0.08, 0.1) and np.isnan(thresholds.fitting)
    assert limits(best=np.empty(0)).min_score == 0.08
