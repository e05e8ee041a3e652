"""Titles that state the finding: what they say follows from the table, also at the edges."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from core.analysis import iou
from core.charts import (
    compared_studies,
    concept_groups,
    miou,
    one_feature,
    q_distribution,
    score_curves,
    sparsity,
)
from core.common.score_names import score_label
from core.measures import metrics
from core.measures.chance import too_few_outcomes
from core.measures.image_columns import MASKS
from tests.sentences import NUMBER, numbers, without_numbers

BETTER, LEVEL, WORSE = (0.6, 0.95), (0.46, 0.6), (0.2, 0.45)  # intervals of an AUROC


def metric(value: float, auroc: tuple[float, float], n: int = 100) -> pd.DataFrame:
    """Of which every measure has the same value."""
    row: dict[str, object] = {"score": "q_score", "base_rate_correct": 0.7, "base_rate_error": 0.3, "n": n}
    row |= dict.fromkeys(("auroc", "auprc_correct", "auprc_error", "aurc"), value)
    return pd.DataFrame([row | {"auroc_low": auroc[0], "auroc_high": auroc[1]}])


@pytest.mark.parametrize(
    ("kind", "value", "auroc", "standing", "told"),
    [
        ("roc", 0.52, LEVEL, "level", ["0.52", "0.50"]),
        ("roc", 0.9, BETTER, "above", ["0.90", "0.50"]),
        ("roc", 0.4, WORSE, "below", ["0.40", "0.50"]),
        ("pr", 0.72, LEVEL, "level", ["0.72", "0.70"]),
        ("pr", 0.75, BETTER, "above", ["0.75", "0.70"]),
        ("pr", 0.68, BETTER, "level", ["0.68", "0.70"]),
        ("pr_error", 0.5, BETTER, "above", ["0.50", "0.30"]),
        ("pr_error", 0.28, WORSE, "below", ["0.28", "0.30"]),
        ("risk", 0.25, BETTER, "above", ["0.25", "0.30"]),
        ("risk", 0.4, WORSE, "below", ["0.40", "0.30"]),
        ("risk", 0.2, LEVEL, "level", ["0.20", "0.30"]),
    ],
)
def test_curve(kind, value, auroc, standing, told):
    said = score_curves.curve_finding(metric(value, auroc), "q_score", kind)
    words = score_curves.RISKS if kind == "risk" else score_curves.STANDINGS
    assert numbers(said) == told and score_label("q_score") in said
    assert score_curves.KINDS[kind].says in said and f", {words[standing]} (" in said


def test_curve__that_is_not_defined_has_no_number():
    said = score_curves.curve_finding(metric(np.nan, (np.nan, np.nan)), "q_score", "roc")
    assert numbers(said) == [] and score_label("q_score") in said


def test_curve__of_one_score_says_the_same_by_every_measure(rng):
    """A base rate varies with the images: against it, intervals of AUPRC and AURC tell too little."""
    correct = (rng.random(120) < 0.75).astype(float)
    scores = pd.DataFrame({"q_score": rng.normal(size=120) + 0.6 * correct})
    table = metrics.evaluate(scores, correct, resamples=100)
    said = [score_curves.curve_finding(table, "q_score", kind) for kind in score_curves.KINDS]
    assert table["auroc_low"][0] > 0.5 and all("better than" in one for one in said)
    assert table["aurc_high"][0] > table["base_rate_error"][0]  # which is no reason to say "no better"


@pytest.mark.parametrize("kind", ["roc", "pr", "pr_error", "risk"])
@pytest.mark.parametrize(("n", "n_wrong"), [(3, 1), (23, 7), (27, 8)])  # 30 % are errors
def test_curve__says_nothing_from_fewer_than_eight_errors(kind, n, n_wrong):
    found = score_curves.curve_finding(metric(0.9, BETTER, n), "q_score", kind)
    assert too_few_outcomes(n_wrong, n - n_wrong) in found
    assert (numbers(found) == [str(n_wrong)]) == (n_wrong < 8)


def test_distribution():
    values = np.repeat([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 3)
    right = np.repeat([0.0, 0, 0, 1, 1, 1], 3)
    said = q_distribution.distribution_finding(values, right, "norm")
    assert (said.kind, said.names) == ("higher", ("0.500", "0.200"))
    lower = q_distribution.distribution_finding(values, 1 - right, "norm")
    assert (lower.kind, lower.names) == ("lower", ("0.200", "0.500"))
    outcome = np.tile([1.0, 0], 9)
    alike = q_distribution.distribution_finding(np.repeat(values[::2], 2), outcome, "norm")
    assert alike.kind == "alike" and alike.names[0] == alike.names[1]
    few = q_distribution.distribution_finding(values[1:], right[1:], "norm")
    fewer = q_distribution.distribution_finding(values[2:], right[2:], "norm")
    assert few.kind == "higher" and (fewer.kind, fewer.parts[0].n) == ("too_few", 7)
    one_side = [
        q_distribution.distribution_finding(values, np.full(18, known), "norm") for known in (1, 0, np.nan)
    ]
    assert [numbers(one) for one in one_side] == [[], [], []]
    every = [said, lower, alike, *one_side]
    assert len({without_numbers(one) for one in every}) == 6
    assert all(one.startswith(score_label("norm")) for one in every)


def test_sparsity():
    same = np.array([[0.2, 0.1, 0.0], [0.21, 0.1, 0.0]])
    apart = np.array([[0.4, 0.1, 0.0], [0.2, 0.15, 0.1]])
    one_side = np.array([[0.4], [np.nan]])
    said = [sparsity.sparsity_finding(curves) for curves in (same, apart, apart[::-1], one_side)]
    assert [numbers(one) for one in said] == [["0.20", "0.21"], ["0.40", "0.20"], ["0.20", "0.40"], []]
    assert len({without_numbers(one) for one in said}) == 4
    assert without_numbers(sparsity.sparsity_finding(same[::-1])) == without_numbers(said[0])


def test_threshold():
    sweep = pd.DataFrame(
        {"mask": "core", "group": "all", "threshold": [0.0, 0.4, 0.5], "mean": [0.2, 0.4, 0.35]}
    )
    assert numbers(miou.threshold_finding(sweep, 0.5)) == ["0.4", "0.40", "0.5", "0.35"]
    assert numbers(miou.threshold_finding(sweep, None)) == ["0.4", "0.40"]
    assert numbers(miou.threshold_finding(sweep.assign(mean=np.nan), 0.5)) == []


def lifts(n: int = 20, **values: tuple[float, float, float]) -> pd.DataFrame:
    of = {
        mask: iou.Lift(*values.get(mask, (np.nan, np.nan, np.nan)), n if mask in values else 0)
        for mask in MASKS
    }
    verdict = iou.mask_preference(of["core"], of["spurious"])
    rows = [{"mask": mask, "lift": of[mask].value, "n": n, "verdict": verdict} for mask in values]
    return pd.DataFrame(rows, columns=["mask", "lift", "n", "verdict"])


LEVEL_LIFTS = lifts(core=(1.1, 0.9, 1.3), spurious=(1.0, 0.9, 1.2))


@pytest.mark.parametrize(
    ("rows", "parts", "told", "is_level"),
    [
        (lifts(core=(1.8, 1.6, 2), spurious=(0.7, 0.6, 0.8)), ["object"], ["1.8"], False),
        (lifts(core=(0.7, 0.6, 0.8), spurious=(1.3, 1.2, 1.4)), ["background"], ["1.3"], False),
        (lifts(9, core=(1.8, 1.6, 2), spurious=(0.7, 0.6, 0.8)), ["object", "background"], ["9"], False),
        (LEVEL_LIFTS, ["object", "background"], [], True),
        (lifts(core=(0.9, 0.8, 0.95), spurious=(0.5, 0.4, 0.6)), ["object", "background"], [], True),
        (lifts(spurious=(0.5, 0.4, 0.6)), ["background"], ["0.5"], False),
        (lifts(), ["object", "background"], [], False),
    ],
)
def test_heat(rows, parts, told, is_level):
    said = one_feature.heat_finding(rows)
    assert re.findall("object|background", said.lower()) == parts and numbers(said) == told
    assert (said == one_feature.heat_finding(LEVEL_LIFTS)) == is_level


def test_activation():
    said = one_feature.activation_finding(np.array([0.141, 0.23]), 1000, "evaluation images")
    assert numbers(said) == ["2", "1,000", "0.14", "0.23"] and "evaluation images" in said
    assert numbers(one_feature.activation_finding(np.array([0.2]), 5, "images")) == ["1", "5", "0.20"]
    none = one_feature.activation_finding(np.array([]), 5, "evaluation images")
    assert numbers(none) == [] and "evaluation images" in none


def told(finding: str) -> list[str]:
    """The classes and the numbers of a finding, in their order."""
    return re.findall(rf"\b(?:ant|bee|cat)\b|{NUMBER.pattern}", finding)


def test_class_changes():
    table = pd.DataFrame(
        {
            "label": ["ant", "bee", "cat"],
            "study": "tuned",
            "difference": [0.06, -0.04, 0.0],
            "difference_low": [0.01, -0.1, -0.1],
            "difference_high": [0.1, 0.02, 0.1],
        }
    )
    drop = "\N{MINUS SIGN}4"
    found = compared_studies.class_change_finding
    assert told(found(table, "tuned")) == ["ant", "+6", "bee", drop, "1", "3", "ant"]
    other = table.assign(difference_low=[-0.1, -0.1, 0.0], difference_high=[0.2, -0.01, 0.0])
    assert told(found(other, "tuned")) == ["ant", "+6", "bee", drop, "1", "3", "bee"]
    tied = table.assign(difference=[0.06, -0.04, 0.06])
    assert told(found(tied, "tuned")) == ["ant", "cat", "+6", "bee", drop, "1", "3", "ant"]
    still = table.assign(difference=0.0, difference_low=-0.1, difference_high=0.1)
    same = table.assign(difference=0.0, difference_low=0.0, difference_high=0.0)
    without = [found(still, "tuned"), found(same, "tuned"), found(table, "other")]
    assert [told(one) for one in without] == [[], [], []] and len(set(without)) == 3
    one = found(table.iloc[1:2], "tuned")
    assert told(one) == ["bee", drop, "\N{MINUS SIGN}10", "+2"]
    sure = found(table.assign(difference_high=-0.02).iloc[1:2], "tuned")
    assert told(sure)[:2] == ["bee", drop] and without_numbers(sure) != without_numbers(one)


def test_groups():
    counts = pd.DataFrame({"size": ["1", "2 to 5"], "n_groups": [982, 8]})
    said = concept_groups.group_size_finding(counts, "n_images")
    assert numbers(said) == ["982", "990", "1"] and "image" in said
    other = concept_groups.group_size_finding(counts.assign(n_groups=[1, 8]), "n_features")
    assert numbers(other) == ["8", "9", "2", "5"] and "features" in other
    assert numbers(concept_groups.group_size_finding(counts.assign(n_groups=0), "n_images")) == []
    alike = concept_groups.likeness_finding([0.7, 0.63, 0.5, np.nan], 0.63)
    assert numbers(alike) == ["1", "3"]  # as `is_interpretable` has it: above gamma
