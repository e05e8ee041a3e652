"""What a score finds among the first images, and how often a score of known worth gets which word."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.common.verdict_words import RELIABLE, USELESS, WORDS
from core.measures.intervals import interval_of_auroc
from core.measures.placements import spreads
from core.measures.score_verdicts import (
    ScoreEvidence,
    first_looked,
    found_first,
    judge_score,
    score_evidence,
    score_verdicts,
)
from core.store import open_study


def drawn(rng: np.random.Generator, n: int, error_rate: float, skill: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores of correct and misclassified images, two normal distributions `skill` deviations apart."""
    correct = (rng.random(n) >= error_rate).astype(float)
    return rng.standard_normal(n) + skill * correct, correct


def word_of(values: np.ndarray, correct: np.ndarray) -> str:
    area, low, high = interval_of_auroc(*spreads(values, correct == 1))
    n_wrong = int((correct == 0).sum())
    first = found_first(values, correct)
    return judge_score(ScoreEvidence("norm", area, low, high, n_wrong, len(correct) - n_wrong, first)).word


def test_found_first__by_hand():
    values = np.array([3.0, 1, 2, 2, 5, 6, 7, 8, 9, 10, 11, 12])
    correct = np.array([1.0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0])
    assert first_looked(len(values)) == 3
    found = found_first(values, correct)
    assert (found.looked, found.found, found.by_chance, found.perfect) == (3, 2, 0.75, 3)
    tied = found_first(np.array([1.0, 2, 2, 2, *range(3, 7)]), np.array([1.0, 0, 1, 1, 1, 1, 1, 1]))
    assert tied.looked == 2 and tied.found == pytest.approx(1 / 3)  # of three tied images one is looked at
    assert tied.high <= tied.perfect == 1


@pytest.mark.parametrize("seed", range(5))
def test_found_first__matches_a_loop_over_sorted_images(seed):
    rng = np.random.default_rng(seed)
    values, correct = drawn(rng, int(rng.integers(8, 400)), 0.3, 1.0)
    looked = first_looked(len(values))
    order = sorted(range(len(values)), key=lambda at: values[at])
    assert found_first(values, correct).found == sum(correct[at] == 0 for at in order[:looked])


def test_found_first__copies_of_images_widen_the_interval():
    rng = np.random.default_rng(0)
    values, correct = drawn(rng, 200, 0.3, 1.0)
    groups = np.arange(200)
    copied = found_first(np.repeat(values, 4), np.repeat(correct, 4), np.repeat(groups, 4))
    alone = found_first(np.repeat(values, 4), np.repeat(correct, 4))
    assert copied.found == alone.found and copied.high - copied.low > 1.3 * (alone.high - alone.low)
    assert_allclose(
        [found_first(values, correct, groups).low, found_first(values, correct).low], copied.looked * 0
        + found_first(values, correct).low,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("error_rate", "skill"), [(0.1, 0.5), (0.3, 1.5), (0.1, 2.5), (0.5, 1.0)])
def test_found_first__the_interval_holds_the_mean_of_what_is_found(error_rate, skill):
    """In at least 93 of 100 draws of 1,000 images."""
    rng = np.random.default_rng(1)
    found = [found_first(*drawn(rng, 1000, error_rate, skill)) for _ in range(400)]
    mean = np.mean([one.found for one in found])
    assert np.mean([one.low <= mean <= one.high for one in found]) >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("error_rate", [0.1, 0.3])
def test_words__of_a_score_without_skill_and_of_better_and_better_ones(error_rate):
    """Without skill 'useless' in at least 95 of 100 draws and never 'reliable'; more skill, no worse word."""
    rng = np.random.default_rng(2)
    means = []
    for skill in (0.0, 0.4, 0.9, 1.7, 3.5):  # AUROC .5, .61, .74, .89, .993
        words = [word_of(*drawn(rng, 1000, error_rate, skill)) for _ in range(200)]
        means.append(np.mean([WORDS.index(word) for word in words]))
        if skill == 0:
            assert np.mean([word == USELESS for word in words]) >= 0.95 and RELIABLE not in words
    assert means == sorted(means) and means[-1] > 2.9


def test_score_verdicts__of_a_study(shared_study):
    study = open_study(shared_study)
    metrics = study.table("quality_metrics")
    judged = score_verdicts(study, metrics)
    assert list(judged) == metrics["score"].tolist()
    table, shown = study.table("quality"), study.is_val & study.table("quality")["correct"].notna().to_numpy()
    by_hand = found_first(
        table["norm"].to_numpy()[shown], table["correct"].to_numpy(float, na_value=np.nan)[shown]
    )
    row = metrics.loc[metrics["score"] == "norm"].iloc[0].to_dict()
    evidence = score_evidence(study, "norm", row)
    assert evidence.first == by_hand and evidence.plain is not None
    assert score_evidence(study, "confidence", row).plain is None
    nobody = score_evidence(study, "norm", row, np.zeros(study.n_images, bool))
    assert nobody.first is None and nobody.plain is None
    renamed = pd.DataFrame([{**row, "low": row["auroc_low"], "high": row["auroc_high"]}])
    renamed = renamed.drop(columns=["auroc_low", "auroc_high"])
    assert score_verdicts(study, renamed)["norm"].as_json() == judged["norm"].as_json()
