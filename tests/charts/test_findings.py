"""Titles that state the finding: what they say follows from the table, also at the edges."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.analysis.overlap import iou
from core.charts import (
    compared_classes,
    concept_groups,
    one_feature,
    q_distribution,
    score_curves,
    sparsity,
    threshold_sweep,
)
from core.measures import metrics
from core.slices.overlap_values import MASKS

BETTER, LEVEL, WORSE = (0.6, 0.95), (0.46, 0.6), (0.2, 0.45)  # intervals of an AUROC


def metric(value: float, auroc: tuple[float, float], n: int = 100) -> pd.DataFrame:
    """Of which every measure has the same value."""
    row: dict[str, object] = {"score": "q_score", "base_rate_correct": 0.7, "base_rate_error": 0.3, "n": n}
    row |= dict.fromkeys(("auroc", "auprc_correct", "auprc_error", "aurc"), value)
    return pd.DataFrame([row | {"auroc_low": auroc[0], "auroc_high": auroc[1]}])


@pytest.mark.parametrize(
    ("kind", "value", "auroc", "says"),
    [
        ("roc", 0.52, LEVEL, "AUROC 0.52, as good as chance (0.50)"),
        ("roc", 0.9, BETTER, "AUROC 0.90, better than chance (0.50)"),
        ("roc", 0.4, WORSE, "AUROC 0.40, worse than chance (0.50)"),
        ("pr", 0.72, LEVEL, "AUPRC of correct images 0.72, as good as chance (0.70)"),
        ("pr", 0.75, BETTER, "AUPRC of correct images 0.75, better than chance (0.70)"),
        ("pr", 0.68, BETTER, "AUPRC of correct images 0.68, as good as chance (0.70)"),
        ("pr_error", 0.5, BETTER, "AUPRC of errors 0.50, better than chance (0.30)"),
        ("pr_error", 0.28, WORSE, "AUPRC of errors 0.28, worse than chance (0.30)"),
        ("risk", 0.25, BETTER, "mean risk 0.25, better than leaving images out at random (0.30)"),
        ("risk", 0.4, WORSE, "mean risk 0.40, worse than leaving images out at random (0.30)"),
        ("risk", 0.2, LEVEL, "mean risk 0.20, no better than leaving images out at random (0.30)"),
        ("roc", np.nan, (np.nan, np.nan), "not defined on these images"),
    ],
)
def test_curve(kind, value, auroc, says):
    said = score_curves.curve_finding(metric(value, auroc), "q_score", kind)
    assert said == f"Q-Score: {says}"


def test_curve__of_one_score_says_the_same_by_every_measure(rng):
    """A base rate varies with the images: against it, intervals of AUPRC and AURC tell too little."""
    correct = (rng.random(120) < 0.75).astype(float)
    scores = pd.DataFrame({"q_score": rng.normal(size=120) + 0.6 * correct})
    table = metrics.evaluate(scores, correct, resamples=100)
    said = [score_curves.curve_finding(table, "q_score", kind) for kind in score_curves.KINDS]
    assert table["auroc_low"][0] > 0.5 and all("better than" in one for one in said)
    assert table["aurc_high"][0] > table["base_rate_error"][0]  # which is no reason to say "no better"


@pytest.mark.parametrize("kind", ["roc", "pr", "pr_error", "risk"])
@pytest.mark.parametrize(("n", "told"), [(3, "1 error"), (23, "7 errors"), (27, "")])  # 30 % are errors
def test_curve__says_nothing_from_fewer_than_eight_errors(kind, n, told):
    found = score_curves.curve_finding(metric(0.9, BETTER, n), "q_score", kind)
    assert (found == f"Q-Score: what it is worth cannot be told from {told}") == bool(told)


def test_distribution():
    values = np.array([1.0, 2, 3, 4, 5, 6])
    right = np.array([0.0, 0, 0, 1, 1, 1])
    said = q_distribution.distribution_finding(values, right, "norm")
    assert said == "Raw norm is higher on correct than on misclassified images: median 5 and 2"
    assert "lower on correct" in q_distribution.distribution_finding(values, 1 - right, "norm")
    alike = np.array([1.0, 0, 1, 0, 1, 0])
    assert "is alike" in q_distribution.distribution_finding(np.array([1.0, 1, 2, 2, 3, 3]), alike, "norm")
    assert q_distribution.distribution_finding(values, np.ones(6), "norm") == "Raw norm of correct images"
    unknown = q_distribution.distribution_finding(values, np.full(6, np.nan), "norm")
    assert unknown == "Raw norm of all images"


def test_sparsity():
    same = np.array([[0.2, 0.1, 0.0], [0.21, 0.1, 0.0]])
    assert sparsity.sparsity_finding(same).startswith("Correct and misclassified images are equally sparse")
    apart = np.array([[0.4, 0.1, 0.0], [0.2, 0.15, 0.1]])
    assert sparsity.sparsity_finding(apart) == "Correct images are sparser: largest activation 0.40 and 0.20"
    assert sparsity.sparsity_finding(apart[::-1]).startswith("Misclassified images are sparser")
    assert sparsity.sparsity_finding(np.array([[0.4], [np.nan]])) == "Sparsity of one side only"


def test_threshold():
    sweep = pd.DataFrame(
        {"mask": "core", "group": "all", "threshold": [0.0, 0.4, 0.5], "mean": [0.2, 0.4, 0.35]}
    )
    said = "mIoU with the object is largest at a threshold of 0.4 (0.40)"
    assert threshold_sweep.threshold_finding(sweep, 0.5) == f"{said}; the study uses 0.5 (0.35)"
    assert threshold_sweep.threshold_finding(sweep, None) == said
    assert threshold_sweep.threshold_finding(sweep.assign(mean=np.nan), 0.5) == "mIoU by threshold"


def lifts(n: int = 20, **values: tuple[float, float, float]) -> pd.DataFrame:
    of = {
        mask: iou.Lift(*values.get(mask, (np.nan, np.nan, np.nan)), n if mask in values else 0)
        for mask in MASKS
    }
    verdict = iou.mask_preference(of["core"], of["spurious"])
    rows = [{"mask": mask, "lift": of[mask].value, "n": n, "verdict": verdict} for mask in values]
    return pd.DataFrame(rows, columns=["mask", "lift", "n", "verdict"])


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (lifts(core=(1.8, 1.6, 2), spurious=(0.7, 0.6, 0.8)), "Looks at the object: 1.8x"),
        (lifts(core=(0.7, 0.6, 0.8), spurious=(1.3, 1.2, 1.4)), "Looks at the background: 1.3x"),
        (lifts(9, core=(1.8, 1.6, 2), spurious=(0.7, 0.6, 0.8)), "Object or background? 9 images cannot"),
        (lifts(core=(1.1, 0.9, 1.3), spurious=(1.0, 0.9, 1.2)), "Prefers neither"),
        (lifts(core=(0.9, 0.8, 0.95), spurious=(0.5, 0.4, 0.6)), "Prefers neither"),
        (lifts(spurious=(0.5, 0.4, 0.6)), "Heat on the background: 0.5x"),
        (lifts(), "Object or background?"),
    ],
)
def test_heat(rows, says):
    assert one_feature.heat_finding(rows).startswith(says)


def test_activation():
    said = one_feature.activation_finding(np.array([0.141, 0.23]), 1000, "evaluation images")
    assert said == "Fires on 2 of 1,000 evaluation images, at 0.14 to 0.23"
    assert one_feature.activation_finding(np.array([0.2]), 5, "images").endswith("5 images, at 0.20")
    assert one_feature.activation_finding(np.array([]), 5, "images") == "Fires on none of the images"


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
    said = "ant gains most (+6 points), bee loses most (\N{MINUS SIGN}4 points)"
    finding = compared_classes.class_change_finding(table, "tuned")
    assert finding == f"{said}; 1 of 3 changes is significant (ant)"
    other = table.assign(difference_low=[-0.1, -0.1, 0.0], difference_high=[0.2, -0.01, 0.0])
    assert compared_classes.class_change_finding(other, "tuned").endswith("significant (bee)")
    tied = table.assign(difference=[0.06, -0.04, 0.06])
    assert compared_classes.class_change_finding(tied, "tuned").startswith(
        "ant and cat gain most (+6 points)"
    )
    still = table.assign(difference=0.0, difference_low=-0.1, difference_high=0.1)
    assert (
        compared_classes.class_change_finding(still, "tuned") == "No class changes; no change is significant"
    )
    same = table.assign(difference=0.0, difference_low=0.0, difference_high=0.0)
    assert compared_classes.class_change_finding(same, "tuned") == "No class changes"
    assert compared_classes.class_change_finding(table, "other") == "Accuracy by class"
    one = compared_classes.class_change_finding(table.iloc[1:2], "tuned")
    assert one == "Accuracy on bee: \N{MINUS SIGN}4 points (\N{MINUS SIGN}10 to +2, could be chance)"


def test_groups():
    counts = pd.DataFrame({"size": ["1", "2 to 5"], "n_groups": [982, 8]})
    assert concept_groups.group_size_finding(counts, "n_images") == "982 of 990 groups have 1 image"
    other = counts.assign(n_groups=[1, 8])
    assert concept_groups.group_size_finding(other, "n_features") == "8 of 9 groups have 2 to 5 features"
    assert concept_groups.group_size_finding(counts.assign(n_groups=0), "n_images") == "No groups"
    said = "1 of 3 have crops that look alike"  # as `is_interpretable` has it: above gamma
    assert concept_groups.likeness_finding([0.7, 0.63, 0.5, np.nan], 0.63) == said
