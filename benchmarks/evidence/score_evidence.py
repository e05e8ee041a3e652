"""What `benchmarks.evidence.score_goal` measures of a study: shares of confidence's gain, and the goal.

The resamples are those of the step `quality` with its usual seed: number b draws images from (0, b).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.common.dataframes import numbers, safe_divide
from core.measures.metrics import METRICS, bootstrap_metrics, rank
from core.store import Study

RULE, CONFIDENCE = "combined", "confidence"
GOAL, SHARE, FEWEST = 0.75, 0.60, 4
TUNED = ("asset:simclr_glyphworld", "asset:simclr_q_glyphworld")  # the rule was chosen with their averages
RESAMPLES = 1000
NEEDED = ("augrc", "auroc_difference", "auroc_within", "rival_difference")  # an older study lacks some


@dataclass(frozen=True)
class Measured:
    """A study's table of metrics, and the AUROC of `combined` and of confidence on each resample."""

    name: str
    study: Study
    metrics: pd.DataFrame  # quality_metrics by score
    draws: dict[str, np.ndarray]  # RULE and CONFIDENCE -> (RESAMPLES,), NaN for a resample of one outcome
    n: int  # evaluation images with a probe result

    @property
    def tuned(self) -> bool:
        """Whether the rule was chosen with this encoder (item 1 of prereg_scores.md)."""
        encoder = self.study.summary("embed").get("encoder", {})
        return encoder.get("spec") in TUNED and encoder.get("pool") == "gap"

    def value(self, score: str, metric: str = "auroc") -> float:
        return float(numbers(self.metrics, metric)[self.metrics.index.get_loc(score)])

    def share(self) -> tuple[float, float, float]:
        """Share of confidence's gain over chance that `combined` has, and its 95 % interval.

        NaN if confidence is not above chance; no interval if it is not on some resample.
        """
        value = float(share_of_gain(self.value(RULE), self.value(CONFIDENCE)))
        shares = share_of_gain(self.draws[RULE], self.draws[CONFIDENCE])
        shares = shares[np.isfinite(self.draws[CONFIDENCE])]
        if np.isnan(shares).any():
            return value, np.nan, np.nan
        return value, *interval(shares)


@dataclass(frozen=True)
class Verdict:
    """Both parts of the goal over some encoders."""

    n: int
    mean: tuple[float, float, float]  # AUROC of `combined` and its 95 % interval
    least: Measured  # the encoder of the smallest share of confidence's gain, or one where it is undefined

    @property
    def reaches_mean(self) -> bool:
        return self.n >= FEWEST and self.mean[0] >= GOAL

    @property
    def reaches_share(self) -> bool:
        return self.least.share()[0] >= SHARE


def share_of_gain(rule: float | np.ndarray, confidence: float | np.ndarray) -> np.ndarray:
    """(AUROC of the rule - 1/2) / (AUROC of confidence - 1/2); NaN where confidence is not above chance."""
    return safe_divide(np.subtract(rule, 0.5), np.maximum(np.subtract(confidence, 0.5), 0.0))


def interval(draws: np.ndarray) -> tuple[float, float]:
    """Bounds of the 95 % percentile interval; NaN draws are left out."""
    if not np.isfinite(draws).any():
        return np.nan, np.nan
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return float(low), float(high)


def verdict(measured: Sequence[Measured]) -> Verdict:
    """Compute the mean over at least one encoder with its interval, and find the smallest share."""
    value = float(np.mean([one.value(RULE) for one in measured]))
    low, high = interval(np.mean([one.draws[RULE] for one in measured], axis=0))
    least = min(measured, key=lambda one: np.nan_to_num(one.share()[0], nan=-np.inf))
    return Verdict(len(measured), (value, low, high), least)


def measure(study: Study, name: str) -> Measured:
    """Read what `quality` measured, and resample the evaluation images with a probe result."""
    if missing := study.why_missing("quality_metrics"):
        raise SystemExit(f"{name}: {missing.sentence} Run: {missing.command}")
    metrics = study.table("quality_metrics").set_index("score")
    again = f"Run: python -m core quality {study.path} --redo"
    if absent := [column for column in NEEDED if column not in metrics]:
        raise SystemExit(f"{name}: an older version measured it, without {', '.join(absent)}. {again}")
    if RULE not in metrics.index or not np.isfinite(metrics.loc[RULE, "auroc"]):
        note = metrics.loc[RULE, "note"] if RULE in metrics.index else ""
        raise SystemExit(f"{name}: no AUROC of '{RULE}'{note and f' ({note})'}. {again}")
    if not np.isfinite(metrics.loc[RULE, "aurc_low"]):
        raise SystemExit(f"{name}: measured without resamples. {again} --bootstrap {RESAMPLES}")
    table = study.table("quality")
    judged = (table["split"] == "val") & np.isfinite(numbers(table, "correct"))
    table = table.loc[judged].reset_index(drop=True)
    return Measured(name, study, metrics, resampled(table), len(table))


def resampled(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """(RESAMPLES,) AUROC of `combined` and of confidence, by score."""
    correct, rankings = numbers(table, "correct"), []
    for score in (RULE, CONFIDENCE):
        values = numbers(table, score)
        rankings.append(rank(values, correct, among=np.flatnonzero(np.isfinite(values))))
    draws = bootstrap_metrics(rankings, len(table), resamples=RESAMPLES, seed=0)[:, :, METRICS.index("auroc")]
    return {RULE: draws[:, 0], CONFIDENCE: draws[:, 1]}
