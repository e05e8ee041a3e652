"""Which label-free score predicts errors best on a few labelled images (docs/method.md 2.8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.quality.recommendation import calibrated
from core.common.score_names import score_label
from core.common.statistics.chance import untold
from core.common.statistics.intervals import auroc_interval
from core.errors import SettingsError
from core.measures import metrics

RESAMPLES = 1000


def stratified_rows(codes: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """Draw n images, each class in proportion to its size and at least once.

    Whole shares first, then the largest remainders. Classes with a single image are left out, so that each
    keeps one to train a probe on.

    Args:
        codes: (n_images,) class codes; -1 is never drawn.
    Returns:
        (n,) rows, ascending.
    Raises:
        SettingsError: fewer images than classes, or more than half of the images.
    """
    sizes = np.bincount(codes[codes >= 0])
    classes, n_usable = np.flatnonzero(sizes >= 2), int(sizes[sizes >= 2].sum())
    if n < len(classes):
        raise SettingsError(
            f"--calibrate {n}: fewer images than the {len(classes)} classes. Give at least {len(classes)}"
        )
    if 2 * n > n_usable:
        raise SettingsError(
            f"--calibrate {n}: more than half of the {n_usable:,} labelled train images, and the others "
            f"train the probe. Give at most {n_usable // 2}"
        )
    exact = n * sizes[classes] / n_usable
    taken = np.clip(np.floor(exact).astype(int), 1, sizes[classes] - 1)
    while (gap := n - int(taken.sum())) != 0:
        room = taken < sizes[classes] - 1 if gap > 0 else taken > 1
        left = np.where(room, (exact - taken) * np.sign(gap), -np.inf)
        taken[int(np.argmax(left))] += int(np.sign(gap))
    rng = np.random.default_rng(seed)
    drawn = [
        rng.choice(np.flatnonzero(codes == c), k, replace=False) for c, k in zip(classes, taken, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def calibrate(
    scores: pd.DataFrame,
    correct: np.ndarray,
    on_all: Mapping[str, float],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Pick the score with the highest AUROC, and count how often a resample picks the best one.

    Args:
        scores: (n_images,) rows, one column per label-free score, without NaN. correct: 1 or 0.
        on_all: AUROC of each score on all evaluation images; empty or NaN where unknown.
    Returns:
        a table score, auroc, low, high, picked (share of the resamples), auroc_on_all; and facts:
        n, n_errors, score, auroc, low, high, best_on_all, share_best, regret (mean AUROC lost on all images
        by taking what a resample picks). None where undefined.
    """
    names, correct = list(scores), np.asarray(correct, float)
    ends = [auroc_interval(scores[name].to_numpy(float), correct == 1)[:3] for name in names]
    table = pd.DataFrame(ends, columns=["auroc", "low", "high"])
    table.insert(0, "score", pd.array(names, dtype="str"))
    known = np.array([on_all.get(name, np.nan) for name in names], float)
    picks = _picks(scores.to_numpy(float), correct, resamples=resamples, seed=seed)
    shares = np.bincount(picks, minlength=len(names)) / max(len(picks), 1)
    table = table.assign(picked=shares if len(picks) else np.nan, auroc_on_all=known)
    facts: dict[str, Any] = {"n": len(correct), "n_errors": int((correct == 0).sum())}
    facts |= dict.fromkeys(("score", "auroc", "low", "high", "best_on_all", "share_best", "regret"))
    if np.isfinite(table["auroc"]).any():
        best = table.loc[table["auroc"].idxmax()]
        facts |= {"score": str(best["score"])}
        facts |= {name: float(best[name]) for name in ("auroc", "low", "high") if np.isfinite(best[name])}
    if len(picks) and np.isfinite(known).all():
        best_at = int(known.argmax())
        facts |= {"best_on_all": names[best_at], "share_best": float((picks == best_at).mean())}
        facts["regret"] = float((known[best_at] - known[picks]).mean())
    return table, facts


def _picks(scores: np.ndarray, correct: np.ndarray, *, resamples: int, seed: int) -> np.ndarray:
    """Position of the best score in each resample of the images; resamples of one outcome are left out."""
    found = []
    for number in range(resamples):
        drawn = np.random.default_rng([seed, number]).integers(0, len(correct), len(correct))
        if 0 < correct[drawn].sum() < len(drawn):
            values = [metrics.auroc(column, correct[drawn]) for column in scores[drawn].T]
            found.append(int(np.argmax(values)))
    return np.array(found, int)


def calibration_sentence(facts: Mapping[str, Any]) -> str:
    """State which score without labels was best on the labelled images of `quality --calibrate`.

    Args:
        facts: of `calibrate`.
    """
    images = f"On {facts['n']:,} labelled train images"
    if facts.get("auroc") is None:
        return f"{images}, no score can be compared: {facts['n_errors']:,} of them are misclassified."
    if few := untold(facts["n_errors"], facts["n"] - facts["n_errors"]):
        return f"{images}, which score without labels predicts errors best {few}."
    measured = f"AUROC {facts['auroc']:.2f} ({facts['low']:.2f} to {facts['high']:.2f})"
    if calibrated(facts) != "above":
        best = f"the best, {score_label(facts['score'])}, has {measured}"
        return f"{images}, no score without labels can be told from chance: {best}."
    text = f"{images}, {score_label(facts['score'])} predicts errors best without labels: {measured}."
    if facts.get("share_best") is None:
        return text
    return (
        f"{text} Of resamples of these images, {100 * facts['share_best']:.0f} % pick the score that is best "
        f"on all evaluation images ({score_label(facts['best_on_all'])}). "
        f"On average the pick loses {facts['regret']:.3f} AUROC."
    )
