"""Titles of charts that state what the chart shows, from the same tables; plain text, no markup."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.common.dataframes import equals, numbers, where, words
from core.common.formatting import signed
from core.common.score_names import score_label
from core.common.statistics.chance import CHANCE, Standing, against_chance, outcomes, untold
from core.common.statistics.intervals import leaves_out_0

LIKE = 0.1  # curves that differ by less than this share of their height are called alike
CURVES = {  # kind of curve: measure, its base rate (None: 0.5), what it says
    "roc": ("auroc", None, "AUROC"),
    "pr": ("auprc_correct", "base_rate_correct", "AUPRC of correct images"),
    "pr_error": ("auprc_error", "base_rate_error", "AUPRC of errors"),
}
STANDINGS: dict[Standing, str] = {
    "above": "better than chance",
    "below": "worse than chance",
    "level": "as good as chance",
    "untold": "beside chance",  # more images than are resampled: no interval of AUPRC
}


def curve_finding(metrics: pd.DataFrame, score: str, kind: str) -> str:
    """State what the curve of a score says: its measure, and whether that is better than chance.

    Args:
        metrics: rows of `quality_metrics`. kind: roc, pr, pr_error or risk.
    """
    row = where(metrics, equals(metrics, "score", score))
    label = score_label(score)
    if row.empty or not np.isfinite(numbers(row, "auroc")).any():
        return f"{label}: not defined on these images"
    n_wrong, n_right = outcomes(row.iloc[0].to_dict())
    if few := untold(n_wrong, n_right):
        return f"{label}: what it is worth {few}"
    if kind == "risk":
        error = numbers(row, "base_rate_error")[0]
        value, low, high = (numbers(row, name)[0] for name in ("aurc", "aurc_low", "aurc_high"))
        better = "better" if high < error else "worse" if low > error else "no better"
        return f"{label}: mean risk {value:.2f}, {better} than leaving images out at random ({error:.2f})"
    column, base, name = CURVES[kind]
    chance = CHANCE if base is None else numbers(row, base)[0]
    value, low, high = (numbers(row, f"{column}{end}")[0] for end in ("", "_low", "_high"))
    said = STANDINGS[against_chance(low, high, n_wrong, n_right, chance=chance)]
    return f"{label}: {name} {value:.2f}, {said} ({chance:.2f})"


def distribution_finding(values: np.ndarray, correct: np.ndarray, score: str) -> str:
    """State whether correct or misclassified images score higher, by their medians.

    Args:
        values, correct: of single images; 1 correct, 0 misclassified, NaN unknown.
    """
    label, (side, above, below) = score_label(score), _side(values, correct)
    medians = f"median {above:.3g} and {below:.3g}"
    if not side:
        there = [name for name, one in (("correct ", 1), ("misclassified ", 0)) if (correct == one).any()]
        return f"{label} of {''.join(there[:1])}images" if len(there) == 1 else f"{label} by correctness"
    if side == "alike":
        return f"{label} is alike on correct and misclassified images: {medians}"
    return f"{label} is {side} on correct than on misclassified images: {medians}"


def sparsity_finding(curves: np.ndarray) -> str:
    """State which images have sparser representations.

    Args:
        curves: (2, n_ranks) mean sorted activations of correct and of misclassified images.
    """
    right, wrong = np.asarray(curves, float)
    if not np.isfinite([right, wrong]).all():
        return "Sparsity of one side only"
    most = f"largest activation {right[0]:.2f} and {wrong[0]:.2f}"
    if np.abs(right - wrong).max() <= LIKE * max(right[0], wrong[0]):
        return f"Correct and misclassified images are equally sparse: {most}"
    return f"{'Correct' if right[0] > wrong[0] else 'Misclassified'} images are sparser: {most}"


def threshold_finding(sweep: pd.DataFrame, threshold: float | None) -> str:
    """State at which threshold the overlap with the core mask is largest.

    Args:
        sweep: rows of `overlap_sweep` of one variant. threshold: the one that the study uses.
    """
    part = where(sweep, equals(sweep, "mask", "core") & equals(sweep, "group", "all"))
    mean = numbers(part, "mean")
    if not np.isfinite(mean).any():
        return "mIoU by threshold"
    best = part.iloc[int(np.nanargmax(mean))]
    title = f"mIoU with the object is largest at a threshold of {best['threshold']:.2g} ({best['mean']:.2f})"
    used = numbers(part, "mean")[
        np.isclose(numbers(part, "threshold"), -1 if threshold is None else threshold)
    ]
    return f"{title}; the study uses {threshold:.2g} ({used[0]:.2f})" if len(used) else title


def heat_finding(rows: pd.DataFrame) -> str:
    """State whether a feature's heat prefers the object or the background.

    Args:
        rows: rows of `overlap_by_feature` of one feature: mask, lift, lift_low, lift_high.
    """
    found = {row["mask"]: row for row in rows.to_dict("records") if np.isfinite(row["lift"])}
    core, spurious = found.get("core"), found.get("spurious")
    if core is None and spurious is None:
        return "Object or background?"
    if core is not None and spurious is not None:
        if core["lift_low"] > max(1.0, spurious["lift_high"]):
            return f"Looks at the object: {core['lift']:.1f}x a uniform heatmap"
        if spurious["lift_low"] > max(1.0, core["lift_high"]):
            return f"Looks at the background: {spurious['lift']:.1f}x a uniform heatmap"
        return "Prefers neither the object nor the background"
    one = core if core is not None else spurious
    assert one is not None
    part = "object" if core is not None else "background"
    return f"Heat on the {part}: {one['lift']:.1f}x a uniform heatmap"


def activation_finding(values: np.ndarray, n_images: int, images: str) -> str:
    """State on how many images a feature fires, and how strongly.

    Args:
        values: its activations on the images on which it fires. images: what they are called.
    """
    if not len(values):
        return f"Fires on none of the {images}"
    low, high = float(np.min(values)), float(np.max(values))
    ends = f"at {low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"at {low:.2f} to {high:.2f}"
    return f"Fires on {len(values):,} of {n_images:,} {images}, {ends}"


def class_change_finding(classes: pd.DataFrame, other: str) -> str:
    """State which classes gained and lost most accuracy in a study, and how many changes are significant.

    Args:
        classes: table of `class_accuracy_changes`.
    """
    table = where(classes, equals(classes, "study", other))
    table = where(table, np.isfinite(numbers(table, "difference")))
    if table.empty:
        return "Accuracy by class"
    change, names = numbers(table, "difference"), words(table, "label")
    clear = leaves_out_0(numbers(table, "difference_low"), numbers(table, "difference_high"))
    if len(table) == 1:
        ends = [signed(100 * numbers(table, f"difference{end}")[0], 0) for end in ("", "_low", "_high")]
        interval = f"{ends[1]} to {ends[2]}, " if np.isfinite(numbers(table, "difference_low")[0]) else ""
        said = "significant" if clear[0] else "could be chance"
        return f"Accuracy on {names[0]}: {ends[0]} points ({interval}{said})"
    sure = int(clear.sum())
    parts = []
    for most, verb in ((change.max(), "gain"), (change.min(), "lose")):
        if most > 0 if verb == "gain" else most < 0:
            alike = sorted(name for name, one in zip(names, change, strict=True) if np.isclose(one, most))
            points = signed(100 * most, 0)
            parts.append(f"{_listed(alike)} {verb}{'s' if len(alike) == 1 else ''} most ({points} points)")
    said = ", ".join(parts) or "No class changes"
    tail = "no change is significant" if not sure else f"{sure} of {len(table)} changes are significant"
    return f"{said}; {tail}"


def _listed(names: Sequence[str]) -> str:
    """
    >>> _listed(["ant"]), _listed(["ant", "bee", "cat"]), _listed(list("abcde"))
    ('ant', 'ant, bee and cat', '5 classes')
    """
    if len(names) > 3:
        return f"{len(names)} classes"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def group_size_finding(counts: pd.DataFrame, size: str) -> str:
    """State how large most groups are.

    Args:
        counts: from `concept_groups.count_by_size`. size: n_images or n_features.
    """
    n = numbers(counts, "n_groups")
    if not len(n) or not n.sum():
        return "No groups"
    at, what = int(n.argmax()), "image" if size == "n_images" else "feature"
    name = words(counts, "size")[at]
    return f"{int(n[at]):,} of {int(n.sum()):,} groups have {name} {what}{'' if name == '1' else 's'}"


def likeness_finding(cosine: Sequence[float] | np.ndarray, gamma: float) -> str:
    """State how many groups and features have crops that look alike to CLIP."""
    known = np.asarray(cosine, float)
    known = known[np.isfinite(known)]
    return f"{int((known >= gamma).sum()):,} of {len(known):,} have crops that look alike"


def _side(values: np.ndarray, correct: np.ndarray) -> tuple[str, float, float]:
    """Return higher, lower or alike (on correct images), or "" for want of one group, and both medians."""
    known = np.isfinite(values)
    right, wrong = (values[known & (correct == one)] for one in (1, 0))
    if not len(right) or not len(wrong):
        return "", np.nan, np.nan
    above, below = float(np.median(right)), float(np.median(wrong))
    spread = np.subtract(*np.percentile(values[known], [75, 25]))
    if abs(above - below) <= LIKE * spread:
        return "alike", above, below
    return "higher" if above > below else "lower", above, below
