"""Slow twins of `core.comparison.measures`: images drawn one by one, pairs of images compared one by one."""

from __future__ import annotations

import math

import numpy as np


def mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def auroc(score: list[float], correct: list[float]) -> float:
    right = [s for s, c in zip(score, correct, strict=True) if c == 1]
    wrong = [s for s, c in zip(score, correct, strict=True) if c == 0]
    if not right or not wrong:
        return math.nan
    won = sum((a > b) + 0.5 * (a == b) for a in right for b in wrong)
    return won / (len(right) * len(wrong))


def average_precision(score: list[float], correct: list[float]) -> float:
    n_right, found, total = sum(correct), 0.0, 0.0
    if n_right in (0, len(correct)):
        return math.nan
    for threshold in sorted(set(score), reverse=True):
        kept = [c for s, c in zip(score, correct, strict=True) if s >= threshold]
        recall, precision = sum(kept) / n_right, sum(kept) / len(kept)
        total += (recall - found) * precision
        found = recall
    return total


def drawn_images(n: int, seed: int, number: int) -> list[int]:
    return np.random.default_rng([seed, number]).integers(0, n, n).tolist()


def numbers_of(
    columns: dict[str, list[float]],
    score: list[float],
    correct: list[float],
    rows: list[int],
):
    """Every number of one study on the images `rows`, with repetition."""
    found = {name: mean([values[row] for row in rows]) for name, values in columns.items()}
    known = [row for row in rows if not math.isnan(score[row]) and not math.isnan(correct[row])]
    some, right = [score[row] for row in known], [correct[row] for row in known]
    found["q_auroc"], found["q_auprc"] = auroc(some, right), average_precision(some, right)
    found["base_rate"] = mean(right)
    found["q_gap"] = found["q_correct"] - found["q_misclassified"]
    found["q_auprc_gain"] = found["q_auprc"] - found["base_rate"]
    confidence = columns["confidence"]
    known = [row for row in rows if not math.isnan(confidence[row]) and not math.isnan(correct[row])]
    found["confidence_auroc"] = auroc([confidence[row] for row in known], [correct[row] for row in known])
    return found


def percentiles(values: list[float]) -> tuple[float, float]:
    known = [value for value in values if not math.isnan(value)]
    return tuple(np.percentile(known, [2.5, 97.5]).tolist()) if known else (math.nan, math.nan)
